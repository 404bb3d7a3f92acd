//! Waiting for what a command wants: every change on the way, then how it ended.

use super::events::{async_stream, page};
use super::unready::Unready;
use crate::documents::{ErrorDocument, EventDocument, Failure, Outcome, Progress, WaitRequest, WaitUntil};
use crate::engine::Engine;
use crate::environment::Handle;
use crate::shared::Shared;
use crate::snapshot::{Snapshot, alive};
use futures::stream::BoxStream;
use muster_core::outcome::{self, outcome};
use muster_core::why::advice;
use muster_core::{Exit, State, View, Wanted};
use muster_spec::{EnvironmentId, InstanceId, OnEnd};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

impl Engine {
    /// Tells every change of the instances of a command, and then how it ended.
    ///
    /// # Errors
    /// No such environment, or a name that is not an instance's.
    pub fn wait(
        &self,
        id: &EnvironmentId,
        request: WaitRequest,
    ) -> Result<BoxStream<'static, Progress>, ErrorDocument> {
        let handle = self.known(id)?;
        let parsed: Result<BTreeSet<InstanceId>, _> = request.instances.into_iter().map(InstanceId::try_from).collect();
        let instances = parsed.map_err(|error: muster_spec::IdentityError| {
            ErrorDocument::new("selector::syntax", 2, error.to_string())
        })?;
        let news = self.inner.shared.events.subscribe();
        let shared = Arc::clone(&self.inner.shared);
        let waiter = Waiter {
            shared,
            handle,
            instances,
            generation: request.generation,
            until: request.until,
            last: request.after,
            unready: Unready::new(request.patience_ms.map(Duration::from_millis)),
        };
        Ok(async_stream(move |out| waiter.run(news, out)))
    }
}

struct Waiter {
    shared: Arc<Shared>,
    handle: Handle,
    instances: BTreeSet<InstanceId>,
    generation: u64,
    until: WaitUntil,
    /// The last event that was told or left out.
    last: u64,
    unready: Unready,
}

impl Waiter {
    async fn run(mut self, mut news: broadcast::Receiver<EventDocument>, out: mpsc::Sender<Progress>) {
        let mut snapshot = self.handle.snapshot.clone();
        // what happened between the command and this question
        let mut missed = page(&self.shared.store, &self.handle.id, self.last);
        // nothing is evaluated before an earlier daemon's runs were looked at
        self.handle.verified().await;
        loop {
            let now = Arc::clone(&snapshot.borrow_and_update());
            missed.extend(self.drain(&mut news));
            for event in missed.drain(..).filter(|event| event.seq > self.last).collect::<Vec<_>>() {
                self.last = event.seq;
                let ours = event.instance.parse().is_ok_and(|instance| self.instances.contains(&instance));
                if ours && out.send(Progress::Event(event)).await.is_err() {
                    return;
                }
            }
            if let Some(outcome) = self.evaluate(&now) {
                // An error means that the reader is gone.
                let _ = out.send(Progress::Outcome(outcome)).await;
                return;
            }
            let due = self.unready.due();
            tokio::select! {
                changed = snapshot.changed() => if changed.is_err() { return },
                () = out.closed() => return,
                () = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
            }
        }
    }

