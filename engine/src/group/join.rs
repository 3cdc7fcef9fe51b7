//! Joining: a newcomer checks every commit from the genesis to the one that adds it, and only then opens its welcome.
//!
//! [`Newcomer`] becomes [`Joined`] by moving: there is no way to a group that skips the walk (R70).

use super::epoch::{self, SeedAndChain};
use super::receive_distribution::check_certificate;
use super::sender_key::{PeerKey, PeerSender};
use super::state::{Group, Me};
use super::unverified::ForgedMember;
use super::welcome::{Welcome, WelcomeSender};
use crate::device::Device;
use crate::envelope::{EnvelopeContext, OpenError, Purpose};
use crate::pairwise::Pairwise;
use crate::ratchet::Chain;
use crate::record::Changes;
use conclave_wire::certificate::UnverifiedCertificate;
use conclave_wire::codec::{self, DecodeError};
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::distribution::UnverifiedDistribution;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{
    AccountId, Confirmation, DeviceId, Epoch, Generation, GroupId, MessageIndex, Seq, Timestamp,
};
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
    /// An entry of another group, or not the one after the last that was passed.
    #[error("the log's entries do not come in order; fetch them from the last one that was passed")]
    Order,
    /// This device is not in the group's roster.
    #[error("this device is not in the group; ask to be added")]
    NotMember,
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
    past: Past,
}

struct Walked {
    public: PublicGroup,
    /// Who made the last commit.
    author: (AccountId, DeviceId),
    /// What it confirms.
    confirmation: Confirmation,
    /// The last distribution that was passed, or that the last commit names.
    last_distribution: Seq,
    added: Vec<DeviceId>,
}

/// What the log shows of the newcomer's own past in the group.
#[derive(Default)]
struct Past {
    /// The last entry that was passed.
    passed: Option<Seq>,
    /// Above every generation that this device distributed.
    next_generation: Generation,
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

impl Joined {
    /// As [`Group::verify_members`], what is to be stored with the rest included.
    pub fn verify_members(&mut self) -> Vec<ForgedMember> {
        let (forged, verified) = self.group.verify_members();
        self.changes.extend(verified);
        forged
    }
}

impl Newcomer {
    /// Begins the walk.
    pub fn new(id: GroupId) -> Self {
        Self { id, walked: None, past: Past::default() }
    }

    /// Checks the next commit, the genesis first. On an error the walk stands where it stood.
    ///
    /// The manifests of those who were added are verified when they are first needed, except those of devices that made a
    /// commit (R73).
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
                let step = walked.public.check_past(commit)?;
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

    /// Passes an entry of the log, for a device that will join [without a welcome](Self::without_welcome): commits are
    /// checked as by [`commit`](Self::commit), of the rest it is noted what this device distributed itself before its
    /// state was lost (R95). Begin with the commit that added this device last, or with the genesis, and leave nothing out;
    /// what is not passed is not counted.
    pub fn pass(&mut self, device: &Device, entry: &Entry) -> Result<(), JoinError> {
        let follows = self.past.passed.is_none_or(|passed| entry.follows(passed));
        let begins = self.past.passed.is_some() || entry.kind == EntryKind::Commit;
        if entry.group != self.id || !follows || !begins {
            return Err(JoinError::Order);
        }
        match entry.kind {
            EntryKind::Commit => {
                self.commit(&entry.body.0)?;
                let added = self.walked.as_ref().is_some_and(|walked| walked.added.contains(&device.id()));
                if added {
                    // Another stay is another sender, which begins at 0 (R20).
                    self.past.next_generation = Generation(0);
                }
            }
            EntryKind::Distribution => {
                if let Some(walked) = &mut self.walked {
                    walked.last_distribution = entry.seq;
                }
                let own = own_generation(device, &self.id, &entry.body.0);
                let next = own.map(|own| own.next().unwrap_or(own));
                self.past.next_generation = self.past.next_generation.max(next.unwrap_or_default());
            }
            EntryKind::Message | EntryKind::Trimmed => {}
        }
        self.past.passed = Some(entry.seq);
        Ok(())
    }

    /// Enters a group without a welcome, for a device whose state was lost, or that could not be reached when it was
    /// added: it knows the roster, is in state [`NeedWelcome`](super::GroupState::NeedWelcome), and its cursor is at the
    /// last entry [passed](Self::pass) (R94). [`Group::receive`] goes on from there.
    ///
    /// The changes are to be stored in one transaction with deleting every earlier record of the group's scope.
    pub fn without_welcome(self, device: &Device) -> Result<(Group, Changes), JoinError> {
        let (Some(walked), Some(passed)) = (self.walked, self.past.passed) else {
            return Err(JoinError::NotHead);
        };
        if walked.public.roster().device(&device.id()).is_none() {
            return Err(JoinError::NotMember);
        }
        let mut group = Group::new(walked.public, Me::of(device), None, walked.confirmation, passed);
        group.last_distribution = walked.last_distribution;
        group.own.next_generation = self.past.next_generation;
        let mut changes = Changes::default();
        group.put_all(&mut changes);
        Ok((group, changes))
    }

    /// How many commits were walked.
    pub fn next_epoch(&self) -> Epoch {
        self.walked.as_ref().map_or(Epoch(0), |walked| walked.public.epoch().next().unwrap_or_default())
    }

    /// Opens the welcome that hangs on `entry`, the log entry of the last commit walked.
    pub fn open(self, device: &mut Device, entry: &Entry, now: Timestamp) -> Result<Joined, JoinError> {
        if self.past.passed.is_some_and(|passed| passed != entry.seq) {
            return Err(JoinError::NotHead);
        }
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

/// The generation that a distribution begins, if this device signed it for this group. What others say in its name does
/// not count: they could use up all generations.
fn own_generation(device: &Device, group: &GroupId, distribution: &[u8]) -> Option<Generation> {
    let distribution = UnverifiedDistribution::decode(distribution).ok()?;
    let distribution = distribution.verify(device.key().as_bytes()).ok()?;
    let certificate = UnverifiedCertificate::decode(&distribution.body().certificate.0).ok()?;
    let certificate = certificate.verify(device.key().as_bytes()).ok()?;
    let body = certificate.body();
    (body.group == *group && body.device == device.id()).then_some(body.generation)
}

/// A sender key out of a welcome that goes with a commit, as the epoch's mixing leaves it.
fn sender_from(group: &PublicGroup, sender: WelcomeSender) -> Option<(DeviceId, PeerSender)> {
    if sender.index != MessageIndex(0) {
        return None;
    }
    let (device, since, key) = key_from_welcome(group, sender)?;
    Some((device, PeerSender::from_member(since, key)))
}

/// Whose sender key it is that somebody hands over, with the device's `since`, if its certificate verifies and is not
/// void (R70).
pub(super) fn key_from_welcome(
    group: &PublicGroup,
    sender: WelcomeSender,
) -> Option<(DeviceId, Epoch, PeerKey)> {
    let certificate = UnverifiedCertificate::decode(&sender.certificate.0).ok()?;
    let device = certificate.claimed().device;
    let (_, leaf) = group.roster().device(&device)?;
    let certificate = certificate.verify(leaf.device.as_bytes()).ok()?;
    check_certificate(group, leaf, certificate.body()).ok()?;
    let secrets = SeedAndChain { seed: sender.seed, chain: Chain::new(sender.chain, sender.index) };
    Some((device, leaf.since, PeerKey::new(certificate, secrets).ok()?))
}
