//! What a device lacks, as an entry of the log shows it.

use crate::group::event::{Event, GroupState};
use crate::group::receive::ReceiveError;
use conclave_wire::ids::{DeviceId, Generation};
use thiserror::Error;

/// Something that this device lacks, with the question that brings it (R113).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Need {
    /// Another device's sender key: [`Group::ask_sender_key`](crate::Group::ask_sender_key).
    #[error("a member's sender key is needed; ask that member for it")]
    SenderKey {
        /// Whose.
        device: DeviceId,
        /// Which one showed that it is missing.
        generation: Generation,
    },
    /// The epoch's secrets: [`Group::ask_welcome`](crate::Group::ask_welcome).
    #[error("the secrets of the epoch are needed; ask a member for a welcome")]
    Welcome,
    /// A new pairwise chain from another device: [`Group::ask_initial`](crate::Group::ask_initial).
    #[error("a member sends on a pairwise chain that this device does not have; ask it for a new one")]
    Initial {
        /// From whom.
        device: DeviceId,
    },
}

impl ReceiveError {
    /// What this device lacks that the entry needs.
    pub fn need(&self) -> Option<Need> {
        match self {
            // Of one that neither decrypts nor verifies, the sender's answer tells why.
            Self::NeedSenderKey { device, generation } | Self::Unauthentic { device, generation } => {
                Some(Need::SenderKey { device: *device, generation: *generation })
            }
            Self::NeedWelcome => Some(Need::Welcome),
            _ => None,
        }
    }
}

impl Event {
    /// What this device lacks after the entry, the most urgent first.
    pub fn needs(&self) -> Vec<Need> {
        let initial = |lost: &Option<DeviceId>| lost.map(|device| Need::Initial { device });
        match self {
            Self::SenderKey { sender, generation, readable: false, lost_chain } => {
                let key = Need::SenderKey { device: sender.device, generation: *generation };
                [Some(key), initial(lost_chain)].into_iter().flatten().collect()
            }
            Self::EpochChanged { state, lost_chain, .. } => {
                let welcome = (*state == GroupState::NeedWelcome).then_some(Need::Welcome);
                [welcome, initial(lost_chain)].into_iter().flatten().collect()
            }
            _ => Vec::new(),
        }
    }
}
