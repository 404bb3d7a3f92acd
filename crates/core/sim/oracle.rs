//! What must hold, worked out from the stack, the commands and what the machine was told: shares no decision with it.
//!
//! Not checked, on purpose:
//! - the policy for a run that was replaced on request, unwanted, or wanted again while it ended: none applies;
//! - the policy for a run that may have been restarted with what it needs: whether its own end or the other's came first is
//!   the machine's to decide; an end by itself is excused only when something it goes `with` was disturbed during its life, an end
//!   after a stop always;
//! - an end with success of what has a liveness probe or a `within`: it may have been in trouble by then;
//! - how long a circuit stays open: only a command closes it, and that is seen as a new request;
//! - the order of stops for KILL at once (`stop --kill` says so), and for a request that is sent again after a daemon start
//!   or a broken link: the order was that of the first time;
//! - that optional needs are waited for while these wait themselves, or between two of their runs: only what lives, or can
//!   start at once, can still come for sure.

use muster_core::{Accepted, Command, Event, Exit, Found, Reply, State, View, Wanted};
use muster_spec::{InstanceId, Need, Role, ServiceKind, ServiceName, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A promise that was broken.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) promise: &'static str,
    pub(crate) detail: String,
}

pub(super) type Checked = Result<(), Broken>;

pub(super) fn broken(promise: &'static str, detail: String) -> Checked {
    Err(Broken { promise, detail })
}

/// Answers of one probe of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    pub(super) passes: u32,
    pub(super) fails: u32,
    pub(super) yes: bool,
}

/// What the machine was told about a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) number: u64,
    pub(super) started: Option<u64>,
    /// When, and how if it ever ran.
    pub(super) gone: Option<(u64, Option<Exit>)>,
    pub(super) failed: bool,
    pub(super) lost: bool,
    /// Asked for by the machine: these facts of a start.
    pub(super) began: u64,
    pub(super) grace: u64,
    /// The last request to stop.
    pub(super) asked_to_stop: Option<u64>,
    pub(super) killed: bool,
    /// Its deadline was moved by so much.
    pub(super) held: u64,
    /// It was unwanted, or wanted again while it ended: what follows its end is no question of the policy.
    pub(super) excused: bool,
    /// It has a startup probe.
    pub(super) startup: bool,
    pub(super) probes: [Heard; 3],
}

/// What the oracle knows of an instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Mind {
    pub(super) wanted: bool,
    pub(super) begun: bool,
    pub(super) no_deps: bool,
    /// Runs up to this number count for nothing any more.
    pub(super) stale: u64,
    /// A job that need not run.
    pub(super) satisfied: bool,
    pub(super) runs: Vec<Told>,
    /// Restarts in a row, by themselves.
    pub(super) streak: u32,
    /// When ends were followed by a restart by itself.
    pub(super) restarts: Vec<u64>,
    /// How many there were since it was last asked for.
    pub(super) made: u32,
    pub(super) touched_at: u64,
    /// When something happened after which those that are restarted with it may be.
    pub(super) disturbed_at: u64,
    /// When its needs became others.
    pub(super) edges_at: u64,
    pub(super) was_ready: bool,
}

/// The judge.
#[derive(Default)]
pub(crate) struct Oracle {
    pub(super) accepted: Option<Arc<Accepted>>,
    pub(super) minds: BTreeMap<InstanceId, Mind>,
    pub(super) needs: BTreeMap<ServiceName, Vec<Need>>,
    pub(super) rebooted_at: u64,
}

pub(super) fn role(role: Role) -> usize {
    match role {
        Role::Startup => 0,
        Role::Ready => 1,
        Role::Live => 2,
    }
}

impl Oracle {
    pub(super) fn spec(&self, id: &InstanceId) -> Option<&ServiceSpec> {
        let spec = self.accepted.as_ref()?.stack.services.get(&id.service)?;
        (id.replica <= spec.replicas).then_some(spec)
    }

    pub(crate) fn stack(&self) -> Option<&muster_spec::Stack> {
        self.accepted.as_ref().map(|accepted| &*accepted.stack)
    }

    /// Everything that these need, and they themselves.
    fn with_needs(&self, targets: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
        let mut all = targets.clone();
        loop {
            let mut more = BTreeSet::new();
            for id in &all {
                for need in self.spec(id).map_or(&[][..], |spec| spec.needs.as_slice()) {
                    let Some(on) = self.stack().and_then(|stack| stack.services.get(&need.service)) else { continue };
                    more.extend((1..=on.replicas).map(|replica| InstanceId { service: on.name.clone(), replica }));
                }
            }
            let before = all.len();
            all.extend(more);
            if all.len() == before {
                return all;
            }
        }
    }

