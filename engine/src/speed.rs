//! What signing, agreeing and the calls that are made of them take, for comparing builds with and without the feature
//! `accelerated`. Run by hand, one after the other, on a quiet machine:
//!
//! ```text
//!     cargo test --release -p conclave-engine --lib speed -- --ignored --nocapture
//!     cargo test --release -p conclave-engine --lib speed --features accelerated -- --ignored --nocapture
//! ```
//!
//! Prints microseconds: the least, and the median. Storing is outside.

use crate::agreement::PrivateKey;
use crate::secret::Secret;
use crate::support::{Person, SeedRng, gather};
use conclave_wire::entry::EntryKind;
use conclave_wire::roster::Role;
use conclave_wire::signature::{Label, SigningKey, sign};
use std::hint::black_box;
use std::time::{Duration, Instant};

const LABEL: Label = Label("conclave v1 sign group message");

/// Others in the group, to each of whom the initial envelope of a first contact goes.
const OTHERS: u32 = 10;

const REPETITIONS: usize = 200;

fn say(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!("{what:28} {:8.2} {:8.2}", us(times[0]), us(times[times.len() / 2]));
}

fn many(what: &str, mut work: impl FnMut()) {
    const CALLS: u32 = 20;
    let time = || {
        let begun = Instant::now();
        (0..CALLS).for_each(|_| work());
        begun.elapsed() / CALLS
    };
    say(what, std::iter::repeat_with(time).take(REPETITIONS).collect());
}

#[test]
#[ignore = "wants a quiet machine and --release"]
fn what_it_takes() {
    println!("accelerated: {}", cfg!(feature = "accelerated"));
    let (key, digest) = (SigningKey::from_bytes(&[7; 32]), [1; 32]);
    let (public, signature) = (key.verifying_key(), sign(&key, LABEL, &digest));
    many("sign", || {
        black_box(sign(&key, LABEL, black_box(&digest)));
    });
    many("verify", || public.verify(LABEL, black_box(&digest), &signature).unwrap());
    let [ours, theirs] = [1, 2].map(|byte| PrivateKey::new(&Secret::from_bytes([byte; 32])));
    let theirs = theirs.public();
    many("agree", || drop(black_box(ours.agree(black_box(&theirs)))));
    messages();
    first_contact();
}

fn messages() {
    let mut people = [Person::new("alice", 1), Person::new("bob", 2)];
    let (mut log, keys) = {
        let [alice, bob] = &mut people;
        gather(&mut [alice, bob], &[Role::Member])
    };
    let [alice, bob] = &mut people;
    alice.send(&mut log, &keys, b"hello");
    bob.catch_up(&log);
    let mut rng = SeedRng::new(3);
    let (mut seal, mut open) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS * 4 {
        let begun = Instant::now();
        let sealed = alice.group.as_mut().unwrap().seal(&[7; 256], &mut rng).unwrap();
        seal.push(begun.elapsed());
        let seq = log.append(EntryKind::Message, sealed.message, Default::default());
        let entry = log.entry(seq, &bob.device.id());
        let begun = Instant::now();
        let received = bob.group.as_mut().unwrap().receive(&mut bob.device, &entry, bob.now).unwrap();
        open.push(begun.elapsed());
        assert!(matches!(received.event, crate::Event::Message(_)));
        alice.catch_up(&log);
    }
    say("seal 256 B", seal);
    say("open 256 B", open);
}

/// The founder knows everybody, who was added knows nobody.
fn first_contact() {
    let mut people: Vec<_> = (0..=OTHERS).map(|seed| Person::new("someone", seed.into())).collect();
    let (_, keys) = {
        let mut all: Vec<_> = people.iter_mut().collect();
        gather(&mut all, &[Role::Member; OTHERS as usize])
    };
    let mut rng = SeedRng::new(3);
    let time = || {
        let mut person = people[1].copy();
        let begun = Instant::now();
        let distributed =
            person.group.as_mut().unwrap().distribute(&person.device, &keys, person.now, &mut rng);
        let spent = begun.elapsed() / OTHERS;
        assert!(distributed.is_ok());
        spent
    };
    say("initial envelope, of ten", std::iter::repeat_with(time).take(REPETITIONS).collect());
}
