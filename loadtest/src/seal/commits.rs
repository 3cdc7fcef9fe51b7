//! What goes to every device of a group: sender keys and removals, and what it costs to take them.

use super::person::{NOW, Person, entry, stored_bytes};
use super::results::{Contact, GroupRow, Work};
use super::village::{self, MAX_SENDERS, Village, delivery};
use crate::failure::Failure;
use crate::spread::Spread;
use conclave_engine::wire::codec;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::frame::{ClientFrame, RequestId};
use conclave_engine::wire::ids::{Opaque, Seq};
use conclave_engine::wire::request::Request;
use conclave_engine::{
    Changes, CommitUpload, Device, DistributeError, DistributionUpload, Event, Group, GroupState, StageError,
};
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// Measures a group of `devices` in which up to `senders` have given one member their sender key.
pub(super) fn measure(
    devices: usize,
    senders: usize,
    repetitions: usize,
    say: &dyn Fn(&str),
    rng: &mut StdRng,
) -> Result<Vec<GroupRow>, Failure> {
    let senders = senders.min(MAX_SENDERS);
    let village = village::settle(devices, senders, say, rng)?;
    let mut bench = Bench { village, devices, senders, repetitions, rng };
    let mut rows = Vec::new();
    for contact in [Contact::Known, Contact::First] {
        say("handing out a sender key");
        let (row, upload) = bench.distribute(contact)?;
        rows.push(row);
        if let Some(upload) = upload {
            rows.push(bench.take_sender_key(contact, &upload)?);
        }
    }
    for contact in [Contact::Known, Contact::First] {
        say("removing a member");
        let (row, upload) = bench.remove(contact)?;
        rows.push(row);
        if let (Contact::Known, Some(upload)) = (contact, upload) {
            say("taking that removal");
            rows.push(bench.take_removal(&upload)?);
        }
    }
    if let Some(us) = Spread::of(&bench.village.joins) {
        let commits = bench.village.commits;
        rows.push(GroupRow { commits: Some(commits), us: Some(us), ..GroupRow::new(Work::Join, devices) });
    }
    Ok(rows)
}

struct Bench<'a> {
    village: Village,
    devices: usize,
    senders: usize,
    repetitions: usize,
    rng: &'a mut StdRng,
}

/// What came out, or why the engine does not do it.
type Done<T> = Result<(T, Changes), String>;

/// How long one repetition took, and what came out.
type Outcome<T> = (Duration, Done<T>);

