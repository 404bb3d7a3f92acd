//! Ports, and the ways to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Somebody listens on it; null on another host, which is not asked, while something runs there.
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
