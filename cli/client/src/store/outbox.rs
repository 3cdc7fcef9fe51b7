//! The outbox: what was made and is not yet seen in the log. Rows are written in the step that seals them and removed in
//! the step that sees them, so that a process may die in between and what it made is sent again, never made again.

use super::crypto::{Place, Table};
use super::{Step, Store, damaged, parse};
use crate::error::ClientError;
use crate::groups::parts::{MAX_UPLOAD, Parts};
use conclave_engine::Scope;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{DeviceId, Epoch, GroupId, Opaque};
use conclave_wire::letter::LetterKind;
use conclave_wire::request::WelcomeFor;
use minicbor::{Decode, Encode};
use rusqlite::params;

const OUTBOX: Table = Table("outbox");

/// A row of the outbox; rows of one group are sent in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OutboxId(i64);

/// What waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum OutboxItem {
    /// A message.
    #[n(0)]
    Message {
        /// Kept when it is sealed again.
        #[n(0)]
        id: [u8; 16],
        /// What it holds, for sealing again and for the history.
        #[n(1)]
        content: Opaque,
        /// The sealed message.
        #[n(2)]
        sealed: Opaque,
        /// In which epoch it was sealed: in another one it must be sealed again.
        #[n(3)]
        epoch: Epoch,
    },
    /// A sender key.
    #[n(1)]
    Distribution {
        #[n(0)]
        distribution: Opaque,
        #[n(1)]
        deliveries: Vec<Opaque>,
        #[n(2)]
        epoch: Epoch,
        /// If the deliveries go first, in parts.
        #[n(3)]
        parts: Option<Parts>,
    },
    /// A commit.
    #[n(2)]
    Commit {
        #[n(0)]
        commit: Opaque,
        #[n(1)]
        deliveries: Vec<Opaque>,
        #[n(2)]
        welcomes: Vec<WelcomeFor>,
        /// If the deliveries and welcomes go first, in parts.
        #[n(3)]
        parts: Option<Parts>,
    },
    /// A question to another device of the group, or an answer.
    #[n(3)]
    Letter {
        #[n(0)]
        to: DeviceId,
        #[n(1)]
        kind: LetterKind,
        #[n(2)]
        body: Opaque,
    },
}

impl OutboxItem {
    /// Whether it is for the group as it was when this was made, and for no later state of it.
    pub(crate) fn is_change(&self) -> bool {
        matches!(self, Self::Commit { .. } | Self::Distribution { .. })
    }
}

impl Structure for OutboxItem {
    const NAME: &'static str = "outbox row";
    const MAX_BYTES: usize = 2 * MAX_UPLOAD;
}

impl Store {
    /// What waits in a group, in order.
    pub(crate) fn outbox(&self, group: GroupId) -> Result<Vec<(OutboxId, OutboxItem)>, ClientError> {
        let scope = self.scope(Scope::Group(group));
        let mut query =
            self.db.prepare_cached("select id, sealed from outbox where scope = ?1 order by id")?;
        let mut rows = query.query(params![scope])?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let sealed = row.get_ref(1)?.as_blob().map_err(|_| damaged("an outbox row"))?;
            let content = self.keys.open(OUTBOX, &[&scope, &id.to_be_bytes()], sealed)?;
            items.push((OutboxId(id), parse(&content)?));
        }
        Ok(items)
    }

    /// Whether anything waits in a group.
    pub(crate) fn outbox_is_empty(&self, group: GroupId) -> Result<bool, ClientError> {
        let scope = self.scope(Scope::Group(group));
        let mut query = self.db.prepare_cached("select 1 from outbox where scope = ?1 limit 1")?;
        Ok(!query.exists(params![scope])?)
    }
}

impl Step<'_> {
    /// Appends what is to be sent.
    pub(crate) fn push_outbox(&mut self, group: GroupId, item: &OutboxItem) -> Result<OutboxId, ClientError> {
        let scope: Place = self.scope(Scope::Group(group));
        let id: i64 = self
            .tx
            .prepare_cached("insert into outbox (scope, sealed) values (?1, x'') returning id")?
            .query_row(params![scope], |row| row.get(0))?;
        self.put_outbox(group, OutboxId(id), item)?;
        Ok(OutboxId(id))
    }

    /// Replaces a row, as when its message was sealed again.
    pub(crate) fn put_outbox(
        &mut self,
        group: GroupId,
        id: OutboxId,
        item: &OutboxItem,
    ) -> Result<(), ClientError> {
        let scope: Place = self.scope(Scope::Group(group));
        let sealed = self.keys.seal(OUTBOX, &[&scope, &id.0.to_be_bytes()], &codec::encode(item))?;
        self.tx
            .prepare_cached("insert or replace into outbox (id, scope, sealed) values (?1, ?2, ?3)")?
            .execute(params![id.0, scope, sealed])?;
        Ok(())
    }

    /// Removes what was seen in the log, or cannot be sent any more.
    pub(crate) fn remove_outbox(&mut self, id: OutboxId) -> Result<(), ClientError> {
        self.tx.prepare_cached("delete from outbox where id = ?1")?.execute(params![id.0])?;
        Ok(())
    }
}
