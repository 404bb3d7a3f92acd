//! The machine on small stacks: what goes in, what comes out.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use muster_core::why::{render, why};
use muster_core::{Accepted, Command, Context, Effect, Event, Exit, Found, Machine, State, Time};
use muster_spec::{
    Check, CommandSpec, HumanDuration, InstanceId, Need, OnRestart, ProbeSpec, RemoteSpec, RestartWindow, RuntimeKind,
    ServiceKind, ServiceName, ServiceSpec, Stack, StackName, Until,
};
use std::collections::BTreeSet;
use std::sync::Arc;

fn id(name: &str) -> InstanceId {
    name.parse().unwrap()
}

fn need(name: &str, until: Until) -> Need {
    Need { service: ServiceName::new(name).unwrap(), until, restart: OnRestart::Wait, optional: false }
}

fn service(name: &str, needs: Vec<Need>) -> ServiceSpec {
    let mut spec = ServiceSpec::process(ServiceName::new(name).unwrap(), CommandSpec::Exec(vec!["x".into()]), "/");
    spec.needs = needs;
    spec
}

fn accepted(services: Vec<ServiceSpec>) -> Arc<Accepted> {
    let stack = Stack::of(StackName::new("s").unwrap(), "/", services);
    let hashes = stack.instances().map(|i| (i, "h".to_owned())).collect();
    Arc::new(Accepted { stack: Arc::new(stack), hashes, satisfied: BTreeSet::new() })
}

struct World {
    machine: Machine,
    now: u64,
}

impl World {
    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.now += 1_000_000;
        self.machine.step(Context { now: Time(self.now), random: 7 }, event, &mut effects);
        effects.retain(|e| !matches!(e, Effect::Record(_)));
        effects
    }

    fn up(&mut self, accepted: &Arc<Accepted>, targets: &[&str]) -> Vec<Effect> {
        let targets = targets.iter().map(|t| id(t)).collect();
        let command = Command::Up { accepted: accepted.clone(), targets, no_deps: false, recreate: false };
        self.step(Event::Command { request: 1, command })
    }

    fn state(&self, name: &str) -> State {
        self.machine.view(&id(name)).unwrap().state
    }
}

fn world() -> World {
    World { machine: Machine::new(), now: 0 }
}

#[test]
fn needs_are_waited_for_and_stopped_in_reverse() {
    let mut migrate = service("migrate", vec![need("db", Until::Ready)]);
    migrate.kind = ServiceKind::Job;
    let stack = accepted(vec![
        // it uses the database although it names only the job that prepares it
        service("api", vec![need("migrate", Until::Done)]),
        service("db", vec![]),
        migrate,
    ]);
    let mut w = world();
    let effects = w.up(&stack, &["api"]);
    assert!(matches!(&effects[0], Effect::Start { instance, run: 1 } if *instance == id("db")), "{effects:?}");
    assert_eq!(w.state("api"), State::Waiting);
    let effects = w.step(Event::Started { instance: id("db"), run: 1 });
    assert_eq!(effects, [Effect::Start { instance: id("migrate"), run: 1 }]);
    w.step(Event::Started { instance: id("migrate"), run: 1 });
    let effects = w.step(Event::Exited { instance: id("migrate"), run: 1, exit: Exit::Code(0) });
    assert_eq!(
        effects,
        [Effect::Succeeded { instance: id("migrate"), run: 1 }, Effect::Start { instance: id("api"), run: 1 }]
    );
    w.step(Event::Started { instance: id("api"), run: 1 });
    assert_eq!(w.state("api"), State::Ready);
    let effects = w.step(Event::Command { request: 2, command: Command::Down { targets: None } });
    assert!(effects.contains(&Effect::Stop { instance: id("api"), run: 1 }));
    assert!(!effects.contains(&Effect::Stop { instance: id("db"), run: 1 }));
    let effects = w.step(Event::Exited { instance: id("api"), run: 1, exit: Exit::Signal(15) });
    assert!(effects.contains(&Effect::Stop { instance: id("db"), run: 1 }), "{effects:?}");
    w.step(Event::Exited { instance: id("db"), run: 1, exit: Exit::Signal(15) });
    assert_eq!(w.state("db"), State::Stopped);
}

