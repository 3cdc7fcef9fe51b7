//! Groups: which there are, and everything that is done in them.

mod change;
mod create;
mod flush;
mod join;
pub(crate) mod parts;
mod receive;
#[cfg(test)]
mod runs;
mod send;

use crate::client::Client;
use crate::error::ClientError;
use crate::label;
use crate::store::GroupRow;
use crate::summary::{GroupDetail, GroupSummary, MemberDetail};
use conclave_wire::ids::GroupId;

/// Fewest digits of a group's id that stand for the group.
const MIN_ID_DIGITS: usize = 8;

impl Client {
    /// The groups of this profile, by label. What the profile knows; asks nobody.
    pub fn groups(&mut self) -> Result<Vec<GroupSummary>, ClientError> {
        let ids = self.local.open_groups();
        let mut groups = ids.into_iter().map(|id| self.summary(id)).collect::<Result<Vec<_>, _>>()?;
        groups.sort_by(|a, b| a.label.cmp(&b.label));
        Ok(groups)
    }

    /// A group with its members, by its label or at least 8 digits of its id. What the profile knows; asks nobody.
    pub fn group(&mut self, label: &str) -> Result<GroupDetail, ClientError> {
        let id = self.resolve(label)?;
        let summary = self.summary(id)?;
        let me = self.identity.account;
        let group = self.local.group(id)?;
        let accounts: Vec<_> = group
            .roster()
            .accounts()
            .map(|(account, role)| (account, role, group.roster().leaves_of(&account).len()))
            .collect();
        let members = accounts.into_iter().map(|(account, role, devices)| {
            let name = self.person(account)?.name;
            Ok(MemberDetail { account, name, role, devices, me: account == me })
        });
        Ok(GroupDetail { summary, members: members.collect::<Result<_, ClientError>>()? })
    }

    pub(crate) fn summary(&mut self, id: GroupId) -> Result<GroupSummary, ClientError> {
        let label = self.local.label(&id);
        let group = self.local.group(id)?;
        Ok(GroupSummary {
            id,
            label,
            epoch: group.epoch(),
            members: group.roster().accounts().count(),
            state: group.state(),
            cursor: group.cursor(),
        })
    }

    /// The group that a label or the beginning of an id stands for.
    pub(crate) fn resolve(&self, given: &str) -> Result<GroupId, ClientError> {
        self.local.check()?;
        find(self.local.rows.values(), given)
    }

    /// Like [`resolve`](Self::resolve); asks the server for new groups before it gives up.
    pub(crate) async fn resolve_or_refresh(&mut self, given: &str) -> Result<GroupId, ClientError> {
        match self.resolve(given) {
            Err(ClientError::UnknownGroup { .. }) => {
                self.refresh().await?;
                self.resolve(given)
            }
            found => found,
        }
    }
}

fn find<'a>(rows: impl Iterator<Item = &'a GroupRow>, given: &str) -> Result<GroupId, ClientError> {
    let digits = given.to_ascii_lowercase();
    let may_be_id = digits.len() >= MIN_ID_DIGITS;
    let mut found = None;
    let mut several = false;
    for row in rows.filter(|row| row.open) {
        if row.label == given {
            return Ok(row.id);
        }
        if may_be_id && row.id.to_string().starts_with(&digits) {
            several |= found.is_some();
            found = Some(row.id);
        }
    }
    let label = label::clean(given).unwrap_or_default();
    match found {
        Some(_) if several => Err(ClientError::AmbiguousGroup { label }),
        Some(id) => Ok(id),
        None => Err(ClientError::UnknownGroup { label }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u8, second: u8, label: &str) -> GroupRow {
        let mut id = [0; 32];
        id[0] = first;
        id[4] = second;
        GroupRow { id: GroupId::from_bytes(id), label: label.to_owned(), open: true, refused_join: None }
    }

    #[test]
    fn labels_come_before_ids() {
        let rows = [row(0xaa, 1, "team"), row(0xaa, 2, "other"), row(0xbb, 0, "aa000000")];
        let find = |given: &str| find(rows.iter(), given);
        assert_eq!(find("team").unwrap(), rows[0].id);
        assert_eq!(find("aa000000").unwrap(), rows[2].id, "a label that looks like an id");
        assert_eq!(find("AA00000002").unwrap(), rows[1].id);
        assert!(matches!(find("aa0000000"), Err(ClientError::AmbiguousGroup { .. })));
        assert!(matches!(find("bb00000"), Err(ClientError::UnknownGroup { .. })), "too few digits");
        assert!(matches!(find("cc000000"), Err(ClientError::UnknownGroup { .. })));
    }
}
