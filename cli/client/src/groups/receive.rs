//! Processing a log: each entry goes to the engine, and what it meant is stored with what it changed.

use crate::error::ClientError;
use crate::local::{Local, now};
use crate::repair::{Need, NeedRow};
use crate::store::{HistoryRow, InboxKind, InboxRow, OutboxId, OutboxItem};
use conclave_engine::{
    CaughtUp, Changes, Continuity, Event, GroupMessage, GroupState, MessageId, Origin, ReceiveError,
    Recovered,
};
use conclave_wire::entry::Entry;
use conclave_wire::ids::{AccountId, GroupId, Opaque, Seq};
use std::collections::BTreeSet;

/// What processing some entries adds up to, stored in one transaction.
#[derive(Default)]
struct Batch {
    changes: Changes,
    rows: Vec<Row>,
    /// The group's outbox, read when an entry first concerns it.
    outbox: Option<Vec<(OutboxId, OutboxItem)>>,
    done: Vec<OutboxId>,
    met: Vec<AccountId>,
    /// What is needed, as an entry has shown.
    needs: BTreeSet<Need>,
    /// What is not, or no more.
    mended: BTreeSet<Need>,
}

enum Row {
    Notice(Seq, InboxKind),
    /// A message, and whether it is told as one, or as sent, or not at all.
    Message(HistoryRow, Option<Told>),
}

#[derive(Clone, Copy)]
enum Told {
    Received,
    Sent,
}

impl Local {
    /// Processes entries of one group: those before the cursor are passed over, and it ends at a gap. Returns the
    /// cursor.
    pub(crate) fn process(&mut self, id: GroupId, entries: &[Entry]) -> Result<Seq, ClientError> {
        if entries.iter().any(|entry| entry.group != id) {
            return Err(ClientError::OtherServerVersion { what: "it mixes up its logs".into() });
        }
        let (group, device) = self.group_and_device(id)?;
        let cursor = group.cursor();
        let new = entries.get(entries.partition_point(|entry| entry.seq <= cursor)..).unwrap_or_default();
        if !new.first().is_some_and(|entry| entry.follows(cursor)) {
            return Ok(cursor);
        }
        let caught_up = group.receive_all(device, new, now());
        let cursor = group.cursor();
        let lacks = group.newest_receipt().map(|(epoch, _)| epoch) < Some(group.epoch());
        if lacks && group.state() != GroupState::Removed {
            self.receipts_due.insert(id);
        }
        // The engine has gone on: its changes are stored with all that belongs to them, or memory is not used any more.
        self.take(id, new, caught_up).inspect_err(|_| self.break_off())?;
        Ok(cursor)
    }

    fn take(&mut self, id: GroupId, entries: &[Entry], caught_up: CaughtUp) -> Result<(), ClientError> {
        let mut batch = Batch { changes: caught_up.changes, ..Batch::default() };
        let mut recovered = caught_up.recovered.into_iter().peekable();
        for (entry, (seq, result)) in entries.iter().zip(caught_up.events) {
            while let Some(Recovered { seq, message, .. }) = recovered.next_if(|it| it.vouched_by == seq) {
                batch.note_message(seq, message);
            }
            batch.note_needs(&result);
            match result {
                Ok(event) => self.note_event(id, entry, event, &mut batch)?,
                Err(error) if is_harmless(&error) => {}
                Err(error) => {
                    batch.alarm(seq, &format!("entry {seq} was refused: {error}"), advice(&error));
                }
            }
        }
        self.store_batch(id, batch)
    }

