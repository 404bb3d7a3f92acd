//! Processes on another host under test: a real sshd, the real agent, the real shim.

use crate::harness::process::{agent, command, kill_shim, marked, shim, tear_meta};
use futures::future::{BoxFuture, FutureExt as _};
use muster_runtime::conformance::{Harness, Miss, Program, Verdict};
use muster_runtime::{Binary, HostBinaries, HostFolders, Masters, RemoteConfig, RemoteRuntime, Runtime, SshOptions};
use muster_spec::{EnvironmentId, InstanceSpec, RemoteRun, ResolvedCommand, RunId};
use muster_testkit::host::Host;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// A home here and a host.
pub(crate) struct RemoteHarness {
    pub(crate) home: TempDir,
    pub(crate) host: Host,
    runtime: Arc<RemoteRuntime>,
}

impl RemoteHarness {
    /// An empty home, and nothing on the host.
    pub(crate) fn new(host: Host) -> Self {
        let home = TempDir::new().expect("the surroundings of the test");
        let runtime = Arc::new(runtime(home.path(), &host));
        Self { home, host, runtime }
    }

    /// The folder of a run on the host.
    pub(crate) fn there(&self, run: &RunId) -> PathBuf {
        let owner = fs::read_to_string(self.home.path().join("state/remote-owner")).expect("an owner");
        let state = self.host.home().join(".local/state/muster-remote").join(owner.trim()).join("state");
        let instance = format!("{}#{}", run.instance.service, run.instance.replica);
        state.join(run.environment.to_string()).join(instance).join(run.number.to_string())
    }
}

impl Drop for RemoteHarness {
    fn drop(&mut self) {
        // the master outlives whoever made it: of a test, nothing may
        let sockets = fs::read_dir(self.home.path().join("run")).into_iter().flatten().flatten();
        for socket in sockets.filter(|entry| entry.path().extension().is_none()) {
            let mut exit = Command::new("ssh");
            exit.arg("-F").arg(self.host.config()).arg("-S").arg(socket.path());
            let _ = exit.args(["-O", "exit", self.host.alias()]).output();
        }
    }
}

/// A runtime over a home and a host.
pub(crate) fn runtime(home: &Path, host: &Host) -> RemoteRuntime {
    let machine = std::env::consts::ARCH;
    let (agent, shim) = (Binary::File(agent().to_owned()), Binary::File(shim().to_owned()));
    fs::create_dir_all(home.join("run")).expect("the surroundings of the test");
    RemoteRuntime::new(RemoteConfig {
        state_dir: home.join("state"),
        folders: HostFolders::new("/var/tmp/muster-conformance".into()),
        masters: Masters::new(&home.join("state"), &home.join("run")),
        ssh: SshOptions { config: Some(host.config()), ..SshOptions::default() },
        binaries: vec![HostBinaries { machine, agent, shim }],
    })
}

impl Harness for RemoteHarness {
    fn name(&self) -> &'static str {
        "remote"
    }

    fn environment(&self) -> EnvironmentId {
        "test-0000002a".parse().expect("the surroundings of the test")
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.runtime) as Arc<dyn Runtime>
    }

    fn successor(&self) -> Result<Arc<dyn Runtime>, String> {
        Ok(Arc::new(runtime(self.home.path(), &self.host)))
    }

    fn command(&self, _run: &RunId, program: &Program) -> Result<ResolvedCommand, Miss> {
        Ok(command(program))
    }

    fn adapt(&self, spec: InstanceSpec) -> InstanceSpec {
        let host = self.host.alias().to_owned();
        InstanceSpec { remote: Some(RemoteRun { host, sync: Vec::new(), tunnels: Vec::new() }), ..spec }
    }

    fn observe(&self, mark: &str) -> Result<usize, Miss> {
        // the host is this machine
        marked(mark)
    }

    fn kill_supervisor<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Verdict> {
        async move { kill_shim(&self.there(run)) }.boxed()
    }

    fn doubt<'a>(&'a self, run: &'a RunId, doubt: bool) -> BoxFuture<'a, Verdict> {
        async move { tear_meta(&self.there(run), doubt) }.boxed()
    }
}
