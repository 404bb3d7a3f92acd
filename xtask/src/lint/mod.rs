//! `lint [--only CHECK,...]`: every check, all of them even when one fails.
//!
//! `source` reads Rust as far as the checks need it; `sizes`, `forbidden`, `edges` and `listed` judge what is there.

mod edges;
mod forbidden;
mod listed;
mod sizes;
mod source;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::args::Args;
use crate::test::PLACES;
use crate::workspace::{Workspace, on_path, run as run_command};
use crate::{generate, setup};

/// The crates without I/O; they have to stay portable.
const PURE: [&str; 4] = ["muster-spec", "muster-core", "muster-compose", "muster-config"];

/// A target that is not Linux, for which std comes by rustup.
const OTHER_TARGET: &str = "aarch64-apple-darwin";

/// What a check found.
#[derive(Default)]
pub(crate) struct Report {
    /// Each fails the check.
    pub(crate) problems: Vec<String>,
    /// Each is worth a look.
    pub(crate) warnings: Vec<String>,
}

struct Check {
    name: &'static str,
    run: fn(&Workspace) -> Result<Report>,
}

const CHECKS: [Check; 10] = [
    Check { name: "fmt", run: fmt },
    Check { name: "edges", run: edges::check },
    Check { name: "listed", run: listed::check },
    Check { name: "files", run: sizes::check_files },
    Check { name: "functions", run: sizes::check_functions },
    Check { name: "forbidden", run: forbidden::check },
    Check { name: "clippy", run: clippy },
    Check { name: "deny", run: deny },
    Check { name: "portable", run: portable },
    Check { name: "generated", run: generated },
];

/// The task.
pub(crate) fn run(workspace: &Workspace, mut args: Args) -> Result<()> {
    let only = args.list("--only")?;
    args.finish()?;
    if let Some(unknown) = only.iter().find(|name| !CHECKS.iter().any(|check| check.name == **name)) {
        let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        bail!("no check `{unknown}`; there are: {}", names.join(", "));
    }
    let mut summary = Vec::new();
    let mut failed = 0;
    for check in CHECKS.iter().filter(|check| only.is_empty() || only.iter().any(|name| name == check.name)) {
        let began = Instant::now();
        eprintln!("== {}", check.name);
        let report = (check.run)(workspace)
            .unwrap_or_else(|error| Report { problems: vec![format!("{error:#}")], warnings: Vec::new() });
        for warning in &report.warnings {
            eprintln!("warning: {warning}");
        }
        for problem in &report.problems {
            eprintln!("error: {problem}");
        }
        let passed = report.problems.is_empty();
        failed += usize::from(!passed);
        let verdict = if passed { "ok  " } else { "FAIL" };
        let counts = format!("{} errors, {} warnings", report.problems.len(), report.warnings.len());
        summary.push(format!("{verdict} {:<10} {counts} ({:.1} s)", check.name, began.elapsed().as_secs_f64()));
    }
    println!("\n{}", summary.join("\n"));
    if failed > 0 {
        bail!("{failed} of {} checks failed", summary.len());
    }
    Ok(())
}

/// A check that is another program: its exit code is the verdict, its own output the explanation.
fn judged_by(command: &mut Command) -> Report {
    match run_command(command) {
        Ok(()) => Report::default(),
        Err(error) => Report { problems: vec![format!("{error:#}")], warnings: Vec::new() },
    }
}

fn fmt(workspace: &Workspace) -> Result<Report> {
    setup::ensure_subcommand("fmt", "rustfmt")?;
    Ok(judged_by(workspace.cargo("fmt").args(["--all", "--check"])))
}

fn clippy(workspace: &Workspace) -> Result<Report> {
    setup::ensure_subcommand("clippy", "clippy")?;
    Ok(judged_by(workspace.cargo("clippy").args([
        "--workspace",
        "--all-targets",
        "--features",
        PLACES,
        "--",
        "-D",
        "warnings",
    ])))
}

/// The advisory database is not among them: it is the one part of cargo-deny that needs more than crates.io.
fn deny(workspace: &Workspace) -> Result<Report> {
    let tool = cargo_deny(workspace)?;
    let mut command = Command::new(tool);
    command.current_dir(&workspace.root).args(["--workspace", "check", "--hide-inclusion-graph"]);
    Ok(judged_by(command.args(["bans", "licenses", "sources"])))
}

fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(tool) = on_path("cargo-deny") {
        return Ok(tool);
    }
    let tools = workspace.target.join("tools");
    let tool = tools.join("bin/cargo-deny");
    if !tool.is_file() {
        eprintln!("building cargo-deny once, which takes some minutes");
        // a target folder of its own, or the build of the tool would lock out every other cargo
        let mut cargo = workspace.cargo("install");
        cargo.args(["cargo-deny", "--locked", "--root"]).arg(&tools).env("CARGO_TARGET_DIR", tools.join("build"));
        run_command(&mut cargo).context("cargo-deny checks bans, licences and sources")?;
        std::fs::remove_dir_all(tools.join("build")).context("removing what building cargo-deny left")?;
    }
    Ok(tool)
}

fn portable(workspace: &Workspace) -> Result<Report> {
    setup::ensure_target(OTHER_TARGET)?;
    let mut cargo = workspace.cargo("check");
    for package in PURE {
        cargo.args(["--package", package]);
    }
    Ok(judged_by(cargo.args(["--target", OTHER_TARGET])))
}

fn generated(workspace: &Workspace) -> Result<Report> {
    let problems = generate::stale(workspace)?;
    Ok(Report { problems, warnings: Vec::new() })
}
