#!/usr/bin/env python3
"""Parties of this implementation among themselves, over logs in memory: no server, so that a test may lose, repeat and
forge what it likes."""

import copy
import unittest

from authoring import genesis, stage
from crypto import Refused, random
from device import Device, now
from group import PENDING, Group
from pairwise import INITIAL, WRAP
from structures import (COMMIT, DAY, DISTRIBUTION, MESSAGE, Certificate, CertificateBody, CommitBody, Commit, Distribution,
                        DistributionBody, Entry, Manifest, ManifestBody, Message, Prekeys, Run)


class Log:
    """A group's log. The genesis is its first entry."""

    def __init__(self, author):
        commit, held = genesis(author.device, author.time)
        self.group, self.entries = held.public.group, []
        author.groups[self.group] = held
        self.append(COMMIT, commit, {})

    def append(self, kind, body, deliveries=()):
        """`deliveries` is a dict of devices."""
        self.entries.append((kind, body, dict(deliveries)))
        return len(self.entries)

    def entry(self, seq, device):
        kind, body, deliveries = self.entries[seq - 1]
        return Entry(self.group, seq, kind, deliveries.get(device) or None, body)

    def forms(self, seq):
        """What the deliveries of an entry are."""
        return {device: delivery[:2] for device, delivery in self.entries[seq - 1][2].items()}


class Party:
    def __init__(self):
        self.time = now()
        self.device = Device.create(self.time)
        self.prekeys = Prekeys.read(self.device.make_prekeys(self.time))
        self.groups = {}

    @property
    def id(self):
        return self.device.device

    def others(self, log):
        public = self.groups[log.group].public
        return [device for _, device, _ in public.devices() if device != self.id]

    def read(self, log, until=None):
        """Joins where the log adds this device and processes what follows. Returns the events."""
        events = []
        if log.group not in self.groups:
            commits = [seq for seq, (kind, _, _) in enumerate(log.entries, 1) if kind == COMMIT]
            joined = max(seq for seq in commits if self.id in log.entries[seq - 1][2]
                         and self._added_by(log.entries[seq - 1][1]))
            device = copy.deepcopy(self.device)
            self.groups[log.group] = Group.join(device, log.group,
                                                [log.entry(seq, self.id) for seq in commits if seq <= joined])
            self.device = device
        while not self.groups[log.group].removed and self.groups[log.group].cursor < (until or len(log.entries)):
            entry = log.entry(self.groups[log.group].cursor + 1, self.id)
            self.groups[log.group], self.device, some = self.groups[log.group].receive(self.device, entry, self.time)
            events += some
        return events

    def _added_by(self, commit):
        operations = CommitBody.read(Commit.read(commit).body).operations
        return any(name == "add" and ManifestBody.read(Manifest.read(fields[1]).body).account == self.device.account
                   for name, fields in operations)

    # What these make is returned, to be lost, or goes to the log.

    def make_commit(self, log, people, adds=(), removes=(), at=None):
        """`people`: everybody, for their prekeys."""
        self.read(log)
        held = self.groups[log.group]
        prekeys = {party.id: party.prekeys.check(party.id, self.time) for party in people}
        commit, deliveries, welcomes = stage(held, self.device, [(0, party.device.manifest) for party in adds],
                                             [party.device.account for party in removes], prekeys, at or self.time)
        out = {party.id for party in removes} | set(CommitBody.read(Commit.read(commit).body).unreachable)
        staying = [device for device in self.others(log) if device not in out]
        return COMMIT, commit, {**dict(zip(staying, deliveries)), **{device: welcome for device, welcome in welcomes}}

    def commit(self, log, people, **change):
        seq = log.append(*self.make_commit(log, people, **change))
        self.read(log)
        return seq

    def make_distribution(self, log, people, at=None):
        self.read(log)
        prekeys = {party.id: party.prekeys.check(party.id, self.time) for party in people}
        body, deliveries = self.groups[log.group].distribute(self.device, prekeys, at or self.time)
        return DISTRIBUTION, body, dict(zip(self.others(log), deliveries))

    def distribute(self, log, people, **when):
        seq = log.append(*self.make_distribution(log, people, **when))
        self.read(log)
        return seq

    def make(self, log, content):
        return self.groups[log.group].seal(self.device, content)

    def make_run(self, log, *contents):
        return self.groups[log.group].seal_run(self.device, list(contents))

    def send(self, log, content):
        seq = log.append(MESSAGE, self.make(log, content))
        self.read(log)
        return seq