    fn note_event(
        &mut self,
        id: GroupId,
        entry: &Entry,
        event: Event,
        batch: &mut Batch,
    ) -> Result<(), ClientError> {
        let seq = entry.seq;
        match event {
            Event::Founded => {
                self.awaited.commits += 1;
                self.finish(id, batch, OutboxItem::is_change)?;
            }
            Event::Message(message) => batch.note_message(seq, message),
            Event::Run(messages) => {
                messages.into_iter().for_each(|message| batch.note_message(seq, message));
            }
            // No honest run makes one, so it is told at once and not only if nothing vouches for it.
            Event::Pending { .. } => batch.alarm(
                seq,
                "a message is held back: its signature does not fit",
                "it is shown if its sender's next message vouches for it; if not, the server or a member made it up",
            ),
            Event::Sent { id: message } => self.note_sent(id, seq, message, batch)?,
            Event::SentRun { ids } => {
                ids.into_iter().try_for_each(|message| self.note_sent(id, seq, message, batch))?;
            }
            Event::SenderKey { sender, readable, .. } => {
                if sender.device == self.device.id() {
                    self.finish(id, batch, |item| matches!(item, OutboxItem::Distribution { .. }))?;
                } else if !readable {
                    batch.alarm(seq, "a member's new sender key could not be opened", ASKED);
                }
            }
            Event::EpochChanged { author, added, removed, roles, origin, state, .. } => {
                let own = origin == Origin::Ours;
                if origin == Origin::NotOurs {
                    batch.alarm(
                        seq,
                        "the group was changed in the name of this device, and not by it",
                        CLONED,
                    );
                }
                self.awaited.commits += usize::from(own);
                // What was staged in the epoch before either is this commit or has lost.
                self.finish(id, batch, OutboxItem::is_change)?;
                batch.met.extend(&added);
                for (accounts, kind) in [
                    (added, (|by, who| InboxKind::Added { by, who }) as fn(_, _) -> _),
                    (removed, |by, who| InboxKind::Removed { by, who }),
                ] {
                    if !accounts.is_empty() && !own {
                        batch.rows.push(Row::Notice(seq, kind(author, accounts)));
                    }
                }
                if !own {
                    let role = |(who, role)| InboxKind::RoleChanged { by: author, who, role };
                    batch.rows.extend(roles.into_iter().map(|change| Row::Notice(seq, role(change))));
                }
                if state == GroupState::NeedWelcome {
                    batch.alarm(
                        seq,
                        "this device missed a secret of the group and cannot follow it",
                        WELCOME,
                    );
                }
            }
            Event::Removed { by } => {
                batch.rows.push(Row::Notice(seq, InboxKind::RemovedMe { by }));
                let unsent = self.finish(id, batch, |item| matches!(item, OutboxItem::Message { .. }))?;
                self.finish(id, batch, |_| true)?;
                if unsent > 0 {
                    let what = format!("{unsent} of your messages could not be sent any more");
                    batch.alarm(seq, &what, "say them elsewhere, or ask to be added again");
                }
            }
            Event::Trimmed { first, last } => {
                batch.rows.push(Row::Notice(seq, InboxKind::Trimmed { entries: last.0 - first.0 + 1 }));
            }
            _ => {}
        }
        Ok(())
    }

    fn note_sent(
        &mut self,
        id: GroupId,
        seq: Seq,
        message: MessageId,
        batch: &mut Batch,
    ) -> Result<(), ClientError> {
        let is_it =
            |item: &OutboxItem| matches!(item, OutboxItem::Message { id, .. } if id == message.as_bytes());
        let found = self.outbox_of(id, batch)?.iter().find(|(_, item)| is_it(item)).cloned();
        let told = if self.awaited.message == Some(message) {
            self.awaited.delivered = Some(seq);
            None
        } else {
            Some(Told::Sent)
        };
        if let Some((row, OutboxItem::Message { id, content, .. })) = found {
            let (account, device) = (self.device.account(), self.device.id());
            batch.rows.push(Row::Message(HistoryRow { seq, account, device, id, content }, told));
            batch.done.push(row);
        }
        Ok(())
    }

