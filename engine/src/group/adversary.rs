//! What an insider can try who computes with the group's own keys and signs with their own.

use super::digest::{Binding, LABEL, RUN_LABEL, before_first};
use super::message_keys::MessageKeys;
use super::welcome::{Welcome, WelcomeSender};
use crate::addressee::Addressee;
use crate::envelope::{CommittedSecret, EnvelopeContext, Purpose};
use crate::pairwise::{Dispatch, Pairwise, Upload};
use crate::prekeys::Reach;
use crate::record::Changes;
use crate::secret::Secret;
use crate::support::{Log, Person, START, SeedRng, book, gather};
use crate::{
    Continuity, Event, GroupState, JoinError, Newcomer, PrekeyBook, ReceiveError, aead, kdf, padding,
};
use conclave_wire::codec;
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::ids::{CertificateHash, CommitHash, GroupId, MessageIndex, Opaque};
use conclave_wire::message::{self, Header};
use conclave_wire::roster::Role;
use conclave_wire::run;
use conclave_wire::signature::{self, Label, SigningKey};
use std::collections::BTreeMap;

struct Case {
    log: Log,
    keys: PrekeyBook,
    alice: Person,
    bob: Person,
    carol: Person,
}

/// Alice, Bob and Carol, all with sender keys that the others have.
fn talking() -> Case {
    let mut people = [Person::new("alice", 1), Person::new("bob", 2), Person::new("carol", 3)];
    let [alice, bob, carol] = &mut people;
    let (mut log, keys) = gather(&mut [alice, bob, carol], &[Role::Member; 2]);
    for person in &mut people {
        person.send(&mut log, &keys, b"hello");
    }
    people.iter_mut().for_each(|person| person.catch_up(&log));
    let [alice, bob, carol] = people;
    Case { log, keys, alice, bob, carol }
}

/// How a forged message departs from one that Alice would seal next.
struct Forgery<'a> {
    binding: fn(&mut Binding),
    plaintext: &'a [u8],
    signer: &'a SigningKey,
}

/// A message at Alice's next index as Bob can make it, who has her chain.
fn forge(bob: &mut Person, alice: &Person, forgery: &Forgery<'_>) -> Vec<u8> {
    let group = bob.group();
    let (leaf, _) = group.roster().device(&alice.device.id()).unwrap();
    let state = &group.senders[&alice.device.id()];
    let key = state.key.as_ref().unwrap();
    let index = key.chain.chain().index();
    let keys = MessageKeys::derive(key.chain.peek(&kdf::CHAIN, index, u16::MAX).unwrap().key());
    let header = Header { epoch: group.epoch(), leaf, generation: key.generation(), index };
    let (link, hedge) = (state.link.unwrap(), [7; 8]);
    let ciphertext = aead::seal(&keys.key, &keys.nonce(&hedge), &[], forgery.plaintext.to_vec().into());
    let mut binding =
        Binding { group: group.id(), head: group.public.head(), certificate: key.certificate.hash() };
    (forgery.binding)(&mut binding);
    let digest = binding.digest(&header, &link, &hedge, &keys.commitment, &ciphertext);
    let signature = signature::sign(forgery.signer, LABEL, &digest);
    message::assemble(&header, &link, &hedge, &ciphertext, &signature)
}

/// The same for a run of these plaintexts.
fn forge_run(
    bob: &mut Person,
    alice: &Person,
    label: Label,
    signer: &SigningKey,
    texts: &[&[u8]],
) -> Vec<u8> {
    let group = bob.group();
    let (leaf, _) = group.roster().device(&alice.device.id()).unwrap();
    let state = &group.senders[&alice.device.id()];
    let key = state.key.as_ref().unwrap();
    let binding =
        Binding { group: group.id(), head: group.public.head(), certificate: key.certificate.hash() };
    let (mut chain, link, hedge) = (key.chain.chain().duplicate(), state.link.unwrap(), [7; 8]);
    let generation = key.generation();
    let mut header = Header { epoch: group.epoch(), leaf, generation, index: chain.index() };
    let (first, mut digest, mut ciphertexts) = (header, before_first(&link), Vec::new());
    for text in texts {
        header.index = chain.index();
        let (key, next) = chain.peek(&kdf::CHAIN).unwrap();
        chain = next;
        let keys = MessageKeys::derive(&key);
        let ciphertext = aead::seal(&keys.key, &keys.nonce(&hedge), &[], text.to_vec().into());
        digest = binding.digest_in_run(&header, &digest, &hedge, &keys.commitment, &ciphertext);
        ciphertexts.push(ciphertext);
    }
    let ciphertexts: Vec<_> = ciphertexts.iter().map(Vec::as_slice).collect();
    run::assemble(&first, &link, &hedge, &ciphertexts, &signature::sign(signer, label, &digest))
}

fn padded(text: &[u8]) -> Vec<u8> {
    padding::pad(&[&[1; 16], text]).to_vec()
}

