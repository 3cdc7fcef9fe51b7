//! Taking the log, entry by entry.

use super::event::{Event, Received};
use super::state::Group;
use super::unverified::ForgedMember;
use crate::device::Device;
use crate::ratchet::ChainError;
use crate::record::Changes;
use conclave_wire::codec::DecodeError;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{DeviceId, Epoch, Generation, MessageIndex, Seq, Timestamp};
use conclave_wire::public_group::CommitError;
use conclave_wire::signature::SignatureError;
use thiserror::Error;

/// Why an entry is refused. The state is what it was, the cursor included: [`Group::skip`] steps over the entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// An entry of another group.
    #[error("the entry is of another group; the server mixed up its logs")]
    Group,
    /// Not the entry after the cursor.
    #[error("entry {found} came where {expected} was due; fetch the log from the cursor")]
    OutOfOrder {
        /// The entry that was due.
        expected: Seq,
        /// The entry that came.
        found: Seq,
    },
    /// This device was removed: nothing follows.
    #[error("this device was removed from the group")]
    Removed,
    /// This device lacks the epoch's secrets.
    #[error("this device lacks the secrets of the epoch and must be welcomed again")]
    NeedWelcome,
    /// Not of its form.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The commit is not valid. No honest server stores one: distrust it.
    #[error("the server accepted a commit that is not valid: {0}")]
    Commit(#[from] CommitError),
    /// An entry of a later epoch than the log's present one: a commit before it is withheld from us.
    #[error("the entry is of epoch {found}, and the server has shown no commit after epoch {current}")]
    Withheld {
        /// The group's epoch, as we were shown.
        current: Epoch,
        /// The entry's.
        found: Epoch,
    },
    /// An entry of an epoch that has ended. No honest server stores one after the commit that ended it.
    #[error("the server accepted an entry of epoch {found} in epoch {current}")]
    LogOrder {
        /// The group's epoch.
        current: Epoch,
        /// The entry's.
        found: Epoch,
    },
    /// From a leaf that nobody stands on.
    #[error("the entry is from a device that is not in the group")]
    NotMember,
    /// Of a sender key that we do not have: the distribution's delivery could not be opened, or there was none.
    #[error("the sender's key is not known here; the sender must send it again")]
    NeedSenderKey {
        /// The sender.
        device: DeviceId,
        /// The generation needed.
        generation: Generation,
    },
    /// Of a generation that a later one replaced.
    #[error("the message is of sender key {found}, which {current} replaced")]
    OldGeneration {
        /// The sender's present generation.
        current: Generation,
        /// The message's.
        found: Generation,
    },
    /// The message key was used, or forgotten: a repeat.
    #[error("the message at index {0} was read before, or its key was forgotten")]
    Repeated(MessageIndex),
    /// The distribution was read before, or is one of ours that a later one of ours replaced: a repeat.
    #[error("the sender key was distributed before")]
    RepeatedDistribution,
    /// A second, different message or run that the sender signed under keys that its last one used. Every honest device
    /// seals once under each: the sender tells two stories, or its state was copied or an old one restored.
    #[error(
        "the sender signed two messages at index {index}: it was copied or restored, or it misbehaves; have the device \
         replaced"
    )]
    Equivocation {
        /// The sender.
        device: DeviceId,
        /// Where the second one begins.
        index: MessageIndex,
    },
    /// The index is beyond what one chain may have.
    #[error("the message index {0} is beyond any chain's end")]
    IndexTooFar(MessageIndex),
    /// The commit, certificate or distribution is not signed by the device that it names.
    #[error("the entry's signature is not valid")]
    Signature,
    /// The message neither decrypts nor verifies: forged, or its sender has another view of the group, the certificate
    /// or the key. The sender can tell which: [`Group::ask_sender_key`].
    #[error("the message does not fit the sender's key and the group as this device knows them")]
    Unauthentic {
        /// The sender that it names.
        device: DeviceId,
        /// The generation that it names.
        generation: Generation,
    },
    /// The sender signed a ciphertext that nobody can read.
    #[error("the sender signed a message that does not decrypt")]
    Undecryptable,
    /// An entry in this device's name that it did not write. Either the server altered or forged it, which everybody
    /// else sees too, or this device's state was copied or an old one restored, and the copy sends.
    #[error(
        "an entry in this device's name that it did not write: the server altered it, or this device was copied"
    )]
    NotOurs,
    /// From a device that is not its account's.
    #[error(transparent)]
    Forged(#[from] ForgedMember),
    /// The certificate is void.
    #[error("the sender key's certificate is not valid: {0}")]
    Certificate(CertificateError),
}

