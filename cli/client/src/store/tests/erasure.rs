//! Old secrets are gone from every file of a profile.

use super::{Dir, GROUP, finds, put, write};
use crate::store::Store;
use conclave_engine::Scope;
use rand::{Rng, RngExt};
use std::collections::{HashMap, HashSet};

/// What a file holds that was made with secrets that are gone.
#[test]
fn old_ciphertexts_are_overwritten() {
    let dir = Dir::new();
    let mut store = dir.create();
    write(&mut store, vec![put(Scope::Device, b"chain", Some(&[1; 100]))]);
    write(&mut store, vec![put(Scope::Device, b"other", Some(&[2; 5000]))]);
    let rows = sealed_rows(&store);
    assert!(rows.values().all(|sealed| finds(&dir.bytes(), &sealed[..40])), "the test finds what is there");
    write(
        &mut store,
        vec![put(Scope::Device, b"chain", Some(&[3; 100])), put(Scope::Device, b"other", None)],
    );
    let bytes = dir.bytes();
    assert!(rows.values().all(|sealed| !sealed.chunks_exact(24).any(|part| finds(&bytes, part))));
    assert!(!finds(&bytes, &[1; 32]) && !finds(&bytes, &[3; 32]), "nothing is there in plain");
}

fn sealed_rows(store: &Store) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut query = store.db.prepare("select place, sealed from record").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Over a long history of rows of all sizes, SQLite leaves a few old ciphertexts behind when it balances pages. The
/// secrets under which they were sealed are all gone, in every file, after every commit.
#[test]
fn secrets_of_old_values_are_gone() {
    let dir = Dir::new();
    let mut store = dir.create();
    let mut random = rand::rng();
    let mut gone: Vec<[u8; 32]> = Vec::new();
    for round in 0..600 {
        let before = slots(&store);
        let changes = (0..random.random_range(1..6))
            .map(|_| {
                let name = [random.random_range(0..120)];
                let size = [40, 200, 700, 3000, 9000][random.random_range(0..5)];
                let mut value = vec![0; size];
                random.fill_bytes(&mut value);
                put(Scope::Group(GROUP), &name, (random.random_range(0..8) > 0).then_some(&value))
            })
            .collect();
        write(&mut store, changes);
        let after = slots(&store);
        gone.extend(before.iter().filter(|(id, secret)| after.get(id) != Some(*secret)).map(|(_, s)| *s));
        if round % 50 == 49 {
            let bytes = dir.bytes();
            let present: HashSet<&[u8]> = bytes.windows(16).collect();
            for secret in gone.iter().filter(|secret| **secret != [0; 32]) {
                assert!(
                    !present.contains(&secret[..16]) && !present.contains(&secret[16..]),
                    "round {round}"
                );
            }
            let live = slots(&store);
            assert!(live.values().filter(|s| **s != [0; 32]).all(|s| present.contains(&s[..16])));
        }
    }
    assert!(gone.len() > 1000, "the history overwrote much: {}", gone.len());
}

fn slots(store: &Store) -> HashMap<i64, [u8; 32]> {
    let mut query = store.db.prepare("select id, secret from slot").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn slots_are_used_again() {
    let dir = Dir::new();
    let mut store = dir.create();
    for n in 0..20_u8 {
        write(&mut store, vec![put(Scope::Device, &[n], Some(b"x"))]);
        write(&mut store, vec![put(Scope::Device, &[n], None)]);
    }
    assert_eq!(slots(&store).len(), 1);
    write(&mut store, vec![put(Scope::Group(GROUP), b"a", Some(b"x")), put(Scope::Device, b"b", Some(b"y"))]);
    let mut step = store.step().unwrap();
    step.clear_scope(Scope::Group(GROUP)).unwrap();
    step.commit().unwrap();
    drop(store);
    let mut store = dir.open().unwrap().store;
    assert_eq!(store.records(Scope::Group(GROUP)).unwrap().len(), 0);
    assert_eq!(store.records(Scope::Device).unwrap().len(), 1);
    write(&mut store, vec![put(Scope::Device, b"c", Some(b"z"))]);
    assert_eq!(slots(&store).len(), 2);
}
