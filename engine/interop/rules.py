"""The rules of commits (R30 to R39), each kept and each broken: this implementation and the server must agree. Beside
them the server makes promises that are no rules here (R39a, R39b)."""

import structures as st
from authoring import genesis
from connection import ServerRefused
from crypto import H, Refused, ZEROS, random, sign, signing_public
from codec import Malformed
from device import now
from linking import membership
from roster import ADMIN, MEMBER, OWNER, Public, apply, roster_hash
from structures import ADD, DAY, HEAL, LEAVE, MINUTE, REMOVE, RESET, SET_ROLE, UPDATE


class Person:
    """An account with any number of devices, which need not be registered."""

    def __init__(self, devices=1, time=None, version=0, keys=None, account=None, previous=None):
        self.account_private = account or random(32)
        self.privates = keys or [random(32) for _ in range(devices)]
        self.account = signing_public(self.account_private)
        self.version = version
        body = st.ManifestBody(self.account, version, now() if time is None else time,
                               previous or (ZEROS if version else None),
                               [signing_public(key) for key in self.privates]).bytes()
        digest = H("manifest", body)
        self.manifest = st.Manifest(body, sign(self.account_private, "manifest", digest),
                                    [membership(self.account, key) for key in self.privates]).bytes()
        self.devices = [st.device_id(signing_public(key)) for key in self.privates]

    def next(self, keys, **change):
        """The account with its next manifest, of these devices."""
        previous = H("manifest", st.Manifest.read(self.manifest).body)
        return Person(**dict(dict(keys=keys, account=self.account_private, version=self.version + 1, previous=previous),
                             **change))

    @classmethod
    def of(cls, client):
        self = cls.__new__(cls)
        device = client.profile.device
        self.account, self.devices, self.manifest = device.account, [device.device], device.manifest
        self.privates = [device.device_private]
        return self


def update(*people):
    return UPDATE, [[person.manifest for person in people]]


def heal(time):
    return HEAL, [random(32), time]


def signed(body, private):
    """A commit whose secrets are noise: neither the server nor the rules can tell."""
    data, confirmation = body.bytes(), random(32)
    digest = H("commit", H("commit body", data), confirmation)
    return st.Commit(data, confirmation, sign(private, "commit", digest)).bytes()


class Log:
    """A group on the server and the same group as the rules here see it."""

    def __init__(self, test, owner):
        self.test, self.owner = test, owner
        commit, held = genesis(owner.profile.device, now())
        owner.connect().request("commit", commit, [], [])
        self.public = held.public

    def attempt(self, what, client, operations, valid, accepted=None, **change):
        """Makes a commit, asks both, compares with what the document says. `accepted`: by the server, where that is not
        whether the commit is valid."""
        public, author = self.public, Person.of(client)
        try:
            leaves = apply(public.leaves, st.CommitBody(ZEROS, public.epoch + 1, ZEROS, 0, author.devices[0], None,
                                                        operations, ZEROS, [], 0))
        except (Malformed, Refused):
            leaves = public.leaves
        removes = any(name not in (ADD, SET_ROLE) for name, _ in operations)
        fields = dict(group=public.group, epoch=public.epoch + 1, previous=public.head, last_distribution=0,
                      author=author.devices[0], commitment=random(32) if removes else None, operations=operations,
                      roster=roster_hash(leaves or [None]), unreachable=[], time=now())
        private = change.pop("private", author.privates[0])
        fields.update(change)
        body = st.CommitBody(**fields)
        commit = signed(body, private)
        before = {device for _, device, _ in public.devices()}
        after = [st.device_id(leaf.device_key) for leaf in leaves if leaf is not None]
        out = set(body.unreachable)
        wraps = [b"\x01\0" + random(38) for device in after
                 if device in before and device not in out and device != body.author and body.commitment is not None]
        envelope = st.Envelope(random(32), random(1088), None, random(32), random(320)).bytes()
        welcomes = [[device, b"\x01\x01" + envelope] for device in after if device not in before and device not in out]
        try:
            next_, here = public.follow(commit), ""
        except (Refused, Malformed) as refused:
            next_, here = None, str(refused)
        try:
            client.connect().request("commit", commit, wraps, welcomes)
            there = ""
        except ServerRefused as refused:
            there = str(refused)
        with self.test.subTest(what):
            self.test.assertEqual((not here, not there), (valid, valid if accepted is None else accepted),
                                  f"here: {here or 'ok'}; server: {there or 'ok'}")
        if next_ is not None and not there:
            self.public = next_


