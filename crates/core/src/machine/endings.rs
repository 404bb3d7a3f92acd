//! How a run ends and what follows.

use super::node::Wish;
use super::phase::{After, Ending, Phase, Trouble};
use super::{KILL_AGAIN, Machine};
use crate::mutant::mutant;
use crate::restart::{Next, Reason};
use crate::{Cause, Context, Effect, Exit, Time};
use muster_spec::{OnRestart, RestartOn, ServiceKind};

/// What a run came to.
pub(super) struct End {
    pub(super) cause: Cause,
    /// In words, for who gives up because of it.
    pub(super) text: String,
    pub(super) success: bool,
    /// It came to an end by itself, or because its liveness failed: not a start that failed.
    pub(super) ran: bool,
}

impl Machine {
    /// The run of an instance ended by itself.
    pub(super) fn ended(&mut self, context: Context, index: usize, exit: &Exit) {
        let success = self.succeeded(index, Some(exit));
        self.measure(index, context.now);
        let kept = &mut self.nodes[index].kept;
        kept.exit = Some(exit.clone());
        let cause = Cause::Ended(exit.clone());
        if *exit == Exit::Removed && kept.wish == Wish::Up && kept.ending.is_none() {
            // as if that person had asked for a stop here
            kept.wish = Wish::Stopped;
        }
        match kept.ending.take() {
            Some(ending) => self.gone(context, index, ending.after, cause),
            None if kept.wish != Wish::Up => self.rest(context, index, cause),
            None => self.decide(context, index, End { cause, text: exit.to_string(), success, ran: true }),
        }
    }

    /// The run of an instance that was to end is gone.
    pub(super) fn gone(&mut self, context: Context, index: usize, after: After, cause: Cause) {
        if self.nodes[index].kept.wish != Wish::Up {
            return self.rest(context, index, cause);
        }
        match after {
            After::Gone | After::Anew => self.set_phase(index, Phase::Waiting { possible: true }, cause, context.now),
            After::Policy(trouble) => {
                let ran = matches!(trouble, Trouble::Unhealthy(_));
                self.decide(context, index, End { cause, text: trouble.text(), success: false, ran });
            }
        }
    }

    /// Not wanted and not there: the instance rests, or leaves.
    pub(super) fn rest(&mut self, context: Context, index: usize, cause: Cause) {
        let kept = &mut self.nodes[index].kept;
        kept.run_generation = kept.generation;
        kept.begun = false;
        let forget = kept.wish == Wish::Gone;
        self.set_phase(index, Phase::Stopped, cause, context.now);
        if forget {
            let instance = self.nodes[index].id.clone();
            self.actions.push(Effect::Forget { instance });
            if self.nodes[index].place.is_none() {
                self.remove(index);
            }
        }
    }

    /// The restart policy decides about a run that ended or did not come to be.
    pub(super) fn decide(&mut self, context: Context, index: usize, end: End) {
        let Some(spec) = self.spec(index) else { return self.rest(context, index, end.cause) };
        let mut policy = spec.restart.clone();
        if mutant!(self, CircuitNeverOpens) {
            policy.limit = None;
        }
        if mutant!(self, MaxIgnored) {
            policy.max = None;
        }
        let again = match policy.on {
            RestartOn::Always => true,
            RestartOn::Failure => !end.success,
            RestartOn::Never => false,
        };
        if !again {
            return self.conclude(context, index, &end, None);
        }
        let next = self.nodes[index].kept.restarts.failed(&policy, context);
        let restarts = self.nodes[index].kept.restarts.count();
        let given_up = Cause::GaveUp { restarts, last: end.text.clone() };
        match next {
            Next::At(until) => self.back_off(context, index, end.cause, until),
            Next::GiveUp(Reason::Window) => {
                self.set_phase(index, Phase::Failed { ended: end.ran }, end.cause, context.now);
                self.explain(index, given_up);
            }
            Next::GiveUp(Reason::Count) => self.conclude(context, index, &end, Some(given_up)),
        }
    }

    /// It is started again, at once or later; whoever is restarted with it is told now.
    fn back_off(&mut self, context: Context, index: usize, cause: Cause, until: Time) {
        let wait = until.since(context.now);
        let attempt = self.nodes[index].kept.restarts.count();
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.set_phase(index, Phase::Backoff { until }, cause, context.now);
        self.explain(index, Cause::Restart { attempt, wait_ms });
        if wait.is_zero() || mutant!(self, BackoffIgnored) {
            self.set_phase(index, Phase::Waiting { possible: true }, Cause::Restart { attempt, wait_ms }, context.now);
        }
        self.restart_dependants(index);
        if mutant!(self, JobRerun) {
            self.rerun_jobs(context, index);
        }
    }

    /// Wrong on purpose: only a mutant comes here.
    fn rerun_jobs(&mut self, context: Context, index: usize) {
        for on in self.nodes[index].needs.clone() {
            if self.nodes[on].kept.phase == Phase::Done && self.nodes[on].kept.wish == Wish::Up {
                self.set_phase(on, Phase::Waiting { possible: true }, Cause::NeedsMet, context.now);
            }
        }
    }

