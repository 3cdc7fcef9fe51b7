//! Letters from one device of a group to another.

use crate::client::{Client, TestServer};
use crate::people::{Person, Room};
use conclave_wire::frame::ServerFrame;
use conclave_wire::ids::{DeviceId, GroupId, LetterNumber, Opaque};
use conclave_wire::letter::{Letter, LetterKind};
use conclave_wire::limits::{MAX_LETTER, MAX_LETTERS_PER_SENDER};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;

fn answer(group: GroupId, to: DeviceId, body: &[u8]) -> Request {
    Request::SendLetter { group, to, kind: LetterKind::RepairAnswer, body: Opaque(body.to_vec()) }
}

fn request(room: &Room, by: &Person, of: DeviceId, to: DeviceId) -> Request {
    let body = Opaque(room.repair_request(by, of));
    Request::SendLetter { group: room.id(), to, kind: LetterKind::RepairRequest, body }
}

async fn letters(client: &mut Client, after: u64) -> Vec<Letter> {
    match client.ask(Request::FetchLetters { after: LetterNumber(after) }).await {
        Reply::Letters { letters, more: false } => letters,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn letters_wait_for_who_is_away_and_are_told_to_who_is_there() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Person::new);
    let (mut a, mut b) = (server.client(&alice).await, server.client(&bob).await);
    let mut c = server.client(&carol).await;
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;

    // Bob is away: it waits, until he has fetched it and says so.
    let asked = request(&room, &alice, bob.device(), bob.device());
    assert_eq!(a.ask(asked).await, Reply::Done);
    let waiting = letters(&mut b, 0).await;
    let [Letter { number, kind: LetterKind::RepairRequest, group, from, .. }] = waiting.as_slice() else {
        panic!("{waiting:?}")
    };
    assert_eq!((*number, *group, *from), (LetterNumber(1), room.id(), alice.device()));
    assert_eq!(letters(&mut b, 0).await.len(), 1);
    assert_eq!(letters(&mut b, 1).await.len(), 0);
    assert_eq!(b.ask(Request::ForgetLetters { through: LetterNumber(1) }).await, Reply::Done);
    assert_eq!(letters(&mut b, 0).await.len(), 0);
    assert_eq!(letters(&mut a, 0).await.len(), 0, "it is not hers");

    // Alice is there, on whichever node, and is told.
    a.subscribe(&[]).await;
    assert_eq!(b.ask(answer(room.id(), alice.device(), b"key")).await, Reply::Done);
    assert_eq!(a.frame().await.unwrap(), ServerFrame::LettersWait);
    assert_eq!(letters(&mut a, 0).await[0].body.0, b"key");

    // Members alone, for members alone, and requests by who asks.
    let to_bob = answer(room.id(), bob.device(), b"key");
    assert_eq!(c.refused(to_bob).await, Refusal::NotMember);
    assert_eq!(
        c.refused(answer(GroupId::from_bytes([9; 32]), bob.device(), b"key")).await,
        Refusal::NotMember
    );
    for odd in [
        answer(room.id(), carol.device(), b"key"),
        answer(room.id(), bob.device(), b"key"),
        request(&room, &alice, alice.device(), alice.device()),
        request(&room, &bob, carol.device(), alice.device()),
        answer_of_kind_request(&room, &alice),
    ] {
        assert!(matches!(b.refused(odd.clone()).await, Refusal::InvalidEntry { .. }), "{odd:?}");
    }
    let large = answer(room.id(), alice.device(), &[0; MAX_LETTER + 1]);
    assert!(matches!(b.refused(large).await, Refusal::TooLarge { .. }));
    for _ in 1..MAX_LETTERS_PER_SENDER {
        assert_eq!(b.ask(answer(room.id(), alice.device(), b"more")).await, Reply::Done);
    }
    assert_eq!(b.refused(answer(room.id(), alice.device(), b"full")).await, Refusal::MailboxFull);

    // Who was removed can leave nothing any more.
    let remove = room.commit(&alice, vec![bob.remove()]);
    a.commit(&mut room, remove, 0, &[]).await;
    assert_eq!(b.refused(answer(room.id(), alice.device(), b"late")).await, Refusal::NotMember);
}

/// What claims to be a request and is none.
fn answer_of_kind_request(room: &Room, to: &Person) -> Request {
    let body = Opaque(b"no request".to_vec());
    Request::SendLetter { group: room.id(), to: to.device(), kind: LetterKind::RepairRequest, body }
}

#[tokio::test]
async fn nobody_is_asked_in_anothers_name() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Person::new);
    let (mut a, mut b) = (server.client(&alice).await, server.client(&bob).await);
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add(), carol.add()]);
    a.commit(&mut room, add, 0, &[&bob, &carol]).await;
    // Bob sends on what Alice once signed, or alters it.
    let to_carol = request(&room, &alice, carol.device(), carol.device());
    assert!(matches!(b.refused(to_carol).await, Refusal::InvalidEntry { .. }));
    let left = |body| Request::SendLetter {
        group: room.id(),
        to: carol.device(),
        kind: LetterKind::RepairRequest,
        body: Opaque(body),
    };
    let mut altered = room.repair_request(&bob, carol.device());
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let elsewhere = Room::genesis(&bob, 2).1.repair_request(&bob, carol.device());
    for forged in [altered, room.forged_request(&bob, &alice, carol.device()), elsewhere] {
        assert!(matches!(b.refused(left(forged)).await, Refusal::InvalidEntry { .. }));
    }
    let own = left(room.repair_request(&bob, carol.device()));
    let Refusal::InvalidEntry { reason } = b.refused(own).await else { panic!() };
    assert!(reason.contains("not registered"), "nothing else is wrong with it: {reason}");
}
