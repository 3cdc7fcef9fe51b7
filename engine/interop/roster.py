"""The roster and which commit may follow (docs/protocol.md, sections 5 and 6). Public knowledge only: no secrets."""

from dataclasses import dataclass

from codec import Malformed
from crypto import H, Refused, ZEROS, u32, verify
from structures import (ADD, DAY, REMOVE, SET_ROLE, SKEW, Commit, CommitBody, Leaf, Manifest, ManifestBody, device_id)

MEMBER, ADMIN, OWNER = range(3)


def tree(leaves, purpose):
    """Top of a binary tree over 32-byte leaves, filled up with zeros to a power of two."""
    leaves = list(leaves)
    while len(leaves) & (len(leaves) - 1):
        leaves.append(ZEROS)
    while len(leaves) > 1:
        leaves = [H(purpose, leaves[i], leaves[i + 1]) for i in range(0, len(leaves), 2)]
    return leaves[0]


def leaf_hash(leaf):
    return ZEROS if leaf is None else H("roster leaf", leaf.bytes())


def roster_hash(leaves):
    return H("roster", u32(len(leaves)), tree(map(leaf_hash, leaves), "roster node"))


@dataclass
class Public:
    """What everybody can check of a group: epoch, head and roster. A value: `follow` returns the next one."""

    group: bytes
    epoch: int
    head: bytes
    time: int
    leaves: list
    last_distribution: int
    author: bytes

    def find(self, device):
        """(index, leaf) of a device, or (None, None)."""
        for index, leaf in enumerate(self.leaves):
            if leaf is not None and device_id(leaf.device_key) == device:
                return index, leaf
        return None, None

    def devices(self):
        """(index, device, leaf) in leaf order."""
        return [(i, device_id(leaf.device_key), leaf) for i, leaf in enumerate(self.leaves) if leaf is not None]

    @classmethod
    def genesis(cls, data, group):
        """The group that its first commit begins. R30, and what of R31 to R39 applies to it."""
        commit, body = _read(data)
        if commit.hash() != group:
            raise Refused("genesis of another group")
        if body.epoch != 0 or body.previous != ZEROS or body.last_distribution != 0 or body.commitment is None:
            raise Refused("R30: not a genesis")
        if len(body.operations) != 1 or body.operations[0][0] != ADD or body.operations[0][1][0] != OWNER:
            raise Refused("R30: a genesis adds one account as owner")
        manifest = added_manifest(body.operations[0][1][1], body.time)
        keys = [key for key in manifest.devices if device_id(key) == body.author]
        if not keys:
            raise Refused("R30: author is not a device of the account")
        verify(keys[0], "commit", commit.hash(), commit.signature)
        leaves = apply([], body)
        _check_result(leaves, body, {device_id(key) for key in manifest.devices} - {body.author})
        return cls(group, 0, commit.hash(), body.time, leaves, 0, body.author)

    def follow(self, data):
        """The group after one more commit, or Refused: then nothing has changed. R31 to R39."""
        commit, body = _read(data)
        if (body.group, body.epoch, body.previous) != (self.group, self.epoch + 1, self.head):
            raise Refused("R31: not on top of this head")
        _, author = self.find(body.author)
        if author is None:
            raise Refused("R31: author is not in the roster")
        verify(author.device_key, "commit", commit.hash(), commit.signature)
        self._check_operations(author, body)
        leaves = apply(self.leaves, body)
        before = {device for _, device, _ in self.devices()}
        after = {device_id(leaf.device_key) for leaf in leaves if leaf is not None}
        added = after - before
        recipients = (before & after) - {body.author} if body.commitment is not None else set()
        _check_result(leaves, body, recipients | added)
        return Public(self.group, body.epoch, commit.hash(), body.time, leaves, body.last_distribution, body.author)

    def _check_operations(self, author, body):
        roles = {leaf.account: leaf.role for leaf in self.leaves if leaf is not None}
        present = {device for _, device, _ in self.devices()}
        touched, removes = set(), False
        for name, fields in body.operations:
            if name == ADD:
                role, data = fields
                manifest = added_manifest(data, body.time)
                account = manifest.account
                least = ADMIN if role == MEMBER else OWNER
                added = {device_id(key) for key in manifest.devices}
                if account in roles or added & present:
                    raise Refused("R36: added account or device is there already")
                present |= added
            else:
                account = fields[0]
                if account not in roles:
                    raise Refused("R36: changed account is not in the roster")
                least = OWNER if name == SET_ROLE or roles[account] == OWNER else ADMIN
                if name == REMOVE:
                    removes = True
                    if account == author.account:
                        raise Refused("R33: nobody removes themselves")
            if author.role < least:
                raise Refused("R32: the author's role does not allow this")
            if account in touched:
                raise Refused("R35: two operations on one account")
            touched.add(account)
        if removes != (body.commitment is not None):
            raise Refused("R37: commitment exactly with a removal")


def added_manifest(data, commit_time):
    body, _ = Manifest.read(data).check()
    if body.time < commit_time - 30 * DAY - SKEW or body.time > commit_time + SKEW:
        raise Refused("R36: manifest is too old or from the future")
    return body


def _read(data):
    commit = Commit.read(data)
    body = CommitBody.read(commit.body)
    for name, fields in body.operations:
        role = {ADD: fields[0], SET_ROLE: fields[-1], REMOVE: MEMBER}[name]
        if role not in (MEMBER, ADMIN, OWNER):
            raise Malformed("unknown role")
    return commit, body


def apply(leaves, body):
    """R21: in order; blanks are filled lowest first; the leaf count never shrinks."""
    leaves = list(leaves)
    for name, fields in body.operations:
        if name == ADD:
            role, data = fields
            manifest = Manifest.read(data)
            added = ManifestBody.read(manifest.body)
            for key in added.devices:
                leaf = Leaf(added.account, role, None, H("manifest", manifest.body), added.version, key, body.epoch)
                if None in leaves:
                    leaves[leaves.index(None)] = leaf
                else:
                    leaves.append(leaf)
            continue
        account = fields[0]
        for index, leaf in enumerate(leaves):
            if leaf is not None and leaf.account == account:
                if name == REMOVE:
                    leaves[index] = None
                else:
                    values = dict(zip(leaf.fields, leaf.items()), role=fields[1])
                    leaves[index] = Leaf(**values)
    return leaves


def _check_result(new, body, may_be_unreachable):
    if not any(leaf is not None and leaf.role == OWNER for leaf in new):
        raise Refused("R34: no owner remains")
    if body.unreachable != sorted(set(body.unreachable)) or not set(body.unreachable) <= may_be_unreachable:
        raise Refused("R38: unreachable list")
    if len(new) > 1 << 20:
        raise Refused("R39: too many leaves")
    if roster_hash(new) != body.roster:
        raise Refused("R39: roster hash")
