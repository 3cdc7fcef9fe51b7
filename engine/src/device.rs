//! This device: its identity, its prekeys, and its pairwise chains with every other device.

use crate::envelope::{
    CommittedSecret, ContinuedOpening, Delivery, EnvelopeContext, InitialOpening, OpenError, Opening,
    Recipient, Sender, Wrap, seal_initial, wrap_pad,
};
use crate::identity::{Identity, IdentityRecord};
use crate::kdf;
use crate::limits::{PREKEYS_LIFETIME, PREKEYS_OVERLAP};
use crate::pairwise::{ChainId, OpenedChain, Peer};
use crate::prekeys::{PrekeysRecord, PrivatePrekeys, Reach, UsablePrekeys};
use crate::ratchet::Advance;
use crate::record::{Changes, LoadError, Records, Scope};
use crate::secret::Secret;
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{AccountId, Commitment, DeviceId, DeviceKey, MessageIndex, PrekeysHash, Timestamp};
use conclave_wire::limits::MAX_MANIFEST_AGE;
use conclave_wire::login::{Login, Nonce};
use conclave_wire::manifest::{Manifest, ManifestError};
use conclave_wire::prekeys::Prekeys;
use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use thiserror::Error;

const IDENTITY: &[u8] = b"identity";
const PREKEYS: &[u8] = b"prekeys/";
const PEER: &[u8] = b"peer/";
const SEEN: &[u8] = b"seen/";

/// Why a device cannot be made or its manifest be signed again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The manifest cannot be signed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// This device. One per profile; every group borrows it for what goes to one other device.
pub struct Device {
    identity: Identity,
    /// Newest last. The last one is what others are given.
    prekeys: Vec<PrivatePrekeys>,
    peers: BTreeMap<DeviceId, Peer>,
    /// Transcripts of initial envelopes that were opened, kept until the private halves that opened them are gone: a
    /// recipient contributes nothing fresh, so a replay would open again (R54).
    seen: BTreeMap<[u8; 32], PrekeysHash>,
}

impl Device {
    /// A new account with its first device.
    pub fn create(now: Timestamp, rng: &mut impl CryptoRng) -> Result<(Self, Changes), DeviceError> {
        let identity = Identity::create(now, rng)?;
        let prekeys = PrivatePrekeys::generate(identity.device_key(), now, rng);
        let mut changes = Changes::default();
        changes.put(Scope::Device, IDENTITY.to_vec(), &identity.record());
        put_prekeys(&mut changes, &prekeys);
        let device = Self { identity, prekeys: vec![prekeys], peers: BTreeMap::new(), seen: BTreeMap::new() };
        Ok((device, changes))
    }

    /// Loads the device from all records of [`Scope::Device`].
    pub fn load(records: Records) -> Result<Self, LoadError> {
        let (mut identity, mut prekeys) = (None, Vec::new());
        let (mut peers, mut seen) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in records {
            let bytes = value.as_bytes();
            if name == IDENTITY {
                identity = Some(Identity::from_record(&codec::decode::<IdentityRecord>(bytes)?)?);
            } else if name.starts_with(PREKEYS) {
                let record: PrekeysRecord = codec::decode(bytes)?;
                prekeys.push(PrivatePrekeys::from_record(record).map_err(|_| LoadError::Damaged("prekeys"))?);
            } else if let Some(device) = name.strip_prefix(PEER) {
                let device = device.try_into().map_err(|_| LoadError::Damaged("pairwise chains"))?;
                peers.insert(DeviceId::from_bytes(device), codec::decode(bytes)?);
            } else if let Some(transcript) = name.strip_prefix(SEEN) {
                let transcript = transcript.try_into().map_err(|_| LoadError::Damaged("envelope list"))?;
                seen.insert(transcript, codec::decode::<SeenRecord>(bytes)?.0);
            } else {
                return Err(LoadError::Unknown);
            }
        }
        prekeys.sort_by_key(|prekeys| prekeys.public().body().time);
        let identity = identity.ok_or(LoadError::Missing("identity"))?;
        if prekeys.is_empty() {
            return Err(LoadError::Missing("prekeys"));
        }
        Ok(Self { identity, prekeys, peers, seen })
    }

