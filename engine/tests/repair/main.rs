//! What a device lacks, asks for and is given; and what a server, a member or a stranger can make of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod alarms;
mod answers;
mod receipts;
mod requests;
mod story;

use conclave_engine::wire::ids::{Opaque, Timestamp};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Event, GroupState, PrekeyBook};
use std::time::Duration;
use support::{Log, Person, gather};

/// Alice, who owns the group, Bob and Carol, who have spoken, and Dave, who is there to be removed.
struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
    dave: Person,
}

impl Case {
    fn new() -> Self {
        let [mut alice, mut bob] = [Person::new("alice", 1), Person::new("bob", 2)];
        let [mut carol, mut dave] = [Person::new("carol", 3), Person::new("dave", 4)];
        let people = &mut [&mut alice, &mut bob, &mut carol, &mut dave];
        let (mut log, keys) = gather(people, &[Role::Member; 3]);
        alice.send(&mut log, &keys, b"from alice");
        bob.send(&mut log, &keys, b"from bob");
        let mut case = Self { log, keys, alice, bob, carol, dave };
        case.catch_up();
        case
    }

    fn catch_up(&mut self) {
        for person in [&mut self.alice, &mut self.bob, &mut self.carol] {
            person.catch_up(&self.log);
        }
    }

    fn wait(&mut self, span: Duration) {
        for person in [&mut self.alice, &mut self.bob, &mut self.carol, &mut self.dave] {
            person.now = person.now.plus(span);
        }
    }

    fn now(&self) -> Timestamp {
        self.carol.now
    }

    /// Bob distributes a new sender key, whose delivery to Carol the server spoils; she has read that.
    fn carol_misses_a_key(&mut self) {
        let upload = self.bob.stage_key(&self.keys);
        let seq = self.log.distribute(&self.bob.device.id(), &upload).unwrap();
        self.log.tamper_delivery(seq, &self.carol.device.id(), |delivery| *delivery = Vec::new());
        self.catch_up();
        assert!(matches!(self.carol.events.last(), Some(Event::SenderKey { readable: false, .. })));
    }

    /// Alice removes Dave, and the server spoils the commit secret on its way to Carol; she has read that.
    fn carol_misses_a_secret(&mut self) {
        self.alice.change(&mut self.log, &self.keys, vec![self.dave.remove_operation()]);
        self.log.tamper_delivery(self.log.head(), &self.carol.device.id(), |delivery| {
            let last = delivery.len() - 1;
            delivery[last] ^= 1;
        });
        self.catch_up();
        assert_eq!(self.carol.group().state(), GroupState::NeedWelcome);
    }

    fn bob_says(&mut self, content: &[u8]) {
        self.bob.send(&mut self.log, &self.keys, content);
    }
}

fn manifest(person: &Person) -> Opaque {
    Opaque(person.device.manifest().encoded().to_vec())
}
