//! When a probe is asked: quickly until it first passes, then at its own pace.

use muster_spec::ProbeSpec;
use std::time::Duration;

/// The first wait between two attempts; each is a thirty-second longer, so that readiness is seen within 3 % of the
/// time that it took.
const QUICKEST: Duration = Duration::from_millis(1);
/// Where growing ends: what is slow to start is not asked more often than this.
const SLOWEST: Duration = Duration::from_millis(250);

/// The schedule of one probe of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    quick: Duration,
    passed: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { quick: QUICKEST, passed: false }
    }
}

impl Schedule {
    /// A schedule from the spawn on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long after the spawn the first attempt is made.
    #[must_use]
    pub fn first(spec: &ProbeSpec) -> Duration {
        spec.delay.get()
    }

    /// How long after this answer the next attempt is made: 1 ms growing to 250 ms until the first pass (never slower than
    /// `every`), afterwards `every`.
    pub fn next(&mut self, spec: &ProbeSpec, passed: bool) -> Duration {
        self.passed |= passed;
        let every = spec.every.get().max(QUICKEST);
        if self.passed {
            return every;
        }
        let wait = self.quick.min(every);
        self.quick = (self.quick + self.quick / 32).min(SLOWEST);
        wait
    }
}
