//! Processes on other hosts, over the user's own OpenSSH.
//!
//! ```text
//!  RemoteRuntime ──► Driver ──► Host, one per name: one ssh master, one session in it, tunnels on it
//!     start, signal, exec ...      │
//!        └─► calls and channels ───┴──── ssh ────► muster-agent ──► the process driver ──► muster-shim ──► service
//!  Run: a task that listens, and copies the log into the run's folder here (Mirror)
//! ```
//!
//! The agent is to a host what the daemon is to this machine, and as little depends on it: when the link is lost it ends,
//! and shims and services go on. The next one takes them back with the code that takes them back after a daemon's
//! death. So a lost link is a state here, and nothing there.
//!
//! Nothing of ssh is touched before the first run of a host is asked for. What is on a host: the two binaries in
//! `~/.cache/muster`, named by their content, and `~/.local/state/muster-remote/OWNER`, one for each home of Muster.

mod binaries;
mod bring;
mod driver;
mod folders;
mod host;
mod master;
mod masters;
mod mux;
mod record;
mod run;
mod ssh;
mod start;
mod sync;
mod terminal;
mod trouble;
mod tunnels;
mod upload;
pub(crate) mod wire;

pub use binaries::{Binary, HostBinaries};
pub use folders::HostFolders;
pub use masters::Masters;
pub use ssh::SshOptions;

use crate::contract::{
    BroughtTo, Capabilities, Capability, Changes, Exec, Found, FoundRun, Handle, Inspect, LogChunk, Problem, Runtime,
    RuntimeError, RuntimeEvent, StartError, Terminal,
};
use crate::process::{prune, read_log};
use crate::progress::Phase;
use driver::{Driver, confused};
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use muster_sockets::Holder;
use muster_spec::{EnvironmentId, InstanceId, InstanceSpec, RunId, RuntimeKind, SecretText, Signal, Target, Tunnel};
use record::Placed;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use wire::{Answer, Ask, OpenAsk};

/// Where things are on this machine.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Run folders lie below it: `ENV/INSTANCE/RUN`.
    pub state_dir: PathBuf,
    /// ssh's masters: their control sockets lie in a folder whose path is at most 83 bytes long. One value for all drivers
    /// of a daemon.
    pub masters: Masters,
    /// Where folders of services lie on hosts.
    pub folders: HostFolders,
    /// How ssh is run.
    pub ssh: SshOptions,
    /// What is brought to hosts, by kind of machine.
    pub binaries: Vec<HostBinaries>,
}

/// Drives processes on other hosts. A cheap clone.
#[derive(Clone)]
pub struct RemoteRuntime {
    driver: Arc<Driver>,
}

impl std::fmt::Debug for RemoteRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteRuntime").finish_non_exhaustive()
    }
}

impl RemoteRuntime {
    /// Makes a runtime. Connects to nothing.
    #[must_use]
    pub fn new(config: RemoteConfig) -> Self {
        Self { driver: Arc::new(Driver::new(config)) }
    }

    /// Listens to a run that was not looked at yet, or cannot be seen now.
    async fn listened(&self, handle: &Handle) -> BoxStream<'static, RuntimeEvent> {
        let driver = &self.driver;
        match driver.recover(&handle.run, Some(handle)).await {
            Found::Absent => stream::iter([RuntimeEvent::LinkLost("nothing is left of it".into())]).boxed(),
            Found::Exited(record) => match driver.known(&handle.run) {
                Some(run) => run.events(),
                None => stream::iter([RuntimeEvent::Exited(record)]).boxed(),
            },
            found @ (Found::Running(_) | Found::Unverifiable(_)) => {
                if let (Found::Unverifiable(reason), None, Some(placed)) =
                    (&found, driver.known(&handle.run), driver.placed(&handle.run, Some(handle)))
                    && let Ok(host) = driver.host(&placed.host)
                {
                    let phase = Phase::Running(handle.clone());
                    let (run, fresh) = driver.register(&handle.run, placed.clone(), &host, phase);
                    run.lost(Some(reason.clone()));
                    host.tunnels.note(&handle.run, &placed.tunnels).await;
                    if fresh {
                        let _ = run.handle.set(handle.clone());
                        tokio::spawn(Arc::clone(&run).carry());
                    }
                }
                match driver.known(&handle.run) {
                    Some(run) => run.events(),
                    None => stream::empty().boxed(),
                }
            }
        }
    }
}

