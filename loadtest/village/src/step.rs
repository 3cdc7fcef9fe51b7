//! Single steps of a village's people. Each begins at the state in the records, and changes nothing there.

use crate::person::{NOW, Person, entry};
use crate::stopwatch::Stopwatch;
use crate::trouble::Trouble;
use crate::village::{Village, delivery};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{Opaque, Seq};
use conclave_engine::wire::roster::Role;
use conclave_engine::{
    Changes, CommitUpload, DistributeError, DistributionUpload, Event, GroupState, Newcomer, StageError,
};
use rand::rngs::StdRng;
use std::time::Duration;

/// What a step took and made.
#[derive(Debug)]
pub struct Step<T> {
    /// The time of the engine's own calls.
    pub spent: Duration,
    /// What came out.
    pub output: T,
    /// Records to store.
    pub changes: Changes,
}

/// Whether who acts has pairwise chains to the others already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// A wrap each. The founder acts, who added everybody; Bob takes it.
    Known,
    /// An initial envelope each, with X25519 and ML-KEM-768. Bob acts, who knows nobody but the founder; she takes it.
    First,
}

/// Bytes of the keys for others in an upload: one device fetches only its own.
pub fn delivered_bytes(deliveries: &[Opaque]) -> usize {
    deliveries.iter().map(|delivery| delivery.0.len()).sum()
}

impl Village {
    /// Who acts.
    pub fn author(&self, contact: Contact) -> &Person {
        match contact {
            Contact::Known => &self.founder,
            Contact::First => &self.bob,
        }
    }

    /// Who takes what was made.
    pub fn reader(&self, contact: Contact) -> &Person {
        match contact {
            Contact::Known => &self.bob,
            Contact::First => &self.founder,
        }
    }

    /// Times one `Group::distribute`.
    pub fn distribute(
        &self,
        contact: Contact,
        rng: &mut StdRng,
    ) -> Result<Step<DistributionUpload>, Trouble> {
        let (device, mut group) = self.author(contact).reload()?;
        let begun = Stopwatch::start();
        let staged = group.distribute(&device, &self.book, NOW, rng);
        let spent = begun.elapsed();
        let staged = staged.map_err(|error| match error {
            DistributeError::TooLarge => Trouble::NotPossible(error.to_string()),
            error => Trouble::engine("a sender key")(error),
        })?;
        Ok(Step { spent, output: staged.upload, changes: staged.changes })
    }

    /// Times one `Group::commit` that removes an account.
    pub fn remove(&self, contact: Contact, rng: &mut StdRng) -> Result<Step<CommitUpload>, Trouble> {
        let (device, mut group) = self.author(contact).reload()?;
        let operations = vec![Operation::Remove { account: self.leaver }];
        let begun = Stopwatch::start();
        let staged = group.commit(&device, operations, b"", &self.book, NOW, rng);
        let spent = begun.elapsed();
        let staged = staged.map_err(|error| match error {
            StageError::TooLarge => Trouble::NotPossible(error.to_string()),
            error => Trouble::engine("a removal")(error),
        })?;
        Ok(Step { spent, output: staged.upload, changes: staged.changes })
    }

    /// Times one `Group::commit` that removes an account, and the `Group::receive` that makes it the author's own state:
    /// after it every sender's next message is out of reach of who was removed.
    pub fn remove_and_apply(&self, rng: &mut StdRng) -> Result<Step<CommitUpload>, Trouble> {
        let (mut device, mut group) = self.founder.reload()?;
        let (id, seq) = (group.id(), self.next_seq());
        let operations = vec![Operation::Remove { account: self.leaver }];
        let begun = Stopwatch::start();
        let staged = group.commit(&device, operations, b"", &self.book, NOW, rng);
        let staging = begun.elapsed();
        let mut staged = staged.map_err(Trouble::engine("a removal"))?;
        let own = entry(id, seq, EntryKind::Commit, &staged.upload.commit, None);
        let begun = Stopwatch::start();
        let received = group.receive(&mut device, &own, NOW);
        let applying = begun.elapsed();
        let received = received.map_err(Trouble::engine("the own removal"))?;
        staged.changes.extend(received.changes);
        Ok(Step { spent: staging + applying, output: staged.upload, changes: staged.changes })
    }

