//! A whole database's rows, for moving them.

use super::rows::{Moment, Seen, prepare};
use super::statement::{Shape, split};
use super::trouble::describe;
use crate::store::StoreError;
use crate::store::rows::{AllRows, KeyValue, Table, page_of};
use deadpool_postgres::Object;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;
use tokio_postgres::Error;

/// All rows of a database: what is read is of the moment of the first reading.
pub(crate) struct Whole<'a> {
    runtime: &'a Handle,
    client: Object,
    /// Whether something was read.
    begun: AtomicBool,
}

impl<'a> Whole<'a> {
    pub(super) fn new(runtime: &'a Handle, client: Object) -> Self {
        Self { runtime, client, begun: AtomicBool::new(false) }
    }

    fn run(&self, shape: Shape, table: Table, rows: &[KeyValue<Vec<u8>>]) -> Result<(), StoreError> {
        let keys = rows.iter().map(|(key, _)| split(table, key));
        let (homes, places): (Vec<_>, Vec<_>) = keys.unzip();
        let values: Vec<_> = rows.iter().map(|(_, value)| value.as_slice()).collect();
        let run = async {
            // What was read before is of no use to who writes.
            if self.begun.swap(false, Ordering::Relaxed) {
                self.client.batch_execute("commit").await?;
            }
            let statement = prepare(&self.client, shape, table).await?;
            match shape {
                Shape::Delete => self.client.execute(&statement, &[&homes, &places]).await,
                _ => self.client.execute(&statement, &[&homes, &places, &values]).await,
            }
        };
        self.runtime.block_on(run).map(drop).map_err(|error: Error| describe(&error))
    }
}

impl AllRows for Whole<'_> {
    fn page(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue<Vec<u8>>>, StoreError> {
        let moment = if self.begun.swap(true, Ordering::Relaxed) { Moment::Each } else { Moment::One };
        page_of(&Seen::new(self.runtime, &self.client, moment), table, after, limit)
    }

    fn put(&self, table: Table, rows: Vec<KeyValue<Vec<u8>>>) -> Result<(), StoreError> {
        self.run(Shape::Insert, table, &rows)
    }

    fn remove(&self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.run(Shape::Delete, table, &[(key.to_vec(), Vec::new())])
    }
}
