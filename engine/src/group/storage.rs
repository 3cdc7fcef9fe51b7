//! A group's records: what is written when, and how it is read back.
//!
//! | name | content | rewritten by |
//! |---|---|---|
//! | `cursor` | cursor, last distribution | every entry |
//! | `head` | epoch, head commit and what it confirms, init secret, staged commit | commits |
//! | `leaf/` index | one roster leaf | commits that change it |
//! | `own/key`, `own/staged` | certificate and signing key of our sender keys | distributions of ours, commits |
//! | `own/state` | our chain, links, unconfirmed messages | every message of ours |
//! | `own/past` | tags of what we made in this epoch and is done with | what the log shows of ours, commits |
//! | `repair/asked`, `repair/answered` | when what was asked and answered | repair requests, answers |
//! | `receipt/` epoch | the server's receipt for a commit | receipts |
//!
//! Those of other devices' sender keys are in [`super::sender_storage`], of members that are not verified yet in
//! [`super::unverified`], of pairwise chains in [`crate::pairwise`].

use super::epoch::SeedAndChain;
use super::message_id::MessageId;
use super::receipts::{KeptReceipt, Receipts};
use super::records::{
    CursorRecord, HeadRecord, OwnKeyRecord, OwnPastRecord, OwnStagedRecord, OwnStateRecord, SecretsRecord,
    StagedRecord, UnconfirmedRecord,
};
use super::repair::{Answered, Asked};
use super::sender_key::{OwnKey, OwnSender, Unconfirmed};
use super::sender_storage::SenderParts;
use super::state::{Group, Me, Staged};
use super::unverified;
use crate::pairwise::PeerParts;
use crate::record::{Changes, LoadError, Records, Scope};
use crate::secret::Secret;
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::codec;
use conclave_wire::endorsement::Endorsement;
use conclave_wire::ids::{DeviceId, Epoch, GroupId, LeafIndex, Opaque};
use conclave_wire::message::Link;
use conclave_wire::public_group::{Outcome, PublicGroup};
use conclave_wire::roster::{Leaf, Roster};
use conclave_wire::signature::SigningKey;
use minicbor::bytes::ByteArray;

const CURSOR: &[u8] = b"cursor";
const HEAD: &[u8] = b"head";
const LEAF: &[u8] = b"leaf/";
const OWN_KEY: &[u8] = b"own/key";
const OWN_STAGED: &[u8] = b"own/staged";
const OWN_STATE: &[u8] = b"own/state";
const OWN_PAST: &[u8] = b"own/past";
const ASKED: &[u8] = b"repair/asked";
const ANSWERED: &[u8] = b"repair/answered";
const RECEIPT: &[u8] = b"receipt/";

impl Group {
    pub(super) fn scope(&self) -> Scope {
        Scope::Group(self.id())
    }

    pub(super) fn put_all(&mut self, changes: &mut Changes) {
        for index in (0..).map(LeafIndex).take(self.roster().leaf_count()) {
            self.put_leaf(index, self.roster().leaf(index), changes);
        }
        self.put_endorsements(changes);
        self.put_cursor(changes);
        self.put_head(changes);
        self.put_own_keys(changes);
        self.put_own_state(changes);
        self.put_own_past(changes);
        let senders: Vec<DeviceId> = self.senders.keys().copied().collect();
        for sender in senders {
            self.put_sender_key(&sender, changes);
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
            confirmation: self.confirmation,
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
            ids: sent.ids.iter().map(|id| (*id.as_bytes()).into()).collect(),
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

    pub(super) fn put_asked(&self, changes: &mut Changes) {
        changes.put(self.scope(), ASKED.to_vec(), &self.asked);
    }

    pub(super) fn put_answered(&self, changes: &mut Changes) {
        changes.put(self.scope(), ANSWERED.to_vec(), &self.answered);
    }

    pub(super) fn put_receipt(&self, epoch: Epoch, receipt: Option<&KeptReceipt>, changes: &mut Changes) {
        let name = [RECEIPT, &epoch.0.to_be_bytes()].concat();
        match receipt {
            Some(receipt) => changes.put(self.scope(), name, receipt),
            None => changes.delete(self.scope(), name),
        }
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
    endorsements: Vec<(LeafIndex, Endorsement)>,
    own_key: Option<OwnKeyRecord>,
    own_staged: Option<OwnStagedRecord>,
    own_state: Option<OwnStateRecord>,
    own_past: Option<OwnPastRecord>,
    senders: SenderParts,
    peers: PeerParts,
    asked: Asked,
    answered: Answered,
    receipts: Receipts,
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
            ASKED => self.asked = codec::decode(bytes)?,
            ANSWERED => self.answered = codec::decode(bytes)?,
            name => self.take_indexed(name, bytes)?,
        }
        Ok(())
    }

    fn take_indexed(&mut self, name: &[u8], bytes: &[u8]) -> Result<(), LoadError> {
        if let Some(index) = name.strip_prefix(LEAF) {
            let index = index.try_into().map_err(|_| LoadError::Damaged("roster"))?;
            self.leaves.push((LeafIndex(u32::from_be_bytes(index)), codec::decode(bytes)?));
            return Ok(());
        }
        if let Some(epoch) = name.strip_prefix(RECEIPT) {
            let epoch = epoch.try_into().map_err(|_| LoadError::Damaged("receipt"))?;
            self.receipts.load(Epoch(u32::from_be_bytes(epoch)), codec::decode(bytes)?);
            return Ok(());
        }
        let known = self.senders.take(name, bytes)?
            || self.peers.take(name, bytes)?
            || unverified::take(name, bytes, &mut self.endorsements)?;
        if known { Ok(()) } else { Err(LoadError::Unknown) }
    }

    fn assemble(self, id: GroupId) -> Result<Group, LoadError> {
        let head = self.head.ok_or(LoadError::Missing("group head"))?;
        let cursor = self.cursor.ok_or(LoadError::Missing("group cursor"))?;
        let roster = Roster::from_leaves(head.leaves as usize, self.leaves);
        let public = PublicGroup::from_storage(id, head.epoch, head.head, head.head_time, roster);
        let public = public.with_endorsements(self.endorsements);
        let me = Me { account: head.account, device: head.device };
        let mut group = Group::new(public, me, head.init, head.confirmation, cursor.cursor);
        group.last_distribution = cursor.last_distribution;
        group.removed = head.removed;
        group.staged = head.staged.map(|staged| Staged { hash: staged.hash, secret: staged.secret });
        group.pairwise = self.peers.assemble(id)?;
        let state = self.own_state.ok_or(LoadError::Missing("own sender state"))?;
        let past = self.own_past.ok_or(LoadError::Missing("own past"))?;
        group.own = own_sender(state, past, self.own_key, self.own_staged)?;
        (group.senders, group.places) = self.senders.assemble()?;
        (group.asked, group.answered, group.receipts) = (self.asked, self.answered, self.receipts);
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
        ids: sent.ids.into_iter().map(|id| MessageId::from_bytes(*id)).collect(),
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

fn secrets_record(secrets: &SeedAndChain) -> SecretsRecord {
    SecretsRecord { seed: secrets.seed.duplicate(), chain: secrets.chain.duplicate() }
}

pub(super) fn link(link: Option<ByteArray<16>>) -> Option<Link> {
    link.map(|link| *link)
}