    /// A stack was accepted: services may be new, and needs may have changed.
    fn another_stack(&mut self, accepted: &Arc<Accepted>, now: u64) {
        // the probes of a service that was away are new ones
        let old = self.accepted.replace(accepted.clone());
        let away = |id: &InstanceId| old.as_ref().is_none_or(|old| !old.stack.services.contains_key(&id.service));
        self.minds.iter_mut().filter(|(id, _)| away(id)).for_each(|(_, mind)| mind.was_ready = false);
        for spec in accepted.stack.services.values() {
            let before = self.needs.insert(spec.name.clone(), spec.needs.clone());
            if before.is_some_and(|before| before != spec.needs) {
                // it may be restarted because of an edge that it does not have any more
                let copies = self.minds.iter_mut().filter(|(id, _)| id.service == spec.name);
                copies.for_each(|(_, mind)| mind.edges_at = now);
            }
        }
    }

    /// A command was answered.
    pub(crate) fn command(&mut self, command: &Command, reply: &Reply, before: &BTreeMap<InstanceId, View>, now: u64) {
        if matches!(reply, Reply::Denied(_)) {
            return;
        }
        match command {
            Command::Up { accepted, targets, no_deps, recreate } => {
                self.another_stack(accepted, now);
                let all = if *no_deps { targets.clone() } else { self.with_needs(targets) };
                for id in &all {
                    let satisfied = accepted.satisfied.contains(id) && self.is_job(id);
                    let anew = *recreate && targets.contains(id);
                    let changed = before.get(id).is_some_and(|v| v.run_hash.as_ref() != accepted.hashes.get(id));
                    self.want(id, before.get(id), now, *no_deps);
                    let live = before.get(id).is_some_and(|view| live(view.state));
                    let mind = self.minds.entry(id.clone()).or_default();
                    mind.satisfied = satisfied && !anew && !live;
                    if !live || changed || anew {
                        mind.stale = before.get(id).map_or(0, |view| view.run);
                        mind.disturbed_at = now;
                    }
                }
                let known: BTreeSet<InstanceId> = accepted.stack.instances().collect();
                let removed: Vec<InstanceId> = self.minds.keys().filter(|id| !known.contains(id)).cloned().collect();
                for id in removed {
                    self.unwant(&id, before.get(&id));
                }
            }
            Command::Start { targets, no_deps } => {
                let all = if *no_deps { targets.clone() } else { self.with_needs(targets) };
                for id in &all {
                    self.want(id, before.get(id), now, *no_deps);
                    let again = targets.contains(id) && self.is_job(id);
                    if before.get(id).is_some_and(|v| !live(v.state) && (v.state != State::Done || again)) {
                        self.stale(id, before.get(id), now);
                    }
                }
            }
            Command::Restart { targets } => {
                let resting = |id: &&InstanceId| before.get(*id).is_some_and(|view| view.wanted == Wanted::Down);
                let resting: BTreeSet<InstanceId> = targets.iter().filter(resting).cloned().collect();
                for id in self.with_needs(&resting).difference(targets) {
                    self.want(id, before.get(id), now, false);
                    if before.get(id).is_some_and(|v| !live(v.state) && v.state != State::Done) {
                        self.stale(id, before.get(id), now);
                    }
                }
                for id in targets {
                    let no_deps = self.minds.get(id).is_some_and(|mind| mind.no_deps);
                    self.want(id, before.get(id), now, no_deps);
                    self.stale(id, before.get(id), now);
                }
            }
            Command::Stop { targets, .. } => targets.iter().for_each(|id| self.unwant(id, before.get(id))),
            Command::Down { targets } => {
                let all = targets.clone().unwrap_or_else(|| before.keys().cloned().collect());
                all.iter().for_each(|id| {
                    self.unwant(id, before.get(id));
                    self.minds.entry(id.clone()).or_default().satisfied = false;
                });
            }
            Command::Forget { targets } => {
                for id in targets.iter().filter(|id| before.get(*id).is_some_and(|v| v.state == State::Lost)) {
                    self.unwant(id, before.get(id));
                    let mind = self.minds.entry(id.clone()).or_default();
                    if let Some(at) = mind.runs.len().checked_sub(1) {
                        mind.gone(at, now, None);
                    }
                }
            }
        }
    }

    fn is_job(&self, id: &InstanceId) -> bool {
        self.spec(id).is_some_and(|spec| spec.kind == ServiceKind::Job)
    }

    fn want(&mut self, id: &InstanceId, before: Option<&View>, now: u64, no_deps: bool) {
        let mind = self.minds.entry(id.clone()).or_default();
        mind.wanted = true;
        mind.no_deps = no_deps;
        mind.touched_at = now;
        mind.streak = 0;
        mind.made = 0;
        mind.restarts.clear();
        if let Some(told) = mind.runs.last_mut().filter(|told| told.gone.is_none() && told.asked_to_stop.is_some()) {
            told.excused = true;
        }
        if before.is_none_or(|view| !live(view.state)) {
            mind.disturbed_at = now;
        }
    }

    fn stale(&mut self, id: &InstanceId, before: Option<&View>, now: u64) {
        let mind = self.minds.entry(id.clone()).or_default();
        mind.stale = before.map_or(0, |view| view.run);
        mind.satisfied = false;
        mind.disturbed_at = now;
    }