def broken(message):
    """The message under a signature that does not verify."""
    return message[:-64] + bytes(64)


def contents(events):
    return [event["content"] for event in events if event["kind"] == "message"]


def kinds(events):
    return [event["kind"] for event in events]


def alarms(events):
    return [event["alarm"] for event in events if "alarm" in event]


class Parties(unittest.TestCase):
    def setUp(self):
        self.ann, self.bob, self.cy = self.all = [Party() for _ in range(3)]

    def quiet(self, events):
        for event in events:
            self.assertNotIn(event["kind"], ("refused", "repeat", "pending"), event)
            self.assertFalse({"alarm", "locked out"} & event.keys(), event)
            self.assertTrue(event.get("readable", True), event)
        return events

    def room(self, *others):
        """A log that Ann began, with those in it, who have read it, and her sender key in it."""
        log = Log(self.ann)
        others = others or (self.bob,)
        self.ann.commit(log, self.all, adds=others)
        for party in others:
            party.read(log)
        self.ann.distribute(log, self.all)
        for party in others:
            self.quiet(party.read(log))
        return log

    def cut(self, delivered):
        kind, body, _ = delivered
        return kind, body, {}


class Chains(Parties):
    def test_logs_in_either_order(self):
        """R58: a chain belongs to one group, so that it does not matter which log a recipient reads first."""
        logs = []
        for _ in range(2):
            log = Log(self.ann)
            self.ann.commit(log, self.all, adds=[self.bob, self.cy])
            logs.append(log)
        forms = []
        for turn in range(2):                                   # in turns, so that the two logs grow into each other
            for log in logs:
                forms.append(log.forms(self.ann.distribute(log, self.all))[self.bob.id])
                self.ann.send(log, b"%d" % turn)
        for log in logs:
            forms.append(log.forms(self.ann.commit(log, self.all, removes=[self.cy]))[self.bob.id])
            self.ann.distribute(log, self.all)
            self.ann.send(log, b"without cy")
        self.assertEqual(set(forms), {WRAP})                    # the welcomes have opened the chains
        for order in (logs, logs[::-1]):
            bob = copy.deepcopy(self.bob)
            for log in order:
                self.assertEqual(contents(self.quiet(bob.read(log))), [b"0", b"1", b"without cy"])
        bob = copy.deepcopy(self.bob)
        for upto in range(2, len(logs[0].entries) + 1):         # one entry of each, by turns
            for log in logs[::-1]:
                self.quiet(bob.read(log, upto))
        self.assertEqual(len({key[0] for key in bob.device.pairwise.receiving}), 2)

    def test_used_once_the_log_shows_it(self):
        """R58: what a lost upload would have opened is not used; staged anew it goes by initial envelopes."""
        log = self.room(self.bob, self.cy)
        self.bob.make_distribution(log, self.all)               # lost
        seq = self.bob.distribute(log, self.all)
        self.assertEqual(set(log.forms(seq).values()), {INITIAL})
        self.assertEqual(contents(self.quiet(self.ann.read(log))), [])
        self.assertEqual(set(log.forms(self.bob.distribute(log, self.all)).values()), {WRAP})
        self.quiet(self.ann.read(log) + self.cy.read(log))

        ann = self.ann
        ann.device.pairwise.sending.clear()
        ann.make_commit(log, self.all, removes=[self.cy])       # lost: the server refused it (R45)
        ann.groups[log.group].staged_commit = None
        seq = ann.commit(log, self.all, removes=[self.cy])
        self.assertEqual(log.forms(seq), {self.bob.id: INITIAL})
        self.assertEqual(set(log.forms(ann.distribute(log, self.all)).values()), {WRAP})
        ann.send(log, b"still here")
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"still here"])

    def test_a_commit_that_lost_opens_nothing(self):
        """R58, R45: another commit in the place of the staged one; its chains are not used."""
        log = self.room(self.bob, self.cy)
        self.ann.device.pairwise.sending.clear()
        self.ann.make_commit(log, self.all, removes=[self.cy])
        other = copy.deepcopy(self.ann)                         # of the same rights, a copy for want of another owner
        other.groups[log.group].staged_commit = None
        log.append(*other.make_commit(log, self.all, removes=[self.cy]))
        self.ann.read(log)
        self.assertIsNone(self.ann.groups[log.group].staged_commit)
        self.assertEqual(self.ann.device.pairwise.sending, {})

    def test_erased_with_the_commit(self):
        """R58: chains to and from a removed device go with the commit, at everybody, and in that group alone."""
        log, other = self.room(self.bob, self.cy), self.room(self.bob, self.cy)
        for one in (log, other):
            self.cy.distribute(one, self.all)
            for party in (self.ann, self.bob):
                party.read(one)
        of_cy = lambda party: {key[0] for chains in (party.device.pairwise.sending, party.device.pairwise.receiving)
                               for key in chains if key[1] == self.cy.id}
        self.assertEqual(of_cy(self.ann), {log.group, other.group})
        self.ann.commit(log, self.all, removes=[self.cy])
        self.quiet(self.bob.read(log))
        self.assertEqual(kinds(self.cy.read(log))[-1], "removed")
        self.assertEqual(of_cy(self.ann), {other.group})
        self.assertEqual(of_cy(self.bob), {other.group})
        self.assertEqual({key[0] for key in self.cy.device.pairwise.receiving}, {other.group})
        # Added again it is another sender, and begins with initial envelopes.
        self.assertEqual(log.forms(self.ann.commit(log, self.all, adds=[self.cy]))[self.cy.id], INITIAL)
        del self.cy.groups[log.group]
        self.cy.read(log)
        self.assertEqual(set(log.forms(self.cy.distribute(log, self.all)).values()), {INITIAL})
        self.cy.send(log, b"back")
        for party in (self.ann, self.bob):
            self.assertEqual(contents(self.quiet(party.read(log))), [b"back"])

    def test_an_envelope_that_leads_nowhere_opens_its_chain(self):
        """R43, section 4.3: without an init secret the chain of an envelope that opened is kept all the same."""
        dee = Party()
        self.all.append(dee)
        log = self.room(self.bob, self.cy, dee)
        log.append(*self.cut(self.ann.make_commit(log, self.all, removes=[self.cy])))
        self.ann.read(log)
        events = self.bob.read(log)
        self.assertIn("locked out", events[-1])
        self.assertEqual(contents(events), [])
        self.bob.device.pairwise.receiving.clear()
        self.ann.device.pairwise.sending.clear()
        for make in (lambda: self.ann.distribute(log, self.all), lambda: self.ann.commit(log, self.all, removes=[dee])):
            self.assertEqual(log.forms(make())[self.bob.id], INITIAL)
            self.bob.read(log)
            self.assertEqual(len(self.bob.device.pairwise.receiving.pop((log.group, self.ann.id))), 1)
            self.ann.device.pairwise.sending.clear()


