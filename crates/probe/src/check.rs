//! Checks with nothing left to resolve.

use crate::Pattern;
use muster_spec::ResolvedCommand;
use std::path::PathBuf;

/// A [`Check`](muster_spec::Check) whose templates are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedCheck {
    /// A TCP connection to `host:port` is accepted.
    Tcp(String),
    /// An HTTP request is answered as expected.
    Http(Box<ResolvedHttp>),
    /// `grpc.health.v1.Health/Check` answers SERVING.
    Grpc {
        /// `host:port`, or `https://host:port` for TLS.
        target: String,
        /// The service asked for; empty means the whole server.
        service: String,
    },
    /// A command ends with 0.
    Exec(ResolvedCommand),
    /// A line of this run's output matches.
    Log(Pattern),
    /// The service said `READY=1`, and keeps saying `WATCHDOG=1` where it has to.
    Notify,
    /// A file exists.
    File(PathBuf),
    /// The engine's own health check of the container passes; it has none: passes at once.
    Healthcheck,
    /// The instance's own process tree listens on all of these ports.
    Listens(Vec<u16>),
    /// The instance's own process tree listens on all of these ports where it runs, which is not this machine.
    ListensThere(Vec<u16>),
    /// Somebody listens on this port where the instance runs, which is not this machine.
    TcpThere(u16),
    /// A file exists where the instance runs, which is not this machine.
    FileThere(PathBuf),
    /// Every one passes.
    All(Vec<ResolvedCheck>),
    /// At least one passes.
    Any(Vec<ResolvedCheck>),
}

/// An HTTP request and what its answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedHttp {
    /// `http://` or `https://` URL.
    pub url: String,
    /// Request method.
    pub method: String,
    /// Request headers.
    pub headers: Vec<(String, String)>,
    /// Inclusive ranges of accepted status codes; empty means 200 to 399.
    pub status: Vec<(u16, u16)>,
    /// Response headers that must match.
    pub header: Vec<(String, ResolvedMatcher)>,
    /// What the body must match; its first MiB is looked at.
    pub body: Option<ResolvedMatcher>,
    /// Accept any certificate.
    pub insecure: bool,
}

impl ResolvedHttp {
    /// A GET that expects 200 to 399.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            status: Vec::new(),
            header: Vec::new(),
            body: None,
            insecure: false,
        }
    }
}

/// How a text is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedMatcher {
    /// It contains this.
    Contains(String),
    /// It is this, apart from white space at its ends.
    Equals(String),
    /// The regular expression matches somewhere.
    Regex(Pattern),
}

impl ResolvedMatcher {
    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Equals(whole) => text.trim() == whole.trim(),
            Self::Regex(pattern) => pattern.is_match(text),
        }
    }
}

impl std::fmt::Display for ResolvedMatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Contains(part) => write!(f, "to contain `{part}`"),
            Self::Equals(whole) => write!(f, "to be `{whole}`"),
            Self::Regex(pattern) => write!(f, "to match `{}`", pattern.as_str()),
        }
    }
}

impl ResolvedCheck {
    /// The regular expressions that the run's log is watched for: given to [`LogWatch::new`](crate::LogWatch::new).
    #[must_use]
    pub fn log_patterns(&self) -> Vec<Pattern> {
        match self {
            Self::Log(pattern) => vec![pattern.clone()],
            Self::All(checks) | Self::Any(checks) => checks.iter().flat_map(Self::log_patterns).collect(),
            Self::Tcp(_)
            | Self::Http(_)
            | Self::Grpc { .. }
            | Self::Exec(_)
            | Self::Notify
            | Self::File(_)
            | Self::Healthcheck
            | Self::ListensThere(_)
            | Self::TcpThere(_)
            | Self::FileThere(_)
            | Self::Listens(_) => Vec::new(),
        }
    }

    /// Whether its answer is only what somebody told: it is another one when that is told, and costs nothing to ask.
    #[must_use]
    pub fn is_told(&self) -> bool {
        match self {
            Self::Healthcheck | Self::Notify => true,
            Self::All(checks) | Self::Any(checks) => checks.iter().all(Self::is_told),
            Self::Tcp(_)
            | Self::Http(_)
            | Self::Grpc { .. }
            | Self::Exec(_)
            | Self::Log(_)
            | Self::File(_)
            | Self::ListensThere(_)
            | Self::TcpThere(_)
            | Self::FileThere(_)
            | Self::Listens(_) => false,
        }
    }

    /// What an attempt that takes too long has not done.
    pub(crate) fn unanswered(&self) -> String {
        match self {
            Self::Tcp(target) | Self::Grpc { target, .. } => format!("no answer from {target}"),
            Self::Http(request) => format!("no answer from {}", request.url),
            Self::Exec(command) => format!("`{}` did not end", command.argv.join(" ")),
            Self::Log(_)
            | Self::Notify
            | Self::File(_)
            | Self::Healthcheck
            | Self::ListensThere(_)
            | Self::TcpThere(_)
            | Self::FileThere(_)
            | Self::Listens(_)
            | Self::All(_)
            | Self::Any(_) => "no answer".to_owned(),
        }
    }
}
