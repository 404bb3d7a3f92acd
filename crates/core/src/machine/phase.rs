//! What an instance is, each phase with the data that is legal in it.

use crate::{Cause, Time};
use muster_spec::{ProbeSpec, Role};
use serde::{Deserialize, Serialize};

/// What is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Not there.
    Stopped,
    /// Wanted, not there; `possible` is false when somebody must act before a need can be met.
    Waiting { possible: bool },
    /// It ended; started again at `until`.
    Backoff { until: Time },
    /// The start was asked for, nothing came back yet.
    Spawning,
    /// Alive; the startup probe did not pass yet.
    Startup { started: Time, gauge: Gauge, by: Option<Time> },
    /// Alive.
    Running { started: Time, ready: Gauge, live: Gauge, by: Option<Time> },
    /// Asked to stop; KILL at `deadline`, and again after each KILL.
    Stopping { deadline: Time, killed: bool, after: After },
    /// Ended, nothing is due.
    Exited,
    /// A job that succeeded.
    Done,
    /// Given up; `ended` when a run of it came to an end, false when none came to be.
    Failed { ended: bool },
    /// Cannot be verified; what it was before.
    Lost { was: Box<Phase>, reason: String },
}

impl Phase {
    /// A run may be alive.
    pub(crate) fn live(&self) -> bool {
        match self {
            Self::Spawning
            | Self::Startup { .. }
            | Self::Running { .. }
            | Self::Stopping { .. }
            | Self::Lost { .. } => true,
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Backoff { .. }
            | Self::Exited
            | Self::Done
            | Self::Failed { .. } => false,
        }
    }

    /// A run may be alive, and it can be asked to stop and was not yet.
    pub(crate) fn stoppable(&self) -> bool {
        match self {
            Self::Spawning | Self::Startup { .. } | Self::Running { .. } => true,
            Self::Stopping { .. }
            | Self::Lost { .. }
            | Self::Stopped
            | Self::Waiting { .. }
            | Self::Backoff { .. }
            | Self::Exited
            | Self::Done
            | Self::Failed { .. } => false,
        }
    }

    /// What it needs is not stopped before it, when both are to end.
    pub(crate) fn holds_needed(&self) -> bool {
        self.stoppable() || matches!(self, Self::Stopping { .. })
    }

    /// Attempts in a row are not saved one by one: after a daemon start they are counted anew.
    pub(crate) fn forget_counts(&mut self) {
        match self {
            Self::Startup { gauge, .. } => gauge.row = 0,
            Self::Running { ready, live, .. } => (ready.row, live.row) = (0, 0),
            Self::Lost { was, .. } => was.forget_counts(),
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Backoff { .. }
            | Self::Spawning
            | Self::Stopping { .. }
            | Self::Exited
            | Self::Done
            | Self::Failed { .. } => {}
        }
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match self {
            Self::Backoff { until } => Some(*until),
            Self::Startup { by, .. } | Self::Running { by, .. } => *by,
            Self::Stopping { deadline, .. } => Some(*deadline),
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Spawning
            | Self::Exited
            | Self::Done
            | Self::Failed { .. }
            | Self::Lost { .. } => None,
        }
    }
}

/// What follows when the run that is stopped is gone, if the instance is still wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum After {
    /// It was not wanted; when it is by then, it starts anew.
    Gone,
    /// It starts anew.
    Anew,
    /// It was stopped because it failed: the restart policy decides.
    Policy(Trouble),
}

/// What was wrong with a run that was stopped for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Trouble {
    /// Its liveness failed.
    Unhealthy(String),
    /// A probe's `within` was over.
    TooLate(Role, String),
}

/// A stop that is wanted but waits for its turn: dependants go first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// Why.
    pub(crate) cause: Cause,
    /// What then.
    pub(crate) after: After,
    /// KILL at once, out of turn.
    pub(crate) kill: bool,
}

/// What a probe says, after its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Nothing yet.
    Unknown,
    /// Yes; also without a probe.
    Yes,
    /// No.
    No,
}

/// The answers of one probe, with hysteresis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gauge {
    /// What it says.
    pub(crate) answer: Answer,
    /// Attempts in a row with the same result.
    row: u32,
    /// That result.
    passing: bool,
    /// The last reason.
    pub(crate) reason: String,
    /// Since when it is asked.
    since: Time,
    /// A job without a ready probe: a need counts it as ready, people see that it runs.
    #[serde(default)]
    pub(crate) tacit: bool,
}

impl Gauge {
    /// A gauge from now on; without a probe the answer is yes.
    pub(crate) fn new(spec: Option<&ProbeSpec>, now: Time) -> Self {
        let answer = if spec.is_some() { Answer::Unknown } else { Answer::Yes };
        Self { answer, row: 0, passing: false, reason: String::new(), since: now, tacit: false }
    }

    /// The same, for readiness: without a probe a job says nothing of it.
    pub(crate) fn readiness(spec: Option<&ProbeSpec>, job: bool, now: Time) -> Self {
        Self { tacit: job && spec.is_none(), ..Self::new(spec, now) }
    }

    /// Takes an attempt in; true when the answer changed.
    ///
    /// Before the first pass attempts follow one another within milliseconds, so `fails` of them mean nothing until the
    /// time that they would take at `every` is over.
    pub(crate) fn record(&mut self, spec: &ProbeSpec, failure: Option<&str>, now: Time, at_once: bool) -> bool {
        let passed = failure.is_none();
        self.row = if self.passing == passed { self.row.saturating_add(1) } else { 1 };
        self.passing = passed;
        if let Some(reason) = failure {
            reason.clone_into(&mut self.reason);
        }
        let before = self.answer;
        let early = before == Answer::Unknown && now.since(self.since) < spec.every.get().saturating_mul(spec.fails);
        if passed && (self.row >= spec.passes || at_once) {
            self.answer = Answer::Yes;
        } else if !passed && (at_once || (self.row >= spec.fails && !early)) {
            self.answer = Answer::No;
        }
        self.answer != before
    }

    /// Brings the gauge in line with a probe that came or went.
    pub(crate) fn adapt(&mut self, fresh: Self, [had, has]: [bool; 2]) {
        if !has || !had {
            *self = fresh;
        }
    }
}
