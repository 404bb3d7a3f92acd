//! Native processes of this machine, each under its own `muster-shim`.
//!
//! ```text
//!  ProcessRuntime ──► Driver: registry of runs
//!     start ──► spawner thread: folder, socket pair, hand-over, posix_spawn ──► shim ──► service
//!        └────► Link, one task per run: the connection, requests, events; when the shim dies: burial
//!     recover ► adopt: exit record? else meta + pid + start time + boot id, then hello over the shim's socket
//! ```
//!
//! Nothing here must live for a service to live. What is true lies in the run's folder
//! (`state/ENV/api#1/17`: `meta`, `exit`, `log.*`); a link is only how it is learned at once.
//!
//! A start is a task of its own: dropping its future stops nobody. Descriptors per run: the connection, a pidfd, and
//! duplicates of the pipes, which keep the last bytes of a service whose shim is killed.

mod adopt;
mod bury;
mod cgroup;
mod connection;
mod driver;
mod failure;
mod inspect;
mod launch;
mod link;
mod paths;
mod records;
mod retention;
mod run;
mod spawner;
mod terminal;
mod validate;

pub(crate) use driver::{mark_destroyed, read_log};
pub(crate) use paths::Layout;
pub(crate) use retention::{is_destroyed, prune, runs};

use crate::contract::{
    Capabilities, Exec, Found, FoundRun, Handle, Inspect, LogChunk, Problem, Runtime, RuntimeError, RuntimeEvent,
    StartError, Terminal,
};
use driver::Driver;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use muster_shim::Meta;
use muster_sockets::Holder;
use muster_spec::{EnvironmentId, InstanceId, InstanceSpec, RunId, RuntimeKind, SecretText, Signal, Target};
use run::{Phase, What};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How many run folders of an instance are kept unless something else is asked for.
pub const KEEP_RUNS: usize = 10;
/// Runs that are looked at at the same time when an environment is listed: each holds a few descriptors.
const LOOK_AT_ONCE: usize = 128;

/// Where things are and what services get.
#[derive(Debug, Clone)]
pub struct Config {
    /// The supervisor's binary.
    pub shim: PathBuf,
    /// Run folders lie below it: `ENV/INSTANCE/RUN`.
    pub state_dir: PathBuf,
    /// Sockets lie below it; at most 83 bytes long.
    pub runtime_dir: PathBuf,
    /// The limit on open files (soft, hard) that services get where they name none: what the daemon had before it
    /// raised its own. `None`: they get the daemon's.
    pub original_nofile: Option<(u64, u64)>,
}

/// Drives `muster-shim`. A cheap clone.
#[derive(Clone)]
pub struct ProcessRuntime {
    driver: Arc<Driver>,
}

impl std::fmt::Debug for ProcessRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessRuntime").finish_non_exhaustive()
    }
}

impl ProcessRuntime {
    /// Makes a runtime and its spawner thread. Starts and adopts nothing.
    ///
    /// # Errors
    /// Where the runtime folder's path is too long for sockets, or no thread can be made.
    pub fn new(config: Config) -> Result<Self, RuntimeError> {
        Ok(Self { driver: Arc::new(Driver::new(config)?) })
    }

    /// Ends everything that carries a run's mark although its supervisor cannot be verified: only when a user says so.
    ///
    /// # Errors
    /// Where the end cannot be recorded.
    pub async fn end_unverified(&self, run: &RunId) -> Result<(), RuntimeError> {
        self.driver.end_unverified(run).await
    }

    /// The folder of a run's records and log.
    #[must_use]
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.driver.layout.run(run)
    }
}

