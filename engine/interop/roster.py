"""The roster and which commit may follow (docs/protocol.md, sections 5 and 6). Public knowledge only: no secrets."""

from dataclasses import dataclass

from codec import Malformed
from crypto import H, Refused, ZEROS, u32, verify
from structures import (ADD, DAY, HEAL, LEAVE, REMOVE, RESET, SET_ROLE, SKEW, UPDATE, Commit, CommitBody, Leaf,
                        LeaveBody, LeaveRequest, Manifest, ManifestBody, device_id)

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
        if body.author not in after:
            raise Refused("R33: the author's device goes")
        added = after - before
        recipients = (before & after) - {body.author} if body.commitment is not None else set()
        _check_result(leaves, body, recipients | added)
        return Public(self.group, body.epoch, commit.hash(), body.time, leaves, body.last_distribution, body.author)

    def _check_operations(self, author, body):
        roles = {leaf.account: leaf.role for leaf in self.leaves if leaf is not None}
        present = {device for _, device, _ in self.devices()}
        touched, secret, resets = set(), False, False
        for name, fields in body.operations:
            secret |= name not in (ADD, SET_ROLE)
            least, account = MEMBER, None
            if name == ADD:
                role, data = fields
                manifest = added_manifest(data, body.time)
                account = manifest.account
                least = ADMIN if role == MEMBER else OWNER
                added = {device_id(key) for key in manifest.devices}
                if account in roles or added & present:
                    raise Refused("R36: added account or device is there already")
                present |= added
            elif name in (REMOVE, SET_ROLE):
                account = fields[0]
                if account not in roles:
                    raise Refused("R36: changed account is not in the roster")
                least = OWNER if name == SET_ROLE or roles[account] == OWNER else ADMIN
                if name == REMOVE and account == author.account:
                    raise Refused("R33: nobody removes themselves")
            elif name == UPDATE:
                account, added = self._check_update(fields[0], body.time)
                if added & present:
                    raise Refused("R101: an added device is there already")
                present |= added
            elif name == HEAL:
                account = author.account
                if fields[1] > body.time + SKEW or author.pinned is not None and fields[1] <= author.pinned[1]:
                    raise Refused("R102: prekeys from the future, or not newer than those of the last heal")
            elif name == RESET:
                least = ADMIN
                if resets:
                    raise Refused("R35: two resets")
                resets = True
            elif name == LEAVE:
                account = self._check_leave(fields[0], body.time)
                if account == author.account:
                    raise Refused("R33: nobody removes themselves")
            if author.role < least:
                raise Refused("R32: the author's role does not allow this")
            if account is not None and account in touched:
                raise Refused("R35: two operations on one account")
            touched.add(account)
        if secret != (body.commitment is not None):
            raise Refused("R37: commitment exactly with an operation that shuts somebody out")

    def _check_update(self, chain, time):
        """R100, and R101 as to age. Returns the account and its new devices."""
        manifests = [Manifest.read(data).check() for data in chain]
        account = manifests[0][0].account
        recorded = [leaf for leaf in self.leaves if leaf is not None and leaf.account == account]
        if not recorded:
            raise Refused("R100: updated account is not in the roster")
        version, previous = recorded[0].manifest_version, recorded[0].manifest
        for body, digest in manifests:
            if (body.account, body.version, body.previous) != (account, version + 1, previous):
                raise Refused("R100: a manifest does not follow the one before")
            version, previous = body.version, digest
        own = {device_id(leaf.device_key) for leaf in recorded}
        added = {device_id(key) for key in body.devices} - own
        if added:
            check_age(body, time)
        return account, added

    def _check_leave(self, data, time):
        """R104. Returns the account."""
        request = LeaveRequest.read(data)
        body = LeaveBody.read(request.body)
        _, leaf = self.find(body.device)
        if body.group != self.group or leaf is None or (leaf.account, leaf.since) != (body.account, body.since):
            raise Refused("R104: not of this group, account and stay")
        if not time - 30 * DAY - SKEW <= body.time <= time + SKEW:
            raise Refused("R104: request too old or from the future")
        verify(leaf.device_key, "leave request", request.digest(), request.signature)
        return body.account


def added_manifest(data, commit_time):
    body, _ = Manifest.read(data).check()
    check_age(body, commit_time)
    return body


def check_age(body, commit_time):
    if body.time < commit_time - 30 * DAY - SKEW or body.time > commit_time + SKEW:
        raise Refused("R36: manifest is too old or from the future")


def _read(data):
    commit = Commit.read(data)
    body = CommitBody.read(commit.body)
    for name, fields in body.operations:
        role = fields[0] if name == ADD else fields[1] if name == SET_ROLE else MEMBER
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
            _place(leaves, added.devices, role, manifest, body.epoch)
        elif name == REMOVE:
            _change(leaves, fields[0], lambda leaf: None)
        elif name == SET_ROLE:
            _change(leaves, fields[0], lambda leaf: _with(leaf, role=fields[1]))
        elif name == LEAVE:
            _change(leaves, LeaveBody.read(LeaveRequest.read(fields[0]).body).account, lambda leaf: None)
        elif name == UPDATE:
            manifest = Manifest.read(fields[0][-1])
            newest, digest = ManifestBody.read(manifest.body), H("manifest", manifest.body)
            own = [leaf for leaf in leaves if leaf is not None and leaf.account == newest.account]
            _change(leaves, newest.account, lambda leaf: _with(
                leaf, manifest=digest, manifest_version=newest.version) if leaf.device_key in newest.devices else None)
            new = [key for key in newest.devices if key not in [leaf.device_key for leaf in own]]
            if own:
                _place(leaves, new, own[0].role, manifest, body.epoch)
        elif name == HEAL:
            for index, leaf in enumerate(leaves):
                if leaf is not None and device_id(leaf.device_key) == body.author:
                    leaves[index] = _with(leaf, pinned=fields, since=body.epoch)
    return leaves


def _with(leaf, **changes):
    return Leaf(**{**{name: getattr(leaf, name) for name in leaf.fields}, **changes})


def _change(leaves, account, change):
    for index, leaf in enumerate(leaves):
        if leaf is not None and leaf.account == account:
            leaves[index] = change(leaf)


def _place(leaves, keys, role, manifest, epoch):
    body, digest = ManifestBody.read(manifest.body), H("manifest", manifest.body)
    for key in keys:
        leaf = Leaf(body.account, role, None, digest, body.version, key, epoch)
        if None in leaves:
            leaves[leaves.index(None)] = leaf
        else:
            leaves.append(leaf)


def _check_result(new, body, may_be_unreachable):
    if not any(leaf is not None and leaf.role == OWNER for leaf in new):
        raise Refused("R34: no owner remains")
    if body.unreachable != sorted(set(body.unreachable)) or not set(body.unreachable) <= may_be_unreachable:
        raise Refused("R38: unreachable list")
    if len(new) > 1 << 20:
        raise Refused("R39: too many leaves")
    if roster_hash(new) != body.roster:
        raise Refused("R39: roster hash")
