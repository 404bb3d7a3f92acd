//! What runs: the daemon, its environments, their services.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Files were brought: `muster.brought.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BroughtDocument {
    /// `muster.brought.v1`
    pub schema: String,
    /// The instances that have them now.
    pub instances: Vec<String>,
    /// Those that do not run: they have them when they start again.
    pub later: Vec<String>,
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
    /// Other hosts that data was removed from: only after `down --data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_removed_on: Vec<String>,
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
    /// What it may use; null where nothing is limited.
    #[serde(default)]
    pub limits: Option<LimitsDocument>,
    /// Nothing more will happen by itself.
    pub settled: bool,
    /// The folder of the run's log segments, where it is on this machine.
    pub log_dir: Option<String>,
}

/// What an instance may use; null is no limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsDocument {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Cores, as a fraction.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
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