def add(person, role=MEMBER):
    return (ADD, [role, person.manifest])


def remove(person):
    return (REMOVE, [person.account])


def role(person, role):
    return (SET_ROLE, [person.account, role])


class Rules:
    """Mixed into the test that has a server."""

    def rules(self, server):
        owner, admin, member, second, outsider = clients = [
            server.python(name) for name in ("owner", "admin", "member", "second", "outsider")]
        o, a, m, s, out = map(Person.of, clients)
        log = Log(self, owner)
        yes, no = (lambda *args, **change: log.attempt(*args, True, **change),
                   lambda *args, **change: log.attempt(*args, False, **change))
        try:
            yes("an owner adds all roles", owner, [add(a, ADMIN), add(m), add(s, OWNER)])
            # R31
            no("an outsider", outsider, [add(out)])
            no("another's signature", owner, [add(out)], private=a.privates[0])
            no("another epoch", owner, [add(out)], epoch=log.public.epoch + 2)
            no("another head", owner, [add(out)], previous=random(32))
            no("another group", owner, [add(out)], group=random(32))
            # R32
            no("a member adds", member, [add(out)])
            no("a member removes", member, [remove(a)])
            no("a member raises itself", member, [role(m, OWNER)])
            no("an admin adds an admin", admin, [add(out, ADMIN)])
            no("an admin adds an owner", admin, [add(out, OWNER)])
            no("an admin removes an owner", admin, [remove(s)])
            no("an admin sets a role", admin, [role(m, MEMBER)])
            no("an unknown role", owner, [add(out, 3)])
            # R33, R34, R35
            no("an admin removes itself", admin, [remove(a)])
            no("an owner removes itself", owner, [remove(o)])
            no("no operation", owner, [])
            no("an account twice", owner, [role(m, ADMIN), role(m, MEMBER)])
            no("removed and added", owner, [remove(m), add(m)])
            no("added and raised", owner, [add(out), role(out, ADMIN)])
            no("added twice", owner, [add(out), add(out)])
            # R36
            no("there already", owner, [add(m)])
            no("changed but not there", owner, [role(out, ADMIN)])
            no("removed but not there", owner, [remove(out)])
            no("a device of somebody there", owner, [add(Person(keys=m.privates))])
            no("a device of somebody removed by this", owner, [remove(m), add(Person(keys=m.privates))])
            shared = random(32)
            no("a device added twice", owner, [add(Person(keys=[shared])), add(Person(keys=[shared]))])
            at = now()
            no("a manifest too old", owner, [add(Person(time=at - 30 * DAY - 10 * MINUTE - 1))], time=at)
            yes("a manifest just not too old", owner, [add(Person(time=at - 30 * DAY - 10 * MINUTE))], time=at)
            no("a manifest from the future", owner, [add(Person(time=at + 10 * MINUTE + 1))], time=at)
            yes("a manifest just not from the future", owner, [add(Person(time=at + 10 * MINUTE))], time=at)
            # R37
            no("a commitment without a removal", owner, [role(m, MEMBER)], commitment=random(32))
            no("a removal without a commitment", owner, [remove(m)], commitment=None)
            # R38
            listed = sorted([a.devices[0], s.devices[0]])
            no("unreachable: not sorted", owner, [remove(m)], unreachable=listed[::-1])
            no("unreachable: one twice", owner, [remove(m)], unreachable=listed[:1] * 2)
            no("unreachable: the author", owner, [remove(m)], unreachable=o.devices)
            no("unreachable: the removed", owner, [remove(m)], unreachable=m.devices)
            no("unreachable: nobody's", owner, [remove(m)], unreachable=[random(32)])
            no("unreachable: one who gets nothing", owner, [role(m, MEMBER)], unreachable=a.devices)
            # R39
            no("another roster", owner, [role(m, MEMBER)], roster=random(32))
            # and what is allowed
            yes("a role to what it is", owner, [role(m, MEMBER)])
            yes("a time before the head's", owner, [role(m, MEMBER)], time=now() - DAY)
            # R39b
            yes("from the future", owner, [role(m, MEMBER)], accepted=False, time=now() + 11 * MINUTE)
            yes("from the near future", owner, [role(m, MEMBER)], time=now() + 9 * MINUTE)
            # R39a: there is no distribution, but only for adds that matters
            yes("another last distribution", owner, [add(out)], accepted=False, last_distribution=1)
            yes("another last distribution without an add", owner, [role(m, MEMBER)], last_distribution=1)
            pair = Person(devices=2, version=3)
            yes("an admin adds an account of two devices, one out of reach", admin, [add(pair)],
                unreachable=pair.devices[:1])
            yes("an admin removes it and adds others, who take its leaves", admin,
                [remove(pair), add(Person(devices=3)), add(out)])
            self.updates(log, yes, no, owner, member, admin)
            self.heals_and_leaves(log, yes, no, owner, member, admin)
            yes("some out of reach", owner, [remove(out)], unreachable=listed)
            yes("an admin removes a member", admin, [remove(m)])
            yes("an owner removes an admin", owner, [remove(a)])
            yes("an owner steps back", owner, [role(o, ADMIN)])
            no("no owner remains", second, [role(s, MEMBER)])
            yes("the other owner removes the first", second, [remove(o), add(m, OWNER)])
            yes("an owner removes an owner", second, [remove(m)])
            self.geneses(second)
        finally:
            for client in clients:
                client.close()

    def updates(self, log, yes, no, owner, member, admin):
        """R100, R101."""
        couple = Person(devices=2)
        first, second = couple.privates
        yes("an account of two devices", owner, [add(couple)])
        less = couple.next([first])
        other = couple.next([second])
        more = less.next([random(32), first])
        no("what is recorded already", member, [update(couple)])
        no("a manifest left out", member, [update(more)])
        no("a broken chain", member, [update(less, less)])
        no("a branch", member, [update(other, more)])
        no("an account that is not there", member, [update(Person().next([random(32)]))])
        no("a device of somebody there", member, [update(couple.next([first, Person.of(owner).privates[0]]))])
        no("a device that this adds", owner, [add(Person(keys=[second_new := random(32)])),
                                              update(couple.next([first, second_new]))])
        no("an account twice", owner, [update(less), role(couple, ADMIN)])
        no("without a commitment", member, [update(less)], commitment=None)
        at = now()
        stale = at - 30 * DAY - 10 * MINUTE - 1
        no("a new device under an old manifest", member, [update(couple.next([first, random(32)], time=stale))], time=at)
        yes("an old manifest with nothing new", member, [update(couple.next([first, second], time=stale))], time=at)
        again = couple.next([first, second], time=stale)
        less = again.next([first])
        more = less.next([random(32), first])
        yes("one device goes and another comes", member, [update(less, more)])
        no("the same once more", member, [update(less, more)])
        yes("its account goes", admin, [remove(couple)])

    def heals_and_leaves(self, log, yes, no, owner, member, admin):
        """R102 to R105."""
        at = now()
        yes("a member heals", member, [heal(at)], time=at)
        no("prekeys no newer than the last heal's", member, [heal(at)], time=at)
        no("prekeys from the future", member, [heal(at + 10 * MINUTE + 1)], time=at)
        no("two heals", member, [heal(at + 1), heal(at + 2)], time=at)
        no("a heal without a commitment", member, [heal(at + 1)], commitment=None)
        yes("a newer heal", member, [heal(at + 10 * MINUTE)], time=at)
        no("a member resets", member, [(RESET, [])])
        no("two resets", owner, [(RESET, []), (RESET, [])])
        no("a reset without a commitment", admin, [(RESET, [])], commitment=None)
        yes("an admin resets", admin, [(RESET, [])])
        guest = Person()
        yes("a guest", owner, [add(guest)])
        since = log.public.epoch
        good = dict(group=log.public.group, account=guest.account, device=guest.devices[0], since=since, time=at)

        def leave(private=guest.privates[0], **change):
            body = st.LeaveBody(**dict(good, **change)).bytes()
            return LEAVE, [st.LeaveRequest(body, sign(private, "leave request", H("leave request", body))).bytes()]
        no("of another group", member, [leave(group=random(32))], time=at)
        no("of another account", member, [leave(account=random(32))], time=at)
        no("of another stay", member, [leave(since=since - 1)], time=at)
        no("signed by another", member, [leave(random(32))], time=at)
        no("of a device that is not there", member, [leave(device=random(32))], time=at)
        no("too old", member, [leave(time=at - 30 * DAY - 10 * MINUTE - 1)], time=at)
        no("from the future", member, [leave(time=at + 10 * MINUTE + 1)], time=at)
        no("an account that leaves twice", member, [leave(), leave()], time=at)
        no("without a commitment", member, [leave()], time=at, commitment=None)
        me = Person.of(member)
        own = dict(account=me.account, device=me.devices[0], since=log.public.find(me.devices[0])[1].since)
        no("its own request", member, [leave(me.privates[0], **own)], time=at)
        yes("a member executes a request", member, [leave()], time=at)
        yes("who left is added again", owner, [add(guest)])
        no("the old request once more", member, [leave()], time=at)
        yes("the guest goes", admin, [remove(guest)])

    def geneses(self, client):
        """R30. Each genesis is its author's own."""
        me = Person.of(client)

        def attempt(what, valid, **change):
            fields = dict(group=random(32), epoch=0, previous=ZEROS, last_distribution=0, author=me.devices[0],
                          commitment=random(32), operations=[add(me, OWNER)], roster=None, unreachable=[], time=now())
            signer = change.pop("private", me.privates[0])
            fields.update(change)
            if fields["roster"] is None:
                fields["roster"] = ZEROS
                fields["roster"] = roster_hash(apply([], st.CommitBody(**fields)) or [None])
            commit = signed(st.CommitBody(**fields), signer)
            try:
                Public.genesis(commit, st.Commit.read(commit).hash())
                here = ""
            except (Refused, Malformed) as refused:
                here = str(refused)
            try:
                client.connect().request("commit", commit, [], [])
                there = ""
            except ServerRefused as refused:
                there = str(refused)
            with self.subTest(f"genesis: {what}"):
                self.assertEqual((not here, not there), (valid, valid), f"here: {here or 'ok'}; server: {there or 'ok'}")

        attempt("as it should be", True)
        attempt("with a predecessor", False, previous=random(32))
        attempt("with a distribution", False, last_distribution=1)
        attempt("of epoch 1", False, epoch=1)
        attempt("without a commitment", False, commitment=None)
        attempt("as admin", False, operations=[add(me, ADMIN)])
        attempt("of somebody else", False, operations=[add(Person(), OWNER)])
        attempt("with somebody else", False, operations=[add(me, OWNER), add(Person())])
        attempt("signed by another", False, private=random(32))
        attempt("too late", False, time=now() + 31 * DAY)
        attempt("another roster", False, roster=random(32))
        attempt("with itself out of reach", False, unreachable=me.devices)
        keys = [me.privates[0], random(32)]
        pair = Person(keys=keys, account=client.profile.device.account_private, version=1)
        attempt("with a second device out of reach", True, operations=[add(pair, OWNER)], unreachable=pair.devices[1:])
        attempt("with somebody out of reach", False, unreachable=[random(32)])
