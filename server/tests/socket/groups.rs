//! Groups: who may append what, and who gets what.

use crate::client::{Client, TestServer, accepted, commit_request, delivery, numbered, post, text};
use crate::people::{Person, Room};
use conclave_wire::commit::Operation;
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{DeviceId, Epoch, GroupId, LeafIndex, Opaque, Seq};
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::{Cursor, Request, WelcomeFor};
use conclave_wire::roster::Role;

/// Alice and Bob in a group: genesis 1, Bob's addition 2.
pub(crate) struct Two {
    pub(crate) server: TestServer,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) a: Client,
    pub(crate) b: Client,
    pub(crate) room: Room,
}

impl Two {
    pub(crate) async fn new() -> Self {
        let server = TestServer::start().await;
        let (alice, bob) = (Person::new("alice"), Person::new("bob"));
        let (mut a, b) = (server.client(&alice).await, server.client(&bob).await);
        let mut room = a.genesis(&alice, 1).await;
        let add = room.commit(&alice, vec![bob.add()]);
        assert_eq!(a.commit(&mut room, add, 0, &[&bob]).await, Seq(2));
        Self { server, alice, bob, a, b, room }
    }

    fn distribute(&self, sender: &Person, distribution: Vec<u8>, deliveries: usize) -> Request {
        let group = if sender.name.is_empty() { GroupId::from_bytes([0; 32]) } else { self.room.id() };
        Request::Distribute {
            group,
            distribution: Opaque(distribution),
            deliveries: numbered(deliveries),
            staged: None,
        }
    }
}

/// (R83)
#[tokio::test]
async fn a_story_of_three() {
    let server = TestServer::start().await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Person::new);
    let mut a = server.client(&alice).await;
    let mut b = server.client(&bob).await;
    let mut c = server.client(&carol).await;
    // Bob and Carol subscribe to nothing in particular, and hear of groups that they come into.
    b.subscribe(&[]).await;
    c.subscribe(&[]).await;

    let mut room = a.genesis(&alice, 1).await;
    let group = room.id();
    a.subscribe(&[(group, 0)]).await;
    let add = room.commit(&alice, vec![bob.add(), carol.add()]);
    a.commit(&mut room, add.clone(), 0, &[&bob, &carol]).await;
    for (client, person) in [(&mut b, &bob), (&mut c, &carol)] {
        let pushed = client.push().await;
        assert_eq!((pushed.seq, pushed.kind, &pushed.body.0), (Seq(2), EntryKind::Commit, &add));
        assert_eq!(delivery(&pushed).unwrap(), format!("welcome {}", person.name));
    }

    // Bob hands out his sender key: each other device gets its own delivery, in leaf order, and nobody else's.
    let distribution = room.distribution(&bob);
    let request = Request::Distribute {
        group,
        distribution: Opaque(distribution.clone()),
        deliveries: vec![Opaque(b"for alice".to_vec()), Opaque(Vec::new())],
        staged: None,
    };
    assert_eq!(b.ask(request).await, Reply::Accepted { group, seq: Seq(3) });
    room.last_distribution = Seq(3);
    assert_eq!(b.post(&room, &bob, "hello").await, Seq(4));

    let deliveries = [Some("for alice".to_owned()), None, None];
    for (client, expected) in [&mut a, &mut b, &mut c].into_iter().zip(deliveries) {
        let pushed = loop {
            let pushed = client.push().await;
            if pushed.seq >= Seq(3) {
                break pushed;
            }
        };
        assert_eq!(
            (pushed.seq, pushed.kind, &pushed.body.0),
            (Seq(3), EntryKind::Distribution, &distribution)
        );
        assert_eq!(delivery(&pushed), expected);
        let pushed = client.push().await;
        assert_eq!((pushed.seq, text(&pushed)), (Seq(4), "hello".to_owned()));
    }

    // Carol goes. Her removal is the last that she gets, the others get the new secret.
    let removal = room.commit(&alice, vec![carol.remove()]);
    assert_eq!(a.commit(&mut room, removal, 1, &[]).await, Seq(5));
    assert_eq!(a.post(&room, &alice, "without carol").await, Seq(6));
    assert_eq!(delivery(&c.push().await), None);
    assert!(c.nothing_pushed().await);
    assert_eq!(delivery(&b.push().await).unwrap(), "d0");
    assert_eq!(text(&b.push().await), "without carol");
    let fetched = c.fetch(group, 0).await;
    assert_eq!(fetched.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(c.refused(post(&room, &carol, "still here?")).await, Refusal::NotMember);
    let membership = c.groups().await.remove(0);
    assert_eq!((membership.joined, membership.left, membership.head), (Seq(2), Some(Seq(5)), Seq(5)));

    // Carol comes back, and reads from there.
    let again = room.commit(&alice, vec![carol.add()]);
    assert_eq!(a.commit(&mut room, again, 0, &[&carol]).await, Seq(7));
    let pushed = c.push().await;
    assert_eq!((pushed.seq, delivery(&pushed).unwrap()), (Seq(7), "welcome carol".to_owned()));
    assert_eq!(a.post(&room, &alice, "welcome back").await, Seq(8));
    assert_eq!(text(&c.push().await), "welcome back");
    assert_eq!(c.fetch(group, 0).await.len(), 2);
    let walked = c.page(Request::FetchCommits { group, from: Epoch(0), limit: 100 }).await;
    assert_eq!(walked.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [1, 2, 5, 7]);
    let page = c.page(Request::FetchCommits { group, from: Epoch(1), limit: 2 }).await;
    assert_eq!(page.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [2, 5]);
}

