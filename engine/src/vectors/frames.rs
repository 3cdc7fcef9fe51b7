//! Frames of the one socket: every request, reply, refusal and push.

use super::second::cbor::{array, bool, bstr, diagnostic, null, structure, text, uint, variant};
use super::{bytes, check, hx, seed};
use conclave_wire::codec::{self, Structure};
use conclave_wire::entry::{Entry, EntryKind};
use conclave_wire::frame::{ClientFrame, RequestId, ServerFrame};
use conclave_wire::ids::{
    AccountId, DeviceId, DeviceKey, Epoch, GroupId, LetterNumber, ManifestVersion, OneTimePrekeyId, Opaque,
    Seq, UploadId,
};
use conclave_wire::letter::{Letter, LetterKind};
use conclave_wire::login::{Login, Nonce};
use conclave_wire::name::Name;
use conclave_wire::prekeys::{AgreementKey, OneTimePrekey};
use conclave_wire::receipt::ServerKey;
use conclave_wire::reply::{Membership, Refusal, Reply};
use conclave_wire::request::{Cursor, DeliveryFor, Request, WelcomeFor};
use conclave_wire::signature::Signature;
use serde_json::{Value, json};
use std::fmt::Debug;

fn group() -> GroupId {
    GroupId::from_bytes(seed("group"))
}

fn device() -> DeviceId {
    DeviceId::from_bytes(seed("device id"))
}

fn one_time() -> OneTimePrekey {
    OneTimePrekey { id: OneTimePrekeyId(300), key: AgreementKey::from_bytes(seed("one-time key")) }
}

fn encoded_one_time() -> Vec<u8> {
    array(&[uint(300), bstr(seed("one-time key"))])
}

fn upload() -> UploadId {
    UploadId::from_bytes([8; 16])
}

fn account() -> AccountId {
    AccountId::from_bytes(seed("account id"))
}

fn name() -> Name {
    "alice".parse().unwrap()
}

fn opaque(byte: u8) -> Opaque {
    Opaque(vec![byte; 3])
}

fn login() -> Login {
    Login {
        account: account(),
        device: DeviceKey::from_bytes(seed("device key")),
        signature: Signature::from_bytes([9; 64]),
    }
}

fn entry(kind: EntryKind, delivery: Option<Opaque>) -> Entry {
    Entry { group: group(), seq: Seq(300), kind, delivery, body: opaque(4) }
}

