//! One-time prekeys: given once, whatever happens in between.

use super::{Fixture, Open, registration};
use crate::people::Person;
use crate::store::{Rejected, Write, Written};
use conclave_wire::ids::{DeviceId, OneTimePrekeyId};
use conclave_wire::limits::MAX_ONE_TIME_PREKEYS;
use conclave_wire::prekeys::{AgreementKey, OneTimePrekey};

fn prekey(id: u32) -> OneTimePrekey {
    OneTimePrekey {
        id: OneTimePrekeyId(id),
        key: AgreementKey::from_bytes([u8::try_from(id % 251).unwrap(); 32]),
    }
}

fn publish(device: DeviceId, ids: impl IntoIterator<Item = u32>, replace: bool) -> Write {
    Write::PublishOneTime { device, prekeys: ids.into_iter().map(prekey).collect(), replace }
}

pub(super) fn check(open: Open<'_>) {
    let mut fixture = Fixture::new(open);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Person::new);
    let [a, b, c] = [&alice, &bob, &carol].map(Person::device);
    let left = |left| Ok(Written::OneTimeLeft(left));
    let taken =
        |ids: &[Option<u32>]| Ok(Written::OneTimeTaken(ids.iter().map(|id| id.map(prekey)).collect()));
    assert_eq!(fixture.one(publish(a, [1], false)), Err(Rejected::UnknownDevice));
    for person in [&alice, &bob] {
        fixture.one(Write::Register(registration(person))).unwrap();
    }
    assert_eq!(fixture.one(publish(a, [7, 300, 5], false)), left(3));
    assert_eq!(fixture.one(publish(b, [1], false)), left(1));
    assert_eq!(fixture.one(publish(a, [], false)), left(3));
    // The lowest first, as a number; of who has none, none.
    assert_eq!(fixture.one(Write::TakeOneTime(vec![a, c, b])), taken(&[Some(5), None, Some(1)]));
    // Within one batch, and for one who asks twice at once.
    let batch = [
        Write::TakeOneTime(vec![a, a]),
        publish(a, [301], false),
        Write::TakeOneTime(vec![b, a]),
        Write::TakeOneTime(vec![a]),
    ];
    let expected = [taken(&[Some(7), Some(300)]), left(1), taken(&[None, Some(301)]), taken(&[None])];
    assert_eq!(fixture.store.write(&batch).unwrap(), expected);
    drop(fixture.store);
    fixture.store = open(fixture.dir.path());
    assert_eq!(fixture.one(Write::TakeOneTime(vec![a, b])), taken(&[None, None]));

    assert_eq!(fixture.one(publish(a, 10..14, false)), left(4));
    assert_eq!(fixture.one(publish(a, [20], true)), left(1));
    assert_eq!(fixture.one(publish(a, [], true)), left(0));
    let many = u32::try_from(MAX_ONE_TIME_PREKEYS).unwrap();
    assert_eq!(fixture.one(publish(a, 0..many, false)), left(many));
    assert_eq!(fixture.one(publish(a, many..many + 3, false)), left(many));
    assert_eq!(fixture.one(Write::TakeOneTime(vec![a])), taken(&[Some(3)]));
}
