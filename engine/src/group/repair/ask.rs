//! Asking: a signed request, not too often.

use super::asked::{About, TooMany};
use crate::device::Device;
use crate::group::event::GroupState;
use crate::group::state::Group;
use crate::limits::{MAX_ASKED, REPAIR_INTERVAL};
use crate::record::Changes;
use conclave_wire::ids::{DeviceId, Timestamp};
use conclave_wire::repair::{KnownKey, Question, RepairRequest, RepairRequestBody};
use conclave_wire::roster::PinnedPrekeys;
use thiserror::Error;

/// Why a question is not asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AskError {
    /// This device is in no state to use an answer: it was removed, does not lack a welcome, or lacks one and needs it
    /// before any sender key.
    #[error("this device cannot use such an answer now")]
    State(GroupState),
    /// Who is asked is not in the group, or is this device.
    #[error("the device to ask is not another one of the group")]
    NotMember,
    /// The same was asked less than [`REPAIR_INTERVAL`] ago.
    #[error("the same was asked less than {} minutes ago; wait for the answer", REPAIR_INTERVAL.as_secs() / 60)]
    TooSoon {
        /// When it may be asked again.
        until: Timestamp,
    },
    /// [`MAX_ASKED`] questions were asked in [`REPAIR_INTERVAL`].
    #[error("{MAX_ASKED} questions were asked in the last {} minutes; wait", REPAIR_INTERVAL.as_secs() / 60)]
    TooMany,
    /// This device has no prekeys to answer to.
    #[error("this device has no prekeys; make new ones first")]
    NoPrekeys,
}

/// A question on its way.
#[derive(Debug)]
pub struct AskedFor {
    /// To send, after the changes are stored.
    pub request: Vec<u8>,
    /// To store first.
    pub changes: Changes,
}

impl Group {
    /// Asks a device for its present sender key, because its messages cannot be read here (R113).
    pub fn ask_sender_key(
        &mut self,
        device: &Device,
        of: DeviceId,
        now: Timestamp,
    ) -> Result<AskedFor, AskError> {
        if self.state() != GroupState::Active {
            return Err(AskError::State(self.state()));
        }
        let (_, leaf) = self.roster().device(&of).ok_or(AskError::NotMember)?;
        let known = self
            .senders
            .get(&of)
            .filter(|sender| sender.since == leaf.since)
            .map(|sender| KnownKey { generation: sender.generation, certificate: sender.certificate });
        self.ask(device, Question::SenderKey { of, known }, now)
    }

    /// Asks for the secrets of the present epoch, which this device lacks; anybody who has them, or one device.
    ///
    /// Whoever carries the request hands one without a device to one member at a time: every member can answer it.
    pub fn ask_welcome(
        &mut self,
        device: &Device,
        to: Option<DeviceId>,
        now: Timestamp,
    ) -> Result<AskedFor, AskError> {
        if self.state() != GroupState::NeedWelcome {
            return Err(AskError::State(self.state()));
        }
        self.ask(device, Question::Welcome { to }, now)
    }

    /// Asks that the next delivery to this device begins a new pairwise chain, because it does not have the one in use;
    /// one device, or every device of the group when this one has lost all chains.
    pub fn ask_initial(
        &mut self,
        device: &Device,
        to: Option<DeviceId>,
        now: Timestamp,
    ) -> Result<AskedFor, AskError> {
        if self.state() == GroupState::Removed {
            return Err(AskError::State(GroupState::Removed));
        }
        self.ask(device, Question::Initial { to }, now)
    }

    fn ask(&mut self, device: &Device, question: Question, now: Timestamp) -> Result<AskedFor, AskError> {
        let (about, target) = (About::of(&question), question.to());
        let is_other = |id: DeviceId| id != self.me.device && self.roster().index_of(&id).is_some();
        if !target.is_none_or(is_other) {
            return Err(AskError::NotMember);
        }
        let (_, own) = self.roster().device(&self.me.device).ok_or(AskError::State(GroupState::Removed))?;
        let prekeys = device.prekeys().ok_or(AskError::NoPrekeys)?;
        self.asked.check(about, target, now).map_err(|error| match error {
            TooMany::Same(asked) => AskError::TooSoon { until: asked.plus(REPAIR_INTERVAL) },
            TooMany::All => AskError::TooMany,
        })?;
        let body = RepairRequestBody {
            question,
            group: self.id(),
            epoch: self.epoch(),
            head: self.public.head(),
            asker: self.me.device,
            since: own.since,
            prekeys: PinnedPrekeys { hash: prekeys.hash(), time: prekeys.body().time },
            time: now,
        };
        let request = RepairRequest::new(body, device.signing_key()).encode();
        self.asked.note(about, target, now);
        let mut changes = Changes::default();
        self.put_asked(&mut changes);
        Ok(AskedFor { request, changes })
    }
}
