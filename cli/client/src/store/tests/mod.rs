//! The store's promises, each with the attack that it withstands.

mod erasure;

use super::*;
use crate::profile::Profile;
use conclave_engine::{Change, Changes, RecordKey, RecordValue, Scope};
use conclave_wire::ids::{AccountId, DeviceId, GroupId, Opaque, Seq};
use inbox::InboxKind;
use std::path::PathBuf;
use zeroize::Zeroizing;

const GROUP: GroupId = GroupId::from_bytes([7; 32]);

struct Dir {
    dir: tempfile::TempDir,
    unlock: Unlock,
}

impl Dir {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, [9; 32]).unwrap();
        Self { dir, unlock: Unlock::KeyFile(key) }
    }

    fn profile(&self) -> PathBuf {
        self.dir.path().join("profile")
    }

    fn database(&self) -> PathBuf {
        self.profile().join("conclave.db")
    }

    fn create(&self) -> Store {
        Profile::create(&self.profile(), &self.unlock, first).unwrap().0.store
    }

    fn open(&self) -> Result<Profile, ClientError> {
        Profile::open(&self.profile(), &self.unlock).map(|(profile, _)| profile)
    }

    /// Everything that any file of the profile holds.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.profile()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Changes the file behind the store's back.
    fn tamper(&self, sql: &str) {
        Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }
}

fn first(step: &mut Step<'_>) -> Result<(), ClientError> {
    step.set_profile(&ProfileRow {
        name: "alice".parse().unwrap(),
        server: "ws://127.0.0.1:7300".into(),
        registered: false,
        published: None,
        manifest: None,
        plain: false,
        invite: None,
        receipt_key: None,
    })
}

fn put(scope: Scope, name: &[u8], value: Option<&[u8]>) -> Change {
    let value = value.map(|value| RecordValue::new(value.to_vec()));
    Change { key: RecordKey { scope, name: name.to_vec() }, value }
}

fn write(store: &mut Store, changes: Vec<Change>) {
    let mut step = store.step().unwrap();
    step.apply(&Changes(changes)).unwrap();
    step.commit().unwrap();
}

fn finds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn records_round_trip() {
    let dir = Dir::new();
    let mut store = dir.create();
    let group = Scope::Group(GROUP);
    write(
        &mut store,
        vec![
            put(Scope::Device, b"identity", Some(b"first")),
            put(group, b"a", Some(b"1")),
            put(group, b"b", Some(b"2")),
            put(group, b"a", Some(b"3")),
            put(group, b"c", Some(b"4")),
            put(group, b"c", None),
        ],
    );
    drop(store);
    let store = dir.open().unwrap().store;
    let mut records = store.records(group).unwrap();
    records.sort_by(|a, b| a.0.cmp(&b.0));
    let records: Vec<_> = records.iter().map(|(name, value)| (name.as_slice(), value.as_bytes())).collect();
    assert_eq!(records, [(&b"a"[..], &b"3"[..]), (b"b", b"2")]);
    assert_eq!(store.records(Scope::Device).unwrap().len(), 1);
    assert_eq!(store.records(Scope::Group(GroupId::from_bytes([8; 32]))).unwrap().len(), 0);
}

#[test]
fn a_step_that_is_not_committed_changes_nothing() {
    let dir = Dir::new();
    let mut store = dir.create();
    write(&mut store, vec![put(Scope::Device, b"a", Some(b"1")), put(Scope::Device, b"b", Some(b"2"))]);
    let mut step = store.step().unwrap();
    step.apply(&Changes(vec![put(Scope::Device, b"a", None), put(Scope::Device, b"c", Some(b"3"))])).unwrap();
    drop(step);
    write(&mut store, vec![put(Scope::Device, b"d", Some(b"4"))]);
    drop(store);
    let mut names: Vec<_> =
        dir.open().unwrap().store.records(Scope::Device).unwrap().into_iter().map(|r| r.0).collect();
    names.sort();
    assert_eq!(names, [b"a", b"b", b"d"]);
}

#[test]
fn outbox_keeps_order_and_content() {
    let dir = Dir::new();
    let mut store = dir.create();
    let item = |n: u8| OutboxItem::Message {
        id: [n; 16],
        content: Opaque(vec![n]),
        sealed: Opaque(vec![n; 3]),
        epoch: conclave_wire::ids::Epoch(2),
    };
    let mut step = store.step().unwrap();
    let ids: Vec<_> = (0..3).map(|n| step.push_outbox(GROUP, &item(n)).unwrap()).collect();
    step.remove_outbox(ids[1]).unwrap();
    step.put_outbox(GROUP, ids[0], &item(9)).unwrap();
    step.commit().unwrap();
    assert_eq!(store.outbox(GROUP).unwrap(), [(ids[0], item(9)), (ids[2], item(2))]);
    assert!(!store.outbox_is_empty(GROUP).unwrap());
    assert!(store.outbox_is_empty(GroupId::from_bytes([8; 32])).unwrap());
}