#[test]
fn a_crash_restarts_at_once_and_then_waits() {
    let stack = accepted(vec![service("api", vec![])]);
    let mut w = world();
    w.up(&stack, &["api"]);
    w.step(Event::Started { instance: id("api"), run: 1 });
    let effects = w.step(Event::Exited { instance: id("api"), run: 1, exit: Exit::Code(1) });
    assert_eq!(effects, [Effect::Start { instance: id("api"), run: 2 }]);
    w.step(Event::Started { instance: id("api"), run: 2 });
    assert!(w.step(Event::Exited { instance: id("api"), run: 1, exit: Exit::Code(1) }).is_empty());
    assert!(w.step(Event::Exited { instance: id("api"), run: 2, exit: Exit::Code(1) }).is_empty());
    assert_eq!(w.state("api"), State::Backoff);
    w.now = w.machine.next_deadline().unwrap().0;
    assert_eq!(w.step(Event::Tick), [Effect::Start { instance: id("api"), run: 3 }]);
}

#[test]
fn what_somebody_else_removed_is_stopped_and_starts_only_when_asked_for() {
    let stack = accepted(vec![service("api", vec![])]);
    let mut w = world();
    w.up(&stack, &["api"]);
    w.step(Event::Started { instance: id("api"), run: 1 });
    assert_eq!(w.step(Event::Exited { instance: id("api"), run: 1, exit: Exit::Removed }), []);
    assert_eq!(w.state("api"), State::Stopped);
    let view = w.machine.view(&id("api")).unwrap();
    assert_eq!(muster_core::words::cause(&view.cause), "removed by someone else");
    assert_eq!(w.step(Event::Tick), []);
    assert!(w.up(&stack, &["api"]).contains(&Effect::Start { instance: id("api"), run: 2 }));
}

#[test]
fn a_job_runs_and_is_never_ready_without_a_probe() {
    let mut migrate = service("migrate", vec![]);
    migrate.kind = ServiceKind::Job;
    let stack = accepted(vec![service("api", vec![need("migrate", Until::Ready)]), migrate]);
    let mut w = world();
    w.up(&stack, &["api"]);
    let effects = w.step(Event::Started { instance: id("migrate"), run: 1 });
    assert_eq!(w.state("migrate"), State::Running);
    assert_eq!(effects, [Effect::Start { instance: id("api"), run: 1 }]);
    w.step(Event::Exited { instance: id("migrate"), run: 1, exit: Exit::Code(0) });
    assert_eq!(w.state("migrate"), State::Done);
}

#[test]
fn a_debugger_moves_the_deadline_of_a_stop() {
    let stack = accepted(vec![service("api", vec![])]);
    let mut w = world();
    w.up(&stack, &["api"]);
    w.step(Event::Started { instance: id("api"), run: 1 });
    w.step(Event::Held { instance: id("api"), run: 1, millis: 5_000 });
    assert_eq!(w.machine.next_deadline(), None);
    w.step(Event::Command { request: 2, command: Command::Down { targets: None } });
    let before = w.machine.next_deadline().unwrap();
    w.step(Event::Held { instance: id("api"), run: 1, millis: 5_000 });
    w.step(Event::Held { instance: id("api"), run: 7, millis: 5_000 });
    assert_eq!(w.machine.next_deadline().unwrap().0, before.0 + 5_000_000_000);
    w.now = before.0;
    assert!(w.step(Event::Tick).is_empty());
    w.now = before.0 + 5_000_000_000;
    assert_eq!(w.step(Event::Tick), [Effect::Kill { instance: id("api"), run: 1 }]);
}

