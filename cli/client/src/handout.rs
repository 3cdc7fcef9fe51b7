//! Handing out notices: from the inbox to the embedder, each once.
//!
//! A notice leaves the inbox when the embedder comes back for more, or closes or drops the client. So a process that is
//! killed while it shows a notice shows it again; none is lost.

use crate::client::Client;
use crate::content::{self, Content};
use crate::error::ClientError;
use crate::notice::{Notice, NoticeKind};
use crate::store::{HistoryRow, InboxId, InboxKind, InboxRow};
use crate::summary::{ContentKind, StoredMessage};
use conclave_wire::ids::{AccountId, Timestamp};
use std::collections::VecDeque;

/// Notices read from the inbox at once.
const BATCH: usize = 64;

/// Notices between the inbox and the embedder.
#[derive(Debug, Default)]
pub(crate) struct Handout {
    ready: VecDeque<(InboxId, Notice)>,
    /// The last one that the embedder has.
    handed: Option<InboxId>,
}

impl Client {
    /// The messages of a group that this profile has read or sent, in log order. Asks nobody.
    pub fn history(&mut self, label: &str) -> Result<Vec<StoredMessage>, ClientError> {
        let id = self.resolve(label)?;
        let rows = self.local.store.history(id)?;
        rows.iter().map(|row| self.stored_message(row)).collect()
    }

    /// The next notice of the inbox.
    pub(crate) fn take_notice(&mut self) -> Result<Option<Notice>, ClientError> {
        if self.handout.ready.is_empty() {
            self.clear_handed()?;
            self.read_inbox(None)?;
        }
        Ok(self.handout.ready.pop_front().map(|(id, notice)| {
            self.handout.handed = Some(id);
            notice
        }))
    }

    /// Every notice of the inbox.
    pub(crate) fn take_notices(&mut self) -> Result<Vec<Notice>, ClientError> {
        let mut notices = Vec::new();
        if self.handout.ready.is_empty() {
            self.clear_handed()?;
        }
        loop {
            while let Some((id, notice)) = self.handout.ready.pop_front() {
                self.handout.handed = Some(id);
                notices.push(notice);
            }
            self.read_inbox(self.handout.handed)?;
            if self.handout.ready.is_empty() {
                return Ok(notices);
            }
        }
    }

    /// Removes from the inbox what the embedder has.
    pub(crate) fn clear_handed(&mut self) -> Result<(), ClientError> {
        if let Some(handed) = self.handout.handed {
            self.local.write(|step| step.clear_inbox(handed))?;
            self.handout.handed = None;
        }
        Ok(())
    }

    fn read_inbox(&mut self, after: Option<InboxId>) -> Result<(), ClientError> {
        for (id, row) in self.local.store.inbox(after, BATCH)? {
            let notice = self.notice(row)?;
            self.handout.ready.push_back((id, notice));
        }
        Ok(())
    }

    fn notice(&mut self, row: InboxRow) -> Result<Notice, ClientError> {
        let InboxRow { group, seq, kind } = row;
        let kind = match kind {
            InboxKind::Message { device, id, sent } => match self.local.store.message(group, &device, &id)? {
                Some(row) if sent => NoticeKind::Sent(self.stored_message(&row)?),
                Some(row) => NoticeKind::Message(self.stored_message(&row)?),
                None => NoticeKind::Alarm {
                    what: "a message that came is missing from the history".into(),
                    advice: "ask the sender to say it again".into(),
                },
            },
            InboxKind::Joined { by } => NoticeKind::Joined { by: self.person(by)? },
            InboxKind::Added { by, who } => {
                NoticeKind::Added { by: self.person(by)?, who: self.people(who)? }
            }
            InboxKind::Removed { by, who } => {
                NoticeKind::RemovedMember { by: self.person(by)?, who: self.people(who)? }
            }
            InboxKind::RoleChanged { by, who, role } => {
                NoticeKind::RoleChanged { by: self.person(by)?, who: self.person(who)?, role }
            }
            InboxKind::RemovedMe { by } => NoticeKind::RemovedMe { by: self.person(by)? },
            InboxKind::Trimmed { entries } => NoticeKind::Trimmed { entries },
            InboxKind::Repaired { who } => {
                NoticeKind::Repaired { who: who.map(|who| self.person(who)).transpose()? }
            }
            InboxKind::Alarm { what, advice } => NoticeKind::Alarm { what, advice },
        };
        Ok(Notice { group, label: self.local.label(&group), seq, kind })
    }

    fn people(&mut self, accounts: Vec<AccountId>) -> Result<Vec<crate::notice::Person>, ClientError> {
        accounts.into_iter().map(|account| self.person(account)).collect()
    }

    fn stored_message(&mut self, row: &HistoryRow) -> Result<StoredMessage, ClientError> {
        let (kind, text, sent_at) = match content::decode(&row.content.0) {
            Content::Text { sent_at, text } => (ContentKind::Text, text, sent_at),
            Content::Unknown => (ContentKind::Unknown, UNKNOWN.to_owned(), Timestamp::default()),
        };
        Ok(StoredMessage {
            seq: row.seq,
            id: conclave_engine::MessageId::from_bytes(row.id),
            sender: row.account,
            sender_name: self.person(row.account)?.name,
            own: row.account == self.identity.account,
            kind,
            text,
            sent_at,
        })
    }
}

/// What is shown in the place of a content that cannot be.
const UNKNOWN: &str = "(a message of a kind that this version does not know; upgrade to read it)";
