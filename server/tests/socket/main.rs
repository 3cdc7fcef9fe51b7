//! The server over real sockets, from outside: a client of this test's own, which shares nothing with the real one but
//! the wire crate.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// One server, on the embedded store.
const CLUSTER: bool = false;

mod admission;
mod bad_input;
#[allow(dead_code)] // some of it is for several servers
mod client;
#[allow(dead_code)]
mod command;
mod crash;
mod crowd;
mod groups;
mod letters;
mod live;
mod metrics;
mod parts;
mod people;
mod rates;
mod receipts;
mod registration;
mod secrecy;
mod tls;
mod trimmed;
mod turns;
