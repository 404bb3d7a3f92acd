//! What is done while a project runs, in Muster's words.

use super::compare::{Row, Seen, state_fits};
use super::deviation::Deviation;
use super::expected::{Case, Step};
use super::recorder::{Mark, Who};
use super::world::{World, until};
use std::collections::BTreeSet;
use std::io;

/// A step as a command here.
enum Ours {
    /// `start --no-deps X`
    Start(String),
    /// `up` again.
    UpAgain,
    /// The number of replicas in the file, and `up` again.
    Scale(String, u16),
    /// What is refused there is not tried.
    Refused,
}

fn ours(step: &Step) -> Option<Ours> {
    let words: Vec<&str> = step.run.split(' ').collect();
    Some(match words.as_slice() {
        ["process", "scale", ..] if step.exit_code != Some(0) => Ours::Refused,
        ["namespace" | "process", "start", name] => Ours::Start((*name).to_owned()),
        ["POST", "/project/configuration"] | ["project", "update", ..] => Ours::UpAgain,
        ["process", "scale", name, number] => {
            let service = name.rsplit_once('-').map_or(*name, |(service, _)| service);
            Ours::Scale(service.to_owned(), number.parse().ok()?)
        }
        _other => return None,
    })
}

/// Takes every step and compares what follows from it.
///
/// # Errors
/// A command cannot be run.
pub fn take(case: &Case, world: &World, row: &mut Row) -> io::Result<()> {
    for step in &case.steps {
        let before = started(world);
        let (said, scaled) = match ours(step) {
            Some(Ours::Start(name)) => {
                row.deviations.insert(Deviation::NeedsComeAlong);
                (world.run(&["start", "--no-deps"], &[name])?, false)
            }
            Some(Ours::UpAgain) => (world.run(&["up", "--detach"], &case.args)?, false),
            Some(Ours::Scale(service, number)) => {
                row.deviations.insert(Deviation::ScaleInFile);
                world.edit(|text| scale(text, &service, number))?;
                (world.run(&["up", "--detach", "--no-wait"], &case.args)?, true)
            }
            Some(Ours::Refused) => continue,
            None => {
                row.differences.push(format!("no counterpart for `{}`", step.run));
                continue;
            }
        };
        row.check("steps", said.code == Some(0), || format!("{}: {said:?}", step.run));
        let mut last = Ok(Vec::new());
        until(|| {
            last = off(step, world, scaled);
            matches!(&last, Ok(wrong) if wrong.is_empty()).then_some(())
        });
        let wrong = last?;
        row.check("steps", wrong.is_empty(), || format!("{}: {wrong:?}", step.run));
        if !scaled {
            let new: BTreeSet<Who> = started(world)[before.len()..].iter().cloned().collect();
            let wanted: BTreeSet<Who> = step.started.iter().map(|name| (name.clone(), "0".to_owned())).collect();
            let meant = (new.is_empty() && step.run.starts_with("project update")).then_some(Deviation::NotRestarted);
            row.check_or("steps", new == wanted, meant, || format!("{}: {new:?}, not {wanted:?}", step.run));
        }
    }
    Ok(())
}

fn started(world: &World) -> Vec<Who> {
    let starts = world.recorder.marks().into_iter().filter_map(|mark| match mark {
        Mark::Start(start) => Some(start.who),
        Mark::End(_) => None,
    });
    starts.collect()
}

/// What is not yet as it should be after a step. Of what is scaled only the names count: time goes on between steps.
fn off(step: &Step, world: &World, scaled: bool) -> io::Result<Vec<String>> {
    let seen = Seen { status: world.status()?, logs: std::collections::BTreeMap::new(), marks: Vec::new() };
    let mut wrong = Vec::new();
    let wanted: BTreeSet<String> = step.then.keys().cloned().collect();
    if seen.names() != wanted {
        wrong.push(format!("{:?} are not {wanted:?}", seen.names()));
    }
    for (name, word) in step.then.iter().filter(|_| !scaled) {
        let state = seen.entry(name).and_then(|entry| entry["state"].as_str()).unwrap_or_default();
        if !state_fits(word, state) {
            wrong.push(format!("{name} is {state} and not {word}"));
        }
    }
    Ok(wrong)
}

/// The file with another number of replicas for a process.
fn scale(text: &str, service: &str, number: u16) -> String {
    let mut out = String::new();
    let head = format!("  {service}:");
    let mut inside = false;
    for line in text.lines() {
        let starts = line.starts_with("  ") && !line.starts_with("   ");
        inside = if starts { line == head } else { inside };
        if inside && line.trim_start().starts_with("replicas:") {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        if line == head {
            out.push_str(&format!("    replicas: {number}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_replicas_is_put_in_place() {
        let text = "processes:\n  a:\n    command: x\n    replicas: 2\n  b:\n    command: y\n";
        let scaled = scale(text, "a", 5);
        assert_eq!(scaled, "processes:\n  a:\n    replicas: 5\n    command: x\n  b:\n    command: y\n");
        assert_eq!(scale(&scaled, "b", 3), scaled.replace("  b:\n", "  b:\n    replicas: 3\n"));
    }
}
