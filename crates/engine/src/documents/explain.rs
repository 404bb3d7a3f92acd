//! What would change, what happened, why, and what needs what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `up` would do: `muster.plan.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDocument {
    /// `muster.plan.v1`
    pub schema: String,
    /// An instance per entry.
    pub changes: Vec<PlannedChange>,
}

/// What `up` would do to one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedChange {
    /// The instance.
    pub service: String,
    /// `start`, `restart`, `stop`, `recreate` or `none`.
    pub action: String,
    /// Which fields are the reason.
    pub reasons: Vec<PlannedReason>,
    /// The reason in a sentence, where it is no field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedReason {
    /// Dotted path: `env.X`.
    pub field: String,
    /// What it is.
    pub from: Option<String>,
    /// What it would be.
    pub to: Option<String>,
}

/// Chains of causes: `muster.why.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyDocument {
    /// `muster.why.v1`
    pub schema: String,
    /// An instance per entry.
    pub services: Vec<WhyService>,
}

/// Why one instance is where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyService {
    /// The instance.
    pub name: String,
    /// The state's word.
    pub state: String,
    /// Process id of the main process: one of `host` where that is given, else of this machine.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Host it runs on, when that is another.
    #[serde(default)]
    pub host: Option<String>,
    /// From the instance to the root cause.
    pub chain: Vec<WhyLink>,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyLink {
    /// The instance that the sentence is about.
    pub instance: String,
    /// What happened, in one sentence.
    pub sentence: String,
    /// RFC 3339 time, when it is known.
    pub at: Option<String>,
    /// What to do next: a command, or a sentence with one.
    pub next: Option<String>,
}

/// One entry of the history, and of an `up` in progress: `muster.event.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventDocument {
    /// `muster.event.v1`
    pub schema: String,
    /// Grows for ever.
    pub seq: u64,
    /// RFC 3339 time.
    pub at: String,
    /// The environment, as `name-1a2b3c4d`.
    pub environment: String,
    /// The instance.
    pub instance: String,
    /// The run's number.
    pub run: u64,
    /// State before.
    pub from: String,
    /// State after.
    pub to: String,
    /// Why, in one line.
    pub cause: String,
}

/// The graph: `muster.graph.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GraphDocument {
    /// `muster.graph.v1`
    pub schema: String,
    /// Services with their state.
    pub nodes: Vec<GraphNode>,
    /// Needs.
    pub edges: Vec<GraphEdge>,
}

/// One service of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GraphNode {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: Option<String>,
    /// `service` or `job`.
    pub kind: String,
    /// The state's word; of replicas the least.
    pub state: String,
}

/// One need of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GraphEdge {
    /// The service that needs.
    pub from: String,
    /// The service that is needed.
    pub to: String,
    /// `started`, `ready`, `healthy`, `done` or `exited`.
    pub until: String,
    /// Whether it is met now.
    pub met: bool,
}
