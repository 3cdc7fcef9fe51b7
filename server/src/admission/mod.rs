//! Who may register: anybody, who was invited, or nobody new.

mod invite;
mod key;

pub use invite::{InviteError, Terms, invite};
pub(crate) use key::InviteKey;

use crate::clock;
use crate::store::{Admitted, Invited};
use conclave_wire::reply::Refusal;
use std::str::FromStr;
use thiserror::Error;

/// Who may register. Whoever is registered stays, and may always renew what the directory has of him.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Anybody who reaches the server.
    #[default]
    Open,
    /// Who has an invite.
    Invite,
    /// Nobody new.
    Closed,
}

/// Not a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write open, invite or closed")]
pub struct NoAdmission;

impl FromStr for Admission {
    type Err = NoAdmission;

    fn from_str(text: &str) -> Result<Self, NoAdmission> {
        match text {
            "open" => Ok(Self::Open),
            "invite" => Ok(Self::Invite),
            "closed" => Ok(Self::Closed),
            _ => Err(NoAdmission),
        }
    }
}

impl Admission {
    /// What this means for who brings an invite or none. The store applies it to accounts that it does not know.
    pub(crate) fn admit(self, invite: Option<&str>, key: &InviteKey) -> Admitted {
        match (self, invite) {
            (Self::Open, _) => Admitted::Free,
            (Self::Closed, _) => Admitted::Refused(Refusal::RegistrationClosed),
            (Self::Invite, None) => Admitted::Refused(Refusal::InviteNeeded),
            (Self::Invite, Some(text)) => match invite::verify(text, key) {
                None => Admitted::Refused(Refusal::InviteInvalid),
                Some(terms) if terms.expires < clock::now() => Admitted::Refused(Refusal::InviteExpired),
                Some(terms) => Admitted::Invited(Invited { id: terms.id, uses: terms.uses }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn policies() {
        let key = InviteKey::from_bytes([1; 32]);
        let week = Terms { uses: 5, expires_in: Duration::from_secs(7 * 24 * 3600) };
        let token = invite::make(week, &key).unwrap();
        let refused = |refusal| Admitted::Refused(refusal);
        assert_eq!(Admission::Open.admit(None, &key), Admitted::Free);
        assert_eq!(Admission::Closed.admit(Some(&token), &key), refused(Refusal::RegistrationClosed));
        assert_eq!(Admission::Invite.admit(None, &key), refused(Refusal::InviteNeeded));
        assert!(matches!(
            Admission::Invite.admit(Some(&token), &key),
            Admitted::Invited(Invited { uses: 5, .. })
        ));
        let other = InviteKey::from_bytes([2; 32]);
        assert_eq!(Admission::Invite.admit(Some(&token), &other), refused(Refusal::InviteInvalid));
        let past = invite::make_until(5, conclave_wire::ids::Timestamp(1), &key);
        assert_eq!(Admission::Invite.admit(Some(&past), &key), refused(Refusal::InviteExpired));
        for policy in ["open", "invite", "closed"] {
            policy.parse::<Admission>().unwrap();
        }
        assert_eq!("shut".parse::<Admission>(), Err(NoAdmission));
    }
}
