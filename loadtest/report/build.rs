//! Notes how the program was built, because a figure without its compiler and flags means nothing.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    note("RUSTC_VERSION", version.trim());
    note("RUSTFLAGS", &env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\x1f', " "));
    note("PROFILE", &env::var("PROFILE").unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
}

fn note(name: &str, value: &str) {
    println!("cargo::rustc-env=REPORT_{name}={value}");
}
