//! The session: `Unidentified`, then `Identified`. A frame in, what to do out; no I/O, no clock.

use super::Identity;
use crate::groups::{Attached, CommitUpload, Upload, not_a_commit};
use crate::limits::MAX_FAILED_LOGINS;
use crate::name::ServerNames;
use crate::store::{Admitted, Registration};
use actix_http::ws::CloseCode;
use conclave_wire::codec::{self, DecodeError};
use conclave_wire::commit::UnverifiedCommit;
use conclave_wire::frame::{ClientFrame, RequestId};
use conclave_wire::ids::{AccountId, DeviceId, Epoch, GroupId, LetterNumber, Opaque, Seq, UploadId};
use conclave_wire::letter::LetterKind;
use conclave_wire::limits::{
    MAX_ACCOUNTS_PER_REQUEST, MAX_CURSORS, MAX_ONE_TIME_PREKEYS, MAX_PART_BYTES, MAX_PART_DELIVERIES,
    MAX_PREKEYS_PER_REQUEST,
};
use conclave_wire::login::{Login, Nonce};
use conclave_wire::manifest::Manifest;
use conclave_wire::name::Name;
use conclave_wire::prekeys::{OneTimePrekey, Prekeys};
use conclave_wire::reply::Refusal;
use conclave_wire::request::{Cursor, DeliveryFor, Request};
use std::sync::Arc;

/// Answers a frame of which not even the request's id could be read.
const NO_ID: RequestId = RequestId(0);

/// One connection's side of the conversation.
#[derive(Debug)]
pub(crate) struct Session {
    names: Arc<ServerNames>,
    /// The challenge that this connection was given.
    nonce: Nonce,
    state: State,
}

#[derive(Debug)]
enum State {
    Unidentified { failed_logins: u8 },
    Identified(Identity),
}

/// What to do about a frame.
#[derive(Debug)]
pub(crate) enum Action {
    /// Find out whether this device is registered; if so, [`Session::identify`].
    LogIn(RequestId, Identity),
    /// Enter this in the directory; if that is done, [`Session::identify`].
    Register(RequestId, Identity, Registration, Option<String>),
    /// Do this for the device, and answer.
    Perform(RequestId, Identity, Task),
    /// Append this to the group's log; the answer may come later than others.
    Append(RequestId, Identity, GroupId, Upload),
    /// Answer, then push what comes after these.
    Subscribe(RequestId, Identity, Vec<Cursor>),
    /// Answer.
    Refuse(RequestId, Refusal),
    /// Answer, then close the connection.
    End(RequestId, Refusal, CloseCode),
}

/// A request of an identified device, as far as it can be checked without looking anything up.
#[derive(Debug)]
pub(crate) enum Task {
    /// Find an account.
    Lookup(Name),
    /// Find accounts' names.
    Names(Vec<AccountId>),
    /// Find devices' prekeys.
    Prekeys(Vec<DeviceId>),
    /// Replace the device's prekeys by these, which it signed.
    PublishPrekeys(Opaque),
    /// Keep these one-time prekeys of the device.
    PublishOneTime { prekeys: Vec<OneTimePrekey>, replace: bool },
    /// Leave a letter for another device of a group.
    SendLetter { group: GroupId, to: DeviceId, kind: LetterKind, body: Opaque },
    /// Read the device's mailbox.
    FetchLetters { after: LetterNumber },
    /// Empty the device's mailbox up to a letter.
    ForgetLetters { through: LetterNumber },
    /// List the device's groups.
    Groups,
    /// Begin or change a group.
    Commit(CommitUpload),
    /// Keep a part of what hangs on an entry to come.
    StagePart { upload: UploadId, number: u32, deliveries: Vec<DeliveryFor> },
    /// Read a log.
    Fetch { group: GroupId, after: Seq, limit: u32 },
    /// Read a log's commits.
    FetchCommits { group: GroupId, from: Epoch, limit: u32 },
    /// Sign receipts for a log's commits.
    Receipts { group: GroupId, from: Epoch },
    /// Remember how far the device is.
    Acknowledge(Cursor),
}

impl Session {
    pub(crate) fn new(names: Arc<ServerNames>, nonce: Nonce) -> Self {
        Self { names, nonce, state: State::Unidentified { failed_logins: 0 } }
    }