class Pending(Parties):
    def test_accepted_by_the_next_authentic_message(self):
        """R68: one or several in a row, linked directly or through each other; in a log it makes no difference when."""
        log = self.room()
        for run in (1, 2, 5):
            made = [b"%d of %d" % (i, run) for i in range(run)]
            for content in made:
                log.append(MESSAGE, broken(self.ann.make(log, content)))
            first = len(log.entries) - run + 1
            events = self.bob.read(log)
            self.assertEqual(kinds(events), ["pending"] * run)
            self.assertFalse(any("content" in event for event in events))
            log.append(MESSAGE, self.ann.make(log, b"last"))
            events = self.quiet(self.bob.read(log))
            self.assertEqual(contents(events), [*made, b"last"])
            self.assertEqual([event["seq"] for event in events], list(range(first, first + run + 1)))
        self.assertEqual(self.bob.groups[log.group].senders[self.ann.id, 0].pending, [])

    def test_dropped_by_the_next_authentic_message(self):
        """R68: what a member could make up with the chain key blocks nothing, and is never shown."""
        log = self.room()
        self.bob.read(log)
        forger = copy.deepcopy(self.ann)
        for index in range(3):                                  # at the indices that the genuine ones will have
            log.append(MESSAGE, broken(forger.make(log, b"forged")))
        seq = log.append(MESSAGE, self.ann.make(log, b"genuine"))
        events = self.bob.read(log)
        self.assertEqual(kinds(events), ["pending"] * 3 + ["refused"] * 3 + ["message"])
        self.assertEqual([event["seq"] for event in events[3:]], [seq - 3, seq - 2, seq - 1, seq])
        self.assertEqual((contents(events), alarms(events)), ([b"genuine"], []))
        log.append(MESSAGE, self.ann.make(log, b"genuine too"))
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"genuine too"])
        # Some are linked to and some are not.
        forger = copy.deepcopy(self.ann)
        log.append(MESSAGE, broken(forger.make(log, b"forged")))
        log.append(MESSAGE, broken(self.ann.make(log, b"its own")))
        log.append(MESSAGE, broken(forger.make(log, b"forged")))
        log.append(MESSAGE, self.ann.make(log, b"and on"))
        events = self.bob.read(log)
        self.assertEqual((contents(events), alarms(events)), ([b"its own", b"and on"], []))
        self.assertEqual(kinds(events).count("refused"), 2)

    def test_something_before_the_pending_one_is_missing(self):
        """R65, R68: the alarm is the earliest accepted one's."""
        log = self.room()
        self.ann.make(log, b"lost")
        log.append(MESSAGE, broken(self.ann.make(log, b"pending")))
        log.append(MESSAGE, self.ann.make(log, b"last"))
        events = self.bob.read(log)
        self.assertEqual(contents(events), [b"pending", b"last"])
        self.assertEqual(["alarm" in event for event in events if event["kind"] == "message"], [True, False])

    def test_dropped_by_a_commit_or_a_generation(self):
        """R68: not accepted by what comes in the next epoch, or under the next key."""
        for change in (lambda log: self.ann.distribute(log, self.all),
                       lambda log: self.ann.commit(log, self.all, adds=[self.cy])):
            log = self.room()
            log.append(MESSAGE, broken(self.ann.make(log, b"pending")))
            seq = len(log.entries)
            self.bob.read(log)
            change(log)
            events = self.bob.read(log)
            self.assertEqual([(event["kind"], event["seq"]) for event in events][0], ("refused", seq))
            self.ann.send(log, b"later")
            events = self.bob.read(log)
            self.assertEqual(contents(events), [b"later"])
            self.assertEqual(alarms(events), [])                # it was never in the log as far as anybody can tell

    def test_limits(self):
        """R68: the last 64 of a sender, and 256 KiB of their content."""
        for size, kept in ((10, PENDING), (60_000, 4)):
            log = self.room()
            for _ in range(kept + 2):
                log.append(MESSAGE, broken(self.ann.make(log, bytes(size))))
            events = self.bob.read(log)
            self.assertEqual(kinds(events).count("refused"), 2)
            log.append(MESSAGE, self.ann.make(log, b"last"))
            events = self.bob.read(log)
            self.assertEqual(len(contents(events)), kept + 1)
            self.assertEqual(len(alarms(events)), 1)            # the two before are missing

    def test_a_forgery_that_does_not_decrypt(self):
        """R63, R68: it is refused and not pending."""
        log = self.room()
        message = Message.read(self.ann.make(log, b"text"))
        message.ciphertext = random(len(message.ciphertext))
        log.append(MESSAGE, message.bytes())
        self.assertEqual(kinds(self.bob.read(log)), ["refused"])


