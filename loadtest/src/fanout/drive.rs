//! One connection while messages flow: hands what comes to its seats, and what they send to the socket.

use super::check::Checker;
use super::connection::Connection;
use super::finding::{Findings, Violation};
use super::glance::{Glance, glance};
use super::ledger::GroupLedger;
use super::meter::Meter;
use super::plan::Plan;
use super::seat::{Asked, Hands, Seat};
use conclave_engine::Device;
use conclave_engine::PrekeyBook;
use conclave_engine::wire::codec;
use conclave_engine::wire::frame::{ClientFrame, RequestId, ServerFrame};
use conclave_engine::wire::ids::{GroupId, Timestamp};
use conclave_engine::wire::reply::Reply;
use conclave_engine::wire::request::Request;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// What all connections share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) meter: Meter,
    pub(super) findings: Findings,
    pub(super) groups: Vec<GroupLedger>,
    /// By group: everybody's prekeys.
    pub(super) books: Vec<Arc<PrekeyBook>>,
}

/// What a sender is told by others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wake {
    /// A message should be posted.
    Due { seat: usize, intended: u64 },
    /// A message of that seat has reached everybody.
    Completed { seat: usize },
}

/// One device with its connection.
pub(super) struct Driver {
    /// Number of the device in the plan.
    pub(super) index: usize,
    pub(super) device: Device,
    pub(super) rng: StdRng,
    pub(super) now: Timestamp,
    /// Its place in each of its groups.
    pub(super) seats: Vec<Seat>,
    pub(super) shared: Arc<Shared>,
}

/// What one member saw of one group.
pub(super) struct Seen {
    pub(super) group: usize,
    pub(super) member: usize,
    pub(super) checker: Checker,
}

struct Running {
    driver: Driver,
    by_group: HashMap<GroupId, usize>,
    asked: HashMap<RequestId, (usize, Asked)>,
    next: u32,
    frames: mpsc::UnboundedSender<Vec<u8>>,
}

impl Driver {
    /// Runs until `finish` says so, or the connection ends. Also says how many messages were due and not sent.
    pub(super) async fn run(
        self,
        connection: Connection,
        mut wakes: mpsc::UnboundedReceiver<Wake>,
        mut finish: watch::Receiver<bool>,
    ) -> (Vec<Seen>, u64) {
        let (socket, early, next) = connection.into_parts();
        let (sink, mut stream) = socket.split();
        let (frames, to_write) = mpsc::unbounded_channel();
        // Reading never waits for writing, so that two full pipes do not wait for each other.
        tokio::spawn(write(sink, to_write));
        let by_group = (0..).zip(&self.seats).map(|(place, seat)| (seat.id, place)).collect();
        let mut running = Running { driver: self, by_group, asked: HashMap::new(), next, frames };
        for frame in early {
            running.frame(&frame);
        }
        for seat in 0..running.driver.seats.len() {
            running.send(seat);
        }
        let why = loop {
            tokio::select! {
                biased;
                frame = stream.next() => match frame {
                    Some(Ok(Message::Binary(frame))) => running.frame(&frame),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(error.to_string()),
                    None => break Some("the server closed it".to_owned()),
                },
                Some(wake) = wakes.recv() => running.wake(wake),
                _ = finish.wait_for(|finish| *finish) => break None,
            }
        };
        if let Some(why) = why {
            running.driver.shared.findings.error(format!("a connection ended: {why}"));
        }
        let seen = |seat: Seat| Seen { group: seat.group, member: seat.member, checker: seat.checker };
        let never_sent = running.driver.seats.iter().map(|seat| seat.left() as u64).sum();
        (running.driver.seats.into_iter().map(seen).collect(), never_sent)
    }
}

impl Running {
    fn frame(&mut self, frame: &Bytes) {
        match glance(frame) {
            Some(Glance::Push { group, seq, kind, body }) => {
                let now = self.driver.shared.meter.clock.now();
                let Some(place) = self.by_group.get(&group).copied() else {
                    return self.nonsense("an entry of a group that was not asked for");
                };
                self.with(place, |seat, hands| seat.entry(hands, now, frame, seq, kind, body));
            }
            Some(Glance::Other) => match codec::decode(frame) {
                Ok(ServerFrame::Reply { id, reply }) => self.reply(id, &reply),
                _ => self.nonsense("a frame that cannot be"),
            },
            None => self.nonsense("a frame that cannot be read"),
        }
    }

    fn reply(&mut self, id: RequestId, reply: &Reply) {
        match self.asked.remove(&id) {
            Some((place, asked)) => self.with(place, |seat, hands| seat.reply(hands, asked, reply)),
            None => self.nonsense("an answer to no question"),
        }
    }

    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Due { seat, intended } => {
                self.driver.shared.meter.lag(self.driver.index, intended);
                self.with(seat, |seat, _| seat.due(intended));
            }
            Wake::Completed { seat } => self.with(seat, |seat, _| seat.completed()),
        }
    }

    /// Lets a seat do something, and then send what it may.
    fn with(&mut self, place: usize, work: impl FnOnce(&mut Seat, &mut Hands<'_>)) {
        let Driver { index, device, rng, now, seats, shared } = &mut self.driver;
        let mut hands = Hands { connection: *index, device, rng, now: *now, shared };
        if let Some(seat) = seats.get_mut(place) {
            work(seat, &mut hands);
        }
        self.send(place);
    }

    fn send(&mut self, place: usize) {
        let Driver { index, device, rng, now, seats, shared } = &mut self.driver;
        let mut hands = Hands { connection: *index, device, rng, now: *now, shared };
        let Some(seat) = seats.get_mut(place) else { return };
        while let Some((request, asked)) = seat.next_request(&mut hands) {
            let id = RequestId(self.next);
            self.next = self.next.wrapping_add(1);
            self.asked.insert(id, (place, asked));
            // If the connection has ended, the reader says so.
            let _ = self.frames.send(encode(id, request));
        }
    }

    fn nonsense(&self, what: &str) {
        let violation = Violation::Nonsense(what.to_owned());
        self.driver.shared.findings.violation(0, self.driver.index, &violation);
    }
}

fn encode(id: RequestId, request: Request) -> Vec<u8> {
    codec::encode(&ClientFrame { id, request })
}

/// Writes frames, as many as wait in one go.
async fn write<S>(mut sink: SplitSink<S, Message>, mut frames: mpsc::UnboundedReceiver<Vec<u8>>)
where
    SplitSink<S, Message>: futures_util::Sink<Message> + Unpin,
{
    while let Some(frame) = frames.recv().await {
        let mut written = sink.feed(Message::Binary(frame.into())).await.is_ok();
        while let Ok(frame) = frames.try_recv() {
            written &= sink.feed(Message::Binary(frame.into())).await.is_ok();
        }
        if !written || sink.flush().await.is_err() {
            return;
        }
    }
}
