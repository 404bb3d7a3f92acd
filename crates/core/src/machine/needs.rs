//! Whether an instance may start, and who must be gone before it is stopped.

use super::Machine;
use super::node::{Edge, Wish};
use super::phase::Phase;
use crate::mutant::mutant;
use crate::{Cause, Context, Effect, Exit};
use muster_spec::{OnRestart, Until};

/// Where a need stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Met,
    Pending,
    /// Somebody must act before it can be met.
    Impossible,
}

impl Machine {
    /// Starts what waits and whose needs are met; else says what it waits for.
    pub(super) fn look_at_needs(&mut self, context: Context, index: usize) {
        let Phase::Waiting { possible } = self.nodes[index].kept.phase else { return };
        match self.unmet(index) {
            None => self.start(context, index),
            Some((cause, standing)) => {
                let can = standing != Standing::Impossible;
                let before = &self.nodes[index].kept.cause;
                if *before == cause && possible == can {
                    return;
                }
                let said = same_need(before, &cause);
                self.nodes[index].kept.phase = Phase::Waiting { possible: can };
                self.nodes[index].kept.cause = cause.clone();
                if !said {
                    self.record(index, cause);
                }
                self.mark(index);
                if possible != can {
                    self.touched(index);
                }
            }
        }
    }

    /// The need that holds an instance back: one that cannot be met by itself comes first, it is what a person must know.
    fn unmet(&self, index: usize) -> Option<(Cause, Standing)> {
        let node = &self.nodes[index];
        let mut found: Option<(Cause, Standing)> = None;
        for edge in &node.edges {
            let first_only = edge.restart == OnRestart::Ignore || mutant!(self, SkipNeedsOnRestart);
            if first_only && node.kept.begun || edge.optional && mutant!(self, OptionalNotAwaited) {
                continue;
            }
            for on in edge.on.iter().copied() {
                if node.kept.no_deps && self.nodes[on].kept.wish != Wish::Up {
                    continue;
                }
                let standing = self.standing(on, edge.until);
                let excused = edge.optional || mutant!(self, ImpossibleIsMet);
                if standing == Standing::Met || standing == Standing::Impossible && excused {
                    continue;
                }
                if found.as_ref().is_none_or(|(_, s)| *s == Standing::Pending && standing == Standing::Impossible) {
                    found = Some((self.waits_for(on, edge, standing), standing));
                }
            }
        }
        found
    }

    fn waits_for(&self, on: usize, edge: &Edge, standing: Standing) -> Cause {
        Cause::Needs {
            instance: self.nodes[on].id.clone(),
            until: edge.until,
            state: self.nodes[on].state(),
            possible: standing != Standing::Impossible,
        }
    }

    /// Where a need on an instance stands. Only a run of the generation in which it was last asked for counts.
    fn standing(&self, on: usize, until: Until) -> Standing {
        let node = &self.nodes[on];
        let kept = &node.kept;
        let current = node.current() || mutant!(self, IgnoreGeneration);
        let unwanted = kept.wish != Wish::Up;
        let later = if unwanted { Standing::Impossible } else { Standing::Pending };
        let when = |met: bool, else_: Standing| if met && current { Standing::Met } else { else_ };
        match &kept.phase {
            // Done: stays met when the job is not wanted any more
            Phase::Done => when(true, later),
            Phase::Startup { .. } => when(until == Until::Started && !unwanted, later),
            Phase::Running { .. } => {
                let reached = match until {
                    Until::Started => true,
                    Until::Ready => node.ready(),
                    Until::Healthy => node.ready() && node.healthy(),
                    Until::Done | Until::Exited => false,
                };
                when(reached && !unwanted, later)
            }
            Phase::Exited => {
                let succeeded = self.succeeded(on, kept.exit.as_ref());
                let reached = match until {
                    Until::Exited => true,
                    Until::Started | Until::Done => succeeded,
                    Until::Ready | Until::Healthy => false,
                };
                when(reached, Standing::Impossible)
            }
            Phase::Failed { ended } => when(until == Until::Exited && *ended, Standing::Impossible),
            Phase::Waiting { possible } => {
                if *possible {
                    later
                } else {
                    Standing::Impossible
                }
            }
            Phase::Stopped | Phase::Lost { .. } => Standing::Impossible,
            Phase::Backoff { .. } | Phase::Spawning | Phase::Stopping { .. } => later,
        }
    }

    /// Whether an end counts as success.
    pub(super) fn succeeded(&self, index: usize, exit: Option<&Exit>) -> bool {
        match exit {
            Some(Exit::Code(code)) => self.spec(index).is_some_and(|spec| spec.succeeded(*code)),
            Some(Exit::Signal(_) | Exit::SupervisorKilled | Exit::Removed | Exit::Unknown) | None => false,
        }
    }

    /// The one place in which a run begins: the one before is gone, the needs are met.
    fn start(&mut self, context: Context, index: usize) {
        let Some(spec) = self.spec(index) else { return };
        let grace = spec.stop.grace.get();
        let id = self.nodes[index].id.clone();
        let hash = self.accepted.as_ref().and_then(|accepted| accepted.hashes.get(&id).cloned());
        let kept = &mut self.nodes[index].kept;
        kept.run = kept.run.max(kept.reserved) + 1;
        kept.run_generation = kept.generation;
        kept.run_hash = hash;
        kept.grace = grace;
        let run = kept.run;
        self.set_phase(index, Phase::Spawning, Cause::NeedsMet, context.now);
        self.actions.push(Effect::Start { instance: id, run });
    }

    /// Asks an instance to stop whose ending is due, once everything that needs it and ends as well is gone.
    pub(super) fn look_at_ending(&mut self, context: Context, index: usize) {
        let node = &self.nodes[index];
        let Some(ending) = &node.kept.ending else { return };
        if node.verifying || !node.kept.phase.stoppable() {
            return;
        }
        let blocked = if mutant!(self, StopOrderReversed) {
            node.needs.iter().any(|on| self.nodes[*on].kept.phase.holds_needed())
        } else {
            !mutant!(self, StopOrderIgnored) && self.blockers(index).next().is_some()
        };
        if ending.kill || !blocked {
            self.begin_stop(context, index);
        }
    }

    /// Those that need this instance, may be alive, and are to end as well.
    pub(super) fn blockers(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.nodes[index].dependants.iter().copied().filter(|other| {
            let kept = &self.nodes[*other].kept;
            match &kept.phase {
                Phase::Spawning | Phase::Startup { .. } | Phase::Running { .. } => kept.ending.is_some(),
                Phase::Stopping { .. } => true,
                // Lost: nobody knows when that ends
                Phase::Lost { .. }
                | Phase::Stopped
                | Phase::Waiting { .. }
                | Phase::Backoff { .. }
                | Phase::Exited
                | Phase::Done
                | Phase::Failed { .. } => false,
            }
        })
    }
}

/// The same need, whatever the state of what is needed.
fn same_need(a: &Cause, b: &Cause) -> bool {
    match (a, b) {
        (
            Cause::Needs { instance: a, until: x, possible: p, .. },
            Cause::Needs { instance: b, until: y, possible: q, .. },
        ) => a == b && x == y && p == q,
        (a, b) => a == b,
    }
}