impl Bench<'_> {
    fn distribute(&mut self, contact: Contact) -> Result<(GroupRow, Option<DistributionUpload>), Failure> {
        let Self { village, rng, .. } = self;
        let book = &village.book;
        let (us, outcome) =
            repeat(author(village, contact), self.repetitions, |device: &mut Device, group: &mut Group| {
                let begun = Instant::now();
                let staged = group.distribute(device, book, NOW, *rng);
                let spent = begun.elapsed();
                match staged {
                    Ok(staged) => Ok((spent, Ok((staged.upload, staged.changes)))),
                    Err(error @ DistributeError::TooLarge) => Ok((spent, Err(error.to_string()))),
                    Err(error) => Err(Failure::engine("a sender key")(error)),
                }
            })?;
        let row = GroupRow { contact: Some(contact), ..GroupRow::new(Work::Distribute, self.devices) };
        let group = author(village, contact).group.as_ref().map(Group::id);
        Ok(finish(row, us, outcome, |upload| Request::Distribute {
            group: group.unwrap_or(conclave_engine::wire::ids::GroupId::from_bytes([0; 32])),
            distribution: Opaque(upload.distribution.clone()),
            deliveries: upload.deliveries.clone(),
        }))
    }

    fn remove(&mut self, contact: Contact) -> Result<(GroupRow, Option<CommitUpload>), Failure> {
        let Self { village, rng, .. } = self;
        let (book, leaver) = (&village.book, village.leaver);
        let (us, outcome) =
            repeat(author(village, contact), self.repetitions, |device: &mut Device, group: &mut Group| {
                let operations = vec![Operation::Remove { account: leaver }];
                let begun = Instant::now();
                let staged = group.commit(device, operations, b"", book, NOW, *rng);
                let spent = begun.elapsed();
                match staged {
                    Ok(staged) => Ok((spent, Ok((staged.upload, staged.changes)))),
                    Err(error @ StageError::TooLarge) => Ok((spent, Err(error.to_string()))),
                    Err(error) => Err(Failure::engine("a removal")(error)),
                }
            })?;
        let row = GroupRow { contact: Some(contact), ..GroupRow::new(Work::Remove, self.devices) };
        Ok(finish(row, us, outcome, |upload| Request::Commit {
            commit: Opaque(upload.commit.clone()),
            deliveries: upload.deliveries.clone(),
            welcomes: Vec::new(),
        }))
    }

    /// Bob takes the founder's, on the chain that his welcome opened; the founder takes Bob's, a first contact.
    fn take_sender_key(
        &mut self,
        contact: Contact,
        upload: &DistributionUpload,
    ) -> Result<GroupRow, Failure> {
        let entry = self.entry(contact, EntryKind::Distribution, &upload.distribution, &upload.deliveries)?;
        let row = GroupRow { contact: Some(contact), ..GroupRow::new(Work::TakeSenderKey, self.devices) };
        self.take(contact, row, &entry, |event| matches!(event, Event::SenderKey { readable: true, .. }))
    }

    fn take_removal(&mut self, upload: &CommitUpload) -> Result<GroupRow, Failure> {
        let entry = self.entry(Contact::Known, EntryKind::Commit, &upload.commit, &upload.deliveries)?;
        let row = GroupRow { senders: Some(self.senders), ..GroupRow::new(Work::TakeRemoval, self.devices) };
        self.take(Contact::Known, row, &entry, |event| {
            let Event::EpochChanged { removed, state, .. } = event else { return false };
            removed.len() == 1 && *state == GroupState::Active
        })
    }

    fn take(
        &self,
        contact: Contact,
        row: GroupRow,
        entry: &Entry,
        expected: impl Fn(&Event) -> bool,
    ) -> Result<GroupRow, Failure> {
        let reader = reader(&self.village, contact);
        let (us, outcome) = repeat(reader, self.repetitions, |device: &mut Device, group: &mut Group| {
            let begun = Instant::now();
            let received = group.receive(device, entry, NOW);
            let spent = begun.elapsed();
            let received = received.map_err(Failure::engine("an entry"))?;
            if !expected(&received.event) {
                return Err(Failure::Wrong(format!("unexpected: {:?}", received.event)));
            }
            Ok((spent, Ok(((), received.changes))))
        })?;
        let bytes = entry.body.0.len() + entry.delivery.as_ref().map_or(0, |delivery| delivery.0.len());
        let stored = outcome.ok().map(|((), changes)| stored_bytes(&changes));
        Ok(GroupRow { us, bytes: Some(bytes), stored_bytes: stored, ..row })
    }

    fn entry(
        &self,
        contact: Contact,
        kind: EntryKind,
        body: &[u8],
        deliveries: &[Opaque],
    ) -> Result<Entry, Failure> {
        let (from, to) = (author(&self.village, contact), reader(&self.village, contact));
        let group = to.group.as_ref().ok_or_else(|| Failure::Wrong("a device without its group".into()))?;
        let gone = (kind == EntryKind::Commit).then_some(&self.village.leaver);
        let delivery = delivery(group, &from.device.id(), gone, &to.device.id(), deliveries);
        let seq = self.village.seq.next().unwrap_or(Seq(u64::MAX));
        Ok(entry(group.id(), seq, kind, body, delivery))
    }
}

/// The founder knows everybody, Bob nobody.
fn author(village: &Village, contact: Contact) -> &Person {
    match contact {
        Contact::Known => &village.founder,
        Contact::First => &village.bob,
    }
}

fn reader(village: &Village, contact: Contact) -> &Person {
    match contact {
        Contact::Known => &village.bob,
        Contact::First => &village.founder,
    }
}

/// Does the same from the same state again and again; the first time warms caches and is not kept.
fn repeat<T>(
    person: &Person,
    repetitions: usize,
    mut work: impl FnMut(&mut Device, &mut Group) -> Result<Outcome<T>, Failure>,
) -> Result<(Option<Spread>, Done<T>), Failure> {
    let mut samples = Vec::with_capacity(repetitions);
    let mut last = Err("nothing was measured".into());
    for repetition in 0..=repetitions {
        let (mut device, mut group) = person.reload()?;
        let (spent, outcome) = work(&mut device, &mut group)?;
        if outcome.is_err() {
            return Ok((None, outcome));
        }
        if repetition > 0 {
            samples.push(spent);
        }
        last = outcome;
    }
    Ok((Spread::of(&samples), last))
}

fn finish<T>(
    row: GroupRow,
    us: Option<Spread>,
    outcome: Done<T>,
    request: impl Fn(&T) -> Request,
) -> (GroupRow, Option<T>) {
    match outcome {
        Err(why) => (GroupRow { not_possible: Some(why), ..row }, None),
        Ok((upload, changes)) => {
            let frame = codec::encode(&ClientFrame { id: RequestId(0), request: request(&upload) });
            let stored_bytes = Some(stored_bytes(&changes));
            (GroupRow { us, bytes: Some(frame.len()), stored_bytes, ..row }, Some(upload))
        }
    }
}
