//! Deliveries: what hangs on a log entry for one device, in one of three forms.
//!
//! ```text
//!     wrap       0x01 ‖ 0x00 ‖ chain id 4 ‖ index 2 (big endian) ‖ masked secret 32        40 bytes
//!     initial    0x01 ‖ 0x01 ‖ initial envelope
//!     continued  0x01 ‖ 0x02 ‖ … see `continued`
//!     none       no bytes: the device could not be reached
//! ```

use super::continued::{ContinuedOpening, FORM_CONTINUED};
use super::initial::{InitialEnvelope, InitialError};
use super::wrap::{WRAP_BYTES, Wrap};
use conclave_wire::codec::{self, DecodeError, VERSION};
use conclave_wire::ids::MessageIndex;
use thiserror::Error;
use zeroize::Zeroizing;

const NAME: &str = "delivery";
const FORM_WRAP: u8 = 0;
const FORM_INITIAL: u8 = 1;

/// Why a delivery does not open. Whatever the reason, the way out is the same: ask for what it should have brought.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no delivery for this device.
    #[error("nothing was delivered to this device")]
    Missing,
    /// Not a delivery.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is on a pairwise chain that this device does not have, or that is past.
    #[error("the delivery is on a pairwise chain that this device does not have")]
    Chain,
    /// It is to prekeys that this device no longer has.
    #[error("the delivery is to prekeys that this device no longer has")]
    Prekeys,
    /// The envelope was opened before.
    #[error("the envelope was opened before")]
    Replayed,
    /// Keys, recipient, signature or sender are not what they must be.
    #[error("the envelope is not authentic")]
    NotAuthentic,
    /// It is on a pairwise chain, and what it brings may come by an initial envelope only.
    #[error("the delivery is on a pairwise chain, where only an initial envelope will do")]
    Form,
    /// It is for another purpose, group or epoch, or from another device.
    #[error("the envelope is for another purpose, group, epoch or from another device")]
    Context,
    /// The secret is not the one that was committed to.
    #[error("the secret is not the one that was committed to")]
    Commitment,
}

impl From<InitialError> for OpenError {
    fn from(error: InitialError) -> Self {
        match error {
            InitialError::Decode(error) => Self::Decode(error),
            InitialError::Keys | InitialError::Recipient | InitialError::Signature => Self::NotAuthentic,
        }
    }
}

/// What a delivery's bytes are.
pub(crate) enum Delivery {
    Wrap(Wrap),
    Initial(Box<InitialEnvelope>),
    Continued(ContinuedOpening),
}

/// What came out of a delivery.
pub(crate) type Opening = Zeroizing<Vec<u8>>;

impl Delivery {
    pub(crate) fn encode_wrap(wrap: &Wrap) -> Vec<u8> {
        [&[VERSION, FORM_WRAP][..], &wrap.chain, &wrap.index.0.to_be_bytes(), &wrap.masked].concat()
    }

    pub(crate) fn encode_initial(envelope: &InitialEnvelope) -> Vec<u8> {
        [&[VERSION, FORM_INITIAL][..], &codec::encode(envelope)].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let structure = NAME;
        let malformed = || OpenError::Decode(DecodeError::Malformed { structure });
        let (version, rest) = bytes.split_first().ok_or(OpenError::Missing)?;
        if *version != VERSION {
            return Err(DecodeError::UnknownVersion { structure, version: *version }.into());
        }
        match rest.split_first() {
            Some((&FORM_WRAP, rest)) => parse_wrap(rest).map(Self::Wrap).ok_or_else(malformed),
            Some((&FORM_INITIAL, rest)) => Ok(Self::Initial(Box::new(codec::decode(rest)?))),
            Some((&FORM_CONTINUED, rest)) => {
                ContinuedOpening::parse(rest).map(Self::Continued).ok_or_else(malformed)
            }
            _ => Err(malformed()),
        }
    }
}

fn parse_wrap(bytes: &[u8]) -> Option<Wrap> {
    let bytes: &[u8; WRAP_BYTES] = bytes.try_into().ok()?;
    let (chain, rest) = bytes.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (masked, _) = rest.split_first_chunk()?;
    Some(Wrap { chain: *chain, index: MessageIndex(u16::from_be_bytes(*index)), masked: *masked })
}
