//! What the engine is to do, and what is answered.

use super::{RequestId, Transition};
use muster_spec::{InstanceId, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
