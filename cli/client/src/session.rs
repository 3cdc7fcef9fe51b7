//! The session: dials when something needs the server, logs in, and keeps the device's prekeys fresh there.

use crate::client::Client;
use crate::connection::{Connection, done, unexpected};
use crate::error::ClientError;
use crate::local::now;
use crate::repair::Deaf;
use conclave_engine::{PrekeyBook, PrekeyBookError};
use conclave_wire::ids::{DeviceId, Epoch, GroupId, Opaque, PrekeysHash, Seq};
use conclave_wire::limits::MAX_PREKEYS_PER_REQUEST;
use conclave_wire::login::Login;
use conclave_wire::prekeys::OneTimePrekey;
use conclave_wire::reply::{Refusal, Reply};
use conclave_wire::request::{Cursor, Request};
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// One-time prekeys at the server below which it is given more.
const FEW_ONE_TIME: usize = 50;

/// As many are there then.
const FULL_ONE_TIME: usize = 100;

/// How often acknowledgements are sent: a lost one only delivers again.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(1);

/// The connection with what belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) connection: Option<Connection>,
    /// Whether the server pushes what is new.
    pub(crate) subscribed: bool,
    /// Whether the logs may hold what no push will bring.
    pub(crate) behind: bool,
    /// Whether this process has logged in before: a server that was never reached is an error, one that was lost is
    /// waited for.
    pub(crate) was_connected: bool,
    pub(crate) backoff: Backoff,
    /// Whether the mailbox may hold something.
    pub(crate) letters_wait: bool,
    /// Who cannot be answered.
    pub(crate) deaf: Deaf,
    /// Groups whose log ends, as the server has it, before what it has shown; and where.
    pub(crate) gone_back: BTreeMap<GroupId, Seq>,
    /// Up to which epochs receipts were asked for.
    pub(crate) receipts_asked: BTreeMap<GroupId, Epoch>,
    unacknowledged: BTreeMap<GroupId, Seq>,
    acknowledged_at: Option<Instant>,
}

impl Client {
    /// Whether a connection is up, as far as is known.
    pub(crate) fn is_connected(&self) -> bool {
        self.session.connection.as_ref().is_some_and(|connection| !connection.is_lost())
    }

    /// Dials and logs in, if there is no connection.
    pub(crate) async fn ensure_connected(&mut self) -> Result<(), ClientError> {
        self.local.check()?;
        if self.is_connected() {
            return Ok(());
        }
        self.session.connection = None;
        self.session.subscribed = false;
        self.session.behind = true;
        self.session.letters_wait = true;
        // Any node will do: the first that can be reached and is able.
        for _ in 1..self.servers.count() {
            match self.connect().await {
                Err(error) if error.is_temporary() => self.servers.turn(),
                connected => return connected,
            }
        }
        let connected = self.connect().await;
        if connected.as_ref().is_err_and(ClientError::is_temporary) {
            self.servers.turn();
        }
        connected
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let mut connection = Connection::dial(self.servers.current()?).await?;
        self.identify(&mut connection).await?;
        self.publish_prekeys(&mut connection).await?;
        match self.refill_one_time(&mut connection).await {
            Err(error) if error.is_temporary() => return Err(error),
            // Others reach this device by its signed prekeys as well.
            Err(error) => tracing::warn!(%error, "the server has no one-time prekeys of this device"),
            Ok(()) => {}
        }
        self.session.connection = Some(connection);
        self.session.was_connected = true;
        Ok(())
    }

    /// Asks the server, with a connection that is made if there is none.
    pub(crate) async fn request(&mut self, request: Request) -> Result<Reply, ClientError> {
        self.ensure_connected().await?;
        match &mut self.session.connection {
            Some(connection) => connection.request(request).await,
            None => Err(ClientError::Internal { what: "there is no connection".into() }),
        }
    }

    /// Logs in; or registers, the first time and whenever the directory needs the newest manifest.
    async fn identify(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        let device = &self.local.device;
        let due = device.manifest_due(now()) && device.holds_account_key();
        if due && device.staged_manifest().is_none() {
            let changes = self.local.device.renew_manifest(now());
            let changes = changes.map_err(|e| ClientError::Internal { what: e.to_string() })?;
            self.local.write(|step| step.apply(&changes))?;
        }
        let login = self.local.device.login(self.servers.current()?.name(), connection.nonce());
        let published = self.profile.manifest == Some(self.local.device.manifest().hash());
        if self.profile.registered && published && self.local.device.staged_manifest().is_none() {
            let reply = connection.request(Request::Login { login }).await?;
            return self.check_identified(reply);
        }
        self.register(connection, login).await
    }