    /// Marks rows of the outbox as done; returns how many.
    fn finish(
        &self,
        id: GroupId,
        batch: &mut Batch,
        which: impl Fn(&OutboxItem) -> bool,
    ) -> Result<usize, ClientError> {
        let done: Vec<OutboxId> =
            self.outbox_of(id, batch)?.iter().filter(|(_, item)| which(item)).map(|(row, _)| *row).collect();
        batch.done.extend(&done);
        Ok(done.len())
    }

    fn outbox_of<'b>(
        &self,
        id: GroupId,
        batch: &'b mut Batch,
    ) -> Result<&'b [(OutboxId, OutboxItem)], ClientError> {
        if batch.outbox.is_none() {
            batch.outbox = Some(self.store.outbox(id)?);
        }
        Ok(batch.outbox.as_deref().unwrap_or_default())
    }

    fn store_batch(&mut self, id: GroupId, batch: Batch) -> Result<(), ClientError> {
        if batch.changes.0.is_empty() {
            return Ok(());
        }
        let new = batch.needs.into_iter().filter(|need| self.needs.would_add(id, *need));
        let needs: Vec<_> = new.map(|need| NeedRow::new(id, need)).collect();
        let mended: Vec<_> = batch.mended.into_iter().filter(|need| self.needs.has(id, *need)).collect();
        self.write(|step| {
            step.apply(&batch.changes)?;
            mended.iter().try_for_each(|need| step.remove_need(id, *need))?;
            needs.iter().try_for_each(|row| step.set_need(row))?;
            for account in batch.met {
                step.meet(account, id)?;
            }
            for row in batch.done {
                step.remove_outbox(row)?;
            }
            for row in batch.rows {
                let (seq, kind) = match row {
                    Row::Notice(seq, kind) => (seq, kind),
                    Row::Message(message, told) => {
                        // Sealed twice, shown once.
                        let new = step.add_history(id, &message)?;
                        let Some(told) = told.filter(|_| new) else { continue };
                        let HistoryRow { seq, device, id, .. } = message;
                        (seq, InboxKind::Message { device, id, sent: matches!(told, Told::Sent) })
                    }
                };
                step.push_inbox(&InboxRow { group: id, seq, kind })?;
            }
            Ok(())
        })?;
        mended.into_iter().for_each(|need| self.needs.remove(id, need));
        needs.into_iter().for_each(|row| self.needs.set(row));
        Ok(())
    }
}

impl Batch {
    /// What an entry shows about what is needed. Of the two about one thing, the later counts.
    fn note_needs(&mut self, result: &Result<Event, ReceiveError>) {
        let needs = match result {
            Ok(event) => event.needs(),
            Err(error) => error.need().into_iter().collect(),
        };
        let mended = match result {
            Ok(Event::SenderKey { sender, readable: true, .. }) => Some(Need::SenderKey(sender.device)),
            Ok(Event::Message(message)) => Some(Need::SenderKey(message.sender.device)),
            Ok(Event::Run(messages)) => messages.first().map(|first| Need::SenderKey(first.sender.device)),
            Ok(Event::EpochChanged { state: GroupState::Active, .. }) => Some(Need::Welcome),
            _ => None,
        };
        for need in needs.iter().filter_map(Need::of) {
            self.mended.remove(&need);
            self.needs.insert(need);
        }
        if let Some(mended) = mended {
            self.needs.remove(&mended);
            self.mended.insert(mended);
        }
    }

    fn note_message(&mut self, seq: Seq, message: GroupMessage) {
        if message.continuity == Continuity::Gap {
            let what = "a message of the same sender before this one is missing";
            self.alarm(seq, what, "ask the sender what it said; if it happens again, distrust the server");
        }
        let row = HistoryRow {
            seq,
            account: message.sender.account,
            device: message.sender.device,
            id: *message.id.as_bytes(),
            content: Opaque(message.content),
        };
        self.rows.push(Row::Message(row, Some(Told::Received)));
    }

    fn alarm(&mut self, seq: Seq, what: &str, advice: &str) {
        let (what, advice) = (what.to_owned(), advice.to_owned());
        self.rows.push(Row::Notice(seq, InboxKind::Alarm { what, advice }));
    }
}

