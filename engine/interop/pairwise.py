"""Deliveries from one device to another (docs/protocol.md, section 4)."""

from dataclasses import dataclass, field

from codec import Malformed
from crypto import (H, KDF, Refused, ZEROS, agree, agreement_public, decapsulate, encapsulate, open_, random, seal, sign,
                    split, u16, u32, verify, xor)
from padding import pad, unpad
from roster import tree
from structures import DAY, Envelope, EnvelopeBody, EnvelopePlaintext, device_id

COMMIT_SECRET, CONTENT_KEY, WELCOME, LINK = range(4)
WRAP, INITIAL, CONTINUED = b"\x01\x00", b"\x01\x01", b"\x01\x02"
STEPS = 100
COMMITMENT = {COMMIT_SECRET: "commit secret commitment", CONTENT_KEY: "content key commitment"}


@dataclass
class Context:
    purpose: int
    group: bytes
    epoch: int

    def row(self):
        return [self.purpose, self.group, self.epoch]

    def bytes(self):
        return bytes([self.purpose]) + self.group + u32(self.epoch)


@dataclass
class Chain:
    """4.3. The sending side has no skipped steps; the receiving side keeps them until they are used."""
    id: bytes
    key: bytes
    index: int = 0
    made: int = 0
    skipped: dict = field(default_factory=dict)

    def next(self):
        step, self.key = split(KDF("pairwise chain", 64, self.key), 32, 32)
        self.index += 1
        return step

    def peek(self, index):
        """The step of an index without consuming it."""
        if index in self.skipped:
            return self.skipped[index]
        if index < self.index or index >= STEPS:
            raise Refused("R52: used, forgotten or too far index")
        key = self.key
        for _ in range(index - self.index + 1):
            step, key = split(KDF("pairwise chain", 64, key), 32, 32)
        return step

    def consume(self, index):
        while self.index <= index:
            at = self.index
            self.skipped[at] = self.next()
        del self.skipped[index]


@dataclass
class Pairwise:
    """All of a device's chains, each of one group and one other device (R58), and the transcripts that it opened (R54)."""
    sending: dict = field(default_factory=dict)         # (group, recipient) -> Chain
    receiving: dict = field(default_factory=dict)       # (group, sender) -> [Chain], the newest two
    transcripts: list = field(default_factory=list)

    def step_to(self, group, recipient, now):
        """(chain id, index, step), or None if an initial envelope is due."""
        chain = self.sending.get((group, recipient))
        if chain is None or chain.index >= STEPS or now > chain.made + 7 * DAY:
            return None
        index = chain.index
        return chain.id, index, chain.next()

    def opened(self, group, chains):
        """The log of the group has shown the entry whose envelopes open these chains to devices (R58)."""
        self.sending.update({(group, device): chain for device, chain in chains.items()})

    def remember(self, group, sender, chain):
        self.receiving[group, sender] = [chain] + self.receiving.get((group, sender), [])[:1]

    def forget(self, group, device=None):
        """Erases the chains to and from a device that left the group; without one, all of the group."""
        for chains in (self.sending, self.receiving):
            for key in [key for key in chains if key[0] == group and device in (None, key[1])]:
                del chains[key]


# --- what is derived ---------------------------------------------------------------------------------------------------

def transcript(ephemeral, kem_ciphertext, prekeys, account, device, one_time_key=ZEROS):
    return H("initial envelope transcript", b"\x01", ephemeral, kem_ciphertext, prekeys, account, device, one_time_key)


def envelope_keys(agreement, shared, th, one_time_agreement=b""):
    """key, nonce, chain key, chain id"""
    return split(KDF("initial envelope", 92, agreement, one_time_agreement, shared, th), 32, 24, 32, 4)


def envelope_leaf(th, body):
    return H("envelope leaf", th, H("envelope inner", body))


def fold(leaf, index, path):
    for sibling in path:
        leaf = H("envelope node", sibling, leaf) if index & 1 else H("envelope node", leaf, sibling)
        index >>= 1
    if index:
        raise Refused("R50: index does not fit the path")
    return leaf


def path_of(leaves, index):
    level = list(leaves)
    while len(level) & (len(level) - 1):
        level.append(ZEROS)
    path = []
    while len(level) > 1:
        path.append(level[index ^ 1])
        level = [H("envelope node", level[i], level[i + 1]) for i in range(0, len(level), 2)]
        index >>= 1
    return path


def wrap_pad(step, context, sender, recipient, commitment):
    return KDF("wrap", 32, step, context.bytes(), sender, recipient, commitment)


def continued_ad(chain_id, index, context, sender, recipient):
    return CONTINUED + chain_id + u16(index) + context.bytes() + sender + recipient


# --- sending ---------------------------------------------------------------------------------------------------------