impl Runtime for RemoteRuntime {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Remote
    }

    fn capabilities(&self) -> Capabilities {
        // what every host has; limits that need a cgroup of our own are not among it
        Capabilities::from([
            Capability::Exec,
            Capability::Attach,
            Capability::Signals,
            Capability::Usage,
            Capability::LimitMemory,
            Capability::LimitFiles,
            Capability::User,
            Capability::Notify,
            Capability::SeparateStreams,
            Capability::EndsEscapees,
            Capability::Files,
        ])
    }

    fn validate(&self, spec: &InstanceSpec) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say =
            |field: &str, message: &str| problems.push(Problem { field: field.into(), message: message.into() });
        match &spec.remote {
            None => say("remote.host", "no host is named"),
            Some(remote) if remote.host.is_empty() || remote.host.starts_with('-') => {
                say("remote.host", "a host is named as ssh knows it: `db1`, `me@db1`, `ssh://me@db1:2222`");
            }
            Some(_) => {}
        }
        let without_cgroup = "is not set on other hosts; leave it out, or limit memory or open files";
        if spec.limits.cpus.is_some() {
            say("limits.cpus", &format!("a limit on CPU {without_cgroup}"));
        }
        if spec.limits.pids.is_some() {
            say("limits.pids", &format!("a limit on processes {without_cgroup}"));
        }
        if spec.command.argv.first().is_none_or(String::is_empty) {
            say("command", "the command is empty");
        }
        problems
    }

    fn start<'a>(&'a self, run: &'a RunId, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<Handle, StartError>> {
        Arc::clone(&self.driver).start(run, spec).boxed()
    }

    fn recover<'a>(&'a self, run: &'a RunId, known: Option<&'a Handle>) -> BoxFuture<'a, Found> {
        self.driver.recover(run, known).boxed()
    }

    fn list<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<Vec<FoundRun>, RuntimeError>> {
        self.driver.list(environment).boxed()
    }

    fn signal<'a>(&'a self, handle: &'a Handle, signal: Signal, to: Target) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let ask = Ask::Signal { run: handle.run.clone(), signal, to };
        async move { self.driver.ask(handle, ask).await.map(|_| ()) }.boxed()
    }

    fn kill<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let ask = Ask::Kill { run: handle.run.clone() };
        async move { self.driver.ask(handle, ask).await.map(|_| ()) }.boxed()
    }

    fn watch(&self, handle: &Handle) -> BoxStream<'static, RuntimeEvent> {
        if let Some(run) = self.driver.known(&handle.run) {
            return run.events();
        }
        let (runtime, handle) = (self.clone(), handle.clone());
        async move { runtime.listened(&handle).await }.flatten_stream().boxed()
    }

    fn logs<'a>(&'a self, handle: &'a Handle, from: u64) -> BoxFuture<'a, Result<Vec<LogChunk>, RuntimeError>> {
        let folder = self.driver.layout.run(&handle.run);
        async move {
            let read = tokio::task::spawn_blocking(move || read_log(&folder, from)).await;
            read.unwrap_or_else(|error| {
                let source = io::Error::other(error);
                Err(RuntimeError::Io { context: "could not read a log".to_owned(), source })
            })
        }
        .boxed()
    }

    fn exec<'a>(&'a self, handle: &'a Handle, exec: &'a Exec) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        let ask = OpenAsk::Exec { run: handle.run.clone(), exec: exec.into() };
        async move { terminal::open(&self.driver.link(handle).await?, ask).await }.boxed()
    }

    fn bring<'a>(&'a self, handle: &'a Handle, changes: &'a Changes) -> BoxFuture<'a, Result<BroughtTo, RuntimeError>> {
        bring::bring(&self.driver, handle, changes).boxed()
    }

    fn attach<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        let ask = OpenAsk::Attach { run: handle.run.clone() };
        async move { terminal::open(&self.driver.link(handle).await?, ask).await }.boxed()
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Inspect, RuntimeError>> {
        let ask = Ask::Inspect { run: handle.run.clone() };
        async move {
            match self.driver.ask(handle, ask).await? {
                Answer::Inspected(inspect) => Ok(*inspect),
                other => Err(confused(&other)),
            }
        }
        .boxed()
    }

    fn destroy<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.destroy(run).boxed()
    }

    fn leave<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            for host in self.driver.hosts() {
                if host.left(environment)
                    && let Some(mux) = host.there()
                {
                    let ask = self.driver.leaving(environment);
                    // a host that is lost meanwhile keeps folders for sockets
                    let _ = driver::answered(&mux, ask).await;
                }
                host.release().await;
            }
            Ok(())
        }
        .boxed()
    }

    fn remove_data<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>> {
        self.driver.remove_data(environment).boxed()
    }

    fn remove_logs<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.driver.remove_logs(environment).boxed()
    }

    fn reroute<'a>(&'a self, handle: &'a Handle, tunnels: &'a [Tunnel]) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            let Some(run) = self.driver.known(&handle.run) else { return Ok(()) };
            let placed = Placed { tunnels: tunnels.to_vec(), ..run.placed.clone() };
            // first, so that the next daemon opens these
            placed.write(&run.folder).map_err(|source| RuntimeError::Io {
                context: format!("could not write to folder `{}`", run.folder.display()),
                source,
            })?;
            Ok(run.host.tunnels.open(&run.host.ssh, &run.id, tunnels).await?)
        }
        .boxed()
    }

    fn holders<'a>(&'a self, handle: &'a Handle, ports: &'a [u16]) -> BoxFuture<'a, Result<Vec<Holder>, RuntimeError>> {
        let ask = Ask::Holders { run: handle.run.clone(), ports: ports.to_vec() };
        async move {
            match self.driver.ask(handle, ask).await? {
                Answer::Holders(holders) => Ok(holders),
                other => Err(confused(&other)),
            }
        }
        .boxed()
    }

    /// Its processes are another machine's.
    fn roots(&self, _handle: &Handle) -> Vec<u32> {
        Vec::new()
    }

    fn remember_secrets(&self, run: &RunId, secrets: &[SecretText]) {
        if let Some(known) = self.driver.known(run)
            && !secrets.is_empty()
        {
            let ask = Ask::Secrets { run: run.clone(), secrets: secrets.to_vec() };
            self.driver.tell(Arc::clone(&known.host), ask);
        }
    }

    fn retain(&self, of: &EnvironmentId, instance: &InstanceId, keep: usize) -> Result<usize, RuntimeError> {
        let there = u32::try_from(keep).unwrap_or(u32::MAX);
        self.driver.tell_there(of, || Ask::Retain { environment: of.clone(), instance: instance.clone(), keep: there });
        prune(&self.driver.layout, of, instance, keep).map_err(|source| RuntimeError::Io {
            context: format!("could not remove old runs of `{instance}`"),
            source,
        })
    }
}
