//! Receipts: the server's signed word for each commit that it has accepted.
//!
//! They are made when somebody asks, from the log: the log has one commit for each epoch, and the same key signs the same
//! words the same way, so nothing has to be kept, and no commit waits for a signature. A server that shows two members two
//! logs hands each a receipt for its own, and the two prove it (R110).

use crate::error::StartError;
use crate::store::{OpenStore, StoreError, StoreLocation};
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::entry::Entry;
use conclave_wire::ids::Opaque;
use conclave_wire::receipt::{Receipt, ReceiptBody, ServerKey};
use conclave_wire::signature::SigningKey;
use zeroize::Zeroizing;

/// Its name in a store.
const NAME: &str = "receipt";

/// The key that signs receipts. Clients pin it, so it is part of the store, goes with every export, and all nodes of a database
/// have the same.
pub(crate) struct ReceiptKey(SigningKey);

impl ReceiptKey {
    /// The key of a store, made when it is first asked for. Blocks.
    pub(crate) fn of(store: &OpenStore, location: &StoreLocation) -> Result<Self, StartError> {
        let bytes = match store {
            OpenStore::Embedded(store) => store.kept_secret(NAME),
            OpenStore::Postgres(store) => store.kept_secret(NAME),
        };
        let unusable =
            |error: StoreError| StartError::Database { store: location.to_string(), reason: error.reason() };
        Ok(Self::from_bytes(&Zeroizing::new(bytes.map_err(unusable)?)))
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// What receipts are verified with.
    pub(crate) fn public(&self) -> ServerKey {
        ServerKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// The receipt for a commit of the log.
    pub(crate) fn sign(&self, entry: &Entry) -> Result<Opaque, StoreError> {
        let commit = UnverifiedCommit::decode(&entry.body.0).map_err(|_| StoreError::Damaged("commit"))?;
        let (epoch, commit) = (commit.claimed().epoch, commit.hash());
        let body = ReceiptBody { group: entry.group, epoch, commit, seq: entry.seq };
        Ok(Opaque(Receipt::new(body, &self.0).encode()))
    }
}
