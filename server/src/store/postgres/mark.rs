//! What became of a transaction whose commit was not answered.
//!
//! Each server that runs has a row of its own, and each of its batches counts it up in the same transaction. Who reads it under a
//! lock waits for a transaction that is not done yet, and then sees whether it was done.
//!
//! The transaction's own number would not do: after a crash PostgreSQL gives a number again that left no trace on the disk,
//! and then says of our transaction what became of another.

use super::trouble::describe;
use crate::store::StoreError;
use deadpool_postgres::Object;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio_postgres::Error;

/// A server's row.
pub(super) struct Mark {
    server: Vec<u8>,
    /// The last batch that was begun.
    batch: AtomicI64,
}

/// One batch of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchNumber(i64);

impl Mark {
    pub(super) fn new() -> Self {
        let server: [u8; 16] = rand::random();
        Self { server: server.to_vec(), batch: AtomicI64::new(0) }
    }

    /// The next batch's number, also for one that is tried again.
    pub(super) fn next(&self) -> BatchNumber {
        BatchNumber(self.batch.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    /// Makes the row.
    pub(super) async fn make(&self, client: &Object) -> Result<(), StoreError> {
        let make = "insert into conclave.batch (server, number) values ($1, 0)";
        client.execute(make, &[&self.server]).await.map(drop).map_err(|error| describe(&error))
    }

    /// Counts it up, in the transaction of a batch.
    pub(super) async fn set(&self, client: &Object, batch: BatchNumber) -> Result<(), Error> {
        let statement =
            client.prepare_cached("update conclave.batch set number = $2 where server = $1").await?;
        client.execute(&statement, &[&self.server, &batch.0]).await.map(drop)
    }

    /// Whether a batch was committed.
    pub(super) async fn has(&self, client: &Object, batch: BatchNumber) -> Result<bool, StoreError> {
        let look = async {
            let statement = client
                .prepare_cached("select number from conclave.batch where server = $1 for update")
                .await?;
            client.query_one(&statement, &[&self.server]).await?.try_get::<_, i64>(0)
        };
        look.await.map(|number| number == batch.0).map_err(|error| describe(&error))
    }
}
