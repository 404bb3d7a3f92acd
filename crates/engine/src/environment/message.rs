//! What the actor is told, and the handle by which it is told.

use super::build::Job;
use super::prober::Examined;
use crate::documents::{AcceptedDocument, ErrorDocument, PlanDocument, UpRequest};
use crate::errors;
use crate::snapshot::Snapshot;
use muster_core::{Command, Event, Machine};
use muster_runtime::{ExitRecord, Found};
use muster_spec::{EnvironmentId, InstanceId, ResolvedCommand, RunId, Signal};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Messages that may wait for an actor: a thousand runs that report at once must not block their tasks for long.
pub(crate) const MAILBOX: usize = 4096;

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, ErrorDocument>>;

/// What an actor is told.
pub(crate) enum Message {
    /// `up`
    Up(Box<UpRequest>, Answer<AcceptedDocument>),
    /// `plan`
    Plan(Box<UpRequest>, Answer<PlanDocument>),
    /// A command on what is there.
    Command(Command, Answer<AcceptedDocument>),
    /// A signal for what runs.
    Signal(BTreeSet<InstanceId>, Signal, Answer<AcceptedDocument>),
    /// What is to be built for the services of a stack.
    Build(Box<UpRequest>, Answer<Vec<Job>>),
    /// The next start of these takes an image that was built as it is.
    AsBuilt(BTreeSet<InstanceId>),
    /// A fact for the core.
    Event(Event),
    /// A run was spawned.
    Spawned(InstanceId, u64, Box<muster_runtime::Handle>),
    /// A run ended.
    Ended(InstanceId, u64, ExitRecord),
    /// What was left of a run is removed.
    Destroyed,
    /// What the environment had only while it ran is gone.
    Left,
    /// What became of a run.
    Found(InstanceId, u64, Box<Found>),
    /// A run's spec, for a reader.
    Context(RunId, Answer<ResolvedCommand>),
    /// What can be asked of these now.
    Examine(Vec<InstanceId>, Answer<Vec<Examined>>),
    /// The core's state, for `why`.
    Machine(Answer<Box<Machine>>),
    /// Ends the actor; what runs stays.
    Close(oneshot::Sender<()>),
}

impl Message {
    /// Whether it must see what an earlier daemon's runs have become.
    pub(super) fn waits_for_adoption(&self) -> bool {
        match self {
            Self::Up(..)
            | Self::Plan(..)
            | Self::Command(..)
            | Self::Signal(..)
            | Self::Build(..)
            | Self::Examine(..)
            | Self::Machine(_) => true,
            Self::Event(_)
            | Self::Spawned(..)
            | Self::Ended(..)
            | Self::Destroyed
            | Self::Left
            | Self::Found(..)
            | Self::Context(..)
            | Self::AsBuilt(_)
            | Self::Close(_) => false,
        }
    }
}

/// How long a reader waits for the first look at an earlier daemon's runs.
const ADOPTION: Duration = Duration::from_secs(5);

/// A cheap handle to an environment's actor.
#[derive(Clone)]
pub(crate) struct Handle {
    /// Which environment.
    pub(crate) id: EnvironmentId,
    /// Where messages go.
    pub(crate) mailbox: mpsc::Sender<Message>,
    /// What readers see.
    pub(crate) snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Changes when any log grew.
    pub(crate) logs: watch::Receiver<()>,
}

impl Handle {
    /// What is known now.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// What is known, once an earlier daemon's runs were looked at; after 5 s what was known then.
    pub(crate) async fn verified(&self) -> Arc<Snapshot> {
        let mut snapshot = self.snapshot.clone();
        // An error means that it takes longer, or that the actor is gone: what there is is told.
        let _ = tokio::time::timeout(ADOPTION, snapshot.wait_for(|now| now.unverified == 0)).await;
        self.now()
    }

    /// The core's state.
    ///
    /// # Errors
    /// The actor is gone.
    pub(crate) async fn machine(&self) -> Result<Box<Machine>, ErrorDocument> {
        self.ask(Message::Machine).await
    }

    /// Sends a question and waits for its answer.
    ///
    /// # Errors
    /// The actor's own, or that it is gone.
    pub(crate) async fn ask<T>(&self, question: impl FnOnce(Answer<T>) -> Message) -> Result<T, ErrorDocument> {
        let (sender, receiver) = oneshot::channel();
        let sent = self.mailbox.send(question(sender)).await;
        match (sent, receiver.await) {
            (Ok(()), Ok(answer)) => answer,
            (Ok(()) | Err(_), Err(_)) | (Err(_), Ok(_)) => Err(errors::closing()),
        }
    }
}
