//! `status`, `ports` and `why`.

use crate::clock::rfc3339;
use crate::documents::{
    ErrorDocument, PortEntry, PortsDocument, ServiceStatus, StatusDocument, WhyDocument, WhyLink, WhyService,
};
use crate::engine::{Engine, select};
use crate::environment::recorded;
use crate::errors;
use crate::ports::End;
use crate::snapshot::{MainProcess, Snapshot, alive, host};
use futures::stream::{FuturesOrdered, StreamExt};
use muster_core::why::{self, RecordedTransition};
use muster_runtime::{Handle, Usage};
use muster_sockets::{listeners, port_owner, process_tree};
use muster_spec::{EnvironmentId, InstanceId, RuntimeKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Journal entries of an environment that `why` walks.
const HISTORY: u32 = 2_000;
/// Time between the two looks that make a percentage.
const USAGE_WINDOW: Duration = Duration::from_millis(100);

impl Engine {
    /// What is, of everything selected. With `usage` it looks at the processes twice, 100 ms apart.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn status(
        &self,
        id: &EnvironmentId,
        text: Option<&str>,
        usage: bool,
    ) -> Result<StatusDocument, ErrorDocument> {
        let now = self.known(id)?.verified().await;
        let chosen = select(&now, text)?;
        let mut services: Vec<(InstanceId, ServiceStatus)> =
            ordered(&now, &chosen).into_iter().filter_map(|i| Some((i.clone(), now.status(&i)?))).collect();
        if usage {
            self.add_usage(&now, &mut services).await;
        }
        Ok(StatusDocument {
            schema: "muster.status.v1".to_owned(),
            stack: now.accepted.as_ref().map(|a| a.stack.name.to_string()).unwrap_or_default(),
            environment: id.name.to_string(),
            generation: now.generation,
            services: services.into_iter().map(|(_, status)| status).collect(),
        })
    }

    /// Everything of every environment with what it uses now, one look each: what metrics are made of.
    pub async fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for handle in self.handles() {
            let now = handle.now();
            let stack = now.accepted.as_ref().map(|a| a.stack.name.to_string()).unwrap_or_default();
            let all: Vec<InstanceId> = now.instances.keys().cloned().collect();
            let handles: Vec<_> = all.iter().map(|instance| living(&now, instance)).collect();
            let usages = self.usages(&handles).await;
            samples.extend(all.iter().zip(usages).filter_map(|(instance, usage)| {
                let (stack, environment) = (stack.clone(), handle.id.to_string());
                Some(Sample { stack, environment, status: now.status(instance)?, usage })
            }));
        }
        samples
    }

    async fn add_usage(&self, now: &Snapshot, services: &mut [(InstanceId, ServiceStatus)]) {
        let handles: Vec<_> = services.iter().map(|(instance, _)| living(now, instance)).collect();
        let first = self.usages(&handles).await;
        tokio::time::sleep(USAGE_WINDOW).await;
        let second = self.usages(&handles).await;
        for ((_, status), (first, second)) in services.iter_mut().zip(first.into_iter().zip(second)) {
            if let (Some(first), Some(second)) = (first, second) {
                let used = second.cpu_ns.saturating_sub(first.cpu_ns) as f64;
                status.cpu_percent = Some(used / USAGE_WINDOW.as_nanos() as f64 * 100.0);
                status.memory_bytes = Some(second.memory_bytes);
            }
        }
    }

    async fn usages(&self, handles: &[Option<Arc<Handle>>]) -> Vec<Option<Usage>> {
        let runtimes = &self.inner.shared.runtimes;
        let look = |handle: Option<Arc<Handle>>| async move {
            let handle = handle?;
            runtimes.get(handle.runtime, &handle.run.environment)?.inspect(&handle).await.ok()?.usage
        };
        handles.iter().cloned().map(look).collect::<FuturesOrdered<_>>().collect().await
    }

    /// Who listens on the ports of everything selected.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn ports(&self, id: &EnvironmentId, text: Option<&str>) -> Result<PortsDocument, ErrorDocument> {
        let now = self.known(id)?.now();
        let chosen = select(&now, text)?;
        let mut ports = Vec::new();
        let listening: BTreeSet<u16> =
            listeners().into_iter().flatten().map(|listener| listener.address.port()).collect();
        for ((service, replica, name), port) in &now.ports.numbers {
            let instance = InstanceId { service: service.clone(), replica: *replica };
            if !chosen.contains(&instance) {
                continue;
            }
            let main = now.instances.get(&instance).map(|info| info.process()).unwrap_or_default();
            let spec = now.service(service);
            if let Some(host) = main.host.or_else(|| host(spec?)) {
                // the host is not asked: only what does not run is known
                let listening = living(&now, &instance).is_none().then_some(false);
                let (instance, name) = (instance.to_string(), name.to_string());
                ports.push(PortEntry { host: Some(host), pid: main.pid, listening, ..entry(instance, name, *port) });
                continue;
            }
            let own = main.pid.map(process_tree).unwrap_or_default();
            // a container's port is held by its engine
            let published = spec.is_some_and(|spec| spec.runtime == RuntimeKind::Container);
            let owner = if listening.contains(port) && !published { port_owner(*port) } else { None };
            let owner = owner.filter(|owner| !own.contains(&owner.pid)).map(|owner| owner.to_string());
            let (instance, name) = (instance.to_string(), name.to_string());
            let listening = Some(listening.contains(port));
            ports.push(PortEntry { listening, owner, pid: main.pid, ..entry(instance, name, *port) });
        }
        ports.extend(ends(&now, &chosen, &listening));
        Ok(PortsDocument { schema: "muster.ports.v1".to_owned(), ports })
    }

    /// Why everything selected is where it is.
    ///
    /// # Errors
    /// No such environment or service, or the journal cannot be read.
    pub async fn why(&self, id: &EnvironmentId, text: Option<&str>) -> Result<WhyDocument, ErrorDocument> {
        let handle = self.known(id)?;
        let now = handle.verified().await;
        let chosen = select(&now, text)?;
        let rows = self.inner.shared.store.last_transitions(id, None, HISTORY).map_err(|e| errors::journal(&e))?;
        let history: Vec<RecordedTransition> = rows.iter().filter_map(recorded).collect();
        let machine = handle.machine().await?;
        let services = ordered(&now, &chosen).into_iter().filter_map(|instance| {
            let info = now.instances.get(&instance)?;
            let chain = why::why(&machine, &history, &instance);
            let link = |link: why::Link| WhyLink {
                instance: link.instance.to_string(),
                sentence: link.sentence,
                at: link.at_ns.map(|ns| rfc3339(ns.unsigned_abs())),
                next: link.next,
            };
            let (name, state) = (instance.to_string(), info.view.state.to_string());
            let MainProcess { pid, host } = info.process();
            Some(WhyService { name, state, pid, host, chain: chain.into_iter().map(link).collect() })
        });
        Ok(WhyDocument { schema: "muster.why.v1".to_owned(), services: services.collect() })
    }
}

