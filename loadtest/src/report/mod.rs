//! What a run says: a table for people, JSON for programs.

mod json;
mod table;

pub(crate) use json::Saver;
pub(crate) use table::{Table, figure};
