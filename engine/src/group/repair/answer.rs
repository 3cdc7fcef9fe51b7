//! Answering: members of the roster alone, each seldom, and only with what they may have.

use super::answered::Refused;
use super::asked::About;
use super::envelope;
use super::payload::{SenderKeyAnswer, WelcomeAnswer};
use crate::device::Device;
use crate::envelope::{EnvelopeContext, Purpose};
use crate::group::alarm::{Alarm, SplitView};
use crate::group::event::GroupState;
use crate::group::sender_key::OwnKey;
use crate::group::state::Group;
use crate::group::unverified::ForgedMember;
use crate::group::welcome::{WelcomeSender, handed_on};
use crate::limits::{MAX_REQUEST_AGE, REPAIR_INTERVAL};
use crate::prekeys::{PrekeyBook, Reach};
use crate::ratchet::Chain;
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::certificate::Certificate;
use conclave_wire::codec::{self, DecodeError, Structure};
use conclave_wire::ids::{DeviceId, Opaque, Timestamp};
use conclave_wire::limits::{CLOCK_SKEW, MAX_LETTER};
use conclave_wire::repair::{Question, RepairRequestBody, UnverifiedRepairRequest};
use conclave_wire::roster::Leaf;
use minicbor::bytes::ByteArray;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a request is not answered. Nothing has changed. The reason is for this device alone: tell it to nobody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Not of its form.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// For another group.
    #[error("the request is for another group")]
    Group,
    /// It asks somebody else, or it is this device's own.
    #[error("the request is not for this device")]
    NotForUs,
    /// The asker is not in the group, or was removed and added again since it asked.
    #[error("the asker is not in the group, or asked in an earlier stay")]
    NotMember,
    /// Asked more than [`MAX_REQUEST_AGE`] ago, or in the future.
    #[error("the request is too old or from the future")]
    Time,
    /// It, or a later one of the asker, was answered.
    #[error("the request was answered before")]
    Repeated,
    /// The asker was answered less than [`REPAIR_INTERVAL`] ago, or too many others were.
    #[error("answers are given only every {} minutes", REPAIR_INTERVAL.as_secs() / 60)]
    TooSoon,
    /// Not signed by the asker.
    #[error("the request is not signed by the device that it names")]
    Signature,
    /// The asker is not its account's device.
    #[error(transparent)]
    Forged(#[from] ForgedMember),
    /// The asker has processed commits that this device has not.
    #[error("the asker is ahead of this device; process the log first")]
    Behind,
    /// This device was removed, or lacks the epoch's secrets itself.
    #[error("this device cannot answer: it was removed, or must be welcomed again itself")]
    NotActive(GroupState),
    /// This device has no sender key in the group: distribute one.
    #[error("this device has no sender key in the group; it must distribute a new one")]
    NoSenderKey,
    /// There are no prekeys of the asker to answer to: too old, or older than the ones that it named.
    #[error("there are no usable prekeys of the asker; fetch its newest ones")]
    Unreachable,
    /// The answer does not fit a letter.
    #[error("the answer is too large for a letter")]
    TooLarge,
}

/// A request that was answered.
#[derive(Debug)]
pub struct Answer {
    /// Who asked.
    pub to: DeviceId,
    /// What to do now.
    pub content: AnswerContent,
    /// What a user must be told: the asker has another view of the group than this device.
    pub alarm: Option<Alarm>,
    /// To store before anything is sent.
    pub changes: Changes,
}

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerContent {
    /// To send to the asker.
    Send(Vec<u8>),
    /// Nothing to send: the next delivery to the asker begins a new pairwise chain, if its prekeys are in the book then.
    NextDelivery,
}

