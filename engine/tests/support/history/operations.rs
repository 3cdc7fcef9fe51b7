//! Acts beside adding, removing and sending: heals, leave requests, and the devices of an account.

use super::super::update;
use super::{BOB, History};
use conclave_engine::LeaveError;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::ids::Opaque;
use conclave_engine::wire::manifest::Manifest;
use conclave_engine::wire::roster::Role;

impl History {
    /// New prekeys, in the book from then on, and the operation that pins them.
    pub(super) fn begin_heal(&mut self, by: usize) -> Operation {
        self.people[by].begin_heal(&mut self.keys);
        let prekeys = self.people[by].device.prekeys().unwrap();
        Operation::Heal { prekeys: prekeys.hash(), time: prekeys.body().time }
    }

    pub(super) fn heal(&mut self, by: usize) {
        // The thief comes before the new prekeys.
        let robbed = self.people[by].copy();
        let heal = self.begin_heal(by);
        self.commit_heal(by, &heal);
        self.robbed.push((robbed, self.log.head()));
    }

    pub(super) fn commit_heal(&mut self, by: usize, heal: &Operation) {
        assert!(self.try_commit(by, heal));
        let person = &mut self.people[by];
        assert!(!person.group.as_ref().unwrap().heal_due(&person.device));
        let now = person.now;
        assert!(person.group().sender_key_due(now), "the key of before the heal is gone");
    }

    pub(super) fn leave(&mut self, by: usize, who: usize) {
        if !self.members.contains_key(&who) {
            return;
        }
        self.catch_up(who);
        let person = &self.people[who];
        match person.group.as_ref().unwrap().leave_request(&person.device, person.now) {
            Ok(request) => {
                self.try_commit(by, &Operation::Leave { request: Opaque(request) });
            }
            Err(error) => {
                assert_eq!(error, LeaveError::LastOwner);
                let account = self.account(who);
                let others = self.members.iter().filter(|(other, _)| self.account(**other) != account);
                assert!(others.into_iter().all(|(_, role)| *role != Role::Owner));
            }
        }
    }

    /// Devices hold the new manifest at once; the group learns of it by an update.
    pub(super) fn list(&mut self, tablet: bool) {
        let last = self.people.len() - 1;
        let (first, rest) = self.people.split_at_mut(last);
        let (bob, device) = (&mut first[BOB], &mut rest[0]);
        let manifest =
            if tablet { self.household.list(&mut [bob, device]) } else { self.household.list(&mut [bob]) };
        if self.members.contains_key(&BOB) {
            self.unrecorded.push(manifest);
        }
    }

    pub(super) fn update(&mut self, by: usize) {
        if !self.unrecorded.is_empty() {
            let operation = update(&self.unrecorded.iter().collect::<Vec<&Manifest>>());
            self.try_commit(by, &operation);
        }
    }
}
