//! Rows of a database, as one connection sees them.

use super::statement::{Shape, split};
use super::trouble::describe;
use crate::store::StoreError;
use crate::store::rows::{KeyValue, Rows, Table};
use deadpool_postgres::Object;
use std::cell::Cell;
use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// How the queries of one purpose belong together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Each sees what is there when it is asked.
    Each,
    /// All see what is there when the first is asked.
    One,
}

/// Rows as a connection sees them.
pub(super) struct Seen<'a> {
    runtime: &'a Handle,
    client: &'a Object,
    /// Whether a transaction has to be begun with the next query.
    unbegun: Cell<bool>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(runtime: &'a Handle, client: &'a Object, moment: Moment) -> Self {
        Self { runtime, client, unbegun: Cell::new(moment == Moment::One) }
    }

    /// Whether there is a transaction to end.
    pub(super) fn has_begun(&self, moment: Moment) -> bool {
        moment == Moment::One && !self.unbegun.get()
    }

    fn query(
        &self,
        shape: Shape,
        table: Table,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let asked = async {
            let statement = prepare(self.client, shape, table).await?;
            let query = self.client.query(&statement, parameters);
            if self.unbegun.replace(false) {
                // One round trip for both.
                let begin =
                    self.client.batch_execute("begin transaction isolation level repeatable read read only");
                return futures_util::future::try_join(begin, query).await.map(|((), rows)| rows);
            }
            query.await
        };
        self.runtime.block_on(asked).map_err(|error: Error| describe(&error))
    }
}

/// A statement, prepared once for each connection.
pub(super) async fn prepare(client: &Object, shape: Shape, table: Table) -> Result<Statement, Error> {
    client.prepare_cached(&shape.sql(table)).await
}

fn column(row: &Row, index: usize) -> Result<Vec<u8>, StoreError> {
    row.try_get(index).map_err(|error| describe(&error))
}

impl Rows for Seen<'_> {
    type Bytes = Vec<u8>;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let (home, place) = split(table, key);
        let rows = self.query(Shape::Get, table, &[&home, &place])?;
        rows.first().map(|row| column(row, 0)).transpose()
    }

    fn range(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        limit: usize,
    ) -> Result<Vec<KeyValue<Vec<u8>>>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ((home, first), (last_home, last)) = (split(table, first), split(table, last));
        let rows = if home == last_home {
            self.query(Shape::Range, table, &[&home, &first, &last, &limit])?
        } else {
            self.query(Shape::RangeOfAll, table, &[&home, &first, &last_home, &last, &limit])?
        };
        rows.iter().map(|row| Ok(([column(row, 0)?, column(row, 1)?].concat(), column(row, 2)?))).collect()
    }

    fn keys(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let ((home, first_place), (last_home, last_place)) = (split(table, first), split(table, last));
        if home != last_home {
            return Ok(self.range(table, first, last, limit)?.into_iter().map(|(key, _)| key).collect());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(Shape::Places, table, &[&home, &first_place, &last_place, &limit])?;
        rows.iter().map(|row| Ok([home, &column(row, 0)?].concat())).collect()
    }

    fn get_all(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let (homes, places): (Vec<_>, Vec<_>) = keys.iter().map(|key| split(table, key)).unzip();
        let mut values = vec![None; keys.len()];
        if keys.is_empty() {
            return Ok(values);
        }
        for row in self.query(Shape::GetAll, table, &[&homes, &places])? {
            let number: i64 = row.try_get(0).map_err(|error| describe(&error))?;
            let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            if let Some(value) = index.and_then(|index| values.get_mut(index)) {
                *value = Some(column(&row, 1)?);
            }
        }
        Ok(values)
    }
}
