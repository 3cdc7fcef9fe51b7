//! Asking to leave: somebody else's next commit executes it.

use super::state::Group;
use crate::device::Device;
use conclave_wire::ids::Timestamp;
use conclave_wire::leave::{LeaveBody, LeaveRequest};
use conclave_wire::roster::Role;
use thiserror::Error;

/// Why this account cannot ask to leave.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// It is not in the group.
    #[error("this device is not in the group")]
    NotMember,
    /// A group always has an owner (R34).
    #[error("this account is the group's last owner: make another account owner first")]
    LastOwner,
}

impl Group {
    /// Signs a request that this device's account leave the group. Hand it to another member, who commits it as an
    /// [`Operation::Leave`](conclave_wire::commit::Operation::Leave): nobody removes themselves, because the author of a
    /// commit knows its secret. It holds for 30 days, and for this stay in the group only.
    pub fn leave_request(&self, device: &Device, now: Timestamp) -> Result<Vec<u8>, LeaveError> {
        let (_, leaf) = self.roster().device(&self.me.device).ok_or(LeaveError::NotMember)?;
        let another = |(account, role)| account != leaf.account && role == Role::Owner;
        if leaf.role == Role::Owner && !self.roster().accounts().any(another) {
            return Err(LeaveError::LastOwner);
        }
        let (group, account, since) = (self.id(), leaf.account, leaf.since);
        let body = LeaveBody { group, account, device: self.me.device, since, time: now };
        Ok(LeaveRequest::new(body, device.signing_key()).encode())
    }
}
