//! A device's place in one group: checks every entry that it is pushed, and says what to send next.

use super::check::Checker;
use super::content;
use super::drive::Shared;
use super::finding::Violation;
use super::plan::{Arrivals, Depth};
use conclave_engine::limits::MAX_UNCONFIRMED;
use conclave_engine::wire::codec;
use conclave_engine::wire::entry::{Entry, EntryKind};
use conclave_engine::wire::frame::ServerFrame;
use conclave_engine::wire::ids::{GroupId, Opaque, Seq, Timestamp};
use conclave_engine::wire::message::MessageView;
use conclave_engine::wire::reply::Reply;
use conclave_engine::wire::request::Request;
use conclave_engine::{Continuity, Device, Event, Group};
use rand::rngs::StdRng;
use std::collections::VecDeque;
use std::sync::Arc;

/// A member of one group.
pub(super) struct Seat {
    /// Number of the group in the plan.
    pub(super) group: usize,
    /// Number of the member in the group.
    pub(super) member: usize,
    pub(super) id: GroupId,
    pub(super) checker: Checker,
    /// `None` for a member who only counts, and for one whose log cannot be followed any more.
    pub(super) engine: Option<Group>,
    pub(super) sending: Option<Sending>,
}

/// What a sender has under way.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Which of the group's senders.
    pub(super) sender: usize,
    next: u64,
    /// Posted, and not yet with everybody.
    outstanding: usize,
    /// Posted, and not yet seen by the sender itself.
    unconfirmed: usize,
    /// When messages should have been posted that were not.
    due: VecDeque<u64>,
    /// A new sender key is on its way.
    key: bool,
    /// Nothing can be sent any more; why is among the errors.
    stopped: bool,
}

/// What the seat borrows from its device.
pub(super) struct Hands<'a> {
    pub(super) connection: usize,
    pub(super) device: &'a mut Device,
    pub(super) rng: &'a mut StdRng,
    pub(super) now: Timestamp,
    pub(super) shared: &'a Arc<Shared>,
}

/// What an answer will be about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Post { ordinal: u64 },
    Key,
}

impl Sending {
    pub(super) fn new(sender: usize) -> Self {
        Self { sender, ..Self::default() }
    }
}

impl Seat {
    /// An entry was pushed. `frame` is all of it, `now` when it was read.
    pub(super) fn entry(
        &mut self,
        hands: &mut Hands<'_>,
        now: u64,
        frame: &[u8],
        seq: u64,
        kind: EntryKind,
        body: &[u8],
    ) {
        if let Err(violation) = self.checker.entry(seq) {
            let duplicate = matches!(violation, Violation::Duplicate { .. });
            // The engine takes the log in order or not at all.
            self.engine = self.engine.take().filter(|_| duplicate);
            self.violation(hands, &violation);
            if duplicate {
                return;
            }
        }
        if kind == EntryKind::Trimmed {
            // Nothing is old enough for that while anything is measured.
            self.violation(hands, &Violation::Nonsense(format!("entry {seq} is no longer kept")));
        } else if kind == EntryKind::Message {
            self.message(hands, now, frame, seq, body);
        } else {
            self.change(hands, frame, seq);
        }
    }

    fn message(&mut self, hands: &mut Hands<'_>, now: u64, frame: &[u8], seq: u64, body: &[u8]) {
        let shared = Arc::clone(hands.shared);
        let Some(ledger) = shared.groups.get(self.group) else { return };
        let Ok(view) = MessageView::parse(body) else {
            return self.violation(hands, &Violation::Nonsense(format!("entry {seq} is no message")));
        };
        let Some((sender, ordinal)) = ledger.locate(&view.header) else {
            return self.violation(hands, &Violation::UnknownSender { seq });
        };
        if let Err(violation) = self.checker.message(seq, sender, ordinal) {
            self.violation(hands, &violation);
        }
        let own = self.sending.as_ref().is_some_and(|sending| sending.sender == sender);
        let intended = ledger.intended(sender, ordinal);
        if let (Some(intended), false) = (intended, own) {
            let plan = &shared.plan;
            let elsewhere =
                plan.node_of(hands.connection) != plan.node_of(plan.member_of(self.group, sender));
            shared.meter.pushed(hands.connection, now, intended, elsewhere);
        }
        let opens = own || shared.plan.depth == Depth::Encrypted;
        match self.take(hands, frame, seq, EntryKind::Message, opens) {
            Ok(Some(Event::Sent { .. })) if own => {}
            Ok(Some(Event::Message(message))) => {
                let unbroken = message.continuity != Continuity::Gap || !ledger.is_unbroken(sender);
                let size = shared.plan.size;
                if !unbroken || !content::is(&message.content, size, self.group, sender, ordinal) {
                    self.violation(hands, &Violation::Content { seq });
                } else if let Some(intended) = intended {
                    shared.meter.opened(hands.connection, intended);
                }
            }
            Ok(None) => {}
            Ok(Some(_)) => self.violation(hands, &Violation::Content { seq }),
            Err(violation) => self.violation(hands, &violation),
        }
        if let (Some(sending), true) = (&mut self.sending, own) {
            sending.unconfirmed = sending.unconfirmed.saturating_sub(1);
        }
        if intended.is_some() {
            ledger.arrived(sender, ordinal);
        }
    }

    /// A commit or a sender key.
    fn change(&mut self, hands: &mut Hands<'_>, frame: &[u8], seq: u64) {
        match self.take(hands, frame, seq, EntryKind::Distribution, true) {
            Ok(Some(Event::SenderKey { sender, readable, .. })) => {
                if sender.device == hands.device.id()
                    && let Some(sending) = &mut self.sending
                {
                    sending.key = false;
                }
                if !readable && hands.shared.plan.depth == Depth::Encrypted {
                    let why = "a sender key that cannot be opened".to_owned();
                    self.violation(hands, &Violation::Refused { seq, why });
                }
            }
            Ok(_) => {}
            Err(violation) => self.violation(hands, &violation),
        }
    }