#[test]
fn history_keeps_each_message_once() {
    let dir = Dir::new();
    let mut store = dir.create();
    let row = |seq, device| HistoryRow {
        seq: Seq(seq),
        account: AccountId::from_bytes([1; 32]),
        device: DeviceId::from_bytes([device; 32]),
        id: [5; 16],
        content: Opaque(vec![1]),
    };
    let mut step = store.step().unwrap();
    assert!(step.add_history(GROUP, &row(4, 1)).unwrap());
    assert!(!step.add_history(GROUP, &row(5, 1)).unwrap(), "the same sender's same id");
    assert!(step.add_history(GROUP, &row(3, 2)).unwrap(), "another sender's");
    step.commit().unwrap();
    assert_eq!(store.history(GROUP).unwrap(), [row(3, 2), row(4, 1)]);
    let found = store.message(GROUP, &DeviceId::from_bytes([1; 32]), &[5; 16]).unwrap();
    assert_eq!(found, Some(row(4, 1)));
}

#[test]
fn inbox_numbers_are_never_used_again() {
    let dir = Dir::new();
    let mut store = dir.create();
    let row = |seq| InboxRow {
        group: GROUP,
        seq: Seq(seq),
        kind: InboxKind::Joined { by: AccountId::from_bytes([1; 32]) },
    };
    let mut step = store.step().unwrap();
    step.push_inbox(&row(1)).unwrap();
    step.push_inbox(&row(2)).unwrap();
    step.commit().unwrap();
    let read = store.inbox(None, 10).unwrap();
    assert_eq!(read.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>(), [row(1), row(2)]);
    let mut step = store.step().unwrap();
    step.clear_inbox(read[1].0).unwrap();
    step.push_inbox(&row(3)).unwrap();
    step.commit().unwrap();
    let later = store.inbox(Some(read[1].0), 10).unwrap();
    assert_eq!(later.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>(), [row(3)]);
}

#[test]
fn contacts_are_found_by_account_and_name() {
    let dir = Dir::new();
    let mut store = dir.create();
    let bob = Contact { name: Some("bob".parse().unwrap()), ..Contact::new(AccountId::from_bytes([2; 32])) };
    let mut step = store.step().unwrap();
    step.set_contact(&Contact { name: None, ..bob.clone() }).unwrap();
    step.set_contact(&bob).unwrap();
    step.meet(bob.account, GROUP).unwrap();
    step.meet(AccountId::from_bytes([3; 32]), GROUP).unwrap();
    step.commit().unwrap();
    let unnamed: Vec<_> = store.unnamed_contacts().unwrap().iter().map(|c| (c.account, c.met)).collect();
    assert_eq!(unnamed, [(AccountId::from_bytes([3; 32]), Some(GROUP))]);
    assert_eq!(store.contact(&bob.account).unwrap(), Some(bob.clone()));
    assert_eq!(store.contact_named(&"bob".parse().unwrap()).unwrap(), Some(bob));
    assert_eq!(store.contact_named(&"carol".parse().unwrap()).unwrap(), None);
    assert!(!finds(&dir.bytes(), b"bob"), "names are not in the file");
    assert!(!finds(&dir.bytes(), &[2; 32]), "accounts are not in the file");
}

#[test]
fn a_wrong_passphrase_is_told_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    let passphrase = |text: &str| Unlock::Passphrase(Zeroizing::new(text.to_owned()));
    drop(Profile::create(dir.path(), &passphrase("right"), first).unwrap());
    assert!(Profile::open(dir.path(), &passphrase("right")).is_ok());
    let open = |unlock| Profile::open(dir.path(), &unlock).map(drop).unwrap_err();
    assert!(matches!(open(passphrase("wrong")), ClientError::WrongPassphrase));
    let key = dir.path().join("key");
    std::fs::write(&key, [1; 32]).unwrap();
    assert!(matches!(open(Unlock::KeyFile(key)), ClientError::WrongPassphrase));
    let db = Connection::open(dir.path().join("conclave.db")).unwrap();
    db.execute_batch("update header set salt = randomblob(16)").unwrap();
    drop(db);
    assert!(matches!(open(passphrase("right")), ClientError::ProfileDamaged { .. }));
}

