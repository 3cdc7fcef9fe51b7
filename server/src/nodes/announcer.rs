//! Tells the other nodes what this one has stored: once for each batch, after its commit, on a connection of its own.

use super::announcement::{Announcement, NewEntries, NodeId};
use crate::limits::{ANNOUNCEMENTS, RECONNECT_DATABASE};
use crate::store::postgres::{Line, Postgres};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// The way to tell other nodes.
#[derive(Clone, Debug)]
pub(crate) struct Announcer {
    queue: Sender<Announcement>,
    /// Something was not told, because the queue was full.
    lost: Arc<AtomicBool>,
}

impl Announcer {
    /// Tells what is new, later and without waiting. If too much waits, the others are told to look for themselves.
    pub(crate) fn announce(&self, announcement: Announcement) {
        if !announcement.is_empty() && self.queue.try_send(announcement).is_err() {
            self.lost.store(true, Ordering::Release);
        }
    }

    /// With the task that does it.
    pub(super) fn start(node: NodeId, store: Arc<Postgres>) -> (Self, impl Future<Output = ()>) {
        let (queue, waiting) = mpsc::channel(ANNOUNCEMENTS);
        let lost = Arc::new(AtomicBool::new(false));
        let task = run(node, store, waiting, lost.clone());
        (Self { queue, lost }, task)
    }
}

async fn run(node: NodeId, store: Arc<Postgres>, mut waiting: Receiver<Announcement>, lost: Arc<AtomicBool>) {
    let mut line: Option<Line> = None;
    let mut batches = Vec::new();
    while waiting.recv_many(&mut batches, ANNOUNCEMENTS).await > 0 {
        let more = lost.swap(false, Ordering::AcqRel);
        let announcement = together(batches.drain(..), more);
        for text in announcement.write(node) {
            if line.is_none() {
                line = store.line().await.ok();
            }
            let told = match &line {
                Some(line) => line.say(&text).await.is_ok(),
                None => false,
            };
            if !told {
                line = None;
                lost.store(true, Ordering::Release);
                tokio::time::sleep(RECONNECT_DATABASE).await;
            }
        }
    }
}

/// What several batches stored, each group once: entries of one node follow each other, or others have come between,
/// which were theirs to tell.
fn together(batches: impl Iterator<Item = Announcement>, more: bool) -> Announcement {
    let mut groups: HashMap<_, NewEntries> = HashMap::new();
    let mut all = Announcement { more, ..Announcement::default() };
    for batch in batches {
        for new in batch.entries {
            groups
                .entry(new.group)
                .and_modify(|known| {
                    let last = known.last().max(new.last());
                    known.first = known.first.min(new.first);
                    known.count = last.0.saturating_sub(known.first.0).saturating_add(1);
                    known.commit |= new.commit;
                })
                .or_insert(new);
        }
        all.letters.extend(batch.letters);
        all.accounts.extend(batch.accounts);
    }
    all.entries = groups.into_values().collect();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_wire::ids::{DeviceId, GroupId, Seq};

    #[test]
    fn batches_are_told_together() {
        let group = GroupId::from_bytes([1; 32]);
        let new = |first, count, commit| NewEntries { group, first: Seq(first), count, commit };
        let letters = vec![DeviceId::from_bytes([2; 32])];
        let batches = [
            Announcement { entries: vec![new(5, 2, false), new(9, 1, true)], ..Announcement::default() },
            Announcement { letters: letters.clone(), ..Announcement::default() },
            Announcement { entries: vec![new(7, 1, false)], ..Announcement::default() },
        ];
        let told = together(batches.into_iter(), true);
        let entries = vec![new(5, 5, true)];
        assert_eq!(told, Announcement { entries, letters, more: true, ..Announcement::default() });
    }
}
