"""Countersignatures and linking (docs/protocol.md, sections 3.1 and 3.5)."""

from dataclasses import dataclass

from crypto import H, KDF, Refused, ZEROS, open_, seal, sign, signing_public, split, verify
from pairwise import LINK, Context, Pairwise, open_initial_from_anybody
from structures import (DAY, SKEW, ApprovalPayload, Envelope, LinkRequest, Manifest, Prekeys, PrekeysBody, SealedRequest,
                        device_id, membership_digest)

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def membership(account, device_private):
    """A device's word that it belongs to the account, for life."""
    return sign(device_private, "device membership", membership_digest(account, signing_public(device_private)))


# --- the code: 100 bits, as 13 bytes of which the last four bits are zero --------------------------------------------------

def code_of(request):
    first = H("link code", request)[:13]
    return first[:12] + bytes([first[12] & 0xF0])


def text_of(code):
    number = int.from_bytes(code, "big") >> 4
    symbols = "".join(ALPHABET[number >> 5 * i & 31] for i in reversed(range(20)))
    return "-".join(symbols[i:i + 5] for i in range(0, 20, 5))


def parse(typed):
    symbols = "".join(typed.upper().replace("-", "").split()).translate(str.maketrans("ILO", "110"))
    if len(symbols) != 20 or any(symbol not in ALPHABET for symbol in symbols):
        raise Refused("not a link code")
    number = 0
    for symbol in symbols:
        number = number << 5 | ALPHABET.index(symbol)
    return (number << 4).to_bytes(13, "big")


# --- the request -------------------------------------------------------------------------------------------------------

def request_keys(code):
    return split(KDF("link request", 56, code), 32, 24)


def seal_request(request):
    return SealedRequest(seal(*request_keys(code_of(request)), b"", request)).bytes()


@dataclass
class Opened:
    request: LinkRequest

    def check(self, account, at):
        """R18, on the approving side; returns the new device's key."""
        if self.request.account != account:
            raise Refused("R18: asks for another account")
        body = PrekeysBody.read(Prekeys.read(self.request.prekeys).body)
        Prekeys.read(self.request.prekeys).check(device_id(body.device_key), at)
        verify(body.device_key, "device membership", membership_digest(account, body.device_key),
               self.request.membership)
        if not at - DAY - SKEW <= body.time <= at + SKEW:
            raise Refused("R18: too old or from the future")
        return body.device_key


def open_request(sealed, code):
    plain = open_(*request_keys(code), b"", SealedRequest.read(sealed).ciphertext)
    if code_of(plain) != code:
        raise Refused("R18: not the request that the code stands for")
    return Opened(LinkRequest.read(plain))


# --- the new device's side ---------------------------------------------------------------------------------------------

@dataclass
class Linking:
    device_private: bytes
    request: bytes
    prekeys: dict                       # hash -> PrekeyPrivate: those of the request alone

    def __post_init__(self):
        self.account = LinkRequest.read(self.request).account
        self.device_key = signing_public(self.device_private)
        self.device = device_id(self.device_key)
        self.pairwise = Pairwise()

    def complete(self, approval):
        """R19. Returns (manifests, account key or None)."""
        context = Context(LINK, ZEROS, 0)
        sender, payload = open_initial_from_anybody(self, Envelope.read(approval), context)
        payload = ApprovalPayload.read(payload)
        if payload.request != H("link code", self.request):
            raise Refused("R19: for another request")
        before = None
        for data in payload.manifests:
            body, digest = Manifest.read(data).check()
            if body.account != self.account:
                raise Refused("R19: of another account")
            if before is not None and (body.version, body.previous) != before:
                raise Refused("R19: manifests that do not follow each other")
            before = (body.version + 1, digest)
        if self.device_key not in body.devices:
            raise Refused("R19: does not list this device")
        if sender not in map(device_id, body.devices):
            raise Refused("R19: not from a device of the account")
        if payload.account_key is not None and signing_public(payload.account_key) != self.account:
            raise Refused("R19: not the account's key")
        return payload.manifests, payload.account_key
