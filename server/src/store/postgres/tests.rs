use super::*;
use crate::people::{Person, Room};
use crate::store::{Admitted, Append, Change, Registration, contract};
use bytes::Bytes;
use conclave_postgres_fixture::Postgres as Fixture;
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::ids::{Opaque, Timestamp};
use conclave_wire::public_group::PublicGroup;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

fn open_url(url: &str) -> Result<Postgres, StartError> {
    Postgres::open(&StoreLocation::Postgres(url.to_owned()), url)
}

#[test]
fn keeps_the_contract() {
    let fixture = Fixture::start();
    let made = RefCell::new(HashSet::new());
    contract::check(&|dir| {
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        if made.borrow_mut().insert(name.clone()) {
            fixture.database(&name);
        }
        Box::new(open_url(&fixture.url(&name)).unwrap())
    });
}

fn genesis(alice: &Person) -> (Room, Write) {
    let (bytes, room) = Room::genesis(alice, 1);
    let (public, step) = PublicGroup::from_genesis(UnverifiedCommit::decode(&bytes).unwrap()).unwrap();
    let change = Change::Commit(Box::new(step));
    let append = Append {
        group: public.id(),
        change,
        body: bytes.into(),
        deliveries: Vec::new(),
        staged: None,
        now: Timestamp(0),
    };
    (room, Write::Append(append))
}

fn message(room: &Room) -> Write {
    let change = Change::Message(room.public.epoch());
    let body = Bytes::from_static(b"m");
    Write::Append(Append {
        group: room.id(),
        change,
        body,
        deliveries: Vec::new(),
        staged: None,
        now: Timestamp(0),
    })
}

/// Several nodes write to one group at once: each entry has a place of its own, and none is refused for the others.
#[test]
fn one_group_and_many_writers() {
    let fixture = Fixture::start();
    let url = fixture.database("one");
    let alice = Person::new("alice");
    let (room, genesis) = genesis(&alice);
    open_url(&url).unwrap().write(&[genesis]).unwrap();
    let writers = (0..6).map(|_| {
        let (url, room) = (url.clone(), room.clone());
        thread::spawn(move || {
            let store = open_url(&url).unwrap();
            let seq = |_| match store.write(&[message(&room), message(&room)]).unwrap()[..] {
                [Ok(Written::Appended(first)), Ok(Written::Appended(second))] => [first.0, second.0],
                ref other => panic!("{other:?}"),
            };
            (0..40).flat_map(seq).collect::<Vec<_>>()
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut all: Vec<u64> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (2..2 + 6 * 80).collect::<Vec<_>>());
}

/// Two nodes are asked for one name at once: one gets it, however often.
#[test]
fn one_name_and_two_takers() {
    const NAMES: usize = 60;
    let fixture = Fixture::start();
    let url = fixture.database("one");
    open_url(&url).unwrap();
    let together = Arc::new(Barrier::new(2));
    let takers = ["alice", "bob"].map(|who| {
        let (url, together) = (url.clone(), together.clone());
        thread::spawn(move || {
            let store = open_url(&url).unwrap();
            let take = |number| {
                let person = Person::new(&format!("{who}{number}"));
                let registration = Registration {
                    name: format!("name{number}").parse().unwrap(),
                    account: person.account(),
                    manifest: Opaque(person.manifest.encoded().to_vec()),
                    device: person.device(),
                    prekeys: Opaque(person.prekeys.clone()),
                    admitted: Admitted::Free,
                };
                together.wait();
                store.write(&[Write::Register(registration)]).unwrap().remove(0)
            };
            (0..NAMES).map(take).collect::<Vec<_>>()
        })
    });
    let [alice, bob] = takers.map(|taker| taker.join().unwrap());
    for outcomes in alice.into_iter().zip(bob) {
        let taken = Err(Rejected::NameTaken);
        assert!([(Ok(Written::Done), taken.clone()), (taken, Ok(Written::Done))].contains(&outcomes));
    }
}

#[test]
fn nodes_start_at_once_and_a_newer_database_is_refused() {
    let fixture = Fixture::start();
    let url = fixture.database("one");
    let starting: Vec<_> = (0..3)
        .map(|_| {
            thread::spawn({
                let url = url.clone();
                move || open_url(&url).map(drop)
            })
        })
        .collect();
    for started in starting {
        started.join().unwrap().unwrap();
    }
    let location = StoreLocation::Postgres(url.clone());
    assert_eq!(Postgres::migrate(&location, &url).unwrap(), Vec::<String>::new());
    fixture.query(
        "one",
        "insert into conclave.migrations select 99, 'later', applied_on, checksum from conclave.migrations limit 1",
    );
    assert!(matches!(open_url(&url), Err(StartError::DatabaseVersion { .. })));
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let refused = open_url("postgres://me:secret@127.0.0.1:1/conclave").map(drop).unwrap_err();
    let StartError::Database { store, reason } = &refused else { panic!("{refused:?}") };
    assert_eq!(store, "postgres://me@127.0.0.1:1/conclave");
    assert!(!reason.is_empty() && !refused.to_string().contains("secret"), "{refused}");
}

/// What a proxy does to the next commit that it sees.
const PASS: u8 = 0;
/// Hands it on, and cuts the connection before the answer.
const CUT_AFTER: u8 = 1;
/// Cuts the connection instead.
const CUT_BEFORE: u8 = 2;

/// Between a store and its database.
struct Proxy {
    port: u16,
    plan: Arc<AtomicU8>,
}

impl Proxy {
    fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, plan) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU8::new(PASS)));
        let shared = plan.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, database) = (client.unwrap(), UnixStream::connect(&socket).unwrap());
                let plan = shared.clone();
                thread::spawn(move || relay(client, database, &plan));
            }
        });
        Self { port, plan }
    }
}

