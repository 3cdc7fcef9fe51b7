//! Continued envelopes: symmetric, on a pairwise chain that an initial envelope opened.
//!
//! ```text
//!     0        1        2            6        8                              32
//!     +--------+--------+------------+--------+------------------------------+---------------- - - -
//!     | 0x01   | 0x02   | chain id   | index  | nonce (24)                   | ciphertext ‖ tag
//!     +--------+--------+------------+--------+------------------------------+---------------- - - -
//!
//!     key        = KDF("continued envelope", chain step)
//!     plaintext  = pad(payload)
//!     associated = bytes 0 to 8 ‖ purpose 1 ‖ group 32 ‖ epoch 4 ‖ sender 32 ‖ recipient 32
//! ```
//!
//! It authenticates its sender to its recipient and to nobody else; what hangs on it alone is never trusted (R57).

use super::context::EnvelopeContext;
use crate::aead;
use crate::kdf;
use crate::padding;
use crate::pairwise::ChainId;
use crate::ratchet::MessageKey;
use crate::secret::Secret;
use conclave_wire::codec::VERSION;
use conclave_wire::ids::{DeviceId, MessageIndex};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

const HEADER: usize = 8;
/// Which form of delivery this is.
pub(super) const FORM_CONTINUED: u8 = 2;

/// A continued envelope does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the continued envelope is not authentic")]
pub(crate) struct ContinuedError;

/// A continued envelope, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContinuedOpening {
    pub(crate) chain: ChainId,
    pub(crate) index: MessageIndex,
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

impl ContinuedOpening {
    /// Parses what follows version and form.
    pub(crate) fn parse(rest: &[u8]) -> Option<Self> {
        let (chain, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (nonce, ciphertext) = rest.split_first_chunk()?;
        Some(Self {
            chain: *chain,
            index: MessageIndex(u16::from_be_bytes(*index)),
            nonce: *nonce,
            ciphertext: ciphertext.to_vec(),
        })
    }

    pub(crate) fn open(
        &self,
        step: &MessageKey,
        context: &EnvelopeContext,
        sender: &DeviceId,
        recipient: &DeviceId,
    ) -> Result<Zeroizing<Vec<u8>>, ContinuedError> {
        let aad = associated(&header(&self.chain, self.index), context, sender, recipient);
        let padded =
            aead::open(&key(step), &self.nonce, &aad, &self.ciphertext).map_err(|_| ContinuedError)?;
        let payload = padding::unpad(&padded).map_err(|_| ContinuedError)?;
        Ok(Zeroizing::new(payload.to_vec()))
    }

    /// Seals `payload`; the result is the whole envelope.
    pub(crate) fn seal(
        chain: ChainId,
        index: MessageIndex,
        step: &MessageKey,
        context: &EnvelopeContext,
        (sender, recipient): (&DeviceId, &DeviceId),
        payload: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut nonce);
        let header = header(&chain, index);
        let aad = associated(&header, context, sender, recipient);
        let ciphertext = aead::seal(&key(step), &nonce, &aad, padding::pad(&[payload]));
        [&header[..], &nonce, &ciphertext].concat()
    }
}

fn key(step: &MessageKey) -> Secret<32> {
    kdf::derive(&kdf::CONTINUED, &[step.0.as_bytes()])
}

fn header(chain: &ChainId, index: MessageIndex) -> [u8; HEADER] {
    let ([a, b, c, d], [e, f]) = (*chain, index.0.to_be_bytes());
    [VERSION, FORM_CONTINUED, a, b, c, d, e, f]
}

fn associated(
    header: &[u8; HEADER],
    context: &EnvelopeContext,
    sender: &DeviceId,
    recipient: &DeviceId,
) -> Vec<u8> {
    [
        &header[..],
        &[context.purpose.byte()],
        context.group.as_bytes(),
        &context.epoch.0.to_be_bytes(),
        sender.as_bytes(),
        recipient.as_bytes(),
    ]
    .concat()
}
