//! What was measured, and how it is shown.

use conclave_report::{Spread, Table, figure};
use serde::Serialize;
use std::fmt::{self, Display};

/// Everything measured so far.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    timed_region: TimedRegion,
    pub(crate) rows: Vec<Row>,
}

/// What lies between the two readings of the clock.
#[derive(Debug, Serialize)]
struct TimedRegion {
    clock: &'static str,
    messages: &'static str,
    catch_up: &'static str,
    sender_keys: &'static str,
    removal: &'static str,
    joining: &'static str,
    growth: &'static str,
    bytes: &'static str,
}

const TIMED_REGION: TimedRegion = TimedRegion {
    clock: "processor time of the one thread that does everything",
    messages: "content to the bytes that are sent, and back. Ours: one Group::seal, one Group::receive, the records to store \
               included. vodozemac: GroupSession::encrypt and to_bytes; MegolmMessage::from_bytes and \
               InboundGroupSession::decrypt. mls-rs: encrypt_application_message and to_bytes; from_bytes and \
               process_incoming_message. OpenMLS: create_message and to_bytes; MlsMessageIn's decoding and \
               process_message, with the writes to its store in memory that it makes itself. Peers' other state is not \
               stored. A repetition is 32 messages, each timed by itself; in a run, 64 messages in one call",
    catch_up: "a backlog of one sender read to its end, in µs a message. Ours: Group::receive_all on pages of 256 entries. \
               Peers: opening one after the other, as above; they have no other way",
    sender_keys: "a new sender key made, and sealed for each other device. Ours: one Group::distribute, the records to store \
                  included; prekeys verified before. vodozemac: GroupSession::new, then for each device \
                  create_outbound_session (first contact) and Session::encrypt of the 229-byte session key, to_parts; \
                  established sessions have had an answer and sent once since, so that no Diffie-Hellman is left to do",
    removal: "Removing: ours, Group::commit and the Group::receive that applies it; mls-rs, commit_builder().remove_member(), \
              build, to_bytes, apply_pending_commit; OpenMLS, remove_members, to_bytes, merge_pending_commit; vodozemac, one \
              sender's key made and sealed anew (see sender_keys), of which every sender needs one. Processing: ours, one \
              Group::receive of the entry with its delivery; mls-rs, from_bytes and process_incoming_message; OpenMLS, \
              decoding, process_message, merge_staged_commit. Each repetition begins at the same state, copied or read back \
              before. MLS commits are sent in the clear, which costs less",
    joining: "ours, Newcomer::commit on every commit from the genesis and Newcomer::open; mls-rs, from_bytes and join_group; \
              OpenMLS, decoding, StagedWelcome::new_from_welcome, into_group; the tree is in the welcome",
    growth: "one who adds all others in commits of equal size: staging or building each commit and applying it, welcomes \
             included; keys and key packages are made before. One run each",
    bytes: "around a message: what is sent less the content, padding left out (ours: less the padded plaintext; vodozemac: \
            with the padding of its block cipher). Stored: ours, records under the group, keys included; vodozemac, one \
            exported inbound session; mls-rs and OpenMLS, what the store in memory holds for the group",
};

/// A line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    work: String,
    /// Median.
    ours_us: Option<f64>,
    peer: Option<&'static str>,
    /// Median.
    peer_us: Option<f64>,
    /// Ours by theirs, of times or of bytes.
    ratio: Option<f64>,
    ours_bytes: Option<usize>,
    peer_bytes: Option<usize>,
    goal: Option<Goal>,
    goal_met: Option<bool>,
    figures: Option<Figures>,
    note: Option<String>,
}

/// What a row is to reach.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// At most this times the peer.
    Ratio(f64),
    /// At most so many microseconds.
    Us(f64),
    /// At most so many bytes.
    Bytes(usize),
}

/// Times in full.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) ours: Spread,
    pub(crate) beside: Option<Beside>,
}

/// A peer's times.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Beside {
    pub(crate) peer: &'static str,
    pub(crate) us: Spread,
    /// Median of the ratios of single repetitions.
    pub(crate) ratio: f64,
    pub(crate) ratio_min: f64,
    pub(crate) ratio_max: f64,
}

