//! The rows, typed.

use muster_spec::{EnvironmentId, InstanceId, PortName, ServiceName, StackName};
use std::path::PathBuf;

/// An environment as it was last accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRow {
    /// Its identity; the name is in it.
    pub id: EnvironmentId,
    /// Canonical path of the folder that holds the stack file.
    pub root: PathBuf,
    /// The stack's name.
    pub stack_name: StackName,
    /// Counts what was wanted.
    pub generation: u64,
    /// The accepted stack, resolved, without secrets.
    pub stack_json: String,
    /// First port of its block.
    pub port_base: Option<u16>,
    /// How many ports its block has.
    pub port_block: Option<u16>,
    /// Kept from the first write: a later [`PutEnvironment`](crate::Write::PutEnvironment) does not change it.
    pub created_at: i64,
    /// When it was last written.
    pub updated_at: i64,
}

/// A port that belongs to one port name of one instance, unique per user over all stacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRow {
    /// The port number.
    pub number: u16,
    /// Whose it is.
    pub environment: EnvironmentId,
    /// The service.
    pub service: ServiceName,
    /// The replica, from 1.
    pub replica: u16,
    /// The port's name within the service.
    pub name: PortName,
}

/// An instance's last state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// The environment.
    pub environment: EnvironmentId,
    /// The instance.
    pub instance: InstanceId,
    /// Its state as JSON.
    pub state_json: String,
    /// The last run that was begun; 0 before the first.
    pub run_number: u64,
    /// When it was last written.
    pub updated_at: i64,
}

/// One start of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The environment.
    pub environment: EnvironmentId,
    /// The instance.
    pub instance: InstanceId,
    /// Which start, from 1.
    pub number: u64,
    /// The runtime's handle as JSON; `None` between the intent and the spawn.
    pub handle_json: Option<String>,
    /// When the start was begun.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// How it ended, as JSON.
    pub exit_json: Option<String>,
}

/// A change of an instance's state, with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at_ns: i64,
    /// The environment.
    pub environment: EnvironmentId,
    /// The instance.
    pub instance: InstanceId,
    /// The run it is about; 0 before the first.
    pub run: u64,
    /// The state before.
    pub from_state: String,
    /// The state after.
    pub to_state: String,
    /// Why, as JSON.
    pub cause_json: String,
}

/// A transition with its number in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionRow {
    /// Grows for ever over all environments; never used twice.
    pub seq: i64,
    /// What happened.
    pub transition: Transition,
}

/// The last success of a job or build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccessRow {
    /// The environment.
    pub environment: EnvironmentId,
    /// The job; a build or step by a name of the caller's choice (`build:api`).
    pub job: String,
    /// Hash of the specification it ran with.
    pub spec_hash: String,
    /// Hash of the inputs it ran with.
    pub inputs_hash: String,
    /// When it succeeded.
    pub at: i64,
}
