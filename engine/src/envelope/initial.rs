//! Initial envelopes: asymmetric, to a device's prekeys, signed inside; each opens a pairwise chain.
//!
//! ```text
//!     envelope   version ‖ CBOR [ ephemeral: bstr 32, kem ciphertext: bstr 1088, one time: null / uint,
//!                                 prekeys: bstr 32, ciphertext: bstr ]
//!     plaintext  pad(version ‖ CBOR [ body: bstr, index: uint, path: [* bstr 32], signature: bstr 64 ])
//!     body       version ‖ CBOR [ sender account: bstr 32, sender device key: bstr 32, sender manifest: bstr 32,
//!                                 recipient account: bstr 32, recipient device: bstr 32,
//!                                 [purpose: uint, group: bstr 32, epoch: uint], payload: bstr ]
//!
//!     th   = H("initial envelope transcript", 0x01 ‖ ephemeral ‖ kem ciphertext ‖ prekeys ‖ recipient account
//!                                             ‖ recipient device ‖ one-time key or 32 zeros)
//!     key 32 ‖ nonce 24 ‖ chain key 32 ‖ chain id 4
//!          = KDF("initial envelope", DH(e, signed prekey) ‖ DH(e, one-time prekey) if any ‖ ss ‖ th)
//!     ciphertext = AEAD(key, nonce, associated data th, plaintext)
//! ```
//!
//! `prekeys` is the hash of the recipient's signed prekeys and so covers both public keys; `one time` is the id of a
//! one-time prekey, whose key stands in `th`, for the id alone says nothing about the key. The ephemeral key may serve
//! many recipients, with one signature over the root of [`super::merkle_path`].
//!
//! Sources: RFC 9180 (HPKE) for encapsulation that binds its transcript; Kret and Schmidt, "The PQXDH Key Agreement
//! Protocol", for the hybrid of X25519 and a KEM.

use super::context::EnvelopeContext;
use super::merkle_path;
use crate::aead;
use crate::agreement::PrivateKey;
use crate::kdf;
use crate::padding;
use crate::pairwise::OpenedChain;
use crate::prekeys::{GivenOneTime, OneTimePrivate, PrivatePrekeys, UsablePrekeys};
use crate::ratchet::Chain;
use crate::secret::{Secret, SecretBytes};
use conclave_wire::codec::{self, DecodeError, Structure, VERSION};
use conclave_wire::ids::{
    AccountId, DeviceId, DeviceKey, ManifestHash, MessageIndex, OneTimePrekeyId, Opaque, PrekeysHash,
};
use conclave_wire::limits::MAX_FRAME;
use conclave_wire::prekeys::AgreementKey;
use conclave_wire::signature::{self, Label, Signature, SigningKey};
use libcrux_ml_kem::mlkem768;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

const LABEL: Label = Label("conclave v1 sign envelope");
const KEM_CIPHERTEXT: usize = 1088;

/// The bytes that travel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct InitialEnvelope {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    ephemeral: [u8; 32],
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    kem_ciphertext: [u8; KEM_CIPHERTEXT],
    /// Which one-time prekey of the recipient, beside its signed prekeys.
    #[n(2)]
    pub(crate) one_time: Option<OneTimePrekeyId>,
    #[n(3)]
    pub(crate) prekeys: PrekeysHash,
    #[n(4)]
    ciphertext: Opaque,
}

impl Structure for InitialEnvelope {
    const NAME: &'static str = "initial envelope";
    const MAX_BYTES: usize = MAX_FRAME;
}

#[derive(Encode, Decode)]
struct Plaintext {
    #[n(0)]
    body: SecretBytes,
    #[n(1)]
    index: u32,
    #[n(2)]
    path: Vec<PathNode>,
    #[n(3)]
    signature: Signature,
}

#[derive(Encode, Decode)]
#[cbor(transparent)]
struct PathNode(
    #[cbor(with = "minicbor::bytes")]
    #[n(0)]
    [u8; 32],
);

impl Structure for Plaintext {
    const NAME: &'static str = "initial envelope plaintext";
    const MAX_BYTES: usize = MAX_FRAME;
}

#[derive(Encode, Decode)]
struct Body {
    #[n(0)]
    sender_account: AccountId,
    #[n(1)]
    sender_device: DeviceKey,
    #[n(2)]
    sender_manifest: ManifestHash,
    #[n(3)]
    recipient_account: AccountId,
    #[n(4)]
    recipient_device: DeviceId,
    #[n(5)]
    context: EnvelopeContext,
    #[n(6)]
    payload: SecretBytes,
}

impl Structure for Body {
    const NAME: &'static str = "initial envelope body";
    const MAX_BYTES: usize = MAX_FRAME;
}

/// Why an initial envelope does not open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum InitialError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the envelope's keys do not fit")]
    Keys,
    #[error("the envelope is for another device")]
    Recipient,
    #[error("the envelope's signature is not valid")]
    Signature,
}

