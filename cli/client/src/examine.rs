//! Examining: the log sealed as the server stores it, and what this device's keys can open of entries from elsewhere.
//!
//! For those who want to see for themselves, as `conclave demo` does. Nothing here changes the profile.

use crate::client::Client;
use crate::connection::page;
use crate::content::{self, Content};
use crate::error::ClientError;
use crate::local::now;
use crate::store::damaged;
use conclave_engine::{Device, Event, Group, GroupMessage, Scope};
use conclave_wire::entry::Entry;
use conclave_wire::ids::Seq;
use conclave_wire::request::Request;

/// Entries asked for at once.
const PAGE: u32 = 256;

impl Client {
    /// A group's entries from `from` on, as the server gives them to this device. Processes none of them.
    pub async fn sealed_entries(&mut self, label: &str, from: Seq) -> Result<Vec<Entry>, ClientError> {
        let group = self.resolve(label)?;
        let mut after = Seq(from.0.saturating_sub(1));
        let mut log = Vec::new();
        loop {
            let (entries, head) = page(self.request(Request::Fetch { group, after, limit: PAGE }).await?)?;
            // A server that gives what was not asked for must not keep this going for ever.
            let Some(last) = entries.last().map(|entry| entry.seq).filter(|last| *last > after) else {
                return Ok(log);
            };
            log.extend(entries);
            after = last;
            if after >= head {
                return Ok(log);
            }
        }
    }

    /// Hands entries to a copy of this device's state in a group, each as if it were the next one of the log: the text,
    /// or why there is none. The copy is thrown away.
    pub fn examine(
        &mut self,
        label: &str,
        entries: &[Entry],
    ) -> Result<Vec<Result<String, String>>, ClientError> {
        let id = self.resolve(label)?;
        let broken = |error: conclave_engine::LoadError| damaged(&error.to_string());
        let mut device = Device::load(self.local.store.records(Scope::Device)?).map_err(broken)?;
        let mut group = Group::load(id, self.local.store.records(Scope::Group(id))?).map_err(broken)?;
        Ok(entries.iter().map(|entry| try_open(&mut group, &mut device, entry)).collect())
    }
}

fn text_of(message: &GroupMessage) -> String {
    match content::decode(&message.content) {
        Content::Text { text, .. } => text,
        Content::Unknown => "(content of an unknown kind)".to_owned(),
    }
}

fn try_open(group: &mut Group, device: &mut Device, entry: &Entry) -> Result<String, String> {
    let next = group.cursor().next().ok_or("the log is full")?;
    let entry = Entry { seq: next, ..entry.clone() };
    match group.receive(device, &entry, now()) {
        Ok(received) => match received.event {
            Event::Message(message) => Ok(text_of(&message)),
            Event::Run(messages) => Ok(messages.iter().map(text_of).collect::<Vec<_>>().join("\n")),
            _ => Err("not a message".to_owned()),
        },
        Err(error) => {
            // On to the next one: it shall not fail for its place alone.
            let _ = group.skip(&entry);
            Err(error.to_string())
        }
    }
}
