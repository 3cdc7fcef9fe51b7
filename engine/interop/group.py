"""One group as one device holds it (docs/protocol.md, sections 7 to 11). Commits are followed; authoring.py makes them."""

import copy
from dataclasses import dataclass, field

from codec import Malformed
from crypto import (H, KDF, Refused, ZEROS, open_, random, seal, sign, signing_public, split, verify,
                    xor)
from padding import pad, unpad
from pairwise import (COMMIT_SECRET, CONTENT_KEY, INITIAL, WELCOME, Context, open_delivery, seal_initial, seal_wrap)
from roster import Public
from structures import (COMMIT, DAY, DISTRIBUTION, HEAL, MESSAGE, RESET, SKEW, TRIMMED, Certificate, CertificateBody, Commit, CommitBody,
                        Distribution, DistributionBody, Message, Run, SenderKeyContent, Welcome, device_id, read_message)

MESSAGES = 10_000          # of an epoch, and of a generation
SKIPPED_OF_SENDER = 1_000
SKIPPED_OF_GROUP = 10_000
PENDING = 64               # messages of a sender,
PENDING_CONTENT = 256 << 10  # and bytes of what is in them


class Repeat(Refused):
    """Something that was there before: refused, and no alarm."""


# --- what is derived ----------------------------------------------------------------------------------------------------

def epoch_secrets(init, commit_secret, body_hash):
    """Returns (es, init', confirmation)."""
    flag = b"\0" if commit_secret is None else b"\1"
    es = KDF("epoch", 32, init, flag, commit_secret or b"", body_hash)
    init = KDF("init", 32, es)
    return es, init, H("confirm", init)


def mix_sender(seed, es):
    """Returns (chain key', seed')."""
    return split(KDF("sender", 64, seed, es), 32, 32)


def message_step(chain_key):
    """Returns (message key, chain key')."""
    return split(KDF("chain", 64, chain_key), 32, 32)


def message_keys(message_key):
    """Returns (key, key commitment, nonce base)."""
    return split(KDF("message", 88, message_key), 32, 32, 24)


def message_nonce(base, hedge):
    return base[:16] + xor(base[16:], hedge)


def distribution_keys(content_key, certificate_hash):
    return split(KDF("distribution content", 56, content_key, certificate_hash), 32, 24)


def deliver(me, others, context, secret, prekeys, at):
    """One delivery of a secret for each (account, device), in their order; an empty one where there is neither a chain
    nor prekeys. `prekeys` maps devices to their checked (body, hash). Also returns the chains that this opens."""
    deliveries, first = {}, []
    for account, device in others:
        deliveries[device] = b""
        step = me.pairwise.step_to(context.group, device, at)
        if step is not None:
            deliveries[device] = seal_wrap(me, device, context, secret, step)
        elif device in prekeys:
            first.append((account, device, *prekeys[device], context, secret))
    sealed, chains = seal_initial(me, first, at) if first else ([], {})
    deliveries.update(zip((device for _, device, *_ in first), sealed))
    return deliveries, chains


# --- sender keys -----------------------------------------------------------------------------------------------------------

@dataclass
class SenderKey:
    certificate: bytes
    generation: int
    signing_key: bytes              # public; the private half is in `private` where it is this device's own
    first_link: bool
    seed: bytes
    chain_key: bytes
    index: int = 0
    skipped: dict = field(default_factory=dict)     # index -> (message key, time)
    private: bytes = None
    made: int = 0
    sealed: int = 0
    last: tuple = None      # of what was accepted last in this epoch: first index, key commitments, digest (R142)

    @property
    def certificate_hash(self):
        return Certificate.read(self.certificate).hash()

    def mix(self, es):
        self.chain_key, self.seed = mix_sender(self.seed, es)
        self.index, self.skipped, self.last = 0, {}, None

    def peek(self, index):
        if index in self.skipped:
            return self.skipped[index][0]
        if not self.unused(index):
            raise Repeat("R64: a used or forgotten index")
        if index >= MESSAGES:
            raise Refused("R64: index too far")
        chain_key = self.chain_key
        for _ in range(index - self.index + 1):
            message_key, chain_key = message_step(chain_key)
        return message_key

    def unused(self, index):
        return index >= self.index or index in self.skipped

    def consume(self, index, at):
        while self.index <= index:
            message_key, self.chain_key = message_step(self.chain_key)
            self.skipped[self.index] = (message_key, at)
            self.index += 1
        del self.skipped[index]
        kept = sorted((i, k) for i, k in self.skipped.items() if k[1] >= at - 7 * DAY)
        self.skipped = dict(kept[-SKIPPED_OF_SENDER:])


