//! Receipts: the server's signed word that it accepted a commit, and what two of them that contradict prove.
//!
//! ```text
//!     body   version ‖ CBOR [ group: bstr 32, epoch: uint, commit: bstr 32, seq: uint ]
//!     proof  version ‖ CBOR [ receipt: bstr, receipt: bstr ]
//! ```
//!
//! The body is carried in a [`Signed`] by the server's receipt key, which clients pin. Only the server can make
//! receipts, and an honest one makes one for each epoch of a group: so two for one epoch that name two commits prove a
//! fork to anybody (R110). A commit alone, or a message under one, proves nothing: whoever may commit can make both up.

use crate::byte_newtype::byte_newtype;
use crate::codec::{self, DecodeError, Structure};
use crate::hash::{self, Context};
use crate::ids::{CommitHash, Epoch, GroupId, Opaque, Seq};
use crate::signature::{Label, Signed, SignedBody, UnverifiedSigned};
use minicbor::{Decode, Encode};
use thiserror::Error;

byte_newtype!(
    /// The Ed25519 public key with which a server signs its receipts. Clients pin it.
    ServerKey, 32
);

/// What a receipt says: this commit is the one that begins this epoch of this group.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReceiptBody {
    /// The group.
    #[n(0)]
    pub group: GroupId,
    /// The epoch that the commit begins.
    #[n(1)]
    pub epoch: Epoch,
    /// The commit.
    #[n(2)]
    pub commit: CommitHash,
    /// Its place in the group's log.
    #[n(3)]
    pub seq: Seq,
}

impl Structure for ReceiptBody {
    const NAME: &'static str = "receipt";
    const MAX_BYTES: usize = 96;
}

impl SignedBody for ReceiptBody {
    fn context() -> &'static Context {
        &hash::RECEIPT
    }
    const LABEL: Label = Label("conclave v1 sign receipt");
}

/// A receipt whose signature has been verified, or was made here.
pub type Receipt = Signed<ReceiptBody>;

/// A receipt as it came.
pub type UnverifiedReceipt = UnverifiedSigned<ReceiptBody>;

/// Why two receipts prove nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForkProofError {
    /// Not of its form.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Not both are signed by this server.
    #[error("a receipt is not signed by this server")]
    Signature,
    /// They are for two groups or two epochs.
    #[error("the receipts are not for one epoch of one group")]
    Unrelated,
    /// They name one commit.
    #[error("the receipts agree")]
    SameCommit,
}

/// Two receipts of one server for one epoch that name two commits: it showed two groups under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkProof {
    /// In the order of the commits' hashes, so that one fork has one proof.
    receipts: [Receipt; 2],
}

#[derive(Encode, Decode)]
struct Pair {
    #[n(0)]
    first: Opaque,
    #[n(1)]
    second: Opaque,
}

impl Structure for Pair {
    const NAME: &'static str = "fork proof";
    const MAX_BYTES: usize = 2 * (ReceiptBody::MAX_BYTES + 96);
}

impl ForkProof {
    /// Puts two receipts together.
    pub fn new(
        a: UnverifiedReceipt,
        b: UnverifiedReceipt,
        server: &ServerKey,
    ) -> Result<Self, ForkProofError> {
        let verify = |receipt: UnverifiedReceipt| {
            receipt.verify(server.as_bytes()).map_err(|_| ForkProofError::Signature)
        };
        let mut receipts = [verify(a)?, verify(b)?];
        receipts.sort_by_key(|receipt| receipt.body().commit);
        let [first, second] = &receipts;
        let place = |receipt: &Receipt| (receipt.body().group, receipt.body().epoch);
        if place(first) != place(second) {
            return Err(ForkProofError::Unrelated);
        }
        if first.body().commit == second.body().commit {
            return Err(ForkProofError::SameCommit);
        }
        Ok(Self { receipts })
    }

    /// Parses and verifies a proof that somebody shows.
    pub fn decode_and_verify(bytes: &[u8], server: &ServerKey) -> Result<Self, ForkProofError> {
        let pair: Pair = codec::decode(bytes)?;
        let (first, second) =
            (UnverifiedReceipt::decode(&pair.first.0)?, UnverifiedReceipt::decode(&pair.second.0)?);
        Self::new(first, second, server)
    }

    /// The bytes to show to others.
    pub fn encode(&self) -> Vec<u8> {
        let [first, second] = self.receipts.each_ref().map(|receipt| Opaque(receipt.encode()));
        codec::encode(&Pair { first, second })
    }

    /// What the two receipts say.
    pub fn receipts(&self) -> [&ReceiptBody; 2] {
        self.receipts.each_ref().map(Signed::body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;

    fn body(commit: u8) -> ReceiptBody {
        ReceiptBody {
            group: GroupId::from_bytes([1; 32]),
            epoch: Epoch(7),
            commit: CommitHash::from_bytes([commit; 32]),
            seq: Seq(90),
        }
    }

    fn unverified(body: ReceiptBody, key: &SigningKey) -> UnverifiedReceipt {
        UnverifiedReceipt::decode(&Receipt::new(body, key).encode()).unwrap()
    }

    /// (R110) Two receipts of the server for one epoch that name two commits, and nothing less.
    #[test]
    fn a_fork_needs_two_receipts() {
        let server = SigningKey::from_bytes(&[5; 32]);
        let key = ServerKey::from_bytes(server.verifying_key().to_bytes());
        let ours = || unverified(body(2), &server);
        let prove = |other: UnverifiedReceipt| ForkProof::new(ours(), other, &key);
        let proof = prove(unverified(body(3), &server)).unwrap();
        // Whichever comes first, it is one proof, and anybody who knows the server's key can check it.
        assert_eq!(ForkProof::new(unverified(body(3), &server), ours(), &key), Ok(proof.clone()));
        assert_eq!(ForkProof::decode_and_verify(&proof.encode(), &key), Ok(proof.clone()));
        let swapped = Pair {
            first: Opaque(Receipt::new(body(3), &server).encode()),
            second: Opaque(Receipt::new(body(2), &server).encode()),
        };
        assert_eq!(ForkProof::decode_and_verify(&codec::encode(&swapped), &key), Ok(proof.clone()));
        let other_key = ServerKey::from_bytes(SigningKey::from_bytes(&[6; 32]).verifying_key().to_bytes());
        assert_eq!(ForkProof::decode_and_verify(&proof.encode(), &other_key), Err(ForkProofError::Signature));

        assert_eq!(prove(ours()), Err(ForkProofError::SameCommit));
        let elsewhere = ReceiptBody { seq: Seq(91), ..body(2) };
        assert_eq!(prove(unverified(elsewhere, &server)), Err(ForkProofError::SameCommit));
        for unrelated in [
            ReceiptBody { epoch: Epoch(8), ..body(3) },
            ReceiptBody { group: GroupId::from_bytes([9; 32]), ..body(3) },
        ] {
            assert_eq!(prove(unverified(unrelated, &server)), Err(ForkProofError::Unrelated));
        }
        // A member has no such key: what it signs frames nobody.
        let member = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(prove(unverified(body(3), &member)), Err(ForkProofError::Signature));
    }
}