    async fn register(&mut self, connection: &mut Connection, login: Login) -> Result<(), ClientError> {
        let Some(prekeys) = self.local.device.prekeys() else {
            return Err(ClientError::Internal { what: "this device has no prekeys".into() });
        };
        let published = prekeys.hash();
        let manifest = self.local.device.staged_manifest().unwrap_or(self.local.device.manifest());
        let request = Request::Register {
            name: self.profile.name.clone(),
            manifest: Opaque(manifest.encoded().to_vec()),
            prekeys: Opaque(prekeys.encode()),
            login: login.clone(),
            invite: self.profile.invite.clone(),
        };
        let mut reply = connection.request(request).await?;
        let staged = self.local.device.staged_manifest().is_some();
        let outrun = matches!(reply, Reply::Refused { refusal: Refusal::ManifestConflict { .. } });
        if staged && self.profile.registered && outrun {
            // Another device of the account was first, and what it published counts.
            reply = connection.request(Request::Login { login }).await?;
            self.check_identified(reply)?;
            self.adopt_published(connection).await?;
            self.profile.manifest = Some(self.local.device.manifest().hash());
            return self.local.write(|step| step.set_profile(&self.profile));
        }
        self.check_identified(reply)?;
        if staged {
            self.adopt_published(connection).await?;
        }
        self.profile.registered = true;
        self.profile.invite = None;
        self.profile.manifest = Some(self.local.device.manifest().hash());
        self.note_published(published)
    }

    /// Takes over the account's manifest that the directory has: the one that was just given to it, unless another
    /// device of the account was first.
    async fn adopt_published(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        let name = self.profile.name.clone();
        let shown = match connection.request(Request::Lookup { name: name.clone() }).await? {
            Reply::Account { manifest } => manifest,
            other => return Err(unexpected(other)),
        };
        let adopted = self.local.device.adopt(&[&shown.0]);
        let adopted =
            adopted.map_err(|error| ClientError::Contradiction { name, what: error.to_string() })?;
        self.local.write(|step| step.apply(&adopted.changes))
    }

    fn check_identified(&self, reply: Reply) -> Result<(), ClientError> {
        match reply {
            Reply::Done => Ok(()),
            Reply::Refused { refusal: Refusal::NameTaken } => {
                Err(ClientError::NameTaken { name: self.profile.name.clone() })
            }
            Reply::Refused { refusal: Refusal::LoginFailed { server } } => Err(ClientError::ServerName {
                dialled: self.servers.current()?.name().to_owned(),
                name: server,
            }),
            Reply::Refused { refusal: Refusal::NotRegistered } => {
                Err(ClientError::NotRegistered { server: self.identity.server.clone() })
            }
            other => Err(unexpected(other)),
        }
    }

    /// Sees to it that the server has one-time prekeys of this device to give out.
    async fn refill_one_time(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        // Without any private halves, as after a restore, those that are out serve nobody.
        let replace = self.local.device.one_time_prekeys_left() == 0;
        let ask = Request::PublishOneTime { prekeys: Vec::new(), replace };
        let left = one_time_left(connection.request(ask).await?)?;
        if left >= FEW_ONE_TIME {
            return Ok(());
        }
        let (prekeys, changes) =
            self.local.device.make_one_time_prekeys(FULL_ONE_TIME - left, &mut rand::rng());
        // Stored first: what others use has to open.
        self.local.write(|step| step.apply(&changes))?;
        one_time_left(connection.request(Request::PublishOneTime { prekeys, replace: false }).await?)
            .map(drop)
    }

    /// Replaces prekeys that are a day old, and gives the server those that it does not have.
    async fn publish_prekeys(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        if self.local.device.prekeys_due(now()) {
            let changes = self.local.device.replace_prekeys(now(), &mut rand::rng());
            self.local.write(|step| step.apply(&changes))?;
        }
        let Some(prekeys) = self.local.device.prekeys() else { return Ok(()) };
        let published = prekeys.hash();
        if self.profile.published == Some(published) {
            return Ok(());
        }
        let prekeys = Opaque(prekeys.encode());
        done(connection.request(Request::PublishPrekeys { prekeys }).await?)?;
        self.note_published(published)
    }

