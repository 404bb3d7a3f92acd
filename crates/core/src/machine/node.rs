//! One instance: what is wanted and what is, apart.

use super::phase::{Answer, Ending, Phase};
use crate::restart::Restarts;
use crate::{Cause, Exit, State, Time, View, Wanted};
use muster_spec::{InstanceId, OnRestart, ServiceName, Until};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// It should run or finish.
    Up,
    /// It should not run.
    Stopped,
    /// It should not run, and its resources may go.
    Gone,
}

/// An edge of the graph, to every copy of what is needed.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) on: Vec<usize>,
    pub(crate) until: Until,
    pub(crate) restart: OnRestart,
    pub(crate) optional: bool,
}

/// What is kept of an instance: as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) wish: Wish,
    /// The generation in which it was last asked for or unwanted.
    pub(crate) generation: u64,
    /// Needs that are not wanted do not hold it back.
    pub(crate) no_deps: bool,
    /// A run was spawned since it is wanted.
    pub(crate) begun: bool,
    pub(crate) phase: Phase,
    pub(crate) cause: Cause,
    pub(crate) since: Time,
    pub(crate) ending: Option<Ending>,
    /// The current or last run; 0 before the first.
    pub(crate) run: u64,
    /// Numbers up to this one are taken by runs that were never saved.
    pub(crate) reserved: u64,
    pub(crate) run_hash: Option<String>,
    pub(crate) run_generation: u64,
    /// Grace period of the current run: what it was started with counts, also when the stack has forgotten it.
    pub(crate) grace: Duration,
    pub(crate) exit: Option<Exit>,
    pub(crate) restarts: Restarts,
    /// What it needs, for one that the stack does not have any more: the order of the stop.
    pub(crate) needed: Vec<ServiceName>,
}

impl Kept {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            wish: Wish::Stopped,
            generation: 0,
            no_deps: false,
            begun: false,
            phase: Phase::Stopped,
            cause: Cause::NotWanted,
            since: now,
            ending: None,
            run: 0,
            reserved: 0,
            run_hash: None,
            run_generation: 0,
            grace: Duration::from_secs(10),
            exit: None,
            restarts: Restarts::default(),
            needed: Vec::new(),
        }
    }
}

/// One instance.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: InstanceId,
    pub(crate) kept: Kept,
    /// Its service's place in the stack; `None` when the stack does not have the instance.
    pub(crate) place: Option<usize>,
    pub(crate) edges: Vec<Edge>,
    /// Whom it needs, for the order of stops.
    pub(crate) needs: Vec<usize>,
    /// Who needs it.
    pub(crate) dependants: Vec<usize>,
    /// Nobody answered yet what became of its run: it is neither trusted nor signalled.
    pub(crate) verifying: bool,
    /// Not part of the environment any more.
    pub(crate) gone: bool,
    pub(crate) dirty: bool,
    pub(crate) queued: bool,
    /// The deadline that is in the timers.
    pub(crate) timer: Option<Time>,
}

impl Node {
    pub(crate) fn new(id: InstanceId, kept: Kept) -> Self {
        Self {
            id,
            kept,
            place: None,
            edges: Vec::new(),
            needs: Vec::new(),
            dependants: Vec::new(),
            verifying: false,
            gone: false,
            dirty: true,
            queued: false,
            timer: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        state_of(&self.kept.phase)
    }

    pub(crate) fn ready(&self) -> bool {
        match &self.kept.phase {
            Phase::Running { ready, .. } => ready.answer == Answer::Yes,
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Spawning
            | Phase::Startup { .. }
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => false,
        }
    }

    pub(crate) fn healthy(&self) -> bool {
        match &self.kept.phase {
            Phase::Running { live, .. } => live.answer == Answer::Yes,
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Spawning
            | Phase::Startup { .. }
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => false,
        }
    }

    /// Its run belongs to the generation in which it was last asked for, and will go on.
    pub(crate) fn current(&self) -> bool {
        self.kept.run_generation == self.kept.generation && self.kept.ending.is_none() && !self.verifying
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.verifying || self.gone { None } else { self.kept.phase.deadline() }
    }

    /// Nothing more will happen by itself.
    pub(crate) fn settled(&self, job: bool) -> bool {
        if self.verifying || self.kept.ending.is_some() && self.kept.phase.stoppable() {
            return false;
        }
        match &self.kept.phase {
            Phase::Stopped | Phase::Exited | Phase::Done | Phase::Failed { .. } | Phase::Lost { .. } => true,
            Phase::Waiting { possible } => !possible,
            Phase::Running { ready, .. } => !job && ready.answer == Answer::Yes,
            Phase::Backoff { .. } | Phase::Spawning | Phase::Startup { .. } | Phase::Stopping { .. } => false,
        }
    }

    pub(crate) fn view(&self, job: bool) -> View {
        let kept = &self.kept;
        View {
            instance: self.id.clone(),
            wanted: if kept.wish == Wish::Up { Wanted::Up } else { Wanted::Down },
            state: self.state(),
            ready: self.ready(),
            healthy: self.healthy(),
            generation: kept.run_generation,
            run: kept.run,
            run_hash: kept.run_hash.clone(),
            restarts: kept.restarts.count(),
            exit: kept.exit.clone(),
            since: kept.since,
            deadline: self.deadline(),
            cause: kept.cause.clone(),
            settled: self.settled(job),
        }
    }
}

/// What people see of a phase.
pub(crate) fn state_of(phase: &Phase) -> State {
    match phase {
        Phase::Stopped => State::Stopped,
        Phase::Waiting { .. } => State::Waiting,
        Phase::Backoff { .. } => State::Backoff,
        Phase::Spawning | Phase::Startup { .. } => State::Starting,
        Phase::Running { live, .. } if live.answer == Answer::No => State::Unhealthy,
        Phase::Running { ready, .. } if ready.answer == Answer::Yes && !ready.tacit => State::Ready,
        Phase::Running { .. } => State::Running,
        Phase::Stopping { .. } => State::Stopping,
        Phase::Exited => State::Exited,
        Phase::Done => State::Done,
        Phase::Failed { .. } => State::Failed,
        Phase::Lost { .. } => State::Lost,
    }
}