impl Runtime for ProcessRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Process
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities.clone()
    }

    fn validate(&self, spec: &InstanceSpec) -> Vec<Problem> {
        validate::validate(spec, &self.driver.capabilities)
    }

    fn start<'a>(&'a self, run: &'a RunId, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<Handle, StartError>> {
        Arc::clone(&self.driver).start(run, spec).boxed()
    }

    fn recover<'a>(&'a self, run: &'a RunId, _known: Option<&'a Handle>) -> BoxFuture<'a, Found> {
        self.driver.recover(run).boxed()
    }

    fn list<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<Vec<FoundRun>, RuntimeError>> {
        async move {
            let runs = runs(&self.driver.layout, environment)
                .map_err(|error| io_error(format!("could not list the runs of `{environment}`"), error))?;
            let looks = runs.into_iter().map(|run| async move {
                let found = self.driver.recover(&run).await;
                FoundRun { run, found }
            });
            let found: Vec<FoundRun> = stream::iter(looks).buffer_unordered(LOOK_AT_ONCE).collect().await;
            Ok(found.into_iter().filter(|run| run.found != Found::Absent).collect())
        }
        .boxed()
    }

    fn signal<'a>(&'a self, handle: &'a Handle, signal: Signal, to: Target) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let what = What::Signal { signal: signal.number(), to: launch::target(to) };
        self.driver.ask(handle, what).boxed()
    }

    fn kill<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.ask(handle, What::Kill).boxed()
    }

    fn watch(&self, handle: &Handle) -> BoxStream<'static, RuntimeEvent> {
        if let Some(run) = self.driver.known(&handle.run) {
            return run.events();
        }
        let (driver, run) = (Arc::clone(&self.driver), handle.run.clone());
        // not linked yet: a daemon before us started it
        let events = async move {
            match driver.recover(&run).await {
                Found::Running(_) => match driver.known(&run) {
                    Some(run) => run.events(),
                    None => stream::iter(driver.recorded(&run).map(RuntimeEvent::Exited)).boxed(),
                },
                Found::Exited(record) => stream::iter([RuntimeEvent::Exited(record)]).boxed(),
                Found::Absent => stream::iter([RuntimeEvent::LinkLost("nothing is left of it".into())]).boxed(),
                Found::Unverifiable(reason) => stream::iter([RuntimeEvent::LinkLost(reason)]).boxed(),
            }
        };
        events.flatten_stream().boxed()
    }

    fn logs<'a>(&'a self, handle: &'a Handle, from: u64) -> BoxFuture<'a, Result<Vec<LogChunk>, RuntimeError>> {
        let folder = self.driver.layout.run(&handle.run);
        async move {
            let read = tokio::task::spawn_blocking(move || read_log(&folder, from));
            read.await.unwrap_or_else(|error| Err(io_error("could not read a log", io::Error::other(error))))
        }
        .boxed()
    }

    fn exec<'a>(&'a self, handle: &'a Handle, exec: &'a Exec) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        async move {
            let run = self.driver.linked(&handle.run).await?;
            match run.settled().await {
                Phase::Running(now) => terminal::exec(&run, now.pid.unwrap_or(0), exec).await,
                Phase::Starting | Phase::Failed(_) | Phase::Ended(_) => Err(RuntimeError::Gone(run.id.clone())),
            }
        }
        .boxed()
    }

    fn attach<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        async move {
            let run = self.driver.linked(&handle.run).await?;
            terminal::attach(&run).await
        }
        .boxed()
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Inspect, RuntimeError>> {
        self.driver.inspect(handle).boxed()
    }

    fn destroy<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.destroy(run).boxed()
    }

    fn leave<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        // one that is not empty belongs to a run that is still there, and stays
        let _ = std::fs::remove_dir(self.driver.layout.sockets(environment));
        std::future::ready(Ok(())).boxed()
    }

    fn holders<'a>(&'a self, handle: &'a Handle, ports: &'a [u16]) -> BoxFuture<'a, Result<Vec<Holder>, RuntimeError>> {
        let (roots, ports) = (self.roots(handle), ports.to_vec());
        async move {
            let told = |error| io_error("could not find out who has a port", error);
            let looks =
                move || ports.iter().map(|port| muster_sockets::holder(*port, &roots)).collect::<io::Result<Vec<_>>>();
            let found = tokio::task::spawn_blocking(looks).await;
            found.map_err(|error| told(io::Error::other(error)))?.map_err(told)
        }
        .boxed()
    }

    /// The supervisor: what forked away from the main process is its child.
    fn roots(&self, handle: &Handle) -> Vec<u32> {
        match Meta::read(&self.driver.layout.run(&handle.run)) {
            Ok(Some(meta)) => vec![meta.shim_pid],
            Ok(None) | Err(_) => handle.pid.into_iter().collect(),
        }
    }

    /// So that the last bytes of a killed supervisor are redacted as well.
    fn remember_secrets(&self, run: &RunId, secrets: &[SecretText]) {
        if let Some(run) = self.driver.known(run) {
            run.set_secrets(secrets.iter().map(|secret| secret.expose().as_bytes().to_vec()).collect());
        }
    }

    fn retain(&self, of: &EnvironmentId, instance: &InstanceId, keep: usize) -> Result<usize, RuntimeError> {
        prune(&self.driver.layout, of, instance, keep)
            .map_err(|error| io_error(format!("could not remove old runs of `{instance}`"), error))
    }
}

fn io_error(context: impl Into<String>, source: io::Error) -> RuntimeError {
    RuntimeError::Io { context: context.into(), source }
}
