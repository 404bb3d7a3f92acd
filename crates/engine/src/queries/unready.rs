//! Who waits for what runs and does not become ready: its probe may pass at any time, and nobody wants to wait for ever.
//!
//! A `ready` with a `within` ends by itself, as a start that failed. One without goes on, and so does what it is asked of:
//! it is only the wait that is given up, when nothing else can still happen.

use crate::snapshot::Snapshot;
use muster_core::State;
use muster_spec::{Check, InstanceId, RuntimeKind, ServiceName, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Since when which runs are not ready, as one who waits has seen it.
#[derive(Debug)]
pub(super) struct Unready {
    patience: Option<Duration>,
    since: BTreeMap<(InstanceId, u64), Instant>,
}

impl Unready {
    pub(super) fn new(patience: Option<Duration>) -> Self {
        Self { patience, since: BTreeMap::new() }
    }

    /// When the next of them is to be looked at again.
    pub(super) fn due(&self) -> Option<Instant> {
        let (patience, now) = (self.patience?, Instant::now());
        self.since.values().map(|since| *since + patience).filter(|due| *due > now).min()
    }

    /// Those of `waiting_for` that nothing will bring along: late ones, and who needs them. None while one of the others
    /// is on its way.
    pub(super) fn stuck(&mut self, now: &Snapshot, waiting_for: &[InstanceId]) -> Option<Vec<(InstanceId, String)>> {
        let patience = self.patience?;
        let stack = &now.accepted.as_ref()?.stack;
        let running = |instance: &InstanceId, run: u64| {
            let view = now.instances.get(instance).map(|info| &info.view);
            view.is_some_and(|view| view.run == run && view.state == State::Running && !view.ready)
        };
        self.since.retain(|(instance, run), _| running(instance, *run));
        let mut blocked: BTreeSet<&ServiceName> = BTreeSet::new();
        for (instance, info) in &now.instances {
            let Some(spec) = stack.services.get(&instance.service) else { continue };
            // one with a `within` has a deadline of its own
            if !running(instance, info.view.run) || info.view.deadline.is_some() || engine_asked(spec) {
                continue;
            }
            let since = self.since.entry((instance.clone(), info.view.run)).or_insert_with(Instant::now);
            if since.elapsed() >= patience {
                blocked.insert(&spec.name);
            }
        }
        let late = blocked.clone();
        loop {
            let waits = |instance: &&InstanceId| {
                let state = now.instances.get(*instance).map(|info| info.view.state);
                let needs = stack.services.get(&instance.service).map_or(&[][..], |spec| spec.needs.as_slice());
                state == Some(State::Waiting) && needs.iter().any(|n| !n.optional && blocked.contains(&n.service))
            };
            let more: Vec<&ServiceName> = waiting_for.iter().filter(waits).map(|instance| &instance.service).collect();
            let before = blocked.len();
            blocked.extend(more);
            if blocked.len() == before {
                break;
            }
        }
        if late.is_empty() || !waiting_for.iter().all(|instance| blocked.contains(&instance.service)) {
            return None;
        }
        let reason = |instance: &InstanceId| {
            let told = now.instances.get(instance).and_then(|info| info.reason.clone()).unwrap_or_default();
            match late.contains(&instance.service) {
                true => format!("not ready after {}s, and goes on: {told}", patience.as_secs()),
                false => told,
            }
        };
        Some(waiting_for.iter().map(|instance| (instance.clone(), reason(instance))).collect())
    }
}

/// Whether it is ready when its engine finds it healthy: the engine has its own time for that.
fn engine_asked(spec: &ServiceSpec) -> bool {
    let ready = spec.probes.ready.as_ref();
    spec.runtime == RuntimeKind::Container && ready.is_some_and(|ready| asks_engine(&ready.check))
}

fn asks_engine(check: &Check) -> bool {
    match check {
        Check::Healthcheck => true,
        Check::All(checks) | Check::Any(checks) => checks.iter().any(asks_engine),
        Check::Tcp(_)
        | Check::Http(_)
        | Check::Grpc { .. }
        | Check::Exec(_)
        | Check::Log(_)
        | Check::Notify
        | Check::File(_)
        | Check::Listens(_) => false,
    }
}
