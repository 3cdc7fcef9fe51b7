//! The writer thread: takes all that waits, stores it with one sync, then answers and publishes.
//!
//! Durable before anybody learns of it, always: a sequence number that was seen is never given again.

use super::queue::{Answer, LogQueue, Order};
use super::reply::reply;
use super::{Acknowledgements, Health};
use crate::clock::{self, Pace};
use crate::error::StartError;
use crate::fanout::{Hubs, Particular, Published, frame};
use crate::groups::GroupCache;
use crate::limits::{
    ACKNOWLEDGE_EVERY, BATCH_BYTES, BATCH_WRITES, FORGET_EVERY, TRIM_PAUSE, UPLOAD_PATIENCE,
};
use crate::metrics::Metrics;
use crate::nodes::{Announcement, Announcer, NewEntries};
use crate::retention::Retention;
use crate::store::{Append, Change, Consequence, Rejected, Store, Write, Written};
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{DeviceId, GroupId, Seq};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};

/// What the writer works with.
pub(crate) struct Writer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) groups: Arc<GroupCache>,
    pub(crate) hubs: Arc<Hubs>,
    pub(crate) acknowledgements: Arc<Acknowledgements>,
    pub(crate) health: Arc<Health>,
    /// The way to tell other nodes, if there may be any.
    pub(crate) announcer: Option<Announcer>,
    pub(crate) metrics: Arc<Metrics>,
    /// What logs keep.
    pub(crate) retention: Retention,
}

impl Writer {
    /// Starts the thread. It ends when every queue to it is gone, after everything that was queued.
    pub(crate) fn start(self) -> Result<(LogQueue, JoinHandle<()>), StartError> {
        let (log, queue, room) = LogQueue::new();
        let run = Run {
            writer: self,
            queue,
            room,
            acknowledged: Instant::now(),
            forgot: Instant::now(),
            swept: None,
            trimmed: None,
            trimming: false,
            pace: Pace::new(),
            unanswered: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("conclave-log".to_owned());
        let thread = thread.spawn(move || run.run()).map_err(StartError::Thread)?;
        Ok((log, thread))
    }
}

struct Run {
    writer: Writer,
    queue: Receiver<Order>,
    room: Arc<Semaphore>,
    /// When acknowledgements were last written.
    acknowledged: Instant,
    /// When what is too old was last looked for.
    forgot: Instant,
    /// The last mailbox that was swept, until the next round begins.
    swept: Option<DeviceId>,
    /// The last group whose log was trimmed, until the next round begins.
    trimmed: Option<GroupId>,
    /// Whether there is more to trim at once.
    trimming: bool,
    /// Whether there is a clock to trim by.
    pace: Pace,
    /// Who must not be answered, as long as their connections may still be open: dropping an answer is one.
    unanswered: Vec<Answer>,
}

impl Drop for Run {
    fn drop(&mut self) {
        // Without its writer a server must not look well.
        if std::thread::panicking() {
            self.writer.health.fail();
        }
    }
}

/// What became of a batch.
enum Outcome {
    /// It is stored, but for what was rejected.
    Decided(Vec<Result<Written, Rejected>>),
    /// Nothing of it is stored.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What is stored with one sync.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    answers: Vec<Answer>,
    cost: usize,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn take(&mut self, order: Order) {
        match order {
            Order::Write { write, answer, cost } => {
                self.writes.push(write);
                self.answers.push(answer);
                self.cost += cost as usize;
            }
            Order::Flush(done) => self.flushes.push(done),
        }
    }

    fn is_full(&self) -> bool {
        self.writes.len() >= BATCH_WRITES || self.cost >= BATCH_BYTES
    }
}

impl Run {
    fn run(mut self) {
        loop {
            let mut batch = Batch::default();
            let patience = if self.trimming { TRIM_PAUSE } else { ACKNOWLEDGE_EVERY };
            match self.queue.recv_timeout(patience) {
                Ok(order) => batch.take(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let acknowledgements = self.writer.acknowledgements.take();
                    self.store(Batch { writes: acknowledgements, ..Batch::default() });
                    return;
                }
            }
            while !batch.is_full() {
                let Ok(order) = self.queue.try_recv() else { break };
                batch.take(order);
            }
            // Also finds out whether a store that could not be written to can be again.
            let due = self.forgot.elapsed() >= FORGET_EVERY;
            if (due || self.trimming) && self.pace.is_steady() {
                let keep = self.writer.retention.now();
                batch.writes.push(Write::TrimLogs { after: self.trimmed, keep });
            }
            self.trimming = false;
            if due || self.writer.health.is_troubled() {
                self.forgot = Instant::now();
                // After the others, whose answers stand in the same order.
                batch.writes.push(Write::ForgetUploads { before: clock::ago(UPLOAD_PATIENCE) });
                batch.writes.push(Write::SweepMailboxes { after: self.swept, now: clock::now() });
            }
            if self.acknowledged.elapsed() >= ACKNOWLEDGE_EVERY || !batch.flushes.is_empty() {
                batch.writes.extend(self.writer.acknowledgements.take());
                self.acknowledged = Instant::now();
            }
            self.store(batch);
        }
    }

