//! What the actor holds of a run besides the core's state: its handle, and the tasks that watch it.

use muster_probe::ProbeContext;
use muster_runtime::{Handle, Runtime};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A run, as long as it is the current one of its instance.
pub(crate) struct Live {
    /// Which start.
    pub(crate) number: u64,
    /// Where it is, once it was spawned.
    pub(crate) handle: Option<Arc<Handle>>,
    /// What an earlier daemon knew of it.
    pub(crate) known: Option<Arc<Handle>>,
    /// Who runs it.
    pub(crate) runtime: Option<Arc<dyn Runtime>>,
    /// Wall time of its spawn, in nanoseconds.
    pub(crate) started_at_ns: Option<u64>,
    /// Ends every task of the run: launch, watch, probes.
    pub(crate) cancel: CancellationToken,
    /// Ends the probes that are asked now.
    pub(crate) probing: CancellationToken,
    /// What its probes know of it: process ids, log, notifications.
    pub(crate) probe: ProbeContext,
    /// Something happened that a probe may answer differently to.
    pub(crate) wake: Arc<Notify>,
    /// It is to stop although it was not spawned yet: KILL rather than the stop signal.
    pub(crate) stop_early: Option<bool>,
}

impl Live {
    /// A run that is to be.
    pub(crate) fn new(number: u64) -> Self {
        let cancel = CancellationToken::new();
        Self {
            number,
            handle: None,
            known: None,
            runtime: None,
            started_at_ns: None,
            probing: cancel.child_token(),
            cancel,
            probe: ProbeContext::new(),
            wake: Arc::default(),
            stop_early: None,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
