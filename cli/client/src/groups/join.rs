//! Joining a group that somebody has added this device to.

use crate::client::Client;
use crate::connection::{page, unexpected};
use crate::error::ClientError;
use crate::label;
use crate::local::now;
use crate::store::{GroupRow, InboxKind, InboxRow, OutboxItem};
use conclave_engine::{JoinError, Joined, Newcomer, Scope};
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{GroupId, Seq};
use conclave_wire::reply::{Membership, Reply};
use conclave_wire::request::Request;

/// Commits asked for at once.
const PAGE: u32 = 256;

/// Longest history walked: at 50 µs a commit some seconds, and more than any group should need.
const MAX_COMMITS: u32 = 100_000;

impl Client {
    /// Walks the commits up to the one that added this device and opens the welcome. A refused join is told and not
    /// tried again; an error is one of the connection or of the store.
    pub(crate) async fn join(&mut self, membership: &Membership) -> Result<(), ClientError> {
        let mut walk = Newcomer::new(membership.group);
        let entry = match self.walk(&mut walk, membership).await? {
            Ok(entry) => entry,
            Err(why) => return self.refuse_join(membership, &why),
        };
        self.local.check()?;
        match walk.open(&mut self.local.device, &entry, now()) {
            Ok(mut joined) => match joined.verify_members().first() {
                // Here people look at who is in the group, so nobody is in it whose account did not say so.
                Some(forged) => self.refuse_join(membership, &forged.to_string()),
                None => self.enter(joined, entry.seq),
            },
            Err(error) => self.refuse_join(membership, &error.to_string()),
        }
    }

    /// Joins anew a group that this device was removed from and added to again, both unseen.
    pub(super) async fn join_again(&mut self, id: GroupId, cursor: Seq) -> Result<(), ClientError> {
        let memberships = match self.request(Request::Groups).await? {
            Reply::Groups { groups } => groups,
            other => return Err(unexpected(other)),
        };
        let again = memberships.iter().find(|found| found.group == id && found.joined > cursor);
        let what = || format!("it keeps back entries after {cursor} of a log");
        let again = again.ok_or_else(|| ClientError::OtherServerVersion { what: what() })?;
        self.join(again).await?;
        if self.local.group(id)?.cursor() >= again.joined {
            self.resubscribe();
            return Ok(());
        }
        Err(ClientError::NeedWelcome { label: self.local.label(&id) })
    }

    /// The entry of the joining commit, after every commit up to it was checked; or why there is none.
    async fn walk(
        &mut self,
        walk: &mut Newcomer,
        membership: &Membership,
    ) -> Result<Result<Entry, String>, ClientError> {
        let (group, joined) = (membership.group, membership.joined);
        loop {
            let from = walk.next_epoch();
            if from.0 >= MAX_COMMITS {
                return Ok(Err(format!("its history is longer than {MAX_COMMITS} commits")));
            }
            let reply = self.request(Request::FetchCommits { group, from, limit: PAGE }).await?;
            let (entries, _) = page(reply)?;
            if entries.is_empty() {
                return Ok(Err("the server does not show the commit that added this device".into()));
            }
            for entry in entries {
                if entry.group != group || entry.kind != EntryKind::Commit || entry.seq > joined {
                    return Ok(Err("the server does not show the group's commits in order".into()));
                }
                if let Err(error) = walk.commit(&entry.body.0) {
                    return Ok(Err(JoinError::to_string(&error)));
                }
                if entry.seq == joined {
                    return Ok(Ok(entry));
                }
            }
        }
    }

    fn enter(&mut self, joined: Joined, seq: Seq) -> Result<(), ClientError> {
        let Joined { group, note, by, changes } = joined;
        let id = group.id();
        let row = GroupRow { id, label: self.label_for(id, &note), open: true, refused_join: None };
        let accounts: Vec<_> = group.roster().accounts().map(|(account, _)| account).collect();
        // Of an earlier membership the records go, and what was made for it; messages are sealed again.
        let mut outbox = self.local.store.outbox(id)?;
        outbox.retain(|(_, item)| !matches!(item, OutboxItem::Message { .. }));
        self.local.write(|step| {
            outbox.iter().try_for_each(|(row, _)| step.remove_outbox(*row))?;
            step.clear_scope(Scope::Group(id))?;
            step.apply(&changes)?;
            step.set_group(&row)?;
            accounts.iter().try_for_each(|account| step.meet(*account, id))?;
            step.push_inbox(&InboxRow { group: id, seq, kind: InboxKind::Joined { by } })
        })?;
        self.local.insert_group(row, group);
        self.local.receipts_due.insert(id);
        Ok(())
    }

    /// The label that a group had here before, or the one that was suggested, or one made from its id.
    fn label_for(&self, id: GroupId, note: &[u8]) -> String {
        match self.local.rows.get(&id).filter(|row| row.open) {
            Some(row) => row.label.clone(),
            None => {
                let wanted = label::decode_note(note).unwrap_or_else(|| label::fallback(&id));
                let others = |label: &str| self.local.rows.values().any(|r| r.id != id && r.label == label);
                label::unique(&wanted, others)
            }
        }
    }

    fn refuse_join(&mut self, membership: &Membership, why: &str) -> Result<(), ClientError> {
        let (id, seq) = (membership.group, membership.joined);
        tracing::warn!(group = %id, why, "a group cannot be joined");
        let known = self.local.rows.get(&id);
        let row = GroupRow {
            id,
            label: known.map_or_else(|| label::fallback(&id), |row| row.label.clone()),
            open: known.is_some_and(|row| row.open),
            refused_join: Some(seq),
        };
        let kind = InboxKind::Alarm {
            what: format!("this account was added to a group that cannot be joined: {why}"),
            advice: "ask whoever added you to remove you and to add you again".into(),
        };
        self.local.write(|step| {
            step.set_group(&row)?;
            step.push_inbox(&InboxRow { group: id, seq, kind })
        })?;
        self.local.rows.insert(id, row);
        Ok(())
    }
}
