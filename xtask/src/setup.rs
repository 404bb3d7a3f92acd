//! What building and testing need on a machine, and how each comes there.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use muster_testkit::services;

use crate::workspace::{on_path, output, run, succeeds};

/// Something that has to be on the machine.
struct Component {
    /// What it is called in messages.
    name: &'static str,
    /// Who needs it, and what happens without.
    why: &'static str,
    /// Whether nothing works without it.
    required: bool,
    present: fn() -> bool,
    install: Install,
}

/// How a component comes there.
enum Install {
    /// Debian's packages.
    Packages(&'static [&'static str]),
    /// In a way of its own, or with words on what a person has to do.
    By(fn() -> Result<()>),
}

/// Hosts of another architecture are built for it.
const AARCH64: &str = "aarch64-unknown-linux-musl";

/// All that building needs, in the order in which it is installed.
const BUILD: &[Component] = &[
    Component {
        name: "C compiler",
        why: "builds the bundled SQLite and links",
        required: true,
        present: || on_path("cc").is_some(),
        install: Install::Packages(&["gcc", "libc6-dev"]),
    },
    Component {
        name: "procfs",
        why: "processes are identified by their start time",
        required: cfg!(target_os = "linux"),
        present: || cfg!(not(target_os = "linux")) || Path::new("/proc/self/stat").exists(),
        install: Install::By(|| bail!("mount it: mount -t proc proc /proc")),
    },
    Component {
        name: "musl target",
        why: "muster-shim is static; without it a dynamic one is built",
        required: false,
        present: || cfg!(not(target_os = "linux")) || has_target(&musl_target()),
        install: Install::By(|| ensure_target(&musl_target())),
    },
];

/// What tests run beside Muster. They skip by name what is not there.
const TEST: &[Component] = &[
    Component {
        name: "Docker Engine",
        why: "containers",
        required: false,
        present: || program("dockerd") && program("iptables"),
        install: Install::Packages(&["docker.io", "iptables", "tini"]),
    },
    Component {
        name: "Podman",
        why: "containers on the other engine",
        required: false,
        present: || program("podman") && program("runc") && Path::new("/usr/lib/podman/aardvark-dns").exists(),
        install: Install::Packages(&["podman", "runc", "netavark", "aardvark-dns", "iptables"]),
    },
    Component {
        name: "busybox-static",
        why: "all images are made from it",
        required: false,
        present: || Path::new("/bin/busybox").exists(),
        install: Install::Packages(&["busybox-static"]),
    },
    Component {
        name: "OpenSSH",
        why: "services on other hosts",
        required: false,
        present: || services::sshd().is_some() && on_path("ssh").is_some(),
        install: Install::Packages(&["openssh-server", "openssh-client"]),
    },
    Component {
        name: "iproute2",
        why: "hosts that are network namespaces",
        required: false,
        present: || program("ip") && program("iptables"),
        install: Install::Packages(&["iproute2", "iptables"]),
    },
    Component {
        name: "aarch64 target",
        why: "what runs on hosts of another architecture",
        required: false,
        present: || cfg!(not(target_os = "linux")) || has_target(AARCH64),
        install: Install::By(|| ensure_target(AARCH64)),
    },
    Component {
        name: "qemu-aarch64",
        why: "the shim of another architecture",
        required: false,
        present: || services::qemu_aarch64().is_some(),
        install: Install::Packages(&["qemu-user-static"]),
    },
    Component {
        name: "PostgreSQL",
        why: "a real database in the mixed stack",
        required: false,
        present: || services::postgres().is_some(),
        install: Install::Packages(&["postgresql"]),
    },
    Component {
        name: "cgroups",
        why: "an engine puts containers into them",
        required: false,
        present: || std::fs::read_to_string("/proc/self/mounts").is_ok_and(|mounts| mounts.contains(" cgroup")),
        install: Install::By(mount_cgroups),
    },
];

/// Installs what building needs; an error names what cannot be had and is required.
pub(crate) fn prepare() -> Result<()> {
    bring(BUILD)
}

/// Installs what tests run beside Muster, as far as it can be had.
pub(crate) fn prepare_components() -> Result<()> {
    bring(TEST)
}

fn bring(components: &[Component]) -> Result<()> {
    let missing: Vec<&Component> = components.iter().filter(|component| !(component.present)()).collect();
    let packages = missing.iter().flat_map(|component| match component.install {
        Install::Packages(names) => names,
        Install::By(_) => &[],
    });
    let packages: Vec<&str> = packages.copied().collect();
    let installed = if packages.is_empty() { Ok(()) } else { install_packages(&packages) };
    for component in missing {
        eprintln!("setting up: {} ({})", component.name, component.why);
        let result = match &component.install {
            Install::Packages(_) if (component.present)() => Ok(()),
            Install::Packages(names) => match &installed {
                Err(error) => Err(anyhow!("{error:#}")),
                Ok(()) => Err(anyhow!("the packages {} did not bring it", names.join(" "))),
            },
            Install::By(install) => install(),
        };
        match result {
            Ok(()) => {}
            Err(error) if component.required => {
                return Err(error.context(format!("`{}` is needed: {}", component.name, component.why)));
            }
            Err(error) => eprintln!("going on without {}: {error:#}", component.name),
        }
    }
    Ok(())
}

fn install_packages(names: &[&str]) -> Result<()> {
    if on_path("apt-get").is_none() {
        bail!("install {} with this system's package manager", names.join(" "));
    }
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let by_hand = || format!("as root: apt-get update && apt-get install {}", names.join(" "));
    run(&mut apt(&["update", "--quiet=2"])).with_context(by_hand)?;
    run(apt(&["install", "--quiet=2", "--yes", "--no-install-recommends"]).args(names).stdout(Stdio::null()))
        .with_context(by_hand)
}

fn mount_cgroups() -> Result<()> {
    install_packages(&["cgroupfs-mount"])?;
    run(&mut Command::new("cgroupfs-mount"))
}

/// A program on PATH or where root's programs lie.
fn program(name: &str) -> bool {
    on_path(name).is_some() || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).is_file())
}

/// The target of the static shim on this machine.
pub(crate) fn musl_target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// Whether the standard library for a target is installed.
pub(crate) fn has_target(target: &str) -> bool {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir()
}

/// Adds the standard library for a target with rustup, unless it is there.
pub(crate) fn ensure_target(target: &str) -> Result<()> {
    if has_target(target) {
        return Ok(());
    }
    on_path("rustup").with_context(|| format!("target `{target}` is missing, and so is rustup, which could add it"))?;
    run(Command::new("rustup").args(["target", "add", target]))
}

/// Adds a rustup component whose cargo subcommand is missing.
pub(crate) fn ensure_subcommand(subcommand: &str, component: &str) -> Result<()> {
    if succeeds(Command::new("cargo").args([subcommand, "--version"])) {
        return Ok(());
    }
    run(Command::new("rustup").args(["component", "add", component]))
}
