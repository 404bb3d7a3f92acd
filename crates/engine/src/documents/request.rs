//! What a command asks.

use muster_spec::{SecretText, Stack};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// `restart`: images that were built are taken as they are.
    pub as_built: bool,
    /// `signal`: which, by name or number.
    pub signal: Option<String>,
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
    /// For `ready`: how many milliseconds a service may run without becoming ready before the wait for it is given up,
    /// where neither its `ready` has a `within` nor its container a health check. None: for ever.
    pub patience_ms: Option<u64>,
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

/// Files of this machine that are to be in containers or on hosts as well, and what is to be gone there. A path there is
/// absolute; on a host a relative one starts at the home of the user that ssh logs in as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BringRequest {
    /// Selector; everything when absent.
    pub select: Option<String>,
    /// The folder that all of it lies below where the services run, or the one file that it is.
    pub below: String,
    /// New or changed.
    pub files: Vec<BroughtFile>,
    /// Gone: paths where the services run, of files or folders.
    pub removed: Vec<String>,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BroughtFile {
    /// Absolute path on this machine.
    pub from: String,
    /// Path where the services run.
    pub to: String,
}