fn relay(mut client: TcpStream, mut database: UnixStream, plan: &AtomicU8) {
    let (mut to_client, mut from_database) = (client.try_clone().unwrap(), database.try_clone().unwrap());
    let silent = Arc::new(AtomicU8::new(PASS));
    let back = thread::spawn({
        let silent = silent.clone();
        move || {
            let mut bytes = [0; 8192];
            while let Ok(read @ 1..) = from_database.read(&mut bytes) {
                if silent.load(Ordering::SeqCst) != PASS {
                    // The commit is answered: the database has decided.
                    break;
                }
                if to_client.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            let _ = to_client.shutdown(Shutdown::Both);
        }
    });
    let mut bytes = [0; 8192];
    while let Ok(read @ 1..) = client.read(&mut bytes) {
        if bytes[..read].windows(7).any(|text| text == b"commit\0") {
            match plan.swap(PASS, Ordering::SeqCst) {
                CUT_BEFORE => {
                    let _ = client.shutdown(Shutdown::Both);
                    break;
                }
                planned => silent.store(planned, Ordering::SeqCst),
            }
        }
        if database.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = database.shutdown(Shutdown::Write);
    let _ = back.join();
}

/// The connection is lost while the database commits: the store finds out what became of it, and says only that.
#[test]
fn a_commit_that_is_not_answered() {
    let fixture = Fixture::start();
    let url = fixture.database("one");
    let socket = PathBuf::from(url.split_once("?host=").unwrap().1).join(".s.PGSQL.5432");
    let proxy = Proxy::start(socket);
    let store = open_url(&format!("postgres://conclave@127.0.0.1:{}/one", proxy.port)).unwrap();
    let alice = Person::new("alice");
    let (room, genesis) = genesis(&alice);
    store.write(&[genesis]).unwrap();
    let head = || store.heads(&[room.id()]).unwrap()[&room.id()];

    proxy.plan.store(CUT_AFTER, Ordering::SeqCst);
    assert_eq!(store.write(&[message(&room)]).unwrap(), [Ok(Written::Appended(Seq(2)))]);
    assert_eq!((head(), proxy.plan.load(Ordering::SeqCst)), (Seq(2), PASS));

    proxy.plan.store(CUT_BEFORE, Ordering::SeqCst);
    let refused = store.write(&[message(&room)]).unwrap_err();
    assert!(matches!(refused, StoreError::Database { .. }), "{refused:?}");
    assert_eq!((head(), proxy.plan.load(Ordering::SeqCst)), (Seq(2), PASS));
    assert_eq!(store.write(&[message(&room)]).unwrap(), [Ok(Written::Appended(Seq(3)))]);
}

/// More rows than are read at once.
#[test]
fn rows_are_read_in_pages() {
    let fixture = Fixture::start();
    let url = fixture.database("one");
    let store = open_url(&url).unwrap();
    let alice = Person::new("alice");
    let (room, genesis) = genesis(&alice);
    store.write(&[genesis]).unwrap();
    let batch: Vec<_> = (0..200).map(|_| message(&room)).collect();
    store.write(&batch).unwrap();
    let entries = store.log(&room.id(), Seq(1), Seq(u64::MAX), 1000).unwrap();
    let seqs: BTreeSet<u64> = entries.iter().map(|entry| entry.seq.0).collect();
    assert_eq!((entries.len(), seqs.first(), seqs.last()), (201, Some(&1), Some(&201)));
    assert_eq!(store.log(&room.id(), Seq(70), Seq(80), 5).unwrap().len(), 5);
}
