//! `test [--full] [ARGS]`: sets up what the tests need, runs them, and says what was left out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::args::Args;
use crate::workspace::{Workspace, in_ci, replace, run as run_command};
use crate::{build, services, setup, sim};

/// The task. With ARGS only those tests run; without, the simulator and its mutants follow.
pub(crate) fn run(workspace: &Workspace, mut args: Args) -> Result<()> {
    let full = args.flag("--full");
    let passed_on = args.rest();
    setup::prepare()?;
    let skips = workspace.scratch()?.join("skips");
    let shown = workspace.scratch()?.join("shown");
    for file in [&skips, &shown] {
        std::fs::write(file, "").with_context(|| format!("emptying `{}`", file.display()))?;
    }

    let mut failed = Vec::new();
    let mut note = |suite: &'static str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("error: {error:#}");
            failed.push(suite);
        }
    };
    note("cargo test", cargo_test(workspace, &Plan { full, passed_on: &passed_on, skips: &skips, shown: &shown }));
    if passed_on.is_empty() {
        note("sim", sim::run(workspace, Args::new(std::iter::empty())));
        note("mutants", sim::mutants(workspace, Args::new(std::iter::empty())));
    }

    // tables and figures, for who closes an issue with them
    print!("{}", std::fs::read_to_string(&shown).with_context(|| format!("reading `{}`", shown.display()))?);
    let skipped = std::fs::read_to_string(&skips).with_context(|| format!("reading `{}`", skips.display()))?;
    let skipped = skipped_suites(&skipped);
    for line in &skipped {
        eprintln!("{line}");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    if !skipped.is_empty() && in_ci() {
        bail!("{} suites were skipped, and in CI none may be", skipped.len());
    }
    eprintln!("all tests passed; {} suites skipped", skipped.len());
    Ok(())
}

/// What is to be tested.
struct Plan<'a> {
    full: bool,
    passed_on: &'a [String],
    skips: &'a Path,
    shown: &'a Path,
}

fn cargo_test(workspace: &Workspace, plan: &Plan<'_>) -> Result<()> {
    // engines come up while the compiler works
    let starting = std::thread::spawn(services::for_tests);
    let built = build_programs(workspace);
    let share = starting.join().map_err(|_| anyhow!("starting the services of the tests panicked"))??;
    let tested = built.and_then(|shim| run_tests(workspace, plan, &shim, &share.variables));
    tested.and(services::give_back(share))
}

/// Helper programs and `muster` itself: tests of one crate run binaries of another, which cargo does not build for them.
/// Returns the path of the shim.
fn build_programs(workspace: &Workspace) -> Result<PathBuf> {
    let shim = build::shim(workspace)?;
    run_command(workspace.cargo("build").args(["--workspace", "--bins"]))?;
    replace(&shim, &workspace.target.join("debug/muster-shim"))?;
    Ok(shim)
}

fn run_tests(workspace: &Workspace, plan: &Plan<'_>, shim: &Path, components: &[(&'static str, String)]) -> Result<()> {
    let mut cargo = workspace.cargo("test");
    cargo.arg("--no-fail-fast");
    if !names_package(plan.passed_on) {
        cargo.arg("--workspace");
        if plan.full {
            cargo.args(["--features", PLACES]);
        }
    }
    cargo.args(plan.passed_on).env("MUSTER_SKIPS", plan.skips).env("MUSTER_SHOWN", plan.shown).env("MUSTER_SHIM", shim);
    cargo.envs(components.iter().map(|(name, value)| (name, value)));
    if plan.full {
        cargo.env("MUSTER_TEST_FULL", "1");
    }
    run_command(&mut cargo)
}

/// Tests over containers and other hosts that take minutes.
pub(crate) const PLACES: &str = "muster-e2e/places";

/// Whether the caller wants the tests of one crate; `--workspace` beside that would mean all.
fn names_package(words: &[String]) -> bool {
    let own = words.iter().take_while(|word| *word != "--");
    own.into_iter().any(|word| word.starts_with("-p") || word == "--package" || word.starts_with("--package="))
}

/// The lines `SKIPPED <suite>: <reason>` that tests left, each once.
fn skipped_suites(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| line.starts_with("SKIPPED ")).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_crate_can_be_named() {
        let names = |text: &str| super::names_package(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(names("-p muster-core graph") && names("--package=muster-core"));
        assert!(!names("graph") && !names("graph -- -p"));
    }

    #[test]
    fn a_suite_that_many_tests_skip_is_named_once() {
        let text = "SKIPPED tty: no pty\nSKIPPED cgroup: not delegated\n\nSKIPPED tty: no pty\nnoise\n";
        assert_eq!(super::skipped_suites(text), ["SKIPPED cgroup: not delegated", "SKIPPED tty: no pty"]);
    }
}
