//! A group's records: what is written when, and how it is read back.
//!
//! | name | content | rewritten by |
//! |---|---|---|
//! | `cursor` | cursor, last distribution | every entry |
//! | `head` | epoch, head commit, init secret, staged commit | commits |
//! | `leaf/` index | one roster leaf | commits that change it |
//! | `own/key`, `own/staged` | certificate and signing key of our sender keys | distributions of ours, commits |
//! | `own/state` | our chain, links, unconfirmed messages | every message of ours |
//! | `own/past` | tags of what we made in this epoch and is done with | what the log shows of ours, commits |
//! | `sender/` device | certificate of another's sender key | its distributions |
//! | `peer/` device | pairwise chains to and from it | deliveries |
//! | `chain/` device | seed, chain, skipped keys, link, pending messages | its messages, commits |

use super::epoch::SeedAndChain;
use super::message_id::MessageId;
use super::pending::Pending;
use super::records::{
    ChainRecord, ChainRecordRef, CursorRecord, HeadRecord, OwnKeyRecord, OwnPastRecord, OwnStagedRecord,
    OwnStateRecord, SecretsRecord, SenderRecord, StagedRecord, UnconfirmedRecord,
};
use super::sender_key::{OwnKey, OwnSender, PeerKey, PeerSender, Unconfirmed};
use super::state::{Group, Me, Staged};
use crate::pairwise::{PEER, Peer};
use crate::record::{Changes, LoadError, Records, Scope};
use crate::secret::Secret;
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::codec;
use conclave_wire::ids::{DeviceId, GroupId, LeafIndex, Opaque};
use conclave_wire::message::Link;
use conclave_wire::public_group::{Outcome, PublicGroup};
use conclave_wire::roster::{Leaf, Roster};
use ed25519_dalek::SigningKey;
use minicbor::bytes::ByteArray;
use std::collections::BTreeMap;

const CURSOR: &[u8] = b"cursor";
const HEAD: &[u8] = b"head";
const LEAF: &[u8] = b"leaf/";
const OWN_KEY: &[u8] = b"own/key";
const OWN_STAGED: &[u8] = b"own/staged";
const OWN_STATE: &[u8] = b"own/state";
const OWN_PAST: &[u8] = b"own/past";
const SENDER: &[u8] = b"sender/";
const CHAIN: &[u8] = b"chain/";

impl Group {
    fn scope(&self) -> Scope {
        Scope::Group(self.id())
    }

    pub(super) fn put_all(&self, changes: &mut Changes) {
        for index in (0..).map(LeafIndex).take(self.roster().leaf_count()) {
            self.put_leaf(index, self.roster().leaf(index), changes);
        }
        self.put_cursor(changes);
        self.put_head(changes);
        self.put_own_keys(changes);
        self.put_own_state(changes);
        self.put_own_past(changes);
        for sender in self.senders.keys() {
            self.put_sender_key(sender, changes);
        }
        self.put_sender_chains(changes);
        self.pairwise.put_all(changes);
    }

    pub(super) fn put_cursor(&self, changes: &mut Changes) {
        let record = CursorRecord { cursor: self.cursor, last_distribution: self.last_distribution };
        changes.put(self.scope(), CURSOR.to_vec(), &record);
    }

    pub(super) fn put_head(&self, changes: &mut Changes) {
        let record = HeadRecord {
            account: self.me.account,
            device: self.me.device,
            epoch: self.epoch(),
            head: self.public.head(),
            head_time: self.public.head_time(),
            leaves: u32::try_from(self.roster().leaf_count()).unwrap_or(u32::MAX),
            init: self.init.as_ref().map(Secret::duplicate),
            staged: self.staged.as_ref().map(|staged| StagedRecord {
                secret: staged.secret.as_ref().map(Secret::duplicate),
                hash: staged.hash,
            }),
            removed: self.removed,
        };
        changes.put(self.scope(), HEAD.to_vec(), &record);
    }

    /// Writes the leaves that a commit changes, before the roster advances.
    pub(super) fn put_leaves(&self, outcome: &Outcome, changes: &mut Changes) {
        for (index, leaf) in outcome.leaf_changes() {
            self.put_leaf(*index, leaf.as_ref(), changes);
        }
    }

    fn put_leaf(&self, index: LeafIndex, leaf: Option<&Leaf>, changes: &mut Changes) {
        let name = [LEAF, &index.0.to_be_bytes()].concat();
        match leaf {
            Some(leaf) => changes.put(self.scope(), name, leaf),
            None => changes.delete(self.scope(), name),
        }
    }

