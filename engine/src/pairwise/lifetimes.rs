//! How long pairwise chains live, and that what travelled on them serves once.

use super::test_pair::{CONTEXT, Pair};
use super::{Dispatch, Opened, Upload};
use crate::envelope::{EnvelopeContext, OpenError, Purpose};
use crate::limits::{MAX_CHAIN_AGE, MAX_PER_PAIRWISE_CHAIN};
use crate::prekeys::Reach;
use crate::record::Changes;
use crate::support::{START, flip};
use std::time::Duration;

const WRAP: usize = 40;

/// A pair with a chain that both have.
fn contact() -> Pair {
    let mut pair = Pair::new();
    let (secret, first) = pair.deliver();
    let _changes = pair.accept(&first, &secret);
    pair.confirm();
    pair
}

/// A chain serves 100 envelopes, all of which open; the next is an initial one again.
#[test]
fn a_chain_serves_a_hundred_times() {
    let mut pair = contact();
    for index in 0..MAX_PER_PAIRWISE_CHAIN {
        let (secret, wrap) = pair.deliver();
        assert_eq!((wrap.len(), &wrap[6..8]), (WRAP, &index.to_be_bytes()[..]));
        let _changes = pair.accept(&wrap, &secret);
    }
    let (secret, fresh) = pair.deliver();
    assert!(fresh.len() > WRAP, "an initial envelope");
    let _changes = pair.accept(&fresh, &secret);
    pair.confirm();
    assert_eq!(pair.deliver().1.len(), WRAP);
}

/// A chain is used for 7 days, however little it was used.
#[test]
fn a_chain_serves_for_seven_days() {
    let mut pair = contact();
    pair.now = START.plus(MAX_CHAIN_AGE - Duration::from_millis(1));
    assert_eq!(pair.deliver().1.len(), WRAP);
    pair.now = START.plus(MAX_CHAIN_AGE);
    assert!(pair.deliver().1.len() > WRAP);
    assert!(!pair.from.can_continue(&pair.bob.id(), pair.now));
}

/// (R52) The last index that a recipient derives is 99; one beyond it is refused, whatever the bytes promise.
#[test]
fn a_recipient_derives_a_hundred_steps() {
    let mut pair = contact();
    let (secret, mut wrap) = pair.deliver();
    for (index, error) in [(99, OpenError::Commitment), (100, OpenError::Chain), (u16::MAX, OpenError::Chain)]
    {
        wrap[6..8].copy_from_slice(&index.to_be_bytes());
        assert_eq!(pair.refusal(&wrap, &secret), error, "{index}");
    }
}

/// The newest two chains of a sender are kept: what was under way on the one before still opens, and nothing older.
#[test]
fn two_chains_of_a_sender_are_kept() {
    let mut pair = contact();
    let wraps: Vec<_> = (0..3)
        .map(|_| {
            let wrap = pair.deliver();
            pair.now = pair.now.plus(MAX_CHAIN_AGE);
            let (secret, fresh) = pair.deliver();
            let _changes = pair.accept(&fresh, &secret);
            pair.confirm();
            wrap
        })
        .collect();
    let refused = wraps.iter().map(|(secret, wrap)| pair.open(wrap, &secret.commitment).err());
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused, [Some(OpenError::Chain), Some(OpenError::Chain), None]);
}

/// (R52) (R57) A continued envelope opens once, in its own context, and every byte of it counts.
#[test]
fn continued_envelopes() {
    let mut pair = contact();
    let context = EnvelopeContext { purpose: Purpose::Welcome, ..CONTEXT };
    let reach = Reach { book: &pair.book, now: START };
    let dispatch = Dispatch { from: &pair.alice, context, upload: Upload::Commit, reach };
    let to = pair.addressee();
    let mut changes = Changes::default();
    let sealed =
        pair.from.seal_to(&[to], b"a welcome", dispatch, &mut pair.rng, &mut changes).remove(0).unwrap();
    assert_eq!(sealed[..2], [1, 2]);
    assert!(!changes.0.is_empty(), "the step that it took is stored with it");
    let open = |pair: &Pair, sealed: &[u8], context| {
        pair.to.open_payload(&pair.bob, Some(sealed), &pair.alice.id(), context)
    };
    for at in 0..sealed.len() {
        let opened = open(&pair, &flip(&sealed, at), context).map(drop);
        assert!(opened.is_err(), "byte {at}");
    }
    let other = open(&pair, &sealed, CONTEXT).map(drop);
    assert_eq!(other, Err(OpenError::NotAuthentic), "another purpose");
    let (payload, opened) = open(&pair, &sealed, context).unwrap();
    assert_eq!(*payload, b"a welcome");
    assert!(matches!(opened, Opened::Step { .. }));
    pair.to.accept(&mut pair.bob, opened, START, &mut Changes::default());
    assert_eq!(open(&pair, &sealed, context).map(drop), Err(OpenError::Chain), "its step is gone");
}
