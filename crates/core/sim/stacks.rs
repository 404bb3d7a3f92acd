//! Random stacks, and random changes of them.

use super::rng::Rng;
use muster_core::Accepted;
use muster_spec::{
    Backoff, Check, CommandSpec, HumanDuration, InstanceId, Need, OnRestart, ProbeSpec, RestartOn, RestartPolicy,
    RestartWindow, ServiceKind, ServiceName, ServiceSpec, Stack, StackName, UnhealthyPolicy, Until,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) fn name(n: u64) -> ServiceName {
    ServiceName::new(&format!("s{n}")).expect("invariant: a letter and digits are a name")
}

/// 5 to 12 services and jobs that need earlier ones.
pub(crate) fn random(rng: &mut Rng) -> Stack {
    let count = rng.between(5, 12);
    let mut services: Vec<ServiceSpec> = Vec::new();
    for n in 0..count {
        let spec = service(rng, n, &services);
        services.push(spec);
    }
    Stack::of(StackName::new("sim").expect("invariant: `sim` is a name"), "/", services)
}

fn service(rng: &mut Rng, n: u64, earlier: &[ServiceSpec]) -> ServiceSpec {
    let mut spec = ServiceSpec::process(name(n), CommandSpec::Exec(vec!["x".into()]), "/");
    spec.kind = if rng.percent(25) { ServiceKind::Job } else { ServiceKind::Service };
    let job = spec.kind == ServiceKind::Job;
    spec.replicas = if rng.percent(20) { 2 } else { 1 };
    for _ in 0..rng.below(4).min(n) {
        let Some(on) = rng.pick(earlier) else { continue };
        if spec.needs.iter().all(|need| need.service != on.name) {
            spec.needs.push(need(rng, on));
        }
    }
    spec.restart = policy(rng);
    if job && spec.restart.on == RestartOn::Always && spec.restart.max.is_none() {
        // else it never comes to rest
        spec.restart.max = Some(2);
    }
    spec.unhealthy = if rng.percent(80) { UnhealthyPolicy::Restart } else { UnhealthyPolicy::Ignore };
    spec.stop.grace = HumanDuration::from_millis(rng.between(1, 10) * 1000);
    if rng.percent(if job { 10 } else { 30 }) {
        spec.probes.startup = Some(probe(rng));
    }
    if rng.percent(if job { 20 } else { 50 }) {
        spec.probes.ready = Some(probe(rng));
    }
    if rng.percent(if job { 10 } else { 40 }) {
        spec.probes.live = Some(ProbeSpec { within: None, ..probe(rng) });
    }
    spec
}

fn need(rng: &mut Rng, on: &ServiceSpec) -> Need {
    let choices: &[Until] = match on.kind {
        ServiceKind::Job => &[Until::Done, Until::Done, Until::Done, Until::Exited, Until::Started],
        ServiceKind::Service => &[Until::Ready, Until::Ready, Until::Started, Until::Healthy],
    };
    let edges = [OnRestart::Wait, OnRestart::Wait, OnRestart::With, OnRestart::Ignore];
    Need {
        service: on.name.clone(),
        until: rng.pick(choices).copied().unwrap_or(Until::Started),
        restart: rng.pick(&edges).copied().unwrap_or_default(),
        optional: rng.percent(15),
    }
}

fn policy(rng: &mut Rng) -> RestartPolicy {
    let on = [RestartOn::Failure, RestartOn::Failure, RestartOn::Failure, RestartOn::Always, RestartOn::Never];
    let backoff = if rng.percent(25) {
        Backoff::Constant(HumanDuration::from_millis(rng.between(0, 5) * 500))
    } else {
        let min = rng.between(50, 400);
        Backoff::Exponential {
            min: HumanDuration::from_millis(min),
            max: HumanDuration::from_millis(min * rng.between(1, 50)),
        }
    };
    let window = RestartWindow {
        count: u32::try_from(rng.below(6)).unwrap_or(0),
        per: HumanDuration::from_secs(rng.between(5, 60)),
    };
    RestartPolicy {
        on: rng.pick(&on).copied().unwrap_or(RestartOn::Failure),
        backoff,
        limit: rng.percent(75).then_some(window),
        max: rng.percent(25).then(|| u32::try_from(rng.below(4)).unwrap_or(0)),
    }
}

fn probe(rng: &mut Rng) -> ProbeSpec {
    let mut spec = ProbeSpec::new(Check::Notify);
    spec.every = HumanDuration::from_millis(rng.between(1, 5) * 500);
    spec.fails = u32::try_from(rng.between(1, 3)).unwrap_or(1);
    spec.passes = u32::try_from(rng.between(1, 2)).unwrap_or(1);
    spec.within = rng.percent(50).then(|| HumanDuration::from_secs(rng.between(2, 10)));
    spec
}

/// The first stack of a history.
pub(crate) fn accept(rng: &mut Rng, stack: Stack) -> Accepted {
    let hashes = stack.instances().map(|id| (id, "0".to_owned())).collect();
    let satisfied = satisfied(rng, &stack);
    Accepted { stack: Arc::new(stack), hashes, satisfied }
}

fn satisfied(rng: &mut Rng, stack: &Stack) -> BTreeSet<InstanceId> {
    let job = |spec: &&ServiceSpec| spec.kind == ServiceKind::Job;
    let jobs: Vec<InstanceId> = stack.services.values().filter(job).flat_map(|spec| stack.instances_of(spec)).collect();
    jobs.into_iter().filter(|_| rng.percent(15)).collect()
}

/// The stack as somebody changed it: services removed and brought back, copies, definitions.
pub(crate) fn change(rng: &mut Rng, old: &Accepted, first: &Stack) -> Accepted {
    let mut stack = (*old.stack).clone();
    if rng.percent(25) {
        let names: Vec<ServiceName> = stack.services.keys().cloned().collect();
        if let Some(name) = rng.pick(&names).filter(|_| names.len() > 2) {
            stack.services.shift_remove(name);
            for spec in stack.services.values_mut() {
                spec.needs.retain(|need| need.service != *name);
            }
        }
    } else if rng.percent(20) {
        stack = first.clone();
    }
    for spec in stack.services.values_mut() {
        if rng.percent(8) {
            spec.replicas = u16::try_from(rng.between(1, 3)).unwrap_or(1);
        }
    }
    let mut hashes = BTreeMap::new();
    for id in stack.instances() {
        let before = old.hashes.get(&id).cloned().unwrap_or_else(|| "0".to_owned());
        hashes.insert(id, if rng.percent(15) { rng.below(1000).to_string() } else { before });
    }
    let satisfied = satisfied(rng, &stack);
    Accepted { stack: Arc::new(stack), hashes, satisfied }
}
