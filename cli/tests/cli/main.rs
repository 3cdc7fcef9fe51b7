//! The `conclave` command as people and scripts meet it: real processes, real sockets, a real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod crash;
mod demo;
mod help;
mod output;
mod story;
mod support;
mod tls;
mod wrong_input;
mod wrong_profile;
mod wrong_server;
