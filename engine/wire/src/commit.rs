//! Commits: signed changes of a group's roster and of its epoch.
//!
//! ```text
//!     body    version ‖ CBOR [ group: bstr 32, epoch: uint, previous: bstr 32, last distribution: uint,
//!                              author: bstr 32, commitment: null / bstr 32, operations: [* operation],
//!                              roster: bstr 32, unreachable: [* device: bstr 32], time: uint ms ]
//!     commit  version ‖ CBOR [ body: bstr, confirmation: bstr 32, signature: bstr 64 ]
//!
//!     body hash   = H("commit body", body)                       bound by the epoch secret
//!     commit hash = H("commit", body hash ‖ confirmation)        what the author signs, what the next commit names
//!
//!     operation   [0, [role, manifest: bstr]]  add account      [1, [account]]        remove account
//!                 [2, [account, role]]         set role         [3, [[1*64 bstr]]]    update devices
//!                 [4, [prekeys, time]]         heal             [5, []]               reset
//!                 [6, [request: bstr]]         leave
//! ```
//!
//! In the genesis (epoch 0) `group` is a random nonce and `previous` is zeros; the group's id is the genesis' commit
//! hash (R30).

use crate::codec::{self, DecodeError, Structure};
use crate::hash;
use crate::ids::{
    AccountId, CommitHash, Commitment, Confirmation, DeviceId, DeviceKey, Epoch, GroupId, Opaque,
    PrekeysHash, RosterHash, Seq, Timestamp,
};
use crate::limits::MAX_FRAME;
use crate::roster::Role;
use crate::signature::{self, Label, Signature, SignatureError, SigningKey};
use minicbor::{Decode, Encode};

const LABEL: Label = Label("conclave v1 sign commit");

/// One change of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Operation {
    /// Adds an account with all devices of its manifest.
    #[n(0)]
    Add {
        /// The role it gets.
        #[n(0)]
        role: Role,
        /// The account's encoded manifest.
        #[n(1)]
        manifest: Opaque,
    },
    /// Removes an account with all its devices.
    #[n(1)]
    Remove {
        /// Which.
        #[n(0)]
        account: AccountId,
    },
    /// Changes an account's role.
    #[n(2)]
    SetRole {
        /// Whose.
        #[n(0)]
        account: AccountId,
        /// The new one.
        #[n(1)]
        role: Role,
    },
    /// Brings an account to the devices of a newer manifest. Anybody may commit it: the account signed it.
    #[n(3)]
    UpdateDevices {
        /// The account's manifests after the one that the roster records, each following the one before.
        #[n(0)]
        manifests: Vec<Opaque>,
    },
    /// Heals the author's own device: what a thief copied of its secrets is of no use from here on.
    #[n(4)]
    Heal {
        /// Hash of the prekeys that the device made for it; older ones are refused from now on.
        #[n(0)]
        prekeys: PrekeysHash,
        /// Their time.
        #[n(1)]
        time: Timestamp,
    },
    /// Begins the group's secrets anew, from nothing that anybody holds.
    #[n(5)]
    Reset,
    /// Removes an account that has asked for it.
    #[n(6)]
    Leave {
        /// The account's signed request; see [`crate::leave`].
        #[n(0)]
        request: Opaque,
    },
}

impl Operation {
    /// Whether the commit needs a fresh commit secret, because someone who knows the old secrets must be shut out.
    pub fn needs_secret(&self) -> bool {
        match self {
            Self::Add { .. } | Self::SetRole { .. } => false,
            Self::Remove { .. }
            | Self::UpdateDevices { .. }
            | Self::Heal { .. }
            | Self::Reset
            | Self::Leave { .. } => true,
        }
    }
}

