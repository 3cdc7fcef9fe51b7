//! This device: its identity and its prekeys.

mod manifests;

pub use manifests::RevokeError;

use crate::envelope::{InitialEnvelope, InitialOpening, OpenError, SpentEnvelope};
use crate::identity::{Identity, IdentityRecord};
use crate::limits::{PREKEYS_LIFETIME, PREKEYS_OVERLAP};
use crate::linking;
use crate::manifest_chain::{MANIFEST, ManifestRecords, STAGED};
use crate::prekeys::{OneTimePrekeys, PrekeysRecord, PrivatePrekeys};
use crate::record::{Changes, LoadError, Records, Scope};
use conclave_wire::codec::{self, Structure};
use conclave_wire::ids::{AccountId, DeviceId, DeviceKey, ManifestVersion, PrekeysHash, Timestamp};
use conclave_wire::limits::CLOCK_SKEW;
use conclave_wire::login::{Login, Nonce};
use conclave_wire::manifest::{Manifest, ManifestError};
use conclave_wire::prekeys::{OneTimePrekey, Prekeys};
use conclave_wire::signature::SigningKey;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use thiserror::Error;

const IDENTITY: &[u8] = b"identity";
const PREKEYS: &[u8] = b"prekeys/";
const SEEN: &[u8] = b"seen/";
const HEAL: &[u8] = b"heal";

/// Why a device cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The manifest cannot be signed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Prekeys of this device are from the future, so that nobody could tell newer ones from them.
    #[error(
        "this device made prekeys while its clock was ahead; heal it when that time has come, or replace the device"
    )]
    Clock,
}

/// This device. One per profile; every group borrows it for what goes to one other device.
pub struct Device {
    identity: Identity,
    /// Newest last. The last one is what others are given.
    prekeys: Vec<PrivatePrekeys>,
    one_time: OneTimePrekeys,
    /// Transcripts of initial envelopes that were opened, kept until the private halves that opened them are gone: a
    /// recipient contributes nothing fresh, so a replay would open again (R54). None that used a one-time prekey: the
    /// private half of that is gone at once.
    seen: BTreeMap<[u8; 32], PrekeysHash>,
    /// Time of the prekeys with which the last heal began.
    healing: Option<Timestamp>,
}

impl Device {
    /// A new account with its first device.
    pub fn create(now: Timestamp, rng: &mut impl CryptoRng) -> Result<(Self, Changes), DeviceError> {
        Ok(Self::begin(Identity::create(now, rng)?, now, rng))
    }

    /// The device of an identity, with nothing else: its first prekeys, or the first after a restore.
    pub(crate) fn begin(identity: Identity, now: Timestamp, rng: &mut impl CryptoRng) -> (Self, Changes) {
        let prekeys = PrivatePrekeys::generate(identity.device_key(), now, rng);
        let mut changes = Changes::default();
        identity.put_all(IDENTITY, &mut changes);
        put_prekeys(&mut changes, &prekeys);
        let (one_time, seen) = (OneTimePrekeys::default(), BTreeMap::new());
        (Self { identity, prekeys: vec![prekeys], one_time, seen, healing: None }, changes)
    }

