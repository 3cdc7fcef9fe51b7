//! The statements: few shapes, the same for each table.

use crate::store::rows::Table;

/// What is done with rows of a table.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// One value: home, place.
    Get,
    /// Several values, numbered from 1 in the order asked: homes, places.
    GetAll,
    /// Rows of one home, in order: home, first place, last place, limit.
    Range,
    /// The places of rows of one home, in order: home, first place, last place, limit.
    Places,
    /// Rows of all homes, in order: first home and place, last home and place, limit.
    RangeOfAll,
    /// New rows, none of which is there: homes, places, values.
    Insert,
    /// Rows that are new or change: homes, places, values.
    Put,
    /// Rows that go: homes, places.
    Delete,
}

impl Shape {
    pub(super) fn sql(self, table: Table) -> String {
        let table = format!("conclave.\"{}\"", table.name());
        match self {
            Self::Get => format!("select value from {table} where home = $1 and place = $2"),
            Self::GetAll => format!(
                "select k.number, t.value \
                 from unnest($1::bytea[], $2::bytea[]) with ordinality as k(home, place, number) \
                 join {table} t on t.home = k.home and t.place = k.place"
            ),
            Self::Range => format!(
                "select home, place, value from {table} \
                 where home = $1 and place between $2 and $3 order by place limit $4"
            ),
            Self::Places => format!(
                "select place from {table} where home = $1 and place between $2 and $3 order by place limit $4"
            ),
            Self::RangeOfAll => format!(
                "select home, place, value from {table} \
                 where (home, place) >= ($1, $2) and (home, place) <= ($3, $4) order by home, place limit $5"
            ),
            Self::Insert => format!(
                "insert into {table} (home, place, value) \
                 select * from unnest($1::bytea[], $2::bytea[], $3::bytea[])"
            ),
            Self::Put => format!(
                "insert into {table} (home, place, value) \
                 select * from unnest($1::bytea[], $2::bytea[], $3::bytea[]) \
                 on conflict (home, place) do update set value = excluded.value"
            ),
            Self::Delete => format!(
                "delete from {table} t using unnest($1::bytea[], $2::bytea[]) as k(home, place) \
                 where t.home = k.home and t.place = k.place"
            ),
        }
    }
}

/// Locks the heads of groups until the transaction ends. The order keeps two nodes from waiting for each other.
pub(super) const LOCK_HEADS: &str =
    "select home, value from conclave.\"group\" where home = any($1) order by home for update";

/// Takes what is not a row yet, by number, until the transaction ends; the numbers come in order.
pub(super) const LOCK_SUBJECTS: &str =
    "select pg_advisory_xact_lock($1, subject) from unnest($2::integer[]) as subject";

/// A key as the tables have it: whose row it is, and its place there.
pub(super) fn split(table: Table, key: &[u8]) -> (&[u8], &[u8]) {
    match table.home_bytes() {
        Some(bytes) => key.split_at_checked(bytes).unwrap_or((key, &[])),
        None => (key, &[]),
    }
}
