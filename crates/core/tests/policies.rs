//! The pure policies: truth tables, and properties against simple oracles.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use muster_core::restart::{Next, Reason, Restarts};
use muster_core::schedule::Schedule;
use muster_core::{Context, Time, graph};
use muster_spec::{
    Backoff, Check, CommandSpec, HumanDuration, InstanceId, Need, OnRestart, ProbeSpec, RestartOn, RestartPolicy,
    RestartWindow, ServiceName, ServiceSpec, Stack, StackName, Until,
};
use proptest::prelude::{Strategy, any, proptest};
use std::collections::BTreeSet;
use std::time::Duration;

fn policy(backoff: Backoff, limit: Option<(u32, u64)>, max: Option<u32>) -> RestartPolicy {
    let limit = limit.map(|(count, per)| RestartWindow { count, per: HumanDuration::from_secs(per) });
    RestartPolicy { on: RestartOn::Always, backoff, limit, max }
}

fn exponential(min: u64, max: u64) -> Backoff {
    Backoff::Exponential { min: HumanDuration::from_millis(min), max: HumanDuration::from_millis(max) }
}

fn at(ms: u64) -> Context {
    Context { now: Time(ms * 1_000_000), random: 0 }
}

#[test]
fn the_first_failure_restarts_at_once_and_then_the_wait_doubles() {
    let policy = policy(exponential(200, 1_000), None, None);
    let mut restarts = Restarts::default();
    let waits: Vec<u64> = (0..5)
        .map(|_| match restarts.failed(&policy, at(0)) {
            Next::At(time) => time.0 / 1_000_000,
            Next::GiveUp(_) => u64::MAX,
        })
        .collect();
    assert_eq!(waits, [0, 200, 400, 500, 500]);
    restarts.ran(&policy, Duration::from_secs(59));
    assert_ne!(restarts.failed(&policy, at(0)), Next::At(Time(0)));
    restarts.ran(&policy, Duration::from_secs(60));
    assert_eq!(restarts.failed(&policy, at(0)), Next::At(Time(0)));
    assert_eq!(restarts.count(), 7);
}

#[test]
fn a_constant_wait_counts_for_the_first_restart_too() {
    let policy = policy(Backoff::Constant(HumanDuration::from_millis(300)), None, Some(1));
    let mut restarts = Restarts::default();
    assert_eq!(restarts.failed(&policy, at(10)), Next::At(Time(310_000_000)));
    assert_eq!(restarts.failed(&policy, at(400)), Next::GiveUp(Reason::Count));
}

#[test]
fn the_circuit_opens_in_the_window_and_not_beside_it() {
    let policy = policy(exponential(1, 1), Some((2, 10)), None);
    let mut restarts = Restarts::default();
    assert!(matches!(restarts.failed(&policy, at(0)), Next::At(_)));
    assert!(matches!(restarts.failed(&policy, at(5_000)), Next::At(_)));
    assert_eq!(restarts.clone().failed(&policy, at(9_999)), Next::GiveUp(Reason::Window));
    assert!(matches!(restarts.failed(&policy, at(10_000)), Next::At(_)));
    let never = RestartPolicy { limit: Some(RestartWindow { count: 0, per: HumanDuration::from_secs(1) }), ..policy };
    assert_eq!(Restarts::default().failed(&never, at(0)), Next::GiveUp(Reason::Window));
}

#[test]
fn a_probe_is_quick_until_it_passes() {
    let mut spec = ProbeSpec::new(Check::Notify);
    spec.every = HumanDuration::from_secs(2);
    let mut schedule = Schedule::new();
    let (mut elapsed, mut wait) = (Duration::ZERO, Duration::ZERO);
    while wait < Duration::from_millis(250) {
        wait = schedule.next(&spec, false);
        elapsed += wait;
        // what becomes ready is seen soon, measured by how long it took: this bounds a whole chain of services
        assert!(wait <= Duration::from_millis(1) + elapsed / 32, "{wait:?} after {elapsed:?}");
    }
    assert!(elapsed < Duration::from_secs(9), "{elapsed:?}");
    assert_eq!(schedule.next(&spec, false), Duration::from_millis(250));
    assert_eq!(schedule.next(&spec, true).as_millis(), 2_000);
    assert_eq!(schedule.next(&spec, false).as_millis(), 2_000);
    assert_eq!(Schedule::first(&spec), Duration::ZERO);
}