/// (R72)
#[tokio::test]
async fn only_the_current_epoch_and_only_ones_own_leaf() {
    let mut two = Two::new().await;
    let old = two.room.clone();
    let removal = two.room.commit(&two.alice, vec![two.bob.remove()]);
    two.a.commit(&mut two.room, removal, 0, &[]).await;
    let stale = Refusal::EpochStale { epoch: Epoch(2), head: Seq(3) };
    assert_eq!(two.a.refused(post(&old, &two.alice, "late")).await, stale);
    let late = two.distribute(&two.alice, old.distribution(&two.alice), 1);
    assert_eq!(two.a.refused(late).await, stale);
    let mut future = two.room.clone();
    let next = future.commit(&two.alice, vec![two.bob.add()]);
    future.advance(&next);
    assert_eq!(two.a.refused(post(&future, &two.alice, "early")).await, stale);

    let add = two.room.commit(&two.alice, vec![two.bob.add()]);
    two.a.commit(&mut two.room, add, 0, &[&two.bob]).await;
    let message = Opaque(two.room.message_of(LeafIndex(0), b"as alice"));
    let refused = two.b.refused(Request::Post { group: two.room.id(), message }).await;
    assert!(matches!(refused, Refusal::InvalidEntry { .. }));
    let junk = Request::Post { group: two.room.id(), message: Opaque(b"junk".to_vec()) };
    assert!(matches!(two.b.refused(junk).await, Refusal::InvalidEntry { .. }));
    let long = Opaque(two.room.message(&two.bob, &vec![0; 65_537]));
    let refused = two.b.refused(Request::Post { group: two.room.id(), message: long }).await;
    assert!(matches!(refused, Refusal::TooLarge { .. }), "{refused:?}");
    assert_eq!(two.b.post(&two.room, &two.bob, &"x".repeat(65_520)).await, Seq(5));
}

