//! What happened to runs. Each table below is total: every phase is named, what cannot matter there says so.

use super::Machine;
use super::endings::End;
use super::node::Wish;
use super::phase::{After, Ending, Phase};
use crate::mutant::mutant;
use crate::{Cause, Chance, Context, Effect, Exit, Found};

impl Machine {
    /// A run was spawned.
    pub(super) fn started(&mut self, context: Context, index: usize) {
        self.verified(index);
        match self.nodes[index].kept.phase.clone() {
            // Spawning -> Startup | Running
            Phase::Spawning => self.alive(context, index, Cause::Spawned),
            // Lost -> Startup | Running when that is news; else it is late, and no word on where the run is now
            Phase::Lost { was, .. } => {
                if *was == Phase::Spawning {
                    self.found_again(context, index, *was, Cause::Spawned);
                }
            }
            // twice, or late: it was asked to stop or ended meanwhile
            Phase::Startup { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. } => {}
        }
    }

    /// A run did not come to be.
    pub(super) fn start_failed(&mut self, context: Context, index: usize, reason: &str, chance: Chance) {
        self.verified(index);
        let cause = Cause::StartFailed(reason.to_owned());
        match self.nodes[index].kept.phase.clone() {
            // Spawning -> Failed | Backoff | Waiting | Stopped
            Phase::Spawning => self.not_started(context, index, reason, chance),
            // Stopping -> Stopped | Waiting: there is nothing to stop
            Phase::Stopping { after, .. } => {
                self.nodes[index].kept.exit = exit_of(chance);
                self.gone(context, index, after, cause);
            }
            // Lost -> as before it was lost
            Phase::Lost { was, .. } => match *was {
                Phase::Spawning | Phase::Stopping { .. } => {
                    self.told_while_lost(index, *was);
                    self.start_failed(context, index, reason, chance);
                }
                // it was seen alive: as there
                Phase::Startup { .. } | Phase::Running { .. } => {
                    let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run);
                    self.actions.push(Effect::Recover { instance, run });
                }
                // never lost from there
                Phase::Stopped
                | Phase::Waiting { .. }
                | Phase::Backoff { .. }
                | Phase::Exited
                | Phase::Done
                | Phase::Failed { .. }
                | Phase::Lost { .. } => {}
            },
            // Startup | Running -> same: it was seen alive, one of the two is wrong; the answer decides
            Phase::Startup { .. } | Phase::Running { .. } => {
                let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run);
                self.actions.push(Effect::Recover { instance, run });
            }
            // it is gone already
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. } => {}
        }
    }

    fn not_started(&mut self, context: Context, index: usize, reason: &str, chance: Chance) {
        let cause = Cause::StartFailed(reason.to_owned());
        self.nodes[index].kept.exit = exit_of(chance);
        if let Some(ending) = self.nodes[index].kept.ending.take() {
            return self.gone(context, index, ending.after, cause);
        }
        if self.nodes[index].kept.wish != Wish::Up {
            self.rest(context, index, cause);
        } else if let Chance::Never { .. } = chance {
            self.set_phase(index, Phase::Failed { ended: false }, cause, context.now);
        } else {
            let text = format!("start failed: {reason}");
            self.decide(context, index, End { cause, text, success: false, ran: false });
        }
    }

    /// A run ended and its tree is gone.
    pub(super) fn exited(&mut self, context: Context, index: usize, exit: Exit) {
        self.verified(index);
        match self.nodes[index].kept.phase.clone() {
            // Spawning | Startup | Running -> Exited | Done | Failed | Backoff | Waiting | Stopped
            Phase::Spawning | Phase::Startup { .. } | Phase::Running { .. } => self.ended(context, index, &exit),
            // Stopping -> Stopped | Waiting | Backoff | Failed | Exited
            Phase::Stopping { after, .. } => {
                self.nodes[index].kept.exit = Some(exit.clone());
                self.gone(context, index, after, Cause::Obeyed(exit));
            }
            // Lost -> as before it was lost
            Phase::Lost { was, .. } => {
                self.told_while_lost(index, *was);
                self.exited(context, index, exit);
            }
            // told twice or late
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. } => {}
        }
    }

    /// A run cannot be verified any more.
    pub(super) fn link_lost(&mut self, context: Context, index: usize, reason: String) {
        self.verified(index);
        match self.nodes[index].kept.phase.clone() {
            // Spawning | Startup | Running | Stopping -> Lost
            was @ (Phase::Spawning | Phase::Startup { .. } | Phase::Running { .. } | Phase::Stopping { .. }) => {
                let phase = Phase::Lost { was: Box::new(was), reason: reason.clone() };
                self.set_phase(index, phase, Cause::Unverifiable(reason), context.now);
            }
            // Lost -> Lost
            Phase::Lost { .. } => {}
            // no run that could be lost
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. } => {}
        }
    }

    /// What became of a run.
    pub(super) fn recovered(&mut self, context: Context, index: usize, found: Found) {
        match found {
            Found::Running => self.found_running(context, index),
            Found::Exited(exit) => self.exited(context, index, exit),
            Found::Absent if mutant!(self, AbsentIsRunning) => self.found_running(context, index),
            Found::Absent => self.found_absent(context, index),
            Found::Unverifiable(reason) => self.link_lost(context, index, reason),
        }
    }

    fn found_running(&mut self, context: Context, index: usize) {
        let verifying = self.nodes[index].verifying;
        self.verified(index);
        match self.nodes[index].kept.phase.clone() {
            // Spawning -> Startup | Running
            Phase::Spawning => self.alive(context, index, Cause::Adopted),
            // Startup -> Startup, Running -> Running: its probes are asked again, they may be lost with a daemon or link
            phase @ (Phase::Startup { .. } | Phase::Running { .. }) => {
                self.found_again(context, index, phase, Cause::Adopted);
            }
            // Stopping -> Stopping: so may be what asked it to stop; only after a daemon start the grace period begins anew
            Phase::Stopping { deadline, .. } => {
                self.ask_again(context, index);
                if let (false, Phase::Stopping { deadline: new, .. }) = (verifying, &mut self.nodes[index].kept.phase) {
                    *new = deadline;
                    self.mark(index);
                }
            }
            // Lost -> what it was
            Phase::Lost { was, .. } => self.found_again(context, index, *was, Cause::Adopted),
            // it was told that this run is gone: hands off
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. } => {}
        }
        if mutant!(self, SecondStartOnRecovered) {
            let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run + 1);
            self.nodes[index].kept.run = run;
            self.actions.push(Effect::Start { instance, run });
        }
    }

    fn found_absent(&mut self, context: Context, index: usize) {
        self.verified(index);
        match self.nodes[index].kept.phase.clone() {
            // Spawning -> Waiting | Stopped: the start had not happened
            Phase::Spawning => {
                let after = self.nodes[index].kept.ending.take().map_or(After::Anew, |ending| ending.after);
                self.gone(context, index, after, Cause::NeverStarted);
            }
            // Startup | Running | Stopping -> as an end that nobody saw
            Phase::Startup { .. } | Phase::Running { .. } | Phase::Stopping { .. } => {
                self.exited(context, index, Exit::Unknown);
            }
            // Lost -> as before it was lost
            Phase::Lost { was, .. } => {
                self.told_while_lost(index, *was);
                self.found_absent(context, index);
            }
            // gone already
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. } => {}
        }
    }

    /// A run that was lost or saved is there: it goes on as what it was, and what was decided meanwhile applies.
    fn found_again(&mut self, context: Context, index: usize, mut was: Phase, cause: Cause) {
        was.forget_counts();
        match self.with_what_was_asked(index, was) {
            Phase::Spawning => self.alive(context, index, cause),
            was @ (Phase::Startup { .. } | Phase::Running { .. }) => {
                self.set_phase(index, was, cause, context.now);
                self.ask_probes(index);
            }
            was @ Phase::Stopping { .. } => {
                self.set_phase(index, was, cause, context.now);
                self.ask_again(context, index);
            }
            // never lost from there
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => {}
        }
        self.reconcile(index);
    }

    /// The end of a lost run is told: first what was asked for meanwhile, then the end.
    fn told_while_lost(&mut self, index: usize, was: Phase) {
        self.nodes[index].kept.phase = self.with_what_was_asked(index, was);
        self.reconcile(index);
    }

    /// What follows the end of a run that was lost while it was stopping is what was asked for last.
    fn with_what_was_asked(&mut self, index: usize, was: Phase) -> Phase {
        match was {
            Phase::Stopping { deadline, killed, after } => {
                let after = self.nodes[index].kept.ending.take().map_or(after, |ending| ending.after);
                Phase::Stopping { deadline, killed, after }
            }
            was @ (Phase::Spawning
            | Phase::Startup { .. }
            | Phase::Running { .. }
            | Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. }) => was,
        }
    }

    /// What was wanted of a run while it could not be verified.
    fn reconcile(&mut self, index: usize) {
        let kept = &self.nodes[index].kept;
        if !kept.phase.stoppable() {
            return;
        }
        if let Some(ending) = &kept.ending {
            if ending.after != After::Gone && kept.wish == Wish::Up {
                // those that go with it may have started while it was lost
                self.restart_dependants(index);
            }
            return;
        }
        if kept.wish != Wish::Up {
            let verb = if kept.wish == Wish::Gone { "down" } else { "stop" };
            self.nodes[index].kept.ending =
                Some(Ending { cause: Cause::Asked(verb.to_owned()), after: After::Gone, kill: false });
            self.touched(index);
        }
    }

    /// Sends the request to stop once more, with a new deadline.
    fn ask_again(&mut self, context: Context, index: usize) {
        let Phase::Stopping { killed, after, .. } = self.nodes[index].kept.phase.clone() else { return };
        let (instance, run) = (self.nodes[index].id.clone(), self.nodes[index].kept.run);
        if killed {
            return self.kill(context, index);
        }
        let deadline = context.now.after(self.nodes[index].kept.grace);
        self.nodes[index].kept.phase = Phase::Stopping { deadline, killed, after };
        self.mark(index);
        self.actions.push(Effect::Stop { instance, run });
    }

    /// Somebody answered for the run of this instance.
    fn verified(&mut self, index: usize) {
        if std::mem::take(&mut self.nodes[index].verifying) {
            self.touched(index);
        }
    }

    /// A debugger holds the run: its deadlines move.
    pub(super) fn held(&mut self, index: usize, millis: u64) {
        let moved = std::time::Duration::from_millis(millis);
        match &mut self.nodes[index].kept.phase {
            // Startup, Running, Stopping -> same, later
            Phase::Startup { by, .. } | Phase::Running { by, .. } => *by = by.map(|by| by.after(moved)),
            Phase::Stopping { deadline, .. } => *deadline = deadline.after(moved),
            // no deadline of a process
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Backoff { .. }
            | Phase::Spawning
            | Phase::Exited
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Lost { .. } => return,
        }
        self.mark(index);
    }
}

/// How a run ended that did not come to be: the end of an earlier one is not its own.
fn exit_of(chance: Chance) -> Option<Exit> {
    match chance {
        Chance::Never { code } => code.map(Exit::Code),
        Chance::Again => None,
    }
}
