//! The history: every message that was read or sent, each once.

use super::crypto::{Place, Table};
use super::{Step, Store, damaged, parse};
use crate::error::ClientError;
use conclave_engine::Scope;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{AccountId, DeviceId, GroupId, Opaque, Seq};
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};

const HISTORY: Table = Table("history");

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HistoryRow {
    #[n(0)]
    pub(crate) seq: Seq,
    #[n(1)]
    pub(crate) account: AccountId,
    #[n(2)]
    pub(crate) device: DeviceId,
    #[n(3)]
    pub(crate) id: [u8; 16],
    /// As it came, so that a later version can show what this one does not know.
    #[n(4)]
    pub(crate) content: Opaque,
}

impl Structure for HistoryRow {
    const NAME: &'static str = "message";
    const MAX_BYTES: usize = 128 << 10;
}

impl Store {
    /// The messages of a group, in log order.
    pub(crate) fn history(&self, group: GroupId) -> Result<Vec<HistoryRow>, ClientError> {
        let scope = self.scope(Scope::Group(group));
        let mut query =
            self.db.prepare_cached("select place, sealed from history where scope = ?1 order by id")?;
        let mut rows = query.query(params![scope])?;
        let mut messages: Vec<HistoryRow> = Vec::new();
        while let Some(row) = rows.next()? {
            let place: Place = row.get(0)?;
            let sealed = row.get_ref(1)?.as_blob().map_err(|_| damaged("a message"))?;
            messages.push(parse(&self.keys.open(HISTORY, &[&scope, &place], sealed)?)?);
        }
        // Written in this order; sorted all the same, as the order of rows is not authenticated.
        messages.sort_by_key(|message| message.seq);
        Ok(messages)
    }

    /// One message.
    pub(crate) fn message(
        &self,
        group: GroupId,
        device: &DeviceId,
        id: &[u8; 16],
    ) -> Result<Option<HistoryRow>, ClientError> {
        let scope = self.scope(Scope::Group(group));
        let place = self.keys.place(HISTORY, &[&scope, device.as_bytes(), id]);
        let sealed: Option<Vec<u8>> = self
            .db
            .prepare_cached("select sealed from history where scope = ?1 and place = ?2")?
            .query_row(params![scope, place], |row| row.get(0))
            .optional()?;
        sealed.map(|sealed| parse(&self.keys.open(HISTORY, &[&scope, &place], &sealed)?)).transpose()
    }
}

impl Step<'_> {
    /// Adds a message and says whether it is new: a message that its sender sealed again is kept once.
    pub(crate) fn add_history(&mut self, group: GroupId, row: &HistoryRow) -> Result<bool, ClientError> {
        let scope = self.scope(Scope::Group(group));
        let place = self.keys.place(HISTORY, &[&scope, row.device.as_bytes(), &row.id]);
        let sealed = self.keys.seal(HISTORY, &[&scope, &place], &codec::encode(row))?;
        let added = self
            .tx
            .prepare_cached(
                "insert into history (scope, place, sealed) values (?1, ?2, ?3) on conflict do nothing",
            )?
            .execute(params![scope, place, sealed])?;
        Ok(added == 1)
    }
}
