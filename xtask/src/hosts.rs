//! What `muster` brings to other hosts: `muster-agent` and `muster-shim`, static, for each kind of machine.

use std::path::PathBuf;

use anyhow::Result;

use crate::setup::ensure_target;
use crate::workspace::{Workspace, run as run_command};

/// Machines that can be other hosts, as `uname -m` says them.
const MACHINES: [&str; 2] = ["x86_64", "aarch64"];

/// The two binaries for one kind of machine.
struct Binaries {
    agent: PathBuf,
    shim: PathBuf,
}

/// Builds them for a kind of machine. Another one than this needs no compiler or linker but Rust's own.
fn build(workspace: &Workspace, machine: &'static str) -> Result<Binaries> {
    let target = format!("{machine}-unknown-linux-musl");
    ensure_target(&target)?;
    let mut flags = String::from("-C target-feature=+crt-static -C relocation-model=static");
    if machine != std::env::consts::ARCH {
        flags.push_str(" -C linker=rust-lld -C link-self-contained=yes");
    }
    let mut cargo = workspace.cargo("build");
    cargo.args(["--package", "muster-agent", "--package", "muster-shim", "--bins", "--profile", "shim"]);
    cargo.args(["--target", &target]);
    cargo.env(format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_")), flags);
    run_command(&mut cargo)?;
    let folder = workspace.target.join(&target).join("shim");
    Ok(Binaries { agent: folder.join("muster-agent"), shim: folder.join("muster-shim") })
}

/// The words of `MUSTER_EMBED_HOSTS` for all kinds that can be built here.
pub(crate) fn embedded(workspace: &Workspace) -> String {
    let mut words = Vec::new();
    for machine in MACHINES {
        match build(workspace, machine) {
            Ok(built) => words.push(format!("{machine}={}:{}", built.agent.display(), built.shim.display())),
            Err(error) => eprintln!("this muster will not serve {machine} hosts: {error:#}"),
        }
    }
    words.join(",")
}
