"""Every structure that is signed, hashed or sent, as docs/protocol.md lists it, and its hashes and signatures."""

from codec import (FRAME, Malformed, Struct, array, boolean, bstr, nullable, row, tstr, uint, variant)
from crypto import H, Refused, u32, verify

B16, B32, B64, U32 = bstr(16), bstr(32), bstr(64), uint(32)
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
SKEW = 10 * MINUTE


def device_id(device_key):
    return H("device id", device_key)


# --- 3 identity --------------------------------------------------------------------------------------------------

class ManifestBody(Struct):
    limit = 1216
    fields = dict(account=B32, version=uint(), time=uint(), previous=nullable(B32), devices=array(B32, 1, 32))


class Manifest(Struct):
    limit = 3408
    fields = dict(body=bstr(), account_signature=B64, device_signatures=array(B64, 1, 32))

    def check(self):
        """R10, and of R11 what one manifest shows. Returns (body, hash)."""
        body = ManifestBody.read(self.body)
        digest = H("manifest", self.body)
        if len(set(body.devices)) != len(body.devices):
            raise Refused("manifest lists a device twice")
        if len(body.devices) != len(self.device_signatures):
            raise Refused("manifest has another number of signatures than devices")
        if (body.version == 0) != (body.previous is None):
            raise Refused("manifest version and predecessor do not fit")
        verify(body.account, "manifest", digest, self.account_signature)
        for key, signature in zip(body.devices, self.device_signatures):
            verify(key, "device membership", membership_digest(body.account, key), signature)
        return body, digest


def membership_digest(account, device_key):
    return H("device membership", account, device_key)


class LinkRequest(Struct):
    limit = 1508
    fields = dict(account=B32, prekeys=bstr(), membership=B64, salt=bstr(16))


class SealedRequest(Struct):
    limit = 1532
    fields = dict(ciphertext=bstr())


class ApprovalPayload(Struct):
    fields = dict(request=B32, account_key=nullable(B32), manifests=array(bstr(), 1, 64))


class SafetyNumberCode(Struct):
    limit = 80
    fields = dict(lower=B32, higher=B32)


class PrekeysBody(Struct):
    limit = 1300
    fields = dict(device_key=B32, time=uint(), agreement=B32, kem=bstr(1184))


class Prekeys(Struct):
    limit = 1380
    fields = dict(body=bstr(), signature=B64)

    def check(self, device, now):
        """R12 and R14; R13 is checked where the keys are used. Returns (body, hash)."""
        body = PrekeysBody.read(self.body)
        digest = H("prekeys", self.body)
        verify(body.device_key, "prekeys", digest, self.signature)
        if device_id(body.device_key) != device:
            raise Refused("prekeys of another device")
        if body.time < now - 90 * DAY or body.time > now + SKEW:
            raise Refused("prekeys too old or from the future")
        return body, digest


# --- 4 envelopes -------------------------------------------------------------------------------------------------

class Envelope(Struct):
    fields = dict(ephemeral=B32, kem_ciphertext=bstr(1088), one_time=nullable(U32), prekeys=B32, ciphertext=bstr())


class EnvelopePlaintext(Struct):
    fields = dict(body=bstr(), index=U32, path=array(B32, 0, 32), signature=B64)


class EnvelopeBody(Struct):
    fields = dict(sender_account=B32, sender_device_key=B32, sender_manifest=B32, recipient_account=B32,
                  recipient_device=B32, context=row(uint(8), B32, U32), payload=bstr())


# --- 5 and 6 roster and commits --------------------------------------------------------------------------------------

class Leaf(Struct):
    fields = dict(account=B32, role=uint(8), pinned=nullable(row(B32, uint())), manifest=B32, manifest_version=uint(),
                  device_key=B32, since=U32)


ADD, REMOVE, SET_ROLE = "add", "remove", "set role"
UPDATE, HEAL, RESET, LEAVE = "update devices", "heal", "reset", "leave"
OPERATION_NUMBER = {ADD: 0, REMOVE: 1, SET_ROLE: 2, UPDATE: 3, HEAL: 4, RESET: 5, LEAVE: 6}
_operation = variant({0: (ADD, row(uint(8), bstr())), 1: (REMOVE, row(B32)), 2: (SET_ROLE, row(B32, uint(8))),
                      3: (UPDATE, row(array(bstr(), 1, 64))), 4: (HEAL, row(B32, uint())), 5: (RESET, row()),
                      6: (LEAVE, row(bstr()))})


