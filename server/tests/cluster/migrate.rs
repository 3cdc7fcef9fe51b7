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
fn a_check_says_what_is_there_and_makes_nothing() {
    let postgres = Postgres::start();
    let database = postgres.database("conclave");
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-server"));
        command.args(["check", "--listen", "127.0.0.1:0"]).env("CONCLAVE_STORE", &database);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check();
    assert_eq!((code, said.contains("postgres://conclave@/conclave is new")), (0, true), "{said}");
    assert_eq!(
        postgres.query("conclave", "select count(*) from pg_namespace where nspname = 'conclave'"),
        "0"
    );

    migrate(&database);
    let (code, said) = check();
    assert_eq!((code, said.contains("can be used\n")), (0, true), "{said}");
    let history = "select string_agg(version::text, ',') from conclave.migrations";
    let done = postgres.query("conclave", history);

    // Of an import that broke off, of an older server, and of a newer one.
    let unfinished = "insert into conclave.state values ('unfinished import', '', '') returning 1";
    postgres.query("conclave", unfinished);
    assert_eq!(check().0, 6);
    postgres.query("conclave", "delete from conclave.state returning 1");
    postgres.query("conclave", "update conclave.migrations set version = 99 returning 1");
    let (code, said) = check();
    assert_eq!((code, said.contains("wrong    store: ")), (5, true), "{said}");
    postgres.query("conclave", "delete from conclave.migrations returning 1");
    let (code, said) = check();
    assert_eq!((code, said.contains("after ")), (0, true), "{said}");
    assert_eq!(postgres.query("conclave", history), "");
    assert!(!done.is_empty());
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