impl Group {
    /// Answers a repair request (R114)-(R120). The book must hold the asker's newest prekeys.
    pub fn answer(
        &mut self,
        device: &Device,
        request: &[u8],
        book: &PrekeyBook,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Answer, AnswerError> {
        let request = UnverifiedRepairRequest::decode(request)?;
        let leaf = self.check_request(request.claimed(), now)?;
        let request = request.verify(leaf.device.as_bytes()).map_err(|_| AnswerError::Signature)?;
        let body = request.body();
        self.verify_devices([body.asker])?;
        if body.epoch > self.epoch() {
            return Err(AnswerError::Behind);
        }
        let alarm = self.other_view(body).map(Alarm::SplitView);
        let reach = Reach { book, now };
        let content = match body.question {
            Question::Initial { .. } => AnswerContent::NextDelivery,
            Question::SenderKey { .. } => {
                let answer = self.sender_key_answer()?;
                let purpose = Purpose::SenderKeyAnswer;
                AnswerContent::Send(self.seal_answer(device, leaf, body, purpose, &answer, reach, rng)?)
            }
            Question::Welcome { .. } => {
                let answer = self.welcome_answer(&body.asker)?;
                let purpose = Purpose::WelcomeAnswer;
                AnswerContent::Send(self.seal_answer(device, leaf, body, purpose, &answer, reach, rng)?)
            }
        };

        // Everything has been checked.
        let mut changes = Changes::default();
        if content == AnswerContent::NextDelivery {
            self.pairwise.drop_outgoing(&body.asker, &mut changes);
        }
        self.answered.note(About::of(&body.question), body.asker, body.time, now);
        self.put_answered(&mut changes);
        Ok(Answer { to: body.asker, content, alarm, changes })
    }

    /// Everything about a request but its signature, the cheap things first. Returns the asker's leaf.
    fn check_request(&self, request: &RepairRequestBody, now: Timestamp) -> Result<&Leaf, AnswerError> {
        if request.group != self.id() {
            return Err(AnswerError::Group);
        }
        if self.state() == GroupState::Removed {
            return Err(AnswerError::NotActive(GroupState::Removed));
        }
        let is_for_us = request.question.to().is_none_or(|to| to == self.me.device);
        if !is_for_us || request.asker == self.me.device {
            return Err(AnswerError::NotForUs);
        }
        let (_, leaf) = self.roster().device(&request.asker).ok_or(AnswerError::NotMember)?;
        if leaf.since != request.since {
            return Err(AnswerError::NotMember);
        }
        if request.time > now.plus(CLOCK_SKEW) || now.since(request.time) > MAX_REQUEST_AGE {
            return Err(AnswerError::Time);
        }
        let about = About::of(&request.question);
        self.answered.check(about, request.asker, request.time, now).map_err(|refused| match refused {
            Refused::Repeated => AnswerError::Repeated,
            Refused::TooSoon => AnswerError::TooSoon,
        })?;
        Ok(leaf)
    }

    /// Whether the asker sees another group than this device (R126).
    fn other_view(&self, request: &RepairRequestBody) -> Option<SplitView> {
        let device = request.asker;
        if request.epoch == self.epoch() && request.head != self.public.head() {
            return Some(SplitView::Commit { device });
        }
        let Question::SenderKey { known: Some(known), .. } = request.question else { return None };
        let own = &self.own.active.as_ref()?.certificate;
        let differs = own.body().generation == known.generation && own.hash() != known.certificate;
        differs.then_some(SplitView::Certificate { device })
    }

    /// This device's sender key as it stands.
    pub(super) fn sender_key_answer(&self) -> Result<SenderKeyAnswer, AnswerError> {
        if self.state() != GroupState::Active {
            return Err(AnswerError::NotActive(self.state()));
        }
        let key = self.own.active.as_ref().ok_or(AnswerError::NoSenderKey)?;
        let OwnKey { certificate, secrets, .. } = key;
        // While messages are under way, nobody knows which of them the asker will see.
        let link = self.own.link.filter(|_| self.own.unconfirmed.is_empty());
        Ok(SenderKeyAnswer {
            head: self.public.head(),
            seq: self.cursor,
            certificate: Opaque(certificate.encode()),
            seed: secrets.seed.duplicate(),
            chain: secrets.chain.key().duplicate(),
            index: secrets.chain.index(),
            link: link.map(ByteArray::from),
        })
    }

    /// The epoch's secrets as they stand here.
    pub(super) fn welcome_answer(&self, asker: &DeviceId) -> Result<WelcomeAnswer, AnswerError> {
        let (Some(init), GroupState::Active) = (&self.init, self.state()) else {
            return Err(AnswerError::NotActive(self.state()));
        };
        let own = self.own.active.iter().map(|key| {
            let OwnKey { certificate, secrets, .. } = key;
            sender(certificate, &secrets.seed, &secrets.chain)
        });
        let others = self.senders.iter().filter(|(id, _)| *id != asker).map(|(_, other)| other);
        let others = handed_on(others).map(|key| sender(&key.certificate, &key.seed, key.chain.chain()));
        let yours = self.senders.get(asker).and_then(|known| known.key.as_ref());
        Ok(WelcomeAnswer {
            head: self.public.head(),
            seq: self.cursor,
            init: init.duplicate(),
            senders: own.chain(others).collect(),
            yours: yours.map(|key| Opaque(key.certificate.encode())),
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn seal_answer(
        &self,
        device: &Device,
        to: &Leaf,
        request: &RepairRequestBody,
        purpose: Purpose,
        answer: &impl Structure,
        reach: Reach<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, AnswerError> {
        let context = EnvelopeContext { purpose, group: self.id(), epoch: self.epoch() };
        let payload = Zeroizing::new(codec::encode(answer));
        let sealed = envelope::seal(device, to, &request.prekeys, &payload, context, reach, rng)
            .ok_or(AnswerError::Unreachable)?;
        if sealed.len() > MAX_LETTER { Err(AnswerError::TooLarge) } else { Ok(sealed) }
    }
}

fn sender(certificate: &Certificate, seed: &Secret<32>, chain: &Chain) -> WelcomeSender {
    WelcomeSender {
        certificate: Opaque(certificate.encode()),
        seed: seed.duplicate(),
        chain: chain.key().duplicate(),
        index: chain.index(),
    }
}
