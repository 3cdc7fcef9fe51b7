//! Why requests are refused, as labels.

use conclave_wire::reply::Refusal;

/// What a refusal of a kind that this server does not give would be counted as.
const OTHER: &str = "other";

macro_rules! reasons {
    ($($refusal:pat => $label:literal,)*) => {
        /// All labels.
        pub(super) const ALL: &[&str] = &[$($label,)* OTHER];

        /// The label of a refusal.
        pub(super) fn of(refusal: &Refusal) -> &'static str {
            match refusal {
                $($refusal => $label,)*
                _ => OTHER,
            }
        }
    };
}

reasons! {
    Refusal::UnknownVersion { .. } => "unknown_version",
    Refusal::Malformed { .. } => "malformed",
    Refusal::TooLarge { .. } => "too_large",
    Refusal::NotIdentified => "not_identified",
    Refusal::AlreadyIdentified => "already_identified",
    Refusal::LoginFailed { .. } => "login_failed",
    Refusal::NotRegistered => "not_registered",
    Refusal::NameTaken => "name_taken",
    Refusal::AlreadyRegistered { .. } => "already_registered",
    Refusal::InvalidAccount { .. } => "invalid_account",
    Refusal::UnknownName => "unknown_name",
    Refusal::NotMember => "not_member",
    Refusal::EpochStale { .. } => "epoch_stale",
    Refusal::HeadMoved { .. } => "head_moved",
    Refusal::InvalidCommit { .. } => "invalid_commit",
    Refusal::WrongDeliveries { .. } => "wrong_deliveries",
    Refusal::InvalidEntry { .. } => "invalid_entry",
    Refusal::RateLimited { .. } => "rate_limited",
    Refusal::Unavailable => "unavailable",
    Refusal::RegistrationClosed => "registration_closed",
    Refusal::InviteNeeded => "invite_needed",
    Refusal::InviteInvalid => "invite_invalid",
    Refusal::InviteExpired => "invite_expired",
    Refusal::InviteUsedUp => "invite_used_up",
    Refusal::DeviceRevoked => "device_revoked",
    Refusal::ManifestConflict { .. } => "manifest_conflict",
    Refusal::PartOutOfOrder { .. } => "part_out_of_order",
    Refusal::UnknownUpload => "unknown_upload",
    Refusal::MailboxFull => "mailbox_full",
}
