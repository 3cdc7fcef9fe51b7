//! The hub of one worker thread: owns the worker's sockets, and writes them when it has handed out a batch.

use super::connection::{Connection, End, Work};
use super::registry::{Member, Place, Registry};
use super::{ConnectionId, HubId, Hubs, News, Published, feeder, frame, sweeper};
use crate::limits::HUB_BATCH;
use crate::service::Service;
use crate::transport::Transport;
use actix_http::ws::CloseCode;
use conclave_wire::frame::RequestId;
use conclave_wire::ids::{DeviceId, GroupId, Seq};
use conclave_wire::limits::MAX_CURSORS;
use conclave_wire::reply::Reply;
use conclave_wire::request::Cursor;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// The sockets of one worker.
pub(crate) struct Hub {
    /// How the log writer knows it.
    pub(crate) id: HubId,
    /// What its connections share with all others.
    pub(crate) service: Arc<Service>,
    connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    registry: RefCell<Registry<Rc<Connection>>>,
    /// Connections that have subscribed, by device: they are told of groups that the device comes into.
    subscribers: RefCell<HashMap<DeviceId, Vec<Rc<Connection>>>>,
    work: Rc<Work>,
    next: Cell<u64>,
    /// The server shuts down: whoever comes now is sent away.
    closing: Cell<bool>,
    /// Connections of all hubs.
    open: Arc<AtomicUsize>,
}

impl Hub {
    /// Starts the hub of the current thread.
    pub(crate) fn start(service: Arc<Service>, hubs: &Hubs, open: Arc<AtomicUsize>) -> Rc<Self> {
        let (sender, news) = mpsc::unbounded_channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let hub = Rc::new(Self {
            id: hubs.join(sender, backlog.clone()),
            service,
            connections: RefCell::default(),
            registry: RefCell::new(Registry::new(hubs.interest.clone())),
            subscribers: RefCell::default(),
            work: Rc::default(),
            next: Cell::new(0),
            closing: Cell::new(false),
            open,
        });
        actix_rt::spawn(run(hub.clone(), news, backlog));
        actix_rt::spawn(sweeper::run(Rc::downgrade(&hub)));
        hub
    }

    /// Takes over a socket.
    pub(crate) fn open(&self, transport: Transport) -> Rc<Connection> {
        let id = ConnectionId(self.next.get());
        self.next.set(id.0 + 1);
        let connection = Rc::new(Connection::new(id, transport, self.work.clone()));
        self.connections.borrow_mut().insert(id, connection.clone());
        self.open.fetch_add(1, Ordering::AcqRel);
        self.service.metrics.connections.increment(1);
        if self.closing.get() {
            connection.end(SHUTTING_DOWN);
        }
        connection
    }

    /// Forgets a connection's subscriptions, and that it is there to be written.
    pub(crate) fn retire(&self, connection: &Rc<Connection>) {
        let mut registry = self.registry.borrow_mut();
        for (group, place) in connection.subscriptions.borrow_mut().drain() {
            registry.remove(&group, place);
        }
        if connection.subscribed.replace(false) {
            let mut subscribers = self.subscribers.borrow_mut();
            let device = connection.device();
            if let Some(of_device) = subscribers.get_mut(&device) {
                of_device.retain(|other| !Rc::ptr_eq(other, connection));
                if of_device.is_empty() {
                    subscribers.remove(&device);
                }
            }
        }
    }

