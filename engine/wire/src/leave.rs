//! Leave requests: an account asks to be removed, and somebody else's commit does it.
//!
//! ```text
//!     body     version ‖ CBOR [ group: bstr 32, account: bstr 32, device: bstr 32, since: uint, time: uint ms ]
//!     request  version ‖ CBOR [ body: bstr, signature: bstr 64 ]
//! ```
//!
//! carried in a [`Signed`] by a device of the account. Nobody removes themselves, because the author of a commit knows
//! its secret (R33). `since` is that of the device's leaf: a request dies when the device is removed, added again or
//! healed, so that nobody executes the one of an earlier stay (R104).

use crate::codec::{DecodeError, Structure};
use crate::hash::{self, Context};
use crate::ids::{AccountId, DeviceId, Epoch, GroupId, Timestamp};
use crate::limits::{CLOCK_SKEW, MAX_LEAVE_AGE};
use crate::roster::Roster;
use crate::signature::{Label, Signed, SignedBody, UnverifiedSigned};
use minicbor::{Decode, Encode};
use thiserror::Error;

/// What a leave request says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaveBody {
    /// The group to leave.
    #[n(0)]
    pub group: GroupId,
    /// Who leaves.
    #[n(1)]
    pub account: AccountId,
    /// The device that asks.
    #[n(2)]
    pub device: DeviceId,
    /// `since` of that device's leaf.
    #[n(3)]
    pub since: Epoch,
    /// When.
    #[n(4)]
    pub time: Timestamp,
}

impl Structure for LeaveBody {
    const NAME: &'static str = "leave request";
    const MAX_BYTES: usize = 160;
}

impl SignedBody for LeaveBody {
    fn context() -> &'static Context {
        &hash::LEAVE
    }
    const LABEL: Label = Label("conclave v1 sign leave request");
}

/// A leave request whose signature has been verified, or was made here.
pub type LeaveRequest = Signed<LeaveBody>;

/// A leave request as it came.
pub type UnverifiedLeaveRequest = UnverifiedSigned<LeaveBody>;

/// Why a leave request is not executed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeaveRequestError {
    /// Not a leave request.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// For another group.
    #[error("the leave request is for another group")]
    Group,
    /// The account's device is not in the group, or was added again or healed since it asked.
    #[error("the leave request is not of the account's present stay in the group; it must be made again")]
    Since,
    /// The device did not sign it.
    #[error("the leave request's signature is not valid")]
    Signature,
    /// Older than [`MAX_LEAVE_AGE`], or from the future.
    #[error("the leave request is more than 30 days old or from the future; it must be made again")]
    Age,
}

/// The account that a request lets a commit of this time remove (R104).
pub(crate) fn leaving(
    roster: &Roster,
    group: &GroupId,
    request: &[u8],
    time: Timestamp,
) -> Result<AccountId, LeaveRequestError> {
    let request = UnverifiedLeaveRequest::decode(request)?;
    let claimed = request.claimed();
    if claimed.group != *group {
        return Err(LeaveRequestError::Group);
    }
    let (_, leaf) = roster.device(&claimed.device).ok_or(LeaveRequestError::Since)?;
    if leaf.account != claimed.account || leaf.since != claimed.since {
        return Err(LeaveRequestError::Since);
    }
    if claimed.time > time.plus(CLOCK_SKEW) || time.since(claimed.time) > MAX_LEAVE_AGE + CLOCK_SKEW {
        return Err(LeaveRequestError::Age);
    }
    let request = request.verify(leaf.device.as_bytes()).map_err(|_| LeaveRequestError::Signature)?;
    Ok(request.body().account)
}
