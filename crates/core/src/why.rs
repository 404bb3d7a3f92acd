//! Why an instance is where it is: a walk over what is and what was recorded, to the root cause.

use crate::{Cause, Machine, State, Transition, View, Wanted, words};
use muster_spec::{InstanceId, RuntimeKind, ServiceSpec};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A transition as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTransition {
    /// Grows for ever.
    pub seq: u64,
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
    /// What.
    pub transition: Transition,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The instance that the sentence is about.
    pub instance: InstanceId,
    /// What happened, in one sentence.
    pub sentence: String,
    /// When, in nanoseconds since 1970, where it is recorded.
    pub at_ns: Option<i64>,
    /// What to do next: a command, or a sentence with one.
    pub next: Option<String>,
}

/// The chain of causes from an instance to the root: first where it is, then why, then why that.
///
/// `history` holds the latest transitions of the environment, oldest first.
#[must_use]
pub fn why(machine: &Machine, history: &[RecordedTransition], instance: &InstanceId) -> Vec<Link> {
    let mut links = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = Some(instance.clone());
    while let Some(id) = next.take().filter(|id| seen.insert(id.clone())) {
        let Some(view) = machine.view(&id) else { break };
        let blockers = machine.stop_waits_for(&id);
        if let Some(blocker) = blockers.first() {
            let names: Vec<String> = blockers.iter().map(|b| format!("`{b}`")).collect();
            links.push(Link {
                sentence: format!("`{id}` is to stop once {} is gone", names.join(", ")),
                at_ns: None,
                next: None,
                instance: id,
            });
            next = Some(blocker.clone());
            continue;
        }
        let spec = machine.accepted().and_then(|accepted| accepted.stack.services.get(&id.service));
        links.push(here(&view, spec, history));
        if let (State::Waiting, Cause::Needs { instance, .. }) = (view.state, &view.cause) {
            next = Some(instance.clone());
            continue;
        }
        links.extend(before(&view, history));
        next = with_whom(&view, history);
    }
    links
}

/// The chain as text: a line per link, indented by its depth.
#[must_use]
pub fn render(links: &[Link]) -> String {
    let mut text = String::new();
    for (depth, link) in links.iter().enumerate() {
        let arrow = if depth == 0 { "" } else { "because " };
        let _infallible = writeln!(text, "{}{arrow}{}", "  ".repeat(depth), link.sentence);
        if let Some(next) = &link.next {
            let _infallible = writeln!(text, "{}run: {next}", "  ".repeat(depth + 1));
        }
    }
    text
}

/// Where it is.
fn here(view: &View, spec: Option<&ServiceSpec>, history: &[RecordedTransition]) -> Link {
    let id = &view.instance;
    let since = last(history, id, |t| t.to == view.state && t.from != t.to);
    Link {
        instance: id.clone(),
        sentence: format!("`{id}` is {}: {}", view.state, words::cause(&view.cause)),
        at_ns: since.map(|record| record.at_ns),
        next: advice(view, spec),
    }
}

/// What to do next where a person has to do something: a command, or a sentence with one.
#[must_use]
pub fn advice(view: &View, spec: Option<&ServiceSpec>) -> Option<String> {
    let id = &view.instance;
    match (view.state, &view.cause) {
        // what never ran wrote nothing
        (State::Failed, Cause::GaveUp { .. }) if view.exit.is_none() => Some(format!("muster start {id}")),
        (State::Failed, Cause::StartFailed(_)) => Some(format!("muster start {id}")),
        (State::Failed | State::Backoff | State::Unhealthy | State::Running | State::Starting, _) => {
            Some(format!("muster logs {id}"))
        }
        (State::Exited, _) if view.wanted == Wanted::Up => Some(format!("muster logs {id}")),
        (State::Stopped | State::Exited, _) => Some(format!("muster start {id}")),
        (State::Lost, _) => Some(found_again(id, spec)),
        (State::Stopping, _) => Some(format!("muster stop {id}")),
        (State::Waiting | State::Ready | State::Done, _) => None,
    }
}

/// What is out of sight is there again once what it is reached by is; to drop it is the last resort.
fn found_again(id: &InstanceId, spec: Option<&ServiceSpec>) -> String {
    let drop = format!("muster down {id} --forget");
    let back = match spec.map(|spec| (spec.runtime, &spec.variants.remote)) {
        Some((RuntimeKind::Container, _)) => "start its engine".to_owned(),
        Some((RuntimeKind::Remote, Some(remote))) => format!("see that `ssh {}` works", remote.host),
        Some((RuntimeKind::Remote, None)) => "see that its host can be reached".to_owned(),
        Some((RuntimeKind::Process | RuntimeKind::Mock | RuntimeKind::External, _)) | None => return drop,
    };
    format!("{back}: it comes back by itself; or drop it: `{drop}`")
}

/// What led there, newest first: the end before a restart, the trouble before a stop.
fn before(view: &View, history: &[RecordedTransition]) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for record in history.iter().rev().filter(|record| record.transition.instance == view.instance) {
        let cause = &record.transition.cause;
        if *cause == view.cause && links.is_empty() {
            continue;
        }
        let (tell, root) = match cause {
            Cause::Ended(_)
            | Cause::StartFailed(_)
            | Cause::Failing { .. }
            | Cause::TooLate { .. }
            | Cause::RestartedWith { .. }
            | Cause::Asked(_)
            | Cause::Changed
            | Cause::Removed
            | Cause::Unverifiable(_)
            | Cause::NeverStarted
            | Cause::Forgotten => (true, true),
            Cause::Restart { .. } | Cause::GaveUp { .. } | Cause::GraceOver => (true, false),
            Cause::NeedsMet
            | Cause::Needs { .. }
            | Cause::Spawned
            | Cause::Obeyed(_)
            | Cause::Passed(_)
            | Cause::UpToDate
            | Cause::Adopted
            | Cause::NotWanted => (false, false),
        };
        if tell {
            let id = &view.instance;
            let run = record.transition.run;
            let subject = if run == 0 { format!("`{id}`") } else { format!("`{id}` run {run}") };
            let sentence = format!("{subject}: {}", words::cause(cause));
            // a step that leaves and enters a state tells its cause twice
            if links.last().is_none_or(|link| link.sentence != sentence) {
                links.push(Link { instance: id.clone(), sentence, at_ns: Some(record.at_ns), next: None });
            }
        }
        if root {
            break;
        }
    }
    links
}

/// The instance with which it was restarted, when that is what happened last.
fn with_whom(view: &View, history: &[RecordedTransition]) -> Option<InstanceId> {
    let record = last(history, &view.instance, |t| {
        matches!(t.cause, Cause::RestartedWith { .. } | Cause::Ended(_) | Cause::Failing { .. } | Cause::Asked(_))
    })?;
    match &record.transition.cause {
        Cause::RestartedWith { instance, .. } => Some(instance.clone()),
        _other => None,
    }
}

fn last<'a>(
    history: &'a [RecordedTransition],
    id: &InstanceId,
    wanted: impl Fn(&Transition) -> bool,
) -> Option<&'a RecordedTransition> {
    history.iter().rev().find(|record| record.transition.instance == *id && wanted(&record.transition))
}
