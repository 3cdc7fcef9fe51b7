//! Two devices in a group, of which one sends messages and the other reads them.

use crate::person::{NOW, Person, entry};
use crate::step::Step;
use crate::stopwatch::Stopwatch;
use crate::trouble::Trouble;
use crate::village::{self, Two};
use conclave_engine::limits::MAX_MESSAGES_PER_SENDER_KEY;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::ids::Seq;
use conclave_engine::{Device, Event, Group, PrekeyBook};
use rand::Rng;
use rand::rngs::StdRng;

/// Two devices in a group: Alice sends, Bob reads.
pub struct Pair {
    alice: Person,
    bob: Person,
    book: PrekeyBook,
    seq: Seq,
    /// Messages under the present sender key.
    sealed: u32,
}

impl Pair {
    /// A new group of two, with a sender key that has sealed nothing yet.
    pub fn new(rng: &mut StdRng) -> Result<Self, Trouble> {
        let Two { alice, bob, book, seq } = village::two(rng)?;
        Ok(Self { alice, bob, book, seq, sealed: 0 })
    }

    /// Times one `Group::seal`; what comes out is the next entry of the log.
    pub fn seal(&mut self, content: &[u8], rng: &mut StdRng) -> Result<Step<Entry>, Trouble> {
        let group = self.sender()?;
        let begun = Stopwatch::start();
        let sealed = group.seal(content, rng);
        let spent = begun.elapsed();
        let sealed = sealed.map_err(Trouble::engine("to seal"))?;
        Ok(Step { spent, output: self.post(&sealed.message)?, changes: sealed.changes })
    }

    /// A message of the sender as the log's next entry.
    pub fn post(&mut self, message: &[u8]) -> Result<Entry, Trouble> {
        let id = self.sender()?.id();
        self.seq = self.seq.next().unwrap_or(self.seq);
        self.sealed += 1;
        Ok(entry(id, self.seq, EntryKind::Message, message, None))
    }

    /// Times one `Group::receive` by the reader, and compares what comes out with `content`.
    pub fn open(&mut self, entry: &Entry, content: &[u8]) -> Result<Step<()>, Trouble> {
        let (device, group) = self.reader()?;
        let begun = Stopwatch::start();
        let received = group.receive(device, entry, NOW);
        let spent = begun.elapsed();
        let received = received.map_err(Trouble::engine("to open"))?;
        match received.event {
            Event::Message(message) if message.content == content => {
                Ok(Step { spent, output: (), changes: received.changes })
            }
            _ => Err(Trouble::Wrong("a message did not come out as it went in")),
        }
    }

    /// Times one `Group::seal_run`; what comes out is the next entry of the log, which the sender has seen there.
    pub fn seal_run(&mut self, contents: &[Vec<u8>], rng: &mut StdRng) -> Result<Step<Entry>, Trouble> {
        let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
        let group = self.sender()?;
        let begun = Stopwatch::start();
        let sealed = group.seal_run(&contents, rng);
        let spent = begun.elapsed();
        let sealed = sealed.map_err(Trouble::engine("to seal a run"))?;
        let entry = self.post(&sealed.entry)?;
        // Posting counts one message; the others of the run used up keys as well.
        self.sealed += u32::try_from(contents.len()).unwrap_or(u32::MAX) - 1;
        match self.alice.receive(&entry)? {
            Event::SentRun { ids } if ids == sealed.ids => {
                Ok(Step { spent, output: entry, changes: sealed.changes })
            }
            _ => Err(Trouble::Wrong("the sender does not know her own run")),
        }
    }

    /// Times one `Group::receive` of a run by the reader, and compares what comes out with `contents`.
    pub fn open_run(&mut self, entry: &Entry, contents: &[Vec<u8>]) -> Result<Step<()>, Trouble> {
        let (device, group) = self.reader()?;
        let begun = Stopwatch::start();
        let received = group.receive(device, entry, NOW);
        let spent = begun.elapsed();
        let received = received.map_err(Trouble::engine("to open a run"))?;
        match received.event {
            Event::Run(messages) if messages.iter().map(|message| &message.content).eq(contents) => {
                Ok(Step { spent, output: (), changes: received.changes })
            }
            _ => Err(Trouble::Wrong("a run did not come out as it went in")),
        }
    }

    /// Shows the sender her own message in the log.
    pub fn confirm(&mut self, entry: &Entry) -> Result<(), Trouble> {
        match self.alice.receive(entry)? {
            Event::Sent { .. } => Ok(()),
            _ => Err(Trouble::Wrong("the sender does not know her own message")),
        }
    }

    /// The group of the device that sends.
    pub fn sender(&mut self) -> Result<&mut Group, Trouble> {
        self.alice.group.as_mut().ok_or(NO_GROUP)
    }

    /// The device that reads, and its group.
    pub fn reader(&mut self) -> Result<(&mut Device, &mut Group), Trouble> {
        let group = self.bob.group.as_mut().ok_or(NO_GROUP)?;
        Ok((&mut self.bob.device, group))
    }

    /// Hands out a new sender key if the present one does not last for so many more messages.
    pub fn prepare(&mut self, messages: u32, rng: &mut StdRng) -> Result<(), Trouble> {
        if self.sealed + messages <= MAX_MESSAGES_PER_SENDER_KEY {
            return Ok(());
        }
        self.sealed = 0;
        village::sender_key(&mut self.alice, &mut [&mut self.bob], &self.book, &mut self.seq, rng)
    }
}

/// Random bytes, as content.
pub fn content(size: usize, rng: &mut StdRng) -> Vec<u8> {
    let mut content = vec![0; size];
    rng.fill_bytes(&mut content);
    content
}

const NO_GROUP: Trouble = Trouble::Wrong("a device without its group");