    /// Decides about a frame.
    pub(crate) fn receive(&mut self, frame: &[u8]) -> Action {
        match codec::decode::<ClientFrame>(frame) {
            Ok(ClientFrame { id, request }) => match &mut self.state {
                State::Identified(identity) => identified(id, *identity, request),
                State::Unidentified { failed_logins } => {
                    let action = unidentified(&self.names, &self.nonce, id, request);
                    limit_failures(failed_logins, action)
                }
            },
            Err(DecodeError::UnknownVersion { .. }) => {
                let refusal = Refusal::UnknownVersion { min: codec::VERSION, max: codec::VERSION };
                Action::End(NO_ID, refusal, CloseCode::Protocol)
            }
            Err(error) => {
                let refusal = Refusal::Malformed { reason: error.to_string() };
                Action::End(NO_ID, refusal, CloseCode::Invalid)
            }
        }
    }

    /// The device is registered: from now on the connection speaks for it.
    pub(crate) fn identify(&mut self, identity: Identity) {
        self.state = State::Identified(identity);
    }
}

fn unidentified(names: &ServerNames, nonce: &Nonce, id: RequestId, request: Request) -> Action {
    match request {
        Request::Login { login } => match verify(names, nonce, &login) {
            Ok(identity) => Action::LogIn(id, identity),
            Err(refusal) => Action::Refuse(id, refusal),
        },
        Request::Register { name, manifest, prekeys, login, invite } => {
            match registration(names, nonce, name, manifest, prekeys, &login) {
                Ok((identity, registration)) => Action::Register(id, identity, registration, invite),
                Err(refusal) => Action::Refuse(id, refusal),
            }
        }
        _ => Action::Refuse(id, Refusal::NotIdentified),
    }
}

/// Who guesses is sent away.
fn limit_failures(failed: &mut u8, action: Action) -> Action {
    match action {
        Action::Refuse(id, refusal @ Refusal::LoginFailed { .. }) => {
            *failed = failed.saturating_add(1);
            if *failed >= MAX_FAILED_LOGINS {
                Action::End(id, refusal, CloseCode::Policy)
            } else {
                Action::Refuse(id, refusal)
            }
        }
        action => action,
    }
}

fn verify(names: &ServerNames, nonce: &Nonce, login: &Login) -> Result<Identity, Refusal> {
    if names.all().any(|name| login.verify(name, nonce).is_ok()) {
        Ok(Identity::new(login.account, login.device))
    } else {
        Err(Refusal::LoginFailed { server: names.announced().to_owned() })
    }
}

fn registration(
    names: &ServerNames,
    nonce: &Nonce,
    name: Name,
    manifest: Opaque,
    prekeys: Opaque,
    login: &Login,
) -> Result<(Identity, Registration), Refusal> {
    let identity = verify(names, nonce, login)?;
    let verified = Manifest::decode_and_verify(&manifest.0).map_err(|error| invalid_account(&error))?;
    if verified.account() != identity.account || !verified.body().devices.contains(&identity.key) {
        return Err(invalid_account(&"the manifest does not list this device for this account"));
    }
    check_prekeys(&identity, &prekeys)?;
    let Identity { account, device, .. } = identity;
    let admitted = Admitted::Free;
    Ok((identity, Registration { name, account, manifest, device, prekeys, admitted }))
}

fn check_prekeys(identity: &Identity, prekeys: &Opaque) -> Result<(), Refusal> {
    let verified = Prekeys::decode_and_verify(&prekeys.0).map_err(|error| invalid_account(&error))?;
    if verified.body().device != identity.key {
        return Err(invalid_account(&"the prekeys are another device's"));
    }
    Ok(())
}

fn invalid_account(reason: &dyn std::fmt::Display) -> Refusal {
    Refusal::InvalidAccount { reason: reason.to_string() }
}

fn identified(id: RequestId, identity: Identity, request: Request) -> Action {
    let task = match request {
        Request::Post { group, message } => {
            return Action::Append(id, identity, group, Upload::Message(message));
        }
        Request::Distribute { group, distribution, deliveries, staged } => {
            match Attached::new(deliveries, Vec::new(), staged) {
                Ok(attached) => {
                    let upload = Upload::Distribution { distribution, attached };
                    return Action::Append(id, identity, group, upload);
                }
                Err(refusal) => Err(refusal),
            }
        }
        Request::Subscribe { cursors } => match bounded("cursors", &cursors, MAX_CURSORS) {
            Ok(()) => return Action::Subscribe(id, identity, cursors),
            Err(refusal) => Err(refusal),
        },
        request => task(&identity, request),
    };
    match task {
        Ok(task) => Action::Perform(id, identity, task),
        Err(refusal) => Action::Refuse(id, refusal),
    }
}