class Runs(Parties):
    def test_between_messages(self):
        """R69, R143, R144: several messages in one entry, linked like others; it vouches for what it links to."""
        log = self.room()
        log.append(MESSAGE, self.ann.make(log, b"before"))
        log.append(MESSAGE, broken(self.ann.make(log, b"pending")))
        log.append(MESSAGE, self.ann.make_run(log, b"one", b"two", b"three"))
        log.append(MESSAGE, self.ann.make(log, b"after"))
        said = [b"before", b"pending", b"one", b"two", b"three", b"after"]
        self.assertEqual(contents(self.ann.read(log)), [said[0], *said[2:]])
        self.assertEqual((contents(events := self.bob.read(log)), alarms(events)), (said, []))
        log.append(MESSAGE, log.entries[-2][1])
        events = self.bob.read(log)
        self.assertEqual((kinds(events), alarms(events)), (["repeat"], []))

    def test_whole_or_not_at_all(self):
        """R69, R141, R143: refused and never pending, however it was changed; the good one still comes through."""
        log = self.room()
        run = self.ann.make_run(log, b"one", b"two", b"three")
        for change in (lambda all: all.pop(), lambda all: all.pop(0), lambda all: all.reverse(),
                       lambda all: all.append(all[0]), lambda all: None):
            spoilt = Run.read(run)
            change(spoilt.ciphertexts())
            log.append(MESSAGE, spoilt.bytes() if spoilt.bytes() != run else broken(run))
            self.assertEqual(kinds(self.bob.read(log)), ["refused"])
        log.append(MESSAGE, run)
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"one", b"two", b"three"])

    def test_equivocation(self):
        """R142: a second entry under the keys of the last one, be it a message or a run."""
        log = self.room()
        thief = copy.deepcopy(self.ann)
        for first in (self.ann.make(log, b"by ann"), self.ann.make_run(log, b"by", b"ann")):
            copies = [copy.deepcopy(thief) for _ in range(3)]
            log.append(MESSAGE, first)
            self.assertTrue(contents(self.bob.read(log)))
            seconds = [copies[0].make(log, b"by the thief"), copies[1].make_run(log, b"by", b"the", b"thief")]
            for second in seconds:
                log.append(MESSAGE, second)
                self.assertIn("R142", self.bob.read(log)[0]["reason"])
            log.append(MESSAGE, broken(seconds[0]))
            self.assertEqual(kinds(self.bob.read(log)), ["repeat"])
            thief.make(log, b"one ahead")


