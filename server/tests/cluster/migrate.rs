//! Migrations on their own, before any server starts.

use conclave_postgres_fixture::Postgres;
use std::process::{Command, Output};

fn migrate(store: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conclave-server")).args(["migrate", "--store", store]).output().unwrap()
}

#[test]
fn they_run_once() {
    let postgres = Postgres::start();
    let database = postgres.database("conclave");
    let said = |output: Output| (output.status.code(), String::from_utf8(output.stdout).unwrap());
    let (code, first) = said(migrate(&database));
    assert_eq!(code, Some(0));
    assert!(first.starts_with("V1__rows\n") && first.contains("up to date"), "{first}");
    assert_eq!(
        said(migrate(&database)),
        (Some(0), "postgres://conclave@/conclave had nothing to change\n".into())
    );
    let table = "select count(*) from conclave.log";
    assert_eq!(postgres.query("conclave", table), "0");
}

#[test]
fn what_cannot_be_migrated_says_why() {
    for (store, code, word) in [
        ("postgres://me:secret@127.0.0.1:1/conclave", 6, "check that the database runs"),
        ("mysql://me:secret@db/conclave", 2, "fjall:DIRECTORY"),
    ] {
        let output = migrate(store);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