/// Who sends: what goes into the body and signs it.
pub(crate) struct Sender<'a> {
    pub(crate) account: AccountId,
    pub(crate) manifest: ManifestHash,
    pub(crate) key: &'a SigningKey,
}

/// Who receives, and what.
pub(crate) struct Recipient<'a> {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) prekeys: &'a UsablePrekeys,
    /// Taken away by sealing, so that no second envelope goes to it (R59).
    pub(crate) one_time: Option<GivenOneTime>,
    pub(crate) payload: &'a [u8],
}

/// An initial envelope, opened and verified.
pub(crate) struct InitialOpening {
    pub(crate) sender: DeviceId,
    pub(crate) context: EnvelopeContext,
    pub(crate) payload: Zeroizing<Vec<u8>>,
    pub(crate) chain: OpenedChain,
    pub(crate) spent: SpentEnvelope,
}

/// What keeps an envelope that was opened from opening again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SpentEnvelope {
    /// Its one-time prekey, whose private half is erased (R59).
    OneTime(OneTimePrekeyId),
    /// Its transcript, remembered as long as the private halves of the prekeys live (R54).
    Signed { transcript: [u8; 32], prekeys: PrekeysHash },
}

/// Seals one envelope to each recipient, in their order, with one ephemeral key and one signature for all.
pub(crate) fn seal_initial(
    sender: &Sender<'_>,
    recipients: Vec<Recipient<'_>>,
    context: EnvelopeContext,
    rng: &mut impl CryptoRng,
) -> Vec<(InitialEnvelope, OpenedChain)> {
    let ephemeral = PrivateKey::new(&Secret::random(rng));
    let drafts: Vec<_> = recipients
        .into_iter()
        .map(|recipient| Draft::new(sender, &recipient, context, &ephemeral, rng))
        .collect();
    let leaves: Vec<_> = drafts.iter().map(|draft| draft.leaf).collect();
    let (root, paths) = merkle_path::root_and_paths(&leaves);
    let signature = signature::sign(sender.key, LABEL, &root);
    let paths = (0..).zip(paths);
    drafts.into_iter().zip(paths).map(|(draft, (index, path))| draft.finish(index, path, signature)).collect()
}

/// An envelope that lacks its signature.
struct Draft {
    body: SecretBytes,
    leaf: [u8; 32],
    transcript: [u8; 32],
    keys: EnvelopeKeys,
    envelope: InitialEnvelope,
}

impl Draft {
    fn new(
        sender: &Sender<'_>,
        recipient: &Recipient<'_>,
        context: EnvelopeContext,
        ephemeral: &PrivateKey,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let prekeys = recipient.prekeys.verified().body();
        let kem_key = mlkem768::MlKem768PublicKey::from(*prekeys.kem.as_bytes());
        let randomness = Secret::<32>::random(rng);
        let (kem_ciphertext, shared) = mlkem768::encapsulate(&kem_key, *randomness.as_bytes());
        let shared = Secret::from_bytes(shared);
        // Usable prekeys are not of small order, nor is a one-time prekey that is given, so there always is a result. Were
        // there none, this would seal an envelope that nobody opens.
        let mut agree =
            |key: &AgreementKey| ephemeral.agree(key.as_bytes()).unwrap_or_else(|| Secret::random(rng));
        let one_time = recipient.one_time.as_ref().map(GivenOneTime::key);
        let agreements = (agree(&prekeys.agreement), one_time.map(agree));
        let envelope = InitialEnvelope {
            ephemeral: ephemeral.public(),
            kem_ciphertext: *kem_ciphertext.as_slice(),
            one_time: recipient.one_time.as_ref().map(GivenOneTime::id),
            prekeys: recipient.prekeys.verified().hash(),
            ciphertext: Opaque::default(),
        };
        let transcript = envelope.transcript(&recipient.account, &recipient.device, one_time);
        let body = Zeroizing::new(codec::encode(&Body {
            sender_account: sender.account,
            sender_device: DeviceKey::from_bytes(sender.key.verifying_key().to_bytes()),
            sender_manifest: sender.manifest,
            recipient_account: recipient.account,
            recipient_device: recipient.device,
            context,
            payload: SecretBytes(Zeroizing::new(recipient.payload.to_vec())),
        }));
        let leaf = leaf(&transcript, &body);
        let keys = EnvelopeKeys::derive(&agreements, &shared, &transcript);
        Self { body: SecretBytes(body), leaf, transcript, keys, envelope }
    }

    fn finish(self, index: u32, path: Vec<[u8; 32]>, signature: Signature) -> (InitialEnvelope, OpenedChain) {
        let path = path.into_iter().map(PathNode).collect();
        let plaintext = Plaintext { body: self.body, index, path, signature };
        let padded = padding::pad(&[&Zeroizing::new(codec::encode(&plaintext))]);
        let ciphertext = aead::seal(&self.keys.key, &self.keys.nonce, &self.transcript, padded);
        (InitialEnvelope { ciphertext: Opaque(ciphertext), ..self.envelope }, self.keys.chain)
    }
}

