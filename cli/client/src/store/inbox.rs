//! The inbox: notices that were not yet handed to the embedder. Written in the step that processes the entry, so that
//! what one process has fetched another one still shows.

use super::crypto::Table;
use super::{Step, Store, damaged, parse};
use crate::error::ClientError;
use conclave_engine::Scope;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{AccountId, DeviceId, GroupId, Seq};
use conclave_wire::roster::Role;
use minicbor::{Decode, Encode};
use rusqlite::params;

const INBOX: Table = Table("inbox");

/// Most notices kept for an embedder that never asks; beyond it the oldest go. Messages stay in the history.
const MAX_INBOX: i64 = 50_000;

/// A row of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InboxId(i64);

/// A notice as it is stored: accounts without names, messages by reference.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct InboxRow {
    #[n(0)]
    pub(crate) group: GroupId,
    #[n(1)]
    pub(crate) seq: Seq,
    #[n(2)]
    pub(crate) kind: InboxKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum InboxKind {
    #[n(0)]
    Message {
        #[n(0)]
        device: DeviceId,
        #[n(1)]
        id: [u8; 16],
        /// An own message that an earlier call could not deliver.
        #[n(2)]
        sent: bool,
    },
    #[n(1)]
    Joined {
        #[n(0)]
        by: AccountId,
    },
    #[n(2)]
    Added {
        #[n(0)]
        by: AccountId,
        #[n(1)]
        who: Vec<AccountId>,
    },
    #[n(3)]
    Removed {
        #[n(0)]
        by: AccountId,
        #[n(1)]
        who: Vec<AccountId>,
    },
    #[n(4)]
    RoleChanged {
        #[n(0)]
        by: AccountId,
        #[n(1)]
        who: AccountId,
        #[n(2)]
        role: Role,
    },
    #[n(5)]
    RemovedMe {
        #[n(0)]
        by: AccountId,
    },
    #[n(6)]
    Alarm {
        #[n(0)]
        what: String,
        #[n(1)]
        advice: String,
    },
    #[n(7)]
    Repaired {
        /// Whose messages can be read again; `None` for everybody's.
        #[n(0)]
        who: Option<AccountId>,
    },
    #[n(8)]
    Trimmed {
        /// How many.
        #[n(0)]
        entries: u64,
    },
}

impl Structure for InboxRow {
    const NAME: &'static str = "notice";
    const MAX_BYTES: usize = 128 << 10;
}

impl Store {
    /// The oldest notices after `after`, at most `limit`.
    pub(crate) fn inbox(
        &self,
        after: Option<InboxId>,
        limit: usize,
    ) -> Result<Vec<(InboxId, InboxRow)>, ClientError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut query = self
            .db
            .prepare_cached("select id, scope, sealed from inbox where id > ?1 order by id limit ?2")?;
        let mut rows = query.query(params![after.map_or(0, |id| id.0), limit])?;
        let mut notices = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let scope: [u8; 16] = row.get(1)?;
            let sealed = row.get_ref(2)?.as_blob().map_err(|_| damaged("a notice"))?;
            let content = self.keys.open(INBOX, &[&scope, &id.to_be_bytes()], sealed)?;
            notices.push((InboxId(id), parse(&content)?));
        }
        Ok(notices)
    }
}

impl Step<'_> {
    /// Appends a notice.
    pub(crate) fn push_inbox(&mut self, row: &InboxRow) -> Result<(), ClientError> {
        let scope = self.scope(Scope::Group(row.group));
        let id: i64 = self
            .tx
            .prepare_cached("insert into inbox (scope, sealed) values (?1, x'') returning id")?
            .query_row(params![scope], |row| row.get(0))?;
        let sealed = self.keys.seal(INBOX, &[&scope, &id.to_be_bytes()], &codec::encode(row))?;
        self.tx.prepare_cached("update inbox set sealed = ?2 where id = ?1")?.execute(params![id, sealed])?;
        self.tx.prepare_cached("delete from inbox where id <= ?1")?.execute(params![id - MAX_INBOX])?;
        Ok(())
    }

    /// Removes everything up to a notice that was handed out.
    pub(crate) fn clear_inbox(&mut self, up_to: InboxId) -> Result<(), ClientError> {
        self.tx.prepare_cached("delete from inbox where id <= ?1")?.execute(params![up_to.0])?;
        Ok(())
    }
}
