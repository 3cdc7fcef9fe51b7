//! From the log to the sockets: each worker thread owns its sockets and writes them itself.
//!
//! ```text
//!     log writer --- one message per batch ---> hub of worker 1 --- one write per socket ---> members
//!                                          \--> hub of worker 2 ...
//!     feeder of a connection that is behind --- reads pages of the log ---> its socket
//! ```
//!
//! A subscription is *live* or *behind*. A live one is pushed what comes, as long as it is the next entry: anything else
//! (a hub that was overtaken, a socket whose queue is full) puts it behind. One that is behind is fed from the log, and
//! becomes live when the log holds nothing that it has not been fed and that its hub has already let pass. Both happen
//! on the worker's thread, so there is no moment between in which an entry is lost or pushed twice.

pub(crate) mod connection;
mod feeder;
pub(crate) mod frame;
pub(crate) mod hub;
mod interest;
mod registry;
mod sweeper;

pub(crate) use interest::Interest;

use crate::limits::HUB_BACKLOG_BYTES;
use bytes::Bytes;
use conclave_wire::entry::EntryKind;
use conclave_wire::frame::RequestId;
use conclave_wire::ids::{AccountId, DeviceId, GroupId, Seq};
use conclave_wire::reply::Reply;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// A connection of one hub, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A hub of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HubId(usize);

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The hub that has the connection.
    pub(crate) hub: HubId,
    /// The connection.
    pub(crate) connection: ConnectionId,
    /// Its request.
    pub(crate) request: RequestId,
}

/// What a hub is told.
#[derive(Debug)]
pub(crate) enum News {
    /// A batch is durable.
    Batch {
        /// Answers for this hub's connections.
        answers: Vec<(ConnectionId, RequestId, Reply)>,
        /// Everybody's entries.
        entries: Arc<[Published]>,
        /// What they weigh in the hub's backlog.
        weight: usize,
    },
    /// Letters have come for these devices; `None` if it may be anybody.
    Letters(Option<Arc<[DeviceId]>>),
    /// Which devices an account has is to be looked up anew: close its sockets, but for that of the device that said so.
    LookAgain(AccountId, Option<DeviceId>),
    /// Nobody can say what was told to whom: close the sockets that are there.
    HangUp,
    /// The server shuts down: close every socket.
    Close,
}

/// A new entry.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The group.
    pub(crate) group: GroupId,
    /// Where in its log.
    pub(crate) seq: Seq,
    /// What every member's socket is written, unless something of its own hangs on the entry. `None` sends members to
    /// the log, which has it.
    pub(crate) frame: Option<Bytes>,
    /// For the few entries that are not the same for everybody.
    pub(crate) particular: Option<Arc<Particular>>,
}

/// What an entry is to particular devices.
#[derive(Debug)]
pub(crate) struct Particular {
    /// What the entry's body is.
    pub(crate) kind: EntryKind,
    /// The body.
    pub(crate) body: Bytes,
    /// What hangs on it, for whom.
    pub(crate) deliveries: HashMap<DeviceId, Bytes>,
    /// Devices that it brings into the group.
    pub(crate) added: Vec<DeviceId>,
    /// Devices for which it is the last entry.
    pub(crate) removed: Vec<DeviceId>,
}

impl Particular {
    /// The frame of a device that gets something of its own; `None` for all others.
    fn frame(&self, entry: &Published, device: &DeviceId) -> Option<Bytes> {
        let delivery = self.deliveries.get(device)?;
        Some(frame::push_of(entry.group, entry.seq, self.kind, &self.body, Some(delivery)))
    }
}

/// The hubs of a server, one for each worker.
#[derive(Debug, Default)]
pub(crate) struct Hubs {
    hubs: Mutex<Vec<HubQueue>>,
    /// What any of them has members of.
    pub(crate) interest: Arc<Interest>,
}

#[derive(Debug)]
struct HubQueue {
    news: UnboundedSender<News>,
    /// Bytes of entries that the hub has not taken yet.
    backlog: Arc<AtomicUsize>,
}

impl Hubs {
    /// Enters a hub.
    pub(crate) fn join(&self, news: UnboundedSender<News>, backlog: Arc<AtomicUsize>) -> HubId {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.push(HubQueue { news, backlog });
        HubId(hubs.len() - 1)
    }

