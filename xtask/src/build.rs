//! `build [--release]`: the static shim first, then muster, which carries it or finds it beside itself.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::args::Args;
use crate::hosts;
use crate::setup::{ensure_target, musl_target};
use crate::workspace::{Workspace, replace, run as run_command};

/// How muster is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick; the shim lies beside `muster`.
    Dev,
    /// What is handed out; the shim is inside `muster`.
    Release,
}

/// The task.
pub(crate) fn run(workspace: &Workspace, mut args: Args) -> Result<()> {
    let profile = if args.flag("--release") { Profile::Release } else { Profile::Dev };
    args.finish()?;
    let binary = muster(workspace, profile)?;
    println!("{}", binary.display());
    Ok(())
}

/// Builds the shim and muster; returns muster's path.
pub(crate) fn muster(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let shim = shim(workspace)?;
    let mut cargo = workspace.cargo("build");
    cargo.args(["--package", "muster-cli", "--bin", "muster"]);
    let folder = match profile {
        Profile::Dev => workspace.target.join("debug"),
        Profile::Release => {
            cargo.arg("--release").env("MUSTER_EMBED_SHIM", &shim);
            cargo.env("MUSTER_EMBED_HOSTS", hosts::embedded(workspace));
            workspace.target.join("release")
        }
    };
    run_command(&mut cargo)?;
    place_shim(&shim, profile, &folder)?;
    Ok(folder.join("muster"))
}

/// Builds only muster, quickly, for what it can say about itself; it starts nothing without a shim.
pub(crate) fn muster_alone(workspace: &Workspace) -> Result<PathBuf> {
    run_command(workspace.cargo("build").args(["--package", "muster-cli", "--bin", "muster"]))?;
    Ok(workspace.target.join("debug/muster"))
}

/// Builds the shim, static where the musl target is there or can be added; returns its path.
pub(crate) fn shim(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo("build");
    cargo.args(["--package", "muster-shim", "--bin", "muster-shim", "--profile", "shim"]);
    let folder = match static_target() {
        Ok(target) => {
            // non-PIE: no relocations at start, which is 20 kB less private memory for each service
            let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
            cargo.args(["--target", &target]);
            cargo.env(variable, "-C target-feature=+crt-static -C relocation-model=static");
            workspace.target.join(target).join("shim")
        }
        Err(error) => {
            eprintln!("building a dynamic muster-shim, which costs more memory for each service: {error:#}");
            workspace.target.join("shim")
        }
    };
    run_command(&mut cargo)?;
    Ok(folder.join("muster-shim"))
}

/// In development `muster` finds its shim beside itself.
fn place_shim(shim: &Path, profile: Profile, folder: &Path) -> Result<()> {
    match profile {
        Profile::Dev => replace(shim, &folder.join("muster-shim")),
        Profile::Release => Ok(()),
    }
}

fn static_target() -> Result<String> {
    anyhow::ensure!(cfg!(target_os = "linux"), "a static binary needs Linux");
    let target = musl_target();
    ensure_target(&target).context("no static build")?;
    Ok(target)
}
