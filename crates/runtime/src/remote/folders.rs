//! Folders that services have on other hosts, beside what Muster itself keeps there.
//!
//! ```text
//! TOP/data/ENV/SERVICE     ${dir.data}: stays until `down --data`
//! TOP/run/ENV/SERVICE#N    ${dir.run}: gone after `down`
//! TOP/logs/ENV/SERVICE#N   ${dir.logs}
//! ```
//!
//! Whether a host has data is written down here before the first folder of it is made there: `down --data` asks these hosts
//! and no others, also when their services are long gone.

use crate::process::Layout;
use muster_spec::{EnvironmentId, InstanceSpec};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The list of hosts with data, a line each, in an environment's folder.
const HOSTS: &str = "hosts-with-data";

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

/// Hosts that have data of an environment.
pub(super) fn hosts(layout: &Layout, environment: &EnvironmentId) -> io::Result<BTreeSet<String>> {
    match fs::read_to_string(layout.environment(environment).join(HOSTS)) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// From now on a host has data of an environment.
pub(super) fn note(layout: &Layout, environment: &EnvironmentId, host: &str) -> io::Result<()> {
    use std::io::Write as _;
    if hosts(layout, environment)?.contains(host) {
        return Ok(());
    }
    let path = layout.environment(environment).join(HOSTS);
    // in one piece: several starts may note theirs at the same time
    fs::File::options().create(true).append(true).open(path)?.write_all(format!("{host}\n").as_bytes())
}

/// Only these hosts have data of an environment.
pub(super) fn keep(layout: &Layout, environment: &EnvironmentId, hosts: &BTreeSet<String>) -> io::Result<()> {
    let path = layout.environment(environment).join(HOSTS);
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
        assert_eq!(hosts(&layout, &environment).unwrap(), BTreeSet::new());
        for host in ["db1", "db2", "db1"] {
            note(&layout, &environment, host).unwrap();
        }
        let noted = hosts(&layout, &environment).unwrap();
        assert_eq!(noted, BTreeSet::from(["db1", "db2"].map(str::to_owned)));
        keep(&layout, &environment, &BTreeSet::from(["db2".to_owned()])).unwrap();
        assert_eq!(hosts(&layout, &environment).unwrap().len(), 1);
        keep(&layout, &environment, &BTreeSet::new()).unwrap();
        assert_eq!(fs::read_dir(layout.environment(&environment)).unwrap().count(), 0);
    }
}