    pub(super) fn put_own_keys(&self, changes: &mut Changes) {
        let record = |key: &OwnKey| OwnKeyRecord {
            certificate: Opaque(key.certificate.encode()),
            signing: Secret::from_bytes(key.signing.to_bytes()),
        };
        match &self.own.active {
            Some(key) => changes.put(self.scope(), OWN_KEY.to_vec(), &record(key)),
            None => changes.delete(self.scope(), OWN_KEY.to_vec()),
        }
        match &self.own.staged {
            Some((key, digest)) => {
                let secrets = secrets_record(&key.secrets);
                let staged = OwnStagedRecord { key: record(key), secrets, digest: *digest };
                changes.put(self.scope(), OWN_STAGED.to_vec(), &staged);
            }
            None => changes.delete(self.scope(), OWN_STAGED.to_vec()),
        }
    }

    pub(super) fn put_own_state(&self, changes: &mut Changes) {
        let own = &self.own;
        let unconfirmed = own.unconfirmed.iter().map(|sent| UnconfirmedRecord {
            tag: sent.tag.into(),
            id: (*sent.id.as_bytes()).into(),
            link: sent.link.into(),
        });
        let record = OwnStateRecord {
            secrets: own.active.as_ref().map(|key| secrets_record(&key.secrets)),
            link: own.link.map(ByteArray::from),
            confirmed_link: own.confirmed_link.map(ByteArray::from),
            sealed: own.active.as_ref().map_or(0, |key| key.sealed),
            next_generation: own.next_generation,
            unconfirmed: unconfirmed.collect(),
        };
        changes.put(self.scope(), OWN_STATE.to_vec(), &record);
    }

    /// After the tags of what is done with have changed.
    pub(super) fn put_own_past(&self, changes: &mut Changes) {
        let record = OwnPastRecord { tags: self.own.past.iter().map(|tag| ByteArray::from(*tag)).collect() };
        changes.put(self.scope(), OWN_PAST.to_vec(), &record);
    }

    pub(super) fn put_sender_key(&self, device: &DeviceId, changes: &mut Changes) {
        let Some(sender) = self.senders.get(device) else { return };
        let certificate = sender.key.as_ref().map(|key| Opaque(key.certificate.encode()));
        let record = SenderRecord { since: sender.since, certificate, generation: sender.generation };
        changes.put(self.scope(), [SENDER, device.as_bytes()].concat(), &record);
    }

    pub(super) fn put_sender_chain(&self, device: &DeviceId, changes: &mut Changes) {
        if let Some(sender) = self.senders.get(device) {
            put_chain(self.scope(), device, sender, changes);
        }
    }

    pub(super) fn put_sender_chains(&self, changes: &mut Changes) {
        for (device, sender) in &self.senders {
            put_chain(self.scope(), device, sender, changes);
        }
    }

    pub(super) fn delete_sender(&self, device: &DeviceId, changes: &mut Changes) {
        changes.delete(self.scope(), [SENDER, device.as_bytes()].concat());
        changes.delete(self.scope(), [CHAIN, device.as_bytes()].concat());
    }

    /// Loads a group from all records of its [`Scope::Group`].
    pub fn load(id: GroupId, records: Records) -> Result<Self, LoadError> {
        let mut parts = Parts::default();
        for (name, value) in records {
            parts.take(&name, value.as_bytes())?;
        }
        parts.assemble(id)
    }
}

/// Records of a group on their way to becoming one.
#[derive(Default)]
struct Parts {
    cursor: Option<CursorRecord>,
    head: Option<HeadRecord>,
    leaves: Vec<(LeafIndex, Leaf)>,
    own_key: Option<OwnKeyRecord>,
    own_staged: Option<OwnStagedRecord>,
    own_state: Option<OwnStateRecord>,
    own_past: Option<OwnPastRecord>,
    senders: BTreeMap<DeviceId, SenderRecord>,
    chains: BTreeMap<DeviceId, ChainRecord>,
    peers: Vec<(DeviceId, Peer)>,
}

impl Parts {
    fn take(&mut self, name: &[u8], bytes: &[u8]) -> Result<(), LoadError> {
        match name {
            CURSOR => self.cursor = Some(codec::decode(bytes)?),
            HEAD => self.head = Some(codec::decode(bytes)?),
            OWN_KEY => self.own_key = Some(codec::decode(bytes)?),
            OWN_STAGED => self.own_staged = Some(codec::decode(bytes)?),
            OWN_STATE => self.own_state = Some(codec::decode(bytes)?),
            OWN_PAST => self.own_past = Some(codec::decode(bytes)?),
            name => self.take_indexed(name, bytes)?,
        }
        Ok(())
    }

    fn take_indexed(&mut self, name: &[u8], bytes: &[u8]) -> Result<(), LoadError> {
        let device = |rest: &[u8]| {
            rest.try_into().map(DeviceId::from_bytes).map_err(|_| LoadError::Damaged("sender key"))
        };
        if let Some(index) = name.strip_prefix(LEAF) {
            let index = index.try_into().map_err(|_| LoadError::Damaged("roster"))?;
            self.leaves.push((LeafIndex(u32::from_be_bytes(index)), codec::decode(bytes)?));
        } else if let Some(rest) = name.strip_prefix(SENDER) {
            self.senders.insert(device(rest)?, codec::decode(bytes)?);
        } else if let Some(rest) = name.strip_prefix(CHAIN) {
            self.chains.insert(device(rest)?, codec::decode(bytes)?);
        } else if let Some(rest) = name.strip_prefix(PEER) {
            self.peers.push((device(rest)?, codec::decode(bytes)?));
        } else {
            return Err(LoadError::Unknown);
        }
        Ok(())
    }

