//! Readiness and liveness of what runs, and deadlines.

use super::Machine;
use super::node::Wish;
use super::phase::{After, Answer, Gauge, Phase, Trouble};
use crate::mutant::mutant;
use crate::{Cause, Context, Effect, Time};
use muster_spec::{ProbeSet, RestartOn, Role, ServiceKind, ServiceSpec, UnhealthyPolicy};

/// What an attempt came to.
#[derive(Clone, Copy)]
struct Heard {
    role: Role,
    answer: Answer,
    changed: bool,
}

impl Machine {
    /// A run is alive: its startup probe is asked, or without one the others.
    pub(super) fn alive(&mut self, context: Context, index: usize, cause: Cause) {
        self.nodes[index].kept.begun = true;
        match self.probes(index).startup {
            Some(spec) => {
                let by = spec.within.as_ref().map(|within| context.now.after(within.get()));
                let gauge = Gauge::new(Some(&spec), context.now);
                self.set_phase(index, Phase::Startup { started: context.now, gauge, by }, cause, context.now);
                self.ask_probes(index);
            }
            None => self.run(context, index, context.now, cause),
        }
    }

    /// Past its startup.
    fn run(&mut self, context: Context, index: usize, started: Time, cause: Cause) {
        let probes = self.probes(index);
        let within = probes.ready.as_ref().and_then(|spec| spec.within.as_ref());
        let phase = Phase::Running {
            started,
            ready: Gauge::readiness(probes.ready.as_ref(), self.job_by_name(index), context.now),
            live: Gauge::new(probes.live.as_ref(), context.now),
            by: within.map(|within| context.now.after(within.get())),
        };
        self.set_phase(index, phase, cause, context.now);
        self.ask_probes(index);
    }

    fn probes(&self, index: usize) -> ProbeSet {
        self.by_name(index).map(|spec| spec.probes.clone()).unwrap_or_default()
    }

    /// Also for a copy that is too many: until it is stopped, what is said of it stays true.
    fn by_name(&self, index: usize) -> Option<&ServiceSpec> {
        self.accepted.as_ref()?.stack.services.get(&self.nodes[index].id.service)
    }

    fn job_by_name(&self, index: usize) -> bool {
        self.by_name(index).is_some_and(|spec| spec.kind == ServiceKind::Job)
    }

