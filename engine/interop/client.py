#!/usr/bin/env python3
"""A tiny client of one profile file: init, sync, groups, log, send, listen. For tests, not for secrets: the file is
not encrypted."""

import argparse
import copy
import json
import sys
import time
from dataclasses import dataclass, field

from authoring import genesis, stage
from codec import Malformed
from connection import Connection, ServerRefused
from crypto import Refused
from device import Device, load, now, save
from group import Group, Pending, Sealed, SenderKey, Sender, Staged, StagedCommit
from roster import Public
from structures import COMMIT, Leaf, Manifest, ManifestBody, Note, Prekeys, Text, device_id

PAGE = 256


@dataclass
class Profile:
    name: str
    server: str
    device: Device
    groups: dict = field(default_factory=dict)      # group id -> Group
    events: dict = field(default_factory=dict)      # group id -> [event]


class Client:
    def __init__(self, path, profile=None):
        self.path = path
        self.profile = profile or load(path, Profile, Group, Public, Leaf, Sender, SenderKey, Pending, Staged,
                                       StagedCommit, Sealed)
        self.connection = None

    @classmethod
    def create(cls, path, name, server):
        """Makes an account with a device and registers them."""
        client = cls(path, Profile(name, server, Device.create(now())))
        prekeys = client.profile.device.make_prekeys(now())
        client.save()
        connection = client.connection = Connection(server)
        login = client.profile.device.login(connection.nonce, connection.name)
        connection.request("register", name, client.profile.device.manifest, prekeys, login)
        return client

    def connect(self):
        if self.connection is None:
            connection = Connection(self.profile.server)
            connection.request("login", self.profile.device.login(connection.nonce, connection.name))
            self.connection = connection
        return self.connection

    def save(self):
        save(self.path, self.profile)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    # --- reading ----------------------------------------------------------------------------------------------------

    def sync(self, order=None):
        """Joins the groups that this device was added to and processes what is new in all, in the order of the groups
        given (and no others), or in the server's. Returns the new events as (group id, event)."""
        _, (rows,) = self.connect().request("groups")
        rows = {row[0]: row for row in rows}
        new = []
        for group in rows if order is None else order:
            _, joined, left, _, _ = rows[group]
            held = self.profile.groups.get(group)
            if held is not None and joined <= held.cursor:
                new += [(group, event) for event in self.catch_up(group)]
                continue
            if held is not None:        # removed and added again, perhaps both since the last look (R83)
                held.forget(self.profile.device)
                del self.profile.groups[group]
                self.save()
            if left is not None:
                continue
            try:
                new.append((group, self.join(group, joined)))
            except (Refused, Malformed) as problem:
                new.append((group, dict(kind="not joined", reason=str(problem))))
                continue
            new += [(group, event) for event in self.catch_up(group)]
        return new

    def join(self, group, joined):
        commits, epoch = [], 0
        while not commits or commits[-1].seq < joined:
            _, (entries, _) = self.connection.request("fetch commits", group, epoch, PAGE)
            if not entries:
                raise Refused("R70: commits up to the one that adds this device are missing")
            for entry in entries:
                if entry.group != group or entry.kind != COMMIT:
                    raise Refused("not a commit of this group")
            commits += entries
            epoch += len(entries)
        device = copy.deepcopy(self.profile.device)         # nothing of a welcome that is refused remains
        held = Group.join(device, group, [entry for entry in commits if entry.seq <= joined])
        self.profile.groups[group], self.profile.device = held, device
        event = dict(kind="joined", seq=held.cursor, epoch=held.public.epoch, note=held.note)
        self._keep(group, [event])
        return event

    def catch_up(self, group):
        new = []
        held = self.profile.groups[group]
        while not held.removed:
            try:
                _, (entries, head) = self.connect().request("fetch", group, held.cursor, PAGE)
            except ServerRefused as refused:
                if refused.name == "not member":
                    break
                raise
            for entry in entries:
                new += self.process(entry)
            held = self.profile.groups[group]
            if not entries or held.cursor >= head:
                break
        return new

    def process(self, entry):
        held = self.profile.groups[entry.group]
        self.profile.groups[entry.group], self.profile.device, events = held.receive(self.profile.device, entry, now())
        self._keep(entry.group, events)
        return events

    def _keep(self, group, events):
        self.profile.events.setdefault(group, []).extend(events)
        self.save()

    def listen(self, seconds):
        """Subscribes to every group and yields (group id, event) as entries are pushed."""
        yield from self.sync()
        live = {group: held for group, held in self.profile.groups.items() if not held.removed}
        self.connection.request("subscribe", [[group, held.cursor] for group, held in live.items()])
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            entry = self.connection.push(left)
            if entry is None:
                continue
            held = self.profile.groups.get(entry.group)
            if held is None or held.removed:                # added, or added again
                yield from self.sync()
            elif entry.seq > held.cursor:
                yield from ((entry.group, event) for event in self.process(entry))

    # --- sending ----------------------------------------------------------------------------------------------------

    def send_text(self, group, text):
        return self.send(group, Text(0, now(), text).bytes())

    def send(self, group, content):
        """Distributes a sender key first where one is due; seals again where the log moved on (R72). Returns the
        sequence number."""
        message_id = None
        for _ in range(5):
            self.catch_up(group)
            try:
                self.distribute_if_due(group)
                message = self.profile.groups[group].seal(self.profile.device, content, message_id)
                message_id = self.profile.groups[group].sealed[-1].contents[-1][0]
                self.save()
                try:
                    _, (_, seq) = self.connect().request("post", group, message)
                except ServerRefused:
                    self.profile.groups[group].sealed.pop()     # nothing links to what is not in the log
                    self.save()
                    raise
                self.catch_up(group)
                return seq
            except ServerRefused as refused:
                if refused.name != "epoch stale":
                    raise
        raise Refused("the log moves faster than this client")

    def distribute_if_due(self, group):
        held, device = self.profile.groups[group], self.profile.device
        if held.removed:
            raise Refused("this device was removed from the group")
        if not held.must_distribute(device, now()):
            return
        distribution, deliveries = held.distribute(device, self.prekeys_of(self.others(held)), now())
        self.save()
        self.connection.request("distribute", group, distribution, deliveries)
        self.catch_up(group)

    def others(self, held):
        return [device for _, device, _ in held.public.devices() if device != self.profile.device.device]

    def prekeys_of(self, others):
        """Checked (body, hash) of those devices that have prekeys to encrypt to."""
        prekeys = {}
        for at in range(0, len(others), 256):
            some = others[at:at + 256]
            _, (found, *_) = self.connect().request("prekeys", some)
            for other, data in zip(some, found):
                try:
                    if data is not None:
                        prekeys[other] = Prekeys.read(data).check(other, now())
                except (Refused, Malformed):
                    pass                                    # cannot be reached
        return prekeys

    # --- making commits -----------------------------------------------------------------------------------------------

    def create_group(self):
        commit, held = genesis(self.profile.device, now())
        _, (group, held.cursor) = self.connect().request("commit", commit, [], [])
        assert group == held.public.group
        self.profile.groups[group] = held
        self.save()
        return group

    def change(self, group, adds=(), removes=(), label="a group"):
        """`adds` and `removes` are names in the server's directory. What it tells is trusted here."""
        manifests = [(0, self.lookup(name)) for name in adds]
        accounts = [ManifestBody.read(Manifest.read(self.lookup(name)).body).account for name in removes]
        keys = [key for _, data in manifests for key in ManifestBody.read(Manifest.read(data).body).devices]
        for _ in range(5):
            self.catch_up(group)
            held = self.profile.groups[group]
            prekeys = self.prekeys_of(self.others(held) + [device_id(key) for key in keys])
            upload = stage(held, self.profile.device, manifests, accounts, prekeys, now(), Note(label).bytes())
            try:
                self.upload_commit(group, upload)
                return self.catch_up(group)
            except ServerRefused as refused:
                if refused.name != "head moved":
                    raise
        raise Refused("the log moves faster than this client")

    def upload_commit(self, group, upload):
        """Uploads what was staged. What the server refuses is staged no more (R45)."""
        self.save()
        try:
            self.connect().request("commit", *upload)
        except ServerRefused:
            self.profile.groups[group].staged_commit = None
            self.save()
            raise

    def lookup(self, name):
        _, (manifest,) = self.connect().request("lookup", name)
        Manifest.read(manifest).check()
        return manifest


