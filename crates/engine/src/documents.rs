//! The documents that go over the API: what a command asks, and what it is answered.
//!
//! Names in them are plain texts, checked when they are used. Shapes only grow; each document names itself in `schema`.

use indexmap::IndexMap;
use muster_spec::{SecretText, Stack};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who answers: `muster.info.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InfoDocument {
    /// `muster.info.v1`
    pub schema: String,
    /// Version of the daemon's binary.
    pub version: String,
    /// Major version of the API: a client of another one must not go on.
    pub api: u32,
    /// Process id.
    pub pid: u32,
    /// Seconds since its start.
    pub uptime_s: f64,
    /// Hash of its binary: another one means that an upgrade would change something.
    pub build: String,
    /// Environments it knows.
    pub environments: usize,
    /// Instances that are alive.
    pub running: usize,
    /// Where the journal that could not be read went, after a start that found one.
    pub quarantined: Option<String>,
}

/// `up` and `plan`: a resolved stack and what of it should run.
#[derive(Clone, Serialize, Deserialize)]
pub struct UpRequest {
    /// The stack, resolved for the environment.
    pub stack: Stack,
    /// Values of its secrets.
    pub secrets: BTreeMap<String, SecretText>,
    /// Selector of what should run; `all` when absent.
    pub select: Option<String>,
    /// Leave out what the selected need.
    #[serde(default)]
    pub no_deps: bool,
    /// Start again also what did not change.
    #[serde(default)]
    pub recreate: bool,
}

/// `down`, `start`, `stop`, `restart`, `forget`, `signal`: something selected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelectRequest {
    /// Selector; everything when absent.
    pub select: Option<String>,
    /// `stop`: also where others that run need it.
    pub force: bool,
    /// `stop`: KILL at once.
    pub kill: bool,
    /// `start`: leave out what the selected need.
    pub no_deps: bool,
    /// `down`: remove data, too.
    pub data: bool,
    /// `signal`: which, by name or number.
    pub signal: Option<String>,
}

/// A command was taken in: `muster.accepted.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptedDocument {
    /// `muster.accepted.v1`
    pub schema: String,
    /// The environment, as `name-1a2b3c4d`.
    pub environment: String,
    /// The generation to wait for.
    pub generation: u64,
    /// All instances that it concerns: the selected and what came along.
    pub instances: Vec<String>,
    /// Those on which something is due.
    pub changed: Vec<String>,
    /// The last journal entry before the command: `events` after it are its effects.
    pub after: u64,
}

/// State of everything selected: `muster.status.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusDocument {
    /// `muster.status.v1`
    pub schema: String,
    /// Name of the stack.
    pub stack: String,
    /// Name of the environment.
    pub environment: String,
    /// The environment's generation.
    pub generation: u64,
    /// An instance per entry, in order of declaration.
    pub services: Vec<ServiceStatus>,
}

/// State of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// The service.
    pub name: String,
    /// The copy, from 1.
    pub replica: u16,
    /// Its group.
    pub group: Option<String>,
    /// `service` or `job`.
    pub kind: String,
    /// `process`, `container`, `remote`, `mock`, `external`.
    pub runtime: String,
    /// `up` or `down`.
    pub wanted: String,
    /// The state's word.
    pub state: String,
    /// Its readiness checks passed.
    pub ready: bool,
    /// Its liveness checks pass.
    pub healthy: bool,
    /// Process id of the main process: one of `host` where that is given, else of this machine.
    pub pid: Option<u32>,
    /// Container id.
    pub container: Option<String>,
    /// Host it runs on, when that is another.
    pub host: Option<String>,
    /// RFC 3339 time of the current run's start.
    pub started_at: Option<String>,
    /// Seconds since then.
    pub uptime_s: Option<f64>,
    /// The current or last run's number.
    pub run: u64,
    /// The generation that the run belongs to.
    pub generation: u64,
    /// Restarts by policy in this generation.
    pub restarts: u32,
    /// How the last run ended, with 126 or 127 where its program could not be executed or found: `{"code":1}`, `{"signal":9}`, `"supervisor_killed"`, `"unknown"`.
    pub exit: Option<serde_json::Value>,
    /// Named ports on this machine.
    pub ports: IndexMap<String, u16>,
    /// Named addresses as a process of this machine reaches them.
    pub addresses: IndexMap<String, String>,
    /// Why it is not where it should be, in one line.
    pub reason: Option<String>,
    /// What a command would resolve differently now.
    pub stale: Vec<String>,
    /// Live use of CPU in percent of one core, when asked for.
    pub cpu_percent: Option<f64>,
    /// Live use of memory, when asked for.
    pub memory_bytes: Option<u64>,
    /// Nothing more will happen by itself.
    pub settled: bool,
    /// The folder of the run's log segments, where it is on this machine.
    pub log_dir: Option<String>,
}

