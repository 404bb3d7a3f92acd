//! What an `up` in progress says.

use crate::human;
use crate::term::Terminal;
use anstyle::AnsiColor;
use muster_engine::documents::{AcceptedDocument, EventDocument, Outcome};
use muster_spec::{InstanceId, Stack};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is said of a reason that was told.
const SAME: &str = "the same again";

/// Says changes to somebody who waits: a reason in full once, and after that only that it is the same again.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    told: BTreeMap<String, Told>,
}

/// What was told of an instance since it was there the last time.
#[derive(Debug, Default)]
struct Told {
    /// The last reason for each state.
    reasons: BTreeMap<String, String>,
    /// The last end was for the same reason as the one before.
    same: bool,
}

impl Told {
    /// Whether the reason for a state is the one that was told before.
    fn again(&mut self, event: &EventDocument) -> bool {
        let before = self.reasons.insert(event.to.clone(), event.cause.clone());
        before.is_some_and(|before| before == event.cause)
    }
}

impl Teller {
    /// A line for a change that somebody who waits wants to see. A job has no "ready": it is done, or it is not.
    pub(crate) fn line(
        &mut self,
        event: &EventDocument,
        job: bool,
        elapsed: Duration,
        terminal: &Terminal,
    ) -> Option<String> {
        let after = human::duration(elapsed.as_secs_f64());
        let (name, cause) = (&event.instance, &event.cause);
        let told = self.told.entry(name.clone()).or_default();
        let good = |word: &str| {
            let mark = terminal.err_style(terminal.mark(true), AnsiColor::Green);
            Some(format!("{mark} {name} {word}"))
        };
        let bad = |word: &str, why: &str| {
            let mark = terminal.err_style(terminal.mark(false), AnsiColor::Red);
            Some(format!("{mark} {name}{word}: {why}"))
        };
        // the last try ended as the one before
        let before = told.reasons.get("backoff") == Some(cause);
        // what follows within one state explains the line before
        let again = event.from == event.to;
        match event.to.as_str() {
            "ready" => {
                *told = Told::default();
                if job || again { None } else { good(&format!("ready after {after}")) }
            }
            "done" if again => good(&format!("done: {cause}")),
            "done" => good(&format!("done after {after}")),
            "stopping" if told.again(event) => None,
            "stopping" => Some(format!("  {name}: {cause}")),
            // there was nothing to stop
            "stopped" if again || event.from == "done" => None,
            "stopped" => good(&format!("stopped after {after}")),
            "exited" if again => Some(format!("  {name}: {cause}")),
            "exited" if before => Some(format!("  {name} ended: {SAME}")),
            "exited" => Some(format!("  {name} ended: {cause}")),
            "backoff" if again && told.same => Some(format!("  {name}: {SAME}; {cause}")),
            "backoff" | "failed" if again => Some(format!("  {name}: {cause}")),
            "backoff" => {
                told.same = told.again(event);
                if told.same { None } else { bad("", cause) }
            }
            "failed" if before => bad(" failed", SAME),
            "failed" => bad(" failed", cause),
            "unhealthy" => bad(" is unhealthy", cause),
            "lost" => bad(" is lost", cause),
            _other => None,
        }
    }
}

/// The end of the first part of an attached `up`.
pub(crate) fn reached(outcome: &Outcome, elapsed: Duration, terminal: &Terminal) -> String {
    if outcome.result == "met" {
        let mark = terminal.err_style(terminal.mark(true), AnsiColor::Green);
        return format!("{mark} everything is there after {}; ctrl-C stops it", human::duration(elapsed.as_secs_f64()));
    }
    failures(outcome, terminal)
}

/// What did not get there, why, and what to run next.
pub(crate) fn failures(outcome: &Outcome, terminal: &Terminal) -> String {
    if outcome.result == "superseded" {
        return "superseded: another command wants something else of these services now".into();
    }
    let mark = terminal.err_style(terminal.mark(false), AnsiColor::Red);
    let mut text = format!("{mark} {} did not get there", human::count(outcome.failures.len(), "service"));
    for failure in &outcome.failures {
        text.push_str(&format!("\n  {} is {}: {}", failure.instance, failure.state, failure.reason));
        if let Some(next) = &failure.next {
            text.push_str(&format!("\n    next: {next}"));
        }
    }
    text
}