fn stack(edges: &[(usize, usize)], count: usize) -> Stack {
    let name = |n: usize| ServiceName::new(&format!("s{n}")).unwrap();
    let service = |n: usize| {
        let mut spec = ServiceSpec::process(name(n), CommandSpec::Exec(vec!["x".into()]), "/");
        spec.needs = edges
            .iter()
            .filter(|(from, _)| *from == n)
            .map(|(_, to)| Need { service: name(*to), until: Until::Ready, restart: OnRestart::Wait, optional: false })
            .collect();
        spec
    };
    Stack::of(StackName::new("s").unwrap(), "/", (0..count).map(service))
}

/// Which services are reached from each, over any number of edges.
fn reach(edges: &[(usize, usize)], count: usize) -> Vec<BTreeSet<usize>> {
    let mut reach: Vec<BTreeSet<usize>> =
        (0..count).map(|n| edges.iter().filter(|(from, _)| *from == n).map(|(_, to)| *to).collect()).collect();
    for _ in 0..count {
        for n in 0..count {
            let more: BTreeSet<usize> = reach[n].iter().flat_map(|on| reach[*on].clone()).collect();
            reach[n].extend(more);
        }
    }
    reach
}

fn edges() -> impl Strategy<Value = Vec<(usize, usize)>> {
    proptest::collection::vec((0..7_usize, 0..7_usize), 0..12)
}

proptest! {
    #[test]
    fn a_cycle_is_found_when_there_is_one(edges in edges()) {
        let stack = stack(&edges, 7);
        let cyclic = reach(&edges, 7).iter().enumerate().any(|(n, on)| on.contains(&n));
        let found = graph::find_cycle(&stack);
        assert_eq!(found.is_some(), cyclic);
        if let Some(cycle) = found {
            assert_eq!(cycle.first(), cycle.last());
            for pair in cycle.windows(2) {
                let needs = &stack.services[&pair[0]].needs;
                assert!(needs.iter().any(|need| need.service == pair[1]));
            }
        }
    }

    #[test]
    fn the_closure_is_what_is_reached(edges in edges(), start in 0..7_usize) {
        let stack = stack(&edges, 7);
        let id = |n: usize| -> InstanceId { format!("s{n}").parse().unwrap() };
        let mut expected: BTreeSet<InstanceId> = reach(&edges, 7)[start].iter().map(|n| id(*n)).collect();
        expected.insert(id(start));
        assert_eq!(graph::closure(&stack, &BTreeSet::from([id(start)])), expected);
    }

    #[test]
    fn a_layer_needs_only_earlier_layers(edges in edges()) {
        let edges: Vec<(usize, usize)> = edges.into_iter().filter(|(from, to)| from > to).collect();
        let stack = stack(&edges, 7);
        let mut earlier: BTreeSet<ServiceName> = BTreeSet::new();
        for layer in graph::layers(&stack) {
            for name in &layer {
                assert!(stack.services[name].needs.iter().all(|need| earlier.contains(&need.service)));
            }
            earlier.extend(layer);
        }
        assert_eq!(earlier.len(), 7);
    }

    #[test]
    fn a_wait_stays_within_its_bounds(random in any::<u64>(), failures in 1..20_usize) {
        let policy = policy(exponential(200, 30_000), None, None);
        let mut restarts = Restarts::default();
        for n in 0..failures {
            let Next::At(time) = restarts.failed(&policy, Context { now: Time(0), random }) else { panic!("gave up") };
            let ms = time.0 / 1_000_000;
            assert!(if n == 0 { ms == 0 } else { (200..=30_000).contains(&ms) });
        }
    }
}