/// What a commit says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CommitBody {
    /// The group; in a genesis, a random nonce.
    #[n(0)]
    pub group: GroupId,
    /// The epoch that the commit begins.
    #[n(1)]
    pub epoch: Epoch,
    /// The commit before; in a genesis, zeros.
    #[n(2)]
    pub previous: CommitHash,
    /// The last distribution in the log that the author has processed, 0 for none. The server refuses the commit if
    /// there is a later one, so that a welcome never lacks a sender.
    #[n(3)]
    pub last_distribution: Seq,
    /// The device that made it.
    #[n(4)]
    pub author: DeviceId,
    /// Commitment to the commit secret, if there is one.
    #[n(5)]
    pub commitment: Option<Commitment>,
    /// What changes, in order.
    #[n(6)]
    pub operations: Vec<Operation>,
    /// Hash of the roster that results.
    #[n(7)]
    pub roster: RosterHash,
    /// Devices that are not sent the commit secret or a welcome because their prekeys cannot be used, sorted.
    #[n(8)]
    pub unreachable: Vec<DeviceId>,
    /// When the author made it.
    #[n(9)]
    pub time: Timestamp,
}

impl Structure for CommitBody {
    const NAME: &'static str = "commit";
    const MAX_BYTES: usize = MAX_FRAME - 1024;
}

impl CommitBody {
    /// Hash of the body, which the new epoch's secret binds.
    pub fn hash(&self) -> [u8; 32] {
        hash::COMMIT_BODY.hash(&[&codec::encode(self)])
    }
}

#[derive(Encode, Decode)]
struct Carrier {
    #[n(0)]
    body: Opaque,
    #[n(1)]
    confirmation: Confirmation,
    #[n(2)]
    signature: Signature,
}

impl Structure for Carrier {
    const NAME: &'static str = CommitBody::NAME;
    const MAX_BYTES: usize = CommitBody::MAX_BYTES + 128;
}

/// A commit whose signature is its author device's. What it does to a group is checked by
/// [`crate::public_group::PublicGroup::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    body: CommitBody,
    encoded_body: Vec<u8>,
    body_hash: [u8; 32],
    confirmation: Confirmation,
    signature: Signature,
    hash: CommitHash,
}

impl Commit {
    /// Signs a commit with the author device's key.
    pub fn sign(body: CommitBody, confirmation: Confirmation, author: &SigningKey) -> Self {
        let encoded_body = codec::encode(&body);
        let body_hash = hash::COMMIT_BODY.hash(&[&encoded_body]);
        let hash = commit_hash(&body_hash, &confirmation);
        let signature = signature::sign(author, LABEL, hash.as_bytes());
        Self { body, encoded_body, body_hash, confirmation, signature, hash }
    }

    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&Carrier {
            body: Opaque(self.encoded_body.clone()),
            confirmation: self.confirmation,
            signature: self.signature,
        })
    }

    /// What it says.
    pub fn body(&self) -> &CommitBody {
        &self.body
    }

    /// Hash of the body alone, which the epoch secret binds.
    pub fn body_hash(&self) -> &[u8; 32] {
        &self.body_hash
    }

    /// The author's confirmation of the new epoch's secrets.
    pub fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    /// The commit's hash, which names it.
    pub fn hash(&self) -> CommitHash {
        self.hash
    }
}

/// A commit as it came.
#[derive(Clone, Debug)]
pub struct UnverifiedCommit(Commit);

impl UnverifiedCommit {
    /// Parses; checks form only.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let carrier: Carrier = codec::decode(bytes)?;
        let body: CommitBody = codec::decode(&carrier.body.0)?;
        let body_hash = hash::COMMIT_BODY.hash(&[&carrier.body.0]);
        let hash = commit_hash(&body_hash, &carrier.confirmation);
        let (confirmation, signature) = (carrier.confirmation, carrier.signature);
        Ok(Self(Commit { body, encoded_body: carrier.body.0, body_hash, confirmation, signature, hash }))
    }

    /// What it claims, for finding the author's key.
    pub fn claimed(&self) -> &CommitBody {
        &self.0.body
    }

    /// The hash that it has, whoever signed it.
    pub fn hash(&self) -> CommitHash {
        self.0.hash
    }

    /// Verifies that `author` signed it and is the device that the body names.
    pub fn verify(self, author: &DeviceKey) -> Result<Commit, SignatureError> {
        if author.id() != self.0.body.author {
            return Err(SignatureError);
        }
        signature::verify(author.as_bytes(), LABEL, self.0.hash.as_bytes(), &self.0.signature)?;
        Ok(self.0)
    }
}

fn commit_hash(body_hash: &[u8; 32], confirmation: &Confirmation) -> CommitHash {
    CommitHash::from_bytes(hash::COMMIT.hash(&[body_hash, confirmation.as_bytes()]))
}
