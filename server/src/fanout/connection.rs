//! One upgraded socket: what waits for it, and the writing of it.

use super::ConnectionId;
use super::registry::{Member, Place};
use crate::limits::{
    DROP_AFTER, FRAMES_PER_WRITE, LOGIN_DEADLINE, OUTBOX_BYTES, OUTBOX_LOW, PING_AFTER, STUCK_AFTER,
};
use crate::session::Identity;
use crate::transport::Transport;
use actix_http::ws::CloseCode;
use bytes::Bytes;
use conclave_wire::ids::{DeviceId, GroupId};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::Notify;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The other side is gone, or does not take anything any more.
    Gone,
    /// This server ends it, and says why.
    Close(CloseCode, &'static str),
    /// The other side said goodbye, with this code.
    Answer(CloseCode),
}

/// Connections of one hub that something is to be done about when a batch has been handed out.
#[derive(Default)]
pub(crate) struct Work {
    /// Those with something to write.
    pub(crate) dirty: RefCell<Vec<Rc<Connection>>>,
    /// Those with a subscription that fell behind.
    pub(crate) behind: RefCell<Vec<Rc<Connection>>>,
    /// How many entries were queued for members since that was last counted.
    pub(crate) pushed: Cell<u64>,
    /// How many subscriptions were sent to the log since that was last counted.
    pub(crate) fell: Cell<u64>,
}

/// One socket. Everything happens on its worker's thread; nothing here is held across an `await`.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    transport: Transport,
    outbox: RefCell<Outbox>,
    work: Rc<Work>,
    /// Is in `work.dirty`.
    dirty: Cell<bool>,
    /// A task waits for the socket to take more.
    flushing: Cell<bool>,
    /// Who logs in on it, or has: it proved to have that device's key.
    claimed: Cell<Option<Identity>>,
    /// Set once, when the device has logged in.
    identified: Cell<bool>,
    /// Appends whose answers are outstanding.
    in_flight: Cell<u16>,
    /// Where its subscriptions stand in the registry.
    pub(crate) subscriptions: RefCell<HashMap<GroupId, Place>>,
    /// Groups that it is behind in.
    pub(crate) behind: RefCell<VecDeque<GroupId>>,
    /// A task feeds it from the log.
    pub(crate) feeding: Cell<bool>,
    /// It has subscribed, so it is told of groups that its device comes into.
    pub(crate) subscribed: Cell<bool>,
    /// When it was opened.
    opened: Instant,
    /// When something was last read from it.
    heard: Cell<Instant>,
    /// When it last took something that was written, or had nothing waiting.
    took: Cell<Instant>,
    /// Asked whether it is there since it was last heard.
    pinged: Cell<bool>,
    end: Cell<Option<End>>,
    /// The reading task.
    reader: Sleeper,
    /// The feeding task.
    feeder: Sleeper,
}

/// A task that waits for room, or to be ended. Woken only when it does: a connection is written far too often to wake
/// its tasks each time.
#[derive(Default)]
struct Sleeper {
    wake: Notify,
    waits: Cell<bool>,
}

impl Sleeper {
    /// Waits until there is room.
    async fn wait(&self) {
        self.waits.set(true);
        self.wake.notified().await;
        self.waits.set(false);
    }

    /// There is room.
    fn has_room(&self) {
        if self.waits.get() {
            self.wake.notify_one();
        }
    }
}

