//! Safety numbers: what two people compare to know that no third account stands between them.
//!
//! ```text
//!     wide    KDF("safety number", lower account 32 ‖ higher account 32)        60 bytes
//!     number  12 groups of 5 digits: each 5 bytes of it, big endian, modulo 100,000
//!     QR      version ‖ CBOR [ lower account: bstr 32, higher account: bstr 32 ]
//! ```
//!
//! It is over the two account keys alone, so it stays as it is when devices come and go. Both people see the same number
//! and compare it whole. Sixty digits are 199 bits: who wants to stand between two people needs two accounts of their own
//! whose numbers with either agree, a collision, which takes 2^99 tries.
//!
//! Source: Signal's safety numbers (Marlinspike, "Safety number updates", 2016), which put a 30-digit fingerprint of each
//! side together, made slow to compute because half a number must resist by itself. One hash over both keys needs no
//! slowness for the same strength, and nobody is tempted to compare half.

use crate::kdf;
use conclave_wire::codec::{self, DecodeError, Structure};
use conclave_wire::ids::AccountId;
use minicbor::{Decode, Encode};
use thiserror::Error;

const GROUPS: usize = 12;
const BYTES_PER_GROUP: usize = 5;
const MODULUS: u64 = 100_000;

/// The safety number of two accounts, the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyNumber {
    ours: AccountId,
    theirs: AccountId,
}

/// Why a scanned code does not confirm the safety number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScanError {
    /// Not the code of a safety number.
    #[error("this is not the code of a safety number")]
    Decode(#[from] DecodeError),
    /// It is about two other accounts: another person's screen, or a conversation with somebody else.
    #[error(
        "the code is about other accounts; let them show the safety number of their conversation with you"
    )]
    OtherPeople,
    /// One account is as expected and the other is not.
    #[error("the safety numbers differ: somebody may stand between you; do not trust this conversation")]
    Differs,
}

#[derive(Encode, Decode)]
struct Payload {
    #[n(0)]
    lower: AccountId,
    #[n(1)]
    higher: AccountId,
}

impl Structure for Payload {
    const NAME: &'static str = "safety number code";
    const MAX_BYTES: usize = 80;
}

impl SafetyNumber {
    /// Of this account and another.
    pub fn new(ours: AccountId, theirs: AccountId) -> Self {
        Self { ours, theirs }
    }

    /// The twelve groups, each below 100,000.
    pub fn groups(&self) -> [u32; GROUPS] {
        let Payload { lower, higher } = self.payload();
        let mut wide = [0; GROUPS * BYTES_PER_GROUP];
        kdf::SAFETY_NUMBER.fill(&[lower.as_bytes(), higher.as_bytes()], &mut wide);
        let mut groups = [0; GROUPS];
        for (group, bytes) in groups.iter_mut().zip(wide.chunks_exact(BYTES_PER_GROUP)) {
            let number = bytes.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
            *group = u32::try_from(number % MODULUS).unwrap_or_default();
        }
        groups
    }

    /// What a QR code for the other person holds, 70 bytes.
    pub fn to_qr(&self) -> Vec<u8> {
        codec::encode(&self.payload())
    }

    /// Compares with what the other person's QR code holds.
    pub fn check_qr(&self, scanned: &[u8]) -> Result<(), ScanError> {
        let Payload { lower, higher } = codec::decode(scanned)?;
        let Payload { lower: our_lower, higher: our_higher } = self.payload();
        if (lower, higher) == (our_lower, our_higher) {
            return Ok(());
        }
        let known = [lower, higher].iter().any(|account| *account == self.ours || *account == self.theirs);
        Err(if known { ScanError::Differs } else { ScanError::OtherPeople })
    }

    fn payload(&self) -> Payload {
        Payload { lower: self.ours.min(self.theirs), higher: self.ours.max(self.theirs) }
    }
}

impl std::fmt::Display for SafetyNumber {
    /// Sixty digits, a space after each group of five.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, group) in self.groups().iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(fill: u8) -> AccountId {
        AccountId::from_bytes([fill; 32])
    }

    #[test]
    fn the_same_for_both_and_for_nobody_else() {
        let (ours, theirs) =
            (SafetyNumber::new(account(1), account(2)), SafetyNumber::new(account(2), account(1)));
        assert_eq!(ours.to_string(), theirs.to_string());
        assert_eq!(ours.to_qr(), theirs.to_qr());
        let text = ours.to_string();
        assert_eq!(text.split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
        assert!(text.bytes().all(|byte| byte == b' ' || byte.is_ascii_digit()));
        assert_ne!(text, SafetyNumber::new(account(1), account(3)).to_string());
    }

    #[test]
    fn scanning() {
        let number = SafetyNumber::new(account(1), account(2));
        let of = |one, other| SafetyNumber::new(account(one), account(other)).to_qr();
        assert_eq!(number.check_qr(&of(2, 1)), Ok(()));
        // Mallory stands between them: each sees their own account and hers.
        assert_eq!(number.check_qr(&of(2, 9)), Err(ScanError::Differs));
        assert_eq!(number.check_qr(&of(9, 1)), Err(ScanError::Differs));
        assert_eq!(number.check_qr(&of(8, 9)), Err(ScanError::OtherPeople));
        assert!(matches!(number.check_qr(b"https://"), Err(ScanError::Decode(_))));
        // The accounts the wrong way round: not what an honest program shows.
        let swapped = codec::encode(&Payload { lower: account(2), higher: account(1) });
        assert_eq!(number.check_qr(&swapped), Err(ScanError::Differs));
    }
}
