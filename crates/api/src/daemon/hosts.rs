//! What is brought to other hosts: embedded in release builds, beside `muster` in development.

use muster_runtime::{Binary, HostBinaries};
use std::path::Path;

/// Machines that can be other hosts, as `uname -m` says them.
const MACHINES: [&str; 2] = ["x86_64", "aarch64"];

/// What this binary carries for one kind of machine.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedHost {
    /// `x86_64` or `aarch64`.
    pub machine: &'static str,
    /// `muster-agent`.
    pub agent: &'static [u8],
    /// `muster-shim`.
    pub shim: &'static [u8],
}

/// Finds what is brought to other hosts; `MUSTER_AGENT` names the agent for hosts of this kind of machine.
///
/// Beside `muster` they are `muster-agent-MACHINE` and `muster-shim-MACHINE`; for this kind of machine `muster-agent` and the
/// supervisor's binary of this daemon will do as well.
#[must_use]
pub fn find_hosts(embedded: &[EmbeddedHost], binary: &Path, shim: &Path) -> Vec<HostBinaries> {
    let named = std::env::var_os("MUSTER_AGENT").filter(|path| !path.is_empty());
    let folder = binary.parent().unwrap_or(Path::new("/"));
    // a test binary lies one folder deeper
    let places = [Some(folder), folder.parent()];
    let beside = |name: String| places.into_iter().flatten().map(|place| place.join(&name)).find(|path| path.is_file());
    let find = |machine: &'static str| {
        let native = machine == std::env::consts::ARCH;
        if let Some(path) = named.as_ref().filter(|_| native) {
            let (agent, shim) = (Binary::File(path.into()), Binary::File(shim.to_owned()));
            return Some(HostBinaries { machine, agent, shim });
        }
        if let Some(found) = embedded.iter().find(|host| host.machine == machine) {
            let (agent, shim) = (Binary::Embedded(found.agent), Binary::Embedded(found.shim));
            return Some(HostBinaries { machine, agent, shim });
        }
        let of = |name: &str| beside(format!("{name}-{machine}"));
        let plain = || beside("muster-agent".to_owned()).filter(|_| native).map(|agent| (agent, shim.to_owned()));
        let (agent, shim) = of("muster-agent").zip(of("muster-shim")).or_else(plain)?;
        Some(HostBinaries { machine, agent: Binary::File(agent), shim: Binary::File(shim) })
    };
    MACHINES.into_iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_machine_needs_both_files() {
        let home = tempfile::tempdir().unwrap();
        let (binary, shim) = (home.path().join("muster"), home.path().join("muster-shim"));
        let other = MACHINES.into_iter().find(|machine| *machine != std::env::consts::ARCH).unwrap();
        let machines = || -> Vec<&str> { find_hosts(&[], &binary, &shim).iter().map(|one| one.machine).collect() };
        std::fs::write(home.path().join(format!("muster-agent-{other}")), "").unwrap();
        assert!(machines().is_empty());
        std::fs::write(home.path().join(format!("muster-shim-{other}")), "").unwrap();
        assert_eq!(machines(), [other]);
        std::fs::write(home.path().join("muster-agent"), "").unwrap();
        assert_eq!(machines().len(), 2);
        let carried = EmbeddedHost { machine: other, agent: b"a", shim: b"s" };
        let found = find_hosts(&[carried], &binary, &shim);
        assert!(found.iter().any(|one| matches!(one.agent, Binary::Embedded(b"a"))));
    }
}