    /// Asks the probes that belong to the phase.
    pub(super) fn ask_probes(&mut self, index: usize) {
        let probes = self.probes(index);
        let roles: Vec<Role> = match &self.nodes[index].kept.phase {
            Phase::Startup { .. } => vec![Role::Startup],
            Phase::Running { .. } => probes.roles().filter(|role| *role != Role::Startup).collect(),
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Spawning
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => return,
        };
        if !roles.is_empty() || probes.startup.is_some() {
            let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run);
            self.actions.push(Effect::Probe { instance, run, roles });
        }
    }

    /// One attempt of a probe was answered.
    pub(super) fn probed(&mut self, context: Context, index: usize, role: Role, failure: Option<&str>) {
        let Some(spec) = self.probes(index).get(role).cloned() else { return };
        if self.nodes[index].verifying {
            return;
        }
        let at_once = mutant!(self, ThresholdsIgnored);
        match (self.nodes[index].kept.phase.clone(), role) {
            // Startup -> Running
            (Phase::Startup { started, mut gauge, by }, Role::Startup) => {
                gauge.record(&spec, failure, context.now, at_once);
                if gauge.answer == Answer::Yes {
                    self.run(context, index, started, Cause::Passed(role));
                } else {
                    self.nodes[index].kept.phase = Phase::Startup { started, gauge, by };
                }
            }
            // Running -> Running, other facts
            (Phase::Running { started, mut ready, live, by }, Role::Ready) => {
                let changed = ready.record(&spec, failure, context.now, at_once);
                let by = if ready.answer == Answer::Yes { None } else { by };
                let answer = ready.answer;
                let heard = Heard { role, answer, changed };
                self.answered(context, index, Phase::Running { started, ready, live, by }, heard);
            }
            // Running -> Running, other facts; its end may become due
            (Phase::Running { started, ready, mut live, by }, Role::Live) => {
                let changed = live.record(&spec, failure, context.now, at_once);
                let answer = live.answer;
                let heard = Heard { role, answer, changed };
                self.answered(context, index, Phase::Running { started, ready, live, by }, heard);
                if changed && answer == Answer::No {
                    self.unhealthy(index);
                }
            }
            // late answers of a role that is not asked any more
            (Phase::Startup { .. }, Role::Ready | Role::Live)
            | (Phase::Running { .. }, Role::Startup)
            | (
                Phase::Stopped
                | Phase::Waiting { .. }
                | Phase::Backoff { .. }
                | Phase::Spawning
                | Phase::Stopping { .. }
                | Phase::Exited
                | Phase::Done
                | Phase::Failed { .. }
                | Phase::Lost { .. },
                Role::Startup | Role::Ready | Role::Live,
            ) => {}
        }
    }

    fn answered(&mut self, context: Context, index: usize, phase: Phase, heard: Heard) {
        let Heard { role, answer, changed } = heard;
        if !changed {
            // a count, not a fact: nobody waits for it and it need not be saved
            self.nodes[index].kept.phase = phase;
            return;
        }
        let reason = match (&phase, role) {
            (Phase::Running { live, .. }, Role::Live) => live.reason.clone(),
            (Phase::Running { ready, .. }, Role::Startup | Role::Ready) => ready.reason.clone(),
            (
                Phase::Stopped
                | Phase::Waiting { .. }
                | Phase::Backoff { .. }
                | Phase::Spawning
                | Phase::Startup { .. }
                | Phase::Stopping { .. }
                | Phase::Exited
                | Phase::Done
                | Phase::Failed { .. }
                | Phase::Lost { .. },
                Role::Startup | Role::Ready | Role::Live,
            ) => String::new(),
        };
        let cause = match answer {
            Answer::Yes => Cause::Passed(role),
            Answer::No | Answer::Unknown => Cause::Failing { role, reason },
        };
        self.set_phase(index, phase, cause, context.now);
    }

    /// Liveness fails: stopped and started again, unless that is not wanted or nothing is ever restarted.
    fn unhealthy(&mut self, index: usize) {
        let Some(spec) = self.spec(index) else { return };
        let restarts = spec.unhealthy == UnhealthyPolicy::Restart && spec.restart.on != RestartOn::Never;
        let kept = &self.nodes[index].kept;
        if !restarts || kept.wish != Wish::Up || kept.ending.is_some() {
            return;
        }
        let Phase::Running { live, .. } = &kept.phase else { return };
        let reason = live.reason.clone();
        let cause = Cause::Failing { role: Role::Live, reason: reason.clone() };
        self.end(index, cause, After::Policy(Trouble::Unhealthy(reason)));
    }

    /// What is due is done.
    pub(super) fn tick(&mut self, context: Context) {
        while let Some((time, index)) = self.timers.first().copied().filter(|(time, _)| *time <= context.now) {
            self.timers.remove(&(time, index));
            self.nodes[index].timer = None;
            self.due(context, index);
            self.mark(index);
        }
    }

    fn due(&mut self, context: Context, index: usize) {
        match self.nodes[index].kept.phase.clone() {
            // Backoff -> Waiting
            Phase::Backoff { .. } => {
                let cause = self.nodes[index].kept.cause.clone();
                self.set_phase(index, Phase::Waiting { possible: true }, cause, context.now);
            }
            // Startup -> Startup without deadline; its end is due
            Phase::Startup { started, gauge, .. } => {
                let reason = gauge.reason.clone();
                self.nodes[index].kept.phase = Phase::Startup { started, gauge, by: None };
                self.too_late(index, Role::Startup, reason);
            }
            // Running -> Running without deadline; its end is due
            Phase::Running { started, ready, live, .. } => {
                let reason = ready.reason.clone();
                self.nodes[index].kept.phase = Phase::Running { started, ready, live, by: None };
                self.too_late(index, Role::Ready, reason);
            }
            // Stopping -> Stopping, killed
            Phase::Stopping { killed, after, .. } => {
                if mutant!(self, GraceForgotten) {
                    let deadline = context.now.after(std::time::Duration::from_secs(86_400));
                    self.nodes[index].kept.phase = Phase::Stopping { deadline, killed, after };
                } else {
                    self.kill(context, index);
                }
            }
            // nothing is ever due there
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Spawning
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => {}
        }
    }

    fn too_late(&mut self, index: usize, role: Role, reason: String) {
        let kept = &self.nodes[index].kept;
        if kept.wish == Wish::Up && kept.ending.is_none() {
            let cause = Cause::TooLate { role, reason: reason.clone() };
            self.end(index, cause, After::Policy(Trouble::TooLate(role, reason)));
        }
    }

    /// The probes of an adopted run may be others than those that it was started with.
    pub(super) fn rearm(&mut self, context: Context, index: usize, before: &ProbeSet) {
        let probes = self.probes(index);
        if probes == *before {
            return;
        }
        match self.nodes[index].kept.phase.clone() {
            // Startup -> Startup | Running
            Phase::Startup { started, gauge, by } => {
                if probes.startup.is_none() {
                    self.run(context, index, started, Cause::Changed);
                } else {
                    self.nodes[index].kept.phase = Phase::Startup { started, gauge, by };
                    self.ask_probes(index);
                }
            }
            // Running -> Running
            Phase::Running { started, mut ready, mut live, by } => {
                let fresh = Gauge::readiness(probes.ready.as_ref(), self.job_by_name(index), context.now);
                ready.adapt(fresh, [before.ready.is_some(), probes.ready.is_some()]);
                let fresh = Gauge::new(probes.live.as_ref(), context.now);
                live.adapt(fresh, [before.live.is_some(), probes.live.is_some()]);
                self.set_phase(index, Phase::Running { started, ready, live, by }, Cause::Changed, context.now);
                self.ask_probes(index);
            }
            // the next run is asked by the new ones
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Spawning
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => {}
        }
    }
}