class LeaveBody(Struct):
    limit = 160
    fields = dict(group=B32, account=B32, device=B32, since=U32, time=uint())


class LeaveRequest(Struct):
    limit = 240
    fields = dict(body=bstr(), signature=B64)

    def digest(self):
        return H("leave request", self.body)


class CommitBody(Struct):
    limit = FRAME - 1024
    fields = dict(group=B32, epoch=U32, previous=B32, last_distribution=uint(), author=B32, commitment=nullable(B32),
                  operations=array(_operation, 1, 1000), roster=B32, unreachable=array(B32), time=uint())

    def items(self):
        items = super().items()
        items[6] = [[OPERATION_NUMBER[name], fields] for name, fields in self.operations]
        return items


class Commit(Struct):
    limit = FRAME - 896
    fields = dict(body=bstr(), confirmation=B32, signature=B64)

    def body_hash(self):
        return H("commit body", self.body)

    def hash(self):
        return H("commit", self.body_hash(), self.confirmation)


# --- 8 and 9 sender keys and messages ----------------------------------------------------------------------------------

class CertificateBody(Struct):
    limit = 256
    fields = dict(group=B32, device=B32, generation=U32, time=uint(), start_epoch=U32, head=B32, signing_key=B32,
                  commitment=B32, first_link=boolean)


class Certificate(Struct):
    limit = 336
    fields = dict(body=bstr(), signature=B64)

    def hash(self):
        return H("sender key certificate", self.body)


class DistributionBody(Struct):
    limit = 1024
    fields = dict(certificate=bstr(), epoch=U32, commitment=B32, ciphertext=bstr())


class Distribution(Struct):
    limit = 1104
    fields = dict(body=bstr(), signature=B64)

    def digest(self):
        return H("sender key distribution", self.body)


class SenderKeyContent(Struct):
    fields = dict(seed=B32, chain_key=B32, index=uint(16))


class Message:
    """Section 9: a fixed layout, no CBOR."""

    def __init__(self, epoch, leaf, generation, index, link, hedge, ciphertext, signature=b""):
        self.epoch, self.leaf, self.generation, self.index = epoch, leaf, generation, index
        self.link, self.hedge, self.ciphertext, self.signature = link, hedge, ciphertext, signature

    @classmethod
    def read(cls, data):
        if not data:
            raise Malformed("empty")
        if data[0] != 1:
            raise Malformed("unknown version")
        if data[1:2] != b"\0":
            raise Malformed("unknown flags")
        if not 120 + 32 <= len(data) <= 120 + 65536:
            raise Malformed("not the length of a message")
        number = lambda a, b: int.from_bytes(data[a:b], "big")
        return cls(number(2, 6), number(6, 10), number(10, 14), number(14, 16), data[16:32], data[32:40], data[40:-64],
                   data[-64:])

    def header(self):
        return b"\x01\0" + u32(self.epoch) + u32(self.leaf) + u32(self.generation) + self.index.to_bytes(2, "big")

    def bytes(self):
        return self.header() + self.link + self.hedge + self.ciphertext + self.signature

    def digest(self, group, head, certificate_hash, key_commitment):
        return H("group message", self.header(), group, head, certificate_hash, key_commitment, self.link, self.hedge,
                 self.ciphertext)

    # What a message alone and a run have in common.

    purpose = "group message"

    def ciphertexts(self):
        return [self.ciphertext]

    def digests(self, group, head, certificate_hash, key_commitments):
        return [self.digest(group, head, certificate_hash, key_commitments[0])]


