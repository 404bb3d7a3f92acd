//! Where an environment's files lie. Its identity is the root of every path.
//!
//! ```text
//! HOME/journal.db                      the journal
//! HOME/state/ENV/environment.json      the accepted stack: what a lost journal is rebuilt from
//! HOME/state/ENV/INSTANCE/RUN/         meta, exit, log segments (runtime)
//! HOME/data/ENV/SERVICE/               ${dir.data}: stays until `down --data` or `env rm`
//! RUNTIME/ENVHASH/SERVICE#N/           ${dir.run}: sockets, gone after `down`
//! RUNTIME/ENVHASH/secrets.json         values of secrets: never in the state folder
//! ```

use muster_runtime::HostFolders;
use muster_spec::{EnvironmentId, InstanceId, RunId, ServiceName};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The folders of one daemon.
#[derive(Debug, Clone)]
pub struct Paths {
    home: PathBuf,
    runtime: PathBuf,
    /// What tells this machine from others that have the same folders.
    machine: String,
}

impl Paths {
    /// `home` keeps, `runtime` is gone at logout.
    #[must_use]
    pub fn new(home: PathBuf, runtime: PathBuf) -> Self {
        // without one (machine-id(5)) the folders' names still tell homes apart
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        Self { home, runtime, machine }
    }

    /// The folder of the journal.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Whether a folder is one of ours: below the home, or below the `muster` that holds the folders for sockets.
    #[must_use]
    pub fn holds(&self, folder: &Path) -> bool {
        let sockets = self.runtime.parent().filter(|above| above.ends_with("muster")).unwrap_or(&self.runtime);
        folder.starts_with(&self.home) || folder.starts_with(sockets)
    }

    /// Where run folders lie.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    /// An environment's state.
    #[must_use]
    pub fn environment(&self, id: &EnvironmentId) -> PathBuf {
        self.state().join(id.to_string())
    }

    /// The accepted stack of an environment.
    #[must_use]
    pub fn record(&self, id: &EnvironmentId) -> PathBuf {
        self.environment(id).join("environment.json")
    }

    /// The folder of one run.
    #[must_use]
    pub fn run(&self, run: &RunId) -> PathBuf {
        let last = match &run.step {
            None => run.number.to_string(),
            Some(step) => format!("{}.{step}", run.number),
        };
        self.instance(&run.environment, &run.instance).join(last)
    }

    /// The folder with the runs of an instance.
    #[must_use]
    pub fn instance(&self, id: &EnvironmentId, instance: &InstanceId) -> PathBuf {
        self.environment(id).join(format!("{}#{}", instance.service, instance.replica))
    }

    /// What an environment's services keep.
    #[must_use]
    pub fn data(&self, id: &EnvironmentId) -> PathBuf {
        self.home.join("data").join(id.to_string())
    }

    /// `${dir.data}`: shared by the replicas of a service.
    #[must_use]
    pub fn service_data(&self, id: &EnvironmentId, service: &ServiceName) -> PathBuf {
        self.data(id).join(service.as_str())
    }

    /// The folder for what an environment has only while it runs.
    #[must_use]
    pub fn volatile(&self, id: &EnvironmentId) -> PathBuf {
        let digest = Sha256::digest(id.to_string().as_bytes());
        self.runtime.join(format!("e{}", hex::encode(&digest[..4])))
    }

    /// `${dir.run}`: short, because a socket's path may have 107 bytes.
    #[must_use]
    pub fn instance_run(&self, id: &EnvironmentId, instance: &InstanceId) -> PathBuf {
        self.volatile(id).join(self.short(instance))
    }

    /// A name of an instance that is short.
    #[must_use]
    pub fn short(&self, instance: &InstanceId) -> String {
        hex::encode(&Sha256::digest(instance.to_string().as_bytes())[..3])
    }

    /// Where folders of services lie on other hosts: one for each home of ours, since the hosts know nothing of it.
    #[must_use]
    pub fn remote(&self) -> HostFolders {
        use std::os::unix::ffi::OsStrExt;
        let digest = Sha256::digest([self.machine.as_bytes(), self.home.as_os_str().as_bytes()].concat());
        HostFolders::new(Path::new("/var/tmp").join(format!("muster-{}", hex::encode(&digest[..6]))))
    }

    /// Values of secrets.
    #[must_use]
    pub fn secrets(&self, id: &EnvironmentId) -> PathBuf {
        self.volatile(id).join("secrets.json")
    }
}

/// The identity of an environment: its name and the first 32 bits of the SHA-256 of the stack's canonical folder.
#[must_use]
pub fn environment_id(stack: &muster_spec::Stack) -> EnvironmentId {
    use std::os::unix::ffi::OsStrExt;
    let digest = Sha256::digest(stack.root.as_os_str().as_bytes());
    let root = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    EnvironmentId { name: stack.environment.clone(), root }
}
