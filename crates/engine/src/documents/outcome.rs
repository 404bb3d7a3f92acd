//! What comes while a command is under way, and how it ended.

use super::EventDocument;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
