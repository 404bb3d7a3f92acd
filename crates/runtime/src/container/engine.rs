//! The connection to the engine: found and made when it is needed first, and kept.

use super::ContainerConfig;
use super::build::Builds;
use super::find;
use super::raw::Raw;
use super::trouble::Trouble;
use crate::contract::{Capabilities, Capability};
use bollard::{API_DEFAULT_VERSION, Docker};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::Mutex;

/// An engine answers a request within this time, also when it has fifty to start; pulls and builds answer as they go.
const ANSWER_SECONDS: u64 = 120;
/// What Podman fills limits with.
const PODMAN_FILLS: i64 = 1 << 20;

/// An engine that answers.
#[derive(Debug)]
pub(super) struct Client {
    /// Its API.
    pub(super) docker: Docker,
    /// Streams whose bytes we want as they are.
    pub(super) raw: Raw,
    /// It is Podman, which differs in a few places.
    pub(super) is_podman: bool,
    /// It runs in a machine of its own: this machine is reached by the engine's special name.
    pub(super) is_desktop: bool,
    /// API version that both speak: minor of 1.x.
    pub(super) minor: usize,
    /// Limits that must be named with any other, by name: what Podman fills in instead may be more than it is allowed.
    pub(super) named_limits: Vec<(&'static str, i64)>,
    /// What it can do here.
    pub(super) capabilities: Capabilities,
    /// Docker's folder of settings, where what registries ask for is.
    pub(super) docker_config: Option<PathBuf>,
    /// Where its command line is found, as `PATH`.
    pub(super) path: Option<String>,
    /// The builds that run there for us.
    pub(super) builds: Builds,
}

impl Client {
    /// As DOCKER_HOST names it.
    pub(super) fn host(&self) -> String {
        self.raw.host()
    }
}

/// The engine of this machine, whether it answers or not.
pub(super) struct Engine {
    config: ContainerConfig,
    client: Mutex<Option<Arc<Client>>>,
    known: OnceLock<Capabilities>,
}

impl Engine {
    pub(super) fn new(config: ContainerConfig) -> Self {
        Self { config, client: Mutex::default(), known: OnceLock::new() }
    }

    /// The connection. One that was made once stays: requests over it fail while the engine is away.
    pub(super) async fn client(&self) -> Result<Arc<Client>, Trouble> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(Arc::clone(client));
        }
        let config = self.config.clone();
        let found = tokio::task::spawn_blocking(move || find::socket(&config)).await;
        let socket = found.map_err(|error| Trouble::Unreachable(error.to_string()))??;
        let made = Arc::new(connect(socket, &self.config).await?);
        // what could be said before the engine was asked is said better now
        let _ = self.known.set(made.capabilities.clone());
        *client = Some(Arc::clone(&made));
        Ok(made)
    }

    /// What it can do; until it was asked, what engines can do.
    pub(super) fn capabilities(&self) -> Capabilities {
        self.known.get().cloned().unwrap_or_else(everything)
    }
}

async fn connect(socket: PathBuf, config: &ContainerConfig) -> Result<Client, Trouble> {
    let path = socket.to_string_lossy().into_owned();
    let docker = Docker::connect_with_unix(&path, ANSWER_SECONDS, API_DEFAULT_VERSION)?.negotiate_version().await?;
    let version = docker.version().await?;
    let info = docker.info().await?;
    let components = version.components.unwrap_or_default();
    let is_podman = components.iter().any(|component| component.name.contains("Podman"));
    let mut capabilities = everything();
    for (there, capability) in [
        (info.memory_limit, Capability::LimitMemory),
        (info.cpu_cfs_quota, Capability::LimitCpus),
        (info.pids_limit, Capability::LimitPids),
    ] {
        if there == Some(false) {
            capabilities.remove(&capability);
        }
    }
    let named_limits = if is_podman { own_limits(&socket) } else { Vec::new() };
    let agreed = docker.client_version();
    let raw = Raw::new(socket, format!("/v{}.{}", agreed.major_version, agreed.minor_version));
    let is_desktop = info.operating_system.is_some_and(|name| name.contains("Docker Desktop"));
    let builds = Builds::default();
    Ok(Client {
        docker,
        raw,
        is_podman,
        is_desktop,
        minor: agreed.minor_version,
        named_limits,
        capabilities,
        docker_config: config.docker_config.clone(),
        path: config.path.clone(),
        builds,
    })
}

/// The engine's own hard limits where it listens on this machine (proc(5), `limits`). With any ulimit named, Podman sets
/// the others to 1,048,576 (`RLimitDefaultValue`), which it may not be allowed to.
fn own_limits(socket: &Path) -> Vec<(&'static str, i64)> {
    let peer = UnixStream::connect(socket).and_then(|stream| Ok(rustix::net::sockopt::socket_peercred(stream)?.pid));
    let Ok(pid) = peer else { return Vec::new() };
    let text = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())).unwrap_or_default();
    let hard = |title: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(title))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    let limits = [("nofile", "Max open files"), ("nproc", "Max processes")];
    let named = limits.into_iter().filter_map(|(name, title)| Some((name, hard(title)?)));
    named.filter(|(_, hard)| *hard < PODMAN_FILLS).collect()
}

/// What containers can do. Not `Notify`: engines pass no socket of ours into a container.
fn everything() -> Capabilities {
    Capabilities::from([
        Capability::Exec,
        Capability::Attach,
        Capability::Signals,
        Capability::Usage,
        Capability::LimitMemory,
        Capability::LimitCpus,
        Capability::LimitPids,
        Capability::LimitFiles,
        Capability::User,
        Capability::SeparateStreams,
        // whatever left the session is still in the pid namespace, which ends with its first process
        Capability::EndsEscapees,
        Capability::Files,
    ])
}
