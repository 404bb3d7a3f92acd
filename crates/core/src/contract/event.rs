//! What happened, and what is asked.

use super::{Accepted, Chance, Exit, Found, RequestId};
use muster_spec::{InstanceId, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

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
