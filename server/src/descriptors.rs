//! Open files: how many of those that the system allows go to connections, and how many stay for everything else.
//!
//! A connection is an open file, and so is each of the store's. Whoever opens connections until none is left would have the
//! store fail at its next write, and all clients with it.

use crate::limits::{MAX_CONNECTIONS_PER_WORKER, RESERVED_FILES};

/// A share of a limit on open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    limit: usize,
    reserved: usize,
}

impl Descriptors {
    /// What this process may open now.
    pub(crate) fn of_this_process() -> Self {
        use rustix::process::{Resource, getrlimit};
        Self::of(
            getrlimit(Resource::Nofile)
                .current
                .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        )
    }

    /// Half of a small limit is kept back.
    fn of(limit: usize) -> Self {
        Self { limit, reserved: RESERVED_FILES.min(limit / 2) }
    }

    /// Connections that each of so many workers may have; beyond it they wait to be accepted.
    pub(crate) fn connections_per_worker(self, workers: usize) -> usize {
        let of_all = self.limit.saturating_sub(self.reserved);
        of_all.div_ceil(workers.max(1)).clamp(1, MAX_CONNECTIONS_PER_WORKER)
    }

    /// Files that the embedded store may keep open to read from: what is left for journals, compaction, the database's
    /// connections and the operator's is as much again.
    pub(crate) fn of_store(self) -> usize {
        /// The engine takes no fewer.
        const FEWEST: usize = 10;
        (self.reserved / 2).max(FEWEST)
    }
}

/// How many files a process must be allowed to open before its server takes so many connections at once.
pub fn files_for_connections(connections: usize) -> u64 {
    let reserved = connections.min(RESERVED_FILES);
    u64::try_from(connections.saturating_add(reserved)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_its_share_first() {
        let share = |limit, workers| {
            let descriptors = Descriptors::of(limit);
            (descriptors.connections_per_worker(workers), descriptors.of_store())
        };
        assert_eq!(share(160, 1), (80, 40));
        assert_eq!(share(1024, 2), (256, 256));
        assert_eq!(share(20_000, 2), (9_000, RESERVED_FILES / 2));
        assert_eq!(share(1 << 20, 2), (MAX_CONNECTIONS_PER_WORKER, RESERVED_FILES / 2));
        assert_eq!(share(usize::MAX, 2), (MAX_CONNECTIONS_PER_WORKER, RESERVED_FILES / 2));
        assert_eq!(share(0, 0), (1, 10));
        for limit in [100, 1024, 4096, 20_000, 65_536] {
            for workers in [1, 2, 3, 64] {
                let (connections, of_store) = share(limit, workers);
                let needed = usize::try_from(files_for_connections(connections * workers)).unwrap();
                assert!(Descriptors::of(needed).connections_per_worker(workers) >= connections);
                assert!(connections * workers + of_store < limit.max(workers + 11), "{limit} {workers}");
            }
        }
    }
}