#[test]
fn what_is_lost_comes_back_as_what_it_was_and_obeys_then() {
    let stack = accepted(vec![service("api", vec![])]);
    let mut w = world();
    w.up(&stack, &["api"]);
    w.step(Event::Started { instance: id("api"), run: 1 });
    w.step(Event::LinkLost { instance: id("api"), run: 1, reason: "cut".into() });
    assert_eq!(w.state("api"), State::Lost);
    // late words change nothing
    assert!(w.step(Event::Started { instance: id("api"), run: 1 }).is_empty());
    assert_eq!(w.state("api"), State::Lost);
    let effects = w.step(Event::Command { request: 2, command: Command::Down { targets: None } });
    assert!(!effects.iter().any(|e| matches!(e, Effect::Stop { .. } | Effect::Kill { .. })), "{effects:?}");
    let effects = w.step(Event::Recovered { instance: id("api"), run: 1, found: Found::Running });
    assert!(effects.contains(&Effect::Stop { instance: id("api"), run: 1 }), "{effects:?}");
    w.step(Event::Recovered { instance: id("api"), run: 1, found: Found::Exited(Exit::Code(0)) });
    assert_eq!(w.state("api"), State::Stopped);
}

fn crashes(limit: Option<RestartWindow>, max: Option<u32>) -> (World, u64) {
    let mut spec = service("api", vec![]);
    spec.probes.ready = Some(ProbeSpec::new(Check::Notify));
    spec.restart.limit = limit;
    spec.restart.max = max;
    let stack = accepted(vec![spec, service("web", vec![need("api", Until::Ready)])]);
    let mut w = world();
    w.up(&stack, &["web"]);
    for run in 1..20 {
        w.step(Event::Started { instance: id("api"), run });
        w.step(Event::Exited { instance: id("api"), run, exit: Exit::Code(3) });
        if w.state("api") == State::Backoff {
            w.now = w.machine.next_deadline().unwrap().0;
            w.step(Event::Tick);
        } else if w.state("api") != State::Starting {
            return (w, run);
        }
    }
    panic!("it is restarted for ever");
}

#[test]
fn the_circuit_opens_and_why_tells_the_root() {
    let window = RestartWindow { count: 3, per: HumanDuration::from_secs(60) };
    let (w, runs) = crashes(Some(window), None);
    assert_eq!((runs, w.state("api"), w.state("web")), (4, State::Failed, State::Waiting));
    let text = render(&why(&w.machine, &[], &id("web")));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("`web` is waiting: waits for `api` to be ready"), "{text}");
    assert!(lines[1].starts_with("  because `api` is failed: given up after 3 restarts"), "{text}");
    assert!(text.contains("run: muster logs api"), "{text}");
}

#[test]
fn restarts_have_an_end_by_number() {
    let (w, runs) = crashes(None, Some(2));
    assert_eq!((runs, w.state("api")), (3, State::Exited));
}

#[test]
fn what_is_lost_comes_back_before_it_is_dropped() {
    let lost = |kind, remote| {
        let mut spec = service("db", vec![]);
        (spec.runtime, spec.variants.remote) = (kind, remote);
        let mut w = world();
        w.up(&accepted(vec![spec]), &["db"]);
        w.step(Event::Started { instance: id("db"), run: 1 });
        w.step(Event::LinkLost { instance: id("db"), run: 1, reason: "no answer".into() });
        assert_eq!(w.state("db"), State::Lost);
        why(&w.machine, &[], &id("db")).remove(0).next.unwrap()
    };
    let drop = "muster down db --forget";
    assert_eq!(lost(RuntimeKind::Process, None), drop);
    let back = |how: &str| format!("{how}: it comes back by itself; or drop it: `{drop}`");
    assert_eq!(lost(RuntimeKind::Container, None), back("start its engine"));
    let command = CommandSpec::Exec(vec!["x".into()]);
    let (before, sync) = (Vec::new(), Vec::new());
    let remote = RemoteSpec { host: "lab-1".into(), command, before, sync, user: None, cwd: None };
    assert_eq!(lost(RuntimeKind::Remote, Some(remote)), back("see that `ssh lab-1` works"));
}