/// One instance with what it uses.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The stack's name.
    pub stack: String,
    /// The environment's identity.
    pub environment: String,
    /// What is known of it.
    pub status: ServiceStatus,
    /// What it uses, where it runs and its runtime tells.
    pub usage: Option<Usage>,
}

/// The handle of what may be alive.
fn living(now: &Snapshot, instance: &InstanceId) -> Option<Arc<Handle>> {
    now.instances.get(instance).filter(|info| alive(info.view.state)).and_then(|info| info.handle.clone())
}

/// A port of which nothing is known yet.
fn entry(instance: String, name: String, port: u16) -> PortEntry {
    PortEntry { instance, name, port, listening: None, owner: None, leads_to: None, host: None, pid: None }
}

/// The ends of tunnels: a far one listens on its host, which is not asked, and is there while something runs on it.
fn ends(now: &Snapshot, chosen: &BTreeSet<InstanceId>, listening: &BTreeSet<u16>) -> Vec<PortEntry> {
    let mut out = Vec::new();
    let busy: BTreeSet<String> = now
        .instances
        .values()
        .filter(|info| alive(info.view.state))
        .filter_map(|info| now.service(&info.view.instance.service).and_then(host))
        .collect();
    for (end, number) in &now.ports.ends {
        let (instance, name, near, leads_to, on) = match end {
            End::Near { service, replica, port } => {
                let instance = InstanceId { service: service.clone(), replica: *replica };
                let there = now.ports.get(service, *replica, port).unwrap_or_default();
                let spec = now.service(service);
                let host = spec.and_then(host).unwrap_or_default();
                (instance, format!("{port} (near end)"), true, format!("host {host}, port {there}"), None)
            }
            End::Far { host, service, port } => {
                let name = format!("{port} (far end on host {host})");
                (InstanceId::first(service.clone()), name, false, "this machine".to_owned(), Some(host.clone()))
            }
        };
        if chosen.contains(&instance) {
            let idle = on.as_ref().is_some_and(|host| !busy.contains(host));
            let listening = if near { Some(listening.contains(number)) } else { idle.then_some(false) };
            let leads_to = Some(leads_to);
            out.push(PortEntry { listening, leads_to, host: on, ..entry(instance.to_string(), name, *number) });
        }
    }
    out
}

/// Instances in the order in which their services are declared; those that the stack does not have come last.
pub(super) fn ordered(now: &Snapshot, chosen: &BTreeSet<InstanceId>) -> Vec<InstanceId> {
    let stack = now.accepted.as_ref().map(|accepted| &accepted.stack);
    let place =
        |instance: &InstanceId| stack.and_then(|s| s.services.get_index_of(&instance.service)).unwrap_or(usize::MAX);
    let mut all: Vec<InstanceId> = chosen.iter().cloned().collect();
    all.sort_by_key(|instance| (place(instance), instance.replica));
    all
}