/// The last line of a detached `up`.
pub(crate) fn summary(accepted: &AcceptedDocument, stack: &Stack, terminal: &Terminal) -> String {
    let mark = terminal.err_style(terminal.mark(true), AnsiColor::Green);
    // what the stack has no more was stopped and is not there
    let there = |names: &[String]| names.iter().filter(|name| has(stack, name)).count();
    let changed = there(&accepted.changed);
    let unchanged = there(&accepted.instances).saturating_sub(changed);
    match (changed, unchanged) {
        (0, n) => format!("{mark} {} already there", human::count(n, "service")),
        (n, 0) => format!("{mark} {} there; `muster status` shows them", human::count(n, "service")),
        (n, m) => format!("{mark} {} there, {m} left as they were", human::count(n, "service")),
    }
}

/// Whether the stack still has the service of an instance.
pub(crate) fn has(stack: &Stack, instance: &str) -> bool {
    instance.parse::<InstanceId>().is_ok_and(|id| stack.services.contains_key(&id.service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_engine::documents::Failure;

    fn event(to: &str) -> EventDocument {
        EventDocument {
            schema: "muster.event.v1".into(),
            seq: 1,
            at: String::new(),
            environment: "local-00000000".into(),
            instance: "api".into(),
            run: 1,
            from: "starting".into(),
            to: to.into(),
            cause: "exited with code 1".into(),
        }
    }

    #[test]
    fn lines() {
        let say = |from: &str, to, job| {
            let event = EventDocument { from: from.into(), ..event(to) };
            Teller::default().line(&event, job, Duration::from_millis(1500), &Terminal::default()).unwrap_or_default()
        };
        assert_eq!(
            [
                say("running", "ready", false),
                say("starting", "ready", true),
                say("ready", "done", true),
                say("ready", "backoff", false),
                say("backoff", "backoff", false),
                say("starting", "failed", false),
                say("waiting", "starting", false),
                say("stopping", "stopped", false),
                say("stopped", "stopped", false),
                say("done", "stopped", true),
            ],
            [
                "+ api ready after 1.5s",
                "",
                "+ api done after 1.5s",
                "! api: exited with code 1",
                "  api: exited with code 1",
                "! api failed: exited with code 1",
                "",
                "+ api stopped after 1.5s",
                "",
                "",
            ]
        );
    }

    #[test]
    fn a_reason_is_told_once() {
        let mut teller = Teller::default();
        let mut lines = Vec::new();
        let mut say = |from: &str, to: &str, cause: &str| {
            let event = EventDocument { from: from.into(), cause: cause.into(), ..event(to) };
            lines.extend(teller.line(&event, false, Duration::from_secs(1), &Terminal::default()));
        };
        let long = "could not be started: a sentence";
        for (from, attempt) in [("waiting", "restart 1, at once"), ("starting", "restart 2, after 2.0 s")] {
            say(from, "backoff", long);
            say("backoff", "backoff", attempt);
        }
        say("starting", "backoff", "could not be started: another");
        say("backoff", "backoff", "restart 3, after 4.0 s");
        say("running", "ready", "");
        say("ready", "backoff", "could not be started: another");
        say("backoff", "backoff", "restart 4, after 8.0 s");
        say("starting", "failed", "could not be started: another");
        say("failed", "failed", "given up after 4 restarts; the last: another");
        say("starting", "exited", "could not be started: another");
        insta::assert_snapshot!(lines.join("\n"), @r"
        ! api: could not be started: a sentence
          api: restart 1, at once
          api: the same again; restart 2, after 2.0 s
        ! api: could not be started: another
          api: restart 3, after 4.0 s
        + api ready after 1.0s
        ! api: could not be started: another
          api: restart 4, after 8.0 s
        ! api failed: the same again
          api: given up after 4 restarts; the last: another
          api ended: the same again
        ");
    }

    #[test]
    fn failures_name_the_next_step() {
        let failure = Failure {
            instance: "api".into(),
            state: "waiting".into(),
            reason: "needs `db` ready, which failed: exited with code 1".into(),
            next: Some("muster logs db".into()),
        };
        let outcome = Outcome { schema: String::new(), result: "failed".into(), failures: vec![failure], code: None };
        insta::assert_snapshot!(failures(&outcome, &Terminal::default()), @r"
        ! 1 service did not get there
          api is waiting: needs `db` ready, which failed: exited with code 1
            next: muster logs db
        ");
    }
}