class Refusals(Parties):
    def test_repeats_are_no_alarm(self):
        """R61, R64, R67, R71: the same entry once more, for those who read it and for whoever made it."""
        log = self.room()
        seq = self.ann.send(log, b"once")
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"once"])
        for again in (seq, seq - 1):                            # the message, the distribution before it
            kind, body, deliveries = log.entries[again - 1]
            log.append(kind, body, deliveries)
            for party in (self.ann, self.bob):
                events = party.read(log)
                self.assertEqual((kinds(events), alarms(events)), (["repeat"], []))
        pending = log.append(MESSAGE, broken(self.ann.make(log, b"pending")))
        log.append(*log.entries[pending - 1])
        self.assertEqual(kinds(self.bob.read(log)), ["pending", "repeat"])
        log.append(MESSAGE, self.ann.make(log, b"last"))
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"pending", b"last"])

    def test_too_late(self):
        """R67: sealed under a key that a later distribution replaced: refused by all, no alarm for its maker."""
        log = self.room()
        late = self.ann.make(log, b"late")
        self.ann.distribute(log, self.all)
        log.append(MESSAGE, late)
        self.assertEqual(alarms(self.ann.read(log)), [])
        self.assertEqual(contents(self.bob.read(log)), [])
        self.ann.send(log, b"again")
        events = self.bob.read(log)
        self.assertEqual((contents(events), alarms(events)), ([b"again"], []))

    def test_in_the_name_of_this_device(self):
        """R46, R67: what a copy of the device's state makes is followed, and an alarm."""
        log = self.room()
        copied = copy.deepcopy(self.ann)
        copied.send(log, b"by the copy")
        copied.distribute(log, self.all)
        copied.commit(log, self.all, adds=[self.cy])
        events = self.ann.read(log)
        self.assertEqual([alarm[:3] for alarm in alarms(events)], ["R67", "R67", "R46"])
        self.assertEqual(self.ann.groups[log.group].public, copied.groups[log.group].public)
        self.assertIsNotNone(self.ann.groups[log.group].init)

    def test_altered_by_the_server(self):
        """R67: a message of this device under another signature."""
        log = self.room()
        log.append(MESSAGE, broken(self.ann.make(log, b"text")))
        self.assertEqual([alarm[:3] for alarm in alarms(self.ann.read(log))], ["R67"])

    def test_certificates_that_grow_too_old(self):
        """R60: dropped with the commit that makes them void, by their owner too; R65: and the links go on."""
        log = self.room()
        for party in self.all:
            party.time += 10 * DAY
        self.ann.send(log, b"before")
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"before"])
        for party in self.all:
            party.time += 5 * DAY
        self.ann.commit(log, self.all, adds=[self.cy])
        self.quiet(self.bob.read(log))
        self.cy.read(log)
        for party in (self.ann, self.bob):
            self.assertIsNone(party.groups[log.group].senders[self.ann.id, 0].key)
        self.assertNotIn((self.ann.id, 0), self.cy.groups[log.group].senders)
        with self.assertRaises(Refused):
            self.ann.make(log, b"no key")
        self.assertTrue(self.ann.groups[log.group].must_distribute(self.ann.device, self.ann.time))
        seq = self.ann.distribute(log, self.all)
        self.assertFalse(self.certificate(log, seq).first_link)
        self.ann.send(log, b"after")
        for party in (self.bob, self.cy):
            self.assertEqual(contents(self.quiet(party.read(log))), [b"after"])

    def certificate(self, log, seq):
        body = DistributionBody.read(Distribution.read(log.entries[seq - 1][1]).body)
        return CertificateBody.read(Certificate.read(body.certificate).body)


