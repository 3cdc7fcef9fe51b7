//! Messages: one at a time, and a backlog.

use crate::support::rng;
use conclave_engine::Event;
use conclave_engine::limits::MAX_CONTENT;
use conclave_village::{NOW, Pair, Primitives, content};
use divan::Bencher;
use divan::counter::ItemsCount;
use std::cell::RefCell;

const SIZES: [usize; 2] = [256, MAX_CONTENT];

/// Fewer than the engine lets wait for the log to show them.
const SAMPLE: u32 = 32;

/// Messages of a backlog, in pages as the server's.
const BACKLOG: u32 = 2560;
const PAGE: usize = 256;

#[divan::bench(args = SIZES, sample_size = SAMPLE)]
fn seal(bencher: Bencher<'_, '_>, size: usize) {
    let pair = RefCell::new(Pair::new(&mut rng()).unwrap());
    let sealed = RefCell::new(Vec::<Vec<u8>>::new());
    let (mut given, mut hedges) = (rng(), rng());
    bencher
        .with_inputs(|| {
            let mut pair = pair.borrow_mut();
            for message in sealed.take() {
                let entry = pair.post(&message).unwrap();
                pair.confirm(&entry).unwrap();
            }
            pair.prepare(SAMPLE, &mut given).unwrap();
            content(size, &mut given)
        })
        .bench_local_refs(|content| {
            let made = pair.borrow_mut().sender().unwrap().seal(content, &mut hedges).unwrap();
            sealed.borrow_mut().push(made.message);
            made.changes
        });
}

#[divan::bench(args = SIZES)]
fn seal_primitives(bencher: Bencher<'_, '_>, size: usize) {
    let primitives = Primitives::new(&mut rng());
    let content = content(size, &mut rng());
    bencher.bench_local(|| primitives.seal(&content).unwrap());
}

#[divan::bench(args = SIZES, sample_size = SAMPLE)]
fn open(bencher: Bencher<'_, '_>, size: usize) {
    let pair = RefCell::new(Pair::new(&mut rng()).unwrap());
    let mut given = rng();
    bencher
        .with_inputs(|| {
            let mut pair = pair.borrow_mut();
            pair.prepare(SAMPLE, &mut given).unwrap();
            let entry = pair.seal(&content(size, &mut given), &mut given).unwrap().output;
            pair.confirm(&entry).unwrap();
            entry
        })
        .bench_local_refs(|entry| {
            let mut pair = pair.borrow_mut();
            let (device, group) = pair.reader().unwrap();
            group.receive(device, entry, NOW).unwrap()
        });
}

#[divan::bench(args = SIZES)]
fn open_primitives(bencher: Bencher<'_, '_>, size: usize) {
    let primitives = Primitives::new(&mut rng());
    let made = primitives.seal(&content(size, &mut rng())).unwrap();
    bencher.bench_local(|| primitives.open(&made).unwrap());
}

#[divan::bench(sample_size = 1, sample_count = 9)]
fn catch_up(bencher: Bencher<'_, '_>) {
    let mut given = rng();
    bencher
        .counter(ItemsCount::new(BACKLOG))
        .with_inputs(|| {
            let mut pair = Pair::new(&mut given).unwrap();
            let mut entries = Vec::new();
            for _ in 0..BACKLOG {
                let entry = pair.seal(&content(256, &mut given), &mut given).unwrap().output;
                pair.confirm(&entry).unwrap();
                entries.push(entry);
            }
            (pair, entries)
        })
        .bench_local_refs(|(pair, entries)| {
            let (device, group) = pair.reader().unwrap();
            for page in entries.chunks(PAGE) {
                let read = group.receive_all(device, page, NOW);
                assert!(read.events.iter().all(|(_, event)| matches!(event, Ok(Event::Message(_)))));
            }
        });
}

/// Of one message whose signature is not looked at.
#[divan::bench]
fn catch_up_primitives(bencher: Bencher<'_, '_>) {
    let primitives = Primitives::new(&mut rng());
    let made = primitives.seal(&content(256, &mut rng())).unwrap();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| primitives.open_by_link(&made).unwrap());
}
