//! What people ask for.

use super::Machine;
use super::node::Wish;
use super::phase::{After, Ending, Phase};
use crate::mutant::mutant;
use crate::restart::Restarts;
use crate::{Accepted, Cause, Command, Context, Denial, Reply, State, graph};
use muster_spec::{InstanceId, OnRestart, ServiceKind, Until};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a command made wanted or unwanted, and where that was before.
pub(super) type Taken = Result<BTreeMap<InstanceId, Before>, Denial>;

/// Where an instance was before a command.
pub(super) struct Before {
    state: State,
    run: u64,
}

/// How an instance is asked for.
#[derive(Clone, Copy)]
struct Ask<'a> {
    verb: &'a str,
    /// Start again what runs unchanged.
    anew: bool,
    /// A definition that changed, or a job that is done, is reason to start again.
    fresh: bool,
    no_deps: bool,
}

/// How an instance is not wanted any more.
struct Unask {
    wish: Wish,
    cause: Cause,
    /// KILL at once.
    kill: bool,
}

impl Machine {
    /// Takes a command in, or refuses it before anything changed.
    pub(super) fn command(&mut self, context: Context, command: Command) -> Taken {
        match command {
            Command::Up { accepted, targets, no_deps, recreate } => {
                self.up(context, accepted, &targets, [no_deps, recreate])
            }
            Command::Down { targets } => self.down(context, targets.as_ref()),
            Command::Start { targets, no_deps } => self.start_targets(context, &targets, no_deps),
            Command::Stop { targets, force, kill } => self.stop(context, &targets, [force, kill]),
            Command::Restart { targets } => self.restart(context, &targets),
            Command::Forget { targets } => self.forget(context, &targets),
        }
    }

    /// The answer, once everything that follows at once is decided.
    pub(super) fn answer(&self, taken: Taken) -> Reply {
        match taken {
            Err(denial) => Reply::Denied(denial),
            Ok(before) => {
                let due = |id: &InstanceId, before: &Before| match self.view(id) {
                    Some(view) => !view.settled || view.state != before.state || view.run != before.run,
                    None => true,
                };
                let changed = before.iter().filter(|(id, b)| due(id, b)).map(|(id, _)| id.clone()).collect();
                let instances = before.into_keys().collect();
                Reply::Accepted { generation: self.header.generation, instances, changed }
            }
        }
    }

