//! A device: a whole engine with a connection and no store.

use super::connection::Connection;
use super::target::Target;
use crate::failure::Failure;
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::{DeviceId, Generation, GroupId, Opaque, Seq, Timestamp};
use conclave_engine::wire::limits::{MAX_CURSORS, MAX_PREKEYS_PER_REQUEST};
use conclave_engine::wire::name::Name;
use conclave_engine::wire::reply::Reply;
use conclave_engine::wire::request::{Cursor, Request};
use conclave_engine::wire::roster::Role;
use conclave_engine::{Device, Event, Group, Newcomer, PrekeyBook};
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Entries asked for at once.
const PAGE: u32 = 1000;

/// A device under test, while the groups are prepared.
pub(super) struct Participant {
    pub(super) device: Device,
    pub(super) connection: Connection,
    pub(super) rng: StdRng,
    pub(super) name: Name,
    /// When everything happens, by this device's clock: runs are too short for it to matter.
    pub(super) now: Timestamp,
    /// By the group's number in the plan.
    pub(super) groups: BTreeMap<usize, Group>,
}

impl Participant {
    /// Makes a device and registers it; that also logs it in.
    pub(super) async fn register(
        target: &Target,
        from: Option<Ipv4Addr>,
        name: Name,
        now: Timestamp,
        mut rng: StdRng,
    ) -> Result<Self, Failure> {
        let (device, _unstored) = Device::create(now, &mut rng).map_err(Failure::engine("a new device"))?;
        let mut connection = Connection::dial(target, from).await?;
        let prekeys = device.prekeys().ok_or(Failure::Unexpected("a new device"))?.encode();
        let register = Request::Register {
            name: name.clone(),
            manifest: Opaque(device.manifest().encoded().to_vec()),
            prekeys: Opaque(prekeys),
            login: device.login(target.name(), connection.nonce()),
            invite: None,
        };
        connection.done("a registration", register).await?;
        Ok(Self { device, connection, rng, name, now, groups: BTreeMap::new() })
    }

    /// Founds the group with this number.
    pub(super) async fn found(&mut self, number: usize) -> Result<GroupId, Failure> {
        let new =
            Group::create(&self.device, self.now, &mut self.rng).map_err(Failure::engine("a new group"))?;
        let commit = Opaque(new.commit);
        let (deliveries, welcomes) = (Vec::new(), Vec::new());
        let request = Request::Commit { commit: commit.clone(), deliveries, welcomes, staged: None };
        let (group, seq) = self.connection.accepted("a new group", request).await?;
        self.groups.insert(number, new.group);
        let entry = Entry { group, seq, kind: EntryKind::Commit, delivery: None, body: commit };
        self.receive(number, &entry)?;
        Ok(group)
    }

    /// The manifest behind a name.
    pub(super) async fn lookup(&mut self, name: Name) -> Result<Opaque, Failure> {
        match self.connection.request("a lookup", Request::Lookup { name }).await? {
            Reply::Account { manifest } => Ok(manifest),
            _ => Err(Failure::Unexpected("a lookup")),
        }
    }

    /// Devices' prekeys, verified.
    pub(super) async fn prekeys(&mut self, devices: &[DeviceId]) -> Result<PrekeyBook, Failure> {
        let mut book = PrekeyBook::default();
        for devices in devices.chunks(MAX_PREKEYS_PER_REQUEST) {
            let request = Request::Prekeys { devices: devices.to_vec() };
            let Reply::Prekeys { prekeys, .. } = self.connection.request("prekeys", request).await? else {
                return Err(Failure::Unexpected("prekeys"));
            };
            for prekeys in prekeys {
                let prekeys = prekeys.ok_or(Failure::Unexpected("prekeys"))?;
                book.insert(&prekeys.0).map_err(Failure::engine("prekeys"))?;
            }
        }
        Ok(book)
    }