def seal_initial(me, recipients, now):
    """`recipients`: list of (account, device, prekeys body, prekeys hash, context, payload). One signature for all.

    Returns the deliveries in that order, and the chain that each opens, by device. A chain is not to be used before the
    log shows the entry with its envelope: what the server refuses never reaches the recipient.
    """
    private = random(32)
    ephemeral = agreement_public(private)
    made = []
    for account, device, prekeys, prekeys_hash, context, payload in recipients:
        kem_ciphertext, shared = encapsulate(prekeys.kem)
        th = transcript(ephemeral, kem_ciphertext, prekeys_hash, account, device)
        keys = envelope_keys(agree(private, prekeys.agreement), shared, th)
        body = EnvelopeBody(me.account, me.device_key, me.manifest_hash, account, device, context.row(), payload).bytes()
        made.append((kem_ciphertext, prekeys_hash, th, keys, body, device))
    leaves = [envelope_leaf(th, body) for _, _, th, _, body, _ in made]
    signature = sign(me.device_private, "envelope", tree(leaves, "envelope node"))
    deliveries, chains = [], {}
    for index, (kem_ciphertext, prekeys_hash, th, (key, nonce, chain_key, chain_id), body, device) in enumerate(made):
        plaintext = pad(EnvelopePlaintext(body, index, path_of(leaves, index), signature).bytes())
        envelope = Envelope(ephemeral, kem_ciphertext, None, prekeys_hash, seal(key, nonce, th, plaintext))
        chains[device] = Chain(chain_id, chain_key, 0, now)
        deliveries.append(INITIAL + envelope.bytes())
    return deliveries, chains


def seal_wrap(me, recipient, context, secret, at):
    chain_id, index, step = at
    commitment = H(COMMITMENT[context.purpose], secret)
    masked = xor(secret, wrap_pad(step, context, me.device, recipient, commitment))
    return WRAP + chain_id + u16(index) + masked


# --- opening -----------------------------------------------------------------------------------------------------------

def read_delivery(delivery):
    """(form, envelope) or (form, (chain id, index, rest))."""
    if not delivery:
        raise Malformed("no delivery: this device could not be reached")
    if delivery[0] != 1:
        raise Malformed("unknown version")
    form, rest = delivery[:2], delivery[2:]
    if form == INITIAL:
        return form, Envelope.read(rest)
    if form == WRAP and len(delivery) == 40 or form == CONTINUED and len(delivery) >= 8 + 24 + 16 + 32:
        return form, (rest[:4], int.from_bytes(rest[4:6], "big"), rest[6:])
    raise Malformed("unknown form of delivery, or not its length")


def open_delivery(me, delivery, sender, context, commitment=None):
    """The payload of a delivery from this sender device for this context, or Refused: then nothing is consumed.

    With a commitment the payload is a secret that must fit it (R56).
    """
    def fits(payload):
        if commitment is not None and (len(payload) != 32 or H(COMMITMENT[context.purpose], payload) != commitment):
            raise Refused("R56: secret does not fit its commitment")

    form, content = read_delivery(delivery)
    if form == INITIAL:
        th, chain, payload = _open_initial(me, content, sender, context)
        fits(payload)
        if content.one_time is None:
            me.pairwise.transcripts.append(th)
        else:                                               # R59
            del me.one_time[content.one_time]
        me.pairwise.remember(context.group, sender, chain)
        return payload
    chain_id, index, rest = content
    problem = Refused("no such chain")
    for chain in me.pairwise.receiving.get((context.group, sender), []):
        if chain.id != chain_id:
            continue
        try:
            step = chain.peek(index)
            if form == WRAP:
                if commitment is None:
                    raise Refused("not a wrap of a secret")
                payload = xor(rest, wrap_pad(step, context, sender, me.device, commitment))
            else:
                ad = continued_ad(chain_id, index, context, sender, me.device)
                payload = unpad(open_(KDF("continued envelope", 32, step), rest[:24], ad, rest[24:]))
            fits(payload)
        except Refused as refused:
            problem = refused
            continue
        chain.consume(index)
        return payload
    raise problem


def _open_initial(me, envelope, sender, context):
    th, chain, found, payload = _open(me, envelope, context)
    if found != sender:
        raise Refused("R51: from another device than the entry's")
    return th, chain, payload


def open_initial_from_anybody(me, envelope, context):
    """(sender, payload) of an envelope that hangs on no log entry, so that its content decides who may send it."""
    _, _, sender, payload = _open(me, envelope, context)
    return sender, payload


def _open(me, envelope, context):
    private = me.prekeys.get(envelope.prekeys)
    if private is None:
        raise Refused("R50: not to prekeys of this device")
    one_time_key, one_time_agreement = ZEROS, b""
    if envelope.one_time is not None:
        one_time = me.one_time.get(envelope.one_time)
        if one_time is None:
            raise Refused("R59: not to a one-time prekey that this device has")
        one_time_key, one_time_agreement = agreement_public(one_time), agree(one_time, envelope.ephemeral)
    th = transcript(envelope.ephemeral, envelope.kem_ciphertext, envelope.prekeys, me.account, me.device, one_time_key)
    if th in me.pairwise.transcripts:
        raise Refused("R54: envelope opened before")
    agreement = agree(private.agreement, envelope.ephemeral)
    shared = decapsulate(private.kem, envelope.kem_ciphertext)
    key, nonce, chain_key, chain_id = envelope_keys(agreement, shared, th, one_time_agreement)
    plaintext = EnvelopePlaintext.read(unpad(open_(key, nonce, th, envelope.ciphertext)))
    body = EnvelopeBody.read(plaintext.body)
    if (body.recipient_account, body.recipient_device) != (me.account, me.device):
        raise Refused("R50: for somebody else")
    root = fold(envelope_leaf(th, plaintext.body), plaintext.index, plaintext.path)
    verify(body.sender_device_key, "envelope", root, plaintext.signature)
    if body.context != context.row():
        raise Refused("R51: for another context")
    return th, Chain(chain_id, chain_key), device_id(body.sender_device_key), body.payload
