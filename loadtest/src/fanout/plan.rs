//! The settings, resolved: who is in which group, and how each sender sends.

use super::source::Sources;
use super::target::Target;
use crate::args::FanoutArgs;
use crate::failure::Failure;
use conclave_server::MAX_CONNECTIONS_PER_WORKER;
use conclave_server::StoreLocation;
use serde::Serialize;
use std::time::Duration;

/// What will be done.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) groups: usize,
    pub(super) members: usize,
    pub(super) connections: usize,
    pub(super) sources: Sources,
    pub(super) senders: usize,
    pub(super) size: usize,
    pub(super) arrivals: Arrivals,
    pub(super) depth: Depth,
    pub(super) duration: Duration,
    pub(super) warm_up: Duration,
    pub(super) max_messages: u64,
    pub(super) seed: u64,
    /// `None` starts a server.
    pub(super) target: Option<Target>,
    pub(super) pin: bool,
    pub(super) workers: Option<usize>,
    pub(super) store: Option<StoreLocation>,
    /// Servers to start.
    pub(super) nodes: usize,
}

/// When a sender sends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Arrivals {
    /// As soon as fewer than this many are on their way.
    Window(usize),
    /// This many a second, whatever becomes of them.
    Rate(f64),
}

/// What receivers do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Depth {
    /// Open it and compare it with what was sent.
    Encrypted,
    /// Look at its position and who sent it.
    Sealed,
}

/// Fastest rate of one sender that the pacing can keep.
const MAX_RATE: f64 = 100_000.0;

impl Plan {
    /// Checks what was asked for.
    pub(super) fn of(args: &FanoutArgs) -> Result<Self, Failure> {
        let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (groups, members, senders) = (wide(args.groups), wide(args.members), wide(args.senders));
        let seats = groups.saturating_mul(members);
        let connections = args.connections.map_or(seats, wide);
        let refuse = |why: String| Err(Failure::Settings(why));
        if connections > seats {
            return refuse(format!("--connections {connections} is more than groups × members, {seats}"));
        }
        if connections < members {
            return refuse(format!(
                "a group of {members} needs as many devices; raise --connections or lower --members"
            ));
        }
        if senders > members {
            return refuse(format!("--senders {senders} is more than --members {members}"));
        }
        if args.nodes > 1 && !matches!(args.store, Some(StoreLocation::Postgres(_))) {
            return refuse(format!("{} servers need one database; add --store postgres://…", args.nodes));
        }
        let arrivals = match args.rate {
            None => Arrivals::Window(wide(args.window)),
            Some(rate) if rate > 0.0 && rate <= MAX_RATE => Arrivals::Rate(rate),
            Some(_) => return refuse(format!("--rate must be above 0 and at most {MAX_RATE}")),
        };
        let target =
            args.server.as_deref().map(|url| Target::parse(url, args.i_own_this_server)).transpose()?;
        let sources = Sources::of(args.source_addresses, connections, target.as_ref())?;
        let workers = args.workers.or(args.pin.then_some(1));
        if target.is_none() {
            check_workers(workers, connections)?;
        }
        Ok(Self {
            groups,
            members,
            connections,
            sources,
            senders,
            size: wide(args.size),
            arrivals,
            depth: if args.sealed { Depth::Sealed } else { Depth::Encrypted },
            duration: args.duration,
            warm_up: args.warm_up,
            max_messages: args.max_messages,
            seed: args.seed,
            target,
            pin: args.pin,
            workers,
            store: args.store.clone(),
            nodes: usize::from(args.nodes),
        })
    }

    /// Which devices are in a group; the first founds it, and the first ones send.
    pub(super) fn members_of(&self, group: usize) -> Vec<usize> {
        (0..self.members).map(|place| self.member_of(group, place)).collect()
    }

    /// The device at a place in a group.
    pub(super) fn member_of(&self, group: usize, place: usize) -> usize {
        (group * self.members + place) % self.connections
    }

    /// Which server a device connects to.
    pub(super) fn node_of(&self, device: usize) -> usize {
        device % self.nodes
    }

    /// Whether a member is a whole engine, or only counts.
    pub(super) fn opens(&self, member: usize) -> bool {
        self.depth == Depth::Encrypted || member < self.senders
    }
}

/// A worker that is full lets others wait, and a run would with them.
pub(super) fn check_workers(workers: Option<usize>, connections: usize) -> Result<(), Failure> {
    let workers = workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let needed = connections.div_ceil(MAX_CONNECTIONS_PER_WORKER);
    if needed <= workers {
        return Ok(());
    }
    Err(Failure::Settings(format!(
        "a server of {workers} worker(s) accepts {MAX_CONNECTIONS_PER_WORKER} connections in each, and {connections} are too many; add \
         --workers {needed}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn plan(arguments: &str) -> Result<Plan, Failure> {
        let words = ["conclave-loadtest", "fanout"].into_iter().chain(arguments.split_whitespace());
        let Command::Fanout(args) = Args::try_parse_from(words).unwrap().command else { unreachable!() };
        Plan::of(&args)
    }

    #[test]
    fn every_group_has_its_members_once() {
        let plan = plan("--groups 6 --members 4 --connections 7").unwrap();
        for group in 0..6 {
            let mut members = plan.members_of(group);
            members.sort_unstable();
            members.dedup();
            assert_eq!(members.len(), 4);
            assert!(members.iter().all(|member| *member < 7));
        }
    }

    #[test]
    fn refusals() {
        for bad in [
            "--groups 1 --members 3 --connections 4",
            "--groups 9 --members 4 --connections 3",
            "--members 3 --senders 4",
            "--rate 0",
            "--groups 1000 --members 1000",
            "--groups 1 --members 30000 --workers 2",
            "--groups 1 --members 30000 --workers 1 --source-addresses 2",
            "--server ftp://127.0.0.1:1",
            "--nodes 2",
            "--nodes 2 --store fjall:data",
        ] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }
}
