//! The people of the story: each a client with a profile, a key file and a socket of its own.

use super::{DemoError, GROUP};
use crate::key_file;
use conclave_client::{Client, ClientError, Entry, Name, Notice, Seq, StoredMessage, Unlock};
use std::fs;
use std::path::{Path, PathBuf};

/// A person, with their device switched on or off.
pub(super) struct Person {
    pub(super) name: Name,
    /// Where the profile is.
    dir: PathBuf,
    /// A key file, so that the demonstration does not wait for passphrases to be stretched.
    unlock: Unlock,
    client: Option<Client>,
}

/// Everybody who is in it from the start, and later Erin.
pub(super) struct Cast {
    pub(super) alice: Person,
    pub(super) bob: Person,
    pub(super) carol: Person,
    pub(super) dave: Person,
    pub(super) erin: Person,
}

/// Everything that was said, in log order.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) said: Vec<Said>,
}

/// A message as its sender gave it to the client.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) seq: Seq,
    pub(super) sender: Name,
    pub(super) text: String,
}

impl Person {
    /// Makes a profile below `people` and registers it.
    pub(super) async fn register(name: &str, people: &Path, server: &str) -> Result<Self, DemoError> {
        let name: Name = name.parse().map_err(|_| DemoError::Story("a name that is none"))?;
        fs::create_dir_all(people)?;
        let dir = people.join(name.as_str());
        let key = people.join(format!("{name}.key"));
        key_file::make_if_missing(&key)?;
        let unlock = Unlock::KeyFile(key);
        let client = Client::create(&dir, &unlock, name.clone(), server)
            .await
            .map_err(|error| DemoError::Step { who: name.clone(), what: "register", source: error.into() })?;
        Ok(Self { name, dir, unlock, client: Some(client) })
    }

    /// The client of a person who is there.
    pub(super) fn client(&mut self) -> Result<&mut Client, DemoError> {
        self.client.as_mut().ok_or(DemoError::Story("somebody acts who is not there"))
    }

    /// Switches the device off.
    pub(super) async fn leave(&mut self) {
        if let Some(client) = self.client.take() {
            client.close().await;
        }
    }

    /// Switches it on again: everything that it knows comes from its profile.
    pub(super) async fn come_back(&mut self) -> Result<(), DemoError> {
        let opened = Client::open(&self.dir, &self.unlock).await;
        self.client = Some(self.step("open the profile", opened)?);
        Ok(())
    }

    /// A thief's copy of the profile, taken while the device is off; key file and all.
    pub(super) fn copy(&self, to: &Path) -> Result<Self, DemoError> {
        if self.client.is_some() {
            return Err(DemoError::Story("a profile is copied while it is in use"));
        }
        copy_dir(&self.dir, to)?;
        Ok(Self { name: self.name.clone(), dir: to.to_owned(), unlock: self.unlock.clone(), client: None })
    }

    /// Says `text` to the group.
    pub(super) async fn say(&mut self, text: &str, ledger: &mut Ledger) -> Result<Seq, DemoError> {
        let sent = self.client()?.send(GROUP, text).await;
        let seq = self.step("send", sent)?.seq;
        ledger.said.push(Said { seq, sender: self.name.clone(), text: text.to_owned() });
        Ok(seq)
    }

    /// Reads everything that is new.
    pub(super) async fn catch_up(&mut self) -> Result<Vec<Notice>, DemoError> {
        let notices = self.client()?.sync().await;
        self.step("catch up", notices)
    }

    /// Everything that this person has read or sent, as the profile keeps it.
    pub(super) fn history(&mut self) -> Result<Vec<StoredMessage>, DemoError> {
        let history = self.client()?.history(GROUP);
        self.step("look at the log", history)
    }

    /// The log's entries from `from` on, as the server stores them.
    pub(super) async fn sealed(&mut self, from: Seq) -> Result<Vec<Entry>, DemoError> {
        let entries = self.client()?.sealed_entries(GROUP, from).await;
        self.step("fetch the log", entries)
    }

    /// How many messages this person's device can open of `entries`, handed to it by somebody else.
    pub(super) fn opens(&mut self, entries: &[Entry]) -> Result<usize, DemoError> {
        let outcomes = self.client()?.examine(GROUP, entries);
        Ok(self.step("examine entries", outcomes)?.iter().filter(|outcome| outcome.is_ok()).count())
    }

    /// Names the step that failed.
    pub(super) fn step<T>(
        &self,
        what: &'static str,
        outcome: Result<T, ClientError>,
    ) -> Result<T, DemoError> {
        outcome.map_err(|error| DemoError::Step { who: self.name.clone(), what, source: error.into() })
    }
}

impl Cast {
    /// Everybody.
    pub(super) fn everybody(&mut self) -> [&mut Person; 5] {
        [&mut self.alice, &mut self.bob, &mut self.carol, &mut self.dave, &mut self.erin]
    }

    /// Switches all devices off.
    pub(super) async fn everybody_leaves(&mut self) {
        for person in self.everybody() {
            person.leave().await;
        }
    }
}

impl Ledger {
    /// What was said from `from` up to and without `to`.
    pub(super) fn between(&self, from: Seq, to: Seq) -> Vec<Said> {
        self.said.iter().filter(|said| from <= said.seq && said.seq < to).cloned().collect()
    }
}

/// How many of `said` stand in `history` byte for byte, at their place and under their sender's name.
pub(super) fn exactly(history: &[StoredMessage], said: &[Said]) -> usize {
    let same = |said: &&Said| {
        history.iter().any(|read| {
            read.seq == said.seq && read.sender_name.as_ref() == Some(&said.sender) && read.text == said.text
        })
    };
    said.iter().filter(same).count()
}

/// Copies a directory with everything in it.
pub(super) fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
