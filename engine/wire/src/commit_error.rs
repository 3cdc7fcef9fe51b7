//! Why a commit is not valid on top of a group's state.

use crate::authority::AuthorityError;
use crate::ids::Epoch;
use crate::leave::LeaveRequestError;
use crate::limits::{MAX_LEAVES, MAX_OPERATIONS};
use crate::manifest::ManifestError;
use crate::update::UpdateError;
use thiserror::Error;

/// Why a commit may not follow. Each variant is one numbered rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// (R31) For another group.
    #[error("the commit is for another group")]
    Group,
    /// (R31) Not the epoch after the head's.
    #[error("the commit begins epoch {found}, not {expected}")]
    Epoch {
        /// The epoch that would follow.
        expected: u64,
        /// The epoch that it begins.
        found: Epoch,
    },
    /// (R31) Not on top of the head.
    #[error("the commit does not follow the group's head")]
    Previous,
    /// (R30) Not exactly one owner added, by a device of that account.
    #[error("the genesis must add exactly its author's account, as owner, with a secret")]
    Genesis,
    /// (R31) The author is not in the group.
    #[error("the commit's author is not in the group")]
    Author,
    /// (R31) The author did not sign it.
    #[error("the commit's signature is not valid")]
    Signature,
    /// (R35) None, too many, two for one account, or two resets.
    #[error("a commit has 1 to {MAX_OPERATIONS} operations, each for another account, and one reset at most")]
    Operations,
    /// (R32) The author's role does not allow it.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// (R33) The author removes their own account.
    #[error("nobody removes their own account: ask another member's device to do it")]
    SelfRemoval,
    /// (R33) The author's device would not be in the roster that results.
    #[error("no device commits its own removal: another device must make this change")]
    AuthorGone,
    /// (R34) No owner would remain.
    #[error("a group always has an owner: make another account owner first")]
    LastOwner,
    /// (R36) The manifest of an added account is invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// (R36) (R101) The manifest that adds devices is too old or from the future.
    #[error(
        "the device manifest of the account with new devices is more than 30 days old or from the future; one of its devices must come online to sign it again"
    )]
    ManifestAge,
    /// (R36) The added account, or one of its devices, is in the group already.
    #[error("the account or one of its devices is in the group already")]
    AlreadyMember,
    /// (R36) The account to remove or change is not in the group.
    #[error("the account is not in the group")]
    NotMember,
    /// (R100) The manifests of an update do not lead on from the one that the roster records.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// (R102) The prekeys of a heal are from the future, or not newer than those of the device's last heal.
    #[error("the prekeys of the healed device are from the future, or no newer than those of its last heal")]
    Heal,
    /// (R104) The leave request is not valid.
    #[error(transparent)]
    Leave(#[from] LeaveRequestError),
    /// (R37) A secret where there must be none, or none where there must be one.
    #[error(
        "a commit has a secret exactly if it shuts somebody out: by removal, update, heal, reset or leave"
    )]
    Secret,
    /// (R38) Unreachable devices unsorted, twice, or not among the recipients.
    #[error("the commit's list of unreachable devices is not valid")]
    Unreachable,
    /// (R39) Not the roster that results.
    #[error("the commit names another roster than the one that results")]
    Roster,
    /// (R39) More leaves than any roster may have.
    #[error("the group would have more than {MAX_LEAVES} leaves")]
    TooLarge,
}