    fn up(
        &mut self,
        context: Context,
        accepted: Arc<Accepted>,
        targets: &BTreeSet<InstanceId>,
        [no_deps, recreate]: [bool; 2],
    ) -> Taken {
        let known: BTreeSet<InstanceId> = accepted.stack.instances().collect();
        if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
            return Err(Denial::Unknown(unknown.clone()));
        }
        self.header.generation += 1;
        let wanted = if no_deps { targets.clone() } else { graph::closure(&accepted.stack, targets) };
        let old = self.accepted.replace(accepted);
        self.rebuild(context.now);
        let mut taken = BTreeMap::new();
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if node.place.is_none() {
                self.note(&mut taken, index);
                self.unwant(context, index, Unask { wish: Wish::Gone, cause: Cause::Removed, kill: false });
            } else if wanted.contains(&node.id) {
                let before = old.as_ref().and_then(|old| old.stack.services.get(&node.id.service));
                let probes = before.map(|spec| spec.probes.clone()).unwrap_or_default();
                let anew = recreate && targets.contains(&node.id);
                self.note(&mut taken, index);
                self.want(context, index, Ask { verb: "up", anew, fresh: true, no_deps });
                self.rearm(context, index, &probes);
            }
        }
        // what could not come may be able to now: nobody goes on without it before that is looked at again
        for node in &mut self.nodes {
            if let Phase::Waiting { possible } = &mut node.kept.phase {
                *possible = true;
            }
        }
        // who waited may not need any more what it waited for, and an edge may be one that says `with` now
        for index in 0..self.nodes.len() {
            self.enqueue(index);
            if self.nodes[index].kept.wish == Wish::Up && self.nodes[index].kept.ending.is_some() {
                self.restart_dependants(index);
            }
        }
        Ok(taken)
    }

    fn start_targets(&mut self, context: Context, targets: &BTreeSet<InstanceId>, no_deps: bool) -> Taken {
        self.find(targets)?;
        self.header.generation += 1;
        let wanted = match &self.accepted {
            Some(accepted) if !no_deps => graph::closure(&accepted.stack, targets),
            Some(_) | None => targets.clone(),
        };
        let mut taken = BTreeMap::new();
        for id in &wanted {
            let Some(index) = self.index.get(id).copied() else { continue };
            self.note(&mut taken, index);
            // a job that was asked for by name runs again; one that is only needed is done
            let fresh = targets.contains(id) && self.is_job(index) && !self.nodes[index].kept.phase.live();
            self.want(context, index, Ask { verb: "start", anew: fresh, fresh: false, no_deps });
        }
        Ok(taken)
    }

    fn restart(&mut self, context: Context, targets: &BTreeSet<InstanceId>) -> Taken {
        let found = self.find(targets)?;
        self.verifiable(&found)?;
        self.header.generation += 1;
        let resting: BTreeSet<InstanceId> =
            found.iter().filter(|i| self.nodes[**i].kept.wish != Wish::Up).map(|i| self.nodes[*i].id.clone()).collect();
        let along = self.accepted.as_ref().map(|a| graph::closure(&a.stack, &resting)).unwrap_or_default();
        let mut taken = BTreeMap::new();
        for id in along.difference(targets) {
            let Some(index) = self.index.get(id).copied() else { continue };
            self.note(&mut taken, index);
            self.want(context, index, Ask { verb: "restart", anew: false, fresh: false, no_deps: false });
        }
        for index in found {
            self.note(&mut taken, index);
            let no_deps = self.nodes[index].kept.no_deps;
            self.want(context, index, Ask { verb: "restart", anew: true, fresh: false, no_deps });
        }
        Ok(taken)
    }

    fn stop(&mut self, context: Context, targets: &BTreeSet<InstanceId>, [force, kill]: [bool; 2]) -> Taken {
        let found = self.find_any(targets)?;
        self.verifiable(&found)?;
        if !force {
            for index in &found {
                let needed_by = self.needed_by(*index, targets);
                if !needed_by.is_empty() {
                    return Err(Denial::Needed { instance: self.nodes[*index].id.clone(), needed_by });
                }
            }
        }
        self.header.generation += 1;
        let mut taken = BTreeMap::new();
        for index in found {
            self.note(&mut taken, index);
            let kept = &self.nodes[index].kept;
            let wish = if kept.wish == Wish::Gone { Wish::Gone } else { Wish::Stopped };
            let again = kept.wish != Wish::Up && kept.phase.live();
            let cause = Cause::Asked("stop".to_owned());
            self.unwant(context, index, Unask { wish, cause, kill: kill || again });
        }
        Ok(taken)
    }

    fn down(&mut self, context: Context, targets: Option<&BTreeSet<InstanceId>>) -> Taken {
        let found = match targets {
            Some(targets) => self.find_any(targets)?,
            None => self.index.values().copied().collect(),
        };
        self.header.generation += 1;
        let mut taken = BTreeMap::new();
        for index in found {
            self.note(&mut taken, index);
            let cause = Cause::Asked("down".to_owned());
            self.unwant(context, index, Unask { wish: Wish::Gone, cause, kill: false });
        }
        Ok(taken)
    }

    fn forget(&mut self, context: Context, targets: &BTreeSet<InstanceId>) -> Taken {
        let found = self.find_any(targets)?;
        self.header.generation += 1;
        let mut taken = BTreeMap::new();
        for index in found {
            if matches!(self.nodes[index].kept.phase, Phase::Lost { .. }) {
                self.note(&mut taken, index);
                self.nodes[index].kept.generation = self.header.generation;
                self.nodes[index].kept.wish = Wish::Gone;
                self.rest(context, index, Cause::Forgotten);
            }
        }
        Ok(taken)
    }

    fn note(&self, taken: &mut BTreeMap<InstanceId, Before>, index: usize) {
        let node = &self.nodes[index];
        taken.insert(node.id.clone(), Before { state: node.state(), run: node.kept.run });
    }

    /// Instances of the stack.
    fn find(&self, targets: &BTreeSet<InstanceId>) -> Result<Vec<usize>, Denial> {
        let found = self.find_any(targets)?;
        match found.iter().find(|index| self.nodes[**index].place.is_none()) {
            Some(index) => Err(Denial::Unknown(self.nodes[*index].id.clone())),
            None => Ok(found),
        }
    }

    /// Instances of the environment, also those that the stack has forgotten and that still end.
    fn find_any(&self, targets: &BTreeSet<InstanceId>) -> Result<Vec<usize>, Denial> {
        targets.iter().map(|id| self.index.get(id).copied().ok_or_else(|| Denial::Unknown(id.clone()))).collect()
    }

    fn verifiable(&self, found: &[usize]) -> Result<(), Denial> {
        match found.iter().find(|index| matches!(self.nodes[**index].kept.phase, Phase::Lost { .. })) {
            Some(index) => Err(Denial::Lost(self.nodes[*index].id.clone())),
            None => Ok(()),
        }
    }

    /// Who runs, needs this instance while it runs, and is not to stop with it.
    fn needed_by(&self, index: usize, targets: &BTreeSet<InstanceId>) -> Vec<InstanceId> {
        if !self.nodes[index].kept.phase.live() {
            return Vec::new();
        }
        let needs_it = |other: &usize| {
            let node = &self.nodes[*other];
            let runs = node.kept.phase.stoppable() && node.kept.wish == Wish::Up;
            let while_it_runs = node.edges.iter().any(|edge| {
                edge.on.contains(&index)
                    && !edge.optional
                    && edge.restart != OnRestart::Ignore
                    && matches!(edge.until, Until::Started | Until::Ready | Until::Healthy)
            });
            runs && while_it_runs && !targets.contains(&node.id)
        };
        self.nodes[index].dependants.iter().filter(|i| needs_it(i)).map(|i| self.nodes[*i].id.clone()).collect()
    }

    /// An instance is asked for.
    fn want(&mut self, context: Context, index: usize, ask: Ask<'_>) {
        let satisfied = self.satisfied(index);
        let generation = self.header.generation;
        let kept = &mut self.nodes[index].kept;
        kept.wish = Wish::Up;
        kept.generation = generation;
        kept.no_deps = ask.no_deps;
        kept.restarts = Restarts::default();
        let phase = kept.phase.clone();
        let asked = Cause::Asked(ask.verb.to_owned());
        self.mark(index);
        match phase {
            // Stopped | Waiting | Backoff | Exited | Failed -> Done | Waiting
            Phase::Stopped | Phase::Waiting { .. } | Phase::Backoff { .. } | Phase::Exited | Phase::Failed { .. } => {
                if ask.fresh && !ask.anew && satisfied {
                    self.up_to_date(context, index);
                } else {
                    self.set_phase(index, Phase::Waiting { possible: true }, asked, context.now);
                    self.restart_dependants(index);
                }
            }
            // Done -> Done | Waiting
            Phase::Done => {
                if ask.fresh && !ask.anew && satisfied {
                    self.up_to_date(context, index);
                } else if ask.fresh || ask.anew {
                    self.set_phase(index, Phase::Waiting { possible: true }, asked, context.now);
                    self.restart_dependants(index);
                } else {
                    self.nodes[index].kept.run_generation = generation;
                    self.touched(index);
                }
            }
            // Spawning | Startup | Running | Lost -> same; its end may become due, of what is lost once it is back
            Phase::Spawning | Phase::Startup { .. } | Phase::Running { .. } | Phase::Lost { .. } => {
                if ask.anew {
                    self.end(index, asked, After::Anew);
                } else if ask.fresh {
                    self.keep_wanted(index);
                    self.adopt(index);
                } else {
                    self.keep_wanted(index);
                    self.nodes[index].kept.run_generation = generation;
                    self.touched(index);
                }
            }
            // Stopping -> Stopping, then anew
            Phase::Stopping { deadline, killed, .. } => {
                self.nodes[index].kept.phase = Phase::Stopping { deadline, killed, after: After::Anew };
                self.touched(index);
            }
        }
    }

    /// An end that was due only because the instance was not wanted is not due any more.
    fn keep_wanted(&mut self, index: usize) {
        let kept = &mut self.nodes[index].kept;
        match kept.ending.as_ref().map(|ending| ending.after == After::Gone) {
            Some(true) => {
                kept.ending = None;
                self.touched(index);
                self.release(index);
            }
            // it is wanted again and a restart is due: those that go with it may have come meanwhile
            Some(false) => self.restart_dependants(index),
            None => {}
        }
    }

    /// A run goes on in the new generation when nothing that matters for it changed.
    fn adopt(&mut self, index: usize) {
        let node = &self.nodes[index];
        let hash = self.accepted.as_ref().and_then(|accepted| accepted.hashes.get(&node.id));
        if hash == node.kept.run_hash.as_ref() || mutant!(self, ChangeIgnored) {
            self.nodes[index].kept.run_generation = self.nodes[index].kept.generation;
            self.touched(index);
        } else if node.kept.ending.as_ref().is_none_or(|ending| ending.after != After::Anew) {
            // also of what is to end because it is in trouble: the new definition is no trial of the old one
            self.end(index, Cause::Changed, After::Anew);
        }
    }

    fn satisfied(&self, index: usize) -> bool {
        let id = &self.nodes[index].id;
        let job = self.spec(index).is_some_and(|spec| spec.kind == ServiceKind::Job);
        job && self.accepted.as_ref().is_some_and(|accepted| accepted.satisfied.contains(id))
    }

    /// A job that need not run.
    fn up_to_date(&mut self, context: Context, index: usize) {
        let kept = &mut self.nodes[index].kept;
        kept.run_generation = kept.generation;
        self.set_phase(index, Phase::Done, Cause::UpToDate, context.now);
    }

    /// An instance is not wanted.
    fn unwant(&mut self, context: Context, index: usize, unask: Unask) {
        let Unask { wish, cause, kill } = unask;
        let removed = cause == Cause::Removed;
        let kept = &mut self.nodes[index].kept;
        let first = kept.wish == Wish::Up;
        if removed && kept.wish == Wish::Gone && kept.phase.live() {
            // it is on its way out already
            return;
        }
        kept.wish = wish;
        kept.generation = self.header.generation;
        match kept.phase.clone() {
            // Waiting | Backoff | Exited | Failed -> Stopped
            Phase::Waiting { .. } | Phase::Backoff { .. } | Phase::Exited | Phase::Failed { .. } => {
                self.rest(context, index, cause);
            }
            // Done -> Done | Stopped: what was done stays done until the environment is taken down
            Phase::Done if wish == Wish::Stopped => {
                kept.run_generation = kept.generation;
                kept.begun = false;
                self.touched(index);
            }
            Phase::Done | Phase::Stopped if wish == Wish::Gone => self.rest(context, index, cause),
            // Stopped -> Stopped
            Phase::Done | Phase::Stopped => self.mark(index),
            // Spawning | Startup | Running -> same; its end is due
            Phase::Spawning | Phase::Startup { .. } | Phase::Running { .. } => {
                // asked twice: the first reason stays
                let earlier = kept.ending.take();
                // a restart that was due stays due, in case that it is wanted again before its turn to stop
                let after = earlier.as_ref().map_or(After::Gone, |ending| ending.after.clone());
                let cause = earlier.filter(|_| !first).map_or(cause, |ending| ending.cause);
                kept.ending = Some(Ending { cause, after, kill });
                self.touched(index);
            }
            // Stopping -> Stopping, killed
            Phase::Stopping { deadline, killed, .. } => {
                self.nodes[index].kept.phase = Phase::Stopping { deadline, killed, after: After::Gone };
                self.touched(index);
                if kill && !self.nodes[index].verifying {
                    self.kill(context, index);
                }
            }
            // Lost -> Lost: hands off; once it is back, it is stopped
            Phase::Lost { .. } => {
                let earlier = kept.ending.take().filter(|ending| ending.after != After::Gone);
                kept.ending = earlier.map(|ending| Ending { cause, ..ending });
                self.touched(index);
            }
        }
    }
}
