//! The world: runs that live, die, hang and answer late, whatever the machine believes.

use super::rng::Rng;
use muster_core::{Chance, Effect, Event, Exit, Found};
use muster_spec::{InstanceId, Role, ServiceKind, Stack};
use std::collections::{BTreeMap, BTreeSet};

const MS: u64 = 1_000_000;

/// What a run really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Its start was asked for; it may come up or not.
    Pending,
    Alive,
    Dead(Exit),
    /// It never came to be.
    Absent,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: InstanceId,
    pub(crate) number: u64,
    pub(crate) truth: Truth,
    /// Nothing goes through to it or comes from it.
    pub(crate) cut: bool,
    /// It was alive at some time.
    came_up: bool,
    /// A person dropped it: it is nobody's any more.
    pub(crate) dropped: bool,
    obeys: bool,
    job: bool,
    /// Of 100 answers of a probe, so many fail.
    flaps: u64,
    /// Probes that were asked since the daemon started: of others no answer can be on its way.
    asked: BTreeSet<Role>,
    epoch: u64,
    /// Answers given since the faults ended: a few are enough, the world has to come to rest.
    calm_answers: u32,
}

impl Run {
    pub(crate) fn live(&self) -> bool {
        matches!(self.truth, Truth::Pending | Truth::Alive) && !self.dropped
    }
}

/// What will happen.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Reaches the machine.
    Deliver(Event),
    Spawn(usize),
    Fail(usize, bool),
    Die(usize, Exit),
    Ask(usize, Role, u64),
    /// The answer to `Recover`, with the truth of that moment.
    Answer(InstanceId, u64),
    Cut(usize),
    Back(usize),
    Command,
}

/// Everything that is there.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) runs: Vec<Run>,
    /// The latest run of each instance.
    pub(crate) latest: BTreeMap<InstanceId, usize>,
    queue: BTreeMap<(u64, u64), Item>,
    seq: u64,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) faults: u64,
}

