//! `sim`, `replay SEED`, `mutants`: the simulator, which is an example of crate `core`.

use anyhow::{Context as _, Result};

use crate::args::Args;
use crate::workspace::{Workspace, run as run_command};

/// How many histories `cargo xtask test` goes through.
pub(crate) const SEEDS: u64 = 10_000;

/// `sim [--seeds N] [--seed-from K] [--steps M]`
pub(crate) fn run(workspace: &Workspace, mut args: Args) -> Result<()> {
    let mut words = vec!["--seeds".to_owned(), args.value("--seeds")?.unwrap_or(SEEDS).to_string()];
    for name in ["--seed-from", "--steps"] {
        if let Some(value) = args.value::<u64>(name)? {
            words.extend([name.to_owned(), value.to_string()]);
        }
    }
    args.finish()?;
    simulate(workspace, &words)
}

/// `replay SEED [--steps M]`
pub(crate) fn replay(workspace: &Workspace, mut args: Args) -> Result<()> {
    let steps = args.value::<u64>("--steps")?;
    let word = args.word().context("which seed? `cargo xtask replay SEED`")?;
    let seed: u64 = word.parse().with_context(|| format!("`{word}` is no seed"))?;
    args.finish()?;
    let mut words = vec!["--replay".to_owned(), seed.to_string()];
    if let Some(steps) = steps {
        words.extend(["--steps".to_owned(), steps.to_string()]);
    }
    simulate(workspace, &words)
}

/// `mutants`
pub(crate) fn mutants(workspace: &Workspace, args: Args) -> Result<()> {
    args.finish()?;
    simulate(workspace, &["--mutants".to_owned()])
}

fn simulate(workspace: &Workspace, words: &[String]) -> Result<()> {
    let mut cargo = workspace.cargo("run");
    cargo.args(["--quiet", "--profile", "sim", "--package", "muster-core", "--example", "simulate", "--"]).args(words);
    run_command(&mut cargo)
}