fn requests() -> Vec<(&'static str, Request, Vec<u8>)> {
    let (g, d, a) = (bstr(seed("group")), bstr(seed("device id")), bstr(seed("account id")));
    let u = bstr([8; 16]);
    let proof = array(&[a.clone(), bstr(seed("device key")), bstr([9; 64])]);
    let o = |byte| bstr([byte; 3]);
    vec![
        (
            "register",
            Request::Register {
                name: name(),
                manifest: opaque(1),
                prekeys: opaque(2),
                login: login(),
                invite: None,
            },
            variant(0, &[text("alice"), o(1), o(2), proof.clone()]),
        ),
        ("login", Request::Login { login: login() }, variant(1, std::slice::from_ref(&proof))),
        ("lookup", Request::Lookup { name: name() }, variant(2, &[text("alice")])),
        ("names", Request::Names { accounts: vec![account()] }, variant(3, &[array(&[a])])),
        (
            "prekeys",
            Request::Prekeys { devices: vec![device()] },
            variant(4, &[array(std::slice::from_ref(&d))]),
        ),
        ("publish prekeys", Request::PublishPrekeys { prekeys: opaque(2) }, variant(5, &[o(2)])),
        ("groups", Request::Groups, variant(6, &[])),
        (
            "commit",
            Request::Commit {
                commit: opaque(3),
                deliveries: vec![opaque(5), opaque(6)],
                welcomes: vec![WelcomeFor { device: device(), welcome: opaque(7) }],
                staged: None,
            },
            variant(7, &[o(3), array(&[o(5), o(6)]), array(&[array(&[d, o(7)])])]),
        ),
        (
            "distribute",
            Request::Distribute {
                group: group(),
                distribution: opaque(3),
                deliveries: vec![opaque(5), Opaque::default()],
                staged: None,
            },
            variant(8, &[g.clone(), o(3), array(&[o(5), bstr([])])]),
        ),
        ("post", Request::Post { group: group(), message: opaque(3) }, variant(9, &[g.clone(), o(3)])),
        (
            "fetch",
            Request::Fetch { group: group(), after: Seq(70_000), limit: 100 },
            variant(10, &[g.clone(), uint(70_000), uint(100)]),
        ),
        (
            "fetch commits",
            Request::FetchCommits { group: group(), from: Epoch(0), limit: 256 },
            variant(11, &[g.clone(), uint(0), uint(256)]),
        ),
        (
            "subscribe",
            Request::Subscribe { cursors: vec![Cursor { group: group(), seq: Seq(24) }] },
            variant(12, &[array(&[array(&[g.clone(), uint(24)])])]),
        ),
        (
            "acknowledge",
            Request::Acknowledge { cursor: Cursor { group: group(), seq: Seq(1 << 40) } },
            variant(13, &[array(&[g.clone(), uint(1 << 40)])]),
        ),
        (
            "commit",
            Request::Commit {
                commit: opaque(3),
                deliveries: Vec::new(),
                welcomes: Vec::new(),
                staged: Some(upload()),
            },
            variant(7, &[o(3), array(&[]), array(&[]), u.clone()]),
        ),
        (
            "distribute",
            Request::Distribute {
                group: group(),
                distribution: opaque(3),
                deliveries: Vec::new(),
                staged: Some(upload()),
            },
            variant(8, &[g, o(3), array(&[]), u.clone()]),
        ),
        (
            "register",
            Request::Register {
                name: name(),
                manifest: opaque(1),
                prekeys: opaque(2),
                login: login(),
                invite: Some("invite-07".to_owned()),
            },
            variant(0, &[text("alice"), o(1), o(2), proof.clone(), text("invite-07")]),
        ),
        (
            "publish one-time",
            Request::PublishOneTime { prekeys: vec![one_time()], replace: true },
            variant(17, &[array(&[encoded_one_time()]), bool(true)]),
        ),
        (
            "stage part",
            Request::StagePart {
                upload: upload(),
                number: 2,
                deliveries: vec![DeliveryFor { device: device(), delivery: opaque(5) }],
            },
            variant(25, &[u, uint(2), array(&[array(&[bstr(seed("device id")), o(5)])])]),
        ),
        (
            "send letter",
            Request::SendLetter {
                group: group(),
                to: device(),
                kind: LetterKind::RepairAnswer,
                body: opaque(5),
            },
            variant(14, &[bstr(seed("group")), bstr(seed("device id")), uint(1), o(5)]),
        ),
        ("fetch letters", Request::FetchLetters { after: LetterNumber(7) }, variant(15, &[uint(7)])),
        ("forget letters", Request::ForgetLetters { through: LetterNumber(9) }, variant(16, &[uint(9)])),
        (
            "receipts",
            Request::Receipts { group: group(), from: Epoch(5) },
            variant(18, &[bstr(seed("group")), uint(5)]),
        ),
    ]
}