#[derive(Default)]
struct Outbox {
    frames: VecDeque<Bytes>,
    /// Of all frames together.
    bytes: usize,
    /// How much of the first is written.
    written: usize,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, transport: Transport, work: Rc<Work>) -> Self {
        let now = Instant::now();
        Self {
            id,
            transport,
            outbox: RefCell::default(),
            work,
            dirty: Cell::new(false),
            flushing: Cell::new(false),
            claimed: Cell::new(None),
            identified: Cell::new(false),
            in_flight: Cell::new(0),
            subscriptions: RefCell::default(),
            behind: RefCell::default(),
            feeding: Cell::new(false),
            subscribed: Cell::new(false),
            opened: now,
            heard: Cell::new(now),
            took: Cell::new(now),
            pinged: Cell::new(false),
            end: Cell::new(None),
            reader: Sleeper::default(),
            feeder: Sleeper::default(),
        }
    }

    /// Queues a frame, to be written with the hub's next round or by [`Connection::flush`].
    pub(crate) fn push(self: &Rc<Self>, frame: Bytes) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.frames.is_empty() {
            self.took.set(Instant::now());
        }
        outbox.bytes += frame.len();
        outbox.frames.push_back(frame);
        if !self.dirty.replace(true) {
            self.work.dirty.borrow_mut().push(self.clone());
        }
    }

    /// Writes what waits. Leaves what the socket does not take to a task.
    pub(crate) fn flush(self: &Rc<Self>) {
        self.dirty.set(false);
        if self.flushing.get() {
            return;
        }
        match self.write() {
            Ok(true) => {}
            Ok(false) => {
                self.flushing.set(true);
                let connection = self.clone();
                actix_rt::spawn(async move { connection.keep_writing().await });
            }
            Err(_) => self.end(End::Gone),
        }
    }

    async fn keep_writing(self: Rc<Self>) {
        loop {
            let written = match self.transport.writable().await {
                Ok(()) => self.write(),
                Err(error) => Err(error),
            };
            match written {
                Ok(true) => break,
                // Dropped with everything that waits, once whoever owns it has let go of it.
                Ok(false) if self.end.get() == Some(End::Gone) => break,
                Ok(false) => {}
                Err(_) => {
                    self.end(End::Gone);
                    break;
                }
            }
        }
        self.flushing.set(false);
    }

    /// Says whether everything is written.
    fn write(&self) -> io::Result<bool> {
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.frames.is_empty() {
            match outbox.write_some(&self.transport) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    outbox.advance(written);
                    self.took.set(Instant::now());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let empty = outbox.frames.is_empty() && self.transport.try_flush()?;
        let low = outbox.bytes <= OUTBOX_LOW;
        drop(outbox);
        if low {
            self.reader.has_room();
            self.feeder.has_room();
        }
        Ok(empty)
    }

    /// Reads what there is. 0 bytes is the end.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.transport.try_read(buffer)?;
        self.heard.set(Instant::now());
        self.pinged.set(false);
        Ok(read)
    }

    /// Waits until there is something to read, or the connection is to end.
    pub(crate) async fn readable(&self) -> Result<(), End> {
        loop {
            if let Some(end) = self.end.get() {
                return Err(end);
            }
            tokio::select! {
                readable = self.transport.readable() => return readable.map_err(|_| End::Gone),
                () = self.reader.wake.notified() => {}
            }
        }
    }

    /// Waits until there is something to read, whatever else happens.
    pub(crate) async fn readable_at_the_end(&self) -> io::Result<()> {
        self.transport.readable().await
    }

    /// Waits until the client has taken its answers, and the disk its appends, so far that it may ask for more.
    pub(crate) async fn may_ask(self: &Rc<Self>, in_flight: u16) -> Result<(), End> {
        loop {
            if let Some(end) = self.end.get() {
                return Err(end);
            }
            if self.in_flight.get() <= in_flight && self.outbox.borrow().bytes <= OUTBOX_BYTES {
                return Ok(());
            }
            let written = !self.outbox.borrow().frames.is_empty() && !self.flushing.get();
            if written {
                self.flush();
            } else {
                self.reader.wait().await;
            }
        }
    }

    /// Waits until it may be handed a page of the log.
    pub(crate) async fn may_be_fed(&self) -> Result<(), End> {
        loop {
            if let Some(end) = self.end.get() {
                return Err(end);
            }
            if self.outbox.borrow().bytes <= OUTBOX_LOW {
                return Ok(());
            }
            self.feeder.wait().await;
        }
    }

    /// An append is on its way.
    pub(crate) fn asked(&self) {
        self.in_flight.set(self.in_flight.get().saturating_add(1));
    }

    /// An append is answered.
    pub(crate) fn answered(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.reader.has_room();
    }

    /// Remembers who logs in, before anything is looked up: if the account's devices change meanwhile, this connection is
    /// one of those to end.
    pub(crate) fn claim(&self, identity: Identity) {
        if !self.identified.get() {
            self.claimed.set(Some(identity));
        }
    }

    /// Who logs in on it, or has.
    pub(crate) fn claimed(&self) -> Option<Identity> {
        self.claimed.get()
    }

    /// Whoever claimed it has logged in.
    pub(crate) fn identify(&self) {
        self.identified.set(self.claimed.get().is_some());
    }

    /// Ends it, for the first reason given.
    pub(crate) fn end(&self, end: End) {
        if self.end.get().is_none() {
            self.end.set(Some(end));
            self.reader.wake.notify_one();
            self.feeder.wake.notify_one();
        }
    }

    /// Whether everything is written, or never will be.
    pub(crate) fn is_drained(&self) -> bool {
        self.outbox.borrow().frames.is_empty() || self.end.get() == Some(End::Gone)
    }

    /// Gives up on what waits.
    pub(crate) fn abandon(&self) {
        self.end.set(Some(End::Gone));
        self.transport.finish();
        *self.outbox.borrow_mut() = Outbox::default();
    }

    /// Gives back the memory of the last burst, which an idle connection does not need.
    pub(super) fn rest(&self) {
        let frames = &mut self.outbox.borrow_mut().frames;
        if frames.is_empty() {
            *frames = VecDeque::new();
        }
    }

    /// What is to be done about its silence at `now`.
    pub(super) fn judge(&self, now: Instant) -> Silence {
        let silent = now.saturating_duration_since(self.heard.get());
        let waiting = !self.outbox.borrow().frames.is_empty();
        if self.end.get().is_some() {
            Silence::Fine
        } else if waiting && now.saturating_duration_since(self.took.get()) > STUCK_AFTER {
            Silence::End(End::Gone)
        } else if !self.identified.get() && now.saturating_duration_since(self.opened) > LOGIN_DEADLINE {
            Silence::End(End::Close(CloseCode::Policy, "no login in time"))
        } else if silent > DROP_AFTER {
            Silence::End(End::Close(CloseCode::Away, "no sign of life"))
        } else if silent > PING_AFTER && !self.pinged.replace(true) {
            Silence::Ping
        } else {
            Silence::Fine
        }
    }
}