impl InitialEnvelope {
    /// Opens with the private halves of the prekeys that it names, and of the one-time prekey if it names one; `me` is this
    /// device.
    pub(crate) fn open(
        &self,
        me: (AccountId, DeviceId),
        prekeys: &PrivatePrekeys,
        one_time: Option<&OneTimePrivate>,
    ) -> Result<InitialOpening, InitialError> {
        if self.one_time.is_some() != one_time.is_some() {
            return Err(InitialError::Keys);
        }
        let agree = |private: PrivateKey| private.agree(&self.ephemeral).ok_or(InitialError::Keys);
        let one_time_agreement = one_time.map(|private| agree(private.agreement())).transpose()?;
        let agreements = (agree(prekeys.agreement())?, one_time_agreement);
        let shared = prekeys.decapsulate(&self.kem_ciphertext);
        let one_time_key = one_time.map(OneTimePrivate::public);
        let transcript = self.transcript(&me.0, &me.1, one_time_key.as_ref());
        let keys = EnvelopeKeys::derive(&agreements, &shared, &transcript);
        let padded = aead::open(&keys.key, &keys.nonce, &transcript, &self.ciphertext.0)
            .map_err(|_| InitialError::Keys)?;
        let plaintext: Plaintext = codec::decode(padding::unpad(&padded).map_err(|_| InitialError::Keys)?)?;
        let encoded_body = plaintext.body.0;
        let body: Body = codec::decode(&encoded_body)?;
        let payload = body.payload.0;
        if (body.recipient_account, body.recipient_device) != me {
            return Err(InitialError::Recipient);
        }
        let path: Vec<_> = plaintext.path.iter().map(|node| node.0).collect();
        let root = merkle_path::root(leaf(&transcript, &encoded_body), plaintext.index, &path)
            .ok_or(InitialError::Signature)?;
        signature::verify(body.sender_device.as_bytes(), LABEL, &root, &plaintext.signature)
            .map_err(|_| InitialError::Signature)?;
        Ok(InitialOpening {
            sender: body.sender_device.id(),
            context: body.context,
            payload,
            chain: keys.chain,
            spent: match self.one_time {
                Some(id) => SpentEnvelope::OneTime(id),
                None => SpentEnvelope::Signed { transcript, prekeys: self.prekeys },
            },
        })
    }

    /// `th`: everything that decides the keys, and to whom.
    fn transcript(
        &self,
        account: &AccountId,
        device: &DeviceId,
        one_time: Option<&AgreementKey>,
    ) -> [u8; 32] {
        kdf::INITIAL_TRANSCRIPT.hash(&[
            &[VERSION],
            &self.ephemeral,
            &self.kem_ciphertext,
            self.prekeys.as_bytes(),
            account.as_bytes(),
            device.as_bytes(),
            one_time.map_or(&[0; 32], |key| key.as_bytes()),
        ])
    }
}

fn leaf(transcript: &[u8; 32], body: &[u8]) -> [u8; 32] {
    kdf::ENVELOPE_LEAF.hash(&[transcript, &kdf::hash_of_secret(&kdf::ENVELOPE_INNER, &[body])])
}

struct EnvelopeKeys {
    key: Secret<32>,
    nonce: [u8; 24],
    chain: OpenedChain,
}

impl EnvelopeKeys {
    /// From the agreement with the signed prekey, that with the one-time prekey if there is one, and the shared secret of
    /// the KEM. How many there are shows in the transcript.
    fn derive(
        (signed, one_time): &(Secret<32>, Option<Secret<32>>),
        shared: &Secret<32>,
        transcript: &[u8; 32],
    ) -> Self {
        let one_time = one_time.as_ref().map_or(&[][..], |agreement| agreement.as_bytes());
        let parts = [&signed.as_bytes()[..], one_time, shared.as_bytes(), transcript];
        let wide: Secret<92> = kdf::derive(&kdf::INITIAL, &parts);
        let (mut key, mut chain_key) = (Secret::zeroed(), Secret::zeroed());
        let (mut nonce, mut id) = ([0; 24], [0; 4]);
        let (first, rest) = wide.as_bytes().split_at(32);
        let (second, rest) = rest.split_at(24);
        let (third, fourth) = rest.split_at(32);
        key.as_bytes_mut().copy_from_slice(first);
        nonce.copy_from_slice(second);
        chain_key.as_bytes_mut().copy_from_slice(third);
        id.copy_from_slice(fourth);
        Self { key, nonce, chain: OpenedChain { id, chain: Chain::new(chain_key, MessageIndex(0)) } }
    }
}
