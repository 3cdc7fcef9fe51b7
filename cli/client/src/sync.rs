//! Following the logs: everything new until now, or live.

use crate::client::Client;
use crate::connection::{Incoming, done, unexpected};
use crate::error::ClientError;
use crate::local::now;
use crate::notice::Notice;
use crate::store::{InboxKind, InboxRow};
use conclave_engine::GroupState;
use conclave_wire::entry::Entry;
use conclave_wire::ids::{GroupId, Seq};
use conclave_wire::limits::MAX_CURSORS;
use conclave_wire::reply::{Membership, Reply};
use conclave_wire::request::{Cursor, Request};

const GONE_BACK: &str = "it was restored from an old backup, or it lies: what comes next in this group is not shown; compare receipts with the \
                         other members, and begin the group anew";

/// Pushes processed in one transaction.
const MAX_PUSHES: usize = 256;

impl Client {
    /// Fetches and processes everything new in all groups, and hands out every notice not handed out before.
    ///
    /// A notice counts as handed out when the client is asked again, closed or dropped: should the process be killed
    /// before, the next one hands it out once more, with the same group and position.
    pub async fn sync(&mut self) -> Result<Vec<Notice>, ClientError> {
        self.fetch().await?;
        self.take_notices()
    }

    /// Like [`sync`](Self::sync), but leaves the notices to a later `sync` or [`next`](Self::next).
    pub async fn fetch(&mut self) -> Result<(), ClientError> {
        let had_connection = self.is_connected();
        match self.refresh().await {
            // It was broken already, and nobody had noticed.
            Err(error) if had_connection && error.is_temporary() && !self.is_connected() => {
                self.refresh().await?;
            }
            refreshed => refreshed?,
        }
        self.acknowledge(true).await;
        Ok(())
    }

