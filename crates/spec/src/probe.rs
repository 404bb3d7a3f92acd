//! Probes: three roles, any kind of check, combinable.

use crate::{CommandSpec, HumanDuration, PortName, Template};
use serde::{Deserialize, Serialize};

/// What a probe's answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Until it first passes, the instance is starting; the other roles wait.
    Startup,
    /// Passing means ready.
    Ready,
    /// Failing means unhealthy.
    Live,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Startup => "startup",
            Self::Ready => "ready",
            Self::Live => "live",
        })
    }
}

/// One question that can be asked of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A TCP connection to `host:port` is accepted.
    Tcp(Template),
    /// An HTTP request is answered as expected.
    Http(HttpCheck),
    /// `grpc.health.v1.Health/Check` answers SERVING.
    Grpc {
        /// `host:port`.
        target: Template,
        /// The service asked for; empty means the whole server.
        service: String,
    },
    /// A command ends with 0, run with the service's environment and folder.
    Exec(CommandSpec),
    /// A line of this run's output matches the regular expression.
    Log(String),
    /// The service said `READY=1` (sd_notify(3)). As `live`: it keeps saying `WATCHDOG=1`.
    Notify,
    /// A file exists.
    File(Template),
    /// The instance's own process tree listens on all of these ports: the default for a service with ports.
    Listens(Vec<PortName>),
    /// The engine's own health check of the container passes; without one it passes at once.
    Healthcheck,
    /// Every one passes.
    All(Vec<Check>),
    /// At least one passes.
    Any(Vec<Check>),
}

/// An HTTP request and what its answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// `http://` or `https://` URL.
    pub url: Template,
    /// Request method.
    pub method: String,
    /// Request headers.
    pub headers: Vec<(String, Template)>,
    /// Inclusive ranges of accepted status codes; 200 to 399 by default.
    pub status: Vec<(u16, u16)>,
    /// Response headers that must match.
    pub header: Vec<(String, Matcher)>,
    /// What the body must match.
    pub body: Option<Matcher>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matcher {
    /// It contains this.
    Contains(String),
    /// It is this.
    Equals(String),
    /// The regular expression matches somewhere.
    Regex(String),
}

/// A check with its schedule.
///
/// Until the first pass it runs quickly (1 ms growing to 250 ms), afterwards at `every`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// What is asked.
    pub check: Check,
    /// Time between two attempts after the first pass.
    pub every: HumanDuration,
    /// An attempt that takes longer has failed.
    pub timeout: HumanDuration,
    /// Failures in a row that change the answer to no; at least 1.
    pub fails: u32,
    /// Passes in a row that change the answer to yes; at least 1.
    pub passes: u32,
    /// `startup` and `ready`: how long until the first pass; then the start has failed.
    pub within: Option<HumanDuration>,
    /// How long after the spawn the first attempt is made.
    pub delay: HumanDuration,
}

impl ProbeSpec {
    /// A check with the default schedule: every 10 s, 1 s for an answer, three failures in a row, one pass.
    #[must_use]
    pub fn new(check: Check) -> Self {
        Self {
            check,
            every: HumanDuration::from_secs(10),
            timeout: HumanDuration::from_secs(1),
            fails: 3,
            passes: 1,
            within: None,
            delay: HumanDuration::from_millis(0),
        }
    }
}

/// The probes of a service. None at all: ready means alive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSet {
    /// Until it first passes, the instance is starting.
    pub startup: Option<ProbeSpec>,
    /// Ready or not.
    pub ready: Option<ProbeSpec>,
    /// Healthy or not.
    pub live: Option<ProbeSpec>,
}

impl ProbeSet {
    /// The probe of a role.
    #[must_use]
    pub fn get(&self, role: Role) -> Option<&ProbeSpec> {
        match role {
            Role::Startup => self.startup.as_ref(),
            Role::Ready => self.ready.as_ref(),
            Role::Live => self.live.as_ref(),
        }
    }

    /// The roles that have a probe, in order.
    pub fn roles(&self) -> impl Iterator<Item = Role> + '_ {
        [Role::Startup, Role::Ready, Role::Live].into_iter().filter(|role| self.get(*role).is_some())
    }
}

/// What a container's engine says of it by the container's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineHealth {
    /// The check passes.
    Healthy,
    /// The check fails.
    Unhealthy,
    /// The container has no check, which is not unhealthy.
    Unchecked,
}