class Run:
    """Section 9.1: several messages in one entry."""

    purpose = "group message run"

    def __init__(self, epoch, leaf, generation, index, link, hedge, ciphertexts, signature=b""):
        self.epoch, self.leaf, self.generation, self.index = epoch, leaf, generation, index
        self.link, self.hedge, self._ciphertexts, self.signature = link, hedge, ciphertexts, signature

    @classmethod
    def read(cls, data):
        if not data:
            raise Malformed("empty")
        if data[0] != 1:
            raise Malformed("unknown version")
        if data[1:2] != b"\1":
            raise Malformed("unknown flags")
        if not 42 + 64 <= len(data) <= 42 + 256 * 20 + (256 << 10) + 64:
            raise Malformed("not the length of a run")
        number = lambda a, b: int.from_bytes(data[a:b], "big")
        count, rest, ciphertexts = number(40, 42), data[42:-64], []
        if not 2 <= count <= 256 or number(14, 16) + count > 65536:
            raise Malformed("R140: not the number of messages of a run")
        for _ in range(count):
            length = int.from_bytes(rest[:4], "big")
            if len(rest) < 4 + length or not 16 <= length <= 16 + 65536:
                raise Malformed("R140: not the length of a message")
            ciphertexts.append(rest[4:4 + length])
            rest = rest[4 + length:]
        if rest or sum(map(len, ciphertexts)) - 16 * count > 256 << 10:
            raise Malformed("R140: not the length of its messages")
        return cls(number(2, 6), number(6, 10), number(10, 14), number(14, 16), data[16:32], data[32:40], ciphertexts,
                   data[-64:])

    def header(self, i=0):
        index = self.index + i
        return b"\x01\1" + u32(self.epoch) + u32(self.leaf) + u32(self.generation) + index.to_bytes(2, "big")

    def bytes(self):
        messages = b"".join(u32(len(ciphertext)) + ciphertext for ciphertext in self._ciphertexts)
        count = len(self._ciphertexts).to_bytes(2, "big")
        return self.header() + self.link + self.hedge + count + messages + self.signature

    def ciphertexts(self):
        return self._ciphertexts

    def digests(self, group, head, certificate_hash, key_commitments):
        digests, before = [], self.link + bytes(16)
        for i, ciphertext in enumerate(self._ciphertexts):
            before = H("group message in a run", self.header(i), group, head, certificate_hash, key_commitments[i], before,
                       self.hedge, ciphertext)
            digests.append(before)
        return digests


def read_message(data):
    """The body of a message entry."""
    return (Run if data[1:2] == b"\1" else Message).read(data)


# --- 10 and 11 welcome and log ---------------------------------------------------------------------------------------

class WelcomeSender(Struct):
    fields = dict(certificate=bstr(), seed=B32, chain_key=B32, index=uint(16))


class Welcome(Struct):
    fields = dict(head=B32, init=B32, senders=array(WelcomeSender.shape), note=bstr())


# --- 12 repair -----------------------------------------------------------------------------------------------------

class ReceiptBody(Struct):
    limit = 96
    fields = dict(group=B32, epoch=U32, commit=B32, seq=uint())


class Receipt(Struct):
    limit = 176
    fields = dict(body=bstr(), signature=B64)


class ForkProof(Struct):
    limit = 384
    fields = dict(first=bstr(), second=bstr())


_question = variant({
    0: ("sender key", row(nullable(row(U32, B32)), B32)),
    1: ("welcome", array(B32, 0, 1)),
    2: ("initial", array(B32, 0, 1)),
})


class RepairRequestBody(Struct):
    limit = 256
    fields = dict(question=_question, group=B32, epoch=U32, head=B32, asker=B32, since=U32, prekeys=row(B32, uint()),
                  time=uint())

    def items(self):
        names = {"sender key": 0, "welcome": 1, "initial": 2}
        return [[names[self.question[0]], self.question[1]], *super().items()[1:]]


class RepairRequest(Struct):
    limit = 336
    fields = dict(body=bstr(), signature=B64)


class SenderKeyAnswer(Struct):
    limit = 640
    fields = dict(head=B32, seq=uint(), certificate=bstr(), seed=B32, chain_key=B32,
                  link=nullable(bstr(16)), index=uint(16))


class WelcomeAnswer(Struct):
    fields = dict(head=B32, seq=uint(), init=B32, yours=nullable(bstr()), senders=array(WelcomeSender.shape))


COMMIT, DISTRIBUTION, MESSAGE, TRIMMED = range(4)


