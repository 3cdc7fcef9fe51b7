//! A group of any size in memory, of which a few devices are followed and the others only have their keys.

use crate::person::{NOW, Person, entry};
use crate::stopwatch::Stopwatch;
use crate::trouble::Trouble;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{AccountId, DeviceId, Opaque, Seq};
use conclave_engine::wire::limits::MAX_FRAME;
use conclave_engine::wire::roster::Role;
use conclave_engine::{CommitUpload, Group, Newcomer, PrekeyBook};
use rand::rngs::StdRng;
use std::time::Duration;

/// Most devices whose sender key a member can hold here: they come first, and each must reach all of a group that is
/// still small enough for a first contact in one frame.
pub const MAX_SENDERS: usize = 300;

/// What a newcomer costs in an upload that adds it, and for each sender key that the engine reckons with.
const NEWCOMER_BYTES: usize = 3000;
const NEWCOMER_BYTES_PER_SENDER: usize = 550;

/// How a village is settled.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Devices in the group, each of an account of its own.
    pub devices: usize,
    /// Of these, how many have given the founder and Bob a sender key; at most [`MAX_SENDERS`].
    pub senders: usize,
    /// Devices added by one commit, at most.
    pub at_once: usize,
}

impl Plan {
    /// As few commits as frames allow.
    pub fn new(devices: usize, senders: usize) -> Self {
        Self { devices, senders, at_once: 250 }
    }
}

/// A group with one that knows everybody, and one that knows nobody but the founder.
pub struct Village {
    /// Added everybody, and so has a pairwise chain to everybody.
    pub founder: Person,
    /// An admin, added first, who has the sender keys.
    pub bob: Person,
    /// Somebody who can be removed without loss.
    pub leaver: AccountId,
    /// Everybody's prekeys.
    pub book: PrekeyBook,
    /// The last entry of the log.
    pub seq: Seq,
    /// Every commit from the genesis.
    pub commits: Vec<Vec<u8>>,
    /// What it cost the founder to add everybody: each `Group::commit`, and the `Group::receive` of it from the log.
    pub grown: Duration,
    /// Somebody whom the last commit added, and the welcome that she has not opened yet.
    pub newcomer: Option<(Person, Entry)>,
}

/// The smallest village.
pub struct Two {
    /// Sends.
    pub alice: Person,
    /// Reads.
    pub bob: Person,
    /// Both's prekeys.
    pub book: PrekeyBook,
    /// The last entry of the log.
    pub seq: Seq,
}

/// Two devices in a group, the first of which can seal.
pub fn two(rng: &mut StdRng) -> Result<Two, Trouble> {
    let Village { mut founder, mut bob, book, mut seq, .. } = Village::settle(Plan::new(2, 0), &|_| {}, rng)?;
    sender_key(&mut founder, &mut [&mut bob], &book, &mut seq, rng)?;
    Ok(Two { alice: founder, bob, book, seq })
}

/// Gives `from` a new sender key that each of `to` can read.
pub(crate) fn sender_key(
    from: &mut Person,
    to: &mut [&mut Person],
    book: &PrekeyBook,
    seq: &mut Seq,
    rng: &mut StdRng,
) -> Result<(), Trouble> {
    let group = from.group.as_mut().ok_or(NO_GROUP)?;
    let id = group.id();
    let staged = group.distribute(&from.device, book, NOW, rng).map_err(Trouble::engine("a sender key"))?;
    from.keep(staged.changes);
    *seq = seq.next().unwrap_or(*seq);
    let sender = from.device.id();
    let body = &staged.upload.distribution;
    for person in to {
        let group = person.group.as_ref().ok_or(NO_GROUP)?;
        let delivery = delivery(group, &sender, None, &person.device.id(), &staged.upload.deliveries);
        person.receive(&entry(id, *seq, EntryKind::Distribution, body, delivery))?;
    }
    if from.group.as_ref().is_some_and(|group| group.cursor().next() == Some(*seq)) {
        from.receive(&entry(id, *seq, EntryKind::Distribution, body, None))?;
    }
    Ok(())
}

/// What hangs on an upload of `author` for `reader`, devices of `gone` left out.
pub(crate) fn delivery<'a>(
    group: &Group,
    author: &DeviceId,
    gone: Option<&AccountId>,
    reader: &DeviceId,
    deliveries: &'a [Opaque],
) -> Option<&'a Opaque> {
    let devices = group.roster().devices();
    let mut recipients = devices
        .filter(|(_, leaf)| Some(&leaf.account) != gone)
        .map(|(_, leaf)| leaf.device.id())
        .filter(|id| id != author);
    let position = recipients.position(|id| id == *reader)?;
    deliveries.get(position).filter(|delivery| !delivery.0.is_empty())
}

