//! Deliveries that must not open, each with its reason, and that leave the device as it was.

use super::test_pair::{CONTEXT, Pair};
use crate::envelope::{EnvelopeContext, OpenError, Purpose};
use crate::prekeys::Reach;
use crate::support::{START, flip};
use conclave_wire::codec::DecodeError;
use conclave_wire::ids::{Commitment, Epoch, GroupId, Timestamp};
use std::time::Duration;

/// (R54) An initial envelope opens once: a replay would begin its chain again, with keys that were used.
#[test]
fn an_initial_envelope_is_not_opened_twice() {
    let mut pair = Pair::new();
    let (secret, first) = pair.deliver();
    let _changes = pair.accept(&first, &secret);
    assert_eq!(pair.refusal(&first, &secret), OpenError::Replayed);
    // As long as the prekeys live, and after that they open nothing.
    let day = |n: u64| START.plus(Duration::from_secs(n * 24 * 3600));
    let _changes = pair.bob.replace_prekeys(day(1), &mut pair.rng);
    let _changes = pair.bob.prekeys_published(day(1));
    let _changes = pair.bob.retire_prekeys(day(2));
    assert_eq!(pair.refusal(&first, &secret), OpenError::Replayed);
    let changes = pair.bob.retire_prekeys(day(3));
    assert_eq!(changes.0.len(), 2, "the private halves and the list of what they opened");
    assert!(changes.0.iter().all(|change| change.value.is_none()));
    assert_eq!(pair.refusal(&first, &secret), OpenError::Prekeys);
}

/// (R51) What an envelope is for, and from whom, is inside it.
#[test]
fn an_initial_envelope_serves_one_purpose_group_epoch_and_sender() {
    let mut pair = Pair::new();
    let (secret, first) = pair.deliver();
    let contexts = [
        EnvelopeContext { purpose: Purpose::Welcome, ..CONTEXT },
        EnvelopeContext { purpose: Purpose::ContentKey, ..CONTEXT },
        EnvelopeContext { group: GroupId::from_bytes([2; 32]), ..CONTEXT },
        EnvelopeContext { epoch: Epoch(4), ..CONTEXT },
    ];
    for context in contexts {
        let opened = pair.to.open_payload(&pair.bob, Some(&first), &pair.alice.id(), context);
        assert_eq!(opened.map(drop), Err(OpenError::Context), "{context:?}");
    }
    let opened = pair.to.open_payload(&pair.bob, Some(&first), &pair.bob.id(), CONTEXT);
    assert_eq!(opened.map(drop), Err(OpenError::Context), "another sender");
    let (other, _) = pair.deliver();
    assert_eq!(pair.refusal(&first, &other), OpenError::Commitment);
    // Another device does not have the prekeys.
    let opened = pair.from.open_payload(&pair.alice, Some(&first), &pair.alice.id(), CONTEXT);
    assert_eq!(opened.map(drop), Err(OpenError::Prekeys));
    let _changes = pair.accept(&first, &secret);
}

/// (R50) Every byte of an initial envelope is authenticated.
#[test]
fn every_byte_of_an_initial_envelope() {
    let mut pair = Pair::new();
    let (secret, first) = pair.deliver();
    for at in 0..first.len() {
        let error = pair.refusal(&flip(&first, at), &secret);
        let expected = matches!(error, OpenError::Decode(_) | OpenError::NotAuthentic | OpenError::Prekeys);
        assert!(expected, "byte {at}: {error:?}");
    }
    let _changes = pair.accept(&first, &secret);
}

/// Nothing is opened by a key agreement to which the sender contributes a point of small order.
#[test]
fn small_order_points() {
    let mut pair = Pair::new();
    let (secret, first) = pair.deliver();
    let mut zero = first;
    // version, form, version, array, byte string head of the ephemeral key
    zero[6..38].fill(0);
    assert_eq!(pair.refusal(&zero, &secret), OpenError::NotAuthentic);
}

/// (R52) A wrap is worth nothing beside the one chain step and the one commitment that it was made for.
#[test]
fn wraps() {
    let mut pair = Pair::new();
    let (secret, first) = pair.deliver();
    let _changes = pair.accept(&first, &secret);
    pair.confirm();
    let (secret, wrap) = pair.deliver();
    assert_eq!(wrap.len(), 40);
    for (area, expected) in [
        (2, OpenError::Chain),
        (6, OpenError::Chain),
        (7, OpenError::Commitment),
        (39, OpenError::Commitment),
    ] {
        assert_eq!(pair.refusal(&flip(&wrap, area), &secret), expected, "byte {area}");
    }
    let of_another_commit = EnvelopeContext { epoch: Epoch(4), ..CONTEXT };
    let opened = pair
        .to
        .open_secret(&pair.bob, Some(&wrap), &pair.alice.id(), of_another_commit, &secret.commitment)
        .map(drop);
    assert_eq!(opened, Err(OpenError::Commitment));
    let opened = pair.to.open_payload(&pair.bob, Some(&wrap), &pair.alice.id(), CONTEXT).map(drop);
    assert_eq!(opened, Err(OpenError::NotAuthentic), "a wrap is no welcome");
    let _changes = pair.accept(&wrap, &secret);
    assert_eq!(pair.refusal(&wrap, &secret), OpenError::Chain, "its step is gone");
}

#[test]
fn no_delivery_and_no_form_of_one() {
    let pair = Pair::new();
    let commitment = Commitment::from_bytes([0; 32]);
    let opened = pair.to.open_secret(&pair.bob, None, &pair.alice.id(), CONTEXT, &commitment);
    assert_eq!(opened.map(drop), Err(OpenError::Missing));
    assert_eq!(pair.open(&[], &commitment).map(drop), Err(OpenError::Missing));
    let unknown = pair.open(&[9, 0], &commitment).map(drop).unwrap_err();
    assert!(matches!(unknown, OpenError::Decode(DecodeError::UnknownVersion { version: 9, .. })));
    let unknown = pair.open(&[1, 9], &commitment).map(drop).unwrap_err();
    assert!(matches!(unknown, OpenError::Decode(DecodeError::Malformed { .. })));
}

/// (R14) Nothing is sealed to prekeys of more than 90 days, nor to such from the future.
#[test]
fn prekeys_have_an_age() {
    let pair = Pair::new();
    let reachable = |now: Timestamp| pair.from.can_reach(&pair.addressee(), Reach { book: &pair.book, now });
    let days = Duration::from_secs(90 * 24 * 3600);
    let skew = Duration::from_secs(600);
    assert!(reachable(START) && reachable(START.plus(days)));
    assert!(!reachable(START.plus(days).plus(Duration::from_millis(1))));
    let before = |span: Duration| Timestamp(START.0 - u64::try_from(span.as_millis()).unwrap());
    assert!(reachable(before(skew)));
    assert!(!reachable(before(skew + Duration::from_millis(1))));
}
