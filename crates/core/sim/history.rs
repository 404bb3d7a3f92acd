//! One history: a random stack, commands, faults, and a daemon that may die between any two steps.

use super::coverage::{Coverage, Kind, fact};
use super::oracle::{Broken, Oracle};
use super::rng::Rng;
use super::stacks;
use super::world::{Item, World};
use muster_core::{
    Accepted, Command, Context, Effect, Event, Header, InstanceRow, Machine, Mutant, Reply, Saved, State, Time, View,
};
use muster_spec::{InstanceId, Stack};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Steps to come to rest once the faults are over: many times what any history needs.
const REST: u32 = 6_000;

/// What one run of the simulator does.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) steps: u32,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) trace: bool,
}

/// What became of a history.
pub(crate) struct Outcome {
    pub(crate) steps: u32,
    pub(crate) faults: u64,
    pub(crate) broken: Option<Broken>,
}

/// Where the daemon dies in a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Nothing of the step is saved.
    BeforeSave,
    /// Saved, and so many effects executed.
    After(usize),
}

struct History<'a> {
    plan: Plan,
    machine: Machine,
    world: World,
    oracle: Oracle,
    first: Stack,
    header: Header,
    accepted: Option<Arc<Accepted>>,
    rows: BTreeMap<InstanceId, InstanceRow>,
    coverage: &'a mut Coverage,
    request: u64,
    steps: u32,
}

/// Plays the history of a seed.
pub(crate) fn play(seed: u64, plan: Plan, coverage: &mut Coverage) -> Outcome {
    let mut rng = Rng::new(seed);
    let first = stacks::random(&mut rng);
    let mut history = History {
        plan,
        machine: Machine::new(),
        world: World::new(rng),
        oracle: Oracle::default(),
        first,
        header: Header::default(),
        accepted: None,
        rows: BTreeMap::new(),
        coverage,
        request: 0,
        steps: 0,
    };
    if let Some(mutant) = plan.mutant {
        history.machine.mutate(mutant);
    }
    let broken = history.all().err();
    Outcome { steps: history.steps, faults: history.world.faults, broken }
}