/// Probes asked now: `muster.health.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthDocument {
    /// `muster.health.v1`
    pub schema: String,
    /// Everything selected that should be healthy is.
    pub ok: bool,
    /// An instance per entry.
    pub services: Vec<ServiceHealth>,
}

/// Health of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceHealth {
    /// The instance.
    pub name: String,
    /// The state's word.
    pub state: String,
    /// Passed everything that was asked.
    pub ok: bool,
    /// Answers of its probes.
    pub checks: Vec<CheckResult>,
    /// Its own details, when it has some and they were asked for.
    pub details: Option<serde_json::Value>,
    /// Why there are no details.
    pub details_error: Option<String>,
}

/// Answer of one probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// `startup`, `ready` or `live`.
    pub role: String,
    /// What was asked, in words: `tcp 127.0.0.1:5432`.
    pub check: String,
    /// Passed.
    pub ok: bool,
    /// Why not.
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

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
    /// What to run next.
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

/// What is waited for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaitRequest {
    /// The generation from [`AcceptedDocument`].
    pub generation: u64,
    /// The instances from [`AcceptedDocument`].
    pub instances: Vec<String>,
    /// Only events after this one are told.
    pub after: u64,
    /// What is waited for: `ready` (services ready, jobs done), `down` (none alive), `end` (nothing of it runs or is due).
    pub until: WaitUntil,
}

/// The end of a wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitUntil {
    /// Services are ready, jobs done.
    #[default]
    Ready,
    /// Nothing of it is alive.
    Down,
    /// Nothing of it runs or is due, or one ended that ends the whole.
    End,
}

/// One line of the answer to a wait; `outcome` is the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Progress {
    /// A change.
    Event(EventDocument),
    /// The end.
    Outcome(Outcome),
}

/// How a wait ended: `muster.outcome.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// `muster.outcome.v1`
    pub schema: String,
    /// `met`, `failed`, `superseded`.
    pub result: String,
    /// What did not get there, and why.
    pub failures: Vec<Failure>,
    /// `end` only: the exit code that the whole passes on because a service said so (`on_failure: end`).
    pub code: Option<i32>,
}

/// What did not get there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The instance.
    pub instance: String,
    /// The state's word.
    pub state: String,
    /// Root cause, in one line.
    pub reason: String,
    /// What to run next.
    pub next: Option<String>,
}

/// Which lines of which logs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogQuery {
    /// Selector; everything when absent.
    pub select: Option<String>,
    /// Goes on with what comes, across restarts.
    pub follow: bool,
    /// The last so many lines of each.
    pub tail: Option<usize>,
    /// Not before this time, in nanoseconds of the wall clock.
    pub since_ns: Option<u64>,
    /// Not after this time.
    pub until_ns: Option<u64>,
    /// Only lines in which this regular expression matches.
    pub grep: Option<String>,
    /// Only standard error.
    pub stderr: bool,
    /// The run before the current one.
    pub previous: bool,
    /// Only from these runs on, by instance: what an attached `up` shows.
    pub from_runs: BTreeMap<String, u64>,
}