fn task(identity: &Identity, request: Request) -> Result<Task, Refusal> {
    Ok(match request {
        Request::Register { .. } | Request::Login { .. } => return Err(Refusal::AlreadyIdentified),
        Request::Lookup { name } => Task::Lookup(name),
        Request::Names { accounts } => {
            bounded("accounts", &accounts, MAX_ACCOUNTS_PER_REQUEST)?;
            Task::Names(accounts)
        }
        Request::Prekeys { devices } => {
            bounded("devices", &devices, MAX_PREKEYS_PER_REQUEST)?;
            Task::Prekeys(devices)
        }
        Request::PublishPrekeys { prekeys } => {
            check_prekeys(identity, &prekeys)?;
            Task::PublishPrekeys(prekeys)
        }
        Request::PublishOneTime { prekeys, replace } => {
            bounded("one-time prekeys", &prekeys, MAX_ONE_TIME_PREKEYS)?;
            Task::PublishOneTime { prekeys, replace }
        }
        Request::SendLetter { group, to, kind, body } => Task::SendLetter { group, to, kind, body },
        Request::FetchLetters { after } => Task::FetchLetters { after },
        Request::ForgetLetters { through } => Task::ForgetLetters { through },
        Request::Groups => Task::Groups,
        Request::Commit { commit, deliveries, welcomes, staged } => {
            let unverified = UnverifiedCommit::decode(&commit.0).map_err(not_a_commit)?;
            let attached = Attached::new(deliveries, welcomes, staged)?;
            Task::Commit(CommitUpload { unverified, commit, attached })
        }
        Request::StagePart { upload, number, deliveries } => {
            bounded("deliveries of a part", &deliveries, MAX_PART_DELIVERIES)?;
            if deliveries.iter().map(|delivery| delivery.delivery.0.len()).sum::<usize>() > MAX_PART_BYTES {
                let what = "bytes of a part's deliveries".to_owned();
                return Err(Refusal::TooLarge { what, max: MAX_PART_BYTES as u64 });
            }
            Task::StagePart { upload, number, deliveries }
        }
        Request::Receipts { group, from } => Task::Receipts { group, from },
        Request::Fetch { group, after, limit } => Task::Fetch { group, after, limit },
        Request::FetchCommits { group, from, limit } => Task::FetchCommits { group, from, limit },
        Request::Acknowledge { cursor } => Task::Acknowledge(cursor),
        // The request enum may grow before this server does.
        _ => return Err(Refusal::Malformed { reason: "this server does not know the request".to_owned() }),
    })
}

