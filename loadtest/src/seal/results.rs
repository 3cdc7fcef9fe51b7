//! What `seal` measured, and how it is shown.

use conclave_report::{Spread, Table, figure};
use serde::Serialize;
use std::fmt::{self, Display};

/// Everything measured so far.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    timed_region: TimedRegion,
    pub(super) messages: Vec<MessageRow>,
    pub(super) runs: Vec<RunRow>,
    pub(super) outstanding: Vec<OutstandingRow>,
    pub(super) catch_up: Vec<CatchUpRow>,
    pub(super) groups: Vec<GroupRow>,
}

/// What lies between the two readings of the clock.
#[derive(Debug, Serialize)]
struct TimedRegion {
    clock: &'static str,
    seal: &'static str,
    open: &'static str,
    primitives: &'static str,
    runs: &'static str,
    catch_up: &'static str,
    groups: &'static str,
    join: &'static str,
}

const TIMED_REGION: TimedRegion = TimedRegion {
    clock: "processor time of the one thread",
    seal: "one Group::seal call: random id and hedge, chain step, padding, encryption, signature, the records to store \
           made; the message before is in the log; storing the records, encoding the frame and sending are outside",
    open: "one Group::receive call on the entry: parsing, chain step, verification, decryption, padding, link, the \
           records to store made; decoding the frame and storing the records are outside",
    primitives: "two BLAKE3 derivations of 64 and 88 bytes, BLAKE3 digest over 168 bytes and the ciphertext, \
                 XChaCha20-Poly1305 of the padded plaintext, Ed25519 sign (seal) or strict verification (open), with \
                 the libraries and flags of the engine, measured after each block of 32 messages",
    runs: "one Group::seal_run, one Group::receive call on the entry, divided by the number of messages; the primitives \
           are those of as many messages, with one signature or verification in all",
    catch_up: "Group::receive_all on each page of entries of one sender: parsing, chain steps, decryption, links, one \
               signature in 64, the records to store made; decoding the frames and storing the records are outside",
    groups: "one Group::distribute, Group::commit or Group::receive call on state read back from its records, the \
             records to store made; prekeys are verified before; storing, encoding and sending are outside",
    join: "Newcomer::commit on every commit from the genesis and Newcomer::open on the welcome",
};

/// One message size.
#[derive(Debug, Serialize)]
pub(super) struct MessageRow {
    pub(super) content_bytes: usize,
    pub(super) wire_bytes: usize,
    pub(super) overhead_bytes: usize,
    pub(super) seal: Side,
    pub(super) open: Side,
}

/// Messages of one size in runs, for each message.
#[derive(Debug, Serialize)]
pub(super) struct RunRow {
    pub(super) content_bytes: usize,
    /// Of one run.
    pub(super) messages: usize,
    /// Of one run.
    pub(super) wire_bytes: usize,
    pub(super) seal: Side,
    pub(super) open: Side,
}

/// Sealing, or opening.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    us: Spread,
    per_second: f64,
    primitives_us: Spread,
    /// Median to median.
    times_primitives: f64,
    /// Bytes of records that the call asks to store.
    stored_bytes: usize,
}

impl Side {
    pub(super) fn of(us: Spread, primitives_us: Spread, stored_bytes: usize) -> Self {
        let times_primitives = us.median / primitives_us.median;
        Self { us, per_second: us.per_second(), primitives_us, times_primitives, stored_bytes }
    }
}

/// Sealing while many messages wait for the log to show them.
#[derive(Debug, Serialize)]
pub(super) struct OutstandingRow {
    pub(super) content_bytes: usize,
    pub(super) waiting: usize,
    pub(super) seal_us: Spread,
    pub(super) stored_bytes: usize,
}

/// Reading a backlog of one sender in pages, for each message.
#[derive(Debug, Serialize)]
pub(super) struct CatchUpRow {
    pub(super) content_bytes: usize,
    pub(super) backlog: u32,
    pub(super) page: usize,
    pub(super) us: Spread,
    pub(super) per_second: f64,
}

/// One piece of work in a group of one size.
#[derive(Debug, Serialize)]
pub(super) struct GroupRow {
    pub(super) work: Work,
    pub(super) devices: usize,
    pub(super) contact: Option<Contact>,
    /// Sender keys that the member holds.
    pub(super) senders: Option<usize>,
    /// Commits walked.
    pub(super) commits: Option<usize>,
    pub(super) us: Option<Spread>,
    /// Of the whole upload's frame, or of entry and delivery for who takes it.
    pub(super) bytes: Option<usize>,
    pub(super) stored_bytes: Option<usize>,
    /// Why the engine does not do it, if it does not.
    pub(super) not_possible: Option<String>,
}

