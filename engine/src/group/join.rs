//! Joining: a newcomer checks every commit from the genesis to the one that adds it, and only then opens its welcome.
//!
//! [`Newcomer`] becomes [`Joined`] by moving: there is no way to a group that skips the walk (R70).

use super::epoch::{self, SeedAndChain};
use super::pending::PendingMessages;
use super::receive_distribution::check_certificate;
use super::sender_key::{PeerKey, PeerSender};
use super::state::{Group, Me};
use super::welcome::{Welcome, WelcomeSender};
use crate::device::Device;
use crate::envelope::{EnvelopeContext, OpenError, Purpose};
use crate::pairwise::Pairwise;
use crate::ratchet::Chain;
use crate::record::Changes;
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::codec::{self, DecodeError};
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::entry::Entry;
use conclave_wire::ids::{AccountId, Confirmation, DeviceId, Epoch, GroupId, MessageIndex, Seq, Timestamp};
use conclave_wire::public_group::{CommitError, PublicGroup};
use thiserror::Error;

/// Why a group cannot be joined.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Not of its form.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A commit on the way is not valid.
    #[error("the group's history is not valid: {0}")]
    Commit(#[from] CommitError),
    /// The first commit is not the group's genesis.
    #[error("the history does not begin with this group's genesis; the server shows another group")]
    Genesis,
    /// No commit has been walked, or the entry is not the last one that was.
    #[error("the walk does not end at the commit that the welcome belongs to")]
    NotHead,
    /// The commit does not add this device.
    #[error("the commit does not add this device")]
    NotAdded,
    /// The welcome does not open.
    #[error("the welcome cannot be opened: {0}; ask to be removed and added again")]
    Welcome(#[from] OpenError),
    /// The welcome's secret is not the one that the commit confirms.
    #[error("the welcome is not the one that the commit confirms; ask to be removed and added again")]
    Confirmation,
}

/// A device on its way into a group.
pub struct Newcomer {
    id: GroupId,
    walked: Option<Walked>,
}

struct Walked {
    public: PublicGroup,
    /// Who made the last commit.
    author: (AccountId, DeviceId),
    /// What it confirms.
    confirmation: Confirmation,
    /// The last distribution before it: the server accepted it only on top of that one.
    last_distribution: Seq,
    added: Vec<DeviceId>,
}

/// A group that was joined.
pub struct Joined {
    /// The group, its cursor at the commit that added this device.
    pub group: Group,
    /// The note of whoever added it.
    pub note: Vec<u8>,
    /// Who added it.
    pub by: AccountId,
    /// To store, in one transaction with deleting every earlier record of the group's scope: a device that was in the
    /// group before must not keep what it had then.
    pub changes: Changes,
}

impl Newcomer {
    /// Begins the walk.
    pub fn new(id: GroupId) -> Self {
        Self { id, walked: None }
    }

    /// Checks the next commit, the genesis first. On an error the walk stands where it stood.
    pub fn commit(&mut self, encoded: &[u8]) -> Result<(), JoinError> {
        let commit = UnverifiedCommit::decode(encoded)?;
        match &mut self.walked {
            None => {
                if GroupId::from(commit.hash()) != self.id {
                    return Err(JoinError::Genesis);
                }
                let (public, step) = PublicGroup::from_genesis(commit)?;
                let (_, leaf) =
                    public.roster().device(&step.commit().body().author).ok_or(JoinError::Genesis)?;
                let author = (leaf.account, leaf.device.id());
                let confirmation = *step.commit().confirmation();
                let (last_distribution, added) = (Seq(0), Vec::new());
                self.walked = Some(Walked { public, author, confirmation, last_distribution, added });
            }
            Some(walked) => {
                let step = walked.public.check(commit)?;
                let author = walked.public.roster().device(&step.commit().body().author);
                let (_, leaf) = author.ok_or(CommitError::Author)?;
                walked.author = (leaf.account, leaf.device.id());
                walked.confirmation = *step.commit().confirmation();
                walked.last_distribution = step.commit().body().last_distribution;
                walked.added = step.outcome().added().iter().map(|(_, leaf)| leaf.device.id()).collect();
                walked.public.advance(step);
            }
        }
        Ok(())
    }

    /// How many commits were walked.
    pub fn next_epoch(&self) -> Epoch {
        self.walked.as_ref().map_or(Epoch(0), |walked| walked.public.epoch().next().unwrap_or_default())
    }

    /// Opens the welcome that hangs on `entry`, the log entry of the last commit walked.
    pub fn open(self, device: &mut Device, entry: &Entry, now: Timestamp) -> Result<Joined, JoinError> {
        let walked = self.walked.ok_or(JoinError::NotHead)?;
        let Walked { public, author: (by, author), confirmation, last_distribution, added } = walked;
        if entry.group != self.id || UnverifiedCommit::decode(&entry.body.0)?.hash() != public.head() {
            return Err(JoinError::NotHead);
        }
        if !added.contains(&device.id()) {
            return Err(JoinError::NotAdded);
        }
        let context =
            EnvelopeContext { purpose: Purpose::Welcome, group: public.id(), epoch: public.epoch() };
        let delivery = entry.delivery.as_ref().map(|delivery| delivery.0.as_slice());
        let mut pairwise = Pairwise::new(public.id());
        let (payload, opened) = pairwise.open_payload(device, delivery, &author, context)?;
        let welcome: Welcome = codec::decode(&payload)?;
        if welcome.head != public.head() {
            return Err(JoinError::NotHead);
        }
        if epoch::confirmation(&welcome.init) != confirmation {
            return Err(JoinError::Confirmation);
        }

        let mut group = Group::new(public, Me::of(device), Some(welcome.init), confirmation, entry.seq);
        group.last_distribution = last_distribution;
        for sender in welcome.senders {
            // A key that is not as it must be is left out: its sender's messages will ask for it.
            if let Some((device, sender)) = sender_from(&group.public, sender) {
                group.senders.insert(device, sender);
            }
        }
        let mut changes = Changes::default();
        pairwise.accept(device, opened, now, &mut changes);
        group.pairwise = pairwise;
        group.put_all(&mut changes);
        Ok(Joined { group, note: welcome.note.0, by, changes })
    }
}

fn sender_from(group: &PublicGroup, sender: WelcomeSender) -> Option<(DeviceId, PeerSender)> {
    let certificate = UnverifiedCertificate::decode(&sender.certificate.0).ok()?;
    let device = certificate.claimed().device;
    let (_, leaf) = group.roster().device(&device)?;
    let certificate = certificate.verify(leaf.device.as_bytes()).ok()?;
    check_certificate(group, leaf, certificate.body()).ok()?;
    let generation = certificate.body().generation;
    if sender.index != MessageIndex(0) {
        return None;
    }
    let secrets = SeedAndChain { seed: sender.seed, chain: Chain::new(sender.chain, sender.index) };
    let key = PeerKey::new(certificate, secrets).ok()?;
    let (since, key, pending) = (leaf.since, Some(key), PendingMessages::default());
    Some((device, PeerSender { since, generation, key, link: None, pending }))
}
