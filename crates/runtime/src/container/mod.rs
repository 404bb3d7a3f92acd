//! Containers of Docker and Podman, over the Engine API.
//!
//! ```text
//!  ContainerRuntime ──► Driver: registry of runs
//!     start ──► network, volumes, image ──► create by name and label ──► start ──► carry: one set of tasks per run
//!     Events: one stream per engine ──► die, destroy, health_status ──► the run's end
//!     Copier: the container's log, followed ──► run folder, redacted         what all queries read
//! ```
//!
//! Nothing here must live for a container to live. What is true lies at the engine, found again by labels, and in the run's
//! folder: `container` (what was started), `container-position` (how far its log is copied), `container-exit` (how it
//! ended). The engine is looked for when the first container is; stacks without any never touch one.
//!
//! What an engine can tell is less than what a supervisor of ours could: an exit by 128 and a signal's number counts as that
//! signal, signals go to the first process only (`stop.to: group` is the same as `main`: an init of the container passes
//! them on), and the end of a container that somebody else removes is [`Known::Removed`](crate::Known::Removed).

mod api;
mod bring;
mod build;
mod buildkit;
mod carry;
mod context;
mod copier;
mod create;
mod credentials;
mod driver;
mod engine;
mod events;
mod failure;
mod find;
mod frames;
mod guard;
mod health;
mod image;
mod inspect;
mod lines;
mod mounts;
mod names;
mod network;
mod overlay;
mod position;
mod prepare;
mod raw;
mod records;
mod report;
mod run;
mod sink;
mod start;
mod terminal;
mod trouble;
mod validate;

pub use context::left_out;

use crate::contract::{
    BroughtTo, Built, Capabilities, Changes, Exec, Found, FoundRun, Handle, Heard, Inspect, LogChunk, Problem, Runtime,
    RuntimeError, RuntimeEvent, StartError, Terminal,
};
use crate::process::{prune, read_log};
use driver::Driver;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use muster_spec::{EnvironmentId, InstanceId, InstanceSpec, RunId, RuntimeKind, SecretText, Signal, Target};
use run::Phase;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use trouble::Trouble;

/// Where things are, and which engine is meant.
#[derive(Debug, Clone)]
pub struct ContainerConfig {
    /// Run folders lie below it: `ENV/INSTANCE/RUN`. Its path is who we are at the engine.
    pub state_dir: PathBuf,
    /// As `DOCKER_HOST`: `unix:///path`. Before everything else.
    pub host: Option<String>,
    /// As `DOCKER_CONTEXT`: a docker context instead of the chosen one.
    pub context: Option<String>,
    /// Docker's folder of settings, `~/.docker`: the chosen context and the contexts.
    pub docker_config: Option<PathBuf>,
    /// The user's runtime folder, where sockets of rootless engines are.
    pub runtime_dir: Option<PathBuf>,
    /// As `PATH`: where the `docker` is found that builds with BuildKit. `None`: that of this process.
    pub path: Option<String>,
}

/// Drives an engine. A cheap clone.
#[derive(Clone)]
pub struct ContainerRuntime {
    driver: Arc<Driver>,
}

impl std::fmt::Debug for ContainerRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerRuntime").finish_non_exhaustive()
    }
}

impl ContainerRuntime {
    /// Makes a runtime. Connects to nothing.
    #[must_use]
    pub fn new(config: ContainerConfig) -> Self {
        Self { driver: Arc::new(Driver::new(config)) }
    }
}

