//! What this process holds in memory, and its one way to the store.
//!
//! The engine changes its state first and then says what to store. Should storing fail, memory is ahead of the disk and
//! must not be used: a message sealed now would use a key that the next process uses again. So after a failed write
//! everything is refused until the profile is opened again.

use crate::error::ClientError;
use crate::repair::Needs;
use crate::store::{GroupRow, OutboxItem, Step, Store, damaged};
use conclave_engine::{Device, Group, GroupState, MessageId, Scope};
use conclave_wire::ids::{GroupId, Seq, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Device, groups and store.
pub(crate) struct Local {
    pub(crate) store: Store,
    pub(crate) device: Device,
    /// Every group, those that could not be joined too.
    pub(crate) rows: BTreeMap<GroupId, GroupRow>,
    /// Groups that were needed since the profile was opened.
    groups: HashMap<GroupId, Group>,
    /// Groups of whose outbox it is known that none of it is in the log.
    pub(crate) settled: HashSet<GroupId>,
    /// What this device needs in its groups.
    pub(crate) needs: Needs,
    /// What a call under way waits for, to tell it itself.
    pub(crate) awaited: Awaited,
    /// Groups in an epoch of which there is no receipt.
    pub(crate) receipts_due: BTreeSet<GroupId>,
    broken: bool,
}

/// What `send` or a change of a group waits to see in the log.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    /// The message that `send` has sealed.
    pub(crate) message: Option<MessageId>,
    /// Where the log shows it.
    pub(crate) delivered: Option<Seq>,
    /// Own commits that the log has shown.
    pub(crate) commits: usize,
}

impl Local {
    pub(crate) fn new(store: Store, device: Device) -> Result<Self, ClientError> {
        let needs = Needs::new(store.needs()?);
        let rows = store.groups()?.into_iter().map(|row| (row.id, row)).collect();
        Ok(Self {
            store,
            device,
            rows,
            groups: HashMap::new(),
            settled: HashSet::new(),
            needs,
            awaited: Awaited::default(),
            receipts_due: BTreeSet::new(),
            broken: false,
        })
    }

    /// Refuses after a failed write.
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        if !self.broken {
            return Ok(());
        }
        let what = "an earlier write failed, so this process stops here; open the profile again".to_owned();
        Err(ClientError::Storage { what, source: "an earlier write failed".into() })
    }

    /// Refuses everything from now on: memory is ahead of the disk.
    pub(crate) fn break_off(&mut self) {
        self.broken = true;
    }

    /// One transaction.
    pub(crate) fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Step<'_>) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.check()?;
        let written = self.store.step().and_then(|mut step| {
            let value = write(&mut step)?;
            step.commit()?;
            Ok(value)
        });
        self.broken = written.is_err();
        written
    }

    /// Groups that have records, loaded or not.
    pub(crate) fn open_groups(&self) -> Vec<GroupId> {
        self.rows.values().filter(|row| row.open).map(|row| row.id).collect()
    }

    /// Whether the group has records.
    pub(crate) fn is_open(&self, id: &GroupId) -> bool {
        self.rows.get(id).is_some_and(|row| row.open)
    }

    /// A group, loaded when first needed.
    pub(crate) fn group(&mut self, id: GroupId) -> Result<&mut Group, ClientError> {
        self.group_and_device(id).map(|(group, _)| group)
    }

    /// A group with the device that it borrows for what goes to one other device.
    pub(crate) fn group_and_device(&mut self, id: GroupId) -> Result<(&mut Group, &mut Device), ClientError> {
        self.check()?;
        let group = match self.groups.entry(id) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let records = self.store.records(Scope::Group(id))?;
                let group = Group::load(id, records).map_err(|e| damaged(&e.to_string()))?;
                place.insert(group)
            }
        };
        Ok((group, &mut self.device))
    }

    /// Takes a group that was made or joined just now and is stored.
    pub(crate) fn insert_group(&mut self, row: GroupRow, group: Group) {
        self.groups.insert(row.id, group);
        self.rows.insert(row.id, row);
    }

    /// Forgets a group whose genesis no server took.
    pub(crate) fn forget_group(&mut self, id: GroupId) -> Result<(), ClientError> {
        let outbox = self.store.outbox(id)?;
        self.write(|step| {
            for (row, _) in &outbox {
                step.remove_outbox(*row)?;
            }
            step.clear_scope(Scope::Group(id))?;
            step.remove_group(id)
        })?;
        self.groups.remove(&id);
        self.rows.remove(&id);
        self.receipts_due.remove(&id);
        Ok(())
    }

    /// Refuses what only an active member can do.
    pub(crate) fn check_active(&mut self, id: GroupId) -> Result<(), ClientError> {
        let label = self.label(&id);
        match self.group(id)?.state() {
            GroupState::Active => Ok(()),
            GroupState::Removed => Err(ClientError::NotMember { label }),
            _ => Err(ClientError::NeedWelcome { label }),
        }
    }

    /// What the profile calls a group.
    pub(crate) fn label(&self, id: &GroupId) -> String {
        self.rows.get(id).map_or_else(|| crate::label::fallback(id), |row| row.label.clone())
    }

    /// Whether a label is in use.
    pub(crate) fn has_label(&self, label: &str) -> bool {
        self.rows.values().any(|row| row.label == label)
    }

    /// What is to be sent next in a group: everything else before messages, which need it.
    pub(crate) fn next_outbox(
        &self,
        id: GroupId,
    ) -> Result<Option<(crate::store::OutboxId, OutboxItem)>, ClientError> {
        let mut items = self.store.outbox(id)?;
        let first = items.iter().position(|(_, item)| !matches!(item, OutboxItem::Message { .. }));
        Ok(if items.is_empty() { None } else { Some(items.swap_remove(first.unwrap_or(0))) })
    }
}

/// The clock.
pub(crate) fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::default().plus(since_1970.unwrap_or_default())
}
