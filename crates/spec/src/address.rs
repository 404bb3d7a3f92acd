//! Addresses depend on who asks.
//!
//! A process reaches a process at 127.0.0.1 and the environment's port; a container reaches a container by alias and
//! container port. Users never write which one: a reference names service and port, [`Scope`] says who asks.

use serde::{Deserialize, Serialize};

/// A host and a port as one consumer reaches them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Host name or IP address.
    pub host: String,
    /// TCP or UDP port, 1 to 65,535.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where something runs, as far as addresses care.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// A process on this machine, in its own network namespace.
    Host,
    /// A container in the environment's network.
    Container,
    /// A process on another host, named as in the stack.
    Remote(String),
}

/// Who asks for an address, and who is asked for: the pair decides the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Where the asking instance runs.
    pub consumer: Location,
    /// Where the instance that answers runs.
    pub provider: Location,
}
