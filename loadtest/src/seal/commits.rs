//! What goes to every device of a group: sender keys and removals, and what it costs to take them.

use super::results::{Contact, GroupRow, Work};
use crate::failure::Failure;
use conclave_engine::wire::codec;
use conclave_engine::wire::frame::{ClientFrame, RequestId};
use conclave_engine::wire::ids::{GroupId, Opaque};
use conclave_engine::wire::request::Request;
use conclave_engine::{Changes, CommitUpload, DistributionUpload, Group};
use conclave_report::Spread;
use conclave_village::{MAX_SENDERS, Plan, Step, Trouble, Village, stored_bytes};
use rand::rngs::StdRng;

/// Measures a group of `devices` in which up to `senders` have given one member their sender key.
pub(super) fn measure(
    devices: usize,
    senders: usize,
    repetitions: usize,
    say: &dyn Fn(&str),
    rng: &mut StdRng,
) -> Result<Vec<GroupRow>, Failure> {
    let senders = senders.min(MAX_SENDERS);
    let village = Village::settle(Plan::new(devices, senders), say, rng)?;
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
    if bench.village.newcomer.is_some() {
        say("joining");
        rows.push(bench.join()?);
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

/// What the last repetition made, or why the engine does not do it.
type Outcome<T> = Result<(T, Changes), String>;

impl Bench<'_> {
    fn distribute(&mut self, contact: Contact) -> Result<(GroupRow, Option<DistributionUpload>), Failure> {
        let (us, outcome) = repeat(self.repetitions, || self.village.distribute(contact.into(), self.rng))?;
        let row = GroupRow { contact: Some(contact), ..GroupRow::new(Work::Distribute, self.devices) };
        let group = self.village.founder.group.as_ref().map_or(GroupId::from_bytes([0; 32]), Group::id);
        Ok(finish(row, us, outcome, |upload| Request::Distribute {
            group,
            distribution: Opaque(upload.distribution.clone()),
            deliveries: upload.deliveries.clone(),
            staged: None,
        }))
    }

    fn remove(&mut self, contact: Contact) -> Result<(GroupRow, Option<CommitUpload>), Failure> {
        let (us, outcome) = repeat(self.repetitions, || self.village.remove(contact.into(), self.rng))?;
        let row = GroupRow { contact: Some(contact), ..GroupRow::new(Work::Remove, self.devices) };
        Ok(finish(row, us, outcome, |upload| Request::Commit {
            commit: Opaque(upload.commit.clone()),
            deliveries: upload.deliveries.clone(),
            welcomes: Vec::new(),
            staged: None,
        }))
    }

    fn take_sender_key(&self, contact: Contact, upload: &DistributionUpload) -> Result<GroupRow, Failure> {
        let taken = repeat(self.repetitions, || self.village.take_sender_key(contact.into(), upload))?;
        let row = GroupRow::new(Work::TakeSenderKey, self.devices);
        Ok(GroupRow { contact: Some(contact), ..taken_row(row, taken) })
    }

    fn take_removal(&self, upload: &CommitUpload) -> Result<GroupRow, Failure> {
        let taken = repeat(self.repetitions, || self.village.take_removal(upload))?;
        let row = GroupRow::new(Work::TakeRemoval, self.devices);
        Ok(GroupRow { senders: Some(self.senders), ..taken_row(row, taken) })
    }

    fn join(&self) -> Result<GroupRow, Failure> {
        let (us, _) = repeat(self.repetitions, || self.village.join())?;
        let commits = self.village.commits.len();
        Ok(GroupRow { commits: Some(commits), us, ..GroupRow::new(Work::Join, self.devices) })
    }
}

/// Does the same from the same state again and again; the first time warms caches and is not kept.
fn repeat<T>(
    repetitions: usize,
    mut step: impl FnMut() -> Result<Step<T>, Trouble>,
) -> Result<(Option<Spread>, Outcome<T>), Failure> {
    let mut samples = Vec::with_capacity(repetitions);
    let mut last = Err("nothing was measured".into());
    for repetition in 0..=repetitions {
        let step = match step() {
            Ok(step) => step,
            Err(Trouble::NotPossible(why)) => return Ok((None, Err(why))),
            Err(trouble) => return Err(trouble.into()),
        };
        if repetition > 0 {
            samples.push(step.spent);
        }
        last = Ok((step.output, step.changes));
    }
    Ok((Spread::of(&samples), last))
}

/// A row about a member that takes an entry of so many bytes.
fn taken_row(row: GroupRow, (us, outcome): (Option<Spread>, Outcome<usize>)) -> GroupRow {
    match outcome {
        Err(why) => GroupRow { not_possible: Some(why), ..row },
        Ok((bytes, changes)) => {
            GroupRow { us, bytes: Some(bytes), stored_bytes: Some(stored_bytes(&changes)), ..row }
        }
    }
}

fn finish<T>(
    row: GroupRow,
    us: Option<Spread>,
    outcome: Outcome<T>,
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

impl From<Contact> for conclave_village::Contact {
    fn from(contact: Contact) -> Self {
        match contact {
            Contact::Known => Self::Known,
            Contact::First => Self::First,
        }
    }
}