def too_old(key, time):
    """Whether the certificate of a sender key is void in an epoch whose commit was made at that time (R60)."""
    return CertificateBody.read(Certificate.read(key.certificate).body).time < time - 14 * DAY - SKEW


@dataclass
class Pending:
    """A message that decrypted and whose signature failed (R68)."""
    seq: int
    digest: bytes
    link: bytes
    index: int
    id: bytes
    content: bytes


@dataclass
class Sender:
    """What is remembered of one device, keyed by the device and its `since` (R20)."""
    generation: int = -1            # the last one in the log
    key: SenderKey = None           # None: not readable
    link: bytes = None              # what the next message has to link to; None: any, it is the baseline (R65)
    ids: list = field(default_factory=list)
    distributions: list = field(default_factory=list)   # valid ones of this epoch, by their digest
    pending: list = field(default_factory=list)         # Pending, oldest first

    def drop_pending(self):
        """Events that say so."""
        dropped, self.pending = self.pending, []
        return [dict(kind="refused", seq=p.seq, reason="R68: no authentic message links to it") for p in dropped]


@dataclass
class Sealed:
    """A message or run of this device that the log does not show yet."""
    message: bytes
    link: bytes
    contents: list      # (id, content) of each message


@dataclass
class Staged:
    """A distribution of this device that the log does not show yet."""
    body: bytes
    key: SenderKey
    chains: dict        # device -> Chain, to be used from then on


@dataclass
class StagedCommit:
    """A commit of this device that the log does not show yet (R45)."""
    body: bytes
    secret: bytes
    chains: dict        # device -> Chain, to be used from then on


