//! Acts in which something comes too late, or is never sent.

use super::super::Rejected;
use super::History;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::roster::Role;

impl History {
    /// Something that `by` may commit about `who`, if anything.
    pub(super) fn some_operation(&self, by: usize, who: usize) -> Option<Operation> {
        let account = self.people[who].device.account();
        let candidates = [
            Operation::Remove { account },
            Operation::SetRole { account, role: Role::Owner },
            self.addition(who, Role::Member),
        ];
        candidates.into_iter().find(|operation| self.allows(by, operation))
    }

    pub(super) fn race(&mut self, winner: usize, loser: usize, who: usize) {
        if winner == loser || !self.members.contains_key(&winner) || !self.members.contains_key(&loser) {
            return;
        }
        self.catch_up(who);
        let (Some(first), Some(second)) = (self.some_operation(winner, who), self.some_operation(loser, who))
        else {
            return;
        };
        self.catch_up(winner);
        self.catch_up(loser);
        let (one, other) = (self.stage(winner, &first).unwrap(), self.stage(loser, &second).unwrap());
        self.upload(&one, &first).unwrap();
        assert_eq!(self.upload(&other, &second), Err(Rejected::HeadMoved));
        for person in [winner, loser] {
            self.catch_up(person);
            assert!(!self.people[person].group().staged());
        }
        // What lost its race works when tried again.
        if let Some(operation) = self.some_operation(loser, winner) {
            self.catch_up(winner);
            self.try_commit(loser, &operation);
        }
    }

    /// The winner may be about anybody but the one who heals.
    pub(super) fn race_with_heal(&mut self, winner: usize, loser: usize, who: usize) {
        let others = self.account(who) != self.account(loser) && winner != loser;
        if !others || !self.members.contains_key(&winner) || !self.members.contains_key(&loser) {
            return;
        }
        self.catch_up(who);
        let Some(first) = self.some_operation(winner, who) else { return };
        self.catch_up(winner);
        self.catch_up(loser);
        let heal = self.begin_heal(loser);
        let (one, other) = (self.stage(winner, &first).unwrap(), self.stage(loser, &heal).unwrap());
        self.upload(&one, &first).unwrap();
        assert_eq!(self.upload(&other, &heal), Err(Rejected::HeadMoved));
        self.catch_up(winner);
        self.catch_up(loser);
        assert!(!self.people[loser].group().staged());
        self.commit_heal(loser, &heal);
    }

    pub(super) fn seal_before_commit(&mut self, by: usize, committer: usize, who: usize) {
        if self.account(by) == self.account(who) || by == committer || !self.members.contains_key(&by) {
            return;
        }
        self.catch_up(who);
        let Some(operation) = self.some_operation(committer, who) else { return };
        self.catch_up(by);
        self.ready_to_seal(by);
        let content = self.content(by);
        let early = self.people[by].seal(&content).unwrap();
        let id = self.people[by].last_id();
        assert!(self.try_commit(committer, &operation));
        assert_eq!(self.post(by, &early, content.clone()), Err(Rejected::EpochStale));
        self.catch_up(by);
        assert!(!self.people[by].group().is_unconfirmed(&id));
        let again = self.people[by].seal_again(id, &content);
        self.post(by, &again, content).unwrap();
        self.catch_up(by);
        assert_eq!(self.people[by].sent.last(), Some(&id));
    }

    pub(super) fn distribute_before_commit(&mut self, by: usize, committer: usize, who: usize) {
        if self.account(by) == self.account(who) || by == committer || !self.members.contains_key(&by) {
            return;
        }
        self.catch_up(who);
        let Some(operation) = self.some_operation(committer, who) else { return };
        self.catch_up(by);
        let early = self.people[by].stage_key(&self.keys);
        assert!(self.try_commit(committer, &operation));
        let device = self.people[by].device.id();
        assert_eq!(self.log.distribute(&device, &early), Err(Rejected::EpochStale));
        self.catch_up(by);
        self.rotate(by);
        self.send(by);
    }

    pub(super) fn commit_before_distribution(&mut self, by: usize, distributor: usize, who: usize) {
        if by == distributor || !self.members.contains_key(&distributor) {
            return;
        }
        self.catch_up(who);
        let Some(operation) = self.some_operation(by, who) else { return };
        self.catch_up(by);
        let upload = self.stage(by, &operation).unwrap();
        self.as_member(distributor, Self::rotate);
        assert_eq!(self.upload(&upload, &operation), Err(Rejected::HeadMoved));
        self.catch_up(by);
        let changes = self.people[by].group().abandon_staged_commit();
        self.people[by].save(changes);
        self.try_commit(by, &operation);
    }

    pub(super) fn crash_staging(&mut self, by: usize, who: usize, uploaded: bool) {
        self.catch_up(who);
        let Some(operation) = self.some_operation(by, who) else { return };
        self.catch_up(by);
        let upload = self.stage(by, &operation).unwrap();
        if uploaded {
            self.upload(&upload, &operation).unwrap();
        }
        self.people[by].restart();
        self.catch_up(by);
        assert_eq!(self.people[by].group().staged(), !uploaded);
        if !uploaded {
            let changes = self.people[by].group().abandon_staged_commit();
            self.people[by].save(changes);
        }
    }

    pub(super) fn crash_distributing(&mut self, by: usize, uploaded: bool) {
        let upload = self.people[by].stage_key(&self.keys);
        if uploaded {
            self.log.distribute(&self.people[by].device.id(), &upload).unwrap();
            self.lost.remove(&by);
        }
        self.people[by].restart();
        self.catch_up(by);
        self.send(by);
    }
}