fn replies() -> Vec<(&'static str, Reply, Vec<u8>)> {
    let g = bstr(seed("group"));
    let o = |byte| bstr([byte; 3]);
    let membership =
        Membership { group: group(), joined: Seq(2), left: Some(Seq(9)), acknowledged: Seq(0), head: Seq(9) };
    let encoded = array(&[g.clone(), uint(2), uint(9), uint(0), uint(9)]);
    let entries = vec![entry(EntryKind::Commit, Some(opaque(5))), entry(EntryKind::Message, None)];
    let encoded_entries = array(&[
        array(&[g.clone(), uint(300), uint(0), o(5), o(4)]),
        array(&[g.clone(), uint(300), uint(2), null(), o(4)]),
    ]);
    let letter = array(&[uint(8), uint(0), g.clone(), bstr(seed("device id")), o(4)]);
    vec![
        ("done", Reply::Done, variant(0, &[])),
        ("accepted", Reply::Accepted { group: group(), seq: Seq(7) }, variant(1, &[g, uint(7)])),
        ("account", Reply::Account { manifest: opaque(1) }, variant(2, &[o(1)])),
        (
            "names",
            Reply::Names { names: vec![Some(name()), None] },
            variant(3, &[array(&[text("alice"), null()])]),
        ),
        (
            "prekeys",
            Reply::Prekeys { prekeys: vec![Some(opaque(2)), None], one_time: None },
            variant(4, &[array(&[o(2), null()])]),
        ),
        (
            "prekeys",
            Reply::Prekeys {
                prekeys: vec![None, Some(opaque(2))],
                one_time: Some(vec![None, Some(one_time())]),
            },
            variant(4, &[array(&[null(), o(2)]), array(&[null(), encoded_one_time()])]),
        ),
        ("one-time left", Reply::OneTimeLeft { left: 99 }, variant(8, &[uint(99)])),
        ("groups", Reply::Groups { groups: vec![membership] }, variant(5, &[array(&[encoded])])),
        ("page", Reply::Page { entries, head: Seq(301) }, variant(6, &[encoded_entries, uint(301)])),
        (
            "letters",
            Reply::Letters {
                letters: vec![Letter {
                    number: LetterNumber(8),
                    kind: LetterKind::RepairRequest,
                    group: group(),
                    from: device(),
                    body: opaque(4),
                }],
                more: true,
            },
            variant(9, &[array(&[letter]), bool(true)]),
        ),
        (
            "receipts",
            Reply::Receipts { key: ServerKey::from_bytes([7; 32]), receipts: vec![opaque(1)] },
            variant(10, &[bstr([7; 32]), array(&[o(1)])]),
        ),
    ]
}

fn refusals() -> Vec<(&'static str, Refusal, Vec<u8>)> {
    let why = || "why".to_owned();
    vec![
        ("unknown version", Refusal::UnknownVersion { min: 1, max: 2 }, variant(0, &[uint(1), uint(2)])),
        ("malformed", Refusal::Malformed { reason: why() }, variant(1, &[text("why")])),
        ("too large", Refusal::TooLarge { what: why(), max: 256 }, variant(2, &[text("why"), uint(256)])),
        ("not identified", Refusal::NotIdentified, variant(3, &[])),
        ("already identified", Refusal::AlreadyIdentified, variant(4, &[])),
        ("login failed", Refusal::LoginFailed { server: why() }, variant(5, &[text("why")])),
        ("not registered", Refusal::NotRegistered, variant(6, &[])),
        ("name taken", Refusal::NameTaken, variant(7, &[])),
        ("already registered", Refusal::AlreadyRegistered { name: name() }, variant(8, &[text("alice")])),
        ("invalid account", Refusal::InvalidAccount { reason: why() }, variant(9, &[text("why")])),
        ("unknown name", Refusal::UnknownName, variant(10, &[])),
        ("not member", Refusal::NotMember, variant(11, &[])),
        (
            "epoch stale",
            Refusal::EpochStale { epoch: Epoch(3), head: Seq(9) },
            variant(12, &[uint(3), uint(9)]),
        ),
        ("head moved", Refusal::HeadMoved { head: Seq(9) }, variant(13, &[uint(9)])),
        ("invalid commit", Refusal::InvalidCommit { reason: why() }, variant(14, &[text("why")])),
        (
            "wrong deliveries",
            Refusal::WrongDeliveries { expected: 2, found: 1 },
            variant(15, &[uint(2), uint(1)]),
        ),
        ("invalid entry", Refusal::InvalidEntry { reason: why() }, variant(16, &[text("why")])),
        (
            "rate limited",
            Refusal::RateLimited { limit: why(), retry_after_ms: 1500 },
            variant(18, &[text("why"), uint(1500)]),
        ),
        ("unavailable", Refusal::Unavailable, variant(19, &[])),
        ("registration closed", Refusal::RegistrationClosed, variant(26, &[])),
        ("invite needed", Refusal::InviteNeeded, variant(27, &[])),
        ("invite invalid", Refusal::InviteInvalid, variant(28, &[])),
        ("invite expired", Refusal::InviteExpired, variant(29, &[])),
        ("invite used up", Refusal::InviteUsedUp, variant(30, &[])),
        ("device revoked", Refusal::DeviceRevoked, variant(31, &[])),
        (
            "manifest conflict",
            Refusal::ManifestConflict { version: ManifestVersion(7) },
            variant(32, &[uint(7)]),
        ),
        ("part out of order", Refusal::PartOutOfOrder { expected: 3 }, variant(33, &[uint(3)])),
        ("unknown upload", Refusal::UnknownUpload, variant(34, &[])),
        ("mailbox full", Refusal::MailboxFull, variant(20, &[])),
    ]
}

