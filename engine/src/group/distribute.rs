//! Giving every other device of the group a new sender key of ours.

use super::event::GroupState;
use super::sender_key::OwnKey;
use super::state::Group;
use super::unverified::ForgedMember;
use crate::addressee::Addressee;
use crate::aead;
use crate::device::Device;
use crate::envelope::{CommittedSecret, EnvelopeContext, Purpose};
use crate::kdf;
use crate::pairwise::{Dispatch, Upload};
use crate::prekeys::{PrekeyBook, Reach};
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::certificate::CertificateBody;
use conclave_wire::codec::{self, Structure};
use conclave_wire::distribution::{Distribution, DistributionBody};
use conclave_wire::ids::{CertificateHash, DeviceId, MessageIndex, Opaque, Timestamp};
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a sender key cannot be distributed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DistributeError {
    /// This device was removed, or lacks the epoch's secrets.
    #[error("this device cannot send to the group: it was removed, or must be welcomed again first")]
    NotActive(GroupState),
    /// A device of the roster is not its account's.
    #[error(transparent)]
    Forged(#[from] ForgedMember),
    /// What would be uploaded is more than the transport [takes](Group::allow_uploads_of).
    #[error("the group has too many devices for a first contact in one upload")]
    TooLarge,
    /// All generations are used up.
    #[error("this device has no sender key generations left in this group")]
    Generations,
}

/// What is uploaded, as [`conclave_wire::request::Request::Distribute`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributionUpload {
    /// The encoded distribution.
    pub distribution: Vec<u8>,
    /// The content key for each other device, empty for those that cannot be reached.
    pub deliveries: Vec<Opaque>,
    /// Whom the deliveries are for, in the same order.
    pub recipients: Vec<DeviceId>,
}

/// A staged sender key.
#[derive(Debug)]
pub struct Distributed {
    /// To upload, after the changes are stored.
    pub upload: DistributionUpload,
    /// Devices that got nothing because their prekeys cannot be used; they will ask.
    pub unreachable: Vec<DeviceId>,
    /// To store first.
    pub changes: Changes,
}

/// ```text
///     sender key  version ‖ CBOR [ seed: bstr 32, chain key: bstr 32, index: uint ]
/// ```
#[derive(Encode, Decode)]
pub(super) struct SenderKeyContent {
    #[n(0)]
    pub(super) seed: Secret<32>,
    #[n(1)]
    pub(super) chain: Secret<32>,
    #[n(2)]
    pub(super) index: MessageIndex,
}

impl Structure for SenderKeyContent {
    const NAME: &'static str = "sender key";
    const MAX_BYTES: usize = 128;
}

impl SenderKeyContent {
    /// `key 32 ‖ nonce 24 = KDF("distribution content", content key ‖ certificate hash)`; the content key is used once.
    pub(super) fn open(
        content_key: &Secret<32>,
        certificate: &CertificateHash,
        ciphertext: &[u8],
    ) -> Option<Self> {
        let (key, nonce) = content_aead(content_key, certificate);
        let plaintext = aead::open(&key, &nonce, &[], ciphertext).ok()?;
        codec::decode(&plaintext).ok()
    }

    fn seal(&self, content_key: &Secret<32>, certificate: &CertificateHash) -> Vec<u8> {
        let (key, nonce) = content_aead(content_key, certificate);
        aead::seal(&key, &nonce, &[], Zeroizing::new(codec::encode(self)))
    }
}

fn content_aead(content_key: &Secret<32>, certificate: &CertificateHash) -> (Secret<32>, [u8; 24]) {
    kdf::derive_aead(&kdf::DISTRIBUTION_CONTENT, &[content_key.as_bytes(), certificate.as_bytes()])
}

/// A wrap in an upload, with its CBOR head.
const WRAP_SIZE: usize = 42;
/// An initial envelope in an upload, at most, the Merkle path to a million recipients included.
const INITIAL_SIZE: usize = 2500;

impl Group {
    /// Stages a new sender key of this device; it seals once the log shows its distribution.
    ///
    /// The book must hold the prekeys of [`unknown_peers`](Self::unknown_peers). Needed before the first message, and
    /// whenever [`sender_key_due`](Self::sender_key_due) says so; harmless at any time. A second call replaces what the
    /// first staged: should the log show the first all the same, it is refused as an old generation.
    pub fn distribute(
        &mut self,
        device: &Device,
        book: &PrekeyBook,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Distributed, DistributeError> {
        if self.state() != GroupState::Active {
            return Err(DistributeError::NotActive(self.state()));
        }
        let generation = self.own.next_generation;
        let next_generation = generation.next().ok_or(DistributeError::Generations)?;
        let recipients: Vec<Addressee> = self
            .roster()
            .devices()
            .map(|(_, leaf)| Addressee::from(leaf))
            .filter(|to| to.device != self.me.device)
            .collect();
        let known = recipients.iter().filter(|to| self.pairwise.can_continue(&to.device, now)).count();
        if known * WRAP_SIZE + (recipients.len() - known) * INITIAL_SIZE + 2048 > self.max_upload {
            return Err(DistributeError::TooLarge);
        }
        let verified = self.verify_devices(recipients.iter().map(|to| to.device))?;

        // From here on nothing fails.
        let (group, epoch, head, me) = (self.id(), self.epoch(), self.public.head(), self.me.device);
        // Links run on from the messages that the log has; a sender without any begins at its certificate.
        let first_link = self.own.confirmed_link.is_none();
        let key = OwnKey::generate(device.signing_key(), rng, |signing_key, commitment| CertificateBody {
            group,
            device: me,
            generation,
            time: now,
            start_epoch: epoch,
            head,
            signing_key,
            commitment,
            first_link,
        });
        let content_key = CommittedSecret::for_content(rng);
        let content = SenderKeyContent {
            seed: key.secrets.seed.duplicate(),
            chain: key.secrets.chain.key().duplicate(),
            index: key.secrets.chain.index(),
        };
        let distribution = Distribution::new(
            DistributionBody {
                certificate: Opaque(key.certificate.encode()),
                epoch,
                commitment: content_key.commitment,
                ciphertext: Opaque(content.seal(&content_key.secret, &key.certificate.hash())),
            },
            device.signing_key(),
        );
        let mut changes = Changes::default();
        let context = EnvelopeContext { purpose: Purpose::ContentKey, group, epoch };
        let upload = Upload::Distribution;
        let dispatch = Dispatch { from: device, context, upload, reach: Reach { book, now } };
        self.settle(&verified, &mut changes);
        self.pairwise.discard(upload, &mut changes);
        let deliveries = self.pairwise.deliver(&content_key, &recipients, dispatch, rng, &mut changes);
        let unreachable = recipients
            .iter()
            .zip(&deliveries)
            .filter(|(_, delivery)| delivery.is_none())
            .map(|(to, _)| to.device)
            .collect();
        self.own.next_generation = next_generation;
        self.own.replace_staged(key, *distribution.digest());
        self.put_own_keys(&mut changes);
        self.put_own_state(&mut changes);
        self.put_own_past(&mut changes);
        let deliveries =
            deliveries.into_iter().map(|delivery| Opaque(delivery.unwrap_or_default())).collect();
        let recipients = recipients.into_iter().map(|to| to.device).collect();
        let upload = DistributionUpload { distribution: distribution.encode(), deliveries, recipients };
        Ok(Distributed { upload, unreachable, changes })
    }
}
