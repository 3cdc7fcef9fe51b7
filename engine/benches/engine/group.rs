//! Groups of a thousand: sender keys, a removal, a join.

use crate::support::{rng, village};
use conclave_engine::wire::commit::Operation;
use conclave_village::{Contact, MAX_SENDERS, NOW, Primitives};
use divan::Bencher;

const DEVICES: usize = 1000;

/// As many as a first contact reaches in one upload.
const FIRST_CONTACT: usize = 400;

#[divan::bench(sample_size = 1, sample_count = 31)]
fn sender_key_known(bencher: Bencher<'_, '_>) {
    let (village, mut rng) = (village(DEVICES, MAX_SENDERS), rng());
    bencher
        .with_inputs(|| village.author(Contact::Known).reload().unwrap())
        .bench_local_refs(|(device, group)| group.distribute(device, &village.book, NOW, &mut rng).unwrap());
}

#[divan::bench(sample_size = 1, sample_count = 9)]
fn sender_key_first_contact(bencher: Bencher<'_, '_>) {
    let (village, mut rng) = (village(FIRST_CONTACT, 0), rng());
    bencher
        .with_inputs(|| village.author(Contact::First).reload().unwrap())
        .bench_local_refs(|(device, group)| group.distribute(device, &village.book, NOW, &mut rng).unwrap());
}

#[divan::bench(sample_size = 1, sample_count = 31)]
fn remove(bencher: Bencher<'_, '_>) {
    let (village, mut rng) = (village(DEVICES, MAX_SENDERS), rng());
    let operations = || vec![Operation::Remove { account: village.leaver }];
    bencher.with_inputs(|| (village.founder.reload().unwrap(), operations())).bench_local_values(
        |((device, mut group), operations)| {
            let staged = group.commit(&device, operations, b"", &village.book, NOW, &mut rng).unwrap();
            (group, staged)
        },
    );
}

#[divan::bench(sample_size = 1, sample_count = 31)]
fn take_removal(bencher: Bencher<'_, '_>) {
    let village = village(DEVICES, MAX_SENDERS);
    let upload = village.remove(Contact::Known, &mut rng()).unwrap().output;
    let entry = village.removal_entry(&upload).unwrap();
    bencher
        .with_inputs(|| village.bob.reload().unwrap())
        .bench_local_refs(|(device, group)| group.receive(device, &entry, NOW).unwrap());
}

/// One derivation for each sender.
#[divan::bench]
fn take_removal_primitives(bencher: Bencher<'_, '_>) {
    let primitives = Primitives::new(&mut rng());
    bencher.bench_local(|| {
        for _ in 0..MAX_SENDERS {
            divan::black_box(primitives.wide_derivation());
        }
    });
}

/// Reading the newcomer's own records is inside, which takes microseconds.
#[divan::bench(sample_size = 1, sample_count = 9)]
fn join(bencher: Bencher<'_, '_>) {
    let village = village(DEVICES, 0);
    bencher.bench_local(|| village.join().unwrap());
}