impl Case {
    fn signing(person: &mut Person) -> SigningKey {
        person.group().own.active.as_ref().unwrap().signing.duplicate()
    }

    /// What a copy of Carol makes of it; refused, she is as before.
    fn receive(&self, message: &[u8]) -> Result<Event, ReceiveError> {
        let mut carol = self.carol.copy();
        let before = carol.snapshot();
        let result = carol.receive(&self.log.forged(EntryKind::Message, message));
        if result.is_err() {
            assert_eq!(carol.snapshot(), before);
        }
        result
    }

    /// Carol shows nothing of this message, neither now nor when Alice goes on.
    fn is_never_shown(&self, message: &[u8]) {
        assert!(matches!(self.receive(message), Ok(Event::Pending { .. })));
        let [mut alice, mut carol] = [self.alice.copy(), self.carol.copy()];
        let mut log = self.log.clone();
        log.append(EntryKind::Message, message.to_vec(), BTreeMap::new());
        alice.catch_up(&log);
        alice.send(&mut log, &self.keys, b"and now by alice herself");
        carol.catch_up(&log);
        assert_eq!(carol.texts(), ["and now by alice herself"]);
        assert_eq!(carol.read[0].continuity, Continuity::Linked);
    }
}

/// (R62) The signature binds group, head commit and certificate, none of which is sent.
#[test]
fn what_is_signed_and_not_sent() {
    let mut case = talking();
    let (alice, text) = (Case::signing(&mut case.alice), padded(b"as alice"));
    let changes: [fn(&mut Binding); 3] = [
        |binding| binding.group = GroupId::from_bytes([1; 32]),
        |binding| binding.head = CommitHash::from_bytes([1; 32]),
        |binding| binding.certificate = CertificateHash::from_bytes([1; 32]),
    ];
    for binding in changes {
        let message =
            forge(&mut case.bob, &case.alice, &Forgery { binding, plaintext: &text, signer: &alice });
        case.is_never_shown(&message);
    }
    // Unchanged it is just what Alice would have sent.
    let message =
        forge(&mut case.bob, &case.alice, &Forgery { binding: |_| {}, plaintext: &text, signer: &alice });
    assert!(matches!(case.receive(&message), Ok(Event::Message(_))));
}

/// Bob has Alice's chain and no part of her signing key: what he writes under her leaf is shown to nobody (R68).
#[test]
fn a_member_cannot_write_as_another() {
    let mut case = talking();
    let (bob, device) = (Case::signing(&mut case.bob), case.bob.device.signing_key().duplicate());
    for signer in [&bob, &device] {
        let text = padded(b"as alice");
        let message =
            forge(&mut case.bob, &case.alice, &Forgery { binding: |_| {}, plaintext: &text, signer });
        case.is_never_shown(&message);
    }
}

/// (R69) (R141) The same with a run, signed by another, or by Alice for another purpose: refused, and never pending.
#[test]
fn a_member_cannot_write_a_run_as_another() {
    let mut case = talking();
    let keys = [&mut case.alice, &mut case.bob].map(Case::signing);
    let [alice, bob] = &keys;
    let device = case.alice.device.signing_key().duplicate();
    let (one, two) = (padded(b"one"), padded(b"two"));
    for (label, signer) in [(RUN_LABEL, bob), (RUN_LABEL, &device), (LABEL, alice)] {
        let run = forge_run(&mut case.bob, &case.alice, label, signer, &[&one, &two]);
        assert!(matches!(case.receive(&run), Err(ReceiveError::Unauthentic { .. })));
    }
    let run = forge_run(&mut case.bob, &case.alice, RUN_LABEL, alice, &[&one, &two]);
    assert!(matches!(case.receive(&run), Ok(Event::Run(_))), "this is what Alice would have sent");
    // One that nobody can read spoils the run for everybody alike.
    let short = padding::pad(&[b"short"]);
    for junk in [&[0; 32][..], &[7; 32], &short, &[]] {
        for texts in [[&one, junk], [junk, &two]] {
            let run = forge_run(&mut case.bob, &case.alice, RUN_LABEL, alice, &texts);
            assert_eq!(case.receive(&run), Err(ReceiveError::Undecryptable));
        }
    }
    case.alice.send_run(&mut case.log, &case.keys, &[b"a good one", b"and another"]);
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "and another");
}

/// What Alice signs and nobody can read consumes nothing: no padding, and too short for a message id.
#[test]
fn signed_and_not_readable() {
    let mut case = talking();
    let alice = Case::signing(&mut case.alice);
    let short = padding::pad(&[b"short"]);
    for plaintext in [&[0; 32][..], &[7; 32], &short, &[]] {
        let message =
            forge(&mut case.bob, &case.alice, &Forgery { binding: |_| {}, plaintext, signer: &alice });
        assert_eq!(case.receive(&message), Err(ReceiveError::Undecryptable));
    }
    case.alice.send(&mut case.log, &case.keys, b"a good one");
    case.carol.catch_up(&case.log);
    assert_eq!(case.carol.texts().last().unwrap(), "a good one");
}