class Baselines(Parties):
    def test_first_link(self):
        """R65: the first certificate since the device was added says what the first message links to."""
        log = Log(self.ann)
        self.ann.commit(log, self.all, adds=[self.bob])
        self.bob.read(log)
        first, second = self.ann.distribute(log, self.all), self.ann.distribute(log, self.all)
        certificate = Refusals.certificate
        self.assertEqual([certificate(self, log, seq).first_link for seq in (first, second)], [True, False])
        one = copy.deepcopy(self.bob)
        self.ann.send(log, b"first")                            # under the second certificate: links to the first
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"first"])
        del log.entries[-1]
        log.append(MESSAGE, self.ann.make(log, b"second"))
        self.assertEqual(len(alarms(one.read(log))), 1)

    def test_not_readable_for_a_time(self):
        """R61, R65: after a delivery that did not come, and for a newcomer, the next message is the baseline."""
        log = Log(self.ann)
        self.ann.commit(log, self.all, adds=[self.bob])
        self.bob.read(log)
        log.append(*self.cut(self.ann.make_distribution(log, self.all)))
        self.ann.read(log)
        self.ann.send(log, b"unread")
        events = self.bob.read(log)
        self.assertEqual((kinds(events), events[0]["readable"]), (["distribution", "refused"], False))
        self.ann.distribute(log, self.all)
        self.ann.send(log, b"read")
        self.assertEqual(contents(self.quiet(self.bob.read(log))), [b"read"])
        self.ann.commit(log, self.all, adds=[self.cy])
        self.ann.send(log, b"and by cy")
        for party in (self.bob, self.cy):
            self.assertEqual(contents(self.quiet(party.read(log))), [b"and by cy"])
        self.ann.make(log, b"lost")
        log.append(MESSAGE, self.ann.make(log, b"after it"))
        for party in (self.bob, self.cy):
            self.assertEqual(len(alarms(party.read(log))), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