class Entry(Struct):
    fields = dict(group=B32, seq=uint(), kind=uint(8), delivery=nullable(bstr()), body=bstr())


# --- 13 content: what the `conclave` command puts into a message and a note --------------------------------------------

class Text(Struct):
    fields = dict(kind=uint(8), time=uint(), text=tstr)


class Note(Struct):
    fields = dict(label=tstr)


# --- 12 the socket ---------------------------------------------------------------------------------------------------

class Login(Struct):
    fields = dict(account=B32, device_key=B32, signature=B64)


_cursor = row(B32, uint())

REQUEST_SHAPES = {
    0: ("register", row(tstr, bstr(), bstr(), Login.shape, optional=[tstr])),
    1: ("login", row(Login.shape)),
    2: ("lookup", row(tstr)),
    3: ("names", row(array(B32, 0, 256))),
    4: ("prekeys", row(array(B32, 0, 256))),
    5: ("publish prekeys", row(bstr())),
    6: ("groups", row()),
    7: ("commit", row(bstr(), array(bstr()), array(row(B32, bstr())), optional=[B16])),
    8: ("distribute", row(B32, bstr(), array(bstr()), optional=[B16])),
    9: ("post", row(B32, bstr())),
    10: ("fetch", row(B32, uint(), uint(32))),
    11: ("fetch commits", row(B32, U32, uint(32))),
    12: ("subscribe", row(array(_cursor, 0, 4096))),
    13: ("acknowledge", row(_cursor)),
    14: ("send letter", row(B32, B32, uint(), bstr())),
    15: ("fetch letters", row(uint())),
    16: ("forget letters", row(uint())),
    17: ("publish one-time", row(array(row(U32, B32), 0, 200), boolean)),
    18: ("receipts", row(B32, U32)),
    25: ("stage part", row(B16, U32, array(row(B32, bstr()), 0, 4096))),
}
REQUESTS = {name: number for number, (name, _) in REQUEST_SHAPES.items()}
CLIENT_FRAME = row(U32, variant(REQUEST_SHAPES))

_refusal = variant({
    0: ("unknown version", row(uint(), uint())),
    1: ("malformed", row(tstr)),
    2: ("too large", row(tstr, uint())),
    3: ("not identified", row()),
    4: ("already identified", row()),
    5: ("login failed", row(tstr)),
    6: ("not registered", row()),
    7: ("name taken", row()),
    8: ("already registered", row(tstr)),
    9: ("invalid account", row(tstr)),
    10: ("unknown name", row()),
    11: ("not member", row()),
    12: ("epoch stale", row(U32, uint())),
    13: ("head moved", row(uint())),
    14: ("invalid commit", row(tstr)),
    15: ("wrong deliveries", row(uint(), uint())),
    16: ("invalid entry", row(tstr)),
    18: ("rate limited", row(tstr, uint())),
    19: ("unavailable", row()),
    20: ("mailbox full", row()),
    26: ("registration closed", row()),
    27: ("invite needed", row()),
    28: ("invite invalid", row()),
    29: ("invite expired", row()),
    30: ("invite used up", row()),
    31: ("device revoked", row()),
    32: ("manifest conflict", row(uint())),
    33: ("part out of order", row(U32)),
    34: ("unknown upload", row()),
})

_reply = variant({
    0: ("done", row()),
    1: ("accepted", row(B32, uint())),
    2: ("account", row(bstr())),
    3: ("names", row(array(nullable(tstr)))),
    4: ("prekeys", row(array(nullable(bstr())), optional=[array(nullable(row(U32, B32)))])),
    5: ("groups", row(array(row(B32, uint(), nullable(uint()), uint(), uint())))),
    6: ("page", row(array(Entry.shape), uint())),
    7: ("refused", row(_refusal)),
    8: ("one-time left", row(U32)),
    9: ("letters", row(array(row(uint(), uint(), B32, B32, bstr())), boolean)),
    10: ("receipts", row(B32, array(bstr()))),
})

SERVER_FRAME = variant({
    0: ("hello", row(tstr, B32)),
    1: ("reply", row(U32, _reply)),
    2: ("push", row(Entry.shape)),
    3: ("letters wait", row()),
})
