//! What does not fit a frame with its entry: uploads in parts.

use crate::client::{delivery, numbered};
use crate::groups::Two;
use crate::people::{Person, Room};
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{Opaque, Seq, UploadId};
use conclave_wire::limits::MAX_PART_BYTES;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::{DeliveryFor, Request};

fn part(upload: UploadId, number: u32, deliveries: &[(&Person, &str)]) -> Request {
    let deliveries = deliveries.iter().map(|(person, text)| DeliveryFor {
        device: person.device(),
        delivery: Opaque(text.as_bytes().to_vec()),
    });
    Request::StagePart { upload, number, deliveries: deliveries.collect() }
}

/// What does not fit a frame goes ahead of its entry in parts; each device gets its own, live and later.
#[tokio::test]
async fn deliveries_and_welcomes_in_parts() {
    let mut two = Two::new().await;
    let group = two.room.id();
    two.b.subscribe(&[(group, 2)]).await;
    let upload = UploadId::from_bytes([1; 16]);
    let distribution = |room: &Room, alice: &Person, staged| Request::Distribute {
        group,
        distribution: Opaque(room.distribution(alice)),
        deliveries: vec![],
        staged: Some(staged),
    };
    // Not there yet; of the wrong devices; of somebody else.
    let early = distribution(&two.room, &two.alice, upload);
    assert_eq!(two.a.refused(early).await, Refusal::UnknownUpload);
    assert_eq!(two.a.ask(part(upload, 0, &[(&two.bob, "for bob"), (&two.alice, "")])).await, Reply::Done);
    let wrong = distribution(&two.room, &two.alice, upload);
    assert_eq!(two.a.refused(wrong).await, Refusal::WrongDeliveries { expected: 1, found: 2 });
    let theft = distribution(&two.room, &two.bob, upload);
    assert_eq!(two.b.refused(theft).await, Refusal::UnknownUpload);
    let out_of_order = part(upload, 7, &[]);
    assert_eq!(two.a.refused(out_of_order).await, Refusal::PartOutOfOrder { expected: 1 });
    let both = Request::Distribute {
        group,
        distribution: Opaque(two.room.distribution(&two.alice)),
        deliveries: numbered(1),
        staged: Some(upload),
    };
    assert!(matches!(two.a.refused(both).await, Refusal::Malformed { .. }));

    let upload = UploadId::from_bytes([2; 16]);
    for _ in 0..2 {
        assert_eq!(two.a.ask(part(upload, 0, &[(&two.bob, "for bob")])).await, Reply::Done);
    }
    let right = distribution(&two.room, &two.alice, upload);
    assert_eq!(two.a.ask(right).await, Reply::Accepted { group, seq: Seq(3) });
    two.room.last_distribution = Seq(3);
    let pushed = two.b.push().await;
    assert_eq!((pushed.seq, pushed.kind), (Seq(3), EntryKind::Distribution));
    assert_eq!(delivery(&pushed).unwrap(), "for bob");

    // A commit with a welcome, whose newcomer is connected and subscribed to nothing.
    let carol = Person::new("carol");
    let mut c = two.server.client(&carol).await;
    c.subscribe(&[]).await;
    let upload = UploadId::from_bytes([3; 16]);
    assert_eq!(two.a.ask(part(upload, 0, &[(&carol, "welcome carol")])).await, Reply::Done);
    let add = two.room.commit(&two.alice, vec![carol.add()]);
    let commit = |staged| Request::Commit {
        commit: Opaque(add.clone()),
        deliveries: vec![],
        welcomes: vec![],
        staged: Some(staged),
    };
    assert_eq!(two.a.ask(commit(upload)).await, Reply::Accepted { group, seq: Seq(4) });
    // It is told again what became of it, as of any commit.
    assert_eq!(two.a.ask(commit(upload)).await, Reply::Accepted { group, seq: Seq(4) });
    two.room.advance(&add);
    let pushed = c.push().await;
    assert_eq!((pushed.seq, delivery(&pushed).unwrap()), (Seq(4), "welcome carol".to_owned()));
    assert_eq!(delivery(&two.b.push().await), None);

    // A removal in parts is the last thing that the removed device is pushed.
    let upload = UploadId::from_bytes([4; 16]);
    assert_eq!(two.a.ask(part(upload, 0, &[(&carol, "secret")])).await, Reply::Done);
    let removal = two.room.commit(&two.alice, vec![two.bob.remove()]);
    let request = Request::Commit {
        commit: Opaque(removal),
        deliveries: vec![],
        welcomes: vec![],
        staged: Some(upload),
    };
    assert_eq!(two.a.ask(request).await, Reply::Accepted { group, seq: Seq(5) });
    assert_eq!(two.b.push().await.seq, Seq(5));
    let pushed = c.push().await;
    assert_eq!((pushed.seq, delivery(&pushed).unwrap()), (Seq(5), "secret".to_owned()));

    let large = Opaque(vec![0; MAX_PART_BYTES]);
    let delivery = DeliveryFor { device: carol.device(), delivery: large };
    let large = Request::StagePart { upload, number: 1, deliveries: vec![delivery.clone(), delivery] };
    assert!(matches!(two.a.refused(large).await, Refusal::TooLarge { .. }));
}
