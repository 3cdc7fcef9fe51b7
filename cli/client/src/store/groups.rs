//! The groups of a profile: what it calls them, and joins that were refused.

use super::crypto::{Place, Table};
use super::{Step, Store, damaged, parse};
use crate::error::ClientError;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{GroupId, Seq};
use minicbor::{Decode, Encode};
use rusqlite::params;

const GROUPS: Table = Table("groups");

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GroupRow {
    #[n(0)]
    pub(crate) id: GroupId,
    /// Unique in the profile.
    #[n(1)]
    pub(crate) label: String,
    /// Whether the group has records. Without, all that is known of it is that joining it was refused.
    #[n(2)]
    pub(crate) open: bool,
    /// The commit that added this device with a welcome that was refused; a later one is tried again.
    #[n(3)]
    pub(crate) refused_join: Option<Seq>,
}

impl Structure for GroupRow {
    const NAME: &'static str = "group";
    const MAX_BYTES: usize = 4096;
}

impl Store {
    /// Every group.
    pub(crate) fn groups(&self) -> Result<Vec<GroupRow>, ClientError> {
        let mut query = self.db.prepare("select place, sealed from groups")?;
        let mut rows = query.query([])?;
        let mut groups = Vec::new();
        while let Some(row) = rows.next()? {
            let place: Place = row.get(0)?;
            let sealed = row.get_ref(1)?.as_blob().map_err(|_| damaged("a group"))?;
            groups.push(parse(&self.keys.open(GROUPS, &[&place], sealed)?)?);
        }
        Ok(groups)
    }
}

impl Step<'_> {
    /// Adds or replaces a group.
    pub(crate) fn set_group(&mut self, row: &GroupRow) -> Result<(), ClientError> {
        let place = self.keys.place(GROUPS, &[row.id.as_bytes()]);
        let sealed = self.keys.seal(GROUPS, &[&place], &codec::encode(row))?;
        self.tx
            .prepare_cached("insert or replace into groups (place, sealed) values (?1, ?2)")?
            .execute(params![place, sealed])?;
        Ok(())
    }

    /// Forgets a group that never came to be.
    pub(crate) fn remove_group(&mut self, id: GroupId) -> Result<(), ClientError> {
        let place = self.keys.place(GROUPS, &[id.as_bytes()]);
        self.tx.prepare_cached("delete from groups where place = ?1")?.execute(params![place])?;
        Ok(())
    }
}