    /// Loads the device from all records of [`Scope::Device`].
    pub fn load(records: Records) -> Result<Self, LoadError> {
        let (mut identity, mut manifests, mut prekeys) = (None, ManifestRecords::default(), Vec::new());
        let (mut one_time, mut seen, mut healing) = (OneTimePrekeys::default(), BTreeMap::new(), None);
        for (name, value) in records {
            let bytes = value.as_bytes();
            if name == IDENTITY {
                identity = Some(codec::decode::<IdentityRecord>(bytes)?);
            } else if let Some(version) = name.strip_prefix(MANIFEST) {
                manifests.take(version, &codec::decode(bytes)?)?;
            } else if name == STAGED {
                manifests.take_staged(&codec::decode(bytes)?)?;
            } else if name == linking::RECORD {
                return Err(LoadError::Linking);
            } else if name.starts_with(PREKEYS) {
                let record: PrekeysRecord = codec::decode(bytes)?;
                prekeys.push(PrivatePrekeys::from_record(record).map_err(|_| LoadError::Damaged("prekeys"))?);
            } else if let Some(transcript) = name.strip_prefix(SEEN) {
                let transcript = transcript.try_into().map_err(|_| LoadError::Damaged("envelope list"))?;
                seen.insert(transcript, codec::decode::<SeenRecord>(bytes)?.0);
            } else if name == HEAL {
                healing = Some(codec::decode::<HealRecord>(bytes)?.0);
            } else if !one_time.load(&name, bytes)? {
                return Err(LoadError::Unknown);
            }
        }
        // The one that was not replaced comes last, whatever clocks said.
        prekeys.sort_by_key(|prekeys| (prekeys.superseded.is_none(), prekeys.public().body().time));
        let identity = identity.ok_or(LoadError::Missing("identity"))?;
        let identity = Identity::from_record(&identity, manifests.chain()?)?;
        if prekeys.is_empty() {
            return Err(LoadError::Missing("prekeys"));
        }
        one_time.check()?;
        Ok(Self { identity, prekeys, one_time, seen, healing })
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

    /// The newest prekeys, to publish.
    pub fn prekeys(&self) -> Option<&Prekeys> {
        self.prekeys.last().map(PrivatePrekeys::public)
    }

    /// Whether the newest prekeys should be replaced: a day old, or from a future that others refuse.
    pub fn prekeys_due(&self, now: Timestamp) -> bool {
        self.prekeys().is_none_or(|prekeys| {
            let time = prekeys.body().time;
            time > now.plus(CLOCK_SKEW) || now.since(time) >= PREKEYS_LIFETIME
        })
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
        let older = self.prekeys.len().saturating_sub(1);
        for gone in self.prekeys.extract_if(..older, |prekeys| expired(prekeys)) {
            let hash = gone.public().hash();
            changes.delete(Scope::Device, name(PREKEYS, hash.as_bytes()));
            for (transcript, _) in self.seen.extract_if(.., |_, prekeys| *prekeys == hash) {
                changes.delete(Scope::Device, name(SEEN, &transcript));
            }
        }
        changes
    }

    /// Makes `count` one-time prekeys, to publish beside the signed ones. Each protects the first contact of one other
    /// device from whoever copies this device later: its private half is erased when that device's envelope is opened.
    ///
    /// At most [`MAX_ONE_TIME_PREKEYS`](crate::limits::MAX_ONE_TIME_PREKEYS) private halves are kept; the oldest beyond
    /// that are erased, so make what is missing and not more.
    pub fn make_one_time_prekeys(
        &mut self,
        count: usize,
        rng: &mut impl CryptoRng,
    ) -> (Vec<OneTimePrekey>, Changes) {
        let mut changes = Changes::default();
        let made = self.one_time.make(count, rng, &mut changes);
        (made, changes)
    }

    /// How many one-time prekeys have not been used. Some of them may have been handed out.
    pub fn one_time_prekeys_left(&self) -> usize {
        self.one_time.len()
    }

    /// Begins to heal this device after its state may have been copied: new prekeys, and every older private half is
    /// erased at once, the one-time ones too, with the list of what they opened (R106). Publish the new ones, then commit a
    /// [`heal`](crate::Group::heal) in each group of the device. Process the logs first: what is on its way to older
    /// prekeys cannot be opened afterwards.
    ///
    /// It helps against a thief who copied this device and stays passive. Who holds the device's own key can heal as
    /// well as its owner: then the device must be replaced.
    pub fn begin_heal(&mut self, now: Timestamp, rng: &mut impl CryptoRng) -> Result<Changes, DeviceError> {
        // Later than every one that a thief may hold, or these would pass for newer ones.
        let newest = self.prekeys.iter().map(|prekeys| prekeys.public().body().time).max();
        let after = |time: Timestamp| Timestamp(time.0.saturating_add(1));
        let time = newest.map_or(now, |newest| now.max(after(newest)));
        if time > now.plus(CLOCK_SKEW) {
            return Err(DeviceError::Clock);
        }
        let mut changes = Changes::default();
        for old in std::mem::take(&mut self.prekeys) {
            changes.delete(Scope::Device, name(PREKEYS, old.public().hash().as_bytes()));
        }
        for transcript in std::mem::take(&mut self.seen).keys() {
            changes.delete(Scope::Device, name(SEEN, transcript));
        }
        self.one_time.erase_all(&mut changes);
        changes.extend(self.replace_prekeys(time, rng));
        self.healing = Some(time);
        changes.put(Scope::Device, HEAL.to_vec(), &HealRecord(time));
        Ok(changes)
    }

    /// Time of the prekeys with which the last heal began, if there was one.
    pub(crate) fn healing(&self) -> Option<Timestamp> {
        self.healing
    }

    /// The account's manifests after the version that a group records, oldest first, as far as they are kept here.
    pub(crate) fn manifests_after(&self, version: ManifestVersion) -> Vec<&Manifest> {
        self.manifests().filter(|manifest| manifest.body().version > version).collect()
    }

    /// Answers a server's challenge; `server` is the authority of the address that was dialled.
    pub fn login(&self, server: &str, nonce: &Nonce) -> Login {
        Login::sign(self.account(), self.signing_key(), server, nonce)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        self.identity.device_key()
    }

    /// Opens an initial envelope; changes nothing.
    pub(crate) fn open_initial(&self, envelope: &InitialEnvelope) -> Result<InitialOpening, OpenError> {
        let named = |prekeys: &&PrivatePrekeys| prekeys.public().hash() == envelope.prekeys;
        let prekeys = self.prekeys.iter().find(named).ok_or(OpenError::Prekeys)?;
        let one_time = envelope.one_time.map(|id| self.one_time.unused(id).ok_or(OpenError::Prekeys));
        let opening = envelope.open((self.account(), self.id()), prekeys, one_time.transpose()?)?;
        match &opening.spent {
            SpentEnvelope::Signed { transcript, .. } if self.seen.contains_key(transcript) => {
                Err(OpenError::Replayed)
            }
            _ => Ok(opening),
        }
    }

    /// Sees to it that an initial envelope that was opened does not open again: erases the private half of its one-time
    /// prekey (R59), or remembers its transcript (R54).
    pub(crate) fn spend(&mut self, spent: SpentEnvelope, changes: &mut Changes) {
        match spent {
            SpentEnvelope::OneTime(id) => self.one_time.erase(id, changes),
            SpentEnvelope::Signed { transcript, prekeys } => {
                self.seen.insert(transcript, prekeys);
                changes.put(Scope::Device, name(SEEN, &transcript), &SeenRecord(prekeys));
            }
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(transparent)]
struct SeenRecord(#[n(0)] PrekeysHash);

#[derive(Encode, Decode)]
#[cbor(transparent)]
struct HealRecord(#[n(0)] Timestamp);

impl Structure for HealRecord {
    const NAME: &'static str = "heal record";
    const MAX_BYTES: usize = 16;
}

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
