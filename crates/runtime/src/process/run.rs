//! A run as the driver knows it: its place, the way to its link, and what happened to it so far.

use crate::contract::{RuntimeError, RuntimeEvent};
pub(super) use crate::progress::Phase;
use crate::progress::{self, Progress};
use futures::stream::BoxStream;
use muster_shim::Request;
use muster_spec::RunId;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait for one shim: people and the engine together ask for less.
pub(super) const ASKS: usize = 16;

/// What is asked of a shim, and where its answer goes.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) what: What,
    pub(super) reply: oneshot::Sender<Result<(), RuntimeError>>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Kill,
    Signal { signal: i32, to: muster_shim::Target },
}

impl What {
    pub(super) fn request(self, seq: u32) -> Request {
        match self {
            Self::Kill => Request::Kill { seq },
            Self::Signal { signal, to } => Request::Signal { seq, signal, to },
        }
    }
}

/// A run that this driver holds a link to, or held.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) folder: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) progress: watch::Sender<Progress>,
    secrets: Mutex<Vec<Vec<u8>>>,
}

impl Run {
    pub(super) fn new(id: RunId, folder: PathBuf, socket: PathBuf, phase: Phase) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, inbox) = mpsc::channel(ASKS);
        let progress = watch::Sender::new(Progress::new(phase));
        (Self { id, folder, socket, asks, progress, secrets: Mutex::default() }, inbox)
    }

    pub(super) fn set_secrets(&self, secrets: Vec<Vec<u8>>) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
    }

    pub(super) fn secrets(&self) -> Vec<Vec<u8>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn phase(&self) -> Phase {
        self.progress.borrow().phase.clone()
    }

    /// Waits until the start has an outcome.
    pub(super) async fn settled(&self) -> Phase {
        progress::settled(&self.progress).await
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.progress.send_modify(|progress| progress.phase = phase);
    }

    /// What happens from now on.
    pub(super) fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        progress::events(&self.progress)
    }
}
