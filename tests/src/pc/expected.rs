//! `expected.json`: what process-compose itself did with each case.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the real one ran the files.
pub const RAN_AT: &str = "/src";

/// Every case by its name.
pub type Cases = BTreeMap<String, Case>;

/// One way to start files, and how that went.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Relative to `cwd`.
    pub files: Vec<String>,
    /// Relative to the copy's folder.
    pub cwd: String,
    /// What else stood on the command line.
    #[serde(default)]
    pub args: Vec<String>,
    /// Added to the caller's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Lines that match are taken out of the files.
    pub drop: Option<String>,
    /// Accepted or rejected.
    pub verdict: Verdict,
    /// One of these is its word of refusal.
    #[serde(default)]
    pub error: Vec<String>,
    /// Absent where it was not tried.
    pub ends_by_itself: Option<bool>,
    /// Of the whole, when it ended by itself or was rejected.
    pub exit_code: Option<i32>,
    /// The processes that ended the whole.
    #[serde(default)]
    pub ended_by: Vec<String>,
    /// State of each process.
    #[serde(default)]
    pub processes: BTreeMap<String, Process>,
    /// `A ended < B started`.
    #[serde(default)]
    pub order: Vec<String>,
    /// Who was skipped, and why.
    #[serde(default)]
    pub skipped: BTreeMap<String, String>,
    /// Files and their lines.
    #[serde(default)]
    pub files_made: BTreeMap<String, Vec<String>>,
    /// The lines of `files_made` are sorted.
    #[serde(default)]
    pub any_order: bool,
    /// How it was ended, where it did not end by itself.
    pub down: Option<Down>,
    /// Sent instead of `down`.
    pub signal: Option<String>,
    /// What was done while it ran.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// Whether the files were run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Run.
    Accepted,
    /// Refused.
    Rejected,
}

/// A process before `down`.
#[derive(Debug, Clone, Deserialize)]
pub struct Process {
    /// The word of process-compose.
    pub status: String,
    /// Of the last run.
    pub exit_code: Option<i32>,
    /// By policy.
    pub restarts: Option<u64>,
    /// Of a process that restarts for ever.
    pub restarts_at_least: Option<u64>,
    /// Starts of its command.
    pub starts: Option<usize>,
    /// Of a process that restarts for ever.
    pub starts_at_least: Option<usize>,
    /// Its first lines; nothing where they were not kept.
    pub output: Option<Vec<String>>,
    /// Command line.
    pub argv: Option<Vec<String>>,
    /// Folder, or `as the file says`.
    pub working_dir: Option<String>,
    /// What was added to the caller's environment.
    pub environment: Option<BTreeMap<String, String>>,
}

/// How the end went.
#[derive(Debug, Clone, Deserialize)]
pub struct Down {
    /// Of the whole.
    pub exit_code: i32,
    /// Exit codes of the processes that were ended; -1 for a signal.
    #[serde(default)]
    pub ended: BTreeMap<String, i32>,
    /// `A ended < B ended`.
    #[serde(default)]
    pub order: Vec<String>,
}

/// Something that was done while the project ran.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// A command of process-compose or a request to it.
    pub run: String,
    /// Of that command.
    pub exit_code: Option<i32>,
    /// Commands that it started.
    pub started: Vec<String>,
    /// States afterwards.
    pub then: BTreeMap<String, String>,
}

/// The folder of the repository's copy.
#[must_use]
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/process-compose")
}

/// All cases of the repository's copy.
///
/// # Panics
/// If the file is not there or of another shape.
#[must_use]
pub fn cases() -> Cases {
    let text = std::fs::read_to_string(data().join("expected.json")).expect("expected.json is in the repository");
    serde_json::from_str(&text).expect("expected.json has the known shape")
}
