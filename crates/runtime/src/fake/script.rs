//! What a scripted run does.

use crate::contract::Known;
use muster_spec::Signal;
use std::time::Duration;

/// How a start comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartScript {
    /// After this time it runs.
    Works(Duration),
    /// After this time it fails.
    Fails {
        /// How long it takes.
        after: Duration,
        /// The words.
        reason: String,
        /// 126 or 127: permanent; `None`: transient.
        code: Option<i32>,
    },
    /// It never comes out.
    Hangs,
}

/// What a run does when it is asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopScript {
    /// It ends by the signal, after this time.
    Obeys(Duration),
    /// It ends with a code, after this time.
    Exits(Duration, i32),
    /// Nothing: only KILL ends it.
    Ignores,
}

/// Something that a run does by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Writes to standard output.
    Stdout(String),
    /// Writes to standard error.
    Stderr(String),
    /// Writes what it was given to standard output.
    Tell(Given),
    /// Says something over its notify socket.
    Notify(String),
    /// Can no longer be seen.
    LinkLost(String),
    /// Can be seen again.
    LinkBack,
    /// Ends.
    End(Known),
}

/// What a run was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Its environment, `NAME=value` lines.
    Environment,
    /// Its working directory.
    Directory,
    /// The number of its user, 0 where it has none of its own.
    User,
    /// Its limit on open files.
    FileLimit,
}

/// What one run does from its start to its end. The default starts at once, runs for ever, and obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// How the start comes out.
    pub start: StartScript,
    /// What it does when it is asked to stop.
    pub stop: StopScript,
    /// What it does by itself, by time after it began to run.
    pub acts: Vec<(Duration, Act)>,
    /// Why nothing can be told of it by `recover`, if that is so.
    pub unverifiable: Option<String>,
    /// What a command beside it prints and returns.
    pub exec: (String, i32),
    /// What it prints when it gets a signal that does not end it.
    pub answers: Option<(Signal, String)>,
    /// A mark that one process of its tree carries, which ends with the run.
    pub mark: Option<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            start: StartScript::Works(Duration::ZERO),
            stop: StopScript::Obeys(Duration::ZERO),
            acts: Vec::new(),
            unverifiable: None,
            exec: (String::new(), 0),
            answers: None,
            mark: None,
        }
    }
}

impl Script {
    /// Starts at once, runs for ever, and obeys.
    #[must_use]
    pub fn runs() -> Self {
        Self::default()
    }

    /// The start fails at once: with a code it is permanent.
    #[must_use]
    pub fn fails(reason: &str, code: Option<i32>) -> Self {
        let start = StartScript::Fails { after: Duration::ZERO, reason: reason.to_owned(), code };
        Self { start, ..Self::default() }
    }

    /// The start never comes out.
    #[must_use]
    pub fn hangs() -> Self {
        Self { start: StartScript::Hangs, ..Self::default() }
    }

    /// It ends by itself with a code, this long after it began to run.
    #[must_use]
    pub fn exits(after: Duration, code: i32) -> Self {
        Self::runs().then(after, Act::End(Known::Code(code)))
    }

    /// The start takes this long.
    #[must_use]
    pub fn start_takes(mut self, time: Duration) -> Self {
        self.start = StartScript::Works(time);
        self
    }

    /// Does something this long after it began to run.
    #[must_use]
    pub fn then(mut self, after: Duration, act: Act) -> Self {
        self.acts.push((after, act));
        self
    }

    /// Writes a line this long after it began to run.
    #[must_use]
    pub fn prints(self, after: Duration, line: &str) -> Self {
        self.then(after, Act::Stdout(format!("{line}\n")))
    }

    /// Does this when it is asked to stop.
    #[must_use]
    pub fn on_stop(mut self, stop: StopScript) -> Self {
        self.stop = stop;
        self
    }

    /// Cannot be verified by `recover`.
    #[must_use]
    pub fn unverifiable(mut self, reason: &str) -> Self {
        self.unverifiable = Some(reason.to_owned());
        self
    }

    /// Prints a line when it gets this signal, and goes on.
    #[must_use]
    pub fn answers(mut self, signal: Signal, line: &str) -> Self {
        self.answers = Some((signal, format!("{line}\n")));
        self
    }

    /// A process of its tree carries a mark.
    #[must_use]
    pub fn marked(mut self, mark: &str) -> Self {
        self.mark = Some(mark.to_owned());
        self
    }
}