    fn unwant(&mut self, id: &InstanceId, before: Option<&View>) {
        let mind = self.minds.entry(id.clone()).or_default();
        mind.wanted = false;
        if let Some(told) = mind.runs.last_mut().filter(|told| told.gone.is_none()) {
            told.excused = true;
        }
        if before.is_none_or(|view| !live(view.state)) {
            mind.begun = false;
        }
    }

    /// The machine took a fact in.
    pub(crate) fn learn(&mut self, event: &Event, now: u64) {
        let spec = match event {
            Event::Probed { instance, role, .. } => {
                let service = self.stack().and_then(|stack| stack.services.get(&instance.service));
                service.and_then(|spec| spec.probes.get(*role)).cloned()
            }
            _other => None,
        };
        match event {
            Event::Started { instance, run } => self.told(instance, *run, |mind, at| {
                // late word of a run that was lost later, or while it was stopping, says nothing of where it is now
                if mind.runs[at].started.is_none() && mind.runs[at].asked_to_stop.is_none() {
                    mind.runs[at].lost = false;
                }
                mind.runs[at].started.get_or_insert(now);
                mind.begun = true;
            }),
            Event::StartFailed { instance, run, .. } => self.told(instance, *run, |mind, at| {
                // what was seen alive is asked about again, unless it is on its way out
                if mind.runs[at].started.is_none() || mind.runs[at].asked_to_stop.is_some() {
                    mind.runs[at].failed = true;
                    mind.gone(at, now, None);
                }
            }),
            Event::Exited { instance, run, exit } => {
                self.told(instance, *run, |mind, at| mind.gone(at, now, Some(exit.clone())));
            }
            Event::LinkLost { instance, run, .. } => self.told(instance, *run, Mind::lose),
            Event::Recovered { instance, run, found } => self.told(instance, *run, |mind, at| match found {
                Found::Running => {
                    mind.runs[at].forget_counts();
                    mind.runs[at].lost = false;
                    mind.runs[at].started.get_or_insert(now);
                    mind.begun = true;
                }
                Found::Exited(exit) => mind.gone(at, now, Some(exit.clone())),
                Found::Absent => mind.gone(at, now, mind.runs[at].started.map(|_| Exit::Unknown)),
                Found::Unverifiable(_) => mind.lose(at),
            }),
            Event::Probed { instance, run, role: r, failure } => {
                let Some(spec) = spec else { return };
                self.told(instance, *run, |mind, at| {
                    let told = &mind.runs[at];
                    let early = *r != Role::Startup && told.startup && !told.probes[0].yes;
                    let over = *r == Role::Startup && told.probes[0].yes;
                    if early || over || told.lost || told.started.is_none() {
                        return;
                    }
                    let heard = &mut mind.runs[at].probes[role(*r)];
                    if failure.is_none() {
                        (heard.passes, heard.fails) = (heard.passes + 1, 0);
                        heard.yes |= heard.passes >= spec.passes;
                    } else {
                        (heard.passes, heard.fails) = (0, heard.fails + 1);
                        heard.yes &= heard.fails < spec.fails;
                        if *r == Role::Live {
                            mind.disturbed_at = now;
                        }
                    }
                });
            }
            Event::Held { instance, run, millis } => {
                self.told(instance, *run, |mind, at| mind.runs[at].held += millis * 1_000_000);
            }
            Event::Command { .. } | Event::Tick => {}
        }
    }

    fn told(&mut self, id: &InstanceId, number: u64, then: impl FnOnce(&mut Mind, usize)) {
        let Some(mind) = self.minds.get_mut(id) else { return };
        // only the latest run matters: what is told of others must change nothing
        let Some(at) = mind.runs.len().checked_sub(1).filter(|at| mind.runs[*at].number == number) else { return };
        if mind.runs[at].gone.is_none() {
            then(mind, at);
        }
    }

    /// The daemon came back: counts of answers begin anew.
    pub(crate) fn restarted(&mut self, reboot: bool, now: u64) {
        if reboot {
            self.rebooted_at = now;
        }
        for mind in self.minds.values_mut() {
            if reboot {
                mind.restarts.clear();
                mind.streak = 0;
            }
            for told in mind.runs.iter_mut().rev().take(1) {
                told.forget_counts();
            }
        }
    }
}

impl Told {
    fn forget_counts(&mut self) {
        for heard in &mut self.probes {
            (heard.passes, heard.fails) = (0, 0);
        }
    }
}

impl Mind {
    fn gone(&mut self, at: usize, now: u64, exit: Option<Exit>) {
        self.runs[at].lost = false;
        self.runs[at].gone = Some((now, exit));
        self.disturbed_at = now;
        if !self.wanted {
            self.begun = false;
        }
    }

    fn lose(&mut self, at: usize) {
        self.runs[at].lost = true;
        self.runs[at].forget_counts();
    }
}

/// A run may be alive, as far as the machine says.
pub(super) fn live(state: State) -> bool {
    match state {
        State::Starting | State::Running | State::Ready | State::Unhealthy | State::Stopping | State::Lost => true,
        State::Stopped | State::Waiting | State::Backoff | State::Exited | State::Done | State::Failed => false,
    }
}
