//! The machine: one per environment.
//!
//! ```text
//!            asked              needs met            spawned            startup passed
//!  Stopped ─────────► Waiting ────────────► Spawning ───────► Startup ────────────────► Running {ready, live}
//!     ▲                 ▲  ▲                   │                 │                          │
//!     │                 │  │ until             │ failed to start │ ended by itself          │
//!     │                 │  │                   ▼                 ▼                          ▼
//!     │                 │ Backoff ◄──────── the restart policy decides ──► Exited   nothing is due
//!     │                 │                      ▲                      ├──► Done     a job that succeeded
//!     │ not wanted      │ anew                 │ it was in trouble    └──► Failed   given up
//!     └─────────────────┴───────── Stopping ───┘
//!                                     ▲ its ending is due and those that need it and end as well are gone
//!                       Spawning | Startup | Running
//!
//!  Spawning | Startup | Running | Stopping ──► Lost {was} ──► what it was: cannot be verified, hands off
//! ```
//!
//! A step takes one event in, changes the phase of that instance, and puts it and its neighbours on a worklist: whoever
//! waits looks at its needs again, whoever is to end looks at its dependants again. What is wanted ([`node::Wish`], a
//! generation) and what is ([`phase::Phase`], a run) never share a variable.

mod commands;
mod endings;
mod events;
mod needs;
mod node;
mod phase;
mod probes;
mod saved;
mod worklist;

pub use saved::{Header, InstanceRow, Saved};

use crate::{Accepted, Cause, Context, Effect, Event, RequestId, Time, Transition, View};
use muster_spec::{InstanceId, ServiceKind, ServiceSpec};
use node::Node;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long after a KILL the next one follows, while the end is not reported.
const KILL_AGAIN: Duration = Duration::from_secs(3);

/// What is wanted and what is, for every instance of an environment.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    header: Header,
    accepted: Option<Arc<Accepted>>,
    nodes: Vec<Node>,
    index: BTreeMap<InstanceId, usize>,
    /// Who has a deadline, in order of time.
    timers: BTreeSet<(Time, usize)>,
    /// Who is to be looked at again in this step.
    queue: VecDeque<usize>,
    dirty: Vec<usize>,
    removed: Vec<InstanceRow>,
    /// What this step records and does: records go first.
    records: Vec<Effect>,
    actions: Vec<Effect>,
    #[cfg(feature = "mutants")]
    mutant: Option<crate::Mutant>,
}

impl Machine {
    /// An environment in which nothing was ever wanted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches one decision off.
    #[cfg(feature = "mutants")]
    pub fn mutate(&mut self, mutant: crate::Mutant) {
        self.mutant = Some(mutant);
    }