fn bounded<T>(what: &str, list: &[T], max: usize) -> Result<(), Refusal> {
    if list.len() > max {
        return Err(Refusal::TooLarge { what: what.to_owned(), max: max as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Person;

    const NONCE: Nonce = Nonce::from_bytes([7; 32]);
    const SERVER: &str = "127.0.0.1:7300";

    fn session() -> Session {
        let names = ServerNames::new(None, SERVER.parse().unwrap()).unwrap();
        Session::new(Arc::new(names), NONCE)
    }

    fn send(session: &mut Session, request: Request) -> Action {
        session.receive(&codec::encode(&ClientFrame { id: RequestId(5), request }))
    }

    fn refusal(action: Action) -> Refusal {
        match action {
            Action::Refuse(RequestId(5), refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn identified_session(person: &Person) -> Session {
        let mut session = session();
        session.identify(Identity::new(person.account(), person.device_key()));
        session
    }

    #[test]
    fn nothing_before_a_login() {
        let requests = [
            Request::Groups,
            Request::Lookup { name: "bob".parse().unwrap() },
            Request::Subscribe { cursors: Vec::new() },
            Request::Post { group: GroupId::from_bytes([1; 32]), message: Opaque(vec![1]) },
        ];
        for request in requests {
            assert_eq!(refusal(send(&mut session(), request)), Refusal::NotIdentified);
        }
    }

    #[test]
    fn a_login_is_for_this_server_and_connection() {
        let alice = Person::new("alice");
        let login = |server: &str, nonce| Request::Login { login: alice.login(server, nonce) };
        for own in [SERVER, "localhost:7300", "[::1]:7300"] {
            let action = send(&mut session(), login(own, &NONCE));
            let Action::LogIn(RequestId(5), identity) = action else { panic!("{action:?}") };
            assert_eq!((identity.account, identity.device), (alice.account(), alice.device()));
        }
        let failed = Refusal::LoginFailed { server: SERVER.to_owned() };
        let replayed = Nonce::from_bytes([8; 32]);
        assert_eq!(refusal(send(&mut session(), login(SERVER, &replayed))), failed);
        assert_eq!(refusal(send(&mut session(), login("127.0.0.1:7301", &NONCE))), failed);
        assert_eq!(refusal(send(&mut session(), login("evil.example", &NONCE))), failed);
    }

    #[test]
    fn guessing_ends() {
        let alice = Person::new("alice");
        let mut session = session();
        let mut guess = || send(&mut session, Request::Login { login: alice.login("elsewhere", &NONCE) });
        for _ in 1..MAX_FAILED_LOGINS {
            assert!(matches!(guess(), Action::Refuse(..)));
        }
        assert!(matches!(guess(), Action::End(_, Refusal::LoginFailed { .. }, CloseCode::Policy)));
    }

    #[test]
    fn a_registration_proves_everything_it_says() {
        let (alice, bob) = (Person::new("alice"), Person::new("bob"));
        let with = |manifest: &Person, prekeys: &Person, login: &Person| Request::Register {
            name: "alice".parse().unwrap(),
            manifest: Opaque(manifest.manifest.encoded().to_vec()),
            prekeys: Opaque(prekeys.prekeys.clone()),
            login: login.login(SERVER, &NONCE),
            invite: None,
        };
        let action = send(&mut session(), with(&alice, &alice, &alice));
        let Action::Register(_, identity, registration, _) = action else { panic!("{action:?}") };
        assert_eq!((identity.device, registration.device), (alice.device(), alice.device()));
        assert_eq!(registration.account, alice.account());

        // Alice's account on Bob's device, which her manifest does not list.
        let intruder = Person::with_device("alice", "bob");
        let strangers =
            [with(&bob, &alice, &alice), with(&alice, &bob, &alice), with(&alice, &bob, &intruder)];
        for request in strangers {
            let refused = refusal(send(&mut session(), request));
            assert!(matches!(refused, Refusal::InvalidAccount { .. }), "{refused:?}");
        }
        let mut broken = alice.manifest.encoded().to_vec();
        *broken.last_mut().unwrap() ^= 1;
        let request = Request::Register {
            name: "alice".parse().unwrap(),
            manifest: Opaque(broken),
            prekeys: Opaque(alice.prekeys.clone()),
            login: alice.login(SERVER, &NONCE),
            invite: None,
        };
        assert!(matches!(refusal(send(&mut session(), request)), Refusal::InvalidAccount { .. }));
    }

    #[test]
    fn only_once() {
        let alice = Person::new("alice");
        let mut session = identified_session(&alice);
        let again = send(&mut session, Request::Login { login: alice.login(SERVER, &NONCE) });
        assert_eq!(refusal(again), Refusal::AlreadyIdentified);
        let again = send(&mut session, alice.register(SERVER, &NONCE));
        assert_eq!(refusal(again), Refusal::AlreadyIdentified);
        assert!(matches!(send(&mut session, Request::Groups), Action::Perform(_, _, Task::Groups)));
    }

    #[test]
    fn only_own_prekeys() {
        let (alice, bob) = (Person::new("alice"), Person::new("bob"));
        let mut session = identified_session(&alice);
        let mut publish = |prekeys| send(&mut session, Request::PublishPrekeys { prekeys: Opaque(prekeys) });
        assert!(matches!(publish(alice.prekeys(3)), Action::Perform(_, _, Task::PublishPrekeys(_))));
        assert!(matches!(refusal(publish(bob.prekeys(3))), Refusal::InvalidAccount { .. }));
        assert!(matches!(refusal(publish(vec![1, 2])), Refusal::InvalidAccount { .. }));
    }

    #[test]
    fn lists_are_bounded() {
        let mut session = identified_session(&Person::new("alice"));
        let cursor = Cursor { group: GroupId::from_bytes([1; 32]), seq: Seq(0) };
        let requests = [
            Request::Names { accounts: vec![AccountId::from_bytes([1; 32]); MAX_ACCOUNTS_PER_REQUEST + 1] },
            Request::Prekeys { devices: vec![DeviceId::from_bytes([1; 32]); MAX_PREKEYS_PER_REQUEST + 1] },
            Request::Subscribe { cursors: vec![cursor; MAX_CURSORS + 1] },
        ];
        for request in requests {
            assert!(matches!(refusal(send(&mut session, request)), Refusal::TooLarge { .. }));
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_connection() {
        let mut frame = codec::encode(&ClientFrame { id: RequestId(5), request: Request::Groups });
        let truncated = session().receive(&frame[..frame.len() - 1]);
        assert!(matches!(truncated, Action::End(NO_ID, Refusal::Malformed { .. }, CloseCode::Invalid)));
        frame[0] = 2;
        let version = Refusal::UnknownVersion { min: 1, max: 1 };
        let action = session().receive(&frame);
        assert!(matches!(action, Action::End(NO_ID, refusal, CloseCode::Protocol) if refusal == version));
        assert!(matches!(session().receive(&[]), Action::End(..)));
    }
}
