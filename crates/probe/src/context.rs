//! What only the caller knows about a run.

use crate::LogWatch;
use crate::inside::Inside;
use crate::listens::{HeldThere, Known, There};
use muster_spec::EngineHealth;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One per run; a cheap handle that may be used by several attempts at once.
#[derive(Clone, Default)]
pub struct ProbeContext {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    pids: Mutex<Vec<u32>>,
    log: Mutex<Option<LogWatch>>,
    notify: Mutex<NotifyState>,
    known: Mutex<Known>,
    engine: Mutex<Option<EngineHealth>>,
    inside: Mutex<Option<Inside>>,
    there: Mutex<Option<There>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NotifyState {
    pub(crate) ready: bool,
    /// How often it has to say `WATCHDOG=1`, and when it said so last.
    pub(crate) watchdog: Option<(Duration, Instant)>,
}

impl std::fmt::Debug for ProbeContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProbeContext").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProbeContext {
    /// Of a run that nothing is known of yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The roots of the instance's process tree (its main process or its supervisor); descendants are found.
    pub fn set_pids(&self, pids: Vec<u32>) {
        *lock(&self.inner.pids) = pids;
    }

    /// Where the run's output is read.
    pub fn set_log(&self, log: LogWatch) {
        *lock(&self.inner.log) = Some(log);
    }

    /// The service said `READY=1` (sd_notify(3)).
    pub fn notified_ready(&self) {
        lock(&self.inner.notify).ready = true;
    }

    /// The service said `WATCHDOG=1` at `now` and promises to say so again within `every`.
    pub fn notified_watchdog(&self, every: Duration, now: Instant) {
        lock(&self.inner.notify).watchdog = Some((every, now));
    }

    /// What the container's engine says of its health.
    pub fn engine_says(&self, health: EngineHealth) {
        *lock(&self.inner.engine) = Some(health);
    }

    /// The run is no process of this machine: its commands are run in this way.
    pub fn set_inside(&self, inside: Inside) {
        *lock(&self.inner.inside) = Some(inside);
    }

    pub(crate) fn inside(&self) -> Option<Inside> {
        lock(&self.inner.inside).clone()
    }

    /// The run's ports are those of another machine, by this name, which is asked in this way.
    pub fn set_there(&self, host: &str, held: HeldThere) {
        *lock(&self.inner.there) = Some(There { host: host.to_owned(), held });
    }

    pub(crate) fn there(&self) -> Option<There> {
        lock(&self.inner.there).clone()
    }

    /// What the container's engine said last of its health.
    #[must_use]
    pub fn engine(&self) -> Option<EngineHealth> {
        *lock(&self.inner.engine)
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        lock(&self.inner.pids).clone()
    }

    pub(crate) fn notify(&self) -> NotifyState {
        *lock(&self.inner.notify)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Option<LogWatch>> {
        lock(&self.inner.log)
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.inner.known)
    }
}
