//! Folders that services have on other hosts, beside what Muster itself keeps there.
//!
//! ```text
//! TOP/data/ENV/SERVICE     ${dir.data}: stays until `down --data`
//! TOP/run/ENV/SERVICE#N    ${dir.run}: gone after `down`
//! TOP/logs/ENV/SERVICE#N   ${dir.logs}: stays until `env rm`, as the records and logs of runs do
//! ```
//!
//! Which hosts have something that stays is written down here before the first of it is made there: `down --data` and
//! `env rm` ask these hosts and no others, also when their services are long gone.

use crate::process::Layout;
use muster_spec::{EnvironmentId, InstanceSpec};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What stays on a host when its environment is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Until `down --data`.
    Data,
    /// Until `env rm`: logs and records.
    Logs,
}

impl Kept {
    /// The list of hosts that have some, a line each, in an environment's folder.
    fn list(self, layout: &Layout, environment: &EnvironmentId) -> PathBuf {
        layout.environment(environment).join(match self {
            Self::Data => "hosts-with-data",
            Self::Logs => "hosts-with-logs",
        })
    }
}

/// Where folders of services lie on every host of a home.
#[derive(Debug, Clone)]
pub struct HostFolders {
    top: PathBuf,
}

impl HostFolders {
    /// Those below `top`, which belongs to whoever logs in there.
    #[must_use]
    pub fn new(top: PathBuf) -> Self {
        Self { top }
    }

    /// The folder above all of them.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// What an environment's services keep.
    #[must_use]
    pub fn data(&self, environment: &EnvironmentId) -> PathBuf {
        self.top.join("data").join(environment.to_string())
    }

    /// What they have only while they run.
    #[must_use]
    pub fn run(&self, environment: &EnvironmentId) -> PathBuf {
        self.top.join("run").join(environment.to_string())
    }

    /// What they write logs of their own to.
    #[must_use]
    pub fn logs(&self, environment: &EnvironmentId) -> PathBuf {
        self.top.join("logs").join(environment.to_string())
    }

    /// Whether a run makes folders for data: the step that does names them.
    pub(super) fn makes_data(&self, environment: &EnvironmentId, spec: &InstanceSpec) -> bool {
        let data = self.data(environment);
        spec.command.argv.iter().any(|word| Path::new(word).starts_with(&data))
    }
}

/// Hosts that have some of an environment's.
pub(super) fn hosts(layout: &Layout, environment: &EnvironmentId, kept: Kept) -> io::Result<BTreeSet<String>> {
    match fs::read_to_string(kept.list(layout, environment)) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// From now on a host has some.
pub(super) fn note(layout: &Layout, environment: &EnvironmentId, kept: Kept, host: &str) -> io::Result<()> {
    use std::io::Write as _;
    if hosts(layout, environment, kept)?.contains(host) {
        return Ok(());
    }
    let path = kept.list(layout, environment);
    // in one piece: several starts may note theirs at the same time
    fs::File::options().create(true).append(true).open(path)?.write_all(format!("{host}\n").as_bytes())
}

/// Only these hosts have some.
pub(super) fn keep(
    layout: &Layout,
    environment: &EnvironmentId,
    kept: Kept,
    hosts: &BTreeSet<String>,
) -> io::Result<()> {
    let path = kept.list(layout, environment);
    if hosts.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, hosts.iter().map(|host| format!("{host}\n")).collect::<String>())?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_noted_once_and_forgotten() {
        let home = tempfile::TempDir::new().unwrap();
        let layout = Layout::new(home.path(), Path::new("/r"));
        let environment: EnvironmentId = "local-0000002a".parse().unwrap();
        fs::create_dir_all(layout.environment(&environment)).unwrap();
        let none = BTreeSet::new();
        for kept in [Kept::Data, Kept::Logs] {
            assert_eq!(hosts(&layout, &environment, kept).unwrap(), none);
            for host in ["db1", "db2", "db1"] {
                note(&layout, &environment, kept, host).unwrap();
            }
            let noted = hosts(&layout, &environment, kept).unwrap();
            assert_eq!(noted, BTreeSet::from(["db1", "db2"].map(str::to_owned)));
        }
        keep(&layout, &environment, Kept::Data, &BTreeSet::from(["db2".to_owned()])).unwrap();
        let left = |kept| hosts(&layout, &environment, kept).unwrap().len();
        assert_eq!((left(Kept::Data), left(Kept::Logs)), (1, 2));
        for kept in [Kept::Data, Kept::Logs] {
            keep(&layout, &environment, kept, &none).unwrap();
        }
        assert_eq!(fs::read_dir(layout.environment(&environment)).unwrap().count(), 0);
    }
}
