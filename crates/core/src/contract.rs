//! What goes into the machine and what comes out: the only words that the engine and the core share.

use muster_spec::{InstanceId, OnRestart, Role, Stack, Until};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A point on the monotonic clock of this boot, in nanoseconds (`CLOCK_MONOTONIC`: stands still in a suspend, so that
/// no deadline fires because a laptop slept).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// This point and a duration later.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it is since `earlier`; zero when that is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What a step may know of the world.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Now.
    pub now: Time,
    /// Fresh randomness, for jitter.
    pub random: u64,
}

/// A stack that was accepted, with what the engine computed about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The stack.
    pub stack: Arc<Stack>,
    /// Per instance: changes when anything that matters for the running instance does.
    pub hashes: BTreeMap<InstanceId, String>,
    /// Jobs whose last success had this spec and these inputs: they need not run again.
    pub satisfied: BTreeSet<InstanceId>,
}

/// A number that the sender of a command chose, to find its reply.
pub type RequestId = u64;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Somebody asks for something.
    Command {
        /// To find the reply.
        request: RequestId,
        /// What is asked.
        command: Command,
    },
    /// A run was spawned and is alive.
    Started {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
    },
    /// A run did not come to be.
    StartFailed {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
        /// Why, in one line.
        reason: String,
        /// Whether trying again can help.
        chance: Chance,
    },
    /// A run ended and its tree is gone.
    Exited {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
        /// How.
        exit: Exit,
    },
    /// A run can no longer be verified: a link is gone, or a process table cannot be read.
    LinkLost {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
        /// Why, in one line.
        reason: String,
    },
    /// What became of a run, after [`Effect::Recover`] or when a link came back.
    Recovered {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
        /// What was found.
        found: Found,
    },
    /// One attempt of a probe was answered.
    Probed {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
        /// Which probe.
        role: Role,
        /// `None` when it passed, else the reason in one line.
        failure: Option<String>,
    },
    /// The run is held by a debugger: its deadlines are moved by the time it was held.
    Held {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
        /// How long to wait before looking again, in milliseconds.
        millis: u64,
    },
    /// A deadline may have passed.
    Tick,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Make it so: start what should run, restart what changed, leave the rest. Other services of the stack stay as they are,
    /// those that the new stack does not have are stopped.
    Up {
        /// What the environment is to be.
        accepted: Arc<Accepted>,
        /// What should run; what these need comes along unless `no_deps`.
        targets: BTreeSet<InstanceId>,
        /// Leave out what the targets need.
        no_deps: bool,
        /// Start again also what did not change.
        recreate: bool,
    },
    /// Stop in reverse order and forget; all of it without targets.
    Down {
        /// What should go; `None` means all.
        targets: Option<BTreeSet<InstanceId>>,
    },
    /// Start, with what is needed; `failed` and `exited` try again.
    Start {
        /// What should run.
        targets: BTreeSet<InstanceId>,
        /// Leave out what the targets need.
        no_deps: bool,
    },
    /// Stop. A second stop escalates to KILL.
    Stop {
        /// What should not run.
        targets: BTreeSet<InstanceId>,
        /// Also where others that run need it.
        force: bool,
        /// KILL at once.
        kill: bool,
    },
    /// Stop and start.
    Restart {
        /// What should run anew.
        targets: BTreeSet<InstanceId>,
    },
    /// Drop what is `lost` without touching it.
    Forget {
        /// What to drop.
        targets: BTreeSet<InstanceId>,
    },
}

/// Whether trying again can help a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chance {
    /// It can: the process table was full, a port was taken.
    Again,
    /// It cannot.
    Never {
        /// What a shell would answer, where the program is the reason: 126 not executable, 127 not found.
        code: Option<i32>,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself, with a code from 0 to 255.
    Code(i32),
    /// A signal ended it, by number.
    Signal(i32),
    /// Its supervisor was killed; the tree was ended.
    SupervisorKilled,
    /// Somebody else removed it: a wish of a person, so nothing is due.
    Removed,
    /// It is gone and nobody saw how.
    Unknown,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match muster_spec::Signal::from_number(*number) {
                Ok(signal) => write!(f, "signal {signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
            Self::SupervisorKilled => f.write_str("supervisor killed"),
            Self::Removed => f.write_str("its removal by someone else"),
            Self::Unknown => f.write_str("exit unknown"),
        }
    }
}

/// What became of a run that was known before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It is alive and verified to be ours.
    Running,
    /// It ended meanwhile.
    Exited(Exit),
    /// It never came to be.
    Absent,
    /// It cannot be told: hands off.
    Unverifiable(String),
}

/// What the engine is to do, in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A transition to journal, before any other effect of the step.
    Record(Transition),
    /// Start a run. Build and `before` steps belong to it.
    Start {
        /// Whose.
        instance: InstanceId,
        /// Which start: idempotent by it.
        run: u64,
    },
    /// Ask a run to stop: the stop signal, or the stop command.
    Stop {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
    },
    /// KILL the whole tree of a run.
    Kill {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
    },
    /// Find out what became of a run.
    Recover {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
    },
    /// Ask these probes from now on, quickly until each first passes (`schedule` says when); replaces what was asked before.
    Probe {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
        /// Which; empty means none any more.
        roles: Vec<Role>,
    },
    /// The instance is not part of the environment any more; its last run's resources may go.
    Forget {
        /// Whose.
        instance: InstanceId,
    },
    /// A job succeeded: remember it with its spec and inputs.
    Succeeded {
        /// Whose.
        instance: InstanceId,
        /// Which start.
        run: u64,
    },
    /// The answer to a command.
    Reply {
        /// Whose command.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
}

/// The answer to a command: it was taken in or not; whether it got there is seen in the views.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Taken in; wait for `generation` or later.
    Accepted {
        /// The environment's generation from this command on.
        generation: u64,
        /// Everything that the command made wanted or unwanted: the targets and what came along.
        instances: BTreeSet<InstanceId>,
        /// Those of `instances` on which something is due because of this command.
        changed: BTreeSet<InstanceId>,
    },
    /// Refused; nothing changed.
    Denied(Denial),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// The environment does not have it.
    #[error("no instance `{0}` in this environment")]
    Unknown(InstanceId),
    /// Others that run need it.
    #[error("`{instance}` is needed by {}", list(needed_by))]
    Needed {
        /// What should stop.
        instance: InstanceId,
        /// Who needs it.
        needed_by: Vec<InstanceId>,
    },
    /// It cannot be verified; `forget` drops it.
    #[error("`{0}` is lost: it can be neither verified nor signalled")]
    Lost(InstanceId),
}

fn list(instances: &[InstanceId]) -> String {
    instances.iter().map(|i| format!("`{i}`")).collect::<Vec<_>>().join(", ")
}

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
