//! `fanout`: a server under the load of real clients, who check what they are handed.

mod check;
mod connection;
mod content;
mod device;
mod drive;
mod finding;
mod glance;
mod ledger;
mod meter;
mod pace;
mod plan;
mod results;
mod run;
mod seat;
mod server_process;
mod setup;
mod source;
mod target;

pub(crate) use run::run;
pub(crate) use server_process::serve;
