//! How long something takes: the time that a processor spends on this thread.
//!
//! The clock on the wall counts what other programs do as well; on a machine that others use that is most of it. Nothing
//! that is measured here waits for anything. Reading this clock asks the system, which takes a fraction of a microsecond
//! and is inside what is measured.

use std::time::Duration;

/// Runs while this thread does.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Duration);

impl Stopwatch {
    /// Starts.
    pub fn start() -> Self {
        Self(now())
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        now().saturating_sub(self.0)
    }
}

#[cfg(unix)]
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Only the clock on the wall.
#[cfg(not(unix))]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::thread::sleep;

    #[test]
    fn counts_work_and_not_waiting() {
        let watch = Stopwatch::start();
        sleep(Duration::from_millis(50));
        let waited = watch.elapsed();
        let mut sum = 0_u64;
        while watch.elapsed() < waited + Duration::from_millis(5) {
            sum = black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
        assert!(!cfg!(unix) || waited < Duration::from_millis(50), "{waited:?}");
    }
}
