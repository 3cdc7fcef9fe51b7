//! Into the log: one queue, one writer thread, one sync for everything that waited.

mod acknowledgements;
pub(crate) mod writer;

pub(crate) use acknowledgements::Acknowledgements;
pub(crate) use writer::{Answer, LogQueue};

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the server can store anything. Once it could not, it no longer tries: after a failed sync nobody knows what
/// is on the disk, and only opening the store again finds out.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: AtomicBool,
}

impl Health {
    /// Whether requests are served.
    pub(crate) fn is_ready(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }
}
