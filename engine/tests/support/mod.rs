//! A log in memory that does what the server does, and devices that keep their records as a store would.

#![allow(dead_code, unreachable_pub, unused_imports)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod devices;
mod forge;
mod history;
mod log;
mod operations;
mod person;
mod repair;
mod rng;

pub use devices::{Household, sign_manifest, update};
pub use forge::{Forger, decode_fields, flip};
pub use history::{Act, History};
pub use log::{Log, Rejected};
pub use person::{Person, Snapshot, Store};
pub use rng::SeedRng;

use conclave_engine::PrekeyBook;
use conclave_engine::wire::ids::Timestamp;
use conclave_engine::wire::roster::Role;

/// When every test begins.
pub const START: Timestamp = Timestamp(1_750_000_000_000);

/// The prekeys of some people, as the server would hand them out.
pub fn book(people: &[&Person]) -> PrekeyBook {
    let mut book = PrekeyBook::default();
    for person in people {
        book.insert(&person.device.prekeys().unwrap().encode()).unwrap();
    }
    book
}

/// A group of these people in which everybody has joined: the first founds it, the others are added in these roles.
pub fn gather(people: &mut [&mut Person], roles: &[Role]) -> (Log, PrekeyBook) {
    let mut keys = PrekeyBook::default();
    for person in &*people {
        keys.insert(&person.device.prekeys().unwrap().encode()).unwrap();
    }
    let (founder, others) = people.split_first_mut().unwrap();
    let mut log = founder.found();
    let add = others.iter().zip(roles).map(|(person, role)| person.add_operation(*role)).collect();
    founder.change(&mut log, &keys, add);
    let joined = log.head();
    for person in others {
        person.join(&log, joined).unwrap();
    }
    (log, keys)
}
