//! Limits by cgroup v2, where a part of the hierarchy was delegated to us (cgroups(7), systemd `Delegate=`).

use super::paths::short_hash;
use muster_spec::{Limits, RunId};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where cgroup v2 is mounted: alone, or beside v1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Length of the period that `cpu.max` counts in, microseconds.
const CPU_PERIOD_US: f64 = 100_000.0;

/// The part of the hierarchy that is ours, and what can be limited there.
#[derive(Debug, Clone, Default)]
pub(super) struct Cgroups {
    base: Option<PathBuf>,
    controllers: BTreeSet<String>,
}

impl Cgroups {
    /// Looks for our own cgroup. It counts as delegated when it passes controllers on to its children already and lets
    /// us make some: turning controllers on would move processes that are not ours to move.
    pub(super) fn find() -> Self {
        let Ok(text) = fs::read_to_string("/proc/self/cgroup") else { return Self::default() };
        let Some(own) = text.lines().find_map(|line| line.strip_prefix("0::/")) else { return Self::default() };
        MOUNTS.iter().map(|mount| Path::new(mount).join(own)).find_map(|base| Self::at(&base)).unwrap_or_default()
    }

    fn at(base: &Path) -> Option<Self> {
        let text = fs::read_to_string(base.join("cgroup.subtree_control")).ok()?;
        let controllers: BTreeSet<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
        let writable = rustix::fs::access(base, rustix::fs::Access::WRITE_OK).is_ok();
        (writable && !controllers.is_empty()).then(|| Self { base: Some(base.to_owned()), controllers })
    }

    /// Whether a controller is there: `memory`, `cpu`, `pids`.
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.contains(controller)
    }

    /// Makes a run's cgroup where one of its limits needs it.
    pub(super) fn make(&self, run: &RunId, limits: &Limits) -> io::Result<Option<PathBuf>> {
        let Some(base) = &self.base else { return Ok(None) };
        let mut wanted = Vec::new();
        if let Some(memory) = &limits.memory
            && self.has("memory")
        {
            wanted.push(("memory.max", memory.get().to_string()));
        }
        if let Some(cpus) = limits.cpus
            && self.has("cpu")
        {
            wanted.push(("cpu.max", format!("{:.0} {CPU_PERIOD_US:.0}", cpus * CPU_PERIOD_US)));
        }
        if let Some(pids) = limits.pids
            && self.has("pids")
        {
            wanted.push(("pids.max", pids.to_string()));
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let folder = base.join(format!("muster-{}", short_hash(&run.to_string(), 6)));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for (file, value) in wanted {
            fs::write(folder.join(file), value)?;
        }
        Ok(Some(folder))
    }
}