    fn note_published(&mut self, published: PrekeysHash) -> Result<(), ClientError> {
        let changes = self.local.device.prekeys_published(now());
        let mut profile = self.profile.clone();
        profile.published = Some(published);
        self.local.write(|step| {
            step.apply(&changes)?;
            step.set_profile(&profile)
        })?;
        self.profile = profile;
        Ok(())
    }

    /// Other devices' prekeys, and the devices that have none that can be used.
    pub(crate) async fn prekeys(
        &mut self,
        devices: &[DeviceId],
    ) -> Result<(PrekeyBook, BTreeSet<DeviceId>), ClientError> {
        let mut book = PrekeyBook::default();
        let mut missing: BTreeSet<DeviceId> = devices.iter().copied().collect();
        for devices in devices.chunks(MAX_PREKEYS_PER_REQUEST) {
            match self.request(Request::Prekeys { devices: devices.to_vec() }).await? {
                Reply::Prekeys { prekeys, one_time } if prekeys.len() == devices.len() => {
                    let one_time = one_time.unwrap_or_default().into_iter().chain(std::iter::repeat(None));
                    for (prekeys, one_time) in prekeys.into_iter().zip(one_time) {
                        let Some(Opaque(prekeys)) = prekeys else { continue };
                        match insert(&mut book, &prekeys, one_time) {
                            Ok(device) => drop(missing.remove(&device)),
                            // The device counts as unreachable: it cannot block a change of the group.
                            Err(error) => tracing::warn!(%error, "prekeys that cannot be used"),
                        }
                    }
                }
                other => return Err(unexpected(other)),
            }
        }
        Ok((book, missing))
    }

    /// Has the next [`next`](Self::next) subscribe again, with groups that are new.
    pub(crate) fn resubscribe(&mut self) {
        self.session.subscribed = false;
    }

    /// Notes how far a group is processed and stored, for the server to know some time.
    pub(crate) fn acknowledge_later(&mut self, group: GroupId, seq: Seq) {
        if seq > Seq(0) {
            self.session.unacknowledged.insert(group, seq);
        }
    }

    /// Sends acknowledgements, if it is time or `at_once`; answers are not waited for.
    pub(crate) async fn acknowledge(&mut self, at_once: bool) {
        let due = self.session.acknowledged_at.is_none_or(|at| at.elapsed() >= ACKNOWLEDGE_EVERY);
        if !due && !at_once {
            return;
        }
        self.session.acknowledged_at = Some(Instant::now());
        let Some(connection) = &mut self.session.connection else { return };
        for (group, seq) in std::mem::take(&mut self.session.unacknowledged) {
            let acknowledged = connection.tell(Request::Acknowledge { cursor: Cursor { group, seq } }).await;
            if acknowledged.is_err() {
                return;
            }
        }
    }
}

/// Takes a device's prekeys into the book, with a one-time prekey if that can be used.
fn insert(
    book: &mut PrekeyBook,
    prekeys: &[u8],
    one_time: Option<OneTimePrekey>,
) -> Result<DeviceId, PrekeyBookError> {
    let Some(one_time) = one_time else { return book.insert(prekeys) };
    match book.insert_with_one_time(prekeys, one_time) {
        Err(PrekeyBookError::OneTime) => {
            tracing::warn!("a one-time prekey that cannot be used");
            book.insert(prekeys)
        }
        inserted => inserted,
    }
}

fn one_time_left(reply: Reply) -> Result<usize, ClientError> {
    match reply {
        Reply::OneTimeLeft { left } => Ok(usize::try_from(left).unwrap_or(usize::MAX)),
        other => Err(unexpected(other)),
    }
}

/// Pauses before a lost connection is made again: growing, and jittered, so that after a restart of the server not
/// everybody comes at the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    /// Kept here and not in a future, so that a caller who drops its future does not begin the pause anew.
    until: Option<Instant>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Backoff {
    /// Notes a failure: the next [`pass`](Self::pass) pauses.
    pub(crate) fn fail(&mut self) {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + longest.mul_f64(rand::rng().random_range(0.5..1.0)));
    }

    /// Waits for the end of the pause, if there is one.
    pub(crate) async fn pass(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }

    /// Notes a failure and pauses.
    pub(crate) async fn wait(&mut self) {
        self.fail();
        self.pass().await;
    }

    /// Notes success.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}