/// (R140) (R72) A run is one entry, held to what a message is held to, and to its own bounds.
#[tokio::test]
async fn a_run_is_one_entry() {
    let mut two = Two::new().await;
    let (group, alice, bob) = (two.room.id(), LeafIndex(0), LeafIndex(1));
    let post = |run: Vec<u8>| Request::Post { group, message: Opaque(run) };
    two.a.subscribe(&[(group, 2)]).await;
    let longest = vec![7; 65_536];
    let mut texts = vec![longest.as_slice(); 4];
    texts.resize(256, b"");
    let runs = [two.room.run_of(bob, &[b"one", b"two"]), two.room.run_of(bob, &texts)];
    for (run, seq) in runs.iter().zip(3..) {
        assert_eq!(accepted(two.b.ask(post(run.clone())).await), Seq(seq));
        let pushed = two.a.push().await;
        assert_eq!((pushed.seq, pushed.kind, &pushed.body.0), (Seq(seq), EntryKind::Message, run));
    }
    let fetched: Vec<_> = two.a.fetch(group, 2).await.into_iter().map(|entry| entry.body.0).collect();
    assert_eq!(fetched, runs, "a page holds both");

    let too_many = vec![&b""[..]; 257];
    let too_much = [&longest, &longest, &longest, &longest, &b"x"[..]];
    let others = [
        two.room.run_of(alice, &[b"as", b"alice"]),
        two.room.run_of(bob, &[]),
        two.room.run_of(bob, &[b"alone"]),
        two.room.run_of(bob, &too_many),
        two.room.run_of(bob, &too_much),
        two.room.run_of(bob, &[b"one", b"too long", &vec![0; 65_537]]),
        runs[0][..runs[0].len() - 1].to_vec(),
    ];
    for run in others {
        let refused = two.b.refused(post(run)).await;
        assert!(matches!(refused, Refusal::InvalidEntry { .. }), "{refused:?}");
    }
    let larger = [&[1, 1][..], &vec![0; conclave_wire::run::MAX_RUN_BYTES - 1]].concat();
    assert!(matches!(two.b.refused(post(larger)).await, Refusal::TooLarge { .. }));
    let late = post(runs[0].clone());
    let removal = two.room.commit(&two.alice, vec![two.bob.remove()]);
    two.a.commit(&mut two.room, removal, 0, &[]).await;
    let add = two.room.commit(&two.alice, vec![two.bob.add()]);
    two.a.commit(&mut two.room, add, 0, &[&two.bob]).await;
    assert_eq!(two.b.refused(late).await, Refusal::EpochStale { epoch: Epoch(3), head: Seq(6) });
}

#[tokio::test]
async fn distributions_are_the_posters_own() {
    let mut two = Two::new().await;
    let foreign = two.distribute(&two.bob, two.room.distribution(&two.alice), 1);
    assert!(matches!(two.b.refused(foreign).await, Refusal::InvalidEntry { .. }));
    let elsewhere = two.room.distribution_with(&two.bob, |c| c.group = GroupId::from_bytes([8; 32]));
    let elsewhere = two.distribute(&two.bob, elsewhere, 1);
    assert!(matches!(two.b.refused(elsewhere).await, Refusal::InvalidEntry { .. }));
    let alice = two.alice.device();
    let not_own = two.room.distribution_with(&two.bob, |c| c.device = alice);
    let not_own = two.distribute(&two.bob, not_own, 1);
    assert!(matches!(two.b.refused(not_own).await, Refusal::InvalidEntry { .. }));
    for found in [0, 2] {
        let wrong = two.distribute(&two.bob, two.room.distribution(&two.bob), found);
        let expected = Refusal::WrongDeliveries { expected: 1, found: found as u64 };
        assert_eq!(two.b.refused(wrong).await, expected);
    }
    let good = two.distribute(&two.bob, two.room.distribution(&two.bob), 1);
    assert_eq!(accepted(two.b.ask(good).await), Seq(3));
}

