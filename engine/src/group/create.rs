//! Founding a group.

use super::epoch::EpochSecrets;
use super::state::{Group, Me};
use crate::device::Device;
use crate::envelope::CommittedSecret;
use crate::record::Changes;
use crate::secret::Secret;
use conclave_wire::commit::{Commit, CommitBody, Operation, UnverifiedCommit};
use conclave_wire::ids::{CommitHash, Epoch, GroupId, LeafIndex, Opaque, Seq, Timestamp};
use conclave_wire::public_group::{CommitError, PublicGroup};
use conclave_wire::roster::{Leaf, Role, Roster};
use rand_core::CryptoRng;
use thiserror::Error;

/// Why a group cannot be founded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The genesis would not be valid; an old manifest must be renewed first.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A new group, not yet on any server.
pub struct NewGroup {
    /// The group, with this device's account as its owner and only member.
    pub group: Group,
    /// The genesis commit to upload, without deliveries or welcomes.
    pub commit: Vec<u8>,
    /// To store first.
    pub changes: Changes,
}

impl Group {
    /// Founds a group. Others are added by a [`commit`](Self::commit) after it.
    pub fn create(
        device: &Device,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<NewGroup, CreateError> {
        let committed = CommittedSecret::for_commit(rng);
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let manifest = device.manifest();
        let leaves = (0..).map(LeafIndex).zip(&manifest.body().devices).map(|(index, key)| {
            let leaf = Leaf {
                account: device.account(),
                role: Role::Owner,
                pinned: None,
                manifest: manifest.hash(),
                manifest_version: manifest.body().version,
                device: *key,
                since: Epoch(0),
            };
            (index, leaf)
        });
        let body = CommitBody {
            group: GroupId::from_bytes(nonce),
            epoch: Epoch(0),
            previous: CommitHash::from_bytes([0; 32]),
            last_distribution: Seq(0),
            author: device.id(),
            commitment: Some(committed.commitment),
            operations: vec![Operation::Add {
                role: Role::Owner,
                manifest: Opaque(manifest.encoded().to_vec()),
            }],
            roster: Roster::from_leaves(manifest.body().devices.len(), leaves).hash(),
            unreachable: Vec::new(),
            time: now,
        };
        let secrets =
            EpochSecrets::derive(&Secret::from_bytes([0; 32]), Some(&committed.secret), &body.hash());
        let EpochSecrets { init, confirmation, .. } = secrets;
        let commit = Commit::sign(body, confirmation, device.signing_key()).encode();
        // A founder checks the genesis as everybody else will.
        let unverified = UnverifiedCommit::decode(&commit).map_err(|_| CommitError::Genesis)?;
        let (public, _) = PublicGroup::from_genesis(unverified)?;
        let mut group = Self::new(public, Me::of(device), Some(init), confirmation, Seq(0));
        let mut changes = Changes::default();
        group.put_all(&mut changes);
        Ok(NewGroup { group, commit, changes })
    }
}
