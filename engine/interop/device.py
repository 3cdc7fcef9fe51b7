"""An account with one device, its prekeys, and the file that keeps them (docs/protocol.md, section 3)."""

import json
import os
import time
from dataclasses import dataclass, field, fields, is_dataclass

from codec import Struct
from crypto import (H, agreement_public, kem_public, random, sign, signing_public)
from linking import membership
from pairwise import Chain, Context, Pairwise
from structures import Login, Manifest, ManifestBody, Prekeys, PrekeysBody, device_id


def now():
    return int(time.time() * 1000)


@dataclass
class PrekeyPrivate:
    agreement: bytes
    kem: bytes


@dataclass
class Device:
    account_private: bytes
    device_private: bytes
    manifest: bytes
    prekeys: dict = field(default_factory=dict)        # hash -> PrekeyPrivate
    pairwise: Pairwise = field(default_factory=Pairwise)
    one_time: dict = field(default_factory=dict)       # id -> private half; this client opens with them and publishes none

    @classmethod
    def create(cls, at):
        account_private, device_private = random(32), random(32)
        account, device_key = signing_public(account_private), signing_public(device_private)
        body = ManifestBody(account, 0, at, None, [device_key]).bytes()
        digest = H("manifest", body)
        manifest = Manifest(body, sign(account_private, "manifest", digest), [membership(account, device_private)])
        manifest.check()
        return cls(account_private, device_private, manifest.bytes())

    @property
    def account(self):
        return signing_public(self.account_private)

    @property
    def device_key(self):
        return signing_public(self.device_private)

    @property
    def device(self):
        return device_id(self.device_key)

    @property
    def manifest_hash(self):
        return H("manifest", Manifest.read(self.manifest).body)

    def make_prekeys(self, at):
        private = PrekeyPrivate(random(32), random(64))
        body = PrekeysBody(self.device_key, at, agreement_public(private.agreement), kem_public(private.kem)).bytes()
        digest = H("prekeys", body)
        self.prekeys[digest] = private
        return Prekeys(body, sign(self.device_private, "prekeys", digest)).bytes()

    def login(self, nonce, server_name):
        digest = H("login", nonce, self.account, self.device_key, server_name.encode())
        return Login(self.account, self.device_key, sign(self.device_private, "login", digest))


# --- the file -----------------------------------------------------------------------------------------------------------

def _to_json(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {"map": [[_to_json(k), _to_json(v)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_to_json(v) for v in value]}
    if isinstance(value, list):
        return [_to_json(v) for v in value]
    if isinstance(value, Struct):
        return {"struct": type(value).__name__, "hex": value.bytes().hex()}
    if is_dataclass(value):
        return {"is": type(value).__name__, "with": {f.name: _to_json(getattr(value, f.name)) for f in fields(value)}}
    return value


def _from_json(value, kinds):
    if isinstance(value, list):
        return [_from_json(v, kinds) for v in value]
    if not isinstance(value, dict):
        return value
    if "struct" in value:
        return kinds[value["struct"]].read(bytes.fromhex(value["hex"]))
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    if "map" in value:
        return {_from_json(k, kinds): _from_json(v, kinds) for k, v in value["map"]}
    if "tuple" in value:
        return tuple(_from_json(v, kinds) for v in value["tuple"])
    return kinds[value["is"]](**{k: _from_json(v, kinds) for k, v in value["with"].items()})


def save(path, value):
    """Replaces the file in one step (R90). Not encrypted: this client is for tests, not for secrets."""
    temporary = path + ".new"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(_to_json(value), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path, *kinds):
    kinds = {kind.__name__: kind for kind in (Device, PrekeyPrivate, Pairwise, Chain, Context, *kinds)}
    with open(path) as file:
        return _from_json(json.load(file), kinds)
