//! Runs, which this client does not send but other programs may: in history, inbox and outbox they are messages.

use crate::local::{Local, now};
use crate::profile::{Profile, Unlock};
use crate::store::{GroupRow, HistoryRow, InboxKind, OutboxItem, ProfileRow, Step};
use conclave_engine::{Device, Group, Newcomer, PrekeyBook};
use conclave_wire::commit::Operation;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{GroupId, Opaque, Seq};
use conclave_wire::roster::Role;

/// A profile in a group, and the log that everything goes to.
struct Case {
    local: Local,
    id: GroupId,
    bob: Device,
    at_bob: Group,
    book: PrekeyBook,
    seq: u64,
    _dir: tempfile::TempDir,
}

fn first(step: &mut Step<'_>) -> Result<(), crate::ClientError> {
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

impl Case {
    /// Alice founded it and added Bob.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, [9; 32]).unwrap();
        let (profile, _) =
            Profile::create(&dir.path().join("profile"), &Unlock::KeyFile(key), first).unwrap();
        let rng = &mut rand::rng();
        let (alice, changes) = Device::create(now(), rng).unwrap();
        let (mut bob, _) = Device::create(now(), rng).unwrap();
        let mut book = PrekeyBook::default();
        for device in [&alice, &bob] {
            book.insert(&device.prekeys().unwrap().encode()).unwrap();
        }
        let mut local = Local::new(profile.store, alice).unwrap();
        local.write(|step| step.apply(&changes)).unwrap();

        let new = Group::create(&local.device, now(), rng).unwrap();
        let (id, genesis) = (new.group.id(), new.commit);
        let row = GroupRow { id, label: "team".into(), open: true, refused_join: None };
        local
            .write(|step| {
                step.apply(&new.changes)?;
                step.set_group(&row)
            })
            .unwrap();
        local.insert_group(row, new.group);
        let entry = |seq, body: &[u8]| Entry {
            group: id,
            seq: Seq(seq),
            kind: EntryKind::Commit,
            delivery: None,
            body: Opaque(body.to_vec()),
        };
        local.process(id, &[entry(1, &genesis)]).unwrap();
        let (group, device) = local.group_and_device(id).unwrap();
        let manifest = Opaque(bob.manifest().encoded().to_vec());
        let add = vec![Operation::Add { role: Role::Member, manifest }];
        let staged = group.commit(device, add, b"", &book, now(), rng).unwrap();
        local.write(|step| step.apply(&staged.changes)).unwrap();
        let mut commit = entry(2, &staged.upload.commit);
        local.process(id, &[commit.clone()]).unwrap();

        let mut walk = Newcomer::new(id);
        walk.commit(&genesis).unwrap();
        walk.commit(&commit.body.0).unwrap();
        commit.delivery = Some(staged.upload.welcomes[0].welcome.clone());
        let at_bob = walk.open(&mut bob, &commit, now()).unwrap().group;
        Self { local, id, bob, at_bob, book, seq: 2, _dir: dir }
    }

    /// Both read what comes next.
    fn log(&mut self, kind: EntryKind, body: Vec<u8>, for_alice: Option<Opaque>, for_bob: Option<Opaque>) {
        self.seq += 1;
        let mut entry =
            Entry { group: self.id, seq: Seq(self.seq), kind, delivery: for_alice, body: Opaque(body) };
        assert_eq!(self.local.process(self.id, std::slice::from_ref(&entry)).unwrap(), Seq(self.seq));
        entry.delivery = for_bob;
        self.at_bob.receive(&mut self.bob, &entry, now()).unwrap();
    }

    fn history(&self) -> Vec<(Seq, Vec<u8>)> {
        let rows = self.local.store.history(self.id).unwrap();
        rows.into_iter().map(|HistoryRow { seq, content, .. }| (seq, content.0)).collect()
    }

    fn told(&self) -> Vec<InboxKind> {
        let rows = self.local.store.inbox(None, 100).unwrap();
        rows.into_iter().map(|(_, row)| row.kind).collect()
    }
}

#[test]
fn a_run_of_somebody_else_is_shown_message_by_message() {
    let mut case = Case::new();
    let rng = &mut rand::rng();
    let key = case.at_bob.distribute(&case.bob, &case.book, now(), rng).unwrap().upload;
    let for_alice = key.deliveries.into_iter().next();
    case.log(EntryKind::Distribution, key.distribution, for_alice, None);
    let run = case.at_bob.seal_run(&[b"one", b"two", b"three"], rng).unwrap();
    case.log(EntryKind::Message, run.entry, None, None);
    let shown = [&b"one"[..], b"two", b"three"].map(|content| (Seq(4), content.to_vec()));
    assert_eq!(case.history(), shown);
    let told = case.told();
    assert_eq!(told.len(), 3);
    for (kind, expected) in told.iter().zip(run.ids) {
        assert!(
            matches!(kind, InboxKind::Message { id, sent: false, .. } if id == expected.as_bytes()),
            "{kind:?}"
        );
    }
}

/// Made by another program on the same profile, it leaves the outbox all the same.
#[test]
fn a_run_of_our_own_is_sent_message_by_message() {
    let mut case = Case::new();
    let rng = &mut rand::rng();
    let (group, device) = case.local.group_and_device(case.id).unwrap();
    let staged = group.distribute(device, &case.book, now(), rng).unwrap();
    case.local.write(|step| step.apply(&staged.changes)).unwrap();
    let for_bob = staged.upload.deliveries.into_iter().next();
    case.log(EntryKind::Distribution, staged.upload.distribution, None, for_bob);
    let group = case.local.group(case.id).unwrap();
    let (epoch, contents) = (group.epoch(), [&b"one"[..], b"two"]);
    let run = group.seal_run(&contents, rng).unwrap();
    case.local
        .write(|step| {
            step.apply(&run.changes)?;
            for (id, content) in run.ids.iter().zip(contents) {
                let (id, content) = (*id.as_bytes(), Opaque(content.to_vec()));
                let sealed = Opaque(run.entry.clone());
                step.push_outbox(case.id, &OutboxItem::Message { id, content, sealed, epoch })?;
            }
            Ok(())
        })
        .unwrap();
    case.log(EntryKind::Message, run.entry, None, None);
    assert!(case.local.store.outbox_is_empty(case.id).unwrap());
    assert_eq!(case.history(), contents.map(|content| (Seq(4), content.to_vec())));
    assert!(case.told().iter().all(|kind| matches!(kind, InboxKind::Message { sent: true, .. })));
    assert_eq!(case.told().len(), 2);
}
