//! Large groups, settled once for all benchmarks that need them.

use conclave_village::{Plan, Village};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

thread_local! {
    static VILLAGES: RefCell<BTreeMap<(usize, usize), Rc<Village>>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// A group of `devices`, of which `senders` have given the founder and Bob a sender key.
pub(crate) fn village(devices: usize, senders: usize) -> Rc<Village> {
    VILLAGES.with_borrow_mut(|villages| {
        let settle = || Rc::new(Village::settle(Plan::new(devices, senders), &|_| {}, &mut rng()).unwrap());
        Rc::clone(villages.entry((devices, senders)).or_insert_with(settle))
    })
}
