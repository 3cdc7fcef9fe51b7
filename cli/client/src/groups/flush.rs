//! Sending what the outbox holds, the same way after a call and after a crash.
//!
//! A row leaves the outbox in the transaction that processes its entry of the log, or when the server has refused it for
//! good. If it is not known whether a row was posted before (another process wrote it, or the connection was lost), the
//! log is read to its head first: what is in it is not posted again.

use crate::client::Client;
use crate::connection::{page, refused, unexpected};
use crate::error::ClientError;
use crate::local::now;
use crate::store::{OutboxId, OutboxItem};
use conclave_engine::{GroupState, MessageId};
use conclave_wire::ids::{GroupId, Opaque, Seq};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;
use std::time::Duration;

/// Entries asked for at once; the server sends fewer if they are large.
const PAGE: u32 = 256;

/// How often one flush goes around. Each round posts something or processes a commit of somebody else's.
const MAX_ROUNDS: usize = 1000;

/// How often one message is sealed again because the group changed under it.
const MAX_RESEALS: usize = 16;

/// How often a commit waits here for its turn.
const MAX_WAITS: usize = 3;

/// How long, at most, each time. What is told to wait longer fails.
const LONGEST_WAIT: Duration = Duration::from_secs(6);

impl Client {
    /// Reads a group's log up to the head that the server names first.
    pub(crate) async fn catch_up(&mut self, id: GroupId) -> Result<(), ClientError> {
        let mut target: Option<Seq> = None;
        loop {
            let after = self.local.group(id)?.cursor();
            let reply = self.request(Request::Fetch { group: id, after, limit: PAGE }).await?;
            if matches!(reply, Reply::Refused { refusal: Refusal::NotMember }) && after == Seq(0) {
                // A group whose genesis is still in the outbox.
                return Ok(());
            }
            let (entries, head) = page(reply)?;
            if entries.first().is_some_and(|entry| entry.seq > after && !entry.follows(after)) {
                // What is left out comes before the commit that added this device again.
                self.join_again(id, after).await?;
                continue;
            }
            let target = *target.get_or_insert(head);
            let cursor = self.local.process(id, &entries)?;
            self.acknowledge_later(id, cursor);
            if cursor >= target || self.local.group(id)?.state() == GroupState::Removed {
                return match self.collect_receipts().await {
                    // What was asked for is done, with them or without.
                    Err(error) if error.is_temporary() => Ok(()),
                    collected => collected,
                };
            }
            if cursor == after {
                let what = format!("it keeps back entries after {cursor} of a log that goes to {target}");
                return Err(ClientError::OtherServerVersion { what });
            }
        }
    }

    /// Sends what the group's outbox holds, in order.
    pub(crate) async fn flush(&mut self, id: GroupId) -> Result<(), ClientError> {
        if !self.local.settled.contains(&id) {
            self.catch_up(id).await?;
            self.local.settled.insert(id);
        }
        let mut reseals = 0;
        for _ in 0..MAX_ROUNDS {
            let Some((row, mut item)) = self.local.next_outbox(id)? else { return Ok(()) };
            if self.is_moot(id, &item)? {
                self.local.write(|step| step.remove_outbox(row))?;
                continue;
            }
            match self.send_ahead(&mut item).await {
                Err(error @ ClientError::Refused(_)) => {
                    self.give_up(id, row, &item)?;
                    return Err(error);
                }
                sent => sent?,
            }
            match item {
                OutboxItem::Commit { commit, deliveries, welcomes, parts } => {
                    let staged = parts.map(|parts| parts.upload);
                    let request = Request::Commit { commit, deliveries, welcomes, staged };
                    self.post_commit(id, row, request).await?;
                }
                OutboxItem::Distribution { distribution, deliveries, parts, .. } => {
                    let staged = parts.map(|parts| parts.upload);
                    let request = Request::Distribute { group: id, distribution, deliveries, staged };
                    self.post_distribution(id, row, request).await?;
                }
                OutboxItem::Letter { to, kind, body } => {
                    self.post_letter(row, Request::SendLetter { group: id, to, kind, body }).await?;
                }
                OutboxItem::Message { id: message, content, sealed, .. } => {
                    let message = MessageId::from_bytes(message);
                    let group = self.local.group(id)?;
                    if group.is_unconfirmed(&message) {
                        self.post_message(id, sealed).await?;
                    } else if group.sender_key_due(now()) {
                        self.stage_sender_key(id).await?;
                    } else if reseals < MAX_RESEALS {
                        reseals += 1;
                        self.reseal(id, row, message, content)?;
                    } else {
                        return Err(ClientError::Busy { label: self.local.label(&id) });
                    }
                }
            }
        }
        Err(ClientError::Busy { label: self.local.label(&id) })
    }

    /// Whether something has become of a group since the item was made that leaves no use for it.
    fn is_moot(&mut self, id: GroupId, item: &OutboxItem) -> Result<bool, ClientError> {
        let group = self.local.group(id)?;
        Ok(match item {
            // The log has decided against it.
            OutboxItem::Commit { .. } => group.cursor() > Seq(0) && !group.staged(),
            OutboxItem::Distribution { epoch, .. } => group.epoch() != *epoch,
            OutboxItem::Message { .. } | OutboxItem::Letter { .. } => false,
        })
    }

