//! What must hold after each step, and at rest.

use super::oracle::{Checked, Oracle, broken, live};
use super::world::World;
use muster_core::{Machine, State, View, Wanted};
use muster_spec::{InstanceId, ServiceKind};

/// So much later than its deadline a KILL may come: ticks are late, and a daemon that came back asks first.
const SLACK: u64 = 1_000_000_000;

impl Oracle {
    /// After each step.
    pub(crate) fn look(&mut self, machine: &Machine, world: &World) -> Checked {
        let accepted = self.accepted.clone();
        for view in machine.views() {
            let id = &view.instance;
            let Some(mind) = self.minds.get_mut(id) else { continue };
            if (view.wanted == Wanted::Up) != mind.wanted {
                return broken("wanted is what was asked for", format!("{id}: {:?}", view.wanted));
            }
            let Some(told) = mind.runs.last() else { continue };
            if live(view.state) && told.number == view.run && told.gone.is_some() {
                return broken("what is gone is known to be gone", format!("{id} run {} is {}", view.run, view.state));
            }
            let spec = accepted.as_ref().and_then(|a| a.stack.services.get(&id.service));
            let Some(spec) = spec.filter(|_| told.number == view.run) else { continue };
            let due = told.asked_to_stop.map(|asked| asked + told.held + told.grace + SLACK);
            if view.state == State::Stopping && !told.killed && due.is_some_and(|due| world.now > due) {
                return broken("a stop that is not obeyed ends in KILL", format!("{id} run {}", view.run));
            }
            if view.state == State::Ready && spec.kind == ServiceKind::Job && spec.probes.ready.is_none() {
                return broken("a job says ready only by a probe", format!("{id} run {}", view.run));
            }
            let heard = &told.probes;
            if view.ready && spec.probes.ready.is_some() && !heard[1].yes {
                return broken("ready is what enough answers say", format!("{id} run {}: too early", view.run));
            }
            let runs = matches!(view.state, State::Running | State::Ready | State::Unhealthy);
            if runs && spec.probes.startup.is_some() && !heard[0].yes {
                return broken("ready is what enough answers say", format!("{id} run {}: startup", view.run));
            }
            if runs && mind.was_ready && !view.ready && heard[1].yes {
                return broken("one failed probe is no failure", format!("{id} run {}", view.run));
            }
            if let Some(live) = spec.probes.live.as_ref().filter(|_| view.state == State::Unhealthy)
                && (1..live.fails).contains(&heard[2].fails)
                && heard[2].yes
            {
                return broken("one failed probe is no failure", format!("{id} run {}: live", view.run));
            }
            mind.was_ready = view.ready;
        }
        for (id, at) in &world.latest {
            let run = &world.runs[*at];
            let told_gone = self.minds.get(id).is_some_and(|mind| {
                mind.runs.last().is_some_and(|told| told.number == run.number && told.gone.is_some())
            });
            if run.live() && !told_gone {
                let view = machine.view(id);
                if view.as_ref().is_none_or(|view| !live(view.state) || view.run != run.number) {
                    let state = view.map(|view| (view.state, view.run));
                    return broken("no live run is forgotten", format!("{id} run {}: {state:?}", run.number));
                }
            }
        }
        Ok(())
    }

    /// At rest, with everything working again.
    pub(crate) fn at_rest(&self, machine: &Machine, world: &World) -> Checked {
        for view in machine.views() {
            let id = &view.instance;
            let mind = self.minds.get(id).cloned().unwrap_or_default();
            let told = mind.runs.last().cloned().unwrap_or_default();
            if !view.settled {
                return broken("everything comes to rest", format!("{id} is {}: {:?}", view.state, view.cause));
            }
            let there = world.latest.get(id).is_some_and(|at| world.runs[*at].live());
            if live(view.state) && !there {
                return broken("what is said to live does", format!("{id} run {} is {}", view.run, view.state));
            }
            if mind.wanted {
                let there = match view.state {
                    State::Ready => told.number > mind.stale,
                    State::Done => mind.satisfied || told.gone.is_some() && told.number > mind.stale,
                    State::Failed | State::Exited => told.gone.is_some(),
                    State::Waiting => self.someone_else(machine, id),
                    State::Unhealthy | State::Running => false,
                    State::Stopped | State::Backoff | State::Starting | State::Stopping | State::Lost => false,
                };
                if !there {
                    return broken(
                        "what is wanted is there at rest",
                        format!("{id} is {}: {:?}", view.state, view.cause),
                    );
                }
            }
        }
        for (id, at) in &world.latest {
            let run = &world.runs[*at];
            let wanted = self.minds.get(id).is_some_and(|mind| mind.wanted);
            if run.live() && !wanted {
                return broken("what is not wanted is gone at rest", format!("{id} run {}", run.number));
            }
        }
        Ok(())
    }

    /// Whether something that it needs is given up or not wanted.
    fn someone_else(&self, machine: &Machine, id: &InstanceId) -> bool {
        let needs = self.spec(id).map_or(&[][..], |spec| spec.needs.as_slice());
        needs.iter().any(|need| {
            let stuck = |view: &View| {
                view.instance.service == need.service
                    && (view.wanted == Wanted::Down
                        || matches!(view.state, State::Failed | State::Exited | State::Waiting | State::Lost))
            };
            machine.views().any(|view| stuck(&view))
        })
    }
}