/// (R39a)
#[tokio::test]
async fn one_of_two_commits_wins() {
    let mut two = Two::new().await;
    let carol = Person::new("carol");
    let dave = Person::new("dave");
    let promote = Operation::SetRole { account: two.bob.account(), role: Role::Owner };
    let commit = two.room.commit(&two.alice, vec![promote]);
    two.a.commit(&mut two.room, commit, 0, &[]).await;
    // Both at once, on two workers.
    let ours = two.room.commit(&two.alice, vec![carol.add()]);
    let theirs = two.room.commit(&two.bob, vec![dave.add()]);
    let (first, second) = tokio::join!(
        two.a.ask(commit_request(&ours, 0, &[&carol])),
        two.b.ask(commit_request(&theirs, 0, &[&dave])),
    );
    let moved = Reply::Refused { refusal: Refusal::HeadMoved { head: Seq(4) } };
    let won = Reply::Accepted { group: two.room.id(), seq: Seq(4) };
    assert!([&first, &second].contains(&&won) && [&first, &second].contains(&&moved), "{first:?} {second:?}");

    // The winner may ask again, as after a crash; the loser is told the same again.
    let (winner, commit, newcomer, room) = if first == won {
        (&mut two.a, &ours, &carol, &mut two.room)
    } else {
        (&mut two.b, &theirs, &dave, &mut two.room)
    };
    assert_eq!(winner.ask(commit_request(commit, 0, &[newcomer])).await, won);
    room.advance(commit);
    // A commit that welcomes somebody, and whose author has not seen the last distribution.
    let distribution = Request::Distribute {
        group: room.id(),
        distribution: Opaque(room.distribution(&two.alice)),
        deliveries: numbered(2),
        staged: None,
    };
    assert_eq!(accepted(two.a.ask(distribution).await), Seq(5));
    let erin = Person::new("erin");
    let unaware = room.commit(&two.alice, vec![erin.add()]);
    let refused = two.a.refused(commit_request(&unaware, 0, &[&erin])).await;
    assert_eq!(refused, Refusal::HeadMoved { head: Seq(5) });
    // One that welcomes nobody does not wait: who distributes all the time could not be removed.
    let removal = room.commit(&two.alice, vec![two.bob.remove()]);
    assert_eq!(two.a.commit(room, removal, 1, &[]).await, Seq(6));
}

#[tokio::test]
async fn a_repeated_genesis_is_the_same_group() {
    let server = TestServer::start().await;
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let mut a = server.client(&alice).await;
    let mut room = a.genesis(&alice, 1).await;
    let (genesis, _) = Room::genesis(&alice, 1);
    let again = Reply::Accepted { group: room.id(), seq: Seq(1) };
    assert_eq!(a.ask(commit_request(&genesis, 0, &[])).await, again);
    let server = server.restart().await;
    let mut a = Client::logged_in(&server.url(), &alice).await;
    assert_eq!(a.ask(commit_request(&genesis, 0, &[])).await, again);
    assert_eq!(a.post(&room, &alice, "one").await, Seq(2));
    let add = room.commit(&alice, vec![bob.add()]);
    assert_eq!(a.commit(&mut room, add, 0, &[&bob]).await, Seq(3));
    let refused = a.refused(commit_request(&genesis, 0, &[])).await;
    assert_eq!(refused, Refusal::HeadMoved { head: Seq(3) });
    // Nobody else begins it.
    let mut b = server.client(&bob).await;
    assert!(matches!(b.refused(commit_request(&genesis, 0, &[])).await, Refusal::InvalidCommit { .. }));
}

