//! A home with an engine and another host: where a service can be a process, a container or a remote process.

use crate::binaries::static_worker;
use crate::home::Home;
use muster_testkit::host::{Host, Plan};
use muster_testkit::{Engine, components, images, skip};
use std::path::PathBuf;

/// The label on everything that Muster makes at an engine: the environment's identity.
const ENVIRONMENT: &str = "dev.muster.environment";

/// A home, an engine and a host.
#[derive(Debug)]
pub struct Site {
    /// The home; brought down before the others end.
    pub home: Home,
    /// The engine that its daemon uses.
    pub engine: Engine,
    /// The host that its daemon can log in to.
    pub host: Host,
    worker: PathBuf,
}

impl Site {
    /// One with Docker Engine and a host on a loopback port, or none and a reported skip.
    #[must_use]
    pub fn local(suite: &str) -> Option<Self> {
        Self::of(suite, components::docker(suite)?, Plan::default())
    }

    /// One with Docker Engine and a host in namespaces of its own, or none and a reported skip.
    #[must_use]
    pub fn namespaced(suite: &str) -> Option<Self> {
        Self::of(suite, components::docker(suite)?, Plan { namespaced: true, ..Plan::default() })
    }

    /// One with this engine and a host by plan, or none and a reported skip.
    #[must_use]
    pub fn of(suite: &str, engine: Engine, plan: Plan) -> Option<Self> {
        let sshd = components::sshd(suite)?;
        let host = Host::make(&sshd, plan).map_err(|error| error.to_string());
        let made = host.and_then(|host| {
            let mut home = Home::new();
            home.set("DOCKER_HOST", &engine.address());
            home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
            let worker = copy_of_worker(&home)?;
            Ok(Self { home, engine, host, worker })
        });
        made.map_err(|reason| skip(suite, &reason)).ok()
    }

    /// The three variants of one worker, lines of a service in the stack file: the same words in each.
    ///
    /// In a container the process ids are those of this machine, so that what the worker notes there holds here.
    #[must_use]
    pub fn variants(&self, words: &str) -> String {
        let (process, inside) = (self.home.worker_line(), self.static_line());
        let host = self.host.alias();
        let mounts = self.mounts();
        let image = images::BUSYBOX;
        format!(
            "    process: {{ command: \"{process} {words}\" }}\n    \
                 container: {{ image: \"{image}\", pid: host, volumes: [{mounts}], command: \"{inside} {words}\" }}\n    \
                 remote: {{ host: {host}, command: \"{inside} {words}\" }}\n"
        )
    }

    /// The beginning of the static worker's command line, the same in a container and on the host.
    #[must_use]
    pub fn static_line(&self) -> String {
        format!("{} {}", self.worker.display(), self.home.marks_dir().display())
    }

    /// The mounts of a container that runs the worker, as a list's items.
    #[must_use]
    pub fn mounts(&self) -> String {
        let (worker, marks) = (self.worker.display(), self.home.marks_dir());
        let marks = marks.display();
        format!("\"{worker}:{worker}:ro\", \"{marks}:{marks}\"")
    }

    /// What Muster has at the engine for this home: containers, networks and volumes.
    ///
    /// # Panics
    /// When the engine does not say.
    #[must_use]
    pub fn at_engine(&self) -> Vec<String> {
        let Ok(environments) = std::fs::read_dir(self.home.state().join("state")) else { return Vec::new() };
        let names = environments.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let of = |name: String| self.engine.labelled(&format!("{ENVIRONMENT}={name}")).expect("the engine answers");
        names.flat_map(of).collect()
    }
}

/// The static worker, where every user may run it: the folder it was built in may be closed to others.
fn copy_of_worker(home: &Home) -> Result<PathBuf, String> {
    let copy = home.root().join("e2e-worker");
    std::fs::copy(static_worker()?, &copy).map_err(|error| format!("copying the static worker: {error}"))?;
    Ok(copy)
}