/// Why a certificate is void; each is a rule (R60).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// For another group.
    #[error("it is for another group")]
    Group,
    /// Not the device that the distribution or message is from.
    #[error("it is another device's")]
    Device,
    /// Starts before the device's last add or heal, or after the present epoch.
    #[error("it starts in an epoch where it cannot")]
    StartEpoch,
    /// Made on another head commit of the present epoch: the sender has another view of the group.
    #[error("it was made on another commit than ours")]
    Head,
    /// Older than 14 days at the time of the head commit.
    #[error("it is more than 14 days older than the group's last commit")]
    Age,
    /// Not above the device's last generation.
    #[error("its generation was seen before")]
    Generation,
    /// The device has certified another sender key of the same generation.
    #[error("the device certified two sender keys of one generation")]
    Conflict {
        /// Which device.
        device: DeviceId,
    },
}

impl ReceiveError {
    /// For an entry that names another epoch than the present one.
    pub(super) fn other_epoch(current: Epoch, found: Epoch) -> Self {
        if found > current { Self::Withheld { current, found } } else { Self::LogOrder { current, found } }
    }
}

impl From<SignatureError> for ReceiveError {
    fn from(_: SignatureError) -> Self {
        Self::Signature
    }
}

impl From<ChainError> for ReceiveError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Consumed(index) => Self::Repeated(index),
            ChainError::TooFar(index) => Self::IndexTooFar(index),
        }
    }
}

impl Group {
    /// Processes the entry after the cursor. On an error nothing has changed, the cursor included.
    pub fn receive(
        &mut self,
        device: &mut Device,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<Received, ReceiveError> {
        self.check_position(entry)?;
        if self.removed {
            return Err(ReceiveError::Removed);
        }
        let (mut changes, mut recovered) = (Changes::default(), Vec::new());
        let event = match entry.kind {
            EntryKind::Commit => self.receive_commit(device, entry, now, &mut changes)?,
            EntryKind::Distribution => self.receive_distribution(device, entry, now, &mut changes)?,
            EntryKind::Message => self.receive_message(entry, now, &mut recovered, &mut changes)?,
            EntryKind::Trimmed => self.receive_trimmed(entry)?,
        };
        self.pass(entry, &mut changes);
        Ok(Received { event, recovered, changes })
    }

    /// Steps over the entry after the cursor, which [`receive`](Self::receive) refused. Tell the user why.
    ///
    /// After a commit that was refused, everything that builds on it will be refused too.
    pub fn skip(&mut self, entry: &Entry) -> Result<Changes, ReceiveError> {
        self.check_position(entry)?;
        let mut changes = Changes::default();
        self.pass(entry, &mut changes);
        Ok(changes)
    }

    /// Whose messages are gone the links of those that follow tell (R65), as if the server had dropped them.
    fn receive_trimmed(&self, entry: &Entry) -> Result<Event, ReceiveError> {
        if !entry.body.0.is_empty() || entry.delivery.is_some() {
            return Err(
                DecodeError::Trailing { structure: "trimmed entry", bytes: entry.body.0.len() }.into()
            );
        }
        let first = self.cursor.next().unwrap_or(entry.seq);
        Ok(Event::Trimmed { first, last: entry.seq })
    }

    pub(super) fn check_position(&self, entry: &Entry) -> Result<(), ReceiveError> {
        if entry.group != self.id() {
            return Err(ReceiveError::Group);
        }
        if !entry.follows(self.cursor) {
            let expected = self.cursor.next().unwrap_or(self.cursor);
            return Err(ReceiveError::OutOfOrder { expected, found: entry.seq });
        }
        Ok(())
    }

    /// Moves the cursor. A distribution counts even if it was refused: the server counts it when it compares our next
    /// commit with the log, and a hostile sender must not be able to block that commit.
    pub(super) fn pass(&mut self, entry: &Entry, changes: &mut Changes) {
        self.cursor = entry.seq;
        if entry.kind == EntryKind::Distribution {
            self.last_distribution = entry.seq;
        }
        self.put_cursor(changes);
    }
}
