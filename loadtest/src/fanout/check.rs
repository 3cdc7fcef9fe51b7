//! What every member of a group must see: each entry once, in order, none missing, and the same for all.

use super::finding::Violation;
use std::collections::BTreeSet;

/// Most missing positions that are remembered; a run with that many has failed all the same.
const MAX_MISSING: usize = 10_000;

/// What one member has seen of one group.
#[derive(Debug)]
pub(super) struct Checker {
    /// The position that is due.
    next: u64,
    /// Positions that were jumped over.
    missing: BTreeSet<u64>,
    senders: Vec<Seen>,
    order: u64,
}

/// What was seen of one sender.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    messages: u64,
    /// The ordinal after the highest one.
    next: u64,
}

/// What became of a sender's messages, as the sender knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// The server said that it has them.
    pub(super) accepted: u64,
    /// The server said nothing: it may have them or not.
    pub(super) unanswered: u64,
}

impl Checker {
    /// For a member who has seen the log up to `head`.
    pub(super) fn new(head: u64, senders: usize) -> Self {
        Self { next: head + 1, missing: BTreeSet::new(), senders: vec![Seen::default(); senders], order: 0 }
    }

    /// An entry has come. After a [`Violation::Duplicate`] it must not be looked at further.
    pub(super) fn entry(&mut self, seq: u64) -> Result<(), Violation> {
        let expected = self.next;
        if seq == expected {
            self.next += 1;
            return Ok(());
        }
        if seq > expected {
            let room = MAX_MISSING.saturating_sub(self.missing.len());
            self.missing.extend((expected..seq).take(room));
            self.next = seq + 1;
            return Err(Violation::Gap { expected, found: seq });
        }
        if self.missing.remove(&seq) {
            Err(Violation::Reordered { seq })
        } else {
            Err(Violation::Duplicate { seq })
        }
    }

    /// The entry is a sender's message, its `ordinal`-th, counted from 0. Ordinals may be left out where the server
    /// refused one; [`finish`](Self::finish) counts.
    pub(super) fn message(&mut self, seq: u64, sender: usize, ordinal: u64) -> Result<(), Violation> {
        let seen = self.senders.get_mut(sender).ok_or(Violation::UnknownSender { seq })?;
        seen.messages += 1;
        self.order = mix(mix(mix(self.order, seq), sender as u64), ordinal);
        if ordinal < seen.next {
            return Err(Violation::SenderOrder { seq, after: seen.next, found: ordinal });
        }
        seen.next = ordinal + 1;
        Ok(())
    }

    /// Nothing more will come: everything that was accepted must have been seen.
    pub(super) fn finish(&self, sent: &[Sent]) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (sender, (seen, sent)) in self.senders.iter().zip(sent).enumerate() {
            if seen.messages < sent.accepted {
                violations.push(Violation::Lost { sender, messages: sent.accepted - seen.messages });
            }
            let most = sent.accepted + sent.unanswered;
            if seen.messages > most {
                violations.push(Violation::Invented { sender, messages: seen.messages - most });
            }
        }
        violations
    }

    /// A digest of which messages came in which order; members who saw the same have the same.
    pub(super) fn order(&self) -> u64 {
        self.order
    }
}

/// One step of a digest that nobody attacks.
fn mix(state: u64, value: u64) -> u64 {
    let mixed = (state ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds positions, each with one message whose ordinal is its place in `ordinals`, and finishes.
    fn see(seqs: &[u64], ordinals: &[u64], accepted: u64) -> Vec<Violation> {
        let mut checker = Checker::new(10, 1);
        let mut violations = Vec::new();
        for (seq, ordinal) in seqs.iter().zip(ordinals) {
            let position = checker.entry(*seq);
            let duplicate = matches!(position, Err(Violation::Duplicate { .. }));
            violations.extend(position.err());
            if !duplicate {
                violations.extend(checker.message(*seq, 0, *ordinal).err());
            }
        }
        violations.extend(checker.finish(&[Sent { accepted, unanswered: 0 }]));
        violations
    }

    #[test]
    fn what_is_right_passes() {
        assert_eq!(see(&[11, 12, 13], &[0, 1, 2], 3), []);
        // the server refused the sender's second message
        assert_eq!(see(&[11, 12], &[0, 2], 2), []);
        assert_eq!(see(&[], &[], 0), []);
    }

    #[test]
    fn a_duplicate_is_seen() {
        assert_eq!(see(&[11, 12, 12, 13], &[0, 1, 1, 2], 3), [Violation::Duplicate { seq: 12 }]);
        // the same message at two positions
        let violations = see(&[11, 12, 13], &[0, 1, 1], 2);
        assert!(matches!(violations[..], [Violation::SenderOrder { .. }, Violation::Invented { .. }]));
    }

    #[test]
    fn a_gap_is_seen() {
        let violations = see(&[11, 13], &[0, 2], 3);
        assert_eq!(violations[0], Violation::Gap { expected: 12, found: 13 });
        assert_eq!(violations[1], Violation::Lost { sender: 0, messages: 1 });
    }

    #[test]
    fn a_reorder_is_seen() {
        let violations = see(&[11, 13, 12, 14], &[0, 2, 1, 3], 4);
        assert!(violations.contains(&Violation::Reordered { seq: 12 }));
        assert!(!violations.iter().any(|violation| matches!(violation, Violation::Lost { .. })));
        // the log is contiguous, but holds a sender's messages in another order
        let violations = see(&[11, 12, 13], &[0, 2, 1], 3);
        assert_eq!(violations, [Violation::SenderOrder { seq: 13, after: 3, found: 1 }]);
    }

    #[test]
    fn a_loss_at_the_end_is_seen() {
        assert_eq!(see(&[11, 12], &[0, 1], 3), [Violation::Lost { sender: 0, messages: 1 }]);
        assert_eq!(see(&[], &[], 1), [Violation::Lost { sender: 0, messages: 1 }]);
    }

    #[test]
    fn an_unanswered_message_may_be_there_or_not() {
        let mut checker = Checker::new(0, 1);
        let sent = [Sent { accepted: 0, unanswered: 1 }];
        assert_eq!(checker.finish(&sent), []);
        checker.entry(1).unwrap();
        checker.message(1, 0, 0).unwrap();
        assert_eq!(checker.finish(&sent), []);
        assert_eq!(checker.finish(&[Sent::default()]), [Violation::Invented { sender: 0, messages: 1 }]);
    }

    #[test]
    fn members_who_saw_another_order_differ() {
        let order = |ordinals: [u64; 2]| {
            let mut checker = Checker::new(0, 2);
            for (seq, sender) in (1..).zip([0, 1]) {
                checker.entry(seq).unwrap();
                checker.message(seq, sender, ordinals[sender]).unwrap();
            }
            checker.order()
        };
        assert_eq!(order([0, 5]), order([0, 5]));
        assert_ne!(order([0, 5]), order([5, 0]));
    }

    #[test]
    fn nobody_else_sends() {
        let mut checker = Checker::new(0, 1);
        assert_eq!(checker.message(1, 1, 0), Err(Violation::UnknownSender { seq: 1 }));
    }
}
