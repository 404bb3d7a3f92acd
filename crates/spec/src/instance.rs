//! Instances, runs, and what a runtime is given.

use crate::{ContainerRun, EnvironmentName, Limits, LogPolicy, RemoteRun, RuntimeKind, ServiceName, Signal, Target};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// An environment of one stack, unique per user: (hash of the canonical root, name).
///
/// Printed as `name-1a2b3c4d`; this is the folder's name below the state folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentId {
    /// The environment's name.
    pub name: EnvironmentName,
    /// First 32 bits of the SHA-256 of the canonical root.
    pub root: u32,
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.name, self.root)
    }
}

/// Not a printed identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an identity of an environment, instance or run")]
pub struct IdentityError(pub String);

impl FromStr for EnvironmentId {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError(text.to_owned());
        let (name, root) = text.rsplit_once('-').ok_or_else(wrong)?;
        let root = u32::from_str_radix(root, 16).map_err(|_| wrong())?;
        Ok(Self { name: EnvironmentName::new(name).map_err(|_| wrong())?, root })
    }
}

impl TryFrom<String> for EnvironmentId {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        text.parse()
    }
}

impl From<EnvironmentId> for String {
    fn from(id: EnvironmentId) -> String {
        id.to_string()
    }
}

/// Service x replica within an environment. Printed as `name` for replica 1 of one, else `name#2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    /// The service.
    pub service: ServiceName,
    /// The copy, from 1.
    pub replica: u16,
}

impl InstanceId {
    /// The first copy of a service.
    #[must_use]
    pub fn first(service: ServiceName) -> Self {
        Self { service, replica: 1 }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.replica == 1 {
            f.pad(self.service.as_str())
        } else {
            f.pad(&format!("{}#{}", self.service, self.replica))
        }
    }
}

impl FromStr for InstanceId {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError(text.to_owned());
        let (service, replica) = match text.split_once('#') {
            Some((service, number)) => (service, number.parse().map_err(|_| wrong())?),
            None => (text, 1),
        };
        Ok(Self { service: ServiceName::new(service).map_err(|_| wrong())?, replica })
    }
}

impl TryFrom<String> for InstanceId {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> String {
        id.to_string()
    }
}

/// Instance x start: the caller chooses it before the start, so that a start is idempotent and a started process always
/// belongs to somebody. Numbers grow for ever within an instance. Printed as `local-1a2b3c4d/api#2/17`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId {
    /// The environment.
    pub environment: EnvironmentId,
    /// The instance.
    pub instance: InstanceId,
    /// Which start of it, from 1.
    pub number: u64,
    /// A step of that start (`build`, `before-0`, `stop`) instead of the service itself.
    pub step: Option<String>,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}/{}", self.environment, self.instance.service, self.instance.replica, self.number)?;
        self.step.as_ref().map_or(Ok(()), |step| write!(f, ".{step}"))
    }
}

impl FromStr for RunId {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = || IdentityError(text.to_owned());
        let mut pieces = text.split('/');
        let (Some(environment), Some(instance), Some(run), None) =
            (pieces.next(), pieces.next(), pieces.next(), pieces.next())
        else {
            return Err(wrong());
        };
        let (number, step) = run.split_once('.').map_or((run, None), |(n, s)| (n, Some(s.to_owned())));
        Ok(Self {
            environment: environment.parse()?,
            instance: instance.parse()?,
            number: number.parse().map_err(|_| wrong())?,
            step,
        })
    }
}

impl TryFrom<String> for RunId {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.to_string()
    }
}

/// A text that never appears in a log, status, plan or error of ours.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Keeps a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself: only for the service that declared it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A command with nothing left to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedCommand {
    /// Program and arguments; the program is looked up along the PATH of `env` when it has no slash.
    pub argv: Vec<String>,
    /// The whole environment, sorted by name; a value may hold a secret.
    pub env: Vec<(String, SecretText)>,
    /// Working directory.
    pub cwd: PathBuf,
}

/// What standard output and error are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Streams {
    /// Two pipes.
    #[default]
    Separate,
    /// One pipe for both.
    Merged,
    /// A pseudo-terminal.
    Terminal,
}

/// What an instance is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunMode {
    /// A service or job of the stack.
    #[default]
    Service,
    /// A build, a step before the start, a stop command.
    Step,
}

/// What a runtime is given to start one run: everything resolved, nothing to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// The runtime it is meant for.
    pub runtime: RuntimeKind,
    /// Service or step.
    pub mode: RunMode,
    /// What is run.
    pub command: ResolvedCommand,
    /// User to become; only as root.
    pub user: Option<String>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// What the streams are.
    pub streams: Streams,
    /// What it may use.
    pub limits: Limits,
    /// What is kept of its output.
    pub logs: LogPolicy,
    /// The signal that asks it to stop, also when its supervisor is asked to.
    pub stop_signal: Signal,
    /// Who the signal goes to.
    pub stop_to: Target,
    /// How long until KILL, when its supervisor is asked to stop by itself.
    pub grace: Duration,
    /// Gets a `NOTIFY_SOCKET`.
    pub notify: bool,
    /// Texts that are overwritten in its log.
    pub secrets: Vec<SecretText>,
    /// Ports it should listen on: name and number on this machine.
    pub ports: Vec<(String, u16)>,
    /// What a container is made of; its environment stands in `command`, whose `argv` is not used.
    #[serde(default)]
    pub container: Option<ContainerRun>,
    /// Where a remote process runs and how it is reached.
    #[serde(default)]
    pub remote: Option<RemoteRun>,
    /// Changes when anything that matters for the running instance does: what `stale` compares.
    pub hash: String,
}

impl InstanceSpec {
    /// A process with nothing but its command: TERM to its group and ten seconds' grace, no limits, logs as usual.
    #[must_use]
    pub fn process(command: ResolvedCommand) -> Self {
        Self {
            runtime: RuntimeKind::Process,
            mode: RunMode::Service,
            command,
            user: None,
            umask: None,
            streams: Streams::Separate,
            limits: Limits::default(),
            logs: LogPolicy::default(),
            stop_signal: Signal::TERM,
            stop_to: Target::Group,
            grace: Duration::from_secs(10),
            notify: false,
            secrets: Vec::new(),
            ports: Vec::new(),
            container: None,
            remote: None,
            hash: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_print_and_parse() {
        for text in ["local-0000002a/api#1/7", "my-env-ffffffff/mem.x#12/1.before-0"] {
            assert_eq!(text.parse::<RunId>().unwrap().to_string(), text);
        }
        for text in ["api", "api#2"] {
            assert_eq!(text.parse::<InstanceId>().unwrap().to_string(), text);
        }
        for wrong in ["", "a/b", "local-zz/api#1/1", "local-0000002a/api#1/x", "local-0000002a/api#1/1/2"] {
            assert!(wrong.parse::<RunId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", SecretText::new("hunter2".into())), "<secret>");
    }
}