    fn store(&mut self, batch: Batch) {
        let Batch { writes, answers, cost, flushes } = batch;
        if !writes.is_empty() {
            match self.write(&writes) {
                Outcome::Decided(outcomes) => self.tell(writes, answers, Some(outcomes)),
                Outcome::Refused => self.tell(writes, answers, None),
                Outcome::Unknown => {
                    self.unanswered = answers;
                    self.writer.hubs.hang_up();
                }
            }
        }
        self.room.add_permits(cost);
        for done in flushes {
            let _ = done.send(());
        }
    }

    fn write(&self, writes: &[Write]) -> Outcome {
        let health = &self.writer.health;
        if health.has_failed() {
            return Outcome::Refused;
        }
        let begun = Instant::now();
        let written = self.writer.store.write(writes);
        self.writer.metrics.wrote(writes.len(), begun.elapsed(), written.is_ok());
        let error = match written {
            Ok(outcomes) => {
                if health.set_troubled(false) {
                    tracing::info!("can store again");
                }
                return Outcome::Decided(outcomes);
            }
            Err(error) => error,
        };
        match error.consequence() {
            Consequence::Stop => {
                health.fail();
                tracing::error!(%error, "cannot store; everything is refused until the server is restarted");
                Outcome::Refused
            }
            Consequence::Refuse => {
                if health.set_troubled(true) {
                    tracing::error!(%error, "cannot store; everything is refused until it works again");
                }
                Outcome::Refused
            }
            Consequence::FallSilent => {
                health.set_troubled(true);
                tracing::error!(%error, "nobody is told what became of the last writes; all connections are closed");
                Outcome::Unknown
            }
        }
    }

    /// Moves the cached groups on, then tells posters and hubs.
    fn tell(
        &mut self,
        writes: Vec<Write>,
        answers: Vec<Answer>,
        outcomes: Option<Vec<Result<Written, Rejected>>>,
    ) {
        let mut entries = Vec::new();
        let mut news = Announcement::default();
        let mut replies = Vec::with_capacity(answers.len());
        let mut outcomes = outcomes.map(Vec::into_iter);
        let mut answers = answers.into_iter();
        for write in writes {
            let outcome = outcomes.as_mut().and_then(Iterator::next);
            if let Some(answer) = answers.next() {
                replies.push((answer, reply(&write, outcome.as_ref())));
            }
            match (write, outcome) {
                (Write::Append(append), Some(Ok(Written::Appended(seq)))) => {
                    self.writer.metrics.appended(&append.change);
                    entries.push(publish(&append, seq));
                    let commit = append.change.kind() == EntryKind::Commit;
                    news.entries.push(NewEntries { group: append.group, first: seq, count: 1, commit });
                    if let Change::Commit(step) = append.change {
                        self.writer.groups.advance(&append.group, *step, seq);
                    }
                }
                (Write::KeepLetter(letter), Some(Ok(_))) => news.letters.push(letter.to),
                (Write::Register(registration), Some(Ok(Written::ManifestChanged))) => {
                    self.writer.hubs.look_again(registration.account, Some(registration.device));
                    news.accounts.push(registration.account);
                }
                (Write::SweepMailboxes { .. }, Some(Ok(Written::SweptTo(last)))) => self.swept = last,
                (Write::TrimLogs { .. }, Some(Ok(Written::Trimmed { to, entries, more }))) => {
                    self.writer.metrics.trimmed(entries);
                    (self.trimmed, self.trimming) = (to, more);
                }
                _ => {}
            }
        }
        self.writer.hubs.tell_of_letters(news.letters.clone());
        if let Some(announcer) = &self.writer.announcer {
            announcer.announce(news);
        }
        let mut through = Vec::new();
        for (answer, reply) in replies {
            match answer {
                Answer::Through(asker) => through.push((asker, reply)),
                // Whoever waited may be gone.
                Answer::To(waiting) => drop(waiting.send(reply)),
            }
        }
        self.writer.hubs.publish(entries, through);
    }
}

fn publish(append: &Append, seq: Seq) -> Published {
    let kind = append.change.kind();
    let (added, removed) = match &append.change {
        Change::Commit(step) => (step.outcome().added(), step.outcome().removed()),
        Change::Distribution(_) | Change::Message(_) => (&[][..], &[][..]),
    };
    let particular = !append.deliveries.is_empty() || !added.is_empty() || !removed.is_empty();
    let particular = particular.then(|| {
        let devices = |leaves: &[(_, conclave_wire::roster::Leaf)]| -> Vec<DeviceId> {
            leaves.iter().map(|(_, leaf)| leaf.device.id()).collect()
        };
        Arc::new(Particular {
            kind,
            body: append.body.clone(),
            deliveries: append.deliveries.iter().cloned().collect(),
            added: devices(added),
            removed: devices(removed),
        })
    });
    // What came in parts each member reads from the log.
    let here = append.staged.is_none();
    let frame = here.then(|| frame::push_of(append.group, seq, kind, &append.body, None));
    Published { group: append.group, seq, frame, particular }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{Person, Room};
    use crate::store::StoreError;
    use crate::store::contract::{append, genesis_of};
    use crate::store::embedded::Embedded;
    use crate::store::hooked::{Hooked, When};
    use conclave_wire::reply::{Refusal, Reply};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// Fails when it is told to, and counts its syncs.
    #[derive(Default)]
    struct Disk {
        fails: AtomicBool,
        writes: AtomicUsize,
    }

    impl Disk {
        fn work(&self, when: When) -> Result<(), StoreError> {
            if when != When::Write {
                return Ok(());
            }
            self.writes.fetch_add(1, Ordering::SeqCst);
            if self.fails.load(Ordering::SeqCst) {
                return Err(StoreError::Damaged("disk"));
            }
            // As slow as a disk, so that others come to wait.
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(())
        }
    }

    struct Fixture {
        _dir: tempfile::TempDir,
        store: Arc<dyn Store>,
        disk: Arc<Disk>,
        health: Arc<Health>,
        log: LogQueue,
        thread: JoinHandle<()>,
        alice: Person,
        room: Room,
    }

    impl Fixture {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Embedded::open(dir.path()).unwrap();
            let (disk, health) = (Arc::new(Disk::default()), Arc::new(Health::default()));
            let of_store = disk.clone();
            let store: Arc<dyn Store> = Arc::new(Hooked::new(store, move |when, _| of_store.work(when)));
            let writer = Writer {
                store: store.clone(),
                groups: Arc::new(GroupCache::new(store.clone())),
                hubs: Arc::default(),
                acknowledgements: Arc::default(),
                health: health.clone(),
                announcer: None,
                metrics: Arc::new(Metrics::new().unwrap()),
                retention: Retention::default(),
            };
            let (log, thread) = writer.start().unwrap();
            let alice = Person::new("alice");
            let (genesis, room) = Room::genesis(&alice, 1);
            let reply = log.write(genesis_of(&genesis)).await;
            assert_eq!(reply, Reply::Accepted { group: room.id(), seq: Seq(1) });
            Self { _dir: dir, store, disk, health, log, thread, alice, room }
        }

        fn message(&self) -> Write {
            let change = Change::Message(self.room.public.epoch());
            append(self.room.id(), change, &self.room.message(&self.alice, b"m"), Vec::new())
        }

        fn head(&self) -> Seq {
            self.store.membership(&self.alice.device(), &self.room.id()).unwrap().unwrap().head
        }
    }