impl Row {
    /// About times.
    pub(crate) fn times(work: impl Into<String>, figures: Figures) -> Self {
        let beside = figures.beside;
        Self {
            ours_us: Some(figures.ours.median),
            peer: beside.map(|beside| beside.peer),
            peer_us: beside.map(|beside| beside.us.median),
            ratio: beside.map(|beside| beside.ratio),
            figures: Some(figures),
            ..Self::empty(work)
        }
    }

    /// About bytes.
    pub(crate) fn bytes(work: impl Into<String>, ours: usize, beside: Option<(&'static str, usize)>) -> Self {
        Self {
            ours_bytes: Some(ours),
            peer: beside.map(|(peer, _)| peer),
            peer_bytes: beside.map(|(_, theirs)| theirs),
            ratio: beside.map(|(_, theirs)| ours as f64 / theirs as f64),
            ..Self::empty(work)
        }
    }

    /// What the engine does not do.
    pub(crate) fn not_possible(work: impl Into<String>, why: String) -> Self {
        Self { note: Some(format!("not possible: {why}")), ..Self::empty(work) }
    }

    /// With what it is to reach.
    pub(crate) fn goal(self, goal: Goal) -> Self {
        let met = match goal {
            Goal::Ratio(most) => self.ratio.map(|ratio| ratio <= most),
            Goal::Us(most) => self.ours_us.map(|us| us <= most),
            Goal::Bytes(most) => self.ours_bytes.map(|bytes| bytes <= most),
        };
        Self { goal: Some(goal), goal_met: met, ..self }
    }

    /// With something to know about it.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    fn empty(work: impl Into<String>) -> Self {
        Self {
            work: work.into(),
            ours_us: None,
            peer: None,
            peer_us: None,
            ratio: None,
            ours_bytes: None,
            peer_bytes: None,
            goal: None,
            goal_met: None,
            figures: None,
            note: None,
        }
    }
}

impl Results {
    pub(crate) fn new() -> Self {
        Self { timed_region: TIMED_REGION, rows: Vec::new() }
    }
}

impl Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["work", "ours", "peer", "peer's", "ratio", "lowest–highest", "goal", ""];
        let mut table = Table::new(head);
        for row in &self.rows {
            let none = || "–".to_owned();
            let amount = |us: Option<f64>, bytes: Option<usize>| match (us, bytes) {
                (Some(us), _) => format!("{} µs", figure(us)),
                (None, Some(bytes)) => format!("{bytes} B"),
                (None, None) => "–".to_owned(),
            };
            let beside = row.figures.and_then(|figures| figures.beside);
            let goal = row.goal.map_or(String::new(), |goal| match goal {
                Goal::Ratio(most) => format!("≤ {most} ×"),
                Goal::Us(most) => format!("≤ {} µs", figure(most)),
                Goal::Bytes(most) => format!("≤ {most} B"),
            });
            let verdict = match row.goal_met {
                None => "",
                Some(true) => "met",
                Some(false) => "MISSED",
            };
            table.row([
                row.work.clone(),
                amount(row.ours_us, row.ours_bytes),
                row.peer.map_or_else(none, str::to_owned),
                amount(row.peer_us, row.peer_bytes),
                row.ratio.map_or_else(none, |ratio| format!("{ratio:.3}")),
                beside.map_or_else(none, |beside| format!("{:.3}–{:.3}", beside.ratio_min, beside.ratio_max)),
                goal,
                verdict.to_owned(),
            ]);
        }
        writeln!(f, "Medians; the ratio is ours by theirs, the median of ratios of single repetitions\n")?;
        writeln!(f, "{table}")?;
        for row in &self.rows {
            if let Some(note) = &row.note {
                writeln!(f, "{}: {note}", row.work)?;
            }
        }
        let region = &self.timed_region;
        writeln!(f, "\nTimed by {}:\n  messages: {}", region.clock, region.messages)?;
        writeln!(f, "  catch up: {}\n  sender keys: {}", region.catch_up, region.sender_keys)?;
        writeln!(f, "  removal: {}", region.removal)?;
        writeln!(f, "  joining: {}\n  growth: {}\n  bytes: {}", region.joining, region.growth, region.bytes)
    }
}
