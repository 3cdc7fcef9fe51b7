//! What the profile's device needs in its groups.

use super::crypto::{Place, Table};
use super::{Step, Store, damaged, parse};
use crate::error::ClientError;
use crate::repair::{Need, NeedRow};
use conclave_wire::codec;
use conclave_wire::ids::GroupId;
use rusqlite::params;

const NEEDS: Table = Table("needs");

impl Store {
    /// Everything that is needed.
    pub(crate) fn needs(&self) -> Result<Vec<NeedRow>, ClientError> {
        let mut query = self.db.prepare("select place, sealed from need")?;
        let mut rows = query.query([])?;
        let mut needs = Vec::new();
        while let Some(row) = rows.next()? {
            let place: Place = row.get(0)?;
            let sealed = row.get_ref(1)?.as_blob().map_err(|_| damaged("a need"))?;
            needs.push(parse(&self.keys.open(NEEDS, &[&place], sealed)?)?);
        }
        Ok(needs)
    }
}

impl Step<'_> {
    /// Adds or replaces one.
    pub(crate) fn set_need(&mut self, row: &NeedRow) -> Result<(), ClientError> {
        let place = self.place_of_need(row.group, row.need);
        let sealed = self.keys.seal(NEEDS, &[&place], &codec::encode(row))?;
        self.tx
            .prepare_cached("insert or replace into need (place, sealed) values (?1, ?2)")?
            .execute(params![place, sealed])?;
        Ok(())
    }

    /// Forgets one, if it is there.
    pub(crate) fn remove_need(&mut self, group: GroupId, need: Need) -> Result<(), ClientError> {
        let place = self.place_of_need(group, need);
        self.tx.prepare_cached("delete from need where place = ?1")?.execute(params![place])?;
        Ok(())
    }

    fn place_of_need(&self, group: GroupId, need: Need) -> Place {
        self.keys.place(NEEDS, &[group.as_bytes(), &need.key()])
    }
}
