//! Sending: seal, store, post, see it in the log.

use super::change::MAX_RACES;
use super::parts::{MAX_UPLOAD, Parts};
use crate::client::Client;
use crate::content;
use crate::error::ClientError;
use crate::local::now;
use crate::session::Backoff;
use crate::store::{OutboxId, OutboxItem};
use crate::summary::Delivered;
use conclave_engine::{DistributeError, DistributionUpload, MessageId, SealError};
use conclave_wire::ids::{DeviceId, GroupId, Opaque};

/// How often a lost connection is made again before a message is left in the outbox.
const MAX_TRIES: usize = 4;

impl Client {
    /// Sends a text. Returns when the server has it durably and it was seen in the log.
    ///
    /// Once the text is sealed it is stored, and goes out sooner or later: if this fails with
    /// [`ClientError::Queued`], or the future is dropped, a later call sends it, or the next process.
    pub async fn send(&mut self, label: &str, text: &str) -> Result<Delivered, ClientError> {
        let content = content::encode_text(text, now())?;
        let id = self.resolve_or_refresh(label).await?;
        self.local.check_active(id)?;
        // What waits goes first. This also finds out, before anything is sealed, whether the server is there.
        self.patiently(id).await?;
        self.local.check_active(id)?;
        self.ensure_sender_key(id).await?;
        let message = self.seal(id, content)?;
        self.local.awaited.message = Some(message);
        self.local.awaited.delivered = None;
        let flushed = self.patiently(id).await;
        let (delivered, _) = (self.local.awaited.delivered.take(), self.local.awaited.message.take());
        let label = self.local.label(&id);
        match (delivered, flushed) {
            (Some(seq), _) => Ok(Delivered { group: id, label, seq, id: message }),
            (None, Err(source)) if source.is_temporary() || matches!(source, ClientError::Busy { .. }) => {
                Err(ClientError::Queued { label, source: Box::new(source) })
            }
            (None, Err(error)) => Err(error),
            // Nothing waits, and yet it was not delivered: this device was removed meanwhile.
            (None, Ok(())) => {
                self.local.check_active(id)?;
                Err(ClientError::Internal { what: "a message left the outbox unseen".into() })
            }
        }
    }

    /// Sees to a sender key that seals. Commits of others in between make it start over.
    async fn ensure_sender_key(&mut self, id: GroupId) -> Result<(), ClientError> {
        for _ in 0..MAX_RACES {
            if !self.local.group(id)?.sender_key_due(now()) {
                return Ok(());
            }
            self.stage_sender_key(id).await?;
            self.patiently(id).await?;
            self.local.check_active(id)?;
        }
        Err(ClientError::Busy { label: self.local.label(&id) })
    }

    /// Flushes, and mends a connection that was there a few times when it breaks.
    async fn patiently(&mut self, id: GroupId) -> Result<(), ClientError> {
        let had_connection = self.is_connected();
        let mut backoff = Backoff::default();
        for _ in 1..MAX_TRIES {
            match self.flush(id).await {
                Err(error) if error.is_temporary() && had_connection => backoff.wait().await,
                flushed => return flushed,
            }
        }
        self.flush(id).await
    }

    fn seal(&mut self, id: GroupId, content: Vec<u8>) -> Result<MessageId, ClientError> {
        let group = self.local.group(id)?;
        let epoch = group.epoch();
        let sealed = group.seal(&content, &mut rand::rng());
        let sealed = sealed.map_err(|error| self.seal_error(id, &error))?;
        let message = sealed.id;
        self.local.write(|step| {
            step.apply(&sealed.changes)?;
            let (content, sealed) = (Opaque(content), Opaque(sealed.message));
            step.push_outbox(id, &OutboxItem::Message { id: *message.as_bytes(), content, sealed, epoch })
        })?;
        Ok(message)
    }

    /// Seals what waits under the present epoch and sender key; its id stays.
    pub(super) fn reseal(
        &mut self,
        id: GroupId,
        row: OutboxId,
        message: MessageId,
        content: Opaque,
    ) -> Result<(), ClientError> {
        self.local.check_active(id)?;
        let group = self.local.group(id)?;
        let epoch = group.epoch();
        let sealed = group.seal_again(message, &content.0, &mut rand::rng());
        let sealed = sealed.map_err(|error| self.seal_error(id, &error))?;
        self.local.write(|step| {
            step.apply(&sealed.changes)?;
            let sealed = Opaque(sealed.message);
            step.put_outbox(id, row, &OutboxItem::Message { id: *message.as_bytes(), content, sealed, epoch })
        })
    }

    /// Makes a sender key and puts its distribution into the outbox; it seals once the log shows it.
    pub(super) async fn stage_sender_key(&mut self, id: GroupId) -> Result<(), ClientError> {
        let unknown = self.unknown_peers(id)?;
        let (book, _) = self.prekeys(&unknown).await?;
        let (group, device) = self.local.group_and_device(id)?;
        let epoch = group.epoch();
        group.allow_uploads_of(MAX_UPLOAD);
        let staged = match group.distribute(device, &book, now(), &mut rand::rng()) {
            Ok(staged) => staged,
            Err(DistributeError::NotActive(_)) => return self.local.check_active(id),
            Err(DistributeError::TooLarge) => {
                return Err(ClientError::TooLarge {
                    what: "the first contact with all devices of the group",
                    max: MAX_UPLOAD,
                    advice: "use a smaller group",
                });
            }
            Err(error) => return Err(ClientError::Internal { what: error.to_string() }),
        };
        if !staged.unreachable.is_empty() {
            tracing::warn!(devices = staged.unreachable.len(), "some devices have no usable prekeys");
        }
        self.local.write(|step| {
            step.apply(&staged.changes)?;
            let DistributionUpload { distribution, deliveries, recipients } = staged.upload;
            let parts = Parts::of(distribution.len(), &deliveries, recipients, &[]);
            let distribution = Opaque(distribution);
            step.push_outbox(id, &OutboxItem::Distribution { distribution, deliveries, epoch, parts })
        })?;
        Ok(())
    }

    /// Devices of the group whose prekeys are needed.
    pub(super) fn unknown_peers(&mut self, id: GroupId) -> Result<Vec<DeviceId>, ClientError> {
        Ok(self.local.group(id)?.unknown_peers(now()))
    }

    fn seal_error(&self, id: GroupId, error: &SealError) -> ClientError {
        let label = self.local.label(&id);
        match error {
            SealError::NotActive(conclave_engine::GroupState::Removed) => ClientError::NotMember { label },
            SealError::NotActive(_) => ClientError::NeedWelcome { label },
            SealError::Empty => ClientError::MessageEmpty,
            SealError::TooLong(_) => ClientError::MessageTooLong { max: content::MAX_TEXT },
            SealError::TooManyUnconfirmed => ClientError::Busy { label },
            other => ClientError::Internal { what: other.to_string() },
        }
    }
}
