//! The demonstration: a server, five people, and what holds between them; every value counted, none assumed.

mod cast;
mod hex;
mod newcomer;
mod opening;
mod page;
mod removal;
mod search;
mod stored;
mod summary;
mod talk;

use crate::failure::Failure;
use crate::interrupt::interrupted;
use crate::output::Output;
use cast::{Cast, Ledger};
use conclave_client::{ClientError, Name};
use conclave_server::{Config, Server, StartError};
use page::Page;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use summary::Counts;
use thiserror::Error;

/// The group of the story.
const GROUP: &str = "harbour";

/// Why the demonstration could not go on.
#[derive(Debug, Error)]
pub(crate) enum DemoError {
    /// The server did not start.
    #[error(transparent)]
    Server(#[from] StartError),
    /// A step of the story failed that had to work.
    #[error("{who} could not {what}: {source}")]
    Step { who: Name, what: &'static str, source: Box<ClientError> },
    /// The scratch directory.
    #[error("the scratch directory cannot be used: {0}; make room, or set TMPDIR to a directory with room")]
    Scratch(#[from] std::io::Error),
    /// Ctrl-C.
    #[error("the demonstration was interrupted; run it again")]
    Interrupted,
    /// The story itself is wrong.
    #[error("the story has a flaw: {0}; please report it")]
    Story(&'static str),
}

/// What the sections share.
struct Story<'a> {
    page: Page<'a>,
    cast: Cast,
    /// What was said, as its sender gave it to the client.
    ledger: Ledger,
    counts: Counts,
    /// Where the server keeps everything.
    server_dir: PathBuf,
    /// A copy of the server's files from before anybody was registered.
    empty_dir: PathBuf,
    /// Where the people keep everything.
    people_dir: PathBuf,
}

/// Runs it from beginning to end, and leaves nothing behind, interrupted or not.
pub(crate) async fn run(json: bool, output: &mut Output) -> Result<(), Failure> {
    let scratch = tempfile::Builder::new().prefix("conclave-demo-").tempdir().map_err(DemoError::Scratch)?;
    tokio::select! {
        told = tell(scratch.path(), json, output) => told,
        () = interrupted() => Err(DemoError::Interrupted.into()),
    }
}

async fn tell(scratch: &Path, json: bool, output: &mut Output) -> Result<(), Failure> {
    let server_dir = scratch.join("server");
    let people_dir = scratch.join("people");
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::start(Config::new(server_dir.as_path(), listen)).await.map_err(DemoError::Server)?;

    let empty_dir = scratch.join("server-when-empty");
    cast::copy_dir(&server_dir, &empty_dir).map_err(DemoError::Scratch)?;

    let mut page = Page::new(output, json);
    page.title("Conclave, shown on this machine")?;
    let cast = opening::run(&mut page, &server, &people_dir).await?;
    let (ledger, counts) = (Ledger::default(), Counts::default());
    let mut story = Story { page, cast, ledger, counts, server_dir, empty_dir, people_dir };
    talk::create(&mut story).await?;
    talk::both_ways(&mut story).await?;
    talk::offline(&mut story).await?;
    removal::run(&mut story).await?;
    newcomer::run(&mut story).await?;
    let sealed = stored::fetch(&mut story).await?;
    story.counts.count_reading(&mut story.cast, &story.ledger)?;
    story.cast.everybody_leaves().await;
    server.shutdown().await;
    stored::side_by_side(&mut story, &sealed)?;
    stored::search(&mut story, &sealed)?;

    let Story { mut page, counts, ledger, .. } = story;
    let holds = summary::show(&mut page, &counts, &ledger)?;
    if json {
        page.object(&summary::object(&page, &counts, &ledger))?;
    }
    if holds { Ok(()) } else { Err(Failure::PropertyBroken) }
}