    fn assemble(mut self, id: GroupId) -> Result<Group, LoadError> {
        let head = self.head.ok_or(LoadError::Missing("group head"))?;
        let cursor = self.cursor.ok_or(LoadError::Missing("group cursor"))?;
        let roster = Roster::from_leaves(head.leaves as usize, self.leaves);
        let public = PublicGroup::from_storage(id, head.epoch, head.head, head.head_time, roster);
        let me = Me { account: head.account, device: head.device };
        let mut group = Group::new(public, me, head.init, cursor.cursor);
        group.last_distribution = cursor.last_distribution;
        group.removed = head.removed;
        group.staged = head.staged.map(|staged| Staged { hash: staged.hash, secret: staged.secret });
        for (device, peer) in self.peers {
            group.pairwise.load(device, peer);
        }
        let state = self.own_state.ok_or(LoadError::Missing("own sender state"))?;
        let past = self.own_past.ok_or(LoadError::Missing("own past"))?;
        group.own = own_sender(state, past, self.own_key, self.own_staged)?;
        for (device, sender) in self.senders {
            let chain = self.chains.remove(&device).ok_or(LoadError::Missing("sender chain"))?;
            group.senders.insert(device, peer_sender(sender, chain)?);
        }
        Ok(group)
    }
}

fn own_sender(
    state: OwnStateRecord,
    past: OwnPastRecord,
    key: Option<OwnKeyRecord>,
    staged: Option<OwnStagedRecord>,
) -> Result<OwnSender, LoadError> {
    let active = match (key, state.secrets) {
        (Some(key), Some(secrets)) => Some(own_key(&key, secrets, state.sealed)?),
        (None, None) => None,
        _ => return Err(LoadError::Damaged("own sender key")),
    };
    let staged = match staged {
        Some(staged) => Some((own_key(&staged.key, staged.secrets, 0)?, staged.digest)),
        None => None,
    };
    let unconfirmed = state.unconfirmed.into_iter().map(|sent| Unconfirmed {
        tag: *sent.tag,
        id: MessageId::from_bytes(*sent.id),
        link: *sent.link,
    });
    Ok(OwnSender {
        active,
        staged,
        next_generation: state.next_generation,
        link: link(state.link),
        confirmed_link: link(state.confirmed_link),
        unconfirmed: unconfirmed.collect(),
        past: past.tags.into_iter().map(|tag| *tag).collect(),
    })
}

fn own_key(record: &OwnKeyRecord, secrets: SecretsRecord, sealed: u32) -> Result<OwnKey, LoadError> {
    let certificate = UnverifiedCertificate::decode(&record.certificate.0)?.trust_own_storage();
    let signing = SigningKey::from_bytes(record.signing.as_bytes());
    let secrets = SeedAndChain { seed: secrets.seed, chain: secrets.chain };
    Ok(OwnKey { certificate, signing, secrets, sealed })
}

fn peer_sender(sender: SenderRecord, chain: ChainRecord) -> Result<PeerSender, LoadError> {
    let damaged = LoadError::Damaged("sender key");
    let key = match (sender.certificate, chain.seed, chain.chain) {
        (Some(certificate), Some(seed), Some(receiving)) => {
            let certificate = UnverifiedCertificate::decode(&certificate.0)?.trust_own_storage();
            let secrets = SeedAndChain { seed, chain: receiving.chain().duplicate() };
            let key = PeerKey::new(certificate, secrets).map_err(|_| damaged)?;
            Some(PeerKey { chain: receiving, ..key })
        }
        (_, None, None) => None,
        _ => return Err(damaged),
    };
    let pending = chain.pending.into_iter().map(|record| Pending {
        seq: record.seq,
        index: record.index,
        link: *record.link,
        own_link: *record.own_link,
        id: MessageId::from_bytes(*record.id),
        content: record.content.0,
    });
    let (since, generation) = (sender.since, sender.generation);
    Ok(PeerSender { since, generation, key, link: link(chain.link), pending: pending.collect() })
}

fn put_chain(scope: Scope, device: &DeviceId, sender: &PeerSender, changes: &mut Changes) {
    // Encoded from references, so that a chain is not copied for each message that is read.
    let record = ChainRecordRef(sender);
    changes.put_encoded(scope, [CHAIN, device.as_bytes()].concat(), &record);
}

fn secrets_record(secrets: &SeedAndChain) -> SecretsRecord {
    SecretsRecord { seed: secrets.seed.duplicate(), chain: secrets.chain.duplicate() }
}

fn link(link: Option<ByteArray<16>>) -> Option<Link> {
    link.map(|link| *link)
}
