//! `bench`: muster beside its peers on the same work, by `bench/peers.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::args::Args;
use crate::build::{self, Profile};
use crate::workspace::{Workspace, on_path, run as run_command, succeeds};

/// Options that go to the script as they are.
const PASSED_ON: [&str; 5] = ["--rounds", "--n", "--only", "--tests", "--bytes"];

/// The task.
pub(crate) fn run(workspace: &Workspace, mut args: Args) -> Result<()> {
    let peers = peers_folder()?;
    if args.flag("--setup") {
        args.finish()?;
        return set_up(&peers);
    }
    let mut words = Vec::new();
    if args.flag("--quick") {
        words.push("--quick".to_owned());
    }
    let mut ours = true;
    for name in PASSED_ON {
        if let Some(value) = args.value::<String>(name)? {
            ours &= name != "--only" || value.split(',').any(|peer| peer == "muster");
            words.extend([name.to_owned(), value]);
        }
    }
    args.finish()?;

    let python = peers.join("v/bin/python");
    ensure!(python.is_file(), "there is no `{}`; run `cargo xtask bench --setup` first", python.display());
    let bench = workspace.root.join("bench");
    let mut script = Command::new(python);
    script.current_dir(&workspace.root).arg(bench.join("peers.py")).args(words);
    script.arg("--results").arg(bench.join("results"));
    script.env("PEERS", &peers).env("WORKER", worker(workspace, &bench)?);
    if ours {
        script.env("MUSTER", build::muster(workspace, Profile::Release)?);
    }
    run_command(&mut script)
}

/// Where the peers are: `$PEERS`, or `peers` in the user's cache folder.
fn peers_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("PEERS") {
        return Ok(PathBuf::from(folder));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("neither PEERS nor HOME is set")?.join("peers"))
}

/// The service that every peer runs: static and small, so that what is measured is not the service.
fn worker(workspace: &Workspace, bench: &Path) -> Result<PathBuf> {
    // the name is what the script tells the worker from the supervisors by
    let worker = workspace.scratch()?.join("benchworker");
    let mut cc = Command::new("cc");
    run_command(cc.args(["-O2", "-static", "-Wall", "-o"]).arg(&worker).arg(bench.join("worker.c")))?;
    Ok(worker)
}

/// Installs the peers that have packages. One that cannot be had is named and left out of the measurement.
fn set_up(peers: &Path) -> Result<()> {
    std::fs::create_dir_all(peers).with_context(|| format!("creating `{}`", peers.display()))?;
    let mut missing = Vec::new();
    let mut note = |names: &'static str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("error: {error:#}");
            missing.push(names);
        }
    };
    note("python with psutil, supervisor, circus", python_peers(peers));
    note(
        "pm2",
        run_command(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(peers).arg("pm2")),
    );
    for name in ["pueue", "pitchfork-cli"] {
        note(name, cargo_peer(peers, name));
    }
    if on_path("process-compose").is_none() && !peers.join("bin/process-compose").is_file() {
        eprintln!("process-compose has no package here: it is measured where it is on PATH or in $PEERS/bin");
    }
    if !missing.is_empty() {
        bail!("could not install: {}", missing.join("; "));
    }
    Ok(())
}

fn python_peers(peers: &Path) -> Result<()> {
    let folder = peers.join("v");
    let pip = folder.join("bin/pip");
    if !pip.is_file() {
        run_command(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    if succeeds(Command::new(folder.join("bin/python")).args(["-c", "import psutil, supervisor, circus"])) {
        return Ok(());
    }
    run_command(Command::new(pip).args(["install", "--quiet", "psutil", "supervisor", "circus", "setuptools"]))
}

fn cargo_peer(peers: &Path, name: &str) -> Result<()> {
    run_command(Command::new("cargo").args(["install", "--locked", "--root"]).arg(peers.join("cargo")).arg(name))
}
