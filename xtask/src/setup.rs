//! What building and testing need on a machine, and how each comes there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{on_path, output, run, succeeds};

/// Something that has to be on the machine.
pub(crate) struct Component {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// Who needs it, and what happens without.
    pub(crate) why: &'static str,
    /// Whether nothing works without it.
    pub(crate) required: bool,
    present: fn() -> bool,
    install: fn() -> Result<()>,
}

impl Component {
    /// Whether it is there now.
    pub(crate) fn present(&self) -> bool {
        (self.present)()
    }

    /// Brings it there, or says what a person has to do.
    pub(crate) fn install(&self) -> Result<()> {
        (self.install)()
    }
}

/// All that tests need, in the order in which it is installed.
const COMPONENTS: &[Component] = &[
    Component {
        name: "C compiler",
        why: "builds the bundled SQLite and links",
        required: true,
        present: || on_path("cc").is_some(),
        install: install_compiler,
    },
    Component {
        name: "procfs",
        why: "processes are identified by their start time",
        required: cfg!(target_os = "linux"),
        present: || cfg!(not(target_os = "linux")) || Path::new("/proc/self/stat").exists(),
        install: || bail!("mount it: mount -t proc proc /proc"),
    },
    Component {
        name: "musl target",
        why: "muster-shim is static; without it a dynamic one is built",
        required: false,
        present: || cfg!(not(target_os = "linux")) || has_target(&musl_target()),
        install: || ensure_target(&musl_target()),
    },
];

/// Installs what is missing; an error names what cannot be had and is required.
pub(crate) fn prepare() -> Result<()> {
    for component in COMPONENTS {
        if component.present() {
            continue;
        }
        eprintln!("setting up: {} ({})", component.name, component.why);
        match component.install() {
            Ok(()) => {}
            Err(error) if component.required => {
                return Err(error.context(format!("`{}` is needed: {}", component.name, component.why)));
            }
            Err(error) => eprintln!("going on without {}: {error:#}", component.name),
        }
    }
    Ok(())
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

fn install_compiler() -> Result<()> {
    if on_path("apt-get").is_none() {
        bail!("install a C compiler with this system's package manager");
    }
    run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", "gcc", "libc6-dev"]))
        .context("as root: apt-get update && apt-get install gcc libc6-dev")
}
