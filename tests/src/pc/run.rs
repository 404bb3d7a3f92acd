//! One case from its start to its end.

use super::compare::{self, Row, Seen};
use super::deviation::Deviation;
use super::expected::{Case, Verdict};
use super::steps;
use super::world::{Up, World, until};
use std::io;
use std::path::Path;

/// The process that is held until the steps of a case are taken: time must not decide about what they find.
const HELD: &str = "process3";

/// Words that both use for a refusal.
const WORDS: [&str; 3] = ["circular dependency", "already", "no such process: bar"];

/// Runs a case with a binary and compares everything that can be.
#[must_use]
pub fn run(name: &str, case: &Case, binary: &Path) -> Row {
    let mut row = Row { case: name.to_owned(), ..Row::default() };
    if let Err(error) = attempt(case, binary, &mut row) {
        row.differences.push(format!("it could not be run: {error}"));
    }
    row
}

fn attempt(case: &Case, binary: &Path, row: &mut Row) -> io::Result<()> {
    let world = World::new(case, binary)?;
    let waits = |process: &super::expected::Process| process.status == "Pending";
    let scaled = case.steps.iter().any(|step| step.run.starts_with("process scale"));
    if scaled || case.processes.values().any(waits) {
        world.recorder.hold(HELD)?;
    }
    let mut up = world.up(&case.args)?;
    match (case.verdict, case.ends_by_itself) {
        (Verdict::Rejected, _) => refused(case, &world, &mut up, row),
        (Verdict::Accepted, Some(true)) => ended(case, &world, &mut up, row),
        (Verdict::Accepted, Some(false)) if case.processes.is_empty() => nothing(&world, &mut up, row),
        (Verdict::Accepted, Some(false) | None) => {
            if !case.steps.is_empty() {
                step_by_step(case, &world, scaled, row)?;
            }
            followed(case, &world, &mut up, row)
        }
    }
}

fn refused(case: &Case, world: &World, up: &mut Up, row: &mut Row) -> io::Result<()> {
    let said = up.end()?;
    row.check("verdict", said.code != Some(0), || "it was accepted".to_owned());
    let meant = (said.code == Some(3)).then_some(Deviation::CodeOfRefusal);
    row.check_or("exit code of `up`", said.code == case.exit_code, meant, || format!("{said:?}"));
    let plain = said.err.replace('`', "");
    let same = WORDS.iter().any(|word| plain.contains(word) && case.error.iter().all(|other| other.contains(word)));
    row.check("words", same, || format!("{plain:?} says nothing of {:?}", case.error));
    let marks = world.recorder.marks();
    row.check("nothing was started", marks.is_empty(), || format!("{marks:?}"));
    Ok(())
}

fn ended(case: &Case, world: &World, up: &mut Up, row: &mut Row) -> io::Result<()> {
    let said = up.end()?;
    row.check("verdict", said.code != Some(3), || said.err.clone());
    row.compared.insert("ends by itself");
    compare::end(case, &said, row);
    compare::shown(case, &said, row);
    let seen = Seen::now(world)?;
    row.take(compare::processes(case, world, &seen));
    compare::files(case, world, row);
    down(case, world, row)
}

fn nothing(world: &World, up: &mut Up, row: &mut Row) -> io::Result<()> {
    let said = up.end()?;
    row.check_or("ends by itself", false, (said.code == Some(0)).then_some(Deviation::NothingToRun), || {
        format!("{said:?}")
    });
    let seen = Seen::now(world)?;
    row.check("nothing was started", seen.marks.is_empty(), || format!("{:?}", seen.marks));
    row.check("processes", seen.status.is_empty(), || format!("{:?}", seen.status));
    Ok(())
}

fn step_by_step(case: &Case, world: &World, scaled: bool, row: &mut Row) -> io::Result<()> {
    // the first process is there: what is asked next finds a project that runs
    until(|| (!world.recorder.marks().is_empty()).then_some(()));
    steps::take(case, world, row)?;
    if scaled {
        world.recorder.release(HELD)?;
    }
    Ok(())
}

/// A project that runs on until it is told to end.
fn followed(case: &Case, world: &World, up: &mut Up, row: &mut Row) -> io::Result<()> {
    let wanted = not_restarted(case);
    let mut last = Ok(Row::default());
    until(|| {
        last = Seen::now(world).map(|seen| compare::processes(&wanted, world, &seen));
        matches!(&last, Ok(found) if found.differences.is_empty()).then_some(())
    });
    row.take(last?);
    if case.ends_by_itself == Some(false) {
        let runs = up.runs()?;
        row.check("runs on", runs, || "`up` has ended".to_owned());
    }
    row.compared.insert("verdict");
    match &case.signal {
        Some(signal) => {
            up.signal(signal)?;
            let said = up.end()?;
            let meant = (said.code == Some(130)).then_some(Deviation::Interrupted);
            row.check_or("exit code of `up`", said.code == Some(0), meant, || format!("{said:?}"));
        }
        None => {
            down(case, world, row)?;
            let said = up.end()?;
            let superseded = said.code == Some(1) && said.err.contains("superseded");
            let meant = superseded.then_some(Deviation::Superseded);
            row.check_or("exit code of `up`", said.code == Some(0), meant, || format!("{said:?}"));
        }
    }
    compare::stopped(case, world, &Seen::now(world)?, row);
    compare::files(case, world, row);
    Ok(())
}

/// What process-compose restarted without a reason has one start less here.
fn not_restarted(case: &Case) -> Case {
    let mut once = case.clone();
    if case.steps.iter().any(|step| step.run.starts_with("project update")) {
        for process in once.processes.values_mut() {
            process.starts = process.starts.map(|count| count.min(1));
        }
    }
    once
}

fn down(case: &Case, world: &World, row: &mut Row) -> io::Result<()> {
    let said = world.run(&["down"], &[])?;
    let wanted = case.down.as_ref().map_or(0, |down| down.exit_code);
    row.check("exit code of `down`", said.code == Some(wanted), || format!("{said:?}"));
    Ok(())
}
