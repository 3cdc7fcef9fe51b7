//! A group of any size in memory, of which a few devices are followed and the others only have their keys.

use super::person::{NOW, Person, entry};
use crate::failure::Failure;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{AccountId, DeviceId, GroupId, Opaque, Seq};
use conclave_engine::wire::limits::MAX_FRAME;
use conclave_engine::wire::roster::Role;
use conclave_engine::{CommitUpload, Group, Newcomer, PrekeyBook};
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// Most devices whose sender key a member can hold here: they come first, and each must reach all of a group that is
/// still small enough for a first contact in one frame.
pub(super) const MAX_SENDERS: usize = 300;

/// Newcomers of the last commit, whose join is timed.
const TIMED_JOINS: usize = 5;

/// What a newcomer costs in an upload that adds it, and for each sender key that the engine reckons with.
const NEWCOMER_BYTES: usize = 3000;
const NEWCOMER_BYTES_PER_SENDER: usize = 550;

/// A group with one that knows everybody, and one that knows nobody but the founder.
pub(super) struct Village {
    /// Added everybody, and so has a pairwise chain to everybody.
    pub(super) founder: Person,
    /// An admin, added first, who has the sender keys.
    pub(super) bob: Person,
    /// Somebody who can be removed without loss.
    pub(super) leaver: AccountId,
    /// Everybody's prekeys.
    pub(super) book: PrekeyBook,
    /// The last entry of the log.
    pub(super) seq: Seq,
    /// How long newcomers took to join at the end.
    pub(super) joins: Vec<Duration>,
    /// Commits that they walked.
    pub(super) commits: usize,
}

/// The smallest village.
pub(super) struct Two {
    pub(super) alice: Person,
    pub(super) bob: Person,
    pub(super) book: PrekeyBook,
    pub(super) seq: Seq,
}

/// Two devices in a group, the first of which can seal.
pub(super) fn two(rng: &mut StdRng) -> Result<Two, Failure> {
    let Village { mut founder, mut bob, book, mut seq, .. } = settle(2, 0, &|_| {}, rng)?;
    sender_key(&mut founder, &mut [&mut bob], &book, &mut seq, rng)?;
    Ok(Two { alice: founder, bob, book, seq })
}

/// Gives `from` a new sender key that each of `to` can read.
pub(super) fn sender_key(
    from: &mut Person,
    to: &mut [&mut Person],
    book: &PrekeyBook,
    seq: &mut Seq,
    rng: &mut StdRng,
) -> Result<(), Failure> {
    let group = from.group.as_mut().ok_or_else(no_group)?;
    let staged = group.distribute(&from.device, book, NOW, rng).map_err(Failure::engine("a sender key"))?;
    from.keep(staged.changes);
    *seq = seq.next().unwrap_or(*seq);
    let id = from.group.as_ref().ok_or_else(no_group)?.id();
    let sender = from.device.id();
    let body = &staged.upload.distribution;
    for person in to {
        let group = person.group.as_ref().ok_or_else(no_group)?;
        let delivery = delivery(group, &sender, None, &person.device.id(), &staged.upload.deliveries);
        person.receive(&entry(id, *seq, EntryKind::Distribution, body, delivery))?;
    }
    if from.group.as_ref().is_some_and(|group| group.cursor().next() == Some(*seq)) {
        from.receive(&entry(id, *seq, EntryKind::Distribution, body, None))?;
    }
    Ok(())
}

/// What hangs on an upload of `author` for `reader`, devices of `gone` left out.
pub(super) fn delivery<'a>(
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

