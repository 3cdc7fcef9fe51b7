//! The database's tables, brought to what this server reads and writes.

use super::connect::Connections;
use crate::error::StartError;
use crate::store::{Condition, StoreLocation};
use deadpool_postgres::Object;
use refinery::error::Kind;
use std::collections::BTreeSet;

#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The oldest version that is still looked after.
const OLDEST: i32 = 130_000;

/// Where refinery writes down which migrations were done.
const HISTORY: &str = "conclave.migrations";

/// Held while tables are made: nodes start at the same time.
const MIGRATION_LOCK: i64 = 0x00C0_4C1A_0000_0001;

/// Makes or completes the tables; refuses those of a newer server. Returns the names of what was done.
pub(super) async fn migrate(
    location: &StoreLocation,
    connections: &Connections,
) -> Result<Vec<String>, StartError> {
    let unusable = |reason: String| StartError::Database { store: location.to_string(), reason };
    let mut client = connections.reader().await.map_err(|error| unusable(error.reason()))?;
    let done = locked(location, &mut client).await;
    // Its locks and its settings go with it.
    drop(Object::take(client));
    done
}

async fn locked(location: &StoreLocation, client: &mut Object) -> Result<Vec<String>, StartError> {
    let unusable = |reason: String| StartError::Database { store: location.to_string(), reason };
    let failed = |error: tokio_postgres::Error| unusable(super::trouble::describe(&error).reason());
    check_version(location, client).await?;
    client.batch_execute("set statement_timeout = 0; set lock_timeout = 0").await.map_err(failed)?;
    client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await.map_err(failed)?;
    // The history of the tables lies with the tables, whatever the connection's search path.
    client.batch_execute("create schema if not exists conclave").await.map_err(failed)?;
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    let report = runner.run_async(&mut ***client).await.map_err(|error| match error.kind() {
        Kind::MissingVersion(_) | Kind::DivergentVersion(..) => {
            StartError::DatabaseVersion { store: location.to_string() }
        }
        _ => unusable(super::trouble::with_sources(&error)),
    })?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// What the tables are to this server. Changes nothing.
pub(super) async fn inspect(
    location: &StoreLocation,
    connections: &Connections,
) -> Result<Condition, StartError> {
    let unusable = |reason: String| StartError::Database { store: location.to_string(), reason };
    let failed = |error: tokio_postgres::Error| unusable(super::trouble::describe(&error).reason());
    let client = connections.reader().await.map_err(|error| unusable(error.reason()))?;
    check_version(location, &client).await?;
    let known: BTreeSet<i64> =
        embedded::migrations::runner().get_migrations().iter().map(|each| each.version().into()).collect();
    let made = client.query_one("select to_regclass($1) is not null", &[&HISTORY]).await;
    if !made.and_then(|row| row.try_get::<_, bool>(0)).map_err(failed)? {
        let may = "select coalesce(has_schema_privilege(to_regnamespace('conclave'), 'create'), \
                   has_database_privilege(current_database(), 'create'))";
        let may = client.query_one(may, &[]).await;
        return if may.and_then(|row| row.try_get::<_, bool>(0)).map_err(failed)? {
            Ok(Condition::New)
        } else {
            Err(unusable("its user may not make tables in it".to_owned()))
        };
    }
    let done = client.query(&format!("select version::bigint from {HISTORY}"), &[]).await.map_err(failed)?;
    let done: Result<BTreeSet<i64>, _> = done.iter().map(|row| row.try_get(0)).collect();
    let done = done.map_err(failed)?;
    if !done.is_subset(&known) {
        return Err(StartError::DatabaseVersion { store: location.to_string() });
    }
    match known.difference(&done).count() {
        0 => Ok(Condition::Ready),
        missing => Ok(Condition::Behind(missing)),
    }
}

/// Refuses a database program that is too old.
async fn check_version(location: &StoreLocation, client: &Object) -> Result<(), StartError> {
    let unusable = |reason: String| StartError::Database { store: location.to_string(), reason };
    let failed = |error: tokio_postgres::Error| unusable(super::trouble::describe(&error).reason());
    let version = client.query_one("select current_setting('server_version_num')::integer", &[]).await;
    let version: i32 = version.and_then(|row| row.try_get(0)).map_err(failed)?;
    if version < OLDEST {
        return Err(unusable(format!(
            "it is PostgreSQL {}, and 13 is the oldest that will do",
            version / 10_000
        )));
    }
    Ok(())
}
