//! Hears what other nodes have stored, and brings it to the subscribers here.

use super::Shared;
use super::announcement::{Announcement, NewEntries};
use crate::fanout::{Particular, Published, frame};
use crate::limits::{LOOK_EVERY, RECONNECT_DATABASE};
use crate::store::postgres::Line;
use crate::store::{LogEntry, StoreError};
use bytes::Bytes;
use conclave_wire::commit::{Operation, UnverifiedCommit};
use conclave_wire::entry::EntryKind;
use conclave_wire::ids::{DeviceId, GroupId, Seq};
use conclave_wire::manifest::Manifest;
use std::collections::HashMap;
use std::sync::Arc;

/// Entries of a group that are read at once; what is more, subscribers read for themselves.
const ENTRIES: usize = 256;

/// Listens, as long as the server runs.
pub(super) async fn run(shared: Arc<Shared>, first: Line) {
    let mut line = Some(first);
    loop {
        match line.take() {
            Some(line) => {
                listen(&shared, line).await;
                tracing::warn!("the connection on which other nodes are heard was lost");
            }
            None => tokio::time::sleep(RECONNECT_DATABASE).await,
        }
        if let Ok(heard) = shared.listen().await {
            // What was told meanwhile is lost, also who came into which group: everybody begins anew.
            shared.hubs.hang_up();
            line = Some(heard);
        }
    }
}

/// Until the connection is lost.
async fn listen(shared: &Arc<Shared>, mut line: Line) {
    let mut heads = HashMap::new();
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let heard = tokio::select! {
            heard = line.hear() => heard,
            _ = look.tick() => {
                if !line.is_alive().await {
                    return;
                }
                heads = look_around(shared, heads).await;
                continue;
            }
        };
        let Some(text) = heard else { return };
        let Some(announcement) = Announcement::read(&text, shared.node) else { continue };
        let more = announcement.more;
        shared.hubs.tell_of_letters(announcement.letters);
        announcement.accounts.iter().for_each(|account| shared.hubs.look_again(*account, None));
        let (shared_too, entries) = (shared.clone(), announcement.entries);
        let publish = move || {
            for new in entries {
                if let Err(error) = publish(&shared_too, &new) {
                    tracing::warn!(%error, "cannot read what another node has stored");
                    shared_too.hubs.publish(vec![in_the_log(new.group, new.last())], Vec::new());
                }
            }
        };
        let _ = tokio::task::spawn_blocking(publish).await;
        if more {
            shared.hubs.tell_all_of_letters();
            heads = look_around(shared, heads).await;
        }
    }
}

/// Brings new entries to the subscribers here.
fn publish(shared: &Shared, new: &NewEntries) -> Result<(), StoreError> {
    if !new.commit && !shared.hubs.interest.has(&new.group) {
        return Ok(());
    }
    let entries = shared.store.log(&new.group, new.first, new.last(), ENTRIES)?;
    let complete = entries.last().is_some_and(|entry| entry.seq == new.last());
    let mut published: Vec<_> = entries.into_iter().map(|entry| published(new.group, entry)).collect();
    if !complete {
        published.push(in_the_log(new.group, new.last()));
    }
    shared.hubs.publish(published, Vec::new());
    Ok(())
}

/// An entry that subscribers read for themselves.
fn in_the_log(group: GroupId, seq: Seq) -> Published {
    Published { group, seq, frame: None, particular: None }
}

/// A message is the same for everybody. On a commit or distribution something hangs for each device, which it reads from
/// the log; until it has, it gets nothing that follows, so that a device that was removed gets nothing at all.
fn published(group: GroupId, entry: LogEntry) -> Published {
    let LogEntry { seq, kind, body } = entry;
    match kind {
        EntryKind::Message => {
            let frame = frame::push_of(group, seq, kind, &body, None);
            Published { group, seq, frame: Some(frame), particular: None }
        }
        EntryKind::Distribution | EntryKind::Trimmed => in_the_log(group, seq),
        EntryKind::Commit => {
            let added = newcomers(&body);
            let deliveries = HashMap::new();
            let particular = Particular { kind, body: Bytes::new(), deliveries, added, removed: Vec::new() };
            Published { particular: Some(Arc::new(particular)), ..in_the_log(group, seq) }
        }
    }
}

/// Devices that a commit may bring into its group: all of the accounts that it adds or brings up to date. The log says
/// which of them it did bring in.
fn newcomers(commit: &[u8]) -> Vec<DeviceId> {
    let Ok(commit) = UnverifiedCommit::decode(commit) else { return Vec::new() };
    let manifests = commit.claimed().operations.iter().flat_map(|operation| match operation {
        Operation::Add { manifest, .. } => std::slice::from_ref(manifest),
        Operation::UpdateDevices { manifests } => manifests.as_slice(),
        _ => &[],
    });
    let manifests = manifests.filter_map(|manifest| Manifest::decode_and_verify(&manifest.0).ok());
    manifests.flat_map(|manifest| manifest.device_ids().collect::<Vec<_>>()).collect()
}

/// Compares where groups stand with where they stood: for what another node has stored and did not live to tell.
async fn look_around(shared: &Arc<Shared>, heads: HashMap<GroupId, Seq>) -> HashMap<GroupId, Seq> {
    let shared = shared.clone();
    let look = move || {
        let groups = shared.hubs.interest.all();
        match shared.store.heads(&groups) {
            Ok(present) => {
                let moved = present.iter().filter(|(group, seq)| heads.get(*group) != Some(*seq));
                let moved = moved.map(|(group, seq)| in_the_log(*group, *seq)).collect();
                shared.hubs.publish(moved, Vec::new());
                present
            }
            Err(error) => {
                tracing::debug!(%error, "cannot look where groups stand");
                heads
            }
        }
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}
