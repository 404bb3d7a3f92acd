//! Two clocks: monotonic for deadlines, wall for people.

use muster_core::Time;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// `CLOCK_MONOTONIC` through tokio's clock, so that paused time in tests is the core's time, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    instant: Instant,
    time: Time,
}

impl Clock {
    /// A clock that agrees with the machine's from now on.
    pub(crate) fn new() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let since_boot = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
        Self { instant: Instant::now(), time: Time::default().after(since_boot) }
    }

    /// Now, for the core.
    pub(crate) fn now(&self) -> Time {
        self.time.after(self.instant.elapsed())
    }

    /// A point of the core's time for tokio.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.instant + time.since(self.time)
    }
}

/// The wall clock, in nanoseconds since 1970.
pub(crate) fn wall_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// A wall time as RFC 3339 with milliseconds, in UTC.
pub(crate) fn rfc3339(ns: u64) -> String {
    let nanos = i128::from(ns);
    jiff::Timestamp::from_nanosecond(nanos).map_or_else(|_| String::new(), |t| format!("{t:.3}"))
}
