//! Where a run is: kept in its folder here and in its handle, either of which is enough.

use crate::contract::{FarProcess, Handle};
use muster_spec::{InstanceSpec, RunId, RuntimeKind, Tunnel};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Layout version of [`Placed`] in handles and records.
const VERSION: u32 = 1;
/// The record's name in a run's folder.
const FILE: &str = "remote";
/// The name of the file that says whose runs are whose on a host.
const OWNER_FILE: &str = "remote-owner";

/// Where a run is and what it needs here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placed {
    /// The host as ssh knows it.
    pub(super) host: String,
    /// Its ways to and from the host.
    pub(super) tunnels: Vec<Tunnel>,
    /// How much of its log is kept.
    pub(super) keep: u64,
}

impl Placed {
    /// As a spec wants it; `None` where it says no host.
    pub(super) fn of(spec: &InstanceSpec) -> Option<Self> {
        let remote = spec.remote.as_ref()?;
        Some(Self { host: remote.host.clone(), tunnels: remote.tunnels.clone(), keep: spec.logs.keep.get() })
    }

    /// As a handle of ours says.
    pub(super) fn in_handle(handle: &Handle) -> Option<Self> {
        let ours = handle.runtime == RuntimeKind::Remote && handle.version == VERSION;
        ours.then(|| serde_json::from_value(handle.opaque.clone()).ok()).flatten()
    }

    /// As it was recorded in a run's folder.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Records it, before anything is done elsewhere.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let fresh = folder.join(format!("{FILE}.new"));
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(fresh, folder.join(FILE))
    }

    /// The run's handle: the same whoever makes it.
    pub(super) fn handle(&self, run: &RunId, folder: &Path, there: &Handle) -> Handle {
        let pid = there.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        Handle {
            runtime: RuntimeKind::Remote,
            version: VERSION,
            run: run.clone(),
            identity: format!("{}:{pid}", self.host),
            pid: None,
            far: Some(Box::new(FarProcess { host: self.host.clone(), pid: there.pid })),
            address: None,
            log_dir: Some(folder.to_owned()),
            opaque: serde_json::json!(self),
        }
    }
}

/// Who we are on every host: made once for a home, so that two homes never meet there.
pub(super) fn owner(state: &Path) -> io::Result<String> {
    let path = state.join(OWNER_FILE);
    let read = || fs::read_to_string(&path).map(|text| text.trim().to_owned());
    match read() {
        Ok(owner) if !owner.is_empty() => return Ok(owner),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    let fresh = state.join(format!("{OWNER_FILE}.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
    file.write_all(super::binaries::hex(&random).as_bytes())?;
    // whoever was first stays
    match fs::hard_link(&fresh, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        Ok(()) | Err(_) => {}
    }
    let _ = fs::remove_file(&fresh);
    read()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_made_once() {
        let home = tempfile::TempDir::new().unwrap();
        let (first, other) = (owner(&home.path().join("a")).unwrap(), owner(&home.path().join("b")).unwrap());
        assert_eq!((first.len(), owner(&home.path().join("a")).unwrap()), (16, first.clone()));
        assert_ne!(first, other);
    }

    #[test]
    fn record_and_handle_say_the_same() {
        let home = tempfile::TempDir::new().unwrap();
        let placed = Placed { host: "db1".into(), tunnels: Vec::new(), keep: 7 };
        placed.write(&home.path().join("run")).unwrap();
        assert_eq!(Placed::read(&home.path().join("run")), Some(placed.clone()));
        let run: RunId = "local-0000002a/api#1/7".parse().unwrap();
        let there = Handle { pid: Some(4242), ..crate::agent::handle_of(&run) };
        let handle = placed.handle(&run, home.path(), &there);
        assert_eq!(Placed::in_handle(&handle), Some(placed));
        assert_eq!(Placed::in_handle(&there), None);
        // the number is not one of this machine's, where somebody else has it
        assert_eq!(handle.pid, None);
        assert_eq!(handle.far, Some(Box::new(FarProcess { host: "db1".into(), pid: Some(4242) })));
    }
}