#[test]
fn key_files_that_cannot_be_keys() {
    let dir = Dir::new();
    let open = |path: PathBuf| Profile::create(&dir.profile(), &Unlock::KeyFile(path), first).map(drop);
    assert!(matches!(open("/nonexistent/key".into()), Err(ClientError::KeyFile { .. })));
    let short = dir.dir.path().join("short");
    std::fs::write(&short, b"tiny").unwrap();
    assert!(matches!(open(short), Err(ClientError::KeyFile { .. })));
    assert!(matches!(dir.open(), Err(ClientError::NoProfile { .. })), "nothing was begun");
}

#[test]
fn a_header_cannot_ask_for_all_memory() {
    let dir = tempfile::tempdir().unwrap();
    let unlock = Unlock::Passphrase(Zeroizing::new("right".to_owned()));
    drop(Profile::create(dir.path(), &unlock, first).unwrap());
    let db = Connection::open(dir.path().join("conclave.db")).unwrap();
    let mut header = read_header(&db).unwrap().unwrap();
    header.forge_memory(u32::MAX);
    db.execute("update header set memory = ?1, checksum = ?2", params![header.memory, header.checksum])
        .unwrap();
    drop(db);
    let refused = Profile::open(dir.path(), &unlock).map(drop).unwrap_err();
    assert!(matches!(refused, ClientError::ProfileDamaged { .. }));
}

#[test]
fn damage_is_typed() {
    let dir = Dir::new();
    drop(dir.create());
    let intact = std::fs::read(dir.database()).unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(dir.database(), bytes).unwrap();
        dir.open().map(drop)
    };
    assert!(matches!(open(b""), Err(ClientError::ProfileDamaged { .. })));
    assert!(matches!(open(&[0x55; 8192]), Err(ClientError::ProfileDamaged { .. })));
    assert!(matches!(open(&intact[..intact.len() / 2]), Err(ClientError::ProfileDamaged { .. })));
    assert!(open(&intact).is_ok());
    dir.tamper("delete from setting");
    assert!(matches!(dir.open(), Err(ClientError::ProfileDamaged { .. })));
}

#[test]
fn other_versions_and_programs() {
    let dir = Dir::new();
    drop(dir.create());
    dir.tamper("pragma user_version = 2");
    assert!(matches!(dir.open(), Err(ClientError::ProfileVersion { found: 2, known: 1 })));
    dir.tamper("pragma user_version = 1; pragma application_id = 1");
    assert!(matches!(dir.open(), Err(ClientError::ProfileDamaged { .. })));
}

#[test]
fn one_process_at_a_time() {
    let dir = Dir::new();
    let (profile, _) = Profile::create(&dir.profile(), &dir.unlock, first).unwrap();
    assert!(matches!(dir.open(), Err(ClientError::ProfileLocked { .. })));
    drop(profile);
    assert!(dir.open().is_ok());
}

#[test]
fn create_goes_on_until_it_is_registered() {
    let dir = Dir::new();
    drop(dir.create());
    let (mut profile, row) = Profile::create(&dir.profile(), &dir.unlock, first).unwrap();
    let mut step = profile.store.step().unwrap();
    step.set_profile(&ProfileRow { registered: true, ..row }).unwrap();
    step.commit().unwrap();
    drop(profile);
    let again = Profile::create(&dir.profile(), &dir.unlock, first).map(drop);
    assert!(matches!(again, Err(ClientError::ProfileExists { .. })));
}

/// A process that died before its first commit left an empty file.
#[test]
fn an_empty_file_is_no_profile_for_create() {
    let dir = Dir::new();
    std::fs::create_dir(dir.profile()).unwrap();
    std::fs::write(dir.database(), b"").unwrap();
    dir.create();
}

#[test]
fn swapped_rows_do_not_open() {
    let dir = Dir::new();
    let mut store = dir.create();
    write(&mut store, vec![put(Scope::Device, b"a", Some(b"1")), put(Scope::Device, b"b", Some(b"2"))]);
    drop(store);
    // Both columns that a value needs move together, as an attacker would move them.
    dir.tamper(
        "update record set slot = -slot; update record set sealed = (select r.sealed from record r where r.slot <> \
         record.slot), slot = slot; ",
    );
    dir.tamper("update record set slot = case slot when -1 then 2 else 1 end");
    let store = dir.open().unwrap().store;
    assert!(matches!(store.records(Scope::Device), Err(ClientError::ProfileDamaged { .. })));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let mut store = dir.create();
    write(&mut store, vec![put(Scope::Device, b"a", Some(b"1"))]);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.profile()), 0o700);
    assert_eq!(mode(dir.database()), 0o600);
    assert_eq!(mode(dir.profile().join("conclave.db-journal")), 0o600);
}