    /// The account that this device belongs to.
    pub fn account(&self) -> AccountId {
        self.identity.account()
    }

    /// This device's id.
    pub fn id(&self) -> DeviceId {
        self.identity.device_id()
    }

    /// This device's public key.
    pub fn key(&self) -> DeviceKey {
        DeviceKey::from_bytes(self.signing_key().verifying_key().to_bytes())
    }

    /// The account's manifest, to publish.
    pub fn manifest(&self) -> &Manifest {
        self.identity.manifest()
    }

    /// Whether the manifest is half as old as it may become.
    pub fn manifest_due(&self, now: Timestamp) -> bool {
        now.since(self.manifest().body().time) > MAX_MANIFEST_AGE / 2
    }

    /// Signs the manifest again; publish it afterwards.
    pub fn renew_manifest(&mut self, now: Timestamp) -> Result<Changes, DeviceError> {
        self.identity.renew_manifest(now)?;
        let mut changes = Changes::default();
        changes.put(Scope::Device, IDENTITY.to_vec(), &self.identity.record());
        Ok(changes)
    }

    /// The newest prekeys, to publish.
    pub fn prekeys(&self) -> Option<&Prekeys> {
        self.prekeys.last().map(PrivatePrekeys::public)
    }

    /// Whether the newest prekeys should be replaced.
    pub fn prekeys_due(&self, now: Timestamp) -> bool {
        self.prekeys().is_none_or(|prekeys| now.since(prekeys.body().time) >= PREKEYS_LIFETIME)
    }

    /// Makes new prekeys; publish them afterwards, and say so with [`prekeys_published`](Self::prekeys_published).
    pub fn replace_prekeys(&mut self, now: Timestamp, rng: &mut impl CryptoRng) -> Changes {
        let prekeys = PrivatePrekeys::generate(self.signing_key(), now, rng);
        let mut changes = Changes::default();
        put_prekeys(&mut changes, &prekeys);
        self.prekeys.push(prekeys);
        changes
    }

    /// Notes that the server has the newest prekeys: the private halves of older ones have 48 hours left.
    pub fn prekeys_published(&mut self, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        if let Some((_, older)) = self.prekeys.split_last_mut() {
            for prekeys in older.iter_mut().filter(|prekeys| prekeys.superseded.is_none()) {
                prekeys.superseded = Some(now);
                put_prekeys(&mut changes, prekeys);
            }
        }
        changes
    }

    /// Erases private halves that were superseded 48 hours ago. Call it only when every group's log is processed up to
    /// its head: what an older envelope carried cannot be opened afterwards, by us or by a thief.
    pub fn retire_prekeys(&mut self, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        let expired = |prekeys: &PrivatePrekeys| {
            prekeys.superseded.is_some_and(|since| now.since(since) >= PREKEYS_OVERLAP)
        };
        for gone in self.prekeys.extract_if(.., |prekeys| expired(prekeys)) {
            let hash = gone.public().hash();
            changes.delete(Scope::Device, name(PREKEYS, hash.as_bytes()));
            for (transcript, _) in self.seen.extract_if(.., |_, prekeys| *prekeys == hash) {
                changes.delete(Scope::Device, name(SEEN, &transcript));
            }
        }
        changes
    }

    /// Answers a server's challenge; `server` is the authority of the address that was dialled.
    pub fn login(&self, server: &str, nonce: &Nonce) -> Login {
        Login::sign(self.account(), self.signing_key(), server, nonce)
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        self.identity.device_key()
    }

    /// Whether something can be sent to `device` without its prekeys.
    pub(crate) fn can_continue(&self, device: &DeviceId, now: Timestamp) -> bool {
        self.peers.get(device).is_some_and(|peer| peer.can_continue(now))
    }

    /// Whether something can be sent to `device` at all.
    pub(crate) fn can_reach(&self, device: &DeviceId, reach: Reach<'_>) -> bool {
        self.can_continue(device, reach.now) || reach.prekeys(device).is_some()
    }

