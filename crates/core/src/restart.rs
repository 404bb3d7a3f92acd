//! When something that ended is started again, and when that is given up.

use crate::{Context, Time};
use muster_spec::{Backoff, RestartPolicy};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Without a window, a run that lasted this long counts as stable.
const STABLE: Duration = Duration::from_secs(60);

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is started again at this time.
    At(Time),
    /// It is not started again.
    GiveUp(Reason),
}

/// Why it is not started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Too many restarts in the window: the circuit is open.
    Window,
    /// All restarts of this generation are used up.
    Count,
}

/// What was restarted in one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Restarts in this generation.
    count: u32,
    /// Restarts since it last ran stable.
    streak: u32,
    /// When the last ones were decided, as far as the window reaches.
    recent: VecDeque<Time>,
}

impl Restarts {
    /// Restarts made in this generation.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// A run ended after so long: one that was stable makes the next failure the first again.
    pub fn ran(&mut self, policy: &RestartPolicy, lasted: Duration) {
        let stable = policy.limit.as_ref().map_or(STABLE, |window| window.per.get());
        if lasted >= stable {
            self.streak = 0;
        }
    }

    /// Records an end after which the policy restarts, and decides.
    ///
    /// Exponential: the first failure in a window restarts at once, then the wait is drawn from `min*2^(k-1) ..= min*2^k`,
    /// never above `max`. Constant: the same wait before every restart.
    pub fn failed(&mut self, policy: &RestartPolicy, context: Context) -> Next {
        if policy.max.is_some_and(|max| self.count >= max) {
            return Next::GiveUp(Reason::Count);
        }
        if let Some(window) = &policy.limit {
            while self.recent.front().is_some_and(|first| context.now.since(*first) >= window.per.get()) {
                self.recent.pop_front();
            }
            if self.recent.len() >= window.count as usize {
                return Next::GiveUp(Reason::Window);
            }
            self.recent.push_back(context.now);
        }
        let wait = wait(&policy.backoff, self.streak, context.random);
        self.count = self.count.saturating_add(1);
        self.streak = self.streak.saturating_add(1);
        Next::At(context.now.after(wait))
    }

    /// Times of another boot mean nothing in this one.
    pub(crate) fn forget_times(&mut self) {
        self.recent.clear();
    }
}

/// The wait before the restart that follows `earlier` others.
fn wait(backoff: &Backoff, earlier: u32, random: u64) -> Duration {
    match backoff {
        Backoff::Constant(wait) => wait.get(),
        Backoff::Exponential { .. } if earlier == 0 => Duration::ZERO,
        Backoff::Exponential { min, max } => {
            let (min, max) = (min.get().min(max.get()), max.get());
            let longest = min.saturating_mul(1_u32.checked_shl(earlier).unwrap_or(u32::MAX)).min(max);
            let shortest = (longest / 2).max(min);
            let span = u64::try_from((longest - shortest).as_nanos()).unwrap_or(u64::MAX);
            shortest + Duration::from_nanos(if span == 0 { 0 } else { random % span.saturating_add(1) })
        }
    }
}
