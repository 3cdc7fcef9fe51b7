//! How a measuring program says what it measured, and on what: a table for people, JSON for programs.

mod json;
mod machine;
mod progress;
mod spread;
mod table;

pub use json::{Program, SaveError, Saver};
pub use machine::{Machine, PinError, pin, raise_file_limit};
pub use progress::Progress;
pub use spread::Spread;
pub use table::{Table, figure};