/// (R57) (R70) A welcome with another `init` than the commit confirms, or for another head, or with junk for senders.
#[test]
fn welcomes_by_a_hostile_author() {
    let mut case = talking();
    let mut dave = Person::new("dave", 4);
    let keys = book(&[&dave]);
    case.alice.change(&mut case.log, &case.keys, vec![dave.add_operation(Role::Member)]);
    let entry = case.log.entry(case.log.head(), &dave.device.id());
    let head = UnverifiedCommit::decode(&entry.body.0).unwrap().hash();
    let init = Secret::duplicate(case.alice.group().init.as_ref().unwrap());
    let context =
        EnvelopeContext { purpose: Purpose::Welcome, group: case.log.id(), epoch: case.log.epoch() };
    let seal = |payload: &[u8]| -> Entry {
        let to = Addressee { account: dave.device.account(), device: dave.device.id(), pinned: None };
        let (reach, mut rng) = (Reach { book: &keys, now: START }, SeedRng::new(5));
        let thief = case.alice.copy();
        let dispatch = Dispatch { from: &thief.device, context, upload: Upload::Commit, reach };
        let mut pairwise = Pairwise::new(context.group);
        let sealed = pairwise.seal_to(&[to], payload, dispatch, &mut rng, &mut Changes::default()).remove(0);
        Entry { delivery: Some(Opaque(sealed.unwrap())), ..entry.clone() }
    };
    let welcome = |head, init| Welcome { head, init, senders: Vec::new(), note: Opaque::default() };
    let wrong_init = seal(&codec::encode(&welcome(head, Secret::from_bytes([1; 32]))));
    let wrong_head = seal(&codec::encode(&welcome(CommitHash::from_bytes([1; 32]), init.duplicate())));
    let no_welcome = seal(b"no welcome");
    let mut senders = welcome(head, init);
    senders.senders.push(WelcomeSender {
        certificate: Opaque(vec![1; 40]),
        seed: Secret::from_bytes([1; 32]),
        chain: Secret::from_bytes([1; 32]),
        index: MessageIndex(0),
    });
    let junk_sender = seal(&codec::encode(&senders));
    let mut open = |entry: &Entry| {
        let mut walk = Newcomer::new(case.log.id());
        case.log.commits(case.log.head()).for_each(|commit| walk.commit(commit).unwrap());
        walk.open(&mut dave.device, entry, START).map(|joined| joined.group.senders.len())
    };
    assert_eq!(open(&wrong_init), Err(JoinError::Confirmation));
    assert_eq!(open(&wrong_head), Err(JoinError::NotHead));
    assert!(matches!(open(&no_welcome), Err(JoinError::Decode(_))));
    assert_eq!(open(&junk_sender), Ok(0), "its senders will be asked for their keys");
}

/// (R47) The secret of a heal on a pairwise chain is no secret, though it is the right one: a thief has the chain too.
#[test]
fn a_heals_secret_on_a_chain() {
    let Case { mut log, mut keys, mut bob, mut carol, .. } = talking();
    let (mut before, thief) = (bob.copy(), bob.copy());
    bob.begin_heal(&mut keys);
    let upload = bob.stage_heal(&keys).unwrap();
    log.commit(&upload).unwrap();
    let body = UnverifiedCommit::decode(&upload.commit).unwrap().claimed().clone();
    let staged = bob.group().staged.as_ref().unwrap().secret.as_ref().unwrap().duplicate();
    let secret = CommittedSecret { secret: staged, commitment: body.commitment.unwrap() };
    let context = EnvelopeContext { purpose: Purpose::CommitSecret, group: log.id(), epoch: body.epoch };
    let (reach, mut rng) = (Reach { book: &keys, now: START }, SeedRng::new(5));
    let dispatch = Dispatch { from: &thief.device, context, upload: Upload::Commit, reach };
    let to = [Addressee { account: carol.device.account(), device: carol.device.id(), pinned: None }];
    let wraps = before.group().pairwise.deliver(&secret, &to, dispatch, &mut rng, &mut Changes::default());
    let wrap = wraps[0].clone().unwrap();
    assert_eq!(wrap.len(), 40, "it goes by a wrap");
    let pairwise = &carol.group.as_ref().unwrap().pairwise;
    let opened = pairwise.open_secret(&carol.device, Some(&wrap), &body.author, context, &secret.commitment);
    assert!(opened.is_ok(), "it is genuine");
    let honest = log.entry(log.head(), &carol.device.id());
    let state = |event: Event| match event {
        Event::EpochChanged { state, .. } => state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(carol.copy().receive(&honest).unwrap()), GroupState::Active);
    let on_the_chain = Entry { delivery: Some(Opaque(wrap)), ..honest };
    assert_eq!(state(carol.receive(&on_the_chain).unwrap()), GroupState::NeedWelcome);
}
