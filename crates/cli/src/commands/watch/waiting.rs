//! What could not be brought yet: nothing that changed is lost because a link was.
//!
//! ```text
//!  act fails ──keep──► waiting ──┬── the rule's next change takes it along
//!                                └── every RETRY, where what is in the way passes by itself
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Between two attempts while nothing changes: about as often as a lost link is tried.
const RETRY: Duration = Duration::from_secs(2);

/// What is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It may be gone at any time, as a lost link.
    Passing,
    /// Somebody has to do something: a disk is full.
    Lasting,
}

/// Paths that wait, by the number of their rule.
#[derive(Debug)]
pub(super) struct Waiting {
    paths: BTreeMap<usize, (Obstacle, BTreeSet<PathBuf>)>,
    next: Instant,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { paths: BTreeMap::new(), next: Instant::now() }
    }
}

impl Waiting {
    /// These wait from now on.
    pub(super) fn keep(&mut self, rule: usize, obstacle: Obstacle, paths: BTreeSet<PathBuf>) {
        self.next = Instant::now() + RETRY;
        let (why, kept) = self.paths.entry(rule).or_insert((obstacle, BTreeSet::new()));
        *why = obstacle;
        kept.extend(paths);
    }

    /// Whether something of a rule waits for what passes by itself.
    pub(super) fn passes(&self, rule: usize) -> bool {
        self.paths.get(&rule).is_some_and(|(obstacle, _)| *obstacle == Obstacle::Passing)
    }

    /// What changed of a rule together with what waits of it: that stays until it is [done](Self::done).
    pub(super) fn with(&self, rule: usize, mut changed: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        changed.extend(self.paths.get(&rule).into_iter().flat_map(|(_, kept)| kept.iter().cloned()));
        changed
    }

    /// Nothing of a rule waits any more.
    pub(super) fn done(&mut self, rule: usize) {
        self.paths.remove(&rule);
    }

    /// The rules that are to be tried again, when their time has come; never while none waits for it. Can be cancelled.
    pub(super) async fn due(&self) -> BTreeMap<usize, BTreeSet<PathBuf>> {
        let due: BTreeMap<_, _> =
            self.paths.keys().filter(|rule| self.passes(**rule)).map(|rule| (*rule, BTreeSet::new())).collect();
        match due.is_empty() {
            true => std::future::pending().await,
            false => sleep_until(self.next).await,
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_taken_along_until_it_is_done() {
        let mut waiting = Waiting::default();
        let begun = Instant::now();
        waiting.keep(0, Obstacle::Passing, paths(&["a"]));
        waiting.keep(1, Obstacle::Lasting, paths(&["b"]));
        // what does not pass is not tried by itself
        assert_eq!(waiting.due().await, BTreeMap::from([(0, BTreeSet::new())]));
        assert_eq!(begun.elapsed(), RETRY);
        assert_eq!(waiting.with(1, paths(&["c"])), paths(&["b", "c"]));
        waiting.keep(0, Obstacle::Passing, paths(&["d"]));
        assert_eq!(waiting.with(0, BTreeSet::new()), paths(&["a", "d"]));
        waiting.done(0);
        assert_eq!(waiting.with(0, BTreeSet::new()), BTreeSet::new());
        assert!(tokio::time::timeout(RETRY * 1000, waiting.due()).await.is_err());
        assert!(!waiting.passes(0) && !waiting.passes(1));
    }
}
