//! A service or job as it is wanted.

use crate::{
    ByteSize, ContainerSpec, HumanDuration, Limits, LogPolicy, OnEnd, OnRestart, PortName, ProbeSet, RemoteSpec,
    RestartPolicy, ServiceName, Signal, StopSpec, Template, UnhealthyPolicy, Until,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// Should it run, or should it finish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceKind {
    /// Should run.
    #[default]
    Service,
    /// Should finish; success is an exit code in `success`.
    Job,
}

/// The ways to run a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// A native process of this machine.
    Process,
    /// A container of the local engine.
    Container,
    /// A process on another host.
    Remote,
    /// A deterministic stand-in.
    Mock,
    /// Not ours to run, but probed and depended upon.
    External,
}

impl RuntimeKind {
    /// All of them, in the order in which one is preferred.
    pub const ALL: [Self; 5] = [Self::Process, Self::Container, Self::Remote, Self::Mock, Self::External];

    /// The word for it in files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container => "container",
            Self::Remote => "remote",
            Self::Mock => "mock",
            Self::External => "external",
        }
    }
}

impl std::fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A command: executed as it is, or handed to a shell when the file says `shell:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandSpec {
    /// Program and arguments.
    Exec(Vec<Template>),
    /// `PROGRAM ARGUMENT... SCRIPT`, by default `sh -c SCRIPT`.
    Shell {
        /// The shell and its arguments before the script.
        shell: Vec<String>,
        /// The script.
        script: Template,
    },
}

impl CommandSpec {
    /// The templates in it, in order.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        match self {
            Self::Exec(words) => words.iter(),
            Self::Shell { script, .. } => std::slice::from_ref(script).iter(),
        }
    }
}

/// A step before the first start of a service in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is run.
    pub command: CommandSpec,
    /// Skipped when this path exists.
    pub creates: Option<Template>,
}

/// How a service runs as a native process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The program.
    pub command: CommandSpec,
    /// User to become; only as root.
    pub user: Option<String>,
    /// Steps before the start.
    pub before: Vec<Step>,
    /// File mode creation mask, octal in the file.
    pub umask: Option<u32>,
}

/// A deterministic stand-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MockSpec {
    /// File with the answers.
    pub file: PathBuf,
}

/// A service that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalSpec {
    /// Where it is; empty means not configured.
    pub url: Template,
}

/// The ways in which a service can run; at least one is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Variants {
    /// As a process.
    pub process: Option<ProcessSpec>,
    /// As a container.
    pub container: Option<ContainerSpec>,
    /// On another host.
    pub remote: Option<RemoteSpec>,
    /// As a stand-in.
    pub mock: Option<MockSpec>,
    /// By somebody else.
    pub external: Option<ExternalSpec>,
}

impl Variants {
    /// The kinds that are there.
    #[must_use]
    pub fn kinds(&self) -> Vec<RuntimeKind> {
        RuntimeKind::ALL.into_iter().filter(|kind| self.has(*kind)).collect()
    }

    /// Whether the service can run this way.
    #[must_use]
    pub fn has(&self, kind: RuntimeKind) -> bool {
        match kind {
            RuntimeKind::Process => self.process.is_some(),
            RuntimeKind::Container => self.container.is_some(),
            RuntimeKind::Remote => self.remote.is_some(),
            RuntimeKind::Mock => self.mock.is_some(),
            RuntimeKind::External => self.external.is_some(),
        }
    }
}

/// A build step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// What is run.
    pub command: CommandSpec,
    /// Globs relative to the stack's root; unchanged since the last success: skipped. None: always run.
    pub inputs: Vec<String>,
}

/// Where a port lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortAt {
    /// `5432`: the same in every environment.
    Fixed(u16),
    /// `+5`: from the environment's base.
    Offset(u16),
    /// `auto`: a free place in the environment's block.
    Auto,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// Where it lies on this machine.
    pub at: PortAt,
    /// Port inside a container.
    pub container: Option<u16>,
    /// Distance between two replicas' ports.
    pub stride: Option<u16>,
    /// UDP: not probed for listening.
    pub udp: bool,
    /// Address of this machine it is reached at from outside; without one 127.0.0.1.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

/// An edge: this service needs that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The service that is needed.
    pub service: ServiceName,
    /// What is waited for.
    pub until: Until,
    /// What its restart does here.
    pub restart: OnRestart,
    /// An optional need that cannot be met does not hold the start back.
    pub optional: bool,
}

/// A service's own details, shown by `muster health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetailsSpec {
    /// A unary gRPC method without arguments, found by server reflection.
    Grpc {
        /// `host:port`.
        target: Template,
        /// `package.Service/Method`.
        method: String,
    },
    /// A JSON document.
    Http(Template),
}

/// What `muster cache` talks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheSpec {
    /// Admin RPCs of the service.
    Grpc {
        /// The port they are served on.
        port: PortName,
        /// `package.Service`.
        service: String,
    },
    /// The Redis protocol.
    Redis {
        /// The port it is served on.
        port: PortName,
    },
}