def text_of(content):
    """The text of a message, or None where it is something else."""
    try:
        content = Text.read(content)
    except Malformed:
        return None
    return content.text if content.kind == 0 else None


def shown(group, event):
    event = dict(event, group=group)
    if event["kind"] == "message":
        event["text"] = text_of(event.pop("content"))
    return json.dumps({k: v.hex() if isinstance(v, bytes) else v for k, v in event.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", required=True, help="a file")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make an account and register it")
    init.add_argument("name")
    init.add_argument("--server", required=True)
    commands.add_parser("groups", help="join and list groups")
    commands.add_parser("log", help="what this device has read, after fetching what is new").add_argument("group")
    send = commands.add_parser("send")
    send.add_argument("group")
    send.add_argument("text")
    listen = commands.add_parser("listen")
    listen.add_argument("--seconds", type=float, default=3600)
    arguments = parser.parse_args()

    if arguments.command == "init":
        client = Client.create(arguments.profile, arguments.name, arguments.server)
        print(client.profile.device.account.hex())
        return client.close()
    client = Client(arguments.profile)
    if arguments.command == "listen":
        for group, event in client.listen(arguments.seconds):
            print(shown(group, event), flush=True)
        return client.close()
    client.sync()
    if arguments.command == "groups":
        for group, held in client.profile.groups.items():
            print(group.hex(), "removed" if held.removed else f"epoch {held.public.epoch}")
    elif arguments.command == "log":
        for event in client.profile.events.get(bytes.fromhex(arguments.group), []):
            print(shown(bytes.fromhex(arguments.group), event))
    elif arguments.command == "send":
        print(client.send_text(bytes.fromhex(arguments.group), arguments.text))
    client.close()


if __name__ == "__main__":
    try:
        main()
    except (Refused, Malformed, ServerRefused, OSError, ValueError) as problem:
        sys.exit(f"client: {problem}")