    /// Hands an entry to the engine, if there is one; it steps over what it is not to open.
    fn take(
        &mut self,
        hands: &mut Hands<'_>,
        frame: &[u8],
        seq: u64,
        kind: EntryKind,
        opens: bool,
    ) -> Result<Option<Event>, Violation> {
        let Some(group) = &mut self.engine else { return Ok(None) };
        if !opens {
            let body = Opaque(Vec::new());
            let entry = Entry { group: self.id, seq: Seq(seq), kind, delivery: None, body };
            return match group.skip(&entry) {
                Ok(_unstored) => Ok(None),
                Err(error) => Err(Violation::Refused { seq, why: error.to_string() }),
            };
        }
        let Ok(ServerFrame::Push { entry }) = codec::decode(frame) else {
            return Err(Violation::Nonsense(format!("entry {seq} is not in canonical form")));
        };
        match group.receive(hands.device, &entry, hands.now) {
            Ok(received) => Ok(Some(received.event)),
            Err(error) => {
                self.engine = None;
                Err(Violation::Refused { seq, why: error.to_string() })
            }
        }
    }

    /// A message should be posted.
    pub(super) fn due(&mut self, intended: u64) {
        if let Some(sending) = &mut self.sending {
            sending.due.push_back(intended);
        }
    }

    /// A message has reached everybody.
    pub(super) fn completed(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.outstanding = sending.outstanding.saturating_sub(1);
        }
    }

    /// An answer has come.
    pub(super) fn reply(&mut self, hands: &mut Hands<'_>, asked: Asked, reply: &Reply) {
        let Some(sending) = &mut self.sending else { return };
        let Some(ledger) = hands.shared.groups.get(self.group) else { return };
        match (asked, reply) {
            (Asked::Post { ordinal }, Reply::Accepted { .. }) => {
                if let Some(intended) = ledger.accepted(sending.sender, ordinal) {
                    hands.shared.meter.accepted(hands.connection, intended);
                }
            }
            (Asked::Post { ordinal }, other) => {
                hands.shared.findings.error(format!("a post was refused: {}", refusal(other)));
                sending.unconfirmed = sending.unconfirmed.saturating_sub(1);
                ledger.refused(sending.sender, ordinal);
            }
            (Asked::Key, Reply::Accepted { .. }) => {}
            (Asked::Key, other) => {
                hands.shared.findings.error(format!("a sender key was refused: {}", refusal(other)));
                sending.stopped = true;
            }
        }
    }

    /// What may be sent now, if anything.
    pub(super) fn next_request(&mut self, hands: &mut Hands<'_>) -> Option<(Request, Asked)> {
        let shared = Arc::clone(hands.shared);
        let (sending, group) = (self.sending.as_mut()?, self.engine.as_mut()?);
        let ledger = shared.groups.get(self.group)?;
        let clock = &shared.meter.clock;
        let intended = match shared.plan.arrivals {
            Arrivals::Window(window) => {
                let now = clock.now();
                (sending.outstanding < window && now < clock.until()).then_some(now)
            }
            Arrivals::Rate(_) => sending.due.front().copied(),
        }?;
        let waits = sending.key || sending.stopped || sending.unconfirmed >= MAX_UNCONFIRMED;
        if waits || !ledger.has_room(sending.sender, sending.next) {
            return None;
        }
        if group.sender_key_due(hands.now) {
            if sending.unconfirmed > 0 {
                return None;
            }
            let book = shared.books.get(self.group)?;
            let staged = group.distribute(hands.device, book, hands.now, hands.rng);
            let staged = staged.map_err(|error| sending.stop(hands, &error)).ok()?;
            let _unstored = staged.changes;
            sending.key = true;
            let distribution = Opaque(staged.upload.distribution);
            let deliveries = staged.upload.deliveries;
            let request = Request::Distribute { group: self.id, distribution, deliveries, staged: None };
            return Some((request, Asked::Key));
        }
        if !shared.meter.may_post(shared.plan.max_messages) {
            sending.stopped = true;
            return None;
        }
        let ordinal = sending.next;
        let content = content::make(shared.plan.size, self.group, sending.sender, ordinal);
        let sealed = group.seal(&content, hands.rng).map_err(|error| sending.stop(hands, &error)).ok()?;
        let _unstored = sealed.changes;
        ledger.post(sending.sender, ordinal, intended);
        sending.due.pop_front();
        sending.next += 1;
        sending.outstanding += 1;
        sending.unconfirmed += 1;
        Some((Request::Post { group: self.id, message: Opaque(sealed.message) }, Asked::Post { ordinal }))
    }

    /// Messages that were due and never sent.
    pub(super) fn left(&self) -> usize {
        self.sending.as_ref().map_or(0, |sending| sending.due.len())
    }

    fn violation(&self, hands: &Hands<'_>, violation: &Violation) {
        hands.shared.findings.violation(Some(self.group), self.member, violation);
    }
}

impl Sending {
    fn stop(&mut self, hands: &Hands<'_>, error: &dyn std::fmt::Display) {
        self.stopped = true;
        hands.shared.findings.error(format!("a sender stopped: {error}"));
    }
}

fn refusal(reply: &Reply) -> String {
    match reply {
        Reply::Refused { refusal } => refusal.to_string(),
        _ => "the answer does not fit".into(),
    }
}
