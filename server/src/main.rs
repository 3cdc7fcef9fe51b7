//! The `conclave-server` command.

fn main() {}
