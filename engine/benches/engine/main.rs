//! What each piece of the engine's work costs, and its primitives beside it: `cargo bench -p conclave-engine`.
//!
//! The steps and the people are those of `loadtest/village`, which `conclave-loadtest seal` and the comparison with
//! other libraries in `loadtest/peers` measure too; so there is little here but the calls themselves. Records are
//! part of each call, storing them is not. `docs/performance.md` says what the figures mean.

// A benchmark that cannot be set up has nothing to go on with.
#![allow(clippy::unwrap_used)]

mod group;
mod messages;
mod support;

fn main() {
    divan::main();
}
