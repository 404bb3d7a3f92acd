//! The documents that go over the API: what a command asks, and what it is answered.
//!
//! Names in them are plain texts, checked when they are used. Shapes only grow; each document names itself in `schema`.

mod address;
mod explain;
mod outcome;
mod request;
mod status;

pub use address::{PortEntry, PortsDocument, WayDocument, WayEntry};
pub use explain::{
    EventDocument, GraphDocument, GraphEdge, GraphNode, PlanDocument, PlannedChange, PlannedReason, WhyDocument,
    WhyLink, WhyService,
};
pub use outcome::{BuildDocument, BuildProgress, BuildResult, Failure, LogLine, Outcome, Progress};
pub use request::{
    BringRequest, BroughtFile, CommandContext, ExecRequest, LogQuery, SelectRequest, UpRequest, WaitRequest, WaitUntil,
};
pub use status::{
    AcceptedDocument, BroughtDocument, CheckResult, EnvironmentDocument, HealthDocument, InfoDocument, LimitsDocument,
    ServiceHealth, ServiceStatus, StatusDocument,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