#[tokio::test]
async fn deliveries_are_exactly_what_the_roster_asks_for() {
    let mut two = Two::new().await;
    let [carol, dave] = ["carol", "dave"].map(Person::new);
    let wrong = |expected, found| Refusal::WrongDeliveries { expected, found };
    // An addition: a welcome, and no secret.
    let add = two.room.commit(&two.alice, vec![carol.add()]);
    assert_eq!(two.a.refused(commit_request(&add, 1, &[&carol])).await, wrong(0, 1));
    assert_eq!(two.a.refused(commit_request(&add, 0, &[])).await, wrong(1, 0));
    assert_eq!(two.a.refused(commit_request(&add, 0, &[&carol, &carol])).await, wrong(1, 2));
    assert_eq!(two.a.refused(commit_request(&add, 0, &[&dave])).await, wrong(1, 1));
    two.a.commit(&mut two.room, add, 0, &[&carol]).await;
    // A removal with an addition: a secret for who stays, but the author; a welcome for who comes.
    let both = two.room.commit(&two.alice, vec![carol.remove(), dave.add()]);
    assert_eq!(two.a.refused(commit_request(&both, 2, &[&dave])).await, wrong(1, 2));
    assert_eq!(two.a.refused(commit_request(&both, 1, &[])).await, wrong(1, 0));
    two.a.commit(&mut two.room, both, 1, &[&dave]).await;
    // Who is named unreachable gets nothing.
    let mut unreachable: Vec<DeviceId> = vec![two.bob.device(), carol.device()];
    unreachable.sort();
    let both = two.room.commit_with(&two.alice, vec![dave.remove(), carol.add()], |body| {
        body.unreachable = unreachable;
    });
    assert_eq!(two.a.refused(commit_request(&both, 1, &[&carol])).await, wrong(0, 1));
    assert_eq!(two.a.commit(&mut two.room, both, 0, &[]).await, Seq(5));
    // A commit that breaks a rule of the roster.
    let by_member = two.room.commit(&two.bob, vec![carol.remove()]);
    assert!(matches!(two.b.refused(commit_request(&by_member, 1, &[])).await, Refusal::InvalidCommit { .. }));
    let foreign = two.room.commit(&two.alice, vec![carol.remove()]);
    assert!(matches!(two.b.refused(commit_request(&foreign, 1, &[])).await, Refusal::InvalidCommit { .. }));
    let junk =
        Request::Commit { commit: Opaque(vec![1, 2]), deliveries: vec![], welcomes: vec![], staged: None };
    assert!(matches!(two.a.refused(junk).await, Refusal::InvalidCommit { .. }));
    // The secret of a removal, with more than fits a frame.
    let last = two.room.commit(&two.alice, vec![carol.remove()]);
    let fat = Request::Commit {
        commit: Opaque(last.clone()),
        deliveries: vec![Opaque(vec![0; (1 << 20) - last.len() - 100])],
        welcomes: vec![],
        staged: None,
    };
    assert!(matches!(two.a.refused(fat).await, Refusal::TooLarge { .. }));
}

#[tokio::test]
async fn strangers_learn_nothing_of_a_group() {
    let mut two = Two::new().await;
    let mallory = Person::new("mallory");
    let mut m = two.server.client(&mallory).await;
    let mut elsewhere = two.room.clone();
    let (_, other) = Room::genesis(&mallory, 9);
    for group in [two.room.id(), GroupId::from_bytes([9; 32])] {
        let cursor = Cursor { group, seq: Seq(0) };
        let requests = [
            Request::Fetch { group, after: Seq(0), limit: 10 },
            Request::FetchCommits { group, from: Epoch(0), limit: 10 },
            Request::Subscribe { cursors: vec![cursor] },
            Request::Acknowledge { cursor },
            Request::Post { group, message: Opaque(two.room.message_of(LeafIndex(0), b"hi")) },
            Request::Post { group, message: Opaque(b"junk".to_vec()) },
            Request::Distribute {
                group,
                distribution: Opaque(two.room.distribution(&mallory)),
                deliveries: numbered(1),
                staged: None,
            },
        ];
        for request in requests {
            let what = format!("{request:?}");
            assert_eq!(m.refused(request).await, Refusal::NotMember, "{what}");
        }
    }
    elsewhere.last_distribution = Seq(0);
    for room in [&elsewhere, &other] {
        let commit = room.commit_with(&mallory, vec![Person::new("x").add()], |_| {});
        assert_eq!(m.refused(commit_request(&commit, 0, &[])).await, Refusal::NotMember);
    }
    assert_eq!(m.groups().await, []);
    assert_eq!(two.b.groups().await.len(), 1);
}

