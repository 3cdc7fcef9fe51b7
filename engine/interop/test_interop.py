#!/usr/bin/env python3
"""Holds this implementation against the vectors, against itself (test_parties.py), and against the programs where they
are built.

CONCLAVE_BIN_DIR names the directory of `conclave` and `conclave-server` (default: target/debug of this repository). What
is skipped is listed at the end. Ends by itself after 110 seconds, and stops what it started.
"""

import copy
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import linking
import pairwise
import structures as st
from authoring import stage
from client import Client, text_of
from codec import Malformed, read_versioned, versioned
from connection import ServerRefused
from crypto import (H, KDF, ML_KEM_768, Refused, agree, agreement_public, decapsulate, kem_public, open_, seal, sign,
                    signing_public, split, verify, xor)
from device import Device, PrekeyPrivate, now
from group import (Group, distribution_keys, epoch_secrets, message_keys, message_nonce, message_step,
                   mix_sender)
from padding import pad, unpad
from roster import Public, leaf_hash, roster_hash, tree
from rules import Rules
from structures import DAY, MINUTE

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "testdata" / "vectors"
BINARIES = Path(os.environ.get("CONCLAVE_BIN_DIR", HERE.parent.parent / "target" / "debug")).resolve()

LIMIT = 110         # seconds
# The programs get what they need on their command lines.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CONCLAVE_")}

x = bytes.fromhex


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())["vectors"]


def diagnostic(text):
    """CBOR diagnostic notation of what the protocol uses: JSON with h'..' for bytes."""
    def of(item):
        if isinstance(item, list):
            return [of(i) for i in item]
        return x(item[4:]) if isinstance(item, str) and item.startswith("hex:") else item
    return of(json.loads(re.sub(r"h'([0-9a-f]*)'", r'"hex:\1"', text)))


