//! Documents of the daemon itself; those of the engine are in [`muster_engine::documents`].

use muster_engine::documents::EnvironmentDocument;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Major version of the API: a client of another one does not go on.
pub const API_MAJOR: u32 = 1;

/// Header that carries [`API_MAJOR`] on every answer, so that the check costs no request of its own.
pub const API_HEADER: &str = "muster-api";

/// All environments: `muster.environments.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentsDocument {
    /// `muster.environments.v1`
    pub schema: String,
    /// The environments.
    pub environments: Vec<EnvironmentDocument>,
}

/// What becomes of the services when the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Services {
    /// They run on; the next daemon adopts them.
    Keep,
    /// They are stopped in order first.
    Stop,
}

/// End the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopRequest {
    /// What becomes of the services.
    pub services: Services,
}

/// Replace the daemon's binary while everything runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeRequest {
    /// Absolute path of the new binary.
    pub binary: String,
}

/// A command without an answer was carried out: `muster.done.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoneDocument {
    /// `muster.done.v1`
    pub schema: String,
}

impl DoneDocument {
    /// The one that there is.
    #[must_use]
    pub fn new() -> Self {
        Self { schema: "muster.done.v1".into() }
    }
}

impl Default for DoneDocument {
    fn default() -> Self {
        Self::new()
    }
}
