//! Causes in words.

use crate::{Cause, Exit};
use muster_spec::Until;

/// The word of a need's condition.
#[must_use]
pub fn until(until: Until) -> &'static str {
    match until {
        Until::Started => "started",
        Until::Ready => "ready",
        Until::Healthy => "healthy",
        Until::Done => "done",
        Until::Exited => "exited",
    }
}

/// A cause in one line.
#[must_use]
pub fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Asked(verb) => format!("`{verb}` was asked for"),
        Cause::NeedsMet => "everything that it needs is there".to_owned(),
        Cause::Needs { instance, until: what, state, possible } => {
            let tail = if *possible { "" } else { " and will not get there by itself" };
            format!("waits for `{instance}` to be {}; that is {state}{tail}", until(*what))
        }
        Cause::Spawned => "was spawned".to_owned(),
        Cause::StartFailed(reason) => format!("could not be started: {reason}"),
        Cause::Ended(Exit::Removed) => "removed by someone else".to_owned(),
        Cause::Ended(exit) => format!("ended by itself with {exit}"),
        Cause::Obeyed(exit) => format!("ended with {exit} after it was asked to"),
        Cause::GraceOver => "did not stop in time and was killed".to_owned(),
        Cause::Restart { attempt, wait_ms: 0 } => format!("restart {attempt}, at once"),
        Cause::Restart { attempt, wait_ms } => format!("restart {attempt}, after {}", millis(*wait_ms)),
        Cause::GaveUp { restarts, last } => format!("given up after {restarts} restarts; the last: {last}"),
        Cause::Passed(role) => format!("its {role} probe passed"),
        Cause::Failing { role, reason } => format!("its {role} probe fails: {reason}"),
        Cause::TooLate { role, reason } => format!("its {role} probe did not pass in time: {reason}"),
        Cause::RestartedWith { instance, .. } => format!("`{instance}`, which it is restarted with, was restarted"),
        Cause::Changed => "its definition changed".to_owned(),
        Cause::UpToDate => "unchanged since its last success: not run again".to_owned(),
        Cause::Removed => "the stack does not have it any more".to_owned(),
        Cause::Adopted => "was found alive and is ours".to_owned(),
        Cause::NeverStarted => "its start had not happened when the daemon ended".to_owned(),
        Cause::Unverifiable(reason) => format!("cannot be verified: {reason}"),
        Cause::Forgotten => "was dropped by a person".to_owned(),
        Cause::NotWanted => "was not asked for".to_owned(),
    }
}

fn millis(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}