impl Runtime for ContainerRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Container
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.engine.capabilities()
    }

    fn validate(&self, spec: &InstanceSpec) -> Vec<Problem> {
        validate::validate(spec, &self.driver.engine.capabilities())
    }

    fn start<'a>(&'a self, run: &'a RunId, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<Handle, StartError>> {
        self.driver.start(run, spec).boxed()
    }

    fn prepare<'a>(
        &'a self,
        run: &'a RunId,
        spec: &'a InstanceSpec,
        heard: Option<Heard>,
    ) -> BoxFuture<'a, Result<Built, StartError>> {
        prepare::prepare(&self.driver, run, spec, heard).boxed()
    }

    fn recover<'a>(&'a self, run: &'a RunId, _known: Option<&'a Handle>) -> BoxFuture<'a, Found> {
        self.driver.recover(run).boxed()
    }

    fn list<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<Vec<FoundRun>, RuntimeError>> {
        self.driver.list(environment).boxed()
    }

    /// To the container's first process, whoever it is meant for: an engine knows no groups.
    fn signal<'a>(
        &'a self,
        handle: &'a Handle,
        signal: Signal,
        _to: Target,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.signal(handle, signal.number()).boxed()
    }

    fn kill<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.signal(handle, libc::SIGKILL).boxed()
    }

    fn watch(&self, handle: &Handle) -> BoxStream<'static, RuntimeEvent> {
        Arc::clone(&self.driver).watch(handle.clone())
    }

    fn logs<'a>(&'a self, handle: &'a Handle, from: u64) -> BoxFuture<'a, Result<Vec<LogChunk>, RuntimeError>> {
        let folder = self.driver.layout.run(&handle.run);
        async move {
            let read = tokio::task::spawn_blocking(move || read_log(&folder, from));
            read.await.unwrap_or_else(|error| Err(driver::io_error("could not read a log", io::Error::other(error))))
        }
        .boxed()
    }

    fn exec<'a>(&'a self, handle: &'a Handle, exec: &'a Exec) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        async move {
            let run = self.driver.linked(&handle.run).await?;
            terminal::exec(&self.driver, &run, exec).await
        }
        .boxed()
    }

    fn bring<'a>(&'a self, handle: &'a Handle, changes: &'a Changes) -> BoxFuture<'a, Result<BroughtTo, RuntimeError>> {
        bring::bring(&self.driver, &handle.run, changes).boxed()
    }

    fn attach<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        async move {
            let run = self.driver.linked(&handle.run).await?;
            terminal::attach(&self.driver, &run).await
        }
        .boxed()
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Inspect, RuntimeError>> {
        async move {
            let gone = || RuntimeError::Gone(handle.run.clone());
            let run = self.driver.linked(&handle.run).await?;
            let Phase::Running(now) = run.settled().await else { return Err(gone()) };
            let id = run.container().ok_or_else(gone)?;
            let client = self.driver.engine.client().await?;
            let known = inspect::inspect(&client, &id, now.pid).await;
            known.map_err(|trouble: Trouble| trouble.about(&handle.run))?.ok_or_else(gone)
        }
        .boxed()
    }

    fn destroy<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.destroy(run).boxed()
    }

    fn leave<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.leave(environment).boxed()
    }

    fn remove_data<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>> {
        async move { self.driver.remove_data(environment).await.map(|()| Vec::new()) }.boxed()
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), RuntimeError>> {
        async move { Ok(self.driver.answers().await?) }.boxed()
    }

    fn gateway<'a>(
        &'a self,
        environment: &'a EnvironmentId,
    ) -> BoxFuture<'a, Result<Option<std::net::IpAddr>, RuntimeError>> {
        async move { Ok(self.driver.gateway(environment).await?) }.boxed()
    }

    /// None: what runs in a container has no port of this machine.
    fn roots(&self, _handle: &Handle) -> Vec<u32> {
        Vec::new()
    }

    fn remember_secrets(&self, run: &RunId, secrets: &[SecretText]) {
        self.driver.remember_secrets(run, secrets);
    }

    fn retain(&self, of: &EnvironmentId, instance: &InstanceId, keep: usize) -> Result<usize, RuntimeError> {
        prune(&self.driver.layout, of, instance, keep)
            .map_err(|error| driver::io_error(format!("could not remove old runs of `{instance}`"), error))
    }
}

/// An event stream of nothing but this.
fn only(event: RuntimeEvent) -> BoxStream<'static, RuntimeEvent> {
    stream::iter([event]).boxed()
}