/// One line of output: `muster.log.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// The instance.
    pub instance: String,
    /// The run's number.
    pub run: u64,
    /// Offset of its first byte from the run's first.
    pub offset: u64,
    /// Nanoseconds of the wall clock.
    pub time_ns: u64,
    /// From standard error.
    pub stderr: bool,
    /// The line without its end; what is not UTF-8 is replaced.
    pub text: String,
    /// Bytes that are missing before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gap: u64,
    /// It has no newline (yet).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// An environment: `muster.environments.v1` holds a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentDocument {
    /// As `name-1a2b3c4d`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The stack.
    pub stack: String,
    /// The stack's folder.
    pub root: String,
    /// First port of its block.
    pub port_base: Option<u16>,
    /// Ports in its block.
    pub port_block: Option<u16>,
    /// Instances that are alive.
    pub running: usize,
    /// Instances that are wanted up.
    pub wanted: usize,
}

/// Who listens where: `muster.ports.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortsDocument {
    /// `muster.ports.v1`
    pub schema: String,
    /// A port per entry.
    pub ports: Vec<PortEntry>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortEntry {
    /// The instance.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// Somebody listens on it; null on another host, which is not asked.
    pub listening: Option<bool>,
    /// Who, when it is not the instance itself: `pid 4242 (nginx)`.
    pub owner: Option<String>,
    /// Where it leads, when it is the end of a tunnel: `host lab-1, port 5432`.
    #[serde(default)]
    pub leads_to: Option<String>,
    /// Host that the port is on, when that is another.
    #[serde(default)]
    pub host: Option<String>,
    /// Process id of the instance's main process: one of `host` where that is given, else of this machine.
    #[serde(default)]
    pub pid: Option<u32>,
}

/// How one service reaches another: `muster.way.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WayDocument {
    /// `muster.way.v1`
    pub schema: String,
    /// Who asks.
    pub from: String,
    /// Who is asked for.
    pub to: String,
    /// A way per port.
    pub ways: Vec<WayEntry>,
}

/// The way to one port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WayEntry {
    /// The port's name.
    pub port: String,
    /// What the one that asks is told; none where there is no way.
    pub address: Option<String>,
    /// What happens on the way, one sentence each.
    pub steps: Vec<String>,
    /// What is missing on the way now.
    pub missing: Option<String>,
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

/// The environment of a service, for a command that runs in its place: `muster run`.
#[derive(Clone, Serialize, Deserialize)]
pub struct CommandContext {
    /// Variables, in order.
    pub env: Vec<(String, SecretText)>,
    /// Working directory.
    pub cwd: String,
}

/// A command in the context of an instance, or its terminal: the first line of the stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExecRequest {
    /// Selector of one instance.
    pub select: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// Instead of the service's folder.
    pub cwd: Option<String>,
    /// Rows of the caller's terminal; without it there is no terminal.
    pub rows: Option<u16>,
    /// Columns of the caller's terminal.
    pub columns: Option<u16>,
}

/// Result of builds: `muster.build.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuildDocument {
    /// `muster.build.v1`
    pub schema: String,
    /// A service per entry.
    pub builds: Vec<BuildResult>,
}

/// Result of one build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuildResult {
    /// The service.
    pub service: String,
    /// `built`, `up_to_date`, `none` (it has no build step) or `failed`.
    pub result: String,
    /// `build::failed`, where it failed.
    #[serde(default)]
    pub code: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// One line of the answer to a build; `done` is the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BuildProgress {
    /// A line that a builder or a build step wrote.
    Said {
        /// The service.
        service: String,
        /// The line.
        text: String,
    },
    /// What came of it.
    Done(BuildDocument),
}

/// An error, on standard error or as the body of an answer: `muster.error.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct ErrorDocument {
    /// `muster.error.v1`
    pub schema: String,
    /// Stable: `config::unknown_key`.
    pub code: String,
    /// What happened and where.
    pub message: String,
    /// What to run next.
    pub help: Option<String>,
    /// File of the configuration.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// The exit code that a command ends with.
    pub exit: i32,
}

impl ErrorDocument {
    /// An error without a place in a file.
    #[must_use]
    pub fn new(code: &str, exit: i32, message: impl Into<String>) -> Self {
        Self {
            schema: "muster.error.v1".into(),
            code: code.into(),
            message: message.into(),
            help: None,
            file: None,
            line: None,
            column: None,
            exit,
        }
    }

    /// With what to run next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
