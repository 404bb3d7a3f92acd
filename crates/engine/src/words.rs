//! The words for the core's values, in one place.

use muster_core::words::cause;
use muster_core::{Cause, Exit, State, View, Wanted};
use muster_runtime::Known;
use muster_spec::ServiceKind;

pub(crate) fn kind(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Service => "service",
        ServiceKind::Job => "job",
    }
}

/// How a command ended, as in "failed with exit code 1".
#[must_use]
pub fn ended(known: &Known) -> String {
    crate::environment::exit(known).to_string()
}

pub(crate) fn wanted(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Up => "up",
        Wanted::Down => "down",
    }
}

/// Why an instance is not where it should be; `None` when it is.
pub(crate) fn reason(view: &View) -> Option<String> {
    match view.state {
        State::Ready | State::Done => None,
        State::Stopped => match view.wanted {
            Wanted::Down if view.exit == Some(Exit::Removed) => Some(cause(&view.cause)),
            Wanted::Down => None,
            Wanted::Up => Some(cause(&view.cause)),
        },
        State::Exited => match view.exit {
            Some(Exit::Code(0)) => None,
            Some(Exit::Code(_) | Exit::Signal(_) | Exit::SupervisorKilled | Exit::Removed | Exit::Unknown) | None => {
                Some(cause(&view.cause))
            }
        },
        State::Running => match &view.cause {
            Cause::Failing { .. } => Some(cause(&view.cause)),
            // a job that has no ready probe: it runs, as it should
            _other if view.ready => None,
            _other => Some("not ready yet".to_owned()),
        },
        State::Waiting
        | State::Backoff
        | State::Starting
        | State::Unhealthy
        | State::Stopping
        | State::Failed
        | State::Lost => Some(cause(&view.cause)),
    }
}