    async fn post_commit(&mut self, id: GroupId, row: OutboxId, request: Request) -> Result<(), ClientError> {
        match self.post_in_turn(id, request).await {
            Ok(Reply::Accepted { group, seq }) if group == id => self.see(id, row, seq).await,
            Ok(Reply::Refused { refusal: Refusal::HeadMoved { .. } }) => {
                self.catch_up(id).await?;
                self.drop_commit(id, row)
            }
            Ok(Reply::Refused { refusal: Refusal::NotMember }) if self.local.group(id)?.cursor() > Seq(0) => {
                self.learn_removal(id).await
            }
            Ok(other) => {
                self.drop_commit(id, row)?;
                Err(unexpected(other))
            }
            // It was never sent.
            Err(error @ ClientError::TooLarge { .. }) => {
                self.drop_commit(id, row)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives up what the server will not take, because it will not take what goes ahead of it.
    fn give_up(&mut self, id: GroupId, row: OutboxId, item: &OutboxItem) -> Result<(), ClientError> {
        match item {
            OutboxItem::Commit { .. } => self.drop_commit(id, row),
            // Nothing was sealed under it yet, so nothing is lost with it.
            OutboxItem::Distribution { .. } => self.local.write(|step| step.remove_outbox(row)),
            OutboxItem::Message { .. } | OutboxItem::Letter { .. } => Ok(()),
        }
    }

    /// Leaves a letter, once or, after a broken connection, twice. One that is refused is given up: who needs something
    /// asks again.
    async fn post_letter(&mut self, row: OutboxId, request: Request) -> Result<(), ClientError> {
        match self.request(request).await? {
            Reply::Refused { refusal: refusal @ (Refusal::Unavailable | Refusal::RateLimited { .. }) } => {
                return Err(refused(refusal));
            }
            Reply::Refused { refusal } => tracing::info!(%refusal, "a letter is not kept"),
            Reply::Done => {}
            other => return Err(unexpected(other)),
        }
        self.local.write(|step| step.remove_outbox(row))
    }

    /// Gives up a commit that the server will not take. Its secret is forgotten with it.
    fn drop_commit(&mut self, id: GroupId, row: OutboxId) -> Result<(), ClientError> {
        let group = self.local.group(id)?;
        if group.cursor() == Seq(0) {
            return self.local.forget_group(id);
        }
        let changes = if group.staged() { Some(group.abandon_staged_commit()) } else { None };
        self.local.write(|step| {
            changes.iter().try_for_each(|changes| step.apply(changes))?;
            step.remove_outbox(row)
        })
    }

    async fn post_distribution(
        &mut self,
        id: GroupId,
        row: OutboxId,
        request: Request,
    ) -> Result<(), ClientError> {
        match self.post(id, request).await {
            Ok(Reply::Accepted { seq, .. }) => self.see(id, row, seq).await,
            Ok(Reply::Refused { refusal: Refusal::EpochStale { .. } }) => self.catch_up(id).await,
            Ok(Reply::Refused { refusal: Refusal::NotMember }) => self.learn_removal(id).await,
            Ok(other) => {
                // Nothing was sealed under it yet, so nothing is lost with it.
                self.local.write(|step| step.remove_outbox(row))?;
                Err(unexpected(other))
            }
            Err(error @ ClientError::TooLarge { .. }) => {
                self.local.write(|step| step.remove_outbox(row))?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn post_message(&mut self, id: GroupId, sealed: Opaque) -> Result<(), ClientError> {
        match self.post(id, Request::Post { group: id, message: sealed }).await? {
            Reply::Accepted { .. } | Reply::Refused { refusal: Refusal::EpochStale { .. } } => {
                self.catch_up(id).await
            }
            Reply::Refused { refusal: Refusal::NotMember } => self.learn_removal(id).await,
            // Whatever the reason, the message stays: its successors link to it.
            Reply::Refused { refusal } => Err(refused(refusal)),
            other => Err(unexpected(other)),
        }
    }

    /// Reads the commit that removed this device, which empties the outbox. Without one, the server contradicts its log.
    async fn learn_removal(&mut self, id: GroupId) -> Result<(), ClientError> {
        self.catch_up(id).await?;
        let removed = self.local.group(id)?.state() == GroupState::Removed;
        if removed { Ok(()) } else { Err(ClientError::Refused(Refusal::NotMember)) }
    }

    /// Posts a commit; where an admin goes first, after that.
    async fn post_in_turn(&mut self, id: GroupId, request: Request) -> Result<Reply, ClientError> {
        for _ in 0..MAX_WAITS {
            match self.post(id, request.clone()).await? {
                Reply::Refused { refusal: Refusal::RateLimited { retry_after_ms, .. } }
                    if Duration::from_millis(retry_after_ms) <= LONGEST_WAIT =>
                {
                    tokio::time::sleep(Duration::from_millis(retry_after_ms)).await;
                }
                reply => return Ok(reply),
            }
        }
        self.post(id, request).await
    }

    /// Posts, with a note of not knowing what became of it until the answer is there.
    async fn post(&mut self, id: GroupId, request: Request) -> Result<Reply, ClientError> {
        self.local.settled.remove(&id);
        let answered = self.request(request).await;
        // What was too large for a frame was not posted.
        if matches!(answered, Ok(_) | Err(ClientError::TooLarge { .. })) {
            self.local.settled.insert(id);
        }
        answered
    }

    /// Reads the log up to where the server has put something of ours, and makes sure that it is there.
    async fn see(&mut self, id: GroupId, row: OutboxId, seq: Seq) -> Result<(), ClientError> {
        self.catch_up(id).await?;
        let waits = self.local.store.outbox(id)?.iter().any(|(waiting, _)| *waiting == row);
        if waits && self.local.group(id)?.cursor() >= seq {
            self.local.write(|step| step.remove_outbox(row))?;
            let what = format!("it says that it accepted an entry as {seq}, and shows another there");
            return Err(ClientError::OtherServerVersion { what });
        }
        Ok(())
    }
}