    #[tokio::test]
    async fn one_sync_for_all_that_waits_and_everything_queued_is_stored() {
        let fixture = Fixture::new().await;
        let before = fixture.disk.writes.load(Ordering::SeqCst);
        let mut waiting = Vec::new();
        for _ in 0..500 {
            let (answer, reply) = oneshot::channel();
            fixture.log.submit(fixture.message(), Answer::To(answer)).await.unwrap();
            waiting.push(reply);
        }
        for (reply, seq) in waiting.into_iter().zip(2..) {
            let expected = Reply::Accepted { group: fixture.room.id(), seq: Seq(seq) };
            assert_eq!(reply.await.unwrap(), expected);
        }
        let syncs = fixture.disk.writes.load(Ordering::SeqCst) - before;
        assert!(syncs <= 5, "{syncs} syncs");
        // Nobody waits for this one; it is stored all the same before the thread ends.
        fixture.log.submit(fixture.message(), Answer::To(oneshot::channel().0)).await.unwrap();
        let (store, thread, alice, id) = (fixture.store, fixture.thread, fixture.alice, fixture.room.id());
        drop(fixture.log);
        thread.join().unwrap();
        assert_eq!(store.membership(&alice.device(), &id).unwrap().unwrap().head, Seq(502));
    }

    #[tokio::test]
    async fn after_a_failed_write_everything_is_refused() {
        let fixture = Fixture::new().await;
        assert!(fixture.health.is_ready());
        fixture.disk.fails.store(true, Ordering::SeqCst);
        let unavailable = Reply::Refused { refusal: Refusal::Unavailable };
        assert_eq!(fixture.log.write(fixture.message()).await, unavailable);
        assert!(!fixture.health.is_ready());
        // Also when the disk is well again: nobody knows what it holds.
        fixture.disk.fails.store(false, Ordering::SeqCst);
        assert_eq!(fixture.log.write(fixture.message()).await, unavailable);
        assert_eq!(fixture.head(), Seq(1));
    }
}
