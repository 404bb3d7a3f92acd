//! What can be written.

use crate::{EnvironmentRow, InstanceRow, PortRow, RunRow, StoreError, SuccessRow, Transition};
use muster_spec::{EnvironmentId, InstanceId};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Adds or replaces an environment; `created_at` stays as it was. Committed durably.
    PutEnvironment(EnvironmentRow),
    /// Removes an environment with all its rows: ports, instances, runs, history, successes, facts. Committed durably.
    RemoveEnvironment(EnvironmentId),
    /// Replaces all ports of an environment. Fails with [`StoreError::PortTaken`]. Committed durably.
    PutPorts {
        /// Whose ports.
        environment: EnvironmentId,
        /// All that it has from now on; each must name the same environment.
        ports: Vec<PortRow>,
    },
    /// Adds or replaces an instance.
    PutInstance(InstanceRow),
    /// Removes an instance; its runs and history stay, so that no run number is used twice.
    RemoveInstance {
        /// The environment.
        environment: EnvironmentId,
        /// The instance.
        instance: InstanceId,
    },
    /// Adds or replaces a run: the intent without a handle, then the same with it.
    PutRun(RunRow),
    /// Records the end of a run; `started_at` and handle stay as they were.
    EndRun {
        /// The environment.
        environment: EnvironmentId,
        /// The instance.
        instance: InstanceId,
        /// Which start.
        number: u64,
        /// When it ended.
        ended_at: i64,
        /// How it ended, as JSON.
        exit_json: String,
    },
    /// Appends to the history.
    Transition(Transition),
    /// Adds or replaces the last success of a job or build.
    PutSuccess(SuccessRow),
    /// Forgets the last success of a job or build: it runs again.
    RemoveSuccess {
        /// The environment.
        environment: EnvironmentId,
        /// The job, as in [`SuccessRow::job`].
        job: String,
    },
    /// Adds or replaces a fact.
    PutFact {
        /// The environment; `None` for the daemon itself.
        environment: Option<EnvironmentId>,
        /// The fact's name.
        key: String,
        /// The fact.
        value: String,
    },
    /// Forgets a fact.
    RemoveFact {
        /// The environment; `None` for the daemon itself.
        environment: Option<EnvironmentId>,
        /// The fact's name.
        key: String,
    },
}

impl Write {
    /// Whether it must survive a power cut.
    fn is_durable(&self) -> bool {
        matches!(self, Self::PutEnvironment(_) | Self::RemoveEnvironment(_) | Self::PutPorts { .. })
    }
}

/// Changes that are committed all or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub(crate) writes: Vec<Write>,
    durable: bool,
}

impl Batch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change, after those before it.
    pub fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// The same changes, to survive a power cut as well (a commit of 180 us instead of 10).
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Whether the batch was marked or has a change that must survive a power cut.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable || self.writes.iter().any(Write::is_durable)
    }
}

impl From<Vec<Write>> for Batch {
    fn from(writes: Vec<Write>) -> Self {
        Self { writes, durable: false }
    }
}

impl From<Write> for Batch {
    fn from(write: Write) -> Self {
        vec![write].into()
    }
}

impl Extend<Write> for Batch {
    fn extend<I: IntoIterator<Item = Write>>(&mut self, writes: I) {
        self.writes.extend(writes);
    }
}

/// A batch is in the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Numbers of the batch's transitions, in their order.
    pub seqs: Vec<i64>,
}

/// Called once, on the writer thread, after the commit or the failure: it must be quick (send on a oneshot channel).
pub type Reply = Box<dyn FnOnce(Result<Committed, StoreError>) + Send>;
