//! A process on another host: as it is wanted ([`RemoteSpec`]) and as a runtime is given it ([`RemoteRun`]).

use crate::{Address, CommandSpec, Step, Template};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a service runs on another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteSpec {
    /// Host as ssh knows it: an alias, `host`, `user@host` or `ssh://user@host:port`.
    pub host: String,
    /// The program there.
    pub command: CommandSpec,
    /// Steps before the start, there.
    #[serde(default)]
    pub before: Vec<Step>,
    /// What is uploaded before the start.
    pub sync: Vec<SyncPath>,
    /// User to become there; only as root.
    pub user: Option<String>,
    /// Working directory there; without one the home of the user that ssh logs in as.
    pub cwd: Option<Template>,
}

/// A process on another host with nothing left to decide, beside its command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRun {
    /// Host as ssh knows it.
    pub host: String,
    /// What is uploaded before the start.
    pub sync: Vec<SyncPath>,
    /// The ways to and from it, there before it starts and as long as it runs.
    pub tunnels: Vec<Tunnel>,
}

/// A file or folder that is uploaded when it changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SyncPath {
    /// Absolute path on this machine.
    pub local: PathBuf,
    /// Path on the host; a relative one starts at the home of the user that ssh logs in as.
    pub remote: String,
}

/// Where a tunnel listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelEnd {
    /// On this machine; it leads to the host (`ssh -L`).
    Near,
    /// On the host; it leads to this machine (`ssh -R`).
    Far,
}

/// A forwarded port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tunnel {
    /// Where it listens.
    pub end: TunnelEnd,
    /// The address and port it listens on.
    pub listen: Address,
    /// Where it leads, as seen from the other end.
    pub to: Address,
}
