//! `cargo xtask TASK`: what a developer repeats, and all that CI calls.
//!
//! One file per task. `workspace` knows where things lie and runs commands; `args` reads the command line; `setup` brings
//! what tests need onto the machine.
#![forbid(unsafe_code)]

mod args;
mod bench;
mod build;
mod client;
mod demo;
mod generate;
mod hosts;
mod lint;
mod services;
mod setup;
mod sim;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use args::Args;
use workspace::Workspace;

/// What `cargo xtask` without a task prints.
const USAGE: &str = "\
usage: cargo xtask TASK

  build [--release]             the static muster-shim, then muster (a release embeds the shim)
  test [--full] [ARGS]          sets up, runs every test, the simulator and the mutants; ARGS go to `cargo test` and leave
                                the last two out
  services up [--install] | env | down
                                the container engines that tests use, kept up between runs; prints the variables that name
                                them. `test` starts and ends them by itself, and with CI=true installs what is missing
  lint [--only CHECK,...]       every check; all of them even when one fails
  gen [--check]                 the generated files under docs/
  sim [--seeds N] [--seed-from K] [--steps M]
                                seeded histories with faults through the state machine
  replay SEED                   one of them again, told step by step
  mutants                       shows that the simulator finds planted mistakes
  demo [--release | --muster FILE]
                                the reference stack in examples/demo: up, a request, a crash, the request again, down
  bench [--setup] [--quick] [--rounds R] [--n N,...] [--only PEER,...] [--tests T,...] [--bytes B]
                                muster beside its peers on the same work, into bench/results/";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let task = words.next().unwrap_or_default();
    let args = Args::new(words);
    if matches!(task.as_str(), "" | "help" | "-h" | "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let workspace = Workspace::find()?;
    match task.as_str() {
        "build" => build::run(&workspace, args),
        "test" => test::run(&workspace, args),
        "services" => services::run(args),
        "lint" => lint::run(&workspace, args),
        "gen" => generate::run(&workspace, args),
        "sim" => sim::run(&workspace, args),
        "replay" => sim::replay(&workspace, args),
        "mutants" => sim::mutants(&workspace, args),
        "demo" => demo::run(&workspace, args),
        "bench" => bench::run(&workspace, args),
        _ => bail!("no task `{task}`\n{USAGE}"),
    }
}