    /// Hands one secret to many devices: a wrap where there is a chain, an initial envelope where there is none, all of
    /// these with one ephemeral key and one signature. One item for each recipient, in their order; `None` for those
    /// that cannot be reached.
    ///
    /// The chains are stepped whatever becomes of the deliveries: commit `changes` before any of them leaves (R55).
    pub(crate) fn deliver(
        &mut self,
        secret: &CommittedSecret,
        recipients: &[(AccountId, DeviceId)],
        context: EnvelopeContext,
        reach: Reach<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Option<Vec<u8>>> {
        let CommittedSecret { secret, commitment } = secret;
        let me = self.id();
        let mut first_contacts = Vec::new();
        let mut deliveries = Vec::with_capacity(recipients.len());
        for (position, (account, device)) in recipients.iter().enumerate() {
            let step = self.peers.get_mut(device).and_then(|peer| peer.step(reach.now));
            deliveries.push(step.map(|(chain, index, step)| {
                let masked = wrap_pad(&step, &context, &me, device, commitment, secret.as_bytes());
                Delivery::encode_wrap(&Wrap { chain, index, masked: *masked.as_bytes() })
            }));
            match deliveries.last() {
                Some(Some(_)) => self.put_peer(device, changes),
                _ => first_contacts
                    .extend(reach.prekeys(device).map(|keys| (position, *account, *device, keys))),
            }
        }
        let envelopes = self.seal(&first_contacts, secret.as_bytes(), context, reach.now, rng, changes);
        for ((position, ..), envelope) in first_contacts.iter().zip(envelopes) {
            if let Some(delivery) = deliveries.get_mut(*position) {
                *delivery = Some(envelope);
            }
        }
        deliveries
    }

    /// Seals `payload` to one device, on its chain if there is one. `None` if it cannot be reached.
    pub(crate) fn seal_to(
        &mut self,
        (account, device): (AccountId, DeviceId),
        payload: &[u8],
        context: EnvelopeContext,
        reach: Reach<'_>,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Option<Vec<u8>> {
        let me = self.id();
        if let Some((chain, index, step)) = self.peers.get_mut(&device).and_then(|peer| peer.step(reach.now))
        {
            self.put_peer(&device, changes);
            let ends = (&me, &device);
            return Some(ContinuedOpening::seal(chain, index, &step, &context, ends, payload, rng));
        }
        let prekeys = reach.prekeys(&device)?;
        self.seal(&[(0, account, device, prekeys)], payload, context, reach.now, rng, changes).pop()
    }

    /// Seals initial envelopes with one payload and begins the chains that they open.
    fn seal(
        &mut self,
        recipients: &[(usize, AccountId, DeviceId, &UsablePrekeys)],
        payload: &[u8],
        context: EnvelopeContext,
        now: Timestamp,
        rng: &mut impl CryptoRng,
        changes: &mut Changes,
    ) -> Vec<Vec<u8>> {
        if recipients.is_empty() {
            return Vec::new();
        }
        let sender =
            Sender { account: self.account(), manifest: self.manifest().hash(), key: self.signing_key() };
        let addressed: Vec<_> = recipients
            .iter()
            .map(|(_, account, device, prekeys)| Recipient {
                account: *account,
                device: *device,
                prekeys,
                payload,
            })
            .collect();
        let sealed = seal_initial(&sender, &addressed, context, rng);
        let mut envelopes = Vec::with_capacity(sealed.len());
        for ((_, _, device, _), (envelope, chain)) in recipients.iter().zip(sealed) {
            self.peers.entry(*device).or_default().open_outgoing(chain, now);
            self.put_peer(device, changes);
            envelopes.push(Delivery::encode_initial(&envelope));
        }
        envelopes
    }

    /// Opens a delivered secret and checks it against its commitment; changes nothing.
    pub(crate) fn open_secret(
        &self,
        delivery: Option<&[u8]>,
        sender: &DeviceId,
        context: EnvelopeContext,
        commitment: &Commitment,
    ) -> Result<(Secret<32>, Opened), OpenError> {
        let (secret, opened) = match Delivery::decode(delivery.ok_or(OpenError::Missing)?)? {
            Delivery::Wrap(wrap) => {
                let advance = self.peek(sender, &wrap.chain, wrap.index)?;
                let me = self.id();
                let secret = wrap_pad(advance.key(), &context, sender, &me, commitment, &wrap.masked);
                (secret, Opened::Step { sender: *sender, chain: wrap.chain, advance })
            }
            other => {
                let (payload, opened) = self.open(other, sender, context)?;
                let bytes = payload.as_slice().try_into().map_err(|_| OpenError::Commitment)?;
                (Secret::from_bytes(bytes), opened)
            }
        };
        let expected = context.purpose.commitment().map(|context| kdf::commit(context, &[secret.as_bytes()]));
        if expected != Some(*commitment) {
            return Err(OpenError::Commitment);
        }
        Ok((secret, opened))
    }

    /// Opens an envelope of any payload; changes nothing.
    pub(crate) fn open_payload(
        &self,
        delivery: Option<&[u8]>,
        sender: &DeviceId,
        context: EnvelopeContext,
    ) -> Result<(Opening, Opened), OpenError> {
        self.open(Delivery::decode(delivery.ok_or(OpenError::Missing)?)?, sender, context)
    }

    fn open(
        &self,
        delivery: Delivery,
        sender: &DeviceId,
        context: EnvelopeContext,
    ) -> Result<(Opening, Opened), OpenError> {
        match delivery {
            Delivery::Wrap(_) => Err(OpenError::NotAuthentic),
            Delivery::Continued(envelope) => {
                let advance = self.peek(sender, &envelope.chain, envelope.index)?;
                let payload = envelope
                    .open(advance.key(), &context, sender, &self.id())
                    .map_err(|_| OpenError::NotAuthentic)?;
                Ok((payload, Opened::Step { sender: *sender, chain: envelope.chain, advance }))
            }
            Delivery::Initial(envelope) => {
                let prekeys = self
                    .prekeys
                    .iter()
                    .find(|prekeys| prekeys.public().hash() == envelope.prekeys)
                    .ok_or(OpenError::Prekeys)?;
                let InitialOpening { sender: by, context: found, payload, chain, transcript, prekeys } =
                    envelope.open((self.account(), self.id()), prekeys)?;
                if by != *sender || found != context {
                    return Err(OpenError::Context);
                }
                if self.seen.contains_key(&transcript) {
                    return Err(OpenError::Replayed);
                }
                Ok((payload, Opened::Initial { sender: by, chain, transcript, prekeys }))
            }
        }
    }

    fn peek(&self, sender: &DeviceId, chain: &ChainId, index: MessageIndex) -> Result<Advance, OpenError> {
        self.peers.get(sender).and_then(|peer| peer.peek(chain, index)).ok_or(OpenError::Chain)
    }

    /// Consumes what a delivery was opened with.
    pub(crate) fn accept(&mut self, opened: Opened, now: Timestamp, changes: &mut Changes) {
        match opened {
            Opened::Step { sender, chain, advance } => {
                if let Some(peer) = self.peers.get_mut(&sender) {
                    peer.apply(&chain, advance, now);
                }
                self.put_peer(&sender, changes);
            }
            Opened::Initial { sender, chain, transcript, prekeys } => {
                self.peers.entry(sender).or_default().open_incoming(chain);
                self.put_peer(&sender, changes);
                self.seen.insert(transcript, prekeys);
                changes.put(Scope::Device, name(SEEN, &transcript), &SeenRecord(prekeys));
            }
        }
    }

    fn put_peer(&self, device: &DeviceId, changes: &mut Changes) {
        if let Some(peer) = self.peers.get(device) {
            changes.put(Scope::Device, name(PEER, device.as_bytes()), peer);
        }
    }
}

/// What opening a delivery will consume, once everything else about the entry has been checked.
pub(crate) enum Opened {
    Step { sender: DeviceId, chain: ChainId, advance: Advance },
    Initial { sender: DeviceId, chain: OpenedChain, transcript: [u8; 32], prekeys: PrekeysHash },
}

#[derive(Encode, Decode)]
#[cbor(transparent)]
struct SeenRecord(#[n(0)] PrekeysHash);

impl Structure for SeenRecord {
    const NAME: &'static str = "opened envelope record";
    const MAX_BYTES: usize = 64;
}

fn put_prekeys(changes: &mut Changes, prekeys: &PrivatePrekeys) {
    let hash = prekeys.public().hash();
    changes.put(Scope::Device, name(PREKEYS, hash.as_bytes()), &prekeys.record());
}

fn name(prefix: &[u8], rest: &[u8]) -> Vec<u8> {
    [prefix, rest].concat()
}