/// What a silent connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing.
    Fine,
    /// A question.
    Ping,
    /// No more time.
    End(End),
}

impl Outbox {
    fn write_some(&self, transport: &Transport) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let mut written = self.written;
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame.get(written..).unwrap_or_default());
            written = 0;
            count += 1;
        }
        transport.try_write_vectored(slices.get(..count).unwrap_or_default())
    }

    fn advance(&mut self, written: usize) {
        let mut written = written + self.written;
        while let Some(frame) = self.frames.front() {
            if written < frame.len() {
                break;
            }
            written -= frame.len();
            self.bytes -= frame.len();
            self.frames.pop_front();
        }
        self.written = written;
    }
}

impl Member for Rc<Connection> {
    fn device(&self) -> DeviceId {
        // Only identified connections subscribe.
        self.claimed.get().map_or(DeviceId::from_bytes([0; 32]), |identity| identity.device)
    }

    fn offer(&self, frame: &Bytes) -> bool {
        let room = self.outbox.borrow().bytes < OUTBOX_BYTES && self.end.get().is_none();
        if room {
            self.push(frame.clone());
            self.work.pushed.set(self.work.pushed.get() + 1);
        }
        room
    }

    fn fell_behind(&self, group: GroupId) {
        self.behind.borrow_mut().push_back(group);
        self.work.fell.set(self.work.fell.get() + 1);
        if !self.feeding.get() {
            self.work.behind.borrow_mut().push(self.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_rt::net::TcpStream;
    use conclave_wire::ids::{AccountId, DeviceKey};
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    /// A connection and the client's end of it.
    async fn pair() -> (Rc<Connection>, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let connection = Connection::new(ConnectionId(1), accepted.unwrap().0.into(), Rc::default());
        (Rc::new(connection), client.unwrap())
    }

    /// With TLS, what a frame became waits below the queue: it goes out all the same, without a further push.
    #[actix_rt::test]
    async fn the_last_of_what_is_encrypted_goes_out() {
        let (transport, mut client) = crate::transport::tests::encrypted().await;
        let connection = Rc::new(Connection::new(ConnectionId(1), transport, Rc::default()));
        let (bytes, mut taken) = (vec![7; 50_000], 0);
        while let Ok(count) = connection.transport.try_write_vectored(&[IoSlice::new(&bytes)]) {
            taken += count;
        }
        connection.flush();
        let (mut read, mut buffer) = (0, vec![0; 50_000]);
        let rest = async {
            while read < taken {
                read += client.read(&mut buffer).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), rest).await.unwrap();
    }

    #[actix_rt::test]
    async fn silence_is_asked_about_then_ended() {
        let (connection, _client) = pair().await;
        let after = |span: Duration| connection.opened + span + Duration::from_millis(1);
        assert_eq!(connection.judge(after(Duration::ZERO)), Silence::Fine);
        let no_login = Silence::End(End::Close(CloseCode::Policy, "no login in time"));
        assert_eq!(connection.judge(after(LOGIN_DEADLINE)), no_login);
        let identity = Identity::new(AccountId::from_bytes([1; 32]), DeviceKey::from_bytes([2; 32]));
        connection.claim(identity);
        assert_eq!(connection.judge(after(LOGIN_DEADLINE)), no_login, "it is not known to be true");
        connection.identify();
        assert_eq!(connection.judge(after(LOGIN_DEADLINE)), Silence::Fine);
        assert_eq!(connection.judge(after(PING_AFTER)), Silence::Ping);
        assert_eq!(connection.judge(after(PING_AFTER)), Silence::Fine);
        let dead = Silence::End(End::Close(CloseCode::Away, "no sign of life"));
        assert_eq!(connection.judge(after(DROP_AFTER)), dead);
        connection.push(Bytes::from_static(b"waits"));
        assert_eq!(connection.judge(Instant::now() + STUCK_AFTER * 2), Silence::End(End::Gone));
    }

    #[actix_rt::test]
    async fn everything_is_written_in_order_whatever_the_socket_takes() {
        let (connection, mut client) = pair().await;
        let mut expected = Vec::new();
        for i in 0..8000u32 {
            let frame = i.to_be_bytes().repeat(1 + i as usize % 900);
            expected.extend_from_slice(&frame);
            connection.push(frame.into());
            if i % 7 == 0 {
                connection.flush();
            }
        }
        connection.flush();
        // More than the socket takes: the rest is a task's.
        assert!(!connection.is_drained());
        assert!(!connection.offer(&Bytes::from_static(b"no room")));
        let mut read = vec![0; expected.len()];
        client.read_exact(&mut read).await.unwrap();
        assert!(read == expected);
        connection.may_be_fed().await.unwrap();
        assert!(connection.is_drained() && connection.offer(&Bytes::from_static(b"room")));
    }
}