/// One vector: the second implementation's bytes, with their CBOR in diagnostic notation for the reader.
fn vector(name: &str, frame: &[u8]) -> Value {
    json!({ "name": name, "cbor": diagnostic(&mut minicbor::Decoder::new(&frame[1..])), "frame": hx(frame) })
}

fn verify<T: Structure + PartialEq + Debug>(file: &Value, frames: &[T]) {
    let file = file.as_array().unwrap();
    assert_eq!(file.len(), frames.len());
    for (vector, frame) in file.iter().zip(frames) {
        assert_eq!(codec::encode(frame), bytes(&vector["frame"]), "{}", vector["name"]);
        assert_eq!(codec::decode::<T>(&bytes(&vector["frame"])).as_ref(), Ok(frame));
    }
}

#[test]
fn client_frames() {
    let requests = requests();
    let vectors: Vec<_> = (7_u64..)
        .zip(&requests)
        .map(|(id, (name, _, encoded))| vector(name, &structure(&[uint(id), encoded.clone()])))
        .collect();
    let comment =
        "Every request, in a frame; the version byte stands before the CBOR. Opaque bytes are placeholders.";
    let file = check("client_frames.json", comment, &json!(vectors));
    let frames: Vec<_> =
        (7..).zip(requests).map(|(id, (_, request, _))| ClientFrame { id: RequestId(id), request }).collect();
    verify(&file, &frames);
}

#[test]
fn server_frames() {
    let reply = |reply: Vec<u8>| structure(&[uint(1), array(&[uint(7), reply])]);
    let mut vectors =
        vec![vector("hello", &structure(&[uint(0), array(&[text("chat.example"), bstr(seed("nonce"))])]))];
    let mut frames =
        vec![ServerFrame::Hello { name: "chat.example".to_owned(), nonce: Nonce::from_bytes(seed("nonce")) }];
    let id = RequestId(7);
    for (name, value, encoded) in replies() {
        vectors.push(vector(name, &reply(encoded)));
        frames.push(ServerFrame::Reply { id, reply: value });
    }
    for (name, refusal, encoded) in refusals() {
        vectors.push(vector(&format!("refused: {name}"), &reply(variant(7, &[encoded]))));
        frames.push(ServerFrame::Reply { id, reply: Reply::Refused { refusal } });
    }
    let pushed = array(&[bstr(seed("group")), uint(300), uint(1), bstr([5; 3]), bstr([4; 3])]);
    vectors.push(vector("push", &structure(&[uint(2), array(&[pushed])])));
    frames.push(ServerFrame::Push { entry: entry(EntryKind::Distribution, Some(opaque(5))) });
    vectors.push(vector("letters wait", &structure(&[uint(3), array(&[])])));
    frames.push(ServerFrame::LettersWait);
    let comment = "The hello, every reply and refusal, a push, and word of letters; the version byte stands before the CBOR.";
    verify(&check("server_frames.json", comment, &json!(vectors)), &frames);
}
