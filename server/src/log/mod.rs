//! Into the log: one queue, one writer thread, one sync for everything that waited.

mod acknowledgements;
mod queue;
mod reply;
pub(crate) mod writer;

pub(crate) use acknowledgements::Acknowledgements;
pub(crate) use queue::{Answer, LogQueue, Room};

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the server can store anything.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// For good: after a failed sync nobody knows what is on the disk, and only opening the store again finds out.
    failed: AtomicBool,
    /// At present: the database is not there, and is tried again.
    troubled: AtomicBool,
}

impl Health {
    /// Whether requests are served.
    pub(crate) fn is_ready(&self) -> bool {
        !self.has_failed() && !self.is_troubled()
    }

    /// Whether nothing is to be written any more.
    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether writing did not work the last time that it was tried.
    fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Acquire)
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Returns whether that is new.
    fn set_troubled(&self, troubled: bool) -> bool {
        self.troubled.swap(troubled, Ordering::AcqRel) != troubled
    }
}
