//! Where a run's files lie.

use muster_spec::{EnvironmentId, InstanceId, RunId};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Longest path of a unix socket: `sun_path` has 108 bytes, one of them ends it (unix(7)).
const MAX_SOCKET: usize = 107;
/// `/` + 8 hex + `/` + 12 hex + `.s`
const BELOW_RUNTIME_DIR: usize = 24;
/// In a run's folder: nothing of the run but its records and log is left.
pub(super) const DESTROYED_FILE: &str = "destroyed";

/// The two trees of folders: records and logs below `state`, sockets below `runtime`.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    state: PathBuf,
    runtime: PathBuf,
}

impl Layout {
    pub(crate) fn new(state: &Path, runtime: &Path) -> Self {
        Self { state: state.to_owned(), runtime: runtime.to_owned() }
    }

    /// Whether sockets have room below the runtime folder.
    pub(super) fn fits(&self) -> bool {
        self.runtime.as_os_str().len() + BELOW_RUNTIME_DIR <= MAX_SOCKET
    }

    /// `state/ENV`
    pub(crate) fn environment(&self, environment: &EnvironmentId) -> PathBuf {
        self.state.join(environment.to_string())
    }

    /// `state/ENV/api#1`
    pub(crate) fn instance(&self, environment: &EnvironmentId, instance: &InstanceId) -> PathBuf {
        self.environment(environment).join(format!("{}#{}", instance.service, instance.replica))
    }

    /// `state/ENV/api#1/17` or `state/ENV/api#1/17.before-0`
    pub(crate) fn run(&self, run: &RunId) -> PathBuf {
        let name = match &run.step {
            Some(step) => format!("{}.{step}", run.number),
            None => run.number.to_string(),
        };
        self.instance(&run.environment, &run.instance).join(name)
    }

    /// `runtime/<8 hex>`: the state folder is part of the hash, so that two homes never meet.
    pub(super) fn sockets(&self, environment: &EnvironmentId) -> PathBuf {
        let text = format!("{}\0{environment}", self.state.display());
        self.runtime.join(short_hash(&text, 4))
    }

    /// The supervisor's socket.
    pub(super) fn socket(&self, run: &RunId) -> PathBuf {
        self.sockets(&run.environment).join(format!("{}.s", short_hash(&run.to_string(), 6)))
    }

    /// The service's `NOTIFY_SOCKET`.
    pub(super) fn notify(&self, run: &RunId) -> PathBuf {
        self.sockets(&run.environment).join(format!("{}.n", short_hash(&run.to_string(), 6)))
    }
}

/// The first bytes of a SHA-256, in hex.
pub(super) fn short_hash(text: &str, bytes: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// The run that a folder's name stands for.
pub(super) fn parse_run(environment: &EnvironmentId, instance: &str, name: &str) -> Option<RunId> {
    format!("{environment}/{instance}/{name}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_sockets_are_where_others_look_for_them() {
        let layout = Layout::new(Path::new("/s"), Path::new("/r"));
        let run: RunId = "local-0000002a/api#2/17.before-0".parse().unwrap();
        assert_eq!(layout.run(&run), Path::new("/s/local-0000002a/api#2/17.before-0"));
        let socket = layout.socket(&run);
        assert_eq!(socket.as_os_str().len(), 2 + BELOW_RUNTIME_DIR);
        assert_eq!(parse_run(&run.environment, "api#2", "17.before-0"), Some(run));
        assert!(!Layout::new(Path::new("/s"), Path::new(&format!("/{}", "r".repeat(90)))).fits());
    }
}