    /// Nothing is due any more: the last end decides what it is.
    fn conclude(&mut self, context: Context, index: usize, end: &End, given_up: Option<Cause>) {
        let kind = self.spec(index).map_or(ServiceKind::Service, |spec| spec.kind);
        let phase = match kind {
            ServiceKind::Job if end.success => Phase::Done,
            ServiceKind::Service if end.ran => Phase::Exited,
            ServiceKind::Job | ServiceKind::Service => Phase::Failed { ended: end.ran },
        };
        let done = phase == Phase::Done;
        self.set_phase(index, phase, end.cause.clone(), context.now);
        if done {
            let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run);
            self.actions.push(Effect::Succeeded { instance, run });
        } else if let Some(cause) = given_up {
            self.explain(index, cause);
        }
    }

    /// A second record on what was just decided: first what happened, then what follows.
    fn explain(&mut self, index: usize, cause: Cause) {
        self.nodes[index].kept.cause = cause.clone();
        self.record(index, cause);
    }

    /// How long it ran counts for the next failure.
    fn measure(&mut self, index: usize, now: Time) {
        let started = match &self.nodes[index].kept.phase {
            Phase::Startup { started, .. } | Phase::Running { started, .. } => *started,
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
        let Some(policy) = self.spec(index).map(|spec| spec.restart.clone()) else { return };
        self.nodes[index].kept.restarts.ran(&policy, now.since(started));
    }

    /// A run is to end, once it is its turn; what is restarted with it ends first.
    pub(super) fn end(&mut self, index: usize, cause: Cause, after: After) {
        let kept = &mut self.nodes[index].kept;
        if !kept.phase.stoppable() && !matches!(kept.phase, Phase::Lost { .. }) {
            return;
        }
        let comes_back = after != After::Gone;
        let kill = kept.ending.as_ref().is_some_and(|ending| ending.kill);
        kept.ending = Some(Ending { cause, after, kill });
        self.touched(index);
        if comes_back {
            self.restart_dependants(index);
        }
    }

    /// Those whose edge says `with` end as well, and start anew when their needs are met again.
    pub(super) fn restart_dependants(&mut self, index: usize) {
        let instance = self.nodes[index].id.clone();
        for other in self.nodes[index].dependants.clone() {
            let node = &self.nodes[other];
            let with = !mutant!(self, WithIgnored)
                && node.edges.iter().any(|edge| edge.restart == OnRestart::With && edge.on.contains(&index));
            // of what is lost, the end is due once it is back
            let there = node.kept.phase.stoppable() || matches!(node.kept.phase, Phase::Lost { .. });
            if with && there && node.kept.wish == Wish::Up && node.kept.ending.is_none() {
                let cause = Cause::RestartedWith { instance: instance.clone(), edge: OnRestart::With };
                self.end(other, cause, After::Anew);
            }
        }
    }

    /// Asks the run to stop, with a deadline; or kills it, when that was said.
    pub(super) fn begin_stop(&mut self, context: Context, index: usize) {
        self.measure(index, context.now);
        let Some(ending) = self.nodes[index].kept.ending.take() else { return };
        let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run);
        let wait = if ending.kill { KILL_AGAIN } else { self.nodes[index].kept.grace };
        let probed = match &self.nodes[index].kept.phase {
            Phase::Startup { .. } => true,
            Phase::Running { .. } => self.spec(index).is_some_and(|spec| spec.probes.roles().next().is_some()),
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Spawning
            | Phase::Stopping { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => false,
        };
        let phase = Phase::Stopping { deadline: context.now.after(wait), killed: ending.kill, after: ending.after };
        self.set_phase(index, phase, ending.cause, context.now);
        if probed {
            self.actions.push(Effect::Probe { instance: instance.clone(), run, roles: Vec::new() });
        }
        self.actions.push(if ending.kill { Effect::Kill { instance, run } } else { Effect::Stop { instance, run } });
        if mutant!(self, StartBesideOld) && self.nodes[index].kept.wish == Wish::Up {
            self.set_phase(index, Phase::Waiting { possible: true }, Cause::NeedsMet, context.now);
        }
    }

    /// KILL, now or again.
    pub(super) fn kill(&mut self, context: Context, index: usize) {
        // Stopping -> Stopping, killed
        let Phase::Stopping { killed, after, .. } = self.nodes[index].kept.phase.clone() else { return };
        let phase = Phase::Stopping { deadline: context.now.after(KILL_AGAIN), killed: true, after };
        if killed {
            self.nodes[index].kept.phase = phase;
            self.mark(index);
        } else {
            self.set_phase(index, phase, Cause::GraceOver, context.now);
        }
        let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run);
        self.actions.push(Effect::Kill { instance, run });
    }
}
