//! What the reports say of this program.

use conclave_report::Program;

/// This program, told to do `command`.
pub(crate) const fn program(command: &'static str) -> Program {
    Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), command }
}
