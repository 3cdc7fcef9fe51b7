//! The facade: one group as this device knows it.

use super::event::GroupState;
use super::receipts::Receipts;
use super::repair::{Answered, Asked};
use super::sender_key::{OwnSender, PeerSender};
use super::sender_storage::SenderPlaces;
use crate::device::Device;
use crate::limits::{MAX_MESSAGES_PER_SENDER_KEY, MAX_SENDER_KEY_AGE};
use crate::pairwise::{Pairwise, Upload};
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::ids::{
    AccountId, CommitHash, Confirmation, DeviceId, Epoch, GroupId, LeafIndex, Seq, Timestamp,
};
use conclave_wire::limits::MAX_FRAME;
use conclave_wire::public_group::PublicGroup;
use conclave_wire::roster::{Role, Roster};
use std::collections::BTreeMap;

/// A group.
///
/// Feed it every entry of the group's log in order, with [`receive`](Self::receive); everything else only stages what
/// the log will confirm. Each call that changes state returns [`Changes`], to be stored before anything is sent.
pub struct Group {
    pub(super) public: PublicGroup,
    pub(super) me: Me,
    /// The last entry processed.
    pub(super) cursor: Seq,
    /// The last distribution processed, which our commits must name.
    pub(super) last_distribution: Seq,
    /// `init` of the current epoch; `None` if it could not be had.
    pub(super) init: Option<Secret<32>>,
    /// What the head commit confirms, whether or not `init` could be had: whoever hands us an `init` later must match it.
    pub(super) confirmation: Confirmation,
    pub(super) removed: bool,
    /// Our commit whose fate is unknown.
    pub(super) staged: Option<Staged>,
    pub(super) own: OwnSender,
    pub(super) senders: BTreeMap<DeviceId, PeerSender>,
    /// Where the senders' records are.
    pub(super) places: SenderPlaces,
    /// Chains to and from each other device.
    pub(super) pairwise: Pairwise,
    /// What we asked for.
    pub(super) asked: Asked,
    /// What we answered.
    pub(super) answered: Answered,
    /// The server's word on recent commits.
    pub(super) receipts: Receipts,
    /// The largest upload that can be carried to the server. Not stored: it belongs to the transport.
    pub(super) max_upload: usize,
}

/// This device, as the group knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Me {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
}

impl Me {
    pub(crate) fn of(device: &Device) -> Self {
        Self { account: device.account(), device: device.id() }
    }
}

/// A commit that we uploaded, or are about to.
pub(crate) struct Staged {
    pub(crate) hash: CommitHash,
    pub(crate) secret: Option<Secret<32>>,
}

impl Group {
    pub(super) fn new(
        public: PublicGroup,
        me: Me,
        init: Option<Secret<32>>,
        confirmation: Confirmation,
        cursor: Seq,
    ) -> Self {
        Self {
            pairwise: Pairwise::new(public.id()),
            public,
            me,
            cursor,
            last_distribution: Seq(0),
            init,
            confirmation,
            removed: false,
            staged: None,
            own: OwnSender::default(),
            senders: BTreeMap::new(),
            places: SenderPlaces::default(),
            asked: Asked::default(),
            answered: Answered::default(),
            receipts: Receipts::default(),
            max_upload: MAX_FRAME,
        }
    }

    /// The group's id.
    pub fn id(&self) -> GroupId {
        self.public.id()
    }

    /// The current epoch.
    pub fn epoch(&self) -> Epoch {
        self.public.epoch()
    }

    /// The last entry of the log that was processed.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Who is in the group.
    pub fn roster(&self) -> &Roster {
        self.public.roster()
    }

    /// This device's role; `None` once it was removed.
    pub fn own_role(&self) -> Option<Role> {
        self.roster().role(&self.me.account)
    }

    /// How this device stands.
    pub fn state(&self) -> GroupState {
        match (self.removed, &self.init) {
            (true, _) => GroupState::Removed,
            (false, None) => GroupState::NeedWelcome,
            (false, Some(_)) => GroupState::Active,
        }
    }

    /// Whether a commit of ours waits for the log to show its fate.
    pub fn staged(&self) -> bool {
        self.staged.is_some()
    }

    /// Whether this device needs a new sender key before it may seal: it has none, because it has just joined, was healed
    /// or the group was reset, or an old one.
    pub fn sender_key_due(&self, now: Timestamp) -> bool {
        self.own.active.as_ref().is_none_or(|key| {
            key.sealed >= MAX_MESSAGES_PER_SENDER_KEY || now.since(key.made()) >= MAX_SENDER_KEY_AGE
        })
    }

    /// Other devices of the group to which there is no pairwise chain: have their prekeys in the book before
    /// [`distribute`](Self::distribute) and before a [`commit`](Self::commit) with a secret. A heal or reset needs those
    /// of *all* other devices.
    pub fn unknown_peers(&self, now: Timestamp) -> Vec<DeviceId> {
        let others =
            self.roster().devices().map(|(_, leaf)| leaf.device.id()).filter(|id| *id != self.me.device);
        others.filter(|id| !self.pairwise.can_continue(id, now)).collect()
    }

    /// Lets a commit or a distribution be as large as this, counted generously, deliveries and welcomes included; without
    /// it, as one frame of 1 MiB. For a transport that carries deliveries in several parts, or is not Conclave's. To be said
    /// again when the group was loaded. What everybody downloads, the commit itself, never exceeds a frame.
    pub fn allow_uploads_of(&mut self, bytes: usize) {
        self.max_upload = bytes;
    }

    /// Forgets our staged commit, when the server has refused it. Should a dishonest server put it in the log all the
    /// same, its secret is gone, and this device needs a welcome.
    pub fn abandon_staged_commit(&mut self) -> Changes {
        self.staged = None;
        let mut changes = Changes::default();
        self.pairwise.discard(Upload::Commit, &mut changes);
        self.put_head(&mut changes);
        changes
    }

    pub(super) fn own_leaf(&self) -> Option<LeafIndex> {
        self.roster().index_of(&self.me.device)
    }
}
