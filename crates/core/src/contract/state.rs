//! What an instance is, and why.

use super::{Exit, Time};
use muster_spec::{InstanceId, OnRestart, Role, Until};
use serde::{Deserialize, Serialize};

/// What is wanted of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It should run; a job should finish once in this generation.
    Up,
    /// It should not run.
    Down,
}

/// What an instance is, as people and scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not wanted and not there.
    Stopped,
    /// Wanted; something that it needs is not there yet.
    Waiting,
    /// It ended; the restart is due later.
    Backoff,
    /// Being started, or started and not yet past its startup probe.
    Starting,
    /// Alive, not ready; also a job that has no ready probe.
    Running,
    /// Alive and ready.
    Ready,
    /// Alive, its liveness fails.
    Unhealthy,
    /// Asked to stop.
    Stopping,
    /// Ended; nothing is due.
    Exited,
    /// A job that succeeded.
    Done,
    /// Given up; says why.
    Failed,
    /// Cannot be verified: hands off.
    Lost,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Stopped,
        Self::Waiting,
        Self::Backoff,
        Self::Starting,
        Self::Running,
        Self::Ready,
        Self::Unhealthy,
        Self::Stopping,
        Self::Exited,
        Self::Done,
        Self::Failed,
        Self::Lost,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Backoff => "backoff",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an instance is where it is: the link of a chain of causes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A command, by its verb.
    Asked(String),
    /// Its needs are met.
    NeedsMet,
    /// Waits for another instance.
    Needs {
        /// Which.
        instance: InstanceId,
        /// For what.
        until: Until,
        /// Where that one is.
        state: State,
        /// Whether it can still come: false means that somebody must act.
        possible: bool,
    },
    /// A run was spawned.
    Spawned,
    /// The start failed.
    StartFailed(String),
    /// It ended by itself.
    Ended(Exit),
    /// It ended after it was asked to.
    Obeyed(Exit),
    /// It did not stop in time and was killed.
    GraceOver,
    /// A restart is due.
    Restart {
        /// Which restart of this generation, from 1.
        attempt: u32,
        /// The wait before it, in milliseconds.
        wait_ms: u64,
    },
    /// Too many restarts in the window, or in all.
    GaveUp {
        /// Restarts made.
        restarts: u32,
        /// The end or failure of the last.
        last: String,
    },
    /// A probe changed its answer to yes.
    Passed(Role),
    /// A probe changed its answer to no.
    Failing {
        /// Which.
        role: Role,
        /// The last reason.
        reason: String,
    },
    /// A probe's `within` is over.
    TooLate {
        /// Which.
        role: Role,
        /// The last reason.
        reason: String,
    },
    /// What it needs was restarted and the edge says `with`.
    RestartedWith {
        /// Which.
        instance: InstanceId,
        /// What the edge says.
        edge: OnRestart,
    },
    /// Its definition changed.
    Changed,
    /// A job with unchanged spec and inputs: not run again.
    UpToDate,
    /// The stack does not have it any more.
    Removed,
    /// The daemon came back and found it.
    Adopted,
    /// The daemon came back and found that its start had not happened.
    NeverStarted,
    /// It cannot be verified.
    Unverifiable(String),
    /// Dropped by a person.
    Forgotten,
    /// It was not asked for.
    NotWanted,
}

/// One change of one instance: what is journaled, shown by `events` and walked by `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Whose.
    pub instance: InstanceId,
    /// Which start; 0 before the first.
    pub run: u64,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

/// What anybody may know of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Whose.
    pub instance: InstanceId,
    /// What is wanted.
    pub wanted: Wanted,
    /// What is.
    pub state: State,
    /// Its readiness checks passed; also when it runs and has none.
    pub ready: bool,
    /// Its liveness checks pass.
    pub healthy: bool,
    /// The generation that its run belongs to.
    pub generation: u64,
    /// The current or last run; 0 before the first.
    pub run: u64,
    /// Spec hash that the current run was started with.
    pub run_hash: Option<String>,
    /// Restarts in this generation, by policy.
    pub restarts: u32,
    /// How the last run ended.
    pub exit: Option<Exit>,
    /// Since when it is in this state.
    pub since: Time,
    /// When something is due: a restart, KILL, the end of `within`.
    pub deadline: Option<Time>,
    /// Why it is there.
    pub cause: Cause,
    /// Nothing more will happen by itself: it is where it was wanted, or somebody must act.
    pub settled: bool,
}
