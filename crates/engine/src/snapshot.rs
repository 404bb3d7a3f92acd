//! What readers see: one immutable picture per change. Only what changed is made anew; the rest is shared.

use crate::address::from_here;
use crate::documents::{LimitsDocument, ServiceStatus};
use crate::ports::PortTable;
use muster_core::{Accepted, State, View};
use muster_runtime::Handle;
use muster_spec::{ByteSize, InstanceId, Limits, RuntimeKind, ServiceName, ServiceSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One instance, as of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct InstanceInfo {
    /// The core's view.
    pub(crate) view: View,
    /// The handle of the current run, once it was spawned.
    pub(crate) handle: Option<Arc<Handle>>,
    /// Wall time of its spawn, in nanoseconds.
    pub(crate) started_at_ns: Option<u64>,
    /// The reason in one line, when it is not where it should be.
    pub(crate) reason: Option<String>,
}

/// As documents tell it; nothing where there is no limit at all.
fn limits(limits: &Limits) -> Option<LimitsDocument> {
    let memory_bytes = limits.memory.as_ref().map(ByteSize::get);
    let some = *limits != Limits::default();
    some.then_some(LimitsDocument { memory_bytes, cpus: limits.cpus, pids: limits.pids, files: limits.files })
}

/// Whether a run may be alive.
pub(crate) fn alive(state: State) -> bool {
    match state {
        State::Starting | State::Running | State::Ready | State::Unhealthy | State::Stopping | State::Lost => true,
        State::Stopped | State::Waiting | State::Backoff | State::Exited | State::Done | State::Failed => false,
    }
}

/// An instance's main process, and the host whose process it is, where that is not this machine.
#[derive(Debug, Default)]
pub(crate) struct MainProcess {
    /// Its number there.
    pub(crate) pid: Option<u32>,
    /// None for this machine.
    pub(crate) host: Option<String>,
}

impl InstanceInfo {
    /// What runs, if anything may.
    pub(crate) fn process(&self) -> MainProcess {
        match self.handle.as_ref().filter(|_| alive(self.view.state)) {
            None => MainProcess::default(),
            Some(handle) => match &handle.far {
                Some(far) => MainProcess { pid: far.pid, host: Some(far.host.clone()) },
                None => MainProcess { pid: handle.pid, host: None },
            },
        }
    }
}

/// The host that a service is to run on, where that is not this machine.
pub(crate) fn host(spec: &ServiceSpec) -> Option<String> {
    let remote = spec.variants.remote.as_ref().filter(|_| spec.runtime == RuntimeKind::Remote);
    remote.map(|remote| remote.host.clone())
}

/// An environment, as of a point in time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// The stack last accepted.
    pub(crate) accepted: Option<Arc<Accepted>>,
    /// The environment's generation.
    pub(crate) generation: u64,
    /// The generation at which another stack was accepted.
    pub(crate) stack_generation: u64,
    /// Number of the last journal entry that is in it.
    pub(crate) seq: u64,
    /// Runs of an earlier daemon that nobody has looked at yet: until there are none, this is what was known then.
    pub(crate) unverified: usize,
    /// Something that is over is still being removed.
    pub(crate) ending: bool,
    /// Its ports.
    pub(crate) ports: Arc<PortTable>,
    /// Its instances.
    pub(crate) instances: BTreeMap<InstanceId, Arc<InstanceInfo>>,
}

impl Snapshot {
    /// Instances that may be alive.
    pub(crate) fn running(&self) -> usize {
        self.instances.values().filter(|info| alive(info.view.state)).count()
    }

    /// A service of the accepted stack.
    pub(crate) fn service(&self, name: &ServiceName) -> Option<&ServiceSpec> {
        self.accepted.as_ref()?.stack.services.get(name)
    }

    /// Where this machine reaches the ports of an instance.
    fn addresses(&self, spec: &ServiceSpec, instance: &InstanceId) -> indexmap::IndexMap<String, String> {
        let port = |name| from_here(&self.ports, spec, instance.replica, name).ok();
        spec.ports.keys().filter_map(|name| Some((name.to_string(), format!("127.0.0.1:{}", port(name)?)))).collect()
    }

    /// An instance as people and scripts see it.
    pub(crate) fn status(&self, instance: &InstanceId) -> Option<ServiceStatus> {
        let info = self.instances.get(instance)?;
        let spec = self.accepted.as_ref().and_then(|a| a.stack.services.get(&instance.service));
        let ports: indexmap::IndexMap<String, u16> = spec
            .into_iter()
            .flat_map(|s| s.ports.keys())
            .filter_map(|name| Some((name.to_string(), self.ports.get(&instance.service, instance.replica, name)?)))
            .collect();
        let view = &info.view;
        let here = alive(view.state);
        let started = info.started_at_ns.filter(|_| here);
        let stale = match (&view.run_hash, self.accepted.as_ref().and_then(|a| a.hashes.get(instance))) {
            (Some(run), Some(now)) if here && run != now => vec!["configuration".to_owned()],
            (Some(_) | None, Some(_) | None) => Vec::new(),
        };
        Some(ServiceStatus {
            name: instance.service.to_string(),
            replica: instance.replica,
            group: spec.and_then(|s| s.group.clone()),
            kind: spec.map_or("service", |s| crate::words::kind(s.kind)).to_owned(),
            runtime: spec.map_or(RuntimeKind::Process, |s| s.runtime).to_string(),
            wanted: crate::words::wanted(view.wanted).to_owned(),
            state: view.state.to_string(),
            ready: view.ready,
            healthy: view.healthy,
            pid: info.process().pid,
            container: info
                .handle
                .as_ref()
                .filter(|h| here && h.runtime == RuntimeKind::Container)
                .map(|h| h.identity.clone()),
            host: info.process().host.or_else(|| host(spec?)),
            started_at: started.map(crate::clock::rfc3339),
            uptime_s: started.map(|ns| crate::clock::wall_ns().saturating_sub(ns) as f64 / 1e9),
            run: view.run,
            generation: view.generation,
            restarts: view.restarts,
            exit: view.exit.as_ref().and_then(|exit| serde_json::to_value(exit).ok()),
            addresses: spec.map(|spec| self.addresses(spec, instance)).unwrap_or_default(),
            ports,
            reason: info.reason.clone(),
            stale,
            cpu_percent: None,
            memory_bytes: None,
            limits: spec.and_then(|spec| limits(&spec.limits)),
            settled: view.settled,
            log_dir: info.handle.as_ref().and_then(|h| h.log_dir.as_ref()).map(|d| d.display().to_string()),
        })
    }
}
