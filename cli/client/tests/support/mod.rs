//! A server in this process, and people with profiles on it.

// Each test crate uses some of it.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod fake;
pub mod liar;
pub mod proxy;

use conclave_client::{Client, Name, Notice, NoticeKind, StoredMessage, Unlock};
use conclave_server::{Config, Server};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A server that can be stopped and started again at the same address.
pub struct World {
    pub dir: TempDir,
    pub server: Option<Server>,
    listen: SocketAddr,
}

impl World {
    pub async fn new() -> Self {
        Self::named(None).await
    }

    /// With a server that clients reach under another name, as through a proxy.
    pub async fn named(name: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), [7; 32]).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config::new(dir.path().join("server"), any).with_workers(1);
        config.name = name;
        let server = Server::start(config).await.unwrap();
        let listen = server.local_addr();
        Self { dir, server: Some(server), listen }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.listen)
    }

    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown().await;
        }
    }

    pub async fn start(&mut self) {
        let config = Config::new(self.dir.path().join("server"), self.listen).with_workers(1);
        self.server = Some(Server::start(config).await.unwrap());
    }

    pub fn unlock(&self) -> Unlock {
        Unlock::KeyFile(self.dir.path().join("key"))
    }

    pub fn profile(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn create(&self, who: &str) -> Client {
        Client::create(&self.profile(who), &self.unlock(), name(who), &self.url()).await.unwrap()
    }

    pub async fn open(&self, who: &str) -> Client {
        Client::open(&self.profile(who), &self.unlock()).await.unwrap()
    }

    /// What a power failure at this moment leaves: a copy of the profile as it is on disk, opened as another.
    pub fn copy(&self, who: &str, copy: &str) {
        let (from, to) = (self.profile(who), self.profile(copy));
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn names(all: &[&str]) -> Vec<Name> {
    all.iter().map(|text| name(text)).collect()
}

/// What somebody has read, as `sender: text`.
pub fn read(client: &mut Client, group: &str) -> Vec<String> {
    client.history(group).unwrap().iter().map(line).collect()
}

pub fn line(message: &StoredMessage) -> String {
    format!("{}: {}", message.sender_name.as_ref().map_or("?", Name::as_str), message.text)
}

/// A notice in a word or two.
pub fn brief(notice: &Notice) -> String {
    let people = |who: &[conclave_client::Person]| {
        let mut who: Vec<_> = who.iter().map(ToString::to_string).collect();
        who.sort();
        who.join(" ")
    };
    match &notice.kind {
        NoticeKind::Message(message) => line(message),
        NoticeKind::Sent(message) => format!("sent {}", message.text),
        NoticeKind::Joined { by } => format!("joined by {by}"),
        NoticeKind::Added { by, who } => format!("{by} added {}", people(who)),
        NoticeKind::RemovedMember { by, who } => format!("{by} removed {}", people(who)),
        NoticeKind::RoleChanged { by, who, role } => format!("{by} made {who} {role}"),
        NoticeKind::RemovedMe { by } => format!("removed by {by}"),
        NoticeKind::Repaired { who } => {
            format!("repaired {}", who.as_ref().map_or("all".to_owned(), ToString::to_string))
        }
        NoticeKind::Trimmed { entries } => format!("trimmed {entries}"),
        NoticeKind::Alarm { what, .. } => format!("ALARM {what}"),
        other => format!("{other:?}"),
    }
}

pub async fn sync(client: &mut Client) -> Vec<String> {
    client.sync().await.unwrap().iter().map(brief).collect()
}

/// The next notice, or a failed test after a while.
pub async fn next(client: &mut Client) -> String {
    brief(&tokio::time::timeout(Duration::from_secs(20), client.next()).await.expect("a notice").unwrap())
}