impl History<'_> {
    fn all(&mut self) -> Result<(), Broken> {
        self.world.after(0, Item::Command);
        while self.steps < self.plan.steps {
            self.one()?;
        }
        self.world.calm_down();
        let end = self.steps + REST;
        while self.steps < end && (self.world.next_at().is_some() || self.machine.next_deadline().is_some()) {
            self.one()?;
        }
        self.oracle.at_rest(&self.machine, &self.world)
    }

    /// The next thing in time.
    fn one(&mut self) -> Result<(), Broken> {
        let due = self.machine.next_deadline().map(|time| time.0);
        let next = self.world.next_at();
        if let Some(due) = due.filter(|due| next.is_none_or(|next| *due <= next)) {
            let late = if self.world.calm { 0 } else { self.world.rng.below(20) * 1_000_000 };
            self.world.now = self.world.now.max(due) + late.min(next.map_or(late, |n| n.saturating_sub(due)));
            return self.step(&Event::Tick);
        }
        let Some(item) = self.world.pop() else {
            self.steps += 1;
            return Ok(());
        };
        if matches!(item, Item::Command) {
            let again =
                if self.world.rng.percent(30) { self.world.rng.below(60) } else { self.world.rng.between(1, 9_000) };
            self.world.after(again, Item::Command);
            let event = self.noise();
            return self.step(&event);
        }
        match self.world.happen(item) {
            Some(event) => self.step(&event),
            None => Ok(()),
        }
    }

    /// A command, now and then a debugger, an echo of what was, or word of another run.
    fn noise(&mut self) -> Event {
        let views: Vec<View> = self.machine.views().collect();
        let dice = self.world.rng.below(100);
        if let Some(view) = self.world.rng.pick(&views).filter(|_| dice < 50) {
            let (instance, run) = (view.instance.clone(), view.run);
            let event = match dice {
                0..6 => Some(Event::Held { instance, run, millis: self.world.rng.below(2_000) }),
                6..12 if run > 0 => Some(self.world.foreign(&instance, run)),
                _ => self.world.echo(&instance, run),
            };
            if let Some(event) = event {
                return event;
            }
        }
        self.request += 1;
        Event::Command { request: self.request, command: self.command(&views) }
    }

    fn command(&mut self, views: &[View]) -> Command {
        let rng = &mut self.world.rng;
        let known: Vec<InstanceId> = views.iter().map(|view| view.instance.clone()).collect();
        let count = rng.between(1, 4);
        let some = |rng: &mut Rng, of: &[InstanceId]| -> BTreeSet<InstanceId> {
            (0..count).filter_map(|_| rng.pick(of).cloned()).collect()
        };
        let lost: BTreeSet<InstanceId> =
            views.iter().filter(|view| view.state == State::Lost).map(|view| view.instance.clone()).collect();
        match (rng.below(100), &self.accepted) {
            (0..35, _) | (_, None) => {
                let accepted = match &self.accepted {
                    None => stacks::accept(rng, self.first.clone()),
                    Some(old) => stacks::change(rng, old, &self.first),
                };
                let all: Vec<InstanceId> = accepted.stack.instances().collect();
                let targets = if rng.percent(50) { all.into_iter().collect() } else { some(rng, &all) };
                let (no_deps, recreate) = (rng.percent(10), rng.percent(10));
                Command::Up { accepted: Arc::new(accepted), targets, no_deps, recreate }
            }
            (35..50, _) => Command::Start { targets: some(rng, &known), no_deps: rng.percent(10) },
            (50..70, _) => Command::Stop { targets: some(rng, &known), force: rng.percent(60), kill: rng.percent(15) },
            (70..85, _) => Command::Restart { targets: some(rng, &known) },
            (85..92, _) if !lost.is_empty() => Command::Forget { targets: lost },
            (85..89, _) => Command::Forget { targets: some(rng, &known) },
            (89..95, _) => Command::Down { targets: Some(some(rng, &known)) },
            (_, Some(_)) => Command::Down { targets: None },
        }
    }

    fn step(&mut self, event: &Event) -> Result<(), Broken> {
        self.steps += 1;
        let context = Context { now: Time(self.world.now), random: self.world.rng.next() };
        let death = (!self.world.calm && self.world.rng.percent(1)).then(|| match self.world.rng.below(3) {
            0 => Death::BeforeSave,
            1 => Death::After(usize::try_from(self.world.rng.below(4)).unwrap_or(0)),
            _ => Death::After(usize::MAX),
        });
        let before: BTreeMap<InstanceId, View> = match event {
            Event::Command { .. } => self.machine.views().map(|view| (view.instance.clone(), view)).collect(),
            _other => BTreeMap::new(),
        };
        self.coverage.count(&self.machine, event);
        let foreign = fact(event).is_some_and(|(_, id, run)| self.machine.view(id).is_none_or(|view| view.run != run));
        let twin = self.steps.is_multiple_of(32).then(|| self.machine.clone());
        let mut effects = Vec::new();
        self.machine.step(context, event.clone(), &mut effects);
        if let Some(mut twin) = twin {
            let mut again = Vec::new();
            twin.step(context, event.clone(), &mut again);
            if again != effects {
                return Err(Broken { promise: "a step is determined by its input", detail: format!("{event:?}") });
            }
        }
        self.trace(event, &effects, death);
        if foreign && !effects.is_empty() {
            return Err(Broken {
                promise: "what is told of another run changes nothing",
                detail: format!("{event:?}"),
            });
        }
        if death == Some(Death::BeforeSave) {
            self.world.faults += 1;
            return self.restart();
        }
        self.save();
        self.judge(event, &effects, &before, death)?;
        if death.is_some() {
            self.world.faults += 1;
            return self.restart();
        }
        self.oracle.look(&self.machine, &self.world)
    }

    fn judge(
        &mut self,
        event: &Event,
        effects: &[Effect],
        before: &BTreeMap<InstanceId, View>,
        death: Option<Death>,
    ) -> Result<(), Broken> {
        self.oracle.learn(event, self.world.now);
        let mut escalated = false;
        if let Event::Command { command, .. } = event {
            let reply = effects.iter().find_map(|effect| match effect {
                Effect::Reply { reply, .. } => Some(reply),
                _other => None,
            });
            let Some(reply) = reply else {
                return Err(Broken { promise: "every command is answered", detail: format!("{command:?}") });
            };
            self.oracle.command(command, reply, before, self.world.now);
            escalated = matches!(command, Command::Stop { kill: true, .. });
            if let (Command::Forget { targets }, Reply::Accepted { .. }) = (command, reply) {
                for id in targets.iter().filter(|id| before.get(*id).is_some_and(|v| v.state == State::Lost)) {
                    if let Some(at) = self.world.latest.get(id) {
                        self.world.runs[*at].dropped = true;
                    }
                }
            }
        }
        let executed = match death {
            Some(Death::After(count)) => count,
            Some(Death::BeforeSave) => 0,
            None => usize::MAX,
        };
        for (position, effect) in effects.iter().filter(|e| !matches!(e, Effect::Record(_))).enumerate() {
            self.oracle.effect(effect, &self.world, escalated)?;
            if position < executed {
                let stack = self.machine.accepted().map(|accepted| accepted.stack.clone());
                self.world.apply(effect, stack.as_deref());
            }
        }
        Ok(())
    }

    fn save(&mut self) {
        for row in self.machine.take_dirty() {
            if row.removed {
                self.rows.remove(&row.instance);
            } else {
                self.rows.insert(row.instance.clone(), row);
            }
        }
        self.header = self.machine.header();
        self.accepted = self.machine.accepted().cloned();
    }

    /// A new daemon from what was saved; now and then on a machine that was restarted.
    fn restart(&mut self) -> Result<(), Broken> {
        let reboot = self.world.rng.percent(10);
        self.world.daemon_died(reboot);
        let saved = Saved {
            header: self.header.clone(),
            accepted: self.accepted.clone(),
            rows: self.rows.values().cloned().collect(),
        };
        self.world.now += 50_000_000;
        self.oracle.restarted(reboot, self.world.now);
        let context = Context { now: Time(self.world.now), random: self.world.rng.next() };
        let mut effects = Vec::new();
        self.machine = Machine::restore(saved, context, !reboot, &mut effects);
        if let Some(mutant) = self.plan.mutant {
            self.machine.mutate(mutant);
        }
        self.save();
        if self.plan.trace {
            println!(
                "{:>9} ms  daemon starts{}",
                self.world.now / 1_000_000,
                if reboot { " after a reboot" } else { "" }
            );
        }
        for effect in effects.iter().filter(|e| !matches!(e, Effect::Record(_))) {
            if self.plan.trace {
                println!("              -> {effect:?}");
            }
            self.oracle.effect(effect, &self.world, false)?;
            let stack = self.machine.accepted().map(|accepted| accepted.stack.clone());
            self.world.apply(effect, stack.as_deref());
        }
        self.oracle.look(&self.machine, &self.world)
    }

    fn trace(&self, event: &Event, effects: &[Effect], death: Option<Death>) {
        if !self.plan.trace {
            return;
        }
        println!("{:>5} {:>9} ms  {}", self.steps, self.world.now / 1_000_000, Kind::words(event));
        for effect in effects {
            match effect {
                Effect::Record(t) => {
                    println!("              {} run {}: {} -> {} {:?}", t.instance, t.run, t.from, t.to, t.cause);
                }
                other => println!("              -> {other:?}"),
            }
        }
        match death {
            None => {}
            Some(Death::BeforeSave) => println!("              daemon dies before anything is saved"),
            Some(Death::After(count)) => println!("              daemon dies after {count} effects"),
        }
    }
}
