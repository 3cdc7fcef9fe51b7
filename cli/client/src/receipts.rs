//! The server's receipts: asked for after each commit, kept, and compared with those that others have.

use crate::client::Client;
use crate::error::ClientError;
use crate::store::{InboxKind, InboxRow};
use conclave_engine::limits::MAX_RECEIPTS;
use conclave_engine::{ReceiptError, Verdict};
use conclave_wire::ids::{Epoch, GroupId, Opaque};
use conclave_wire::receipt::ServerKey;
use conclave_wire::reply::Reply;
use conclave_wire::request::Request;

/// What a receipt is written as.
const PREFIX: &str = "receipt-";

/// What a proof of a fork is written as.
const PROOF_PREFIX: &str = "fork-proof-";

const ANOTHER_KEY: &str = "compare receipts with another member: a server that forks a group may do this to hide it; if it was moved without its keys, \
                           ask its operator";

const NO_RECEIPT: &str = "distrust this server, and compare what you see with another member";

/// A receipt that this device has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReceipt {
    /// The epoch of the group that it is for.
    pub epoch: Epoch,
    /// It, as it can be sent to another member.
    pub text: String,
}

/// What a member's receipt says beside what this device has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compared {
    /// The server has shown both the same group up to this epoch.
    Same {
        /// Which.
        epoch: Epoch,
    },
    /// It is for an epoch of which this device has no receipt to compare it with. It is kept now.
    Kept {
        /// Which.
        epoch: Epoch,
    },
    /// The server shows the member another group, and has not given this device the receipt that would prove it.
    Contradicts {
        /// Since when.
        epoch: Epoch,
    },
    /// The server shows the member another group, and this proves it to anybody.
    Fork {
        /// Since when.
        epoch: Epoch,
        /// The proof.
        proof: String,
        /// The server's key, with which anybody verifies it.
        server_key: String,
    },
}

impl Client {
    /// The newest receipt of a group, by its label. What the profile has; asks nobody.
    pub fn receipt(&mut self, label: &str) -> Result<Option<GroupReceipt>, ClientError> {
        let id = self.resolve(label)?;
        let receipt = self.local.group(id)?.newest_receipt();
        Ok(receipt
            .map(|(epoch, receipt)| GroupReceipt { epoch, text: PREFIX.to_owned() + &hex::encode(receipt) }))
    }

    /// Compares a receipt of another member with what this device has. It may come by any way: nobody but the server can
    /// have made it.
    pub fn compare_receipt(&mut self, label: &str, text: &str) -> Result<Compared, ClientError> {
        let id = self.resolve(label)?;
        let bad = |reason: String| ClientError::BadReceipt { reason };
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|digits| hex::decode(digits).ok());
        let bytes = bytes.ok_or_else(|| bad(format!("it is not {PREFIX} and digits")))?;
        let Some(server) = self.profile.receipt_key.map(ServerKey::from_bytes) else {
            return Err(bad("this profile has none to compare it with; run `listen` first".into()));
        };
        let group = self.local.group(id)?;
        let noted = group.note_receipt(&bytes, &server).map_err(|error| bad(error.to_string()))?;
        let (epoch, had) = (noted.epoch, noted.changes.0.is_empty());
        self.local.write(|step| step.apply(&noted.changes))?;
        Ok(match noted.verdict {
            Verdict::Fork(proof) => Compared::Fork {
                epoch,
                proof: PROOF_PREFIX.to_owned() + &hex::encode(proof.encode()),
                server_key: hex::encode(server.as_bytes()),
            },
            Verdict::Contradicts => Compared::Contradicts { epoch },
            _ if had => Compared::Same { epoch },
            _ => Compared::Kept { epoch },
        })
    }

    /// Asks for the receipts that are due. Those of a server that gives none are not waited for.
    pub(crate) async fn collect_receipts(&mut self) -> Result<(), ClientError> {
        while let Some(id) = self.local.receipts_due.first().copied() {
            let group = self.local.group(id)?;
            let current = group.epoch();
            let last = group.newest_receipt().map(|(epoch, _)| epoch);
            let oldest = Epoch(current.0.saturating_sub(u32::try_from(MAX_RECEIPTS - 1).unwrap_or(u32::MAX)));
            let from = last.map_or(oldest, |last| Epoch(last.0.saturating_add(1)).max(oldest));
            let asked = self.session.receipts_asked.get(&id) >= Some(&current);
            if from <= current && !asked {
                match self.request(Request::Receipts { group: id, from }).await {
                    Ok(Reply::Receipts { key, receipts }) => self.note_receipts(id, key, &receipts)?,
                    // They are still due when it is back.
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
                if self.local.group(id)?.newest_receipt().map(|(epoch, _)| epoch) < Some(current) {
                    tracing::warn!(group = %id, epoch = %current, "the server gives no receipt for the group's last commit");
                }
                self.session.receipts_asked.insert(id, current);
            }
            self.local.receipts_due.remove(&id);
        }
        Ok(())
    }

    /// Takes note of what the server has given.
    fn note_receipts(&mut self, id: GroupId, key: ServerKey, receipts: &[Opaque]) -> Result<(), ClientError> {
        let pinned = self.profile.receipt_key.replace(*key.as_bytes());
        let another = pinned.is_some_and(|pinned| pinned != *key.as_bytes());
        let group = self.local.group(id)?;
        let seq = group.cursor();
        let alarm = |what: &str, advice: &str| {
            let kind = InboxKind::Alarm { what: what.to_owned(), advice: advice.to_owned() };
            InboxRow { group: id, seq, kind }
        };
        let mut rows = Vec::new();
        if another {
            rows.push(alarm("the server signs its receipts with another key than before", ANOTHER_KEY));
        }
        let mut changes = Vec::new();
        for receipt in receipts.iter().take(MAX_RECEIPTS) {
            match group.note_receipt(&receipt.0, &key) {
                Ok(noted) => {
                    changes.push(noted.changes);
                    if let Some(said) = noted.verdict.alarm() {
                        let said = said.to_string();
                        let (what, advice) = crate::error::what_and_advice(&said);
                        rows.push(alarm(what, advice));
                    }
                }
                // The log has moved on meanwhile: the rest is asked for then.
                Err(ReceiptError::Early) => break,
                Err(error) => {
                    rows.push(alarm(
                        &format!("the server gave something for a receipt: {error}"),
                        NO_RECEIPT,
                    ));
                    break;
                }
            }
        }
        let profile = &self.profile;
        self.local.write(|step| {
            if pinned != profile.receipt_key {
                step.set_profile(profile)?;
            }
            changes.iter().try_for_each(|changes| step.apply(changes))?;
            rows.iter().try_for_each(|row| step.push_inbox(row))
        })
    }
}
