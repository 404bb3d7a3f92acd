//! What happened to a run so far, and how watchers learn of it.
//!
//! Watchers hold no queue: they compare what is with what they saw. Growth of a log is thereby told once however often it
//! grew, a slow watcher costs nothing, and the end cannot be lost.

use crate::contract::{ExitRecord, Handle, RuntimeEvent, StartError};
use futures::stream::{self, BoxStream, StreamExt as _};
use muster_spec::EngineHealth;
use std::collections::VecDeque;
use tokio::sync::watch;

/// Notify messages kept for watchers that come late or are slow; `READY=1` and `STOPPING=1` go last.
const NOTES: usize = 64;

/// A failed start that several callers may be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What and why, in one line.
    pub(crate) reason: String,
    /// 126 or 127 where trying again does not help.
    pub(crate) code: Option<i32>,
}

impl From<Failure> for StartError {
    fn from(failure: Failure) -> Self {
        match failure.code {
            Some(code) => Self::Permanent { reason: failure.reason, code },
            None => Self::Transient(failure.reason),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    /// The shim was not heard of yet.
    Starting,
    /// The program was executed.
    Running(Handle),
    /// The program never was.
    Failed(Failure),
    /// The tree is gone, the log complete, the end recorded.
    Ended(ExitRecord),
}

/// What happened to a run so far.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    pub(crate) log_end: u64,
    pub(crate) lost: Option<String>,
    /// What its engine says of its health.
    pub(crate) health: Option<EngineHealth>,
    pub(crate) status_text: Option<String>,
    notes: VecDeque<(u64, String)>,
    noted: u64,
}

impl Progress {
    pub(crate) fn new(phase: Phase) -> Self {
        Self { phase, log_end: 0, lost: None, health: None, status_text: None, notes: VecDeque::new(), noted: 0 }
    }

    /// Keeps what a service said while nobody listened, unless it was heard.
    pub(crate) fn note_once(&mut self, text: &str) {
        if !self.notes.iter().any(|(_, noted)| noted.contains(text)) {
            self.note(text.to_owned());
        }
    }

    /// Keeps what a service said.
    pub(crate) fn note(&mut self, text: String) {
        if let Some(status) = text.lines().find_map(|line| line.strip_prefix("STATUS=")) {
            self.status_text = Some(status.to_owned());
        }
        if self.notes.len() >= NOTES {
            let lasting = |text: &str| text.contains("READY=1") || text.contains("STOPPING=1");
            let at = self.notes.iter().position(|(_, text)| !lasting(text)).unwrap_or(0);
            self.notes.remove(at);
        }
        self.noted += 1;
        self.notes.push_back((self.noted, text));
    }
}

/// What happens from now on; what the service said before is told again, so that a late watcher misses no readiness.
pub(crate) fn events(progress: &watch::Sender<Progress>) -> BoxStream<'static, RuntimeEvent> {
    let watcher = Watcher { progress: progress.subscribe(), seen: Seen::default(), queue: VecDeque::new() };
    stream::unfold(watcher, Watcher::next).boxed()
}

/// Waits until a start has an outcome.
pub(crate) async fn settled(progress: &watch::Sender<Progress>) -> Phase {
    let mut receiver = progress.subscribe();
    let settled = receiver.wait_for(|progress| progress.phase != Phase::Starting).await;
    settled.map_or(Phase::Starting, |progress| progress.phase.clone())
}

#[derive(Debug, Default)]
struct Seen {
    noted: u64,
    log_end: u64,
    lost: bool,
    health: Option<EngineHealth>,
    over: bool,
}

#[derive(Debug)]
struct Watcher {
    progress: watch::Receiver<Progress>,
    seen: Seen,
    queue: VecDeque<RuntimeEvent>,
}

impl Watcher {
    async fn next(mut self) -> Option<(RuntimeEvent, Self)> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some((event, self));
            }
            if self.seen.over {
                return None;
            }
            let Self { progress, seen, queue } = &mut self;
            seen.collect(&progress.borrow_and_update(), queue);
            if self.queue.is_empty() && !self.seen.over {
                self.progress.changed().await.ok()?;
            }
        }
    }
}

impl Seen {
    fn collect(&mut self, now: &Progress, queue: &mut VecDeque<RuntimeEvent>) {
        let fresh = now.notes.iter().filter(|(number, _)| *number > self.noted);
        queue.extend(fresh.map(|(_, text)| RuntimeEvent::Notify(text.clone())));
        self.noted = now.noted;
        if now.log_end > self.log_end {
            self.log_end = now.log_end;
            queue.push_back(RuntimeEvent::LogGrew(now.log_end));
        }
        match (&now.lost, self.lost) {
            (Some(reason), false) => queue.push_back(RuntimeEvent::LinkLost(reason.clone())),
            (None, true) => queue.push_back(RuntimeEvent::LinkBack),
            (Some(_), true) | (None, false) => {}
        }
        self.lost = now.lost.is_some();
        if now.health != self.health {
            self.health = now.health;
            queue.extend(now.health.map(RuntimeEvent::Health));
        }
        match &now.phase {
            Phase::Ended(record) => {
                queue.push_back(RuntimeEvent::Exited(record.clone()));
                self.over = true;
            }
            Phase::Failed(_) => self.over = true,
            Phase::Starting | Phase::Running(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Known;

    #[test]
    fn a_late_watcher_misses_no_readiness_and_the_end_comes_last() {
        let mut progress = Progress::new(Phase::Starting);
        progress.note("READY=1".into());
        for n in 0..3 * NOTES {
            progress.note(format!("STATUS={n}"));
        }
        progress.log_end = 7;
        let record = ExitRecord { exit: Known::Code(3), at_ns: 1, log_bytes: 7, note: None };
        progress.phase = Phase::Ended(record.clone());
        let (mut seen, mut queue) = (Seen::default(), VecDeque::new());
        seen.collect(&progress, &mut queue);
        assert_eq!(queue.front(), Some(&RuntimeEvent::Notify("READY=1".into())));
        assert_eq!(queue.back(), Some(&RuntimeEvent::Exited(record)));
        assert!(seen.over);
        assert_eq!(progress.status_text.as_deref(), Some("191"));
    }
}
