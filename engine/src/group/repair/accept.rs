//! Taking an answer: opened, checked against the group as the log has shown it, and only then used.

use super::accept_sender_key::KeyRepair;
use super::asked::About;
use super::envelope::OpenedAnswer;
use super::payload::{SenderKeyAnswer, WelcomeAnswer};
use crate::device::Device;
use crate::envelope::{OpenError, Purpose};
use crate::group::alarm::{Alarm, SplitView};
use crate::group::event::GroupState;
use crate::group::receive::CertificateError;
use crate::group::state::Group;
use crate::group::unverified::ForgedMember;
use crate::record::Changes;
use conclave_wire::codec::{self, DecodeError};
use conclave_wire::ids::{CommitHash, DeviceId, Generation, Seq};
use thiserror::Error;

/// Why an answer is refused. Nothing has changed; the question stays open, and another answer to it is welcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// It does not open: spoilt, for another device, or opened before.
    #[error("the answer cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// What is inside is not of its form.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// This device was removed from the group.
    #[error("this device was removed from the group")]
    Removed,
    /// Nobody was asked for it, or it has been answered.
    #[error("nothing was asked that this would answer")]
    Unasked,
    /// Not from a device of the group, or in the name of another than who sent it.
    #[error("the answer is not from the member who can give it")]
    NotMember,
    /// It is for an epoch that has ended, or for a sender key that a later one replaced.
    #[error("the answer comes too late, the group has gone on; ask again")]
    Stale,
    /// It is from further on in the log than this device has processed.
    #[error("the answer is from further on in the log; process the log, then take it")]
    Early,
    /// This device has what it asked for.
    #[error("this device has no need of the answer any more")]
    Unneeded,
    /// Who answers sees another group than this device.
    #[error(transparent)]
    SplitView(SplitView),
    /// The sender key's certificate is void, or its sender has not signed it.
    #[error("the sender key's certificate is not valid: {0}")]
    Certificate(CertificateError),
    /// A certificate that nobody signed.
    #[error("the sender key's certificate is not signed by its device")]
    Signature,
    /// Whoever answers is not its account's device.
    #[error(transparent)]
    Forged(#[from] ForgedMember),
    /// The secrets are not the ones that the head commit confirms: whoever answers lies, or has drifted itself.
    #[error(
        "the answer's secrets are not the ones that the group's last commit confirms; ask another member"
    )]
    Confirmation,
}

/// What an answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// A sender key.
    SenderKey {
        /// Whose.
        device: DeviceId,
        /// Which of its sender keys.
        generation: Generation,
        /// What was wrong here.
        key: KeyRepair,
    },
    /// The secrets of the present epoch: this device sends and reads again.
    Welcome {
        /// Who gave them.
        by: DeviceId,
        /// How many sender keys came with them.
        senders: usize,
    },
}

/// An answer that was taken.
#[derive(Debug)]
pub struct Repaired {
    /// What it brought.
    pub repair: Repair,
    /// To store.
    pub changes: Changes,
}

impl Repair {
    /// What a user must be told about it.
    pub fn alarm(&self) -> Option<Alarm> {
        match self {
            Self::SenderKey { device, key: KeyRepair::Differed, .. } => {
                Some(Alarm::SplitView(SplitView::Key { device: *device }))
            }
            Self::SenderKey { .. } | Self::Welcome { .. } => None,
        }
    }
}

impl AcceptError {
    /// What a user must be told about it.
    pub fn alarm(&self) -> Option<Alarm> {
        match self {
            Self::SplitView(split) => Some(Alarm::SplitView(*split)),
            _ => None,
        }
    }
}

impl Group {
    /// Takes an answer to a question of this device (R121)-(R125).
    ///
    /// One that is [`Early`](AcceptError::Early) is worth keeping until the log is processed up to its head, and no
    /// longer: whoever answers may claim any place in the log.
    pub fn accept_answer(&mut self, device: &mut Device, answer: &[u8]) -> Result<Repaired, AcceptError> {
        if self.state() == GroupState::Removed {
            return Err(AcceptError::Removed);
        }
        let opened = OpenedAnswer::open(device, answer)?;
        let about = match opened.context.purpose {
            Purpose::SenderKeyAnswer => About::SenderKey,
            Purpose::WelcomeAnswer => About::Welcome,
            _ => return Err(OpenError::Context.into()),
        };
        if opened.context.group != self.id() {
            return Err(OpenError::Context.into());
        }
        let from = opened.sender;
        if !self.asked.wants(about, from) {
            return Err(AcceptError::Unasked);
        }
        self.verify_devices([from])?;
        if opened.context.epoch < self.epoch() {
            return Err(AcceptError::Stale);
        }
        if opened.context.epoch > self.epoch() {
            return Err(AcceptError::Early);
        }
        if from == self.me.device || self.roster().index_of(&from).is_none() {
            return Err(AcceptError::NotMember);
        }
        let mut changes = Changes::default();
        let repair = match about {
            About::SenderKey => {
                let answer: SenderKeyAnswer = codec::decode(&opened.payload)?;
                self.check_place(from, answer.head, answer.seq)?;
                self.accept_sender_key(from, answer, &mut changes)?
            }
            About::Welcome | About::Initial => {
                let answer: WelcomeAnswer = codec::decode(&opened.payload)?;
                self.check_place(from, answer.head, answer.seq)?;
                self.accept_welcome(from, answer, &mut changes)?
            }
        };
        self.asked.close(about, from);
        self.put_asked(&mut changes);
        opened.spend(device, &mut changes);
        Ok(Repaired { repair, changes })
    }

    /// Whether an answer was given on our head commit, and at a place in the log that we have reached.
    fn check_place(&self, from: DeviceId, head: CommitHash, seq: Seq) -> Result<(), AcceptError> {
        if head != self.public.head() {
            return Err(AcceptError::SplitView(SplitView::Commit { device: from }));
        }
        if seq > self.cursor { Err(AcceptError::Early) } else { Ok(()) }
    }
}