    /// Waits for the next notice. Keeps the connection up, and connects again with growing pauses when it is lost.
    /// Cancel-safe: dropping the future loses nothing. If the server was never reached, says so at once.
    pub async fn next(&mut self) -> Result<Notice, ClientError> {
        loop {
            if let Some(notice) = self.take_notice()? {
                return Ok(notice);
            }
            self.session.backoff.pass().await;
            match self.follow().await {
                Ok(()) => self.session.backoff.reset(),
                Err(error) if error.is_temporary() && self.session.was_connected => {
                    tracing::info!(%error, "trying again");
                    self.session.backoff.fail();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One step of following the logs. What it has taken from the connection it has stored before it waits again.
    async fn follow(&mut self) -> Result<(), ClientError> {
        self.ensure_connected().await?;
        if self.session.behind {
            return self.refresh().await;
        }
        if !self.session.subscribed {
            return self.subscribe().await;
        }
        if self.session.letters_wait {
            // There may be notices now.
            return self.visit_mailbox().await;
        }
        self.ask_for_what_is_needed().await?;
        if !self.local.receipts_due.is_empty() {
            // There may be alarms.
            return self.collect_receipts().await;
        }
        let next_question = self.next_question();
        let Some(connection) = &mut self.session.connection else { return Ok(()) };
        let incoming = match next_question {
            None => connection.incoming().await,
            Some(pause) => match tokio::time::timeout(pause, connection.incoming()).await {
                Ok(incoming) => incoming,
                Err(_) => return Ok(()),
            },
        };
        match incoming {
            Incoming::Push(entry) => {
                self.take_pushes(entry)?;
                if !self.session.behind {
                    self.name_contacts().await?;
                }
                self.acknowledge(false).await;
            }
            Incoming::Letters => self.session.letters_wait = true,
            Incoming::Missed => (self.session.behind, self.session.letters_wait) = (true, true),
            Incoming::Lost => {
                self.session.connection = None;
                self.session.backoff.fail();
            }
        }
        Ok(())
    }

    /// Processes a push and what has come after it. What does not fit is left to [`refresh`](Self::refresh).
    fn take_pushes(&mut self, first: Entry) -> Result<(), ClientError> {
        let mut entries = vec![first];
        if let Some(connection) = &mut self.session.connection {
            for more in std::iter::from_fn(|| connection.try_incoming()).take(MAX_PUSHES) {
                match more {
                    Incoming::Push(entry) => entries.push(entry),
                    _ => self.session.letters_wait = true,
                }
            }
        }
        // Stable: each group's entries stay in order.
        entries.sort_by_key(|entry| entry.group);
        for entries in entries.chunk_by(|a, b| a.group == b.group) {
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { continue };
            if !self.local.is_open(&first.group) {
                // Refused before, or new: the list of groups tells.
                self.session.behind |= !self.local.rows.contains_key(&first.group);
                continue;
            }
            let cursor = self.local.process(first.group, entries)?;
            self.acknowledge_later(first.group, cursor);
            // A gap, or a group that this device was removed from and is in again.
            self.session.behind |= cursor < last.seq;
        }
        Ok(())
    }

    /// Brings everything up to date: joins, logs, outboxes, names, prekeys.
    pub(crate) async fn refresh(&mut self) -> Result<(), ClientError> {
        let memberships = match self.request(Request::Groups).await? {
            Reply::Groups { groups } => groups,
            other => return Err(unexpected(other)),
        };
        self.refresh_groups(&memberships).await?;
        self.session.letters_wait = true;
        self.visit_mailbox().await?;
        self.ask_for_what_is_needed().await?;
        self.collect_receipts().await?;
        // Only now: who drops this future in the middle begins again. What was pushed meanwhile waits in its queue.
        self.session.behind = false;
        Ok(())
    }

    async fn refresh_groups(&mut self, memberships: &[Membership]) -> Result<(), ClientError> {
        for membership in memberships {
            self.refresh_group(membership).await?;
        }
        for id in self.local.open_groups() {
            if !self.local.store.outbox_is_empty(id)? {
                self.flush_leftovers(id).await?;
            }
        }
        self.name_contacts().await?;
        // Every log is processed up to its head, so what is 48 hours old can open nothing any more.
        let changes = self.local.device.retire_prekeys(now());
        if !changes.0.is_empty() {
            self.local.write(|step| step.apply(&changes))?;
        }
        Ok(())
    }

    async fn refresh_group(&mut self, membership: &Membership) -> Result<(), ClientError> {
        let id = membership.group;
        if self.local.is_open(&id) {
            let group = self.local.group(id)?;
            let (cursor, state) = (group.cursor(), group.state());
            // Beyond the cursor: removed and added again, seen or unseen. A founder's own genesis is before any cursor.
            if membership.joined <= cursor || cursor == Seq(0) {
                if state != GroupState::Removed && cursor < membership.head {
                    self.catch_up(id).await?;
                }
                return self.judge_head(membership, cursor);
            }
        }
        if self.local.rows.get(&id).is_some_and(|row| row.refused_join >= Some(membership.joined)) {
            return Ok(());
        }
        self.join(membership).await?;
        if self.local.is_open(&id) {
            self.resubscribe();
            if self.local.group(id)?.cursor() < membership.head {
                self.catch_up(id).await?;
            }
        }
        Ok(())
    }

    /// Tells, once, of a log that ends before what the server has shown of it.
    fn judge_head(&mut self, membership: &Membership, cursor: Seq) -> Result<(), ClientError> {
        let Membership { group, head, .. } = *membership;
        if membership.left.is_some() || head >= cursor {
            self.session.gone_back.remove(&group);
            return Ok(());
        }
        if self.session.gone_back.insert(group, head).is_some() {
            return Ok(());
        }
        let what = format!("the server has this group's log up to {head}, and had shown it up to {cursor}");
        let kind = InboxKind::Alarm { what, advice: GONE_BACK.to_owned() };
        self.local.write(|step| step.push_inbox(&InboxRow { group, seq: cursor, kind }))
    }

    /// Sends what an earlier call left. What the server refuses for good must not keep everything else waiting.
    pub(crate) async fn flush_leftovers(&mut self, id: GroupId) -> Result<(), ClientError> {
        match self.flush(id).await {
            Err(error) if matches!(error, ClientError::Unreachable { .. } | ClientError::Storage { .. }) => {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(%error, group = %id, "what waits in the outbox cannot be sent now");
                self.local.check()
            }
            Ok(()) => Ok(()),
        }
    }

    /// Has the server push everything after the cursors.
    async fn subscribe(&mut self) -> Result<(), ClientError> {
        let mut cursors = Vec::new();
        for group in self.local.open_groups() {
            let known = self.local.group(group)?;
            if known.state() != GroupState::Removed {
                let seq = known.cursor();
                // Beyond the end of a log nothing can be asked for, and other groups are not to wait for this one.
                let end = self.session.gone_back.get(&group).copied().unwrap_or(seq);
                cursors.push(Cursor { group, seq: seq.min(end) });
            }
        }
        // Without a cursor, too: it is also what brings groups that this device is added to from now on.
        let mut rest = cursors.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(MAX_CURSORS));
            done(self.request(Request::Subscribe { cursors: now.to_vec() }).await?)?;
            rest = later;
            if rest.is_empty() {
                self.session.subscribed = true;
                return Ok(());
            }
        }
    }
}