    /// All events of a snapshot are in the channel before the snapshot is.
    fn drain(&self, news: &mut broadcast::Receiver<EventDocument>) -> Vec<EventDocument> {
        let environment = self.handle.id.to_string();
        let mut events = Vec::new();
        loop {
            match news.try_recv() {
                Ok(event) if event.environment == environment => events.push(event),
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => {
                    let after = events.last().map_or(self.last, |event: &EventDocument| event.seq);
                    events.extend(page(&self.shared.store, &self.handle.id, after));
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return events,
            }
        }
    }

    fn evaluate(&mut self, now: &Snapshot) -> Option<Outcome> {
        if now.generation < self.generation {
            return None;
        }
        let views: Vec<&View> =
            self.instances.iter().filter_map(|instance| now.instances.get(instance)).map(|info| &info.view).collect();
        match self.until {
            WaitUntil::Ready => self.ready(now, &views),
            WaitUntil::Down => down(now, &views),
            WaitUntil::End => self.end(now, &views),
        }
    }

    /// A later command has another opinion about what is waited for.
    fn superseded(&self, now: &Snapshot, views: &[&View]) -> bool {
        now.generation > self.generation
            && (now.stack_generation > self.generation || views.iter().any(|view| view.wanted == Wanted::Down))
    }

    fn ready(&mut self, now: &Snapshot, views: &[&View]) -> Option<Outcome> {
        let stack = &now.accepted.as_ref()?.stack;
        match outcome(views.iter().copied(), &self.instances, stack) {
            outcome::Progress::Met => Some(finished("met", Vec::new())),
            _pending_or_failed if self.superseded(now, views) => Some(finished("superseded", Vec::new())),
            outcome::Progress::Pending { waiting_for } => {
                let stuck = self.unready.stuck(now, &waiting_for)?;
                let failure = |(instance, reason): (InstanceId, String)| failure(now, &instance, reason);
                Some(finished("failed", stuck.into_iter().map(failure).collect()))
            }
            outcome::Progress::Failed(failed) => {
                let failure = |(instance, reason): (InstanceId, String)| failure(now, &instance, reason);
                Some(finished("failed", failed.into_iter().map(failure).collect()))
            }
        }
    }

    /// An attached `up`: over when nothing of it runs or is due, or when one ended that ends the whole.
    fn end(&self, now: &Snapshot, views: &[&View]) -> Option<Outcome> {
        let stack = &now.accepted.as_ref()?.stack;
        for view in views.iter().filter(|view| view.settled && view.generation >= self.generation) {
            let Some(spec) = stack.services.get(&view.instance.service) else { continue };
            let ended = matches!(view.state, State::Exited | State::Failed | State::Done);
            let success =
                view.state == State::Done || matches!(view.exit, Some(Exit::Code(code)) if spec.succeeded(code));
            let ends_all = ended && (spec.on_exit == OnEnd::End || (!success && spec.on_failure == OnEnd::End));
            if ends_all {
                let code = if success { 0 } else { code_of(view.exit.as_ref()) };
                let result = if success { "met" } else { "failed" };
                let mut over = finished(result, failures(now, views));
                over.code = Some(code);
                return Some(over);
            }
        }
        let over = views.iter().all(|view| !alive(view.state) && view.settled);
        if !over {
            return None;
        }
        if self.superseded(now, views) {
            return Some(finished("superseded", Vec::new()));
        }
        let failures = failures(now, views);
        Some(finished(if failures.is_empty() { "met" } else { "failed" }, failures))
    }
}

fn down(now: &Snapshot, views: &[&View]) -> Option<Outcome> {
    let left: Vec<_> = views.iter().filter(|view| alive(view.state)).collect();
    if left.iter().any(|view| view.state != State::Lost) || (left.is_empty() && now.ending) {
        return None;
    }
    let failures: Vec<Failure> = left
        .iter()
        .map(|view| failure(now, &view.instance, "cannot be verified and was left alone".to_owned()))
        .collect();
    Some(finished(if failures.is_empty() { "met" } else { "failed" }, failures))
}

/// What a shell would say of an exit: 128 and the signal's number for a signal.
fn code_of(exit: Option<&Exit>) -> i32 {
    match exit {
        Some(Exit::Code(code)) => *code,
        Some(Exit::Signal(number)) => 128 + number,
        Some(Exit::SupervisorKilled | Exit::Removed | Exit::Unknown) | None => 1,
    }
}

fn failures(now: &Snapshot, views: &[&View]) -> Vec<Failure> {
    let failed = |view: &&&View| match view.state {
        State::Failed | State::Lost | State::Waiting => true,
        State::Exited => view.exit != Some(Exit::Code(0)) && !succeeded(now, view),
        State::Stopped
        | State::Backoff
        | State::Starting
        | State::Running
        | State::Ready
        | State::Unhealthy
        | State::Stopping
        | State::Done => false,
    };
    let reason = |view: &&View| now.instances.get(&view.instance).and_then(|i| i.reason.clone()).unwrap_or_default();
    views.iter().filter(failed).map(|view| failure(now, &view.instance, reason(view))).collect()
}

fn succeeded(now: &Snapshot, view: &View) -> bool {
    let spec = now.accepted.as_ref().and_then(|accepted| accepted.stack.services.get(&view.instance.service));
    matches!((&view.exit, spec), (Some(Exit::Code(code)), Some(spec)) if spec.succeeded(*code))
}

fn failure(now: &Snapshot, instance: &InstanceId, reason: String) -> Failure {
    let view = now.instances.get(instance).map(|info| &info.view);
    let state = view.map_or(State::Stopped, |view| view.state);
    let next = view
        .and_then(|view| advice(view, now.service(&instance.service)))
        .unwrap_or_else(|| format!("muster why {instance}"));
    Failure { instance: instance.to_string(), state: state.to_string(), reason, next: Some(next) }
}

fn finished(result: &str, failures: Vec<Failure>) -> Outcome {
    Outcome { schema: "muster.outcome.v1".to_owned(), result: result.to_owned(), failures, code: None }
}
