//! A device's own signed prekeys, with their private halves.
//!
//! ```text
//!     record  version ‖ CBOR [ public: bstr (signed prekeys), superseded: null / uint ms,
//!                              agreement: bstr 32, kem seed: bstr 64 ]
//! ```
//!
//! Of the ML-KEM key the 64-byte seed is kept and expanded on use ([`crate::kem`]).

use crate::agreement::PrivateKey;
use crate::kem::KemPair;
use crate::secret::Secret;
use conclave_wire::codec::Structure;
use conclave_wire::ids::{DeviceKey, Opaque, Timestamp};
use conclave_wire::limits::MAX_FRAME;
use conclave_wire::prekeys::{AgreementKey, KemKey, Prekeys, PrekeysBody, PrekeysError};
use conclave_wire::signature::SigningKey;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

/// A device's own prekeys with their private halves.
pub(crate) struct PrivatePrekeys {
    public: Prekeys,
    /// When newer prekeys were published; from then on the private halves only wait for what is in flight.
    pub(crate) superseded: Option<Timestamp>,
    agreement: Secret<32>,
    kem_seed: Secret<64>,
}

impl PrivatePrekeys {
    pub(crate) fn generate(device: &SigningKey, now: Timestamp, rng: &mut impl CryptoRng) -> Self {
        let (agreement, kem_seed) = (Secret::random(rng), Secret::random(rng));
        let body = PrekeysBody {
            device: DeviceKey::from_bytes(device.verifying_key().to_bytes()),
            time: now,
            agreement: AgreementKey::from_bytes(PrivateKey::new(&agreement).public()),
            kem: KemKey::from_bytes(*KemPair::expand(&kem_seed).public()),
        };
        Self { public: Prekeys::new(body, device), superseded: None, agreement, kem_seed }
    }

    pub(crate) fn public(&self) -> &Prekeys {
        &self.public
    }

    pub(crate) fn agreement(&self) -> PrivateKey {
        PrivateKey::new(&self.agreement)
    }

    pub(crate) fn decapsulate(&self, ciphertext: &[u8; 1088]) -> Secret<32> {
        KemPair::expand(&self.kem_seed).decapsulate(ciphertext)
    }

    pub(crate) fn record(&self) -> PrekeysRecord {
        PrekeysRecord {
            public: Opaque(self.public.encode()),
            superseded: self.superseded,
            agreement: self.agreement.duplicate(),
            kem_seed: self.kem_seed.duplicate(),
        }
    }

    pub(crate) fn from_record(record: PrekeysRecord) -> Result<Self, PrekeysError> {
        let public = Prekeys::decode_and_verify(&record.public.0)?;
        let PrekeysRecord { superseded, agreement, kem_seed, .. } = record;
        Ok(Self { public, superseded, agreement, kem_seed })
    }
}

/// What is stored of them.
#[derive(Encode, Decode)]
pub(crate) struct PrekeysRecord {
    #[n(0)]
    public: Opaque,
    #[n(1)]
    superseded: Option<Timestamp>,
    #[n(2)]
    agreement: Secret<32>,
    #[n(3)]
    kem_seed: Secret<64>,
}

impl Structure for PrekeysRecord {
    const NAME: &'static str = "private prekeys record";
    const MAX_BYTES: usize = MAX_FRAME;
}