@dataclass
class Group:
    public: Public
    cursor: int
    last_distribution: int
    init: bytes
    note: bytes
    senders: dict = field(default_factory=dict)     # (device, since) -> Sender
    staged: Staged = None
    staged_commit: StagedCommit = None
    sealed: list = field(default_factory=list)
    made: list = field(default_factory=list)        # messages and distributions of this device in this epoch (R67)
    removed: bool = False

    # --- joining: section 10 -------------------------------------------------------------------------------------------

    @classmethod
    def join(cls, me, group, entries):
        """`entries`: every commit of the group, from the genesis to the one that adds this device, whose delivery is
        the welcome (R70)."""
        public = Public.genesis(entries[0].body, group)
        for entry in entries[1:]:
            public = public.follow(entry.body)
        last = entries[-1]
        _, leaf = public.find(me.device)
        if leaf is None or leaf.since != public.epoch:
            raise Refused("R70: the last commit does not add this device")
        if not last.delivery:
            raise Refused("R70: no welcome")
        context = Context(WELCOME, group, public.epoch)
        welcome = Welcome.read(open_delivery(me, last.delivery, public.author, context))
        if welcome.head != public.head:
            raise Refused("R70: welcome to another head")
        if H("confirm", welcome.init) != Commit.read(last.body).confirmation:
            raise Refused("R70: init secret does not fit the confirmation")
        self = cls(public, last.seq, public.last_distribution, welcome.init, welcome.note)
        for sender in welcome.senders:
            try:
                body, digest, leaf = self._certificate(sender.certificate)
            except (Refused, Malformed):
                continue
            if body.device == me.device:
                continue
            state = self._sender(body.device, leaf)
            state.generation = body.generation
            state.key = SenderKey(sender.certificate, body.generation, body.signing_key, body.first_link, sender.seed,
                                  sender.chain_key, sender.index)
        return self

    def forget(self, me):
        """R44: this device is in the group no more."""
        self.init, self.senders, self.removed = None, {}, True
        self.staged, self.staged_commit, self.sealed, self.made = None, None, [], []
        me.pairwise.forget(self.public.group)

    def _sender(self, device, leaf):
        return self.senders.setdefault((device, leaf.since), Sender())

    def _certificate(self, data):
        """R60. Returns (body, hash, leaf) or Refused."""
        certificate = Certificate.read(data)
        body, digest = CertificateBody.read(certificate.body), certificate.hash()
        if body.group != self.public.group:
            raise Refused("R60: certificate for another group")
        _, leaf = self.public.find(body.device)
        if leaf is None:
            raise Refused("R60: certificate of a device that is not in the roster")
        verify(leaf.device_key, "sender key certificate", digest, certificate.signature)
        if not leaf.since <= body.start_epoch <= self.public.epoch:
            raise Refused("R60: start epoch")
        if body.start_epoch == self.public.epoch and body.head != self.public.head:
            raise Refused("R60: certificate under another head")
        if body.time < self.public.time - 14 * DAY - SKEW:
            raise Refused("R60: certificate is too old")
        return body, digest, leaf

    # --- receiving: section 11 -----------------------------------------------------------------------------------------

    def receive(self, me, entry, at):
        """Processes the next entry. Returns (group, device, events): the new states, or the old ones but for the
        cursor where the entry is refused (R71). An event is a dict with `kind`, `seq` and what belongs to the kind; the
        last one is of this entry, those before it of earlier entries that this one decides on (R68)."""
        follows = entry.seq > self.cursor if entry.kind == TRIMMED else entry.seq == self.cursor + 1
        if entry.group != self.public.group or not follows:
            raise Refused(f"entry {entry.seq} is not the next of this group, {self.cursor + 1}")
        work = {COMMIT: Group._commit, DISTRIBUTION: Group._distribution, MESSAGE: Group._message,
                TRIMMED: Group._trimmed}.get(entry.kind)
        after, mine = copy.deepcopy(self), copy.deepcopy(me)
        try:
            if work is None:
                raise Refused("unknown kind of entry")
            events = work(after, mine, entry, at)
        except (Refused, Malformed) as problem:
            after, mine = copy.deepcopy(self), me
            events = [dict(kind="repeat" if isinstance(problem, Repeat) else "refused", reason=str(problem))]
            if self._in_my_name(me, entry) and entry.body not in self.made:
                events[0]["alarm"] = "R67: in the name of this device, and not written by it"
        after.cursor = entry.seq
        if entry.kind == DISTRIBUTION:
            after.last_distribution = entry.seq
        events[-1]["seq"] = entry.seq
        return after, mine, events

    def _trimmed(self, me, entry, at):
        if entry.body or entry.delivery is not None:
            raise Malformed("R130: a trimmed entry holds something")
        return [dict(kind="trimmed", first=self.cursor + 1)]

    def _in_my_name(self, me, entry):
        """Whether a message or distribution of this epoch claims to be this device's."""
        try:
            if entry.kind == MESSAGE:
                message = read_message(entry.body)
                index, _ = self.public.find(me.device)
                return (message.epoch, message.leaf) == (self.public.epoch, index)
            if entry.kind == DISTRIBUTION:
                body = DistributionBody.read(Distribution.read(entry.body).body)
                certificate = CertificateBody.read(Certificate.read(body.certificate).body)
                return (body.epoch, certificate.device) == (self.public.epoch, me.device)
        except Malformed:
            pass
        return False

    def _commit(self, me, entry, at):
        before, self.public = self.public, self.public.follow(entry.body)
        commit = Commit.read(entry.body)
        present = {(device, leaf.since) for _, device, leaf in self.public.devices()}
        for device in {device for _, device, _ in before.devices()} - {device for device, _ in present}:
            me.pairwise.forget(self.public.group, device)
        self._renew(me, before, CommitBody.read(commit.body))
        events = [event for sender in self.senders.values() for event in sender.drop_pending()]
        staged, self.staged_commit = self.staged_commit, None
        self.staged, self.sealed, self.made = None, [], []      # of an epoch that is over (R72)
        event = dict(kind="commit", epoch=self.public.epoch, author=self.public.author)
        events.append(event)
        if staged is not None and staged.body == commit.body:
            me.pairwise.opened(self.public.group, staged.chains)
        else:
            staged = None
            if self.public.author == me.device:
                event["alarm"] = "R46: a commit by this device that it did not stage: its state was copied or restored"
        if me.device not in {device for device, _ in present}:
            self.forget(me)
            event["kind"] = "removed"
            return events
        self.senders = {who: sender for who, sender in self.senders.items() if who in present}
        try:
            self._mix(me, entry, commit, staged)
        except (Refused, Malformed) as problem:       # R43
            self.init = None
            event["locked out"] = str(problem)
        for sender in self.senders.values():
            sender.distributions = []
            if self.init is None:
                sender.key = sender.link = None
            elif sender.key is not None and too_old(sender.key, self.public.time):      # R60; nobody reads it, so its
                sender.key = None                                                       # link remains
        return events

    def _renew(self, me, before, body):
        """R48, R49, R107: what ends with a heal or a reset, before the commit's own envelopes bring new chains."""
        names = [name for name, _ in body.operations]
        if HEAL in names:
            old, new = (public.find(body.author)[1].since for public in (before, self.public))
            sender = self.senders.pop((body.author, old), None)
            if sender is not None:
                sender.key = None
                self.senders[body.author, new] = sender
            me.pairwise.forget(self.public.group, None if body.author == me.device else body.author)
        if RESET in names:
            for sender in self.senders.values():
                sender.key = None
            me.pairwise.forget(self.public.group)

    def _mix(self, me, entry, commit, staged):
        body = CommitBody.read(commit.body)
        names = [name for name, _ in body.operations]
        secret = None
        if staged is not None:
            secret = staged.secret
        elif body.commitment is not None:
            # Without an init secret it leads nowhere, but opens the chain that later deliveries may be on.
            context = Context(COMMIT_SECRET, self.public.group, self.public.epoch)
            delivery = entry.delivery or b""
            if (HEAL in names or RESET in names) and delivery[:2] != INITIAL:
                raise Refused("R47: the secret of a heal or reset comes by an initial envelope only")
            secret = open_delivery(me, delivery, body.author, context, body.commitment)
        if RESET in names:
            self.init = ZEROS
        if self.init is None:
            raise Refused("no init secret")
        es, init, confirmation = epoch_secrets(self.init, secret, commit.body_hash())
        if confirmation != commit.confirmation:
            raise Refused("confirmation does not fit")
        self.init = init
        for sender in self.senders.values():
            if sender.key is not None:
                sender.key.mix(es)

    def _distribution(self, me, entry, at):
        distribution = Distribution.read(entry.body)
        body = DistributionBody.read(distribution.body)
        if body.epoch != self.public.epoch:
            raise Refused("R61: distribution of another epoch")
        certificate, digest, leaf = self._certificate(body.certificate)
        verify(leaf.device_key, "sender key distribution", distribution.digest(), distribution.signature)
        sender = self._sender(certificate.device, leaf)
        if distribution.digest() in sender.distributions:
            raise Repeat("R61: the same distribution once more")
        if certificate.generation <= sender.generation:
            raise Refused("R61: generation does not grow")
        sender.generation, sender.key = certificate.generation, None
        sender.distributions.append(distribution.digest())
        events = sender.drop_pending()
        event = dict(kind="distribution", device=certificate.device, generation=certificate.generation, readable=True)
        events.append(event)
        if certificate.device == me.device:
            staged, self.staged = self.staged, None
            self.sealed = []                          # what the log does not show yet comes too late
            if staged is not None and staged.body == distribution.body:
                sender.key = staged.key
                me.pairwise.opened(self.public.group, staged.chains)
            else:
                event.update(readable=False)
                if entry.body not in self.made:
                    event["alarm"] = "R67: in the name of this device, and not written by it"
        else:
            try:
                sender.key = self._open_distribution(me, entry, body, certificate, digest)
            except (Refused, Malformed) as problem:
                event.update(readable=False, reason=str(problem))
        if sender.key is None:
            sender.link = None                        # what comes now is not read: a baseline is due after it (R65)
        elif certificate.first_link:
            sender.link = digest[:16]
        return events

    def _open_distribution(self, me, entry, body, certificate, digest):
        context = Context(CONTENT_KEY, self.public.group, self.public.epoch)
        content_key = open_delivery(me, entry.delivery or b"", certificate.device, context, body.commitment)
        if self.init is None:
            raise Refused("R43: locked out until welcomed again")
        key, nonce = distribution_keys(content_key, digest)
        content = SenderKeyContent.read(open_(key, nonce, b"", body.ciphertext))
        if content.index != 0:
            raise Refused("R61: index is not 0")
        if H("sender key commitment", content.seed, content.chain_key) != certificate.commitment:
            raise Refused("R61: sender key does not fit its commitment")
        return SenderKey(body.certificate, certificate.generation, certificate.signing_key, certificate.first_link, content.seed,
                         content.chain_key)

    def _message(self, me, entry, at):
        message = read_message(entry.body)
        if message.epoch != self.public.epoch:
            raise Refused("R63: message of another epoch")
        leaf = self.public.leaves[message.leaf] if message.leaf < len(self.public.leaves) else None
        if leaf is None:
            raise Refused("R63: nobody on that leaf")
        device = device_id(leaf.device_key)
        sender = self._sender(device, leaf)
        event = dict(kind="message", device=device, account=leaf.account)
        if device == me.device:
            for sealed in self.sealed:
                if sealed.message == entry.body:
                    self.sealed.remove(sealed)
                    sender.link = sealed.link
                    return [dict(event, seq=entry.seq, id=id, content=content, own=True) for id, content in sealed.contents]
            if entry.body in self.made:
                raise Repeat("R67: posted twice, or too late")
            raise Refused("not written by this device")
        key = sender.key
        if key is None or key.generation != message.generation:
            raise Refused("R63: sender or generation is not readable")
        ciphertexts = message.ciphertexts()
        indices = range(message.index, message.index + len(ciphertexts))
        if indices[-1] >= MESSAGES:
            raise Refused("R64: index too far")
        try:
            keys = [message_keys(key.peek(index)) for index in indices]
        except Repeat:
            self._refuse_second(key, message, indices)
            raise
        commitments = [key_commitment for _, key_commitment, _ in keys]
        digests = message.digests(self.public.group, self.public.head, key.certificate_hash, commitments)
        if message.purpose == "group message run":
            verify(key.signing_key, message.purpose, digests[-1], message.signature)        # R143: never pending
        these, links = [], [message.link, *(digest[:16] for digest in digests)]
        for (secret, _, base), ciphertext, index, digest, link in zip(keys, ciphertexts, indices, digests, links):
            plaintext = unpad(open_(secret, message_nonce(base, message.hedge), b"", ciphertext))
            if len(plaintext) < 17:
                raise Refused("R63: message without content")
            these.append(Pending(entry.seq, digest, link, index, plaintext[:16], plaintext[16:]))
        try:
            verify(key.signing_key, message.purpose, digests[-1], message.signature)
        except Refused:
            return [*self._keep_pending(sender, these[0]), dict(event, kind="pending")]
        events = self._accept(sender, these, event, at)
        key.last = message.index, commitments, digests[-1]
        self._bound_skipped()
        return events

    def _refuse_second(self, key, message, indices):
        """R142. Returns if it is a repeat like any other."""
        first, commitments, digest = key.last or (0, [], b"")
        known = commitments[message.index - first:] if message.index >= first else []
        if not known:
            return
        try:
            known += [message_keys(key.peek(index))[1] for index in indices[len(known):]]
        except Refused:
            return
        second = message.digests(self.public.group, self.public.head, key.certificate_hash, known)[-1]
        try:
            verify(key.signing_key, message.purpose, second, message.signature)
        except Refused:
            return
        if second != digest:
            raise Refused("R142: equivocation: two entries under the same keys")

    def _keep_pending(self, sender, this):
        """R68. The limits are kept by dropping the oldest."""
        if this.digest in [pending.digest for pending in sender.pending]:
            raise Repeat("R68: pending already")
        sender.pending.append(this)
        dropped = []
        while len(sender.pending) > PENDING or sum(len(p.content) for p in sender.pending) > PENDING_CONTENT:
            dropped.append(dict(kind="refused", seq=sender.pending.pop(0).seq, reason="R68: too many are pending"))
        return dropped

    def _accept(self, sender, these, event, at):
        """What an authentic entry holds, and the pending messages that it links to, directly or through each other
        (R68)."""
        run, pending = list(these), {p.digest[:16]: p for p in sender.pending}
        while (before := pending.pop(run[0].link, None)) is not None:
            if not sender.key.unused(before.index) or before.index in [p.index for p in run]:
                break
            run.insert(0, before)
        sender.pending = [p for p in sender.pending if p not in run]
        events = sender.drop_pending()
        for message in run:
            shown = dict(event, seq=message.seq, id=message.id)
            sender.key.consume(message.index, at)
            if sender.link not in (None, message.link):
                shown["alarm"] = "R65: something before this message is missing"
            sender.link = message.digest[:16]
            if message.id in sender.ids:
                shown["kind"] = "repeat"
            else:
                sender.ids.append(message.id)
                shown["content"] = message.content
            events.append(shown)
        return events

    def _bound_skipped(self):
        keys = [sender.key for sender in self.senders.values() if sender.key is not None]
        while sum(len(key.skipped) for key in keys) > SKIPPED_OF_GROUP:
            most = max(keys, key=lambda key: len(key.skipped))
            del most.skipped[min(most.skipped)]

    # --- sending: sections 8 and 9 ---------------------------------------------------------------------------------------

    def own(self, me):
        _, leaf = self.public.find(me.device)
        return None if leaf is None else self._sender(me.device, leaf)

    def must_distribute(self, me, at):
        key = self.own(me).key
        return key is None or key.sealed >= MESSAGES or key.index >= MESSAGES or at > key.made + 7 * DAY

    def distribute(self, me, prekeys, at):
        """Stages a new sender key. `prekeys` maps devices to their checked (body, hash). Returns (distribution,
        deliveries); store both states before anything is sent (R55)."""
        if self.init is None:
            raise Refused("R43: locked out until welcomed again")
        own = self.own(me)
        private, seed, chain_key, content_key = random(32), random(32), random(32), random(32)
        first_link = own.generation < 0               # since this device was added, none of its distributions is in the log
        certificate = CertificateBody(self.public.group, me.device, own.generation + 1, at, self.public.epoch,
                                      self.public.head, signing_public(private),
                                      H("sender key commitment", seed, chain_key), first_link).bytes()
        digest = H("sender key certificate", certificate)
        certificate = Certificate(certificate, sign(me.device_private, "sender key certificate", digest))
        key, nonce = distribution_keys(content_key, digest)
        content = SenderKeyContent(seed, chain_key, 0).bytes()
        body = DistributionBody(certificate.bytes(), self.public.epoch, H("content key commitment", content_key),
                                seal(key, nonce, b"", content)).bytes()
        signature = sign(me.device_private, "sender key distribution", H("sender key distribution", body))
        deliveries, chains = self._deliver(me, content_key, prekeys, at)
        key = SenderKey(certificate.bytes(), own.generation + 1, signing_public(private), first_link, seed, chain_key,
                        private=private, made=at)
        self.staged = Staged(body, key, chains)
        distribution = Distribution(body, signature).bytes()
        self.made.append(distribution)
        return distribution, deliveries

    def _deliver(self, me, content_key, prekeys, at):
        context = Context(CONTENT_KEY, self.public.group, self.public.epoch)
        others = [(leaf.account, device) for _, device, leaf in self.public.devices() if device != me.device]
        deliveries, chains = deliver(me, others, context, content_key, prekeys, at)
        return list(deliveries.values()), chains

    def seal(self, me, content, message_id=None):
        """Returns the message, with its id remembered; store the state before it is sent (R90)."""
        return self._seal(me, [(message_id or random(16), content)])

    def seal_run(self, me, contents):
        """The same of several in one entry (9.1)."""
        if not 2 <= len(contents) <= 256:
            raise Refused("R140: a run has 2 to 256 messages")
        return self._seal(me, [(random(16), content) for content in contents])

    def _seal(self, me, contents):
        if not all(1 <= len(content) <= 65519 for _, content in contents):
            raise Refused("content is 1 to 65,519 bytes")
        index, _ = self.public.find(me.device)
        key = self.own(me).key
        if self.init is None or key is None:
            raise Refused("no sender key of this device is in the log")
        padded = [pad(message_id + content) for message_id, content in contents]
        if sum(map(len, padded)) > 256 << 10:
            raise Refused("R140: a run has at most 256 KiB of padded plaintexts")
        if max(key.sealed, key.index) + len(contents) > MESSAGES:
            raise Refused("R66, R145: the sender key is used up, or would be within the run")
        at, link, hedge, ciphertexts, commitments = key.index, self._next_link(self.own(me), key), random(8), [], []
        for plaintext in padded:
            message_key, key.chain_key = message_step(key.chain_key)
            key.index += 1
            key.sealed += 1
            secret, key_commitment, base = message_keys(message_key)
            ciphertexts.append(seal(secret, message_nonce(base, hedge), b"", plaintext))
            commitments.append(key_commitment)
        form, inner = (Message, ciphertexts[0]) if len(contents) == 1 else (Run, ciphertexts)
        message = form(self.public.epoch, index, key.generation, at, link, hedge, inner)
        digest = message.digests(self.public.group, self.public.head, key.certificate_hash, commitments)[-1]
        message.signature = sign(key.private, message.purpose, digest)
        self.sealed.append(Sealed(message.bytes(), digest[:16], contents))
        self.made.append(message.bytes())
        return message.bytes()

    def _next_link(self, own, key):
        """To the last one sealed in this epoch, or the last one in the log, or the first certificate."""
        if self.sealed:
            return self.sealed[-1].link
        return own.link or key.certificate_hash[:16]