impl Village {
    /// Settles a group as planned. `say` hears what is going on.
    pub fn settle(plan: Plan, say: &dyn Fn(&str), rng: &mut StdRng) -> Result<Self, Trouble> {
        let senders = plan.senders.min(MAX_SENDERS);
        say("making keys");
        let mut founder = Person::new(rng)?;
        let mut others = (1..plan.devices).map(|_| Person::new(rng)).collect::<Result<Vec<_>, _>>()?;
        let mut book = PrekeyBook::default();
        for person in others.iter().chain([&founder]) {
            insert(&mut book, person)?;
        }
        let leaver = others.last().map(|person| person.device.account()).ok_or(NO_GROUP)?;
        let genesis = Group::create(&founder.device, NOW, rng).map_err(Trouble::engine("a new group"))?;
        founder.keep(genesis.changes);
        founder.group = Some(genesis.group);
        let mut building = Building { commits: vec![genesis.commit], seq: Seq(1), grown: Duration::ZERO };
        let first = building.entry(&founder, None)?;
        founder.receive(&first)?;

        say("the first members join");
        let mut late = others.split_off(others.len().min(senders + 1));
        let mut first: Vec<Person> = Vec::new();
        let at_once = at_once(plan, 0);
        while !others.is_empty() {
            let rest = others.split_off(others.len().min(at_once));
            let mut followers: Vec<_> = first.iter_mut().collect();
            for (mut person, entry) in building.add(&mut founder, &mut followers, others, &book, rng)? {
                building.join(&mut person, &entry)?;
                first.push(person);
            }
            others = rest;
        }
        let mut first = first.into_iter();
        let mut bob = first.next().ok_or(NO_GROUP)?;
        // A sender key goes to these two alone, or a thousand senders would cost a million first contacts.
        let mut holders = PrekeyBook::default();
        insert(&mut holders, &bob)?;
        insert(&mut holders, &founder)?;
        for mut sender in first {
            let to = &mut [&mut bob, &mut founder];
            sender_key(&mut sender, to, &holders, &mut building.seq, rng)?;
        }

        let at_once = self::at_once(plan, senders);
        let mut newcomer = None;
        while !late.is_empty() {
            say(&format!("{} more to add", late.len()));
            let rest = late.split_off(late.len().min(at_once));
            newcomer = building.add(&mut founder, &mut [&mut bob], late, &book, rng)?.into_iter().next();
            late = rest;
        }
        let Building { commits, seq, grown } = building;
        Ok(Self { founder, bob, leaver, book, seq, commits, grown, newcomer })
    }
}

/// Newcomers that one commit can add to a group with so many sender keys.
fn at_once(plan: Plan, senders: usize) -> usize {
    let per_newcomer = NEWCOMER_BYTES + NEWCOMER_BYTES_PER_SENDER * (senders + 1);
    (MAX_FRAME / per_newcomer).min(plan.at_once).max(1)
}

/// The log so far.
struct Building {
    commits: Vec<Vec<u8>>,
    seq: Seq,
    /// Time that the founder spent in the engine.
    grown: Duration,
}

impl Building {
    /// Adds `newcomers`, the first one of a group as an admin; `followers` take the commit. Every newcomer comes back
    /// with the entry that welcomes it.
    fn add(
        &mut self,
        founder: &mut Person,
        followers: &mut [&mut Person],
        newcomers: Vec<Person>,
        book: &PrekeyBook,
        rng: &mut StdRng,
    ) -> Result<Vec<(Person, Entry)>, Trouble> {
        let alone = self.commits.len() == 1;
        let operations = newcomers.iter().enumerate().map(|(position, person)| Operation::Add {
            role: if alone && position == 0 { Role::Admin } else { Role::Member },
            manifest: Opaque(person.device.manifest().encoded().to_vec()),
        });
        let operations = operations.collect();
        let group = founder.group.as_mut().ok_or(NO_GROUP)?;
        // What the engine takes is measured, whatever a server would take at once.
        group.allow_uploads_of(usize::MAX);
        let begun = Stopwatch::start();
        let staged = group.commit(&founder.device, operations, b"", book, NOW, rng);
        self.grown += begun.elapsed();
        let staged = staged.map_err(Trouble::engine("to add members"))?;
        founder.keep(staged.changes);
        let CommitUpload { commit, welcomes, .. } = staged.upload;
        self.commits.push(commit);
        self.seq = self.seq.next().unwrap_or(self.seq);
        let plain = self.entry(founder, None)?;
        let begun = Stopwatch::start();
        founder.receive(&plain)?;
        self.grown += begun.elapsed();
        for follower in followers {
            follower.receive(&plain)?;
        }
        let mut welcomed = Vec::with_capacity(newcomers.len());
        for person in newcomers {
            let welcome = welcomes.iter().find(|welcome| welcome.device == person.device.id());
            let entry = self.entry(founder, welcome.map(|welcome| &welcome.welcome))?;
            welcomed.push((person, entry));
        }
        Ok(welcomed)
    }

    fn join(&self, person: &mut Person, entry: &Entry) -> Result<(), Trouble> {
        let mut walk = Newcomer::new(entry.group);
        for commit in &self.commits {
            walk.commit(commit).map_err(Trouble::engine("to walk the commits"))?;
        }
        let joined = walk.open(&mut person.device, entry, NOW).map_err(Trouble::engine("to join"))?;
        person.keep(joined.changes);
        person.group = Some(joined.group);
        Ok(())
    }

    /// The last commit as the log shows it.
    fn entry(&self, founder: &Person, delivery: Option<&Opaque>) -> Result<Entry, Trouble> {
        let group = founder.group.as_ref().ok_or(NO_GROUP)?.id();
        let commit = self.commits.last().ok_or(NO_GROUP)?;
        Ok(entry(group, self.seq, EntryKind::Commit, commit, delivery))
    }
}

fn insert(book: &mut PrekeyBook, person: &Person) -> Result<(), Trouble> {
    let prekeys = person.device.prekeys().ok_or(Trouble::Wrong("a device without prekeys"))?;
    book.insert(&prekeys.encode()).map(drop).map_err(Trouble::engine("prekeys"))
}

const NO_GROUP: Trouble = Trouble::Wrong("a device without its group");