    /// Adds accounts; returns where in the log.
    pub(super) async fn add(
        &mut self,
        number: usize,
        manifests: &[Opaque],
        book: &PrekeyBook,
    ) -> Result<Seq, Failure> {
        let group = self.groups.get_mut(&number).ok_or(Failure::Unexpected("a group"))?;
        let add = |manifest: &Opaque| Operation::Add { role: Role::Member, manifest: manifest.clone() };
        let operations = manifests.iter().map(add).collect();
        let staged = group
            .commit(&self.device, operations, b"", book, self.now, &mut self.rng)
            .map_err(Failure::engine("to add members"))?;
        let _unstored = staged.changes;
        let commit = Opaque(staged.upload.commit);
        let (deliveries, welcomes) = (staged.upload.deliveries, staged.upload.welcomes);
        let request = Request::Commit { commit: commit.clone(), deliveries, welcomes, staged: None };
        let (group, seq) = self.connection.accepted("to add members", request).await?;
        let entry = Entry { group, seq, kind: EntryKind::Commit, delivery: None, body: commit };
        self.receive(number, &entry)?;
        Ok(seq)
    }

    /// Joins by the commit at `added`: walks every commit from the genesis to it and opens the welcome.
    pub(super) async fn join(&mut self, number: usize, group: GroupId, added: Seq) -> Result<(), Failure> {
        let mut walk = Newcomer::new(group);
        let mut walked = Seq(0);
        while walked < added {
            let request = Request::FetchCommits { group, from: walk.next_epoch(), limit: PAGE };
            let entries = self.page("the commits", request).await?;
            if entries.is_empty() {
                return Err(Failure::Unexpected("the commits"));
            }
            for entry in entries.iter().take_while(|entry| entry.seq <= added) {
                walk.commit(&entry.body.0).map_err(Failure::engine("the commits"))?;
                walked = entry.seq;
            }
        }
        let request = Request::Fetch { group, after: Seq(added.0.saturating_sub(1)), limit: 1 };
        let entries = self.page("the welcome", request).await?;
        let entry = entries.first().ok_or(Failure::Unexpected("the welcome"))?;
        let joined = walk.open(&mut self.device, entry, self.now).map_err(Failure::engine("a welcome"))?;
        let _unstored = joined.changes;
        self.groups.insert(number, joined.group);
        Ok(())
    }

    /// Takes the log up to its head.
    pub(super) async fn catch_up(&mut self, number: usize) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        loop {
            let state = self.groups.get(&number).ok_or(Failure::Unexpected("a group"))?;
            let request = Request::Fetch { group: state.id(), after: state.cursor(), limit: PAGE };
            let entries = self.page("the log", request).await?;
            if entries.is_empty() {
                return Ok(events);
            }
            for entry in &entries {
                events.push(self.receive(number, entry)?);
            }
        }
    }

    /// Gives everybody a sender key, and sees it in the log; returns its generation.
    pub(super) async fn distribute(
        &mut self,
        number: usize,
        book: &PrekeyBook,
    ) -> Result<Generation, Failure> {
        self.catch_up(number).await?;
        let state = self.groups.get_mut(&number).ok_or(Failure::Unexpected("a group"))?;
        let staged = state
            .distribute(&self.device, book, self.now, &mut self.rng)
            .map_err(Failure::engine("a sender key"))?;
        let _unstored = staged.changes;
        let request = Request::Distribute {
            group: state.id(),
            distribution: Opaque(staged.upload.distribution),
            deliveries: staged.upload.deliveries,
            staged: None,
        };
        self.connection.accepted("a sender key", request).await?;
        let me = self.device.id();
        let own = |event: Event| match event {
            Event::SenderKey { sender, generation, .. } if sender.device == me => Some(generation),
            _ => None,
        };
        let events = self.catch_up(number).await?;
        events.into_iter().find_map(own).ok_or(Failure::Unexpected("a sender key"))
    }

    /// Asks for what comes after each cursor.
    pub(super) async fn subscribe(&mut self, cursors: &[Cursor]) -> Result<(), Failure> {
        for cursors in cursors.chunks(MAX_CURSORS) {
            let request = Request::Subscribe { cursors: cursors.to_vec() };
            self.connection.done("a subscription", request).await?;
        }
        Ok(())
    }

    fn receive(&mut self, number: usize, entry: &Entry) -> Result<Event, Failure> {
        let group = self.groups.get_mut(&number).ok_or(Failure::Unexpected("a group"))?;
        let received = group.receive(&mut self.device, entry, self.now);
        let received = received.map_err(Failure::engine("an entry of the log"))?;
        let _unstored = received.changes;
        Ok(received.event)
    }

    async fn page(&mut self, what: &'static str, request: Request) -> Result<Vec<Entry>, Failure> {
        match self.connection.request(what, request).await? {
            Reply::Page { entries, .. } => Ok(entries),
            _ => Err(Failure::Unexpected(what)),
        }
    }
}