    /// Forgets a connection.
    pub(crate) fn close(&self, connection: &Rc<Connection>) {
        if self.connections.borrow_mut().remove(&connection.id).is_some() {
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// How many groups a connection would be subscribed to with these.
    pub(crate) fn subscriptions_with(connection: &Connection, cursors: &[Cursor]) -> usize {
        let subscriptions = connection.subscriptions.borrow();
        let new = cursors.iter().filter(|cursor| !subscriptions.contains_key(&cursor.group)).count();
        subscriptions.len() + new
    }

    /// Subscribes a connection after each cursor, and to groups that its device comes into.
    pub(crate) fn subscribe(self: &Rc<Self>, connection: &Rc<Connection>, cursors: &[Cursor]) {
        if !connection.subscribed.replace(true) {
            let mut subscribers = self.subscribers.borrow_mut();
            subscribers.entry(connection.device()).or_default().push(connection.clone());
        }
        for cursor in cursors {
            self.subscribe_from(connection, cursor.group, Seq(cursor.seq.0.saturating_add(1)));
        }
        self.work();
    }

    fn subscribe_from(&self, connection: &Rc<Connection>, group: GroupId, next: Seq) {
        let mut subscriptions = connection.subscriptions.borrow_mut();
        let mut registry = self.registry.borrow_mut();
        match subscriptions.get(&group) {
            Some(place) => registry.restart(&group, *place, next),
            None => {
                subscriptions.insert(group, registry.insert(group, connection, next));
            }
        }
    }

    /// The registry, for a short moment.
    pub(super) fn registry<T>(&self, with: impl FnOnce(&mut Registry<Rc<Connection>>) -> T) -> T {
        with(&mut self.registry.borrow_mut())
    }

    /// All connections, as they are now.
    pub(super) fn connections(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().cloned().collect()
    }

    /// Where a connection's subscription stands.
    pub(super) fn place(connection: &Connection, group: &GroupId) -> Option<Place> {
        connection.subscriptions.borrow().get(group).copied()
    }

    /// Writes what waits, and feeds who fell behind.
    pub(super) fn work(self: &Rc<Self>) {
        let behind = std::mem::take(&mut *self.work.behind.borrow_mut());
        for connection in behind {
            feeder::start(self, &connection);
        }
        let dirty = std::mem::take(&mut *self.work.dirty.borrow_mut());
        for connection in dirty {
            connection.flush();
        }
        let metrics = &self.service.metrics;
        metrics.pushes.increment(self.work.pushed.take());
        metrics.fell_behind.increment(self.work.fell.take());
    }

    fn hear(self: &Rc<Self>, news: News, backlog: &AtomicUsize) {
        match news {
            News::Batch { answers, entries, weight } => {
                for (connection, request, reply) in answers {
                    self.answer(connection, request, reply);
                }
                for entry in entries.iter() {
                    self.publish(entry);
                }
                backlog.fetch_sub(weight, Ordering::Relaxed);
            }
            News::Letters(devices) => {
                let subscribers = self.subscribers.borrow();
                let told: Vec<_> = match &devices {
                    Some(devices) => devices.iter().filter_map(|device| subscribers.get(device)).collect(),
                    None => subscribers.values().collect(),
                };
                for connection in told.into_iter().flatten() {
                    connection.push(frame::letters_wait());
                }
            }
            News::LookAgain(account, but) => {
                for connection in self.connections() {
                    let who = connection.claimed();
                    if who.is_some_and(|who| who.account == account && Some(who.device) != but) {
                        connection.end(DEVICES_CHANGED);
                    }
                }
            }
            News::HangUp => {
                for connection in self.connections() {
                    connection.end(TRY_AGAIN);
                }
            }
            News::Close => {
                self.closing.set(true);
                for connection in self.connections() {
                    connection.end(SHUTTING_DOWN);
                }
            }
        }
    }

    fn answer(&self, id: ConnectionId, request: RequestId, reply: Reply) {
        let connections = self.connections.borrow();
        // Whoever asked may be gone.
        let Some(connection) = connections.get(&id) else { return };
        self.service.metrics.answered(&reply);
        connection.push(frame::reply(request, reply));
        connection.answered();
    }

    fn publish(&self, entry: &Published) {
        let ended = self.registry.borrow_mut().publish(entry);
        for connection in ended {
            connection.subscriptions.borrow_mut().remove(&entry.group);
        }
        let Some(particular) = &entry.particular else { return };
        for device in &particular.added {
            let subscribers = self.subscribers.borrow();
            for connection in subscribers.get(device).into_iter().flatten() {
                match Self::place(connection, &entry.group) {
                    Some(place) => self.registry.borrow_mut().rejoin(&entry.group, place, entry.seq),
                    None if connection.subscriptions.borrow().len() < MAX_CURSORS => {
                        self.subscribe_from(connection, entry.group, entry.seq);
                    }
                    // The client finds the group when it asks for its groups.
                    None => {}
                }
            }
        }
    }
}

const TRY_AGAIN: End = End::Close(CloseCode::Again, "the server lost sight of its database; connect again");

const DEVICES_CHANGED: End =
    End::Close(CloseCode::Again, "the account has a newer list of its devices; connect again");

const SHUTTING_DOWN: End = End::Close(CloseCode::Restart, "the server is shutting down");

async fn run(hub: Rc<Hub>, mut news: UnboundedReceiver<News>, backlog: Arc<AtomicUsize>) {
    let mut batch = Vec::new();
    while news.recv_many(&mut batch, HUB_BATCH).await > 0 {
        // The runtime polls this task, woken by another thread, before the readers that the sockets woke. Stepping
        // back once lets all of them be read first, so that one write carries more frames.
        tokio::task::yield_now().await;
        while batch.len() < HUB_BATCH {
            let Ok(more) = news.try_recv() else { break };
            batch.push(more);
        }
        for news in batch.drain(..) {
            hub.hear(news, &backlog);
        }
        hub.work();
        tokio::task::yield_now().await;
    }
}
