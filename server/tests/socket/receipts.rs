//! The server's signed word for each commit: the same to everybody, from whichever node, and after a restart.

use crate::client::{Client, TestServer};
use crate::people::Person;
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::ids::{CommitHash, Epoch, GroupId, Seq};
use conclave_wire::receipt::{ReceiptBody, ServerKey, UnverifiedReceipt};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::Request;

/// The receipts that somebody is given, verified.
async fn receipts(client: &mut Client, group: GroupId, from: u32) -> (ServerKey, Vec<ReceiptBody>) {
    let request = Request::Receipts { group, from: Epoch(from) };
    let Reply::Receipts { key, receipts } = client.ask(request).await else { panic!() };
    let verified = receipts.iter().map(|receipt| {
        let unverified = UnverifiedReceipt::decode(&receipt.0).unwrap();
        unverified.verify(key.as_bytes()).unwrap().body().clone()
    });
    (key, verified.collect())
}

fn hash(commit: &[u8]) -> CommitHash {
    UnverifiedCommit::decode(commit).unwrap().hash()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_for_each_commit_and_for_members_alone() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Person::new);
    let mut a = server.client(&alice).await;
    let mut b = server.client(&bob).await;
    let mut c = server.client(&carol).await;
    let mut room = a.genesis(&alice, 1).await;
    let id = room.id();
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add.clone(), 0, &[&bob]).await;
    a.post(&room, &alice, "between").await;
    let also = room.commit(&alice, vec![carol.add()]);
    a.commit(&mut room, also.clone(), 0, &[&carol]).await;

    let body = |epoch, commit, seq| ReceiptBody { group: id, epoch: Epoch(epoch), commit, seq: Seq(seq) };
    let genesis = CommitHash::from_bytes(*id.as_bytes());
    let all = [body(0, genesis, 1), body(1, hash(&add), 2), body(2, hash(&also), 4)];
    let (key, given) = receipts(&mut a, id, 0).await;
    assert_eq!(given, all);
    // Whoever asks, and of whichever node; also of the time before it came.
    assert_eq!(receipts(&mut c, id, 0).await, (key, all.to_vec()));
    assert_eq!(receipts(&mut b, id, 2).await, (key, all[2..].to_vec()));
    assert_eq!(receipts(&mut b, id, 3).await, (key, Vec::new()));

    // Who was removed is given those of its time, a stranger none.
    let removal = room.commit(&alice, vec![bob.remove()]);
    a.commit(&mut room, removal.clone(), 1, &[]).await;
    let later = room.commit(&alice, vec![carol.remove()]);
    a.commit(&mut room, later, 0, &[]).await;
    let (_, given) = receipts(&mut b, id, 2).await;
    assert_eq!(given, [all[2].clone(), body(3, hash(&removal), 5)]);
    let dave = Person::new("dave");
    let mut d = server.client(&dave).await;
    let request = Request::Receipts { group: id, from: Epoch(0) };
    assert_eq!(d.refused(request).await, Refusal::NotMember);

    let server = server.restart().await;
    let mut a = Client::logged_in(&server.url(), &alice).await;
    let (again, given) = receipts(&mut a, id, 0).await;
    assert_eq!((again, given.len(), &given[..3]), (key, 5, &all[..]));
}
