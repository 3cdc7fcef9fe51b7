//! Invites: tokens that the operator hands out, and that no server has to keep.
//!
//! ```text
//!     token   "invite-" ‖ hexadecimal of  id 16 ‖ uses: 32 bit ‖ expires: 64 bit, ms ‖ tag 32
//!     tag     = BLAKE3 keyed with the invite key, over "conclave v1 invite" ‖ everything before it
//! ```
//!
//! Integers are big endian. How often one was used is counted in the store, under its id.

use super::key::{self, InviteKey};
use crate::clock;
use crate::error::StartError;
use crate::store::{InviteId, StoreLocation};
use conclave_wire::ids::Timestamp;
use std::time::Duration;
use thiserror::Error;

const PREFIX: &str = "invite-";

const LABEL: &[u8] = b"conclave v1 invite";

/// Bytes before the tag.
const SAID: usize = 16 + 4 + 8;

/// Most uses of one invite: a school. Who invites more opens the registration.
const MAX_USES: u32 = 10_000;

/// Longest time that one is good for: a year.
const MAX_TERM: Duration = Duration::from_secs(366 * 24 * 3600);

/// For how many, and how long, an invite is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Accounts that may register with it, 1 to 10,000.
    pub uses: u32,
    /// From now on; at most a year.
    pub expires_in: Duration,
}

/// Why there is no invite.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InviteError {
    /// Not such terms.
    #[error("an invite is for 1 to {MAX_USES} accounts and at most a year; ask for less")]
    Terms,
    /// The server's key for invites cannot be had.
    #[error(transparent)]
    Store(#[from] StartError),
}

/// What a token says, which its tag vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) id: InviteId,
    pub(super) uses: u32,
    pub(super) expires: Timestamp,
}

/// Makes an invite for the servers of a store, running or not. Blocks.
pub fn invite(store: &StoreLocation, terms: Terms) -> Result<String, InviteError> {
    let key = key::of(store)?;
    make(terms, &key).ok_or(InviteError::Terms)
}

pub(super) fn make(terms: Terms, key: &InviteKey) -> Option<String> {
    let good = (1..=MAX_USES).contains(&terms.uses) && terms.expires_in <= MAX_TERM;
    good.then(|| make_until(terms.uses, clock::now().plus(terms.expires_in), key))
}

pub(super) fn make_until(uses: u32, expires: Timestamp, key: &InviteKey) -> String {
    let id: [u8; 16] = rand::random();
    let said = [id.as_slice(), &uses.to_be_bytes(), &expires.0.to_be_bytes()].concat();
    let tag = tag(&said, key);
    format!("{PREFIX}{}{}", hex::encode(&said), tag.to_hex())
}

/// What a token says, if it was made with this key.
pub(super) fn verify(text: &str, key: &InviteKey) -> Option<Said> {
    let bytes = hex::decode(text.trim().strip_prefix(PREFIX)?).ok()?;
    let (said, found) = bytes.split_at_checked(SAID)?;
    // Compared in constant time.
    if blake3::Hash::from_slice(found).ok()? != tag(said, key) {
        return None;
    }
    let (id, rest) = said.split_first_chunk::<16>()?;
    let (uses, expires) = rest.split_first_chunk::<4>()?;
    let expires = Timestamp(u64::from_be_bytes(expires.try_into().ok()?));
    Some(Said { id: InviteId(*id), uses: u32::from_be_bytes(*uses), expires })
}

fn tag(said: &[u8], key: &InviteKey) -> blake3::Hash {
    let mut hash = blake3::Hasher::new_keyed(key.as_bytes());
    hash.update(LABEL).update(said);
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_altered_is_nothing() {
        let key = InviteKey::from_bytes([1; 32]);
        let terms = Terms { uses: 3, expires_in: Duration::from_secs(60) };
        let token = make(terms, &key).unwrap();
        assert_eq!(verify(&token, &key).unwrap().uses, 3);
        assert_eq!(verify(&format!(" {token}\n"), &key), verify(&token, &key));
        for place in PREFIX.len()..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(verify(&String::from_utf8(altered).unwrap(), &key), None, "{place}");
        }
        for nonsense in ["", "invite-", "invite-00", &token[1..], &token[..token.len() - 2]] {
            assert_eq!(verify(nonsense, &key), None, "{nonsense}");
        }
    }

    #[test]
    fn terms_are_bounded() {
        let key = InviteKey::from_bytes([1; 32]);
        for (uses, days) in [(0, 1), (MAX_USES + 1, 1), (1, 400)] {
            assert_eq!(make(Terms { uses, expires_in: Duration::from_secs(days * 24 * 3600) }, &key), None);
        }
    }
}