class Vectors(unittest.TestCase):
    """One test for each file, in the order in which the document defines the structures."""

    def check(self, vector, **found):
        """Compares what was computed with the vector's values of the same names."""
        for name, value in found.items():
            self.assertEqual(value.hex() if isinstance(value, bytes) else value, vector[name], name)

    def test_every_file_has_a_test(self):
        for file in VECTORS.glob("*.json"):
            self.assertTrue(hasattr(self, f"test_{file.stem}"), f"no test for {file.name}")

    def test_contexts(self):
        for v in load("contexts"):
            self.check(v, hash=H(v["context"].removeprefix("conclave v1 "), x(v["input"])))

    def test_negative(self):
        """Which of several faults is reported first is not for the document to say; versions are."""
        readers = {
            "manifest": lambda data: st.Manifest.read(data).check(),
            "prekeys": lambda data: st.PrekeysBody.read(st.Prekeys.read(data).body),
            "certificate": lambda data: st.CertificateBody.read(st.Certificate.read(data).body),
            "distribution": lambda data: st.DistributionBody.read(st.Distribution.read(data).body),
            "commit": lambda data: st.CommitBody.read(st.Commit.read(data).body),
            "client frame": lambda data: st.CLIENT_FRAME(read_versioned(data)),
            "server frame": lambda data: st.SERVER_FRAME(read_versioned(data)),
            "roster leaf": st.Leaf.read,
            "delivery": pairwise.read_delivery,
            "message": st.Message.read,
            "run": st.Run.read,
        }
        for v in load("negative"):
            with self.subTest(structure=v["structure"], why=v["why"]):
                read = readers[v["structure"]]
                if v["expect"] == "ok":
                    read(x(v["bytes"]))
                    continue
                with self.assertRaises((Malformed, Refused)) as caught:
                    read(x(v["bytes"]))
                self.assertEqual("unknown version" in str(caught.exception), v["expect"] == "UnknownVersion")

    def test_device_ids(self):
        for v in load("device_ids"):
            self.check(v, device_key=signing_public(x(v["seed"])), device_id=st.device_id(x(v["device_key"])))

    def test_manifest(self):
        before = None
        for v in load("manifest"):
            keys = [signing_public(x(seed)) for seed in v["device_seeds"]]
            body = st.ManifestBody(signing_public(x(v["account_seed"])), v["version"], v["time"], before, keys).bytes()
            digest = H("manifest", body)
            manifest = st.Manifest(body, sign(x(v["account_seed"]), "manifest", digest),
                                   [linking.membership(x(v["account"]), x(seed)) for seed in v["device_seeds"]])
            digests = [st.membership_digest(x(v["account"]), key).hex() for key in keys]
            self.check(v, body=body, hash=digest, manifest=manifest.bytes(), membership_digests=digests)
            st.Manifest.read(x(v["manifest"])).check()
            before = digest

    def test_linking(self):
        for v in load("linking"):
            account, device_private = signing_public(x(v["account_seed"])), x(v["device_seed"])
            member = linking.membership(account, device_private)
            request = st.LinkRequest(account, x(v["prekeys"]), member, x(v["salt"])).bytes()
            code = linking.code_of(request)
            key, nonce = linking.request_keys(code)
            self.check(v, account=account, membership=member, request=request, request_hash=H("link code", request),
                       code=code, code_text=linking.text_of(code), key=key, nonce=nonce,
                       sealed_request=linking.seal_request(request))
            for typed in (v["code_text"], v["code_text"].lower().replace("-", " "), v["code_text"].replace("0", "O")):
                self.assertEqual(linking.parse(typed), code)
            for wrong in (v["code_text"][:-1], v["code_text"] + "0", "U" + v["code_text"][1:]):
                with self.assertRaises(Refused):
                    linking.parse(wrong)
            other = bytes(12) + b"\x10"
            with self.assertRaises(Refused):
                linking.open_request(x(v["sealed_request"]), other)
            # A request under this code that is not the one it stands for.
            forged = st.LinkRequest(account, x(v["prekeys"]), member, bytes(16)).bytes()
            with self.assertRaises(Refused):
                linking.open_request(st.SealedRequest(seal(key, nonce, b"", forged)).bytes(), code)
            linking.open_request(x(v["sealed_request"]), code).check(account, v["time"])
            with self.assertRaises(Refused):
                linking.open_request(x(v["sealed_request"]), code).check(signing_public(bytes(32)), v["time"])

            prekeys_hash = H("prekeys", st.Prekeys.read(x(v["prekeys"])).body)
            private = {prekeys_hash: PrekeyPrivate(x(v["agreement_private"]), x(v["kem_seed"]))}
            held = linking.Linking(device_private, request, private)
            manifests, account_key = held.complete(x(v["approval"]))
            self.assertEqual([m.hex() for m in manifests], v["manifests"])
            self.assertEqual(account_key, x(v["account_seed"]) if v["share_account_key"] else None)
            payload = st.ApprovalPayload(H("link code", request), account_key, manifests).bytes()
            self.check(v, payload=payload)
            stranger = linking.Linking(device_private, forged, private)
            with self.assertRaises(Refused):
                stranger.complete(x(v["approval"]))

    def test_safety_number(self):
        for v in load("safety_number"):
            lower, higher = sorted((x(v["ours"]), x(v["theirs"])))
            wide = KDF("safety number", 60, lower, higher)
            groups = [int.from_bytes(wide[i:i + 5], "big") % 100_000 for i in range(0, 60, 5)]
            self.check(v, wide=wide, number=" ".join(f"{group:05}" for group in groups),
                       qr=st.SafetyNumberCode(lower, higher).bytes())

    def test_backup(self):
        """R92, R93. Nobody but its own device opens a backup; this follows the layout all the same."""
        for v in load("backup"):
            key, nonce, commitment = split(KDF("backup", 88, x(v["backup_key"]), x(v["salt"])), 32, 24, 32)
            device = st.device_id(signing_public(x(v["device_seed"])))
            identity = [x(v["account_seed"]), x(v["device_seed"]), device, [x(v["manifest"])]]
            content = versioned([identity, [x(v["group"])], x(v["history"])])
            ciphertext = seal(key, nonce, b"", pad(content))
            self.check(v, key=key, nonce=nonce, commitment=commitment, content=content,
                       backup=versioned([x(v["salt"]), commitment, ciphertext]))
            self.assertEqual(unpad(open_(key, nonce, b"", ciphertext)), content)

    def test_prekeys(self):
        for v in load("prekeys"):
            agreement, kem = agreement_public(x(v["agreement_private"])), kem_public(x(v["kem_seed"]))
            self.check(v, agreement_key=agreement, kem_key=kem)
            body = st.PrekeysBody(signing_public(x(v["device_seed"])), v["time"], agreement, kem).bytes()
            digest = H("prekeys", body)
            prekeys = st.Prekeys(body, sign(x(v["device_seed"]), "prekeys", digest)).bytes()
            self.check(v, body=body, hash=digest, prekeys=prekeys)
            st.Prekeys.read(prekeys).check(st.device_id(x(v["device_key"])), v["time"])

    def test_padding(self):
        for v in load("padding"):
            self.check(v, padded=pad(x(v["plaintext"])), plaintext=unpad(x(v["padded"])))
            for wrong in (x(v["padded"]) + b"\0", x(v["padded"])[:-1] + b"\1", bytes(len(v["padded"]) // 2)):
                with self.assertRaises(Refused):
                    unpad(wrong)

    def test_initial_envelope(self):
        for v in load("initial_envelope"):
            context = pairwise.Context(v["purpose"], x(v["group"]), v["epoch"])
            ephemeral = agreement_public(x(v["ephemeral_private"]))
            self.check(v, ephemeral=ephemeral)
            leaves = []
            for r in v["recipients"]:
                prekeys = st.PrekeysBody.read(st.Prekeys.read(x(r["prekeys"])).body)
                prekeys_hash = H("prekeys", st.Prekeys.read(x(r["prekeys"])).body)
                shared, kem_ciphertext = ML_KEM_768._encaps_internal(prekeys.kem, x(r["encapsulation_randomness"]))
                one_time, one_time_key, one_time_dh = r["one_time"], bytes(32), b""
                if one_time is not None:
                    one_time_key = agreement_public(x(one_time["private"]))
                    one_time_dh = agree(x(v["ephemeral_private"]), one_time_key)
                    self.check(one_time, key=one_time_key, dh=one_time_dh)
                th = pairwise.transcript(ephemeral, kem_ciphertext, prekeys_hash, x(r["account"]), x(r["device"]),
                                         one_time_key)
                dh = agree(x(v["ephemeral_private"]), prekeys.agreement)
                key, nonce, chain_key, chain_id = pairwise.envelope_keys(dh, shared, th, one_time_dh)
                body = st.EnvelopeBody(x(v["sender_account"]), x(v["sender_device_key"]), x(v["sender_manifest"]),
                                       x(r["account"]), x(r["device"]), context.row(), x(r["payload"])).bytes()
                leaf = pairwise.envelope_leaf(th, body)
                leaves.append(leaf)
                self.check(r, prekeys_hash=prekeys_hash, kem_ciphertext=kem_ciphertext, ss=shared, th=th, dh=dh, key=key,
                           nonce=nonce, chain_key=chain_key, chain_id=chain_id, body=body,
                           inner_hash=H("envelope inner", body), leaf=leaf)
                self.assertEqual(decapsulate(x(r["kem_seed"]), kem_ciphertext), shared)
            root = tree(leaves, "envelope node")
            signature = sign(x(v["sender_device_seed"]), "envelope", root)
            self.check(v, root=root, signature=signature)
            for index, r in enumerate(v["recipients"]):
                path = pairwise.path_of(leaves, index)
                plaintext = st.EnvelopePlaintext(x(r["body"]), index, path, signature).bytes()
                ciphertext = seal(x(r["key"]), x(r["nonce"]), x(r["th"]), pad(plaintext))
                one_time = None if r["one_time"] is None else r["one_time"]["id"]
                envelope = st.Envelope(ephemeral, x(r["kem_ciphertext"]), one_time, x(r["prekeys_hash"]),
                                       ciphertext).bytes()
                self.check(r, index=index, path=[p.hex() for p in path], plaintext=plaintext, padded=pad(plaintext),
                           ciphertext=ciphertext, envelope=envelope, delivery=pairwise.INITIAL + envelope)
                self.open_initial(v, r, context)

    def open_initial(self, v, r, context):
        class Me:
            account, device = x(r["account"]), x(r["device"])
            prekeys = {x(r["prekeys_hash"]): PrekeyPrivate(x(r["agreement_private"]), x(r["kem_seed"]))}
            one_time = {} if r["one_time"] is None else {r["one_time"]["id"]: x(r["one_time"]["private"])}
            pairwise = None
        Me.pairwise = pairwise.Pairwise()
        held = dict(Me.one_time)
        sender, delivery = st.device_id(x(v["sender_device_key"])), x(r["delivery"])
        other = pairwise.Context(context.purpose, context.group, context.epoch + 1)
        for wrong in ((bytes(32), context), (sender, other)):
            with self.assertRaises(Refused):
                pairwise.open_delivery(Me, delivery, *wrong)
        self.assertEqual(Me.one_time, held)                 # what is refused consumes nothing
        self.assertEqual(pairwise.open_delivery(Me, delivery, sender, context), x(r["payload"]))
        self.assertEqual(Me.one_time, {})                   # R59
        with self.assertRaises(Refused):                    # R54, R59
            pairwise.open_delivery(Me, delivery, sender, context)

    def chain_step(self, v):
        chain = pairwise.Chain(x(v["chain_id"]), x(v["chain_key"]))
        step = chain.next()
        self.check(v, step=step, next_chain_key=chain.key)
        return step, pairwise.Context(v["purpose"], x(v["group"]), v["epoch"])

    def test_wrap(self):
        for v in load("wrap"):
            step, context = self.chain_step(v)
            commitment = H(pairwise.COMMITMENT[v["purpose"]], x(v["secret"]))
            mask = pairwise.wrap_pad(step, context, x(v["sender"]), x(v["recipient"]), commitment)
            self.check(v, commitment=commitment, pad=mask, masked=xor(mask, x(v["secret"])))

            class Me:
                device = x(v["sender"])
            wrap = pairwise.seal_wrap(Me, x(v["recipient"]), context, x(v["secret"]),
                                      (x(v["chain_id"]), v["index"], step))
            self.check(v, wrap=wrap)
            self.assertEqual(pairwise.read_delivery(wrap), (pairwise.WRAP, (x(v["chain_id"]), v["index"],
                                                                           x(v["masked"]))))

    def test_continued_envelope(self):
        for v in load("continued_envelope"):
            step, context = self.chain_step(v)
            key = KDF("continued envelope", 32, step)
            ad = pairwise.continued_ad(x(v["chain_id"]), v["index"], context, x(v["sender"]), x(v["recipient"]))
            ciphertext = seal(key, x(v["nonce"]), ad, pad(x(v["payload"])))
            envelope = pairwise.CONTINUED + x(v["chain_id"]) + v["index"].to_bytes(2, "big") + x(v["nonce"]) + ciphertext
            self.check(v, key=key, associated_data=ad, padded=pad(x(v["payload"])), ciphertext=ciphertext,
                       envelope=envelope)
            pairwise.read_delivery(envelope)

    def test_roster(self):
        for v in load("roster"):
            leaves = []
            for leaf in v["leaves"]:
                if leaf is None:
                    leaves.append(None)
                    continue
                pinned = leaf["pinned"] and [x(leaf["pinned"]["prekeys"]), leaf["pinned"]["time"]]
                mine = st.Leaf(x(leaf["account"]), leaf["role"], pinned, x(leaf["manifest"]), leaf["manifest_version"],
                               x(leaf["device_key"]), leaf["since"])
                self.check(leaf, leaf=mine.bytes(), leaf_hash=leaf_hash(mine))
                self.assertEqual(st.Leaf.read(mine.bytes()), mine)
                leaves.append(mine)
            self.check(v, leaf_count=len(leaves), top=tree(map(leaf_hash, leaves), "roster node"),
                       roster_hash=roster_hash(leaves))

    def test_commits(self):
        public, init = None, None
        for v in load("commits"):
            secret = v["commit_secret"] and x(v["commit_secret"])
            operations = []
            for operation in v["operations"]:
                (kind, with_), = operation.items()
                operations.append({
                    "add": lambda: (st.ADD, [with_["role"], x(with_["manifest"])]),
                    "remove": lambda: (st.REMOVE, [x(with_["account"])]),
                    "set_role": lambda: (st.SET_ROLE, [x(with_["account"]), with_["role"]]),
                    "update_devices": lambda: (st.UPDATE, [[x(manifest) for manifest in with_["manifests"]]]),
                    "heal": lambda: (st.HEAL, [x(with_["prekeys"]), with_["time"]]),
                    "reset": lambda: (st.RESET, []),
                    "leave": lambda: (st.LEAVE, [x(with_["request"])]),
                }[kind]())
            body = st.CommitBody(x(v["group"]), v["epoch"], x(v["previous"]), v["last_distribution"], x(v["author"]),
                                 v["commitment"] and x(v["commitment"]), operations, x(v["roster"]),
                                 [x(u) for u in v["unreachable"]], v["time"]).bytes()
            body_hash = H("commit body", body)
            if init is None or (st.RESET, []) in operations:
                init = bytes(32)
            self.check(v, body=body, body_hash=body_hash, init=init)
            if secret is not None:
                self.check(v, commitment=H("commit secret commitment", secret))
            es, init, confirmation = epoch_secrets(init, secret, body_hash)
            digest = H("commit", body_hash, confirmation)
            signature = sign(x(v["author_seed"]), "commit", digest)
            self.check(v, flag=int(secret is not None), epoch_secret=es, next_init=init, confirmation=confirmation,
                       commit_hash=digest, signature=signature,
                       commit=st.Commit(body, confirmation, signature).bytes())
            step = v["sender_step"]
            chain_key, seed = mix_sender(x(step["seed"]), es)
            self.check(step, next_chain_key=chain_key, next_seed=seed)
            public = public.follow(x(v["commit"])) if public else Public.genesis(x(v["commit"]), digest)
            self.assertEqual(public.head, digest)

    def test_sender_key(self):
        for v in load("sender_key"):
            c, d = v["certificate"], v["distribution"]
            commitment = H("sender key commitment", x(v["seed"]), x(v["chain_key"]))
            self.check(v, commitment=commitment)
            body = st.CertificateBody(x(c["group"]), x(c["device"]), c["generation"], c["time"], c["start_epoch"],
                                      x(c["head"]), signing_public(x(v["signing_seed"])), commitment,
                                      c["first_link"]).bytes()
            digest = H("sender key certificate", body)
            certificate = st.Certificate(body, sign(x(v["device_seed"]), "sender key certificate", digest)).bytes()
            self.check(c, body=body, hash=digest, certificate=certificate, link_of_the_first_message=digest[:16])
            key, nonce = distribution_keys(x(d["content_key"]), digest)
            plaintext = st.SenderKeyContent(x(v["seed"]), x(v["chain_key"]), 0).bytes()
            ciphertext = seal(key, nonce, b"", plaintext)
            commitment = H("content key commitment", x(d["content_key"]))
            body = st.DistributionBody(certificate, c["start_epoch"], commitment, ciphertext).bytes()
            digest = H("sender key distribution", body)
            distribution = st.Distribution(body, sign(x(v["device_seed"]), "sender key distribution", digest)).bytes()
            self.check(d, key=key, nonce=nonce, plaintext=plaintext, ciphertext=ciphertext, commitment=commitment,
                       body=body, digest=digest, distribution=distribution)

    def test_message(self):
        for v in load("message"):
            message_key, chain_key = message_step(x(v["chain_key"]))
            key, key_commitment, base = message_keys(message_key)
            nonce = message_nonce(base, x(v["hedge"]))
            self.check(v, message_key=message_key, next_chain_key=chain_key, key=key, key_commitment=key_commitment,
                       nonce_base=base, nonce=nonce)
            padded = pad(x(v["message_id"]) + x(v["content"]))
            ciphertext = seal(key, nonce, b"", padded)
            message = st.Message(v["epoch"], v["leaf"], v["generation"], v["index"], x(v["link"]), x(v["hedge"]),
                                 ciphertext)
            digest = message.digest(x(v["group"]), x(v["head"]), x(v["certificate_hash"]), key_commitment)
            message.signature = sign(x(v["signing_seed"]), "group message", digest)
            self.check(v, padded=padded, ciphertext=ciphertext, header=message.header(), digest=digest,
                       next_link=digest[:16], signature=message.signature, message=message.bytes())
            self.assertEqual(st.Message.read(x(v["message"])).bytes(), x(v["message"]))
            verify(x(v["signing_key"]), "group message", digest, message.signature)
            self.assertEqual(unpad(open_(key, nonce, b"", ciphertext)), x(v["message_id"]) + x(v["content"]))

    def test_run(self):
        for v in load("run"):
            ciphertexts, commitments, plaintexts = [], [], []
            for m in v["messages"]:
                message_key, chain_key = message_step(x(m["chain_key"]))
                key, key_commitment, base = message_keys(message_key)
                nonce = message_nonce(base, x(v["hedge"]))
                padded = pad(x(m["message_id"]) + x(m["content"]))
                ciphertexts.append(seal(key, nonce, b"", padded))
                commitments.append(key_commitment)
                plaintexts.append(unpad(open_(key, nonce, b"", ciphertexts[-1])))
                self.check(m, message_key=message_key, next_chain_key=chain_key, key=key, key_commitment=key_commitment,
                           nonce=nonce, padded=padded, ciphertext=ciphertexts[-1])
            run = st.Run(v["epoch"], v["leaf"], v["generation"], v["messages"][0]["index"], x(v["link"]), x(v["hedge"]),
                         ciphertexts)
            digests = run.digests(x(v["group"]), x(v["head"]), x(v["certificate_hash"]), commitments)
            run.signature = sign(x(v["signing_seed"]), "group message run", digests[-1])
            for i, (m, digest) in enumerate(zip(v["messages"], digests)):
                self.check(m, header=run.header(i), digest=digest)
            self.check(v, signature=run.signature, next_link=digests[-1][:16], run=run.bytes())
            self.assertEqual(st.read_message(x(v["run"])).bytes(), x(v["run"]))
            self.assertEqual(plaintexts, [x(m["message_id"]) + x(m["content"]) for m in v["messages"]])

    def test_welcome(self):
        for v in load("welcome"):
            senders = [st.WelcomeSender(x(s["certificate"]), x(s["seed"]), x(s["chain_key"]), s["index"])
                       for s in v["senders"]]
            payload = st.Welcome(x(v["head"]), x(v["init"]), senders, x(v["note"])).bytes()
            self.check(v, payload=payload)
            self.assertEqual(st.Welcome.read(payload).bytes(), payload)

    def test_receipt(self):
        for v in load("receipt"):
            receipts = []
            for r in v["receipts"]:
                body = st.ReceiptBody(x(r["group"]), r["epoch"], x(r["commit"]), r["seq"]).bytes()
                digest = H("receipt", body)
                receipts.append((x(r["commit"]), st.Receipt(body, sign(x(r["server_seed"]), "receipt", digest)).bytes()))
                self.check(r, body=body, digest=digest, receipt=receipts[-1][1])
                self.assertEqual(st.ReceiptBody.read(st.Receipt.read(receipts[-1][1]).body).bytes(), body)
            self.check(v, proof=st.ForkProof(*[receipt for _, receipt in sorted(receipts)]).bytes())

    def test_repair_request(self):
        for v in load("repair_request"):
            asked, known = x(v["asked"]), [v["generation"], x(v["certificate"])]
            question = {"sender key": ("sender key", [known, asked]), "first sender key": ("sender key", [None, asked]),
                        "welcome": ("welcome", []), "initial": ("initial", [asked])}[v["question"]]
            body = st.RepairRequestBody(question, x(v["group"]), v["epoch"], x(v["head"]), x(v["asker"]), v["since"],
                                        [x(v["prekeys"]), v["prekeys_time"]], v["time"]).bytes()
            digest = H("repair request", body)
            request = st.RepairRequest(body, sign(x(v["asker_seed"]), "repair request", digest)).bytes()
            self.check(v, body=body, digest=digest, request=request)
            self.assertEqual(st.RepairRequestBody.read(body).bytes(), body)

    def test_repair_answer(self):
        for v in load("repair_answer"):
            key = [x(v["certificate"]), x(v["seed"]), x(v["chain_key"]), v["index"]]
            place = [x(v["head"]), v["seq"]]
            sender_key = st.SenderKeyAnswer(*place, *key[:3], x(v["link"]), v["index"]).bytes()
            welcome = st.WelcomeAnswer(*place, x(v["init"]), x(v["yours"]), [st.WelcomeSender(*key)]).bytes()
            self.check(v, sender_key_payload=sender_key, welcome_payload=welcome)
            self.assertEqual(st.WelcomeAnswer.read(welcome).bytes(), welcome)
            self.assertEqual(st.SenderKeyAnswer.read(sender_key).bytes(), sender_key)

    def test_login(self):
        for v in load("login"):
            digest = H("login", x(v["nonce"]), x(v["account"]), x(v["device_key"]), v["server"].encode())
            self.check(v, digest=digest, signature=sign(x(v["device_seed"]), "login", digest))

    def test_client_frames(self):
        for v in load("client_frames"):
            self.check(v, frame=versioned(diagnostic(v["cbor"])))
            _, (name, fields) = st.CLIENT_FRAME(read_versioned(x(v["frame"])))
            self.check(v, name=name)

    def test_server_frames(self):
        for v in load("server_frames"):
            self.check(v, frame=versioned(diagnostic(v["cbor"])))
            kind, fields = st.SERVER_FRAME(read_versioned(x(v["frame"])))
            name = kind
            if kind == "reply":
                name, answer = fields[1]
                name = f"refused: {answer[0][0]}" if name == "refused" else name
            self.check(v, name=name)

    def test_story(self):
        """A log as one device gets it. `records`, how the engine stores that device, is its own affair: skipped."""
        for v in load("story"):
            group, log = x(v["group"]), [st.Entry(x(v["group"]), e["seq"], e["kind"], e["delivery"] and x(e["delivery"]),
                                                  x(e["body"])) for e in v["log"]]
            private = v["bob"]["private_keys"]
            bob = Device(x(private["account_seed"]), x(private["device_seed"]), b"")
            body = st.PrekeysBody(bob.device_key, v["now"], agreement_public(x(private["agreement_private"])),
                                  kem_public(x(private["kem_seed"]))).bytes()
            bob.prekeys[H("prekeys", body)] = PrekeyPrivate(x(private["agreement_private"]), x(private["kem_seed"]))
            commits = [entry for entry in log if entry.kind == st.COMMIT and entry.seq <= v["joined"]]
            held = Group.join(bob, group, commits)
            self.check(v, note=held.note)
            events = []
            for entry in log[v["joined"]:]:
                held, bob, some = held.receive(bob, entry, v["now"])
                events += some
            read = [{"content": e["content"].hex(), "from": e["device"].hex(), "id": e["id"].hex()}
                    for e in events if e["kind"] == "message"]
            self.assertEqual(read, v["reads"])


def texts(events):
    return [text_of(event["content"]) for _, event in events if event["kind"] == "message" and not event.get("own")]


class Server:
    """A server on a free loopback port with a directory of its own, for as long as the block lasts."""

    def __enter__(self):
        self.process = None
        self.directory = tempfile.TemporaryDirectory(prefix="conclave-interop-", ignore_cleanup_errors=True)
        self.path = Path(self.directory.name)
        self.errors = open(self.path / "server.log", "w")
        self.watchdog = threading.Timer(100, lambda: self.process and self.process.kill())  # nothing here waits for ever
        self.watchdog.daemon = True
        self.watchdog.start()
        try:
            self.process = subprocess.Popen([BINARIES / "conclave-server", "--store", f"fjall:{self.path / 'data'}", "--listen",
                                             "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=self.errors, text=True, env=ENVIRONMENT)
            line = self.process.stdout.readline()
            found = re.search(r"ws://\S+", line)
            if not found:
                raise RuntimeError(f"the server did not start: {line!r} {(self.path / 'server.log').read_text()[-500:]!r}")
        except BaseException:
            self.__exit__()
            raise
        self.url = found.group()
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
        self.errors.close()
        self.directory.cleanup()

    def python(self, name):
        return Client.create(str(self.path / f"{name}.json"), name, self.url)

    def rust(self, name):
        user = Rust(self.path / name, self.path / f"{name}.key")
        user("init", name, "--server", self.url)
        return user


class Rust:
    """A user of the `conclave` command."""

    def __init__(self, profile, key_file):
        self.options = ["--profile", profile, "--key-file", key_file]

    def __call__(self, *words):
        done = subprocess.run([BINARIES / "conclave", *self.options, *words], capture_output=True, text=True, timeout=40,
                              stdin=subprocess.DEVNULL, env=ENVIRONMENT)
        if done.returncode:
            raise AssertionError(f"conclave {' '.join(map(str, words))}: status {done.returncode}: {done.stderr}")
        return done.stdout

    def log(self, group):
        """(sender, text) of the messages that this user has read."""
        lines = [json.loads(line) for line in self("log", group, "--json").splitlines()]
        return [(line.get("sender"), line["text"]) for line in lines if line.get("kind") == "message"]

    def alarms(self):
        """What this user was alarmed about since the last look."""
        lines = [json.loads(line) for line in self("listen", "--json").splitlines()]
        return [line["text"] for line in lines if line["kind"] == "alarm"]


class Together(Rules, unittest.TestCase):
    def setUp(self):
        if not (BINARIES / "conclave-server").exists():
            self.skipTest("no conclave-server is built")

    def quiet(self, *events):
        """Nothing refused, nothing missing, nobody locked out."""
        for _, event in events:
            self.assertNotIn(event["kind"], ("refused", "repeat", "pending", "not joined"), event)
            self.assertFalse({"alarm", "locked out"} & event.keys(), event)
            self.assertTrue(event.get("readable", True), event)
        return events

    def test_python_among_themselves(self):
        """The server accepts what this implementation makes, and three of them understand each other."""
        with Server() as server:
            ann, bob, cy = (server.python(name) for name in ("ann", "bob", "cy"))
            server.python("dee").close()
            try:
                group = ann.create_group()
                ann.change(group, adds=["bob"], label="a note")
                ann.send_text(group, "for bob")
                got = self.quiet(*bob.sync())
                self.assertEqual(st.Note.read(got[0][1]["note"]).label, "a note")
                self.assertEqual(texts(got), ["for bob"])
                bob.send_text(group, "for ann")
                self.assertEqual(texts(self.quiet(*ann.sync())), ["for ann"])
                ann.change(group, adds=["cy"])
                self.assertEqual(texts(self.quiet(*cy.sync())), [])
                for user, text in ((ann, "1"), (bob, "2"), (cy, "3")):
                    user.send_text(group, text)
                for user in (ann, bob, cy):
                    self.quiet(*user.sync())
                self.assertEqual(self.everything(cy, group), ["1", "2", "3"])
                ann.change(group, removes=["cy"])
                ann.send_text(group, "without cy")
                self.assertEqual(texts(self.quiet(*bob.sync())), ["without cy"])
                self.assertEqual([event["kind"] for _, event in cy.sync()], ["removed"])
                self.assertEqual(self.everything(cy, group), ["1", "2", "3"])
                # added again: joins as another sender, and reads from there on
                ann.change(group, adds=["cy"])
                ann.send_text(group, "welcome back")
                self.assertEqual(texts(self.quiet(*cy.sync())), ["welcome back"])
                cy.send_text(group, "4")
                self.assertEqual(texts(self.quiet(*bob.sync()))[-1:], ["4"])
                # removed and added again between two looks
                ann.change(group, removes=["cy"])
                ann.change(group, adds=["cy"])
                ann.send_text(group, "back at once")
                self.assertEqual(texts(self.quiet(*cy.sync())), ["back at once"])
                self.refused_distribution(ann, bob, cy, group)
            finally:
                for user in (ann, bob, cy):
                    user.close()

    def refused_distribution(self, ann, bob, cy, group):
        """The envelopes of a refused upload reach nobody: the chains that they would open must not be used."""
        held, me = cy.profile.groups[group], cy.profile.device
        me.pairwise.sending.clear()
        upload = held.distribute(me, cy.prekeys_of(cy.others(held)), now())
        ann.catch_up(group)
        ann.change(group, adds=["dee"])
        with self.assertRaises(ServerRefused) as caught:
            cy.connect().request("distribute", group, *upload)
        self.assertEqual(caught.exception.name, "epoch stale")
        cy.send_text(group, "5")
        self.assertEqual(texts(self.quiet(*bob.sync()))[-1:], ["5"])

    def test_promises_of_the_server(self):
        """R39a, R39b: the last distribution is compared for adds alone; nothing from the future is taken."""
        with Server() as server:
            ann, bob, cy = (server.python(name) for name in ("ann", "bob", "cy"))
            try:
                group = ann.create_group()
                ann.change(group, adds=["bob", "cy"])
                bob.sync()
                before = ann.profile.groups[group].public.epoch
                cy_account = cy.profile.device.account
                server.python("dee").close()
                dee = ann.lookup("dee")
                dee_device = st.device_id(st.ManifestBody.read(st.Manifest.read(dee).body).devices[0])
                bob.send_text(group, "Ann has not seen my key")
                for adds, removes, accepted in (([(0, dee)], [], False), ([], [cy_account], True)):
                    held = ann.profile.groups[group]
                    prekeys = ann.prekeys_of(ann.others(held) + [dee_device])
                    upload = stage(held, ann.profile.device, adds, removes, prekeys, now())
                    if accepted:
                        ann.upload_commit(group, upload)
                        continue
                    with self.assertRaises(ServerRefused) as caught:
                        ann.upload_commit(group, upload)
                    self.assertEqual(caught.exception.name, "head moved")
                self.assertEqual(texts(self.quiet(*((group, event) for event in ann.catch_up(group)))),
                                 ["Ann has not seen my key"])
                self.assertEqual(ann.profile.groups[group].public.epoch, before + 1)
                for ahead, accepted in ((11 * MINUTE, False), (9 * MINUTE, True)):
                    held = ann.profile.groups[group]
                    upload = held.distribute(ann.profile.device, ann.prekeys_of(ann.others(held)), now() + ahead)
                    ann.save()
                    if accepted:
                        ann.connect().request("distribute", group, *upload)
                        continue
                    with self.assertRaises(ServerRefused) as caught:
                        ann.connect().request("distribute", group, *upload)
                    self.assertEqual(caught.exception.name, "invalid entry")
                ann.send_text(group, "in time")
                self.assertEqual(texts(self.quiet(*bob.sync())), ["in time"])
            finally:
                for user in (ann, bob, cy):
                    user.close()

    def test_removed_and_added_while_offline(self):
        """R83: a device whose cursor is before `joined` forgets the group, with its chains, and joins anew."""
        with Server() as server:
            ann, cy = server.python("ann"), server.python("cy")
            try:
                group, other = ann.create_group(), ann.create_group()
                for one in (group, other):
                    ann.change(one, adds=["cy"])
                    ann.send_text(one, "before")
                self.assertEqual(texts(self.quiet(*cy.sync())), ["before"] * 2)
                for one in (group, other):
                    cy.send_text(one, "by cy")
                ann.sync()
                for _ in range(2):
                    ann.change(group, removes=["cy"])
                    ann.change(group, adds=["cy"])
                    ann.send_text(group, "back")
                ann.change(other, removes=["cy"])
                ann.change(other, adds=["cy"])
                ann.change(other, removes=["cy"])
                got = self.quiet(*cy.sync())
                self.assertEqual([event["kind"] for of, event in got], ["joined", "message"])
                self.assertEqual(texts(got), ["back"])
                self.assertNotIn(other, cy.profile.groups)
                self.assertEqual({of for of, _ in cy.profile.device.pairwise.receiving}, {group})
                cy.send_text(group, "by cy again")
                self.assertEqual(texts(self.quiet(*ann.sync()))[-1:], ["by cy again"])
                # and once it has joined anew, what is left of a subscription does no harm
                self.assertEqual(cy.sync(), [])
            finally:
                ann.close()
                cy.close()

    def test_rust_removes_and_adds_while_offline(self):
        """R83 with the command, each being the one that is offline."""
        self.need_the_command()
        with Server() as server:
            alice, py = server.rust("alice"), server.python("pyuser")
            try:
                alice("group", "create", "talk", "pyuser")
                alice("send", "talk", "before")
                self.assertEqual(texts(self.quiet(*py.sync())), ["before"])
                (group,) = py.profile.groups
                py.send_text(group, "by Python")
                alice.log("talk")
                alice("group", "remove", "talk", "pyuser")
                alice("send", "talk", "not for Python")
                alice("group", "add", "talk", "pyuser")
                alice("send", "talk", "back")
                self.assertEqual(texts(self.quiet(*py.sync())), ["back"])
                py.send_text(group, "by Python again")
                self.assertEqual(alice.log("talk")[-1], ("pyuser", "by Python again"))
                alice("send", "talk", "and on")
                self.assertEqual(texts(self.quiet(*py.sync())), ["and on"])

                group = py.create_group()
                py.change(group, adds=["alice"], label="made")
                py.send_text(group, "before")
                self.assertEqual(alice.log("made"), [("pyuser", "before")])
                alice("send", "made", "by Rust")
                self.quiet(*py.sync())
                py.change(group, removes=["alice"])
                py.send_text(group, "not for Alice")
                py.change(group, adds=["alice"], label="made")
                py.send_text(group, "back")
                alice("listen")
                name = group.hex()
                self.assertEqual(alice.log(name)[-1], ("pyuser", "back"))
                self.assertNotIn("not for Alice", [text for _, text in alice.log(name)])
                alice("send", name, "by Rust again")
                self.assertEqual(texts(self.quiet(*py.sync())), ["by Rust again"])
                self.assertEqual(alice.alarms(), [])
            finally:
                py.close()

    def test_two_groups_in_either_order(self):
        """R58 with the command: who is added to two groups may read their logs in any order, whoever adds."""
        self.need_the_command()
        with Server() as server:
            alice, carol = server.rust("alice"), server.rust("carol")
            pythons = [server.python(name) for name in ("py-a", "py-b", "py-c")]
            try:
                for label in ("one", "two"):
                    alice("group", "create", label, "carol", *("py-a", "py-b", "py-c"))
                for turn in range(2):
                    for label in ("one", "two"):
                        alice("send", label, f"{turn} in {label}")
                for label in ("one", "two"):
                    alice("group", "remove", label, "carol")        # a commit secret for each
                    alice("send", label, f"without Carol in {label}")
                _, (rows,) = pythons[0].connect().request("groups")
                groups = [row[0] for row in rows]
                orders = [groups, groups[::-1]]
                for py, order in zip(pythons, orders):
                    for group in order:
                        got = self.quiet(*py.sync([group]))
                        label = st.Note.read(got[0][1]["note"]).label
                        self.assertEqual(texts(got), [f"0 in {label}", f"1 in {label}", f"without Carol in {label}"])
                        self.assertIn("distribution", [event["kind"] for _, event in got])
                # Chains that Python opens, in both groups at once, read by the command in its own order.
                for py, order in zip(pythons, orders):
                    for turn in range(2):
                        for group in order:
                            py.send_text(group, f"{turn} by {py.profile.name}")
                expected = sorted((py.profile.name, f"{turn} by {py.profile.name}") for py in pythons[:2]
                                  for turn in range(2))
                for label in ("two", "one"):
                    self.assertEqual(sorted(alice.log(label)[-4:]), expected)
                self.assertEqual(alice.alarms(), [])
                # The third reads only now, everything at once, and last first.
                got = self.quiet(*pythons[2].sync(orders[1]))
                self.assertEqual(len(texts(got)), 14)

                # Python makes two groups, and the command reads the second one first.
                py = pythons[0]
                made = [py.create_group() for _ in range(2)]
                for group, label in zip(made, ("three", "four")):
                    py.change(group, adds=["alice", "py-b"], label=label)
                for turn in range(2):
                    for group in made:
                        py.send_text(group, f"turn {turn}")
                for group in made:
                    py.change(group, removes=["py-b"])
                    py.send_text(group, "without B")
                for label in ("four", "three"):
                    self.assertEqual([text for _, text in alice.log(label)], ["turn 0", "turn 1", "without B"])
                self.assertEqual(alice.alarms(), [])
            finally:
                for py in pythons:
                    py.close()

    def test_pending_messages(self):
        """R68 with the command: the same log, read at once or in pieces, here and there."""
        self.need_the_command()
        with Server() as server:
            alice, bob = server.rust("alice"), server.rust("bob")
            py, reader = server.python("pyuser"), server.python("reader")
            try:
                group = py.create_group()
                py.change(group, adds=["alice", "bob", "reader"], label="talk")
                py.send_text(group, "first")
                reader.sync()
                alice.log("talk")                               # Bob reads all at once, at the end

                def post(text, break_it, forge=False):
                    held = py.profile.groups[group]
                    if forge:
                        held = copy.deepcopy(held)
                    message = held.seal(py.profile.device, st.Text(0, now(), text).bytes())
                    py.connect().request("post", group, message[:-64] + bytes(64) if break_it else message)

                post("pending", True)
                self.assertEqual(texts(reader.sync()), [])
                self.assertEqual([text for _, text in alice.log("talk")], ["first"])
                post("pending too", True)
                post("forged", True, forge=True)
                alice.log("talk")
                post("authentic", False)
                expected = ["first", "pending", "pending too", "authentic"]
                self.assertEqual(texts(reader.sync()), expected[1:])
                self.assertEqual([text for _, text in alice.log("talk")], expected)
                post("pending still", True)
                post("on", False)
                py.sync()                                       # raises its alarms: these are not what it made
                py.change(group, removes=["reader"])
                py.send_text(group, "in the next epoch")
                expected += ["pending still", "on", "in the next epoch"]
                for user in (alice, bob):
                    self.assertEqual([text for _, text in user.log("talk")], expected)
            finally:
                py.close()
                reader.close()

    def test_links_and_certificates(self):
        """R60, R65 with the command: links across generations; a certificate that a commit makes void."""
        self.need_the_command()
        with Server() as server:
            alice, py, other = server.rust("alice"), server.python("pyuser"), server.python("other")
            try:
                group = py.create_group()
                py.change(group, adds=["alice", "other"], label="talk")

                def distribute(at):
                    held = py.profile.groups[group]
                    upload = held.distribute(py.profile.device, py.prekeys_of(py.others(held)), at)
                    py.save()
                    py.connect().request("distribute", group, *upload)
                    py.catch_up(group)

                def post(text):
                    message = py.profile.groups[group].seal(py.profile.device, st.Text(0, now(), text).bytes())
                    py.connect().request("post", group, message)
                    py.catch_up(group)

                distribute(now())
                distribute(now())           # without `first link`: the first message links to the first certificate
                post("first")
                distribute(now() - 14 * DAY - 5 * MINUTE)
                post("under an old certificate")
                self.assertEqual([text for _, text in alice.log("talk")], ["first", "under an old certificate"])
                self.assertEqual(alice.alarms(), [])
                held = py.profile.groups[group]
                upload = stage(held, py.profile.device, [], [other.profile.device.account],
                               py.prekeys_of(py.others(held)), now() + 9 * MINUTE)
                py.upload_commit(group, upload)
                copied = copy.deepcopy(py.profile.groups[group])
                with mock.patch("group.too_old", lambda *_: False):         # one that does not keep to R60
                    device = copy.deepcopy(py.profile.device)
                    (entry,) = self.fetched(py, group, copied.cursor)
                    copied, device, _ = copied.receive(device, entry, now())
                    void = copied.seal(device, st.Text(0, now(), "under a void one").bytes())
                py.connect().request("post", group, void)
                py.sync()
                self.assertEqual(len(alice.alarms()), 1)
                py.send_text(group, "under a new one")
                self.assertEqual([text for _, text in alice.log("talk")][1:], ["under an old certificate",
                                                                               "under a new one"])
                self.assertEqual(len(alice.alarms()), 0)
            finally:
                py.close()
                other.close()

    def test_listening(self):
        """R82: a subscription goes through a removal, and an add after it."""
        with Server() as server:
            ann, cy = server.python("ann"), server.python("cy")
            try:
                group = ann.create_group()
                ann.change(group, adds=["cy"])
                ann.send_text(group, "before")
                heard = cy.listen(20)

                def until(text):
                    events = []
                    while texts(events)[-1:] != [text]:
                        events.append(next(heard))
                    return [event["kind"] for _, event in self.quiet(*events)]

                until("before")
                ann.send_text(group, "pushed")
                self.assertEqual(until("pushed"), ["message"])
                ann.change(group, removes=["cy"])
                ann.change(group, adds=["cy"])
                ann.send_text(group, "back")
                self.assertEqual(until("back"), ["removed", "joined", "message"])
                other = ann.create_group()
                ann.change(other, adds=["cy"])
                ann.send_text(other, "elsewhere")
                self.assertEqual([kind for kind in until("elsewhere") if kind != "distribution"], ["joined", "message"])
                heard.close()
            finally:
                ann.close()
                cy.close()

    def need_the_command(self):
        if not (BINARIES / "conclave").exists():
            self.skipTest("no conclave command is built")

    def fetched(self, user, group, after):
        try:
            return user.connect().request("fetch", group, after, 10)[1][0]
        except ServerRefused as refused:
            self.assertEqual(refused.name, "not member")
            return []

    def test_rules_of_commits(self):
        with Server() as server:
            self.rules(server)

    def everything(self, user, group):
        return [text_of(event["content"]) for event in user.profile.events[group] if event["kind"] == "message"]

    def test_rust_and_python(self):
        """Rust adds Python, both write and read, others come and go, Rust removes Python."""
        self.need_the_command()
        with Server() as server:
            alice, bob, py = server.rust("alice"), server.rust("bob"), server.python("pyuser")
            try:
                alice("group", "create", "talk", "pyuser")
                alice("send", "talk", "hello Python")
                got = self.quiet(*py.sync())
                self.assertEqual(texts(got), ["hello Python"])
                (group,) = py.profile.groups
                py.send_text(group, "hello Rust")
                py.send_text(group, "and again: ü")
                self.assertEqual(alice.log("talk")[-2:], [("pyuser", "hello Rust"), ("pyuser", "and again: ü")])

                # Python follows a commit; the newcomer gets Python's sender key in its welcome.
                alice("group", "add", "talk", "bob")
                py.send_text(group, "hello Bob")
                bob_reads = bob.log("talk")
                self.assertEqual(bob_reads, [("pyuser", "hello Bob")])
                bob("send", "talk", "Bob is here")
                alice("send", "talk", "so is Alice")
                self.assertEqual(texts(self.quiet(*py.sync())), ["Bob is here", "so is Alice"])

                # Removing somebody else hands Python a commit secret.
                alice("group", "remove", "talk", "bob")
                alice("send", "talk", "without Bob")
                self.assertEqual(texts(self.quiet(*py.sync())), ["without Bob"])
                py.send_text(group, "indeed")
                self.assertEqual(alice.log("talk")[-1], ("pyuser", "indeed"))
                self.assertNotIn("indeed", [text for _, text in bob.log("talk")])

                alice("group", "remove", "talk", "pyuser")
                alice("send", "talk", "without Python")
                events = py.sync()
                self.assertEqual([event["kind"] for _, event in events], ["removed"])
                cursor = py.profile.groups[group].cursor
                self.assertEqual(self.fetched(py, group, cursor), [])
                with self.assertRaises(Refused):
                    py.send_text(group, "may I?")
                self.assertIn(("alice", "without Python"), alice.log("talk"))
            finally:
                py.close()

    def test_python_makes_the_group(self):
        """The other way round: a Rust user joins a group that Python made, and is removed from it."""
        self.need_the_command()
        with Server() as server:
            alice, py, other = server.rust("alice"), server.python("pyuser"), server.python("other")
            try:
                group = py.create_group()
                py.change(group, adds=["alice", "other"], label="made")
                py.send_text(group, "hello Rust")
                self.assertEqual(alice.log("made"), [("pyuser", "hello Rust")])
                alice("send", "made", "hello Python")
                self.assertEqual(texts(self.quiet(*py.sync())), ["hello Python"])
                py.change(group, removes=["other"])
                py.send_text(group, "one less")
                self.assertEqual(alice.log("made")[-1], ("pyuser", "one less"))
                alice("send", "made", "I see")
                self.assertEqual(texts(self.quiet(*py.sync())), ["I see"])
                py.change(group, removes=["alice"])
                py.send_text(group, "not for Alice")
                self.assertNotIn("not for Alice", [text for _, text in alice.log("made")])
            finally:
                py.close()
                other.close()


def stop(number, _):
    """Unwinds, so that servers are stopped and directories removed."""
    print(f"stopped by signal {number}" + (f": more than {LIMIT} s" if number == signal.SIGALRM else ""), file=sys.stderr)
    raise KeyboardInterrupt


def main():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(LIMIT)
    sys.modules["test_interop"] = sys.modules["__main__"]
    names = sys.argv[1:] or ["test_parties", "test_interop"]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromNames(names))
    for test, why in result.skipped:
        print(f"not tested: {test.id().rpartition('.')[2]}: {why}", file=sys.stderr)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
