//! A run as this driver knows it: what happened to it so far, and what is told to its task.

use super::guard::Guard;
use super::records::{Ending, Started};
pub(super) use crate::progress::Phase;
use crate::progress::{self, Progress};
use muster_spec::{EngineHealth, RunId, SecretText};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use tokio::sync::{Semaphore, watch};

/// A run that this driver follows, or followed.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) folder: PathBuf,
    pub(super) progress: watch::Sender<Progress>,
    /// Set once, by whoever learns of the end first.
    pub(super) ending: watch::Sender<Option<Ending>>,
    /// What must not stand in its log; nothing until it is known.
    pub(super) secrets: watch::Sender<Option<Vec<Vec<u8>>>>,
    /// Who writes to its terminal.
    pub(super) writer: Arc<Semaphore>,
    pub(super) started: OnceLock<Started>,
    /// The engine's own supervisor of it was killed: whatever else is told of its end.
    pub(super) supervisor_killed: AtomicBool,
    /// Who supervises it, where that can be seen.
    pub(super) guard: OnceLock<Arc<Guard>>,
}

impl Run {
    pub(super) fn new(id: RunId, folder: PathBuf) -> Self {
        Self {
            id,
            folder,
            progress: watch::Sender::new(Progress::new(Phase::Starting)),
            ending: watch::Sender::new(None),
            secrets: watch::Sender::new(None),
            writer: Arc::new(Semaphore::new(1)),
            started: OnceLock::new(),
            supervisor_killed: AtomicBool::new(false),
            guard: OnceLock::new(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.progress.borrow().phase.clone()
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.progress.send_modify(|progress| progress.phase = phase);
    }

    /// Waits until the start has an outcome.
    pub(super) async fn settled(&self) -> Phase {
        progress::settled(&self.progress).await
    }

    /// The container's whole id, once it is known.
    pub(super) fn container(&self) -> Option<String> {
        self.started.get().and_then(|started| super::records::id(&started.handle))
    }

    /// It ended. Who comes second knows nothing better.
    pub(super) fn end(&self, ending: Ending) {
        self.ending.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(ending);
            }
            first
        });
    }

    pub(super) fn set_secrets(&self, secrets: &[SecretText]) {
        let bytes = secrets.iter().map(|secret| secret.expose().as_bytes().to_vec()).collect();
        self.secrets.send_replace(Some(bytes));
    }

    /// The engine cannot be seen, or can be again.
    pub(super) fn set_lost(&self, lost: Option<&str>) {
        self.progress.send_if_modified(|progress| {
            let changed = progress.lost.as_deref() != lost;
            if changed {
                progress.lost = lost.map(str::to_owned);
            }
            changed
        });
    }

    pub(super) fn set_health(&self, health: EngineHealth) {
        self.progress.send_if_modified(|progress| {
            let changed = progress.health != Some(health);
            progress.health = Some(health);
            changed
        });
    }
}