    /// Hands a durable batch to every hub. What waits for a hub is bounded: one that is too far behind is told that
    /// there are entries, and reads them from the log. Answers are always handed over; their number is bounded by what
    /// each connection may have under way.
    pub(crate) fn publish(&self, entries: Vec<Published>, answers: Vec<(Asker, Reply)>) {
        let hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<Vec<_>> = hubs.iter().map(|_| Vec::new()).collect();
        for (asker, reply) in answers {
            if let Some(answers) = sorted.get_mut(asker.hub.0) {
                answers.push((asker.connection, asker.request, reply));
            }
        }
        let weight = entries.iter().map(|entry| entry.frame.as_ref().map_or(0, Bytes::len)).sum();
        let entries: Arc<[Published]> = entries.into();
        for (hub, answers) in hubs.iter().zip(sorted) {
            if entries.is_empty() && answers.is_empty() {
                continue;
            }
            let overtaken = hub.backlog.load(Ordering::Relaxed) > HUB_BACKLOG_BYTES;
            let (entries, weight) =
                if overtaken { (in_brief(&entries), 0) } else { (entries.clone(), weight) };
            hub.backlog.fetch_add(weight, Ordering::Relaxed);
            // A hub whose worker is gone has no connections.
            let _ = hub.news.send(News::Batch { answers, entries, weight });
        }
    }

    /// Has these devices told that letters wait for them.
    pub(crate) fn tell_of_letters(&self, devices: Vec<DeviceId>) {
        if !devices.is_empty() {
            let devices: Arc<[DeviceId]> = devices.into();
            self.tell(|| News::Letters(Some(devices.clone())));
        }
    }

    /// Has everybody told that letters may wait.
    pub(crate) fn tell_all_of_letters(&self) {
        self.tell(|| News::Letters(None));
    }

    /// Closes an account's sockets, but for that of one device: whoever still belongs to it logs in again.
    pub(crate) fn look_again(&self, account: AccountId, but: Option<DeviceId>) {
        self.tell(|| News::LookAgain(account, but));
    }

    /// Closes every socket that is there: their clients come again, and begin where they know that they are.
    pub(crate) fn hang_up(&self) {
        self.tell(|| News::HangUp);
    }

    /// Closes every socket, and those that come.
    pub(crate) fn close(&self) {
        self.tell(|| News::Close);
    }

    fn tell(&self, news: impl Fn() -> News) {
        for hub in self.hubs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // A hub whose worker is gone has no connections.
            let _ = hub.news.send(news());
        }
    }
}

/// The same entries without their frames. Who comes and goes is still told: nothing else would say so.
fn in_brief(entries: &[Published]) -> Arc<[Published]> {
    let brief = |entry: &Published| {
        let changes = |p: &Arc<Particular>| !p.added.is_empty() || !p.removed.is_empty();
        let particular = entry.particular.clone().filter(changes);
        Published { frame: None, particular, ..*entry }
    };
    entries.iter().map(brief).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overtaken_hub_is_told_in_brief() {
        let hubs = Hubs::default();
        let (sender, mut news) = tokio::sync::mpsc::unbounded_channel();
        let backlog = Arc::new(AtomicUsize::new(0));
        let hub = hubs.join(sender, backlog.clone());
        let device = DeviceId::from_bytes([1; 32]);
        let entry = |seq, added: Vec<DeviceId>, deliveries: HashMap<DeviceId, Bytes>| {
            let particular = Particular {
                kind: EntryKind::Commit,
                body: Bytes::new(),
                deliveries,
                added,
                removed: Vec::new(),
            };
            let (frame, particular) = (Some(Bytes::from_static(b"frame")), Some(Arc::new(particular)));
            Published { group: GroupId::from_bytes([2; 32]), seq: Seq(seq), frame, particular }
        };
        let entries = || {
            let delivered = HashMap::from([(device, Bytes::from_static(b"delivery"))]);
            vec![entry(1, vec![device], HashMap::new()), entry(2, Vec::new(), delivered)]
        };
        let asker = Asker { hub, connection: ConnectionId(3), request: RequestId(4) };
        let mut publish = || {
            hubs.publish(entries(), vec![(asker, Reply::Done)]);
            let News::Batch { answers, entries, .. } = news.try_recv().unwrap() else { panic!() };
            assert_eq!(answers, [(ConnectionId(3), RequestId(4), Reply::Done)]);
            entries
        };
        assert!(publish().iter().all(|entry| entry.frame.is_some() && entry.particular.is_some()));
        assert_eq!(backlog.load(Ordering::Relaxed), 10);
        backlog.store(HUB_BACKLOG_BYTES + 1, Ordering::Relaxed);
        let brief = publish();
        assert!(brief.iter().all(|entry| entry.frame.is_none()));
        assert_eq!([brief[0].particular.is_some(), brief[1].particular.is_some()], [true, false]);
        assert_eq!(backlog.load(Ordering::Relaxed), HUB_BACKLOG_BYTES + 1);
    }
}