    /// Times one `Group::receive` of a sender key that [`distribute`](Self::distribute) made; gives the bytes taken.
    pub fn take_sender_key(
        &self,
        contact: Contact,
        upload: &DistributionUpload,
    ) -> Result<Step<usize>, Trouble> {
        let entry =
            self.addressed(contact, EntryKind::Distribution, &upload.distribution, &upload.deliveries)?;
        take(self.reader(contact), &entry, |event| matches!(event, Event::SenderKey { readable: true, .. }))
    }

    /// Times one `Group::receive` of the founder's removal by a member; gives the bytes taken.
    pub fn take_removal(&self, upload: &CommitUpload) -> Result<Step<usize>, Trouble> {
        take(self.reader(Contact::Known), &self.removal_entry(upload)?, |event| {
            let Event::EpochChanged { removed, state, .. } = event else { return false };
            removed.len() == 1 && *state == GroupState::Active
        })
    }

    /// The founder's removal as the log's next entry for Bob.
    pub fn removal_entry(&self, upload: &CommitUpload) -> Result<Entry, Trouble> {
        self.addressed(Contact::Known, EntryKind::Commit, &upload.commit, &upload.deliveries)
    }

    /// Times a newcomer: the walk over every commit from the genesis, and the welcome; gives the number of commits.
    pub fn join(&self) -> Result<Step<usize>, Trouble> {
        let (person, entry) = self.newcomer.as_ref().ok_or(Trouble::Wrong("nobody is left to join"))?;
        let mut device = person.reload_device()?;
        let begun = Stopwatch::start();
        let mut walk = Newcomer::new(entry.group);
        for commit in &self.commits {
            walk.commit(commit).map_err(Trouble::engine("to walk the commits"))?;
        }
        let joined = walk.open(&mut device, entry, NOW);
        let spent = begun.elapsed();
        let joined = joined.map_err(Trouble::engine("to join"))?;
        if joined.group.state() != GroupState::Active {
            return Err(Trouble::Wrong("a newcomer is not active"));
        }
        Ok(Step { spent, output: self.commits.len(), changes: joined.changes })
    }

    /// Times the walk of a newcomer over one commit more, a change of a role.
    pub fn walk_further(&self, rng: &mut StdRng) -> Result<Step<()>, Trouble> {
        let (device, mut group) = self.founder.reload()?;
        let mut walk = Newcomer::new(group.id());
        for commit in &self.commits {
            walk.commit(commit).map_err(Trouble::engine("to walk the commits"))?;
        }
        let operations = vec![Operation::SetRole { account: self.bob.device.account(), role: Role::Member }];
        let staged = group.commit(&device, operations, b"", &self.book, NOW, rng);
        let commit = staged.map_err(Trouble::engine("a change of a role"))?.upload.commit;
        let begun = Stopwatch::start();
        let walked = walk.commit(&commit);
        let spent = begun.elapsed();
        walked.map_err(Trouble::engine("to walk one commit more"))?;
        Ok(Step { spent, output: (), changes: Changes::default() })
    }

    fn addressed(
        &self,
        contact: Contact,
        kind: EntryKind,
        body: &[u8],
        deliveries: &[Opaque],
    ) -> Result<Entry, Trouble> {
        let (from, to) = (self.author(contact), self.reader(contact));
        let group = to.group.as_ref().ok_or(Trouble::Wrong("a device without its group"))?;
        let gone = (kind == EntryKind::Commit).then_some(&self.leaver);
        let delivery = delivery(group, &from.device.id(), gone, &to.device.id(), deliveries);
        Ok(entry(group.id(), self.next_seq(), kind, body, delivery))
    }

    fn next_seq(&self) -> Seq {
        self.seq.next().unwrap_or(Seq(u64::MAX))
    }
}

fn take(reader: &Person, entry: &Entry, expected: impl Fn(&Event) -> bool) -> Result<Step<usize>, Trouble> {
    let (mut device, mut group) = reader.reload()?;
    let begun = Stopwatch::start();
    let received = group.receive(&mut device, entry, NOW);
    let spent = begun.elapsed();
    let received = received.map_err(Trouble::engine("an entry"))?;
    if !expected(&received.event) {
        return Err(Trouble::Wrong("an entry did not do what it is for"));
    }
    let bytes = entry.body.0.len() + entry.delivery.as_ref().map_or(0, |delivery| delivery.0.len());
    Ok(Step { spent, output: bytes, changes: received.changes })
}