#[tokio::test]
async fn acknowledgements_are_remembered() {
    let mut two = Two::new().await;
    let group = two.room.id();
    two.b.post(&two.room, &two.bob, "one").await;
    let cursor = Cursor { group, seq: Seq(3) };
    assert_eq!(two.b.ask(Request::Acknowledge { cursor }).await, Reply::Done);
    let older = Cursor { group, seq: Seq(2) };
    assert_eq!(two.b.ask(Request::Acknowledge { cursor: older }).await, Reply::Done);
    assert_eq!(two.b.groups().await[0].acknowledged, Seq(3));
    let server = two.server.restart().await;
    let mut b = Client::logged_in(&server.url(), &two.bob).await;
    let membership = b.groups().await.remove(0);
    assert_eq!((membership.acknowledged, membership.head), (Seq(3), Seq(3)));
}

#[tokio::test]
async fn two_welcomes_for_one_newcomer_are_not_two_newcomers() {
    let mut two = Two::new().await;
    let [carol, dave] = ["carol", "dave"].map(Person::new);
    let add = two.room.commit(&two.alice, vec![carol.add(), dave.add()]);
    let welcome = WelcomeFor { device: carol.device(), welcome: Opaque(vec![1]) };
    let request = Request::Commit {
        commit: Opaque(add),
        deliveries: Vec::new(),
        welcomes: vec![welcome.clone(), welcome],
        staged: None,
    };
    assert_eq!(two.a.refused(request).await, Refusal::WrongDeliveries { expected: 2, found: 2 });
}

/// One request of each kind by a device that was removed.
#[tokio::test]
async fn a_removed_device_reads_up_to_its_removal_and_does_nothing_more() {
    let mut two = Two::new().await;
    let (group, bob) = (two.room.id(), &two.bob);
    let distribution = two.room.distribution(bob);
    let distribute = two.distribute(bob, distribution, 1);
    let farewell = post(&two.room, bob, "still here?");
    let commit = two.room.commit(bob, vec![Person::new("carol").add()]);
    let removal = two.room.commit(&two.alice, vec![bob.remove()]);
    assert_eq!(two.a.commit(&mut two.room, removal, 0, &[]).await, Seq(3));
    assert_eq!(two.a.post(&two.room, &two.alice, "he is gone").await, Seq(4));

    for request in [farewell, distribute, commit_request(&commit, 0, &[])] {
        assert_eq!(two.b.refused(request).await, Refusal::NotMember);
    }
    let seqs =
        |entries: Vec<conclave_wire::entry::Entry>| entries.iter().map(|e| e.seq.0).collect::<Vec<_>>();
    assert_eq!(seqs(two.b.fetch(group, 0).await), [2, 3]);
    let commits = Request::FetchCommits { group, from: Epoch(0), limit: 10 };
    assert_eq!(seqs(two.b.page(commits).await), [1, 2, 3]);
    let memberships = two.b.groups().await;
    assert_eq!((memberships[0].left, memberships[0].head), (Some(Seq(3)), Seq(3)));
    let cursors = vec![Cursor { group, seq: Seq(4) }];
    assert!(matches!(two.b.refused(Request::Subscribe { cursors }).await, Refusal::Malformed { .. }));
    two.b.subscribe(&[(group, 2)]).await;
    assert_eq!(two.b.push().await.seq, Seq(3));
    assert_eq!(two.a.post(&two.room, &two.alice, "quite").await, Seq(5));
    assert!(two.b.nothing_pushed().await);
    let cursor = Cursor { group, seq: Seq(4) };
    assert_eq!(two.b.ask(Request::Acknowledge { cursor }).await, Reply::Done);
    assert_eq!(two.b.groups().await[0].acknowledged, Seq(3));
}