impl GroupRow {
    pub(super) fn new(work: Work, devices: usize) -> Self {
        Self {
            work,
            devices,
            contact: None,
            senders: None,
            commits: None,
            us: None,
            bytes: None,
            stored_bytes: None,
            not_possible: None,
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Work {
    Distribute,
    TakeSenderKey,
    Remove,
    TakeRemoval,
    Join,
}

/// Whether there are pairwise chains already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Contact {
    /// A wrap each.
    Known,
    /// An initial envelope each: X25519 and ML-KEM-768.
    First,
}

impl Results {
    pub(super) fn new() -> Self {
        Self {
            timed_region: TIMED_REGION,
            messages: Vec::new(),
            runs: Vec::new(),
            outstanding: Vec::new(),
            catch_up: Vec::new(),
            groups: Vec::new(),
        }
    }
}

impl Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Messages, one at a time, µs each: min / median / max of the repetitions\n")?;
        writeln!(f, "{}", self.message_table())?;
        for row in &self.runs {
            for (what, side) in [("seal", &row.seal), ("open", &row.open)] {
                writeln!(
                    f,
                    "{what} runs of {} messages of {} B, {} B on the wire: {} µs a message, {} × primitives, {} B of records",
                    row.messages,
                    row.content_bytes,
                    row.wire_bytes,
                    three(&side.us),
                    figure(side.times_primitives),
                    side.stored_bytes
                )?;
            }
            writeln!(f)?;
        }
        for row in &self.outstanding {
            writeln!(
                f,
                "seal {} B behind {} messages that wait for the log: {} µs, {} B of records\n",
                row.content_bytes,
                row.waiting,
                three(&row.seal_us),
                row.stored_bytes
            )?;
        }
        for row in &self.catch_up {
            writeln!(
                f,
                "catch up with {} messages of {} B, in pages of {}: {} µs a message, {:.0} a second\n",
                row.backlog,
                row.content_bytes,
                row.page,
                three(&row.us),
                row.per_second
            )?;
        }
        writeln!(f, "Groups, µs each time: min / median / max of the repetitions\n")?;
        writeln!(f, "{}", self.group_table())?;
        let region = &self.timed_region;
        writeln!(f, "Timed:\n  seal: {}\n  open: {}", region.seal, region.open)?;
        writeln!(f, "  primitives: {}", region.primitives)?;
        writeln!(f, "  runs: {}", region.runs)?;
        writeln!(f, "  catch up: {}", region.catch_up)?;
        writeln!(f, "  groups: {}\n  join: {}", region.groups, region.join)
    }
}

impl Results {
    fn message_table(&self) -> Table {
        let head = [
            "content",
            "on the wire",
            "around it",
            "what",
            "µs",
            "per second",
            "primitives µs",
            "× primitives",
            "records B",
        ];
        let mut table = Table::new(head);
        for row in &self.messages {
            for (what, side) in [("seal", &row.seal), ("open", &row.open)] {
                table.row([
                    format!("{} B", row.content_bytes),
                    row.wire_bytes.to_string(),
                    row.overhead_bytes.to_string(),
                    what.into(),
                    three(&side.us),
                    figure(side.per_second),
                    three(&side.primitives_us),
                    figure(side.times_primitives),
                    side.stored_bytes.to_string(),
                ]);
            }
        }
        table
    }

    fn group_table(&self) -> Table {
        let mut table = Table::new(["work", "devices", "µs", "µs per device", "bytes", "records B"]);
        for row in &self.groups {
            let number = |value: Option<usize>| value.map_or("–".into(), |value| value.to_string());
            // No group has more devices than a float can count.
            let per_device = |us: &Spread| figure(us.median / row.devices as f64);
            table.row([
                row.title(),
                row.devices.to_string(),
                row.us.as_ref().map_or("not possible".into(), three),
                row.us.as_ref().map_or("–".into(), per_device),
                number(row.bytes),
                number(row.stored_bytes),
            ]);
        }
        table
    }
}

impl GroupRow {
    fn title(&self) -> String {
        let work = match self.work {
            Work::Distribute => "distribute a sender key",
            Work::TakeSenderKey => "take a sender key",
            Work::Remove => "remove one",
            Work::TakeRemoval => "take a removal",
            Work::Join => "join",
        };
        let contact = match self.contact {
            None => String::new(),
            Some(Contact::Known) => ", known".into(),
            Some(Contact::First) => ", first contact".into(),
        };
        let senders = self.senders.map_or(String::new(), |senders| format!(", {senders} senders known"));
        let commits = self.commits.map_or(String::new(), |commits| format!(", {commits} commits"));
        format!("{work}{contact}{senders}{commits}")
    }
}

fn three(spread: &Spread) -> String {
    format!("{} / {} / {}", figure(spread.min), figure(spread.median), figure(spread.max))
}
