//! The server's receipts for commits: kept, so that one that contradicts another proves a fork.
//!
//! A group keeps one receipt for each of the last [`MAX_RECEIPTS`] epochs, whoever brought it; only the server can have
//! made it. Another one for the same epoch either says the same or is one half of a [`ForkProof`] (R110), (R111).

use super::state::Group;
use crate::limits::MAX_RECEIPTS;
use crate::record::Changes;
use conclave_wire::codec::{DecodeError, Structure};
use conclave_wire::ids::{Epoch, Opaque};
use conclave_wire::receipt::{ForkProof, ForkProofError, ServerKey, UnverifiedReceipt};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a receipt is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not of its form.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Not signed by this server: it says nothing.
    #[error("the receipt is not signed by the server")]
    Signature,
    /// For another group.
    #[error("the receipt is for another group")]
    Group,
    /// For an epoch that this device has not reached.
    #[error("the receipt is for a later epoch; process the log first")]
    Early,
    /// For an epoch that is longer past than receipts are kept.
    #[error("the receipt is for an epoch more than {MAX_RECEIPTS} commits ago")]
    Old,
}

/// What a receipt says beside what this device knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing contradicts it.
    Consistent,
    /// It names another commit than the one that the server showed us for the present epoch: the server has forked the
    /// group, or took back what it had accepted. It is certain for us; proven to others it is when our commit's receipt
    /// comes.
    Contradicts,
    /// With a receipt that was kept it proves to anybody that the server has forked the group.
    Fork(Box<ForkProof>),
}

/// A receipt that was taken note of.
#[derive(Debug)]
pub struct NotedReceipt {
    /// The epoch that it is for.
    pub epoch: Epoch,
    /// What it says.
    pub verdict: Verdict,
    /// To store.
    pub changes: Changes,
}

/// An encoded receipt whose signature was verified; also its record.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct KeptReceipt(#[n(0)] Opaque);

impl Structure for KeptReceipt {
    const NAME: &'static str = "receipt record";
    const MAX_BYTES: usize = 512;
}

/// One receipt for each of the last epochs.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Receipts(BTreeMap<Epoch, KeptReceipt>);

impl Receipts {
    pub(crate) fn load(&mut self, epoch: Epoch, receipt: KeptReceipt) {
        self.0.insert(epoch, receipt);
    }
}

impl Group {
    /// Takes note of a receipt, wherever it comes from: the server gives them to every member, and members may show
    /// theirs to each other. `server` is the key that this client pinned.
    pub fn note_receipt(&mut self, receipt: &[u8], server: &ServerKey) -> Result<NotedReceipt, ReceiptError> {
        let unverified = UnverifiedReceipt::decode(receipt)?;
        let verified = unverified.clone().verify(server.as_bytes()).map_err(|_| ReceiptError::Signature)?;
        let body = verified.body();
        if body.group != self.id() {
            return Err(ReceiptError::Group);
        }
        let (epoch, current) = (body.epoch, self.epoch());
        if epoch > current {
            return Err(ReceiptError::Early);
        }
        if is_past(epoch, current) {
            return Err(ReceiptError::Old);
        }
        let mut changes = Changes::default();
        let contradicts = epoch == current && body.commit != self.public.head();
        let said = if contradicts { Verdict::Contradicts } else { Verdict::Consistent };
        let kept = self.receipts.0.get(&epoch).and_then(|kept| UnverifiedReceipt::decode(&kept.0.0).ok());
        let proof = kept.map(|kept| ForkProof::new(kept, unverified, server));
        let verdict = match proof {
            Some(Ok(proof)) => Verdict::Fork(Box::new(proof)),
            Some(Err(ForkProofError::SameCommit)) => said,
            // None was kept, or one of a server key that is not pinned any more.
            _ => {
                self.keep_receipt(epoch, KeptReceipt(Opaque(receipt.to_vec())), &mut changes);
                said
            }
        };
        Ok(NotedReceipt { epoch, verdict, changes })
    }

    /// The receipt of the last epoch for which there is one, as it came: to show to other members.
    pub fn newest_receipt(&self) -> Option<(Epoch, &[u8])> {
        self.receipts.0.last_key_value().map(|(epoch, receipt)| (*epoch, receipt.0.0.as_slice()))
    }

    fn keep_receipt(&mut self, epoch: Epoch, receipt: KeptReceipt, changes: &mut Changes) {
        let current = self.epoch();
        let past: Vec<Epoch> =
            self.receipts.0.keys().copied().filter(|epoch| is_past(*epoch, current)).collect();
        for gone in past {
            self.receipts.0.remove(&gone);
            self.put_receipt(gone, None, changes);
        }
        self.put_receipt(epoch, Some(&receipt), changes);
        self.receipts.0.insert(epoch, receipt);
    }
}

/// Whether an epoch is so long past that its receipt is not kept.
fn is_past(epoch: Epoch, current: Epoch) -> bool {
    current.0.saturating_sub(epoch.0) as usize >= MAX_RECEIPTS
}