const WELCOME: &str = "members are asked for it; if none of them answers, ask an admin to remove this account and to add it again";

const ASKED: &str =
    "the sender is asked for its key; ask it to say again what cannot be read until it answers";

const CLONED: &str =
    "somebody may use a copy of this profile: remove this account from its groups and make a new one";

/// What a repeat after a broken connection looks like, and what was told before.
fn is_harmless(error: &ReceiveError) -> bool {
    match error {
        ReceiveError::Repeated(_) | ReceiveError::RepeatedDistribution | ReceiveError::Removed => true,
        // Told once, at the commit whose secret was missed.
        ReceiveError::NeedWelcome => true,
        _ => false,
    }
}

/// What to do about a refused entry.
fn advice(error: &ReceiveError) -> &'static str {
    match error {
        ReceiveError::Commit(_)
        | ReceiveError::Withheld { .. }
        | ReceiveError::LogOrder { .. }
        | ReceiveError::NotMember => {
            "no honest server stores such an entry: distrust this server, and begin the group anew elsewhere"
        }
        ReceiveError::NeedSenderKey { .. } => ASKED,
        ReceiveError::OldGeneration { .. } => "ask the sender to say it again",
        ReceiveError::NotOurs => CLONED,
        ReceiveError::Equivocation { .. } => {
            "somebody may use a copy of the sender's profile: ask them, and have an admin remove the account until they know"
        }
        ReceiveError::Decode(_) => "it may come from a newer program: upgrade this one",
        _ => {
            "ask the sender to say it again; if others see the same, one of the members or the server misbehaves"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_engine::Sender;
    use conclave_wire::ids::{DeviceId, Generation, LeafIndex};

    const BOB: DeviceId = DeviceId::from_bytes([2; 32]);

    fn sender_key(readable: bool, lost_chain: Option<DeviceId>) -> Result<Event, ReceiveError> {
        let sender = Sender { account: AccountId::from_bytes([1; 32]), device: BOB, leaf: LeafIndex(1) };
        Ok(Event::SenderKey { sender, generation: Generation(0), readable, lost_chain })
    }

    fn message() -> GroupMessage {
        let sender = Sender { account: AccountId::from_bytes([1; 32]), device: BOB, leaf: LeafIndex(1) };
        let (id, content) = (MessageId::from_bytes([3; 16]), b"text".to_vec());
        GroupMessage { sender, id, content, continuity: Continuity::Linked }
    }

    fn noted(results: &[Result<Event, ReceiveError>]) -> (Vec<Need>, Vec<Need>) {
        let mut batch = Batch::default();
        results.iter().for_each(|result| batch.note_needs(result));
        (batch.needs.into_iter().collect(), batch.mended.into_iter().collect())
    }

    #[test]
    fn what_an_entry_shows_last_counts() {
        let missing = Err(ReceiveError::NeedSenderKey { device: BOB, generation: Generation(0) });
        let [message, run] = [Event::Message(message()), Event::Run(vec![message(), message()])].map(Ok);
        let (key, chain) = (Need::SenderKey(BOB), Need::Chain(BOB));
        assert_eq!(noted(&[missing.clone(), missing.clone()]), (vec![key], vec![]));
        assert_eq!(noted(&[missing.clone(), sender_key(true, None)]), (vec![], vec![key]));
        assert_eq!(noted(&[missing.clone(), message.clone()]), (vec![], vec![key]));
        assert_eq!(noted(&[missing.clone(), run]), (vec![], vec![key]));
        assert_eq!(noted(&[message.clone(), missing]), (vec![key], vec![]));
        assert_eq!(noted(&[sender_key(false, Some(BOB)), message]), (vec![chain], vec![key]));
        assert_eq!(noted(&[Err(ReceiveError::NeedWelcome)]), (vec![Need::Welcome], vec![]));
    }
}
