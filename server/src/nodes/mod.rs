//! Several servers on one database: what one stores, the others push.
//!
//! ```text
//!     node A   log writer --- commit ---> database              any node serves any client
//!                         \-- notify --> database --> listener of node B --> hubs of node B
//! ```
//!
//! The database decides what is in a log; nodes tell each other only where to look. What is told late, twice or not at all
//! costs time and nothing else: a subscription that finds a gap reads the log.

mod announcement;
mod announcer;
mod listener;
#[cfg(test)]
mod tests;

pub(crate) use announcement::{Announcement, NewEntries};
pub(crate) use announcer::Announcer;

use crate::fanout::Hubs;
use crate::store::StoreError;
use crate::store::postgres::{Line, Postgres};
use announcement::NodeId;
use rand::Rng;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What this node knows and the others do not.
struct Shared {
    node: NodeId,
    store: Arc<Postgres>,
    hubs: Arc<Hubs>,
}

impl Shared {
    /// Begins to listen on a connection of its own.
    async fn listen(&self) -> Result<Line, StoreError> {
        let line = self.store.line().await?;
        line.listen().await?;
        Ok(line)
    }
}

/// This node's part in it. Ends when it is dropped.
pub(crate) struct Node {
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Joins the other nodes; when this returns, everything that they tell is heard. Blocks.
pub(crate) fn join(store: &Arc<Postgres>, hubs: Arc<Hubs>) -> Result<(Node, Announcer), StoreError> {
    let node = NodeId(rand::rng().next_u64());
    let shared = Arc::new(Shared { node, store: store.clone(), hubs });
    let runtime = store.runtime();
    let line = runtime.block_on(shared.listen())?;
    let (announcer, announcing) = Announcer::start(node, store.clone());
    let tasks = vec![runtime.spawn(listener::run(shared, line)), runtime.spawn(announcing)];
    Ok((Node { tasks }, announcer))
}
