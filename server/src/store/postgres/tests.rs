use super::*;
use crate::store::contract;
use conclave_postgres_fixture::Postgres as Fixture;
use std::cell::RefCell;
use std::collections::HashSet;

fn open(fixture: &Fixture, name: &str) -> Postgres {
    let url = fixture.url(name);
    Postgres::open(&StoreLocation::Postgres(url.clone()), &url).unwrap()
}

#[test]
fn keeps_the_contract() {
    let fixture = Fixture::start();
    let made = RefCell::new(HashSet::new());
    contract::check(&|dir| {
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        if made.borrow_mut().insert(name.clone()) {
            fixture.database(&name);
        }
        Box::new(open(&fixture, &name))
    });
}
