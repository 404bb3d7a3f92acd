//! Plays seeded histories with faults against the machine: `--seeds N [--seed-from K] [--steps S]`, `--replay SEED`,
//! `--mutants`.

#[path = "../sim/mod.rs"]
mod sim;

use muster_core::Mutant;
use sim::{Coverage, Outcome, Plan, play};
use std::process::ExitCode;
use std::time::Instant;

/// Within so many histories every mutant must be noticed.
const MUTANT_SEEDS: u64 = 1_000;
/// From so many histories on, every reachable pair must have been reached.
const ENOUGH_FOR_COVERAGE: u64 = 2_000;

/// The decisions that are switched off one by one, each with the promise that is meant to notice.
const MUTANTS: [(Mutant, &str); 18] = [
    (Mutant::IgnoreRunNumber, "what is told of another run changes nothing"),
    (Mutant::StartBesideOld, "never two live runs"),
    (Mutant::SkipNeedsOnRestart, "needs hold at every start"),
    (Mutant::GraceForgotten, "a stop that is not obeyed ends in KILL"),
    (Mutant::StopOrderReversed, "dependants stop first"),
    (Mutant::AbsentIsRunning, "what is gone is known to be gone"),
    (Mutant::SecondStartOnRecovered, "never two live runs"),
    (Mutant::BackoffIgnored, "backoff is waited for"),
    (Mutant::CircuitNeverOpens, "the circuit opens"),
    (Mutant::ThresholdsIgnored, "ready is what enough answers say"),
    (Mutant::ImpossibleIsMet, "needs hold at every start"),
    (Mutant::IgnoreGeneration, "needs hold at every start"),
    (Mutant::JobRerun, "a job that is done is not run again"),
    (Mutant::StopOrderIgnored, "dependants stop first"),
    (Mutant::OptionalNotAwaited, "optional needs are waited for while they can come"),
    (Mutant::MaxIgnored, "restarts are limited"),
    (Mutant::WithIgnored, "what is restarted with another stops before it"),
    (Mutant::ChangeIgnored, "what is wanted is there at rest"),
];

/// What was asked for on the command line.
struct Asked {
    seeds: u64,
    from: u64,
    steps: u32,
    replay: Option<u64>,
    mutants: bool,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { seeds: 1_000, from: 0, steps: 200, replay: None, mutants: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, String> {
            let text = words.next().ok_or_else(|| format!("`{word}` wants a number"))?;
            text.parse().map_err(|_| format!("`{text}` is not a number"))
        };
        match word.as_str() {
            "--seeds" => asked.seeds = number()?,
            "--seed-from" => asked.from = number()?,
            "--steps" => asked.steps = u32::try_from(number()?).map_err(|_| "too many steps".to_owned())?,
            "--replay" => asked.replay = Some(number()?),
            "--mutants" => asked.mutants = true,
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(asked)
}

fn main() -> ExitCode {
    match asked() {
        Err(problem) => {
            eprintln!("simulate: {problem}");
            ExitCode::from(2)
        }
        Ok(asked) if asked.mutants => mutants(&asked),
        Ok(asked) => match asked.replay {
            Some(seed) => replay(seed, asked.steps),
            None => histories(&asked),
        },
    }
}

fn told(seed: u64, outcome: &Outcome) -> bool {
    let Some(broken) = &outcome.broken else { return true };
    println!("seed {seed}: after {} steps broken: {}: {}", outcome.steps, broken.promise, broken.detail);
    false
}

fn replay(seed: u64, steps: u32) -> ExitCode {
    let outcome = play(seed, Plan { steps, mutant: None, trace: true }, &mut Coverage::default());
    if told(seed, &outcome) {
        println!("seed {seed}: {} steps, {} faults, every promise held", outcome.steps, outcome.faults);
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

fn histories(asked: &Asked) -> ExitCode {
    let began = Instant::now();
    let mut coverage = Coverage::default();
    let (mut steps, mut faults, mut failed, mut quiet) = (0_u64, 0_u64, 0_u64, 0_u64);
    for seed in asked.from..asked.from + asked.seeds {
        let outcome = play(seed, Plan { steps: asked.steps, mutant: None, trace: false }, &mut coverage);
        steps += u64::from(outcome.steps);
        faults += outcome.faults;
        quiet += u64::from(outcome.faults < 3);
        if !told(seed, &outcome) {
            failed += 1;
            println!("  replay: cargo run --profile sim -p muster-core --example simulate -- --replay {seed}");
            if failed >= 10 {
                break;
            }
        }
    }
    let wrong = coverage.print();
    println!(
        "{} histories, {steps} steps, {faults} faults ({quiet} histories with fewer than 3), {failed} broken, {:.1} s",
        asked.seeds,
        began.elapsed().as_secs_f64()
    );
    if asked.seeds >= ENOUGH_FOR_COVERAGE && !wrong.is_empty() {
        wrong.iter().for_each(|line| println!("{line}"));
        return ExitCode::FAILURE;
    }
    if failed == 0 && quiet == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn mutants(asked: &Asked) -> ExitCode {
    let mut survived = 0;
    println!("{:<24} {:>6} {:>6}  broken promise", "mutant", "seed", "steps");
    for (mutant, meant) in MUTANTS {
        let caught = (asked.from..asked.from + MUTANT_SEEDS).find_map(|seed| {
            let plan = Plan { steps: asked.steps, mutant: Some(mutant), trace: false };
            let outcome = play(seed, plan, &mut Coverage::default());
            outcome.broken.filter(|broken| broken.promise == meant).map(|broken| (seed, outcome.steps, broken))
        });
        match caught {
            Some((seed, steps, broken)) => {
                println!("{:<24} {seed:>6} {steps:>6}  {}: {}", format!("{mutant:?}"), broken.promise, broken.detail);
            }
            None => {
                survived += 1;
                println!("{:<24} survived {MUTANT_SEEDS} histories: {meant}", format!("{mutant:?}"));
            }
        }
    }
    if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