    /// The phase of an instance by name: finer than its state.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn phase(&self, instance: &InstanceId) -> Option<&'static str> {
        Some(self.phase_at(*self.index.get(instance)?))
    }

    /// The phases of all instances.
    #[cfg(feature = "mutants")]
    pub fn phases(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.index.values().map(|index| self.phase_at(*index))
    }

    #[cfg(feature = "mutants")]
    fn phase_at(&self, index: usize) -> &'static str {
        match &self.nodes[index].kept.phase {
            phase::Phase::Stopped => "Stopped",
            phase::Phase::Waiting { .. } => "Waiting",
            phase::Phase::Backoff { .. } => "Backoff",
            phase::Phase::Spawning => "Spawning",
            phase::Phase::Startup { .. } => "Startup",
            phase::Phase::Running { live, .. } if live.answer == phase::Answer::No => "Running!",
            phase::Phase::Running { ready, .. } if ready.answer == phase::Answer::Yes => "Running+",
            phase::Phase::Running { .. } => "Running",
            phase::Phase::Stopping { .. } => "Stopping",
            phase::Phase::Exited => "Exited",
            phase::Phase::Done => "Done",
            phase::Phase::Failed { .. } => "Failed",
            phase::Phase::Lost { .. } => "Lost",
        }
    }

    /// Takes one event in.
    pub fn step(&mut self, context: Context, event: Event, effects: &mut Vec<Effect>) {
        let reply = match event {
            Event::Command { request, command } => Some((request, self.command(context, command))),
            Event::Started { instance, run } => self.fact(&instance, run, |m, i| m.started(context, i)),
            Event::StartFailed { instance, run, reason, chance } => {
                self.fact(&instance, run, |m, i| m.start_failed(context, i, &reason, chance))
            }
            Event::Exited { instance, run, exit } => self.fact(&instance, run, |m, i| m.exited(context, i, exit)),
            Event::LinkLost { instance, run, reason } => {
                self.fact(&instance, run, |m, i| m.link_lost(context, i, reason))
            }
            Event::Recovered { instance, run, found } => {
                self.fact(&instance, run, |m, i| m.recovered(context, i, found))
            }
            Event::Probed { instance, run, role, failure } => {
                self.fact(&instance, run, |m, i| m.probed(context, i, role, failure.as_deref()))
            }
            Event::Held { instance, run, millis } => self.fact(&instance, run, |m, i| m.held(i, millis)),
            Event::Tick => {
                self.tick(context);
                None
            }
        };
        self.drain(context);
        if let Some((request, answer)) = reply {
            let reply = self.answer(answer);
            self.actions.push(Effect::Reply { request, reply });
        }
        self.finish(context, effects);
    }

    /// Runs `handle` when the fact is about the current run of an instance; what is late, foreign or unknown is nothing.
    fn fact(
        &mut self,
        instance: &InstanceId,
        run: u64,
        handle: impl FnOnce(&mut Self, usize),
    ) -> Option<(RequestId, commands::Taken)> {
        let index = self.index.get(instance).copied()?;
        if self.nodes[index].kept.run == run || crate::mutant::mutant!(self, IgnoreRunNumber) {
            handle(self, index);
        }
        None
    }

    /// The next time at which a [`Event::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.first().map(|(time, _)| *time)
    }

    /// What is saved of the environment as a whole.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header.clone()
    }

    /// What anybody may know of an instance.
    #[must_use]
    pub fn view(&self, instance: &InstanceId) -> Option<View> {
        self.index.get(instance).map(|index| self.view_at(*index))
    }

    /// Every instance, in order of name.
    pub fn views(&self) -> impl Iterator<Item = View> + '_ {
        self.index.values().map(|index| self.view_at(*index))
    }

    /// The stack that was accepted last.
    #[must_use]
    pub fn accepted(&self) -> Option<&Arc<Accepted>> {
        self.accepted.as_ref()
    }

    /// Makes the next run of an instance be numbered above `at_least`: for runs that are on disk but were never saved.
    pub fn reserve_run_number(&mut self, instance: &InstanceId, at_least: u64) {
        match self.index.get(instance).copied() {
            Some(index) => {
                let kept = &mut self.nodes[index].kept;
                kept.reserved = kept.reserved.max(at_least);
                self.mark(index);
            }
            None => {
                let last = self.header.retired.entry(instance.clone()).or_default();
                *last = (*last).max(at_least);
            }
        }
    }

    /// Who must be gone before this instance is asked to stop; empty when it is not to end or need not wait.
    #[must_use]
    pub fn stop_waits_for(&self, instance: &InstanceId) -> Vec<InstanceId> {
        let Some(index) = self.index.get(instance).copied() else { return Vec::new() };
        if self.nodes[index].kept.ending.is_none() {
            return Vec::new();
        }
        self.blockers(index).map(|blocker| self.nodes[blocker].id.clone()).collect()
    }

    fn view_at(&self, index: usize) -> View {
        self.nodes[index].view(self.is_job(index))
    }

    fn spec(&self, index: usize) -> Option<&ServiceSpec> {
        let place = self.nodes[index].place?;
        self.accepted.as_ref()?.stack.services.get_index(place).map(|(_, spec)| spec)
    }

    fn is_job(&self, index: usize) -> bool {
        self.spec(index).is_some_and(|spec| spec.kind == ServiceKind::Job)
    }

    /// Records a transition that leaves the phase as it is.
    fn record(&mut self, index: usize, cause: Cause) {
        let node = &self.nodes[index];
        let state = node.state();
        let transition = Transition { instance: node.id.clone(), run: node.kept.run, from: state, to: state, cause };
        self.records.push(Effect::Record(transition));
    }
}