impl World {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            rng,
            now: 1_000 * MS,
            runs: Vec::new(),
            latest: BTreeMap::new(),
            queue: BTreeMap::new(),
            seq: 0,
            calm: false,
            faults: 0,
        }
    }

    pub(crate) fn after(&mut self, ms: u64, item: Item) {
        self.seq += 1;
        self.queue.insert((self.now + ms * MS, self.seq), item);
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let ((at, _), item) = self.queue.pop_first()?;
        self.now = self.now.max(at);
        Some(item)
    }

    fn fault(&mut self, percent: u64) -> bool {
        let hit = !self.calm && self.rng.percent(percent);
        self.faults += u64::from(hit);
        hit
    }

    /// A report on its way: now and then late, now and then twice.
    fn tell(&mut self, event: Event) {
        let late = if self.fault(10) { self.rng.between(100, 10_000) } else { self.rng.below(5) };
        if self.fault(8) {
            let again = self.rng.between(1, 15_000);
            self.after(again, Item::Deliver(event.clone()));
        }
        self.after(late, Item::Deliver(event));
    }

    pub(crate) fn find(&self, id: &InstanceId, number: u64) -> Option<usize> {
        self.runs.iter().rposition(|run| run.number == number && run.id == *id)
    }

    /// Something happens by itself; what reaches the machine comes back.
    pub(crate) fn happen(&mut self, item: Item) -> Option<Event> {
        match item {
            Item::Deliver(event) => return Some(event),
            Item::Spawn(at) => self.spawn(at),
            Item::Fail(at, permanent) => {
                if self.runs[at].truth == Truth::Pending {
                    self.runs[at].truth = Truth::Absent;
                    let (instance, run) = (self.runs[at].id.clone(), self.runs[at].number);
                    if !self.runs[at].cut {
                        self.tell(Event::StartFailed { instance, run, reason: "no".into(), chance: chance(permanent) });
                    }
                }
            }
            Item::Die(at, exit) => self.die(at, &exit),
            Item::Ask(at, role, epoch) => return self.ask(at, role, epoch),
            Item::Answer(instance, run) => return Some(self.answer(instance, run)),
            Item::Cut(at) => self.cut(at),
            Item::Back(at) => return self.back(at),
            Item::Command => {}
        }
        None
    }

    fn spawn(&mut self, at: usize) {
        if self.runs[at].truth != Truth::Pending {
            return;
        }
        self.runs[at].truth = Truth::Alive;
        let (instance, run) = (self.runs[at].id.clone(), self.runs[at].number);
        if !self.runs[at].cut {
            self.tell(Event::Started { instance, run });
        }
        self.live_on(at);
    }

    /// How long it lives.
    fn live_on(&mut self, at: usize) {
        self.runs[at].came_up = true;
        if self.runs[at].job {
            let code = i32::from(self.fault(25));
            let after = self.rng.between(10, 3_000);
            self.after(after, Item::Die(at, Exit::Code(code)));
        } else if self.fault(45) {
            let after = if self.rng.percent(60) { self.rng.between(1, 2_000) } else { self.rng.between(1, 60_000) };
            let exits = [Exit::Code(0), Exit::Code(1), Exit::Code(1), Exit::Signal(11), Exit::SupervisorKilled];
            let exit = self.rng.pick(&exits).cloned().unwrap_or(Exit::Unknown);
            self.after(after, Item::Die(at, exit));
        }
        if self.fault(6) {
            let after = self.rng.between(1, 10_000);
            self.after(after, Item::Cut(at));
        }
    }

    fn die(&mut self, at: usize, exit: &Exit) {
        if !matches!(self.runs[at].truth, Truth::Pending | Truth::Alive) {
            return;
        }
        self.runs[at].truth = Truth::Dead(exit.clone());
        let (instance, run) = (self.runs[at].id.clone(), self.runs[at].number);
        if !self.runs[at].cut {
            self.tell(Event::Exited { instance, run, exit: exit.clone() });
        }
    }

    fn ask(&mut self, at: usize, role: Role, epoch: u64) -> Option<Event> {
        let run = &self.runs[at];
        if !run.live() || run.epoch != epoch || run.cut {
            return None;
        }
        if run.truth == Truth::Pending {
            // its supervisor is there, it is not yet
            let (instance, run) = (run.id.clone(), run.number);
            self.after(200, Item::Ask(at, role, epoch));
            return Some(Event::Probed { instance, run, role, failure: Some("not there".into()) });
        }
        let (instance, number, flaps) = (run.id.clone(), run.number, run.flaps);
        if self.calm {
            self.runs[at].calm_answers += 1;
            if self.runs[at].calm_answers > 20 {
                return None;
            }
        }
        let failure = self.fault(flaps).then(|| "no answer".to_owned());
        let wait = if failure.is_some() { self.rng.between(1, 900) } else { self.rng.between(800, 6_000) };
        self.after(wait, Item::Ask(at, role, epoch));
        Some(Event::Probed { instance, run: number, role, failure })
    }

    fn answer(&mut self, instance: InstanceId, run: u64) -> Event {
        let found = match self.find(&instance, run) {
            None => Found::Absent,
            Some(at) => {
                if self.fault(12) && !self.runs[at].cut {
                    self.runs[at].cut = true;
                    let after = self.rng.between(100, 20_000);
                    self.after(after, Item::Back(at));
                }
                self.found(at)
            }
        };
        Event::Recovered { instance, run, found }
    }

    fn found(&self, at: usize) -> Found {
        if self.runs[at].cut {
            return Found::Unverifiable("link is gone".into());
        }
        match &self.runs[at].truth {
            Truth::Pending | Truth::Alive => Found::Running,
            Truth::Dead(exit) => Found::Exited(exit.clone()),
            Truth::Absent => Found::Absent,
        }
    }

    pub(crate) fn cut(&mut self, at: usize) {
        if !self.runs[at].live() || self.runs[at].cut {
            return;
        }
        self.runs[at].cut = true;
        let (instance, run) = (self.runs[at].id.clone(), self.runs[at].number);
        let lost = Event::LinkLost { instance, run, reason: "link is gone".into() };
        if self.fault(20) {
            self.after(2, Item::Deliver(lost.clone()));
        }
        self.after(1, Item::Deliver(lost));
        let after = self.rng.between(10, 20_000);
        self.after(after, Item::Back(at));
    }

    fn back(&mut self, at: usize) -> Option<Event> {
        if !self.runs[at].cut {
            return None;
        }
        self.runs[at].cut = false;
        if self.runs[at].truth == Truth::Pending {
            self.runs[at].truth = Truth::Alive;
            self.live_on(at);
        }
        let (instance, run) = (self.runs[at].id.clone(), self.runs[at].number);
        Some(Event::Recovered { instance, run, found: self.found(at) })
    }

    /// Something that was true of a run at some time, told late or once more.
    pub(crate) fn echo(&mut self, instance: &InstanceId, number: u64) -> Option<Event> {
        let at = self.find(instance, number)?;
        let run = self.runs[at].clone();
        let (instance, run_, reason) = (instance.clone(), number, "told late".to_owned());
        let recovered = |found| Event::Recovered { instance: instance.clone(), run: run_, found };
        let lost = || Event::LinkLost { instance: instance.clone(), run: run_, reason: reason.clone() };
        let started = || Event::Started { instance: instance.clone(), run: run_ };
        let failed = || Event::StartFailed {
            instance: instance.clone(),
            run: run_,
            reason: reason.clone(),
            chance: Chance::Again,
        };
        let mut choices = match &run.truth {
            Truth::Pending if run.cut => vec![lost()],
            // its supervisor is there already
            Truth::Pending => vec![recovered(Found::Running)],
            Truth::Alive if run.cut => vec![lost(), recovered(Found::Unverifiable(reason.clone())), started()],
            Truth::Alive => vec![started(), recovered(Found::Running)],
            Truth::Dead(exit) => {
                let exited = Event::Exited { instance: instance.clone(), run: run_, exit: exit.clone() };
                let mut late = vec![lost(), exited, recovered(Found::Exited(exit.clone()))];
                late.push(recovered(Found::Unverifiable(reason.clone())));
                // what it left behind was cleared away
                late.push(recovered(Found::Absent));
                if run.came_up {
                    late.extend([started(), recovered(Found::Running)]);
                }
                late
            }
            Truth::Absent => {
                vec![lost(), failed(), recovered(Found::Absent), recovered(Found::Unverifiable(reason.clone()))]
            }
        };
        if self.rng.percent(40) {
            let roles: Vec<Role> = run.asked.iter().copied().collect();
            if let Some(role) = self.rng.pick(&roles).copied() {
                let failure = self.rng.percent(50).then(|| reason.clone());
                choices = vec![Event::Probed { instance: instance.clone(), run: number, role, failure }];
            }
        }
        self.faults += 1;
        self.rng.pick(&choices).cloned()
    }

    /// Something about a run that is not the current one: it must change nothing, whatever it says.
    pub(crate) fn foreign(&mut self, instance: &InstanceId, current: u64) -> Event {
        let (instance, run) = (instance.clone(), self.rng.below(current));
        self.faults += 1;
        match self.rng.below(9) {
            0 => Event::Started { instance, run },
            1 => {
                let chance = chance(self.rng.percent(50));
                Event::StartFailed { instance, run, reason: "foreign".into(), chance }
            }
            2 => Event::LinkLost { instance, run, reason: "foreign".into() },
            3 => Event::Recovered { instance, run, found: Found::Running },
            4 => Event::Recovered { instance, run, found: Found::Absent },
            5 => Event::Recovered { instance, run, found: Found::Exited(Exit::Code(1)) },
            6 => Event::Probed { instance, run, role: Role::Live, failure: Some("foreign".into()) },
            7 => Event::Held { instance, run, millis: 1_000 },
            _ => Event::Exited { instance, run, exit: Exit::Code(1) },
        }
    }

    /// Does what the machine asks for.
    pub(crate) fn apply(&mut self, effect: &Effect, stack: Option<&Stack>) {
        match effect {
            Effect::Start { instance, run } => self.start(instance, *run, stack),
            Effect::Stop { instance, run } => {
                if let Some(at) = self.find(instance, *run).filter(|at| !self.runs[*at].cut) {
                    self.stop(at);
                }
            }
            Effect::Kill { instance, run } => {
                if let Some(at) = self.find(instance, *run).filter(|at| !self.runs[*at].cut) {
                    let after = self.rng.between(1, 50);
                    self.after(after, Item::Die(at, Exit::Signal(9)));
                }
            }
            Effect::Recover { instance, run } => {
                let after = self.rng.between(1, 100);
                self.after(after, Item::Answer(instance.clone(), *run));
            }
            Effect::Probe { instance, run, roles } => {
                let Some(at) = self.find(instance, *run) else { return };
                self.runs[at].epoch += 1;
                self.runs[at].asked.extend(roles.iter().copied());
                let epoch = self.runs[at].epoch;
                for role in roles {
                    let after = self.rng.between(1, 20);
                    self.after(after, Item::Ask(at, *role, epoch));
                }
            }
            Effect::Record(_) | Effect::Forget { .. } | Effect::Succeeded { .. } | Effect::Reply { .. } => {}
        }
    }

    fn start(&mut self, instance: &InstanceId, number: u64, stack: Option<&Stack>) {
        let job = stack.and_then(|s| s.services.get(&instance.service)).is_some_and(|s| s.kind == ServiceKind::Job);
        let flaps = if self.rng.percent(60) { 5 } else { self.rng.between(30, 100) };
        self.runs.push(Run {
            id: instance.clone(),
            number,
            truth: Truth::Pending,
            cut: false,
            came_up: false,
            dropped: false,
            obeys: self.rng.percent(85),
            job,
            flaps,
            asked: BTreeSet::new(),
            epoch: 0,
            calm_answers: 0,
        });
        let at = self.runs.len() - 1;
        self.latest.insert(instance.clone(), at);
        if self.fault(8) {
            let slow = self.rng.percent(40);
            let after = if slow { self.rng.between(500, 9_000) } else { self.rng.between(1, 500) };
            let permanent = self.rng.percent(25);
            self.after(after, Item::Fail(at, permanent));
        } else if self.fault(5) {
            // hangs: only KILL or the end of the faults helps
        } else {
            let after = if self.fault(15) { self.rng.between(500, 8_000) } else { self.rng.between(1, 20) };
            self.after(after, Item::Spawn(at));
        }
        if self.fault(3) {
            let after = self.rng.between(1, 1_000);
            self.after(after, Item::Cut(at));
        }
    }

    fn stop(&mut self, at: usize) {
        if self.runs[at].truth == Truth::Pending {
            if self.rng.percent(40) {
                self.after(2, Item::Fail(at, false));
            } else if self.rng.percent(50) {
                self.after(2, Item::Die(at, Exit::Signal(15)));
            }
        } else if self.runs[at].obeys {
            let after = self.rng.between(1, 3_000);
            self.after(after, Item::Die(at, Exit::Signal(15)));
        }
    }

    /// The daemon died: what was on its way to it is lost; starts that had not come far have not happened.
    pub(crate) fn daemon_died(&mut self, reboot: bool) {
        self.queue.retain(|_, item| match item {
            Item::Deliver(_) | Item::Ask(..) | Item::Answer(..) => false,
            Item::Spawn(_) | Item::Fail(..) | Item::Die(..) | Item::Cut(_) | Item::Back(_) | Item::Command => true,
        });
        for at in 0..self.runs.len() {
            let happened = self.rng.percent(50);
            let run = &mut self.runs[at];
            run.asked.clear();
            if run.truth == Truth::Pending && !reboot && !run.cut {
                run.truth = if happened { Truth::Alive } else { Truth::Absent };
                if happened {
                    self.live_on(at);
                }
            } else if reboot && matches!(run.truth, Truth::Alive | Truth::Pending) {
                run.truth = Truth::Dead(Exit::Unknown);
            }
        }
    }

    /// From now on nothing goes wrong: links are back, what hangs comes up.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.queue.retain(|_, item| match item {
            Item::Command | Item::Cut(_) => false,
            Item::Deliver(_)
            | Item::Spawn(_)
            | Item::Fail(..)
            | Item::Die(..)
            | Item::Ask(..)
            | Item::Answer(..)
            | Item::Back(_) => true,
        });
        for at in 0..self.runs.len() {
            if self.runs[at].cut {
                self.after(5, Item::Back(at));
            } else if self.runs[at].truth == Truth::Pending {
                self.after(5, Item::Spawn(at));
            }
        }
    }
}

fn chance(permanent: bool) -> Chance {
    if permanent { Chance::Never { code: Some(127) } } else { Chance::Again }
}
