//! The stories that one server tells, told again by three on one PostgreSQL, each client on the next one.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Some of it is for one server alone.
#![allow(dead_code)]

/// Three servers on one database.
const CLUSTER: bool = true;

#[path = "../socket/client.rs"]
mod client;
#[path = "../socket/command.rs"]
mod command;
mod crash;
#[path = "../socket/groups.rs"]
mod groups;
#[path = "../socket/letters.rs"]
mod letters;
#[path = "../socket/live.rs"]
mod live;
mod migrate;
mod moving;
#[path = "../socket/parts.rs"]
mod parts;
#[path = "../socket/people.rs"]
mod people;
#[path = "../socket/receipts.rs"]
mod receipts;
#[path = "../socket/registration.rs"]
mod registration;
#[path = "../socket/secrecy.rs"]
mod secrecy;
#[path = "../socket/turns.rs"]
mod turns;
