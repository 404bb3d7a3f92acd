//! How long steps of a thousand services take: `cargo run --release -p muster-core --example scale`.
#![expect(clippy::expect_used, reason = "a measurement may fail")]

use muster_core::plan::{Current, plan};
use muster_core::{Accepted, Command, Context, Event, Exit, Machine, Time, View};
use muster_spec::{CommandSpec, InstanceId, Need, OnRestart, ServiceName, ServiceSpec, Stack, StackName, Until};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// So many services.
const COUNT: usize = 1_000;

fn name(n: usize) -> ServiceName {
    ServiceName::new(&format!("s{n:04}")).expect("a letter and digits are a name")
}

/// `needs(n)` are the services that service `n` needs.
fn accepted(needs: impl Fn(usize) -> Vec<usize>, hash: &str) -> Arc<Accepted> {
    let service = |n: usize| {
        let mut spec = ServiceSpec::process(name(n), CommandSpec::Exec(vec!["x".into()]), "/");
        let need = |on| Need { service: name(on), until: Until::Ready, restart: OnRestart::With, optional: false };
        spec.needs = needs(n).into_iter().map(need).collect();
        spec
    };
    let stack = Stack::of(StackName::new("s").expect("a name"), "/", (0..COUNT).map(service));
    let hashes = stack.instances().map(|id| (id, hash.to_owned())).collect();
    Arc::new(Accepted { stack: Arc::new(stack), hashes, satisfied: BTreeSet::new() })
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = run();
    println!("  {what:<28} {:>8.2} ms", began.elapsed().as_secs_f64() * 1_000.0);
    result
}

fn measure(title: &str, needs: impl Fn(usize) -> Vec<usize> + Copy) {
    println!("{title}");
    let first = accepted(needs, "1");
    let targets: BTreeSet<InstanceId> = first.stack.instances().collect();
    let (mut machine, mut effects) = (Machine::new(), Vec::new());
    let context = Context { now: Time(1), random: 0 };
    let ids: Vec<InstanceId> = targets.iter().cloned().collect();
    let up = Command::Up { accepted: first.clone(), targets: targets.clone(), no_deps: false, recreate: false };
    timed("up", || machine.step(context, Event::Command { request: 1, command: up }, &mut effects));
    timed("1,000 x Started", || {
        for id in &ids {
            machine.step(context, Event::Started { instance: id.clone(), run: 1 }, &mut effects);
        }
    });
    let views: Vec<View> = timed("views", || machine.views().collect());
    timed("1,000 x next_deadline", || (0..COUNT).filter_map(|_| machine.next_deadline()).count());
    let second = accepted(needs, if title.contains("chain") { "1" } else { "2" });
    let mut second = (*second).clone();
    second.hashes.insert(ids[0].clone(), "2".to_owned());
    let current = Current { accepted: Some(&first), views: &views };
    timed("plan", || plan(current, &second, &targets));
    let down = Command::Down { targets: None };
    timed("down", || machine.step(context, Event::Command { request: 2, command: down }, &mut effects));
    timed("1,000 x Exited", || {
        for id in ids.iter().rev() {
            machine.step(context, Event::Exited { instance: id.clone(), run: 1, exit: Exit::Signal(15) }, &mut effects);
        }
    });
    assert!(machine.views().all(|view| view.settled), "everything is at rest");
}

fn main() {
    measure("without needs", |_| Vec::new());
    measure("all need the first", |n| if n == 0 { Vec::new() } else { vec![0] });
    measure("each needs up to three before", |n| (n.saturating_sub(3)..n).collect());
    measure("a chain", |n| if n == 0 { Vec::new() } else { vec![n - 1] });
    measure("ten layers of a hundred", |n| {
        if n < 100 { Vec::new() } else { ((n / 100 - 1) * 100..n / 100 * 100).collect() }
    });
}