/// What a change of watched paths does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchAction {
    /// Stop and start.
    Restart,
    /// Run the build step, then stop and start.
    Rebuild,
    /// Send a signal to the main process.
    Signal(Signal),
    /// Copy the changed paths to where the service runs.
    Sync(WatchCopy),
    /// Run a command.
    Run(CommandSpec),
}

/// Where changed paths are copied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchCopy {
    /// The folder or file, relative to the stack's root, that `to` stands for; empty: the root itself.
    pub from: String,
    /// Its absolute path where the service runs. None: the service runs on these files.
    pub to: Option<String>,
    /// What is there when the watching begins is copied, too.
    pub initial: bool,
    /// What is done afterwards.
    pub then: AfterCopy,
}

/// What is done when changed paths were copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterCopy {
    /// Nothing: the service sees its files change.
    #[default]
    Nothing,
    /// Stop and start, with what was copied.
    Restart,
    /// Run a command beside the service.
    Exec(CommandSpec),
}

/// Watched paths and what their change does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRule {
    /// Globs relative to the stack's root.
    pub paths: Vec<String>,
    /// Globs that do not count.
    pub ignore: Vec<String>,
    /// What is done.
    pub action: WatchAction,
}

/// A named unit that should run, or finish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// One line for people.
    pub description: Option<String>,
    /// The group it is selected and shown by.
    pub group: Option<String>,
    /// Further names it is selected by.
    pub aliases: Vec<String>,
    /// Should it run or finish.
    pub kind: ServiceKind,
    /// The ways it can run.
    pub variants: Variants,
    /// The way it runs in this environment; always one of `variants`.
    pub runtime: RuntimeKind,
    /// Build step before a start.
    pub build: Option<BuildSpec>,
    /// Named ports.
    pub ports: IndexMap<PortName, PortSpec>,
    /// Environment variables, in order of declaration.
    pub env: IndexMap<String, Template>,
    /// Edges to other services.
    pub needs: Vec<Need>,
    /// Probes.
    pub probes: ProbeSet,
    /// Own health details.
    pub details: Option<DetailsSpec>,
    /// Restart policy.
    pub restart: RestartPolicy,
    /// What failing liveness does.
    pub unhealthy: UnhealthyPolicy,
    /// Copies; 0 means none is started.
    pub replicas: u16,
    /// Working directory, absolute.
    pub cwd: Template,
    /// Runs on a pseudo-terminal.
    pub tty: bool,
    /// Standard error goes into the same pipe as standard output: one exact order.
    pub merge: bool,
    /// Gets the caller's whole environment.
    pub inherit: bool,
    /// Exit codes that count as success.
    pub success: Vec<i32>,
    /// What a failure does to an attached `up`.
    pub on_failure: OnEnd,
    /// What any end does to an attached `up`.
    pub on_exit: OnEnd,
    /// What it may use.
    pub limits: Limits,
    /// Watched paths.
    pub watch: Vec<WatchRule>,
    /// What is kept of its output.
    pub logs: LogPolicy,
    /// Its cache.
    pub cache: Option<CacheSpec>,
    /// A job's inputs: unchanged since the last success, it is not run again. None: it runs on every `up`.
    pub inputs: Vec<String>,
    /// How it is stopped.
    pub stop: StopSpec,
    /// Part of `all`; else it starts only when named or needed.
    pub autostart: bool,
    /// An external service that may be absent.
    pub optional: bool,
}

impl ServiceSpec {
    /// A service that runs a process, everything else at its default. What an importer or a test starts from.
    #[must_use]
    pub fn process(name: ServiceName, command: CommandSpec, cwd: &str) -> Self {
        let process = ProcessSpec { command, user: None, before: Vec::new(), umask: None };
        Self {
            name,
            description: None,
            group: None,
            aliases: Vec::new(),
            kind: ServiceKind::Service,
            variants: Variants { process: Some(process), ..Variants::default() },
            runtime: RuntimeKind::Process,
            build: None,
            ports: IndexMap::new(),
            env: IndexMap::new(),
            needs: Vec::new(),
            probes: ProbeSet::default(),
            details: None,
            restart: RestartPolicy::default(),
            unhealthy: UnhealthyPolicy::default(),
            replicas: 1,
            cwd: Template::literal(cwd),
            tty: false,
            merge: false,
            inherit: false,
            success: vec![0],
            on_failure: OnEnd::Keep,
            on_exit: OnEnd::Keep,
            limits: Limits::default(),
            watch: Vec::new(),
            logs: LogPolicy::default(),
            cache: None,
            inputs: Vec::new(),
            stop: StopSpec::default(),
            autostart: true,
            optional: false,
        }
    }

    /// Whether an exit code counts as success.
    #[must_use]
    pub fn succeeded(&self, code: i32) -> bool {
        self.success.contains(&code)
    }

    /// Bytes of log kept per run.
    #[must_use]
    pub fn log_keep(&self) -> &ByteSize {
        &self.logs.keep
    }

    /// Time between the request to stop and KILL.
    #[must_use]
    pub fn grace(&self) -> &HumanDuration {
        &self.stop.grace
    }
}