/// A group of `devices`, of which `senders` have given Bob a sender key.
pub(super) fn settle(
    devices: usize,
    senders: usize,
    say: &dyn Fn(&str),
    rng: &mut StdRng,
) -> Result<Village, Failure> {
    say("making keys");
    let mut founder = Person::new(rng)?;
    let mut others = (1..devices).map(|_| Person::new(rng)).collect::<Result<Vec<_>, _>>()?;
    let mut book = PrekeyBook::default();
    for person in others.iter().chain([&founder]) {
        insert(&mut book, person)?;
    }
    let leaver = others.last().map(|person| person.device.account()).ok_or_else(no_group)?;
    let genesis = Group::create(&founder.device, NOW, rng).map_err(Failure::engine("a new group"))?;
    founder.keep(genesis.changes);
    founder.group = Some(genesis.group);
    let mut building = Building { commits: vec![genesis.commit], seq: Seq(1), joins: Vec::new() };
    let first = building.entry(&founder, None)?;
    founder.receive(&first)?;

    say("the first members join");
    let late = others.split_off(others.len().min(senders + 1));
    let mut joined = building.add(&mut founder, &mut [], others, &book, usize::MAX, rng)?;
    let mut known = joined.split_off(1);
    let mut bob = joined.pop().ok_or_else(no_group)?;
    let mut bobs_book = PrekeyBook::default();
    insert(&mut bobs_book, &bob)?;
    for sender in &mut known {
        sender_key(sender, &mut [&mut bob, &mut founder], &bobs_book, &mut building.seq, rng)?;
    }
    drop(known);

    let per_newcomer = NEWCOMER_BYTES + NEWCOMER_BYTES_PER_SENDER * (senders + 1);
    let at_once = (MAX_FRAME / per_newcomer).clamp(1, 250);
    let mut late = late;
    let last = late.split_off(late.len().saturating_sub(TIMED_JOINS));
    while !late.is_empty() {
        say(&format!("{} more to add", late.len()));
        let rest = late.split_off(late.len().min(at_once));
        drop(building.add(&mut founder, &mut [&mut bob], late, &book, 0, rng)?);
        late = rest;
    }
    building.joins.clear();
    if !last.is_empty() {
        drop(building.add(&mut founder, &mut [&mut bob], last, &book, TIMED_JOINS, rng)?);
    }
    let Building { commits, seq, joins } = building;
    Ok(Village { founder, bob, leaver, book, seq, joins, commits: commits.len() })
}

/// The log so far.
struct Building {
    commits: Vec<Vec<u8>>,
    seq: Seq,
    joins: Vec<Duration>,
}

impl Building {
    /// Adds `newcomers`, the first one of a group as an admin; `followers` take the commit, and the first `joining` of
    /// the newcomers join and are handed back.
    fn add(
        &mut self,
        founder: &mut Person,
        followers: &mut [&mut Person],
        newcomers: Vec<Person>,
        book: &PrekeyBook,
        joining: usize,
        rng: &mut StdRng,
    ) -> Result<Vec<Person>, Failure> {
        let alone = self.commits.len() == 1;
        let operations = newcomers.iter().enumerate().map(|(position, person)| Operation::Add {
            role: if alone && position == 0 { Role::Admin } else { Role::Member },
            manifest: Opaque(person.device.manifest().encoded().to_vec()),
        });
        let group = founder.group.as_mut().ok_or_else(no_group)?;
        let staged = group
            .commit(&founder.device, operations.collect(), b"", book, NOW, rng)
            .map_err(Failure::engine("to add members"))?;
        founder.keep(staged.changes);
        let CommitUpload { commit, welcomes, .. } = staged.upload;
        self.commits.push(commit);
        self.seq = self.seq.next().unwrap_or(self.seq);
        let plain = self.entry(founder, None)?;
        founder.receive(&plain)?;
        for follower in followers {
            follower.receive(&plain)?;
        }
        let mut joined = Vec::new();
        for mut person in newcomers.into_iter().take(joining) {
            let welcome = welcomes.iter().find(|welcome| welcome.device == person.device.id());
            let entry = self.entry(founder, welcome.map(|welcome| &welcome.welcome))?;
            self.join(&mut person, &entry)?;
            joined.push(person);
        }
        Ok(joined)
    }

    fn join(&mut self, person: &mut Person, entry: &Entry) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut walk = Newcomer::new(entry.group);
        for commit in &self.commits {
            walk.commit(commit).map_err(Failure::engine("to walk the commits"))?;
        }
        let joined = walk.open(&mut person.device, entry, NOW);
        self.joins.push(begun.elapsed());
        let joined = joined.map_err(Failure::engine("to join"))?;
        person.keep(joined.changes);
        person.group = Some(joined.group);
        Ok(())
    }

    /// The last commit as the log shows it.
    fn entry(&self, founder: &Person, delivery: Option<&Opaque>) -> Result<Entry, Failure> {
        let group: GroupId = founder.group.as_ref().ok_or_else(no_group)?.id();
        let commit = self.commits.last().ok_or_else(no_group)?;
        Ok(entry(group, self.seq, EntryKind::Commit, commit, delivery))
    }
}

fn insert(book: &mut PrekeyBook, person: &Person) -> Result<(), Failure> {
    let prekeys = person.device.prekeys().ok_or_else(|| Failure::Wrong("a device without prekeys".into()))?;
    book.insert(&prekeys.encode()).map(drop).map_err(Failure::engine("prekeys"))
}

fn no_group() -> Failure {
    Failure::Wrong("a group without its people".into())
}
