//! Commands that bring a stack along: checked as a whole, then accepted as a whole, or refused and nothing changed.

use super::actor::{Actor, Leaving, Turn};
use super::message::Answer;
use super::record::{EnvironmentRecord, write_secrets};
use crate::clock::wall_ns;
use crate::documents::{AcceptedDocument, ErrorDocument, PlanDocument, PlannedChange, PlannedReason, UpRequest};
use crate::errors;
use crate::inputs;
use crate::ports::{self, PortError, PortTable};
use crate::resolve::{self, ResolveError, Resolver};
use crate::shared::reserved;
use muster_core::{Accepted, Command, graph, plan};
use muster_runtime::RuntimeError;
use muster_sockets::port_owner;
use muster_spec::{
    EnvironmentId, InstanceId, RunId, RuntimeKind, Selector, ServiceKind, ServiceName, ServiceSpec, Signal, Stack,
};
use muster_store::{Batch, EnvironmentRow, PortRow, SuccessRow, Write};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// The fact in which the part of a port table lies that is no service's.
pub(super) const BESIDE: &str = "ports_beside";

/// A stack that can be accepted, with everything that was computed about it.
pub(super) struct Prepared {
    pub(super) accepted: Arc<Accepted>,
    pub(super) targets: BTreeSet<InstanceId>,
    /// What the targets need, and they themselves.
    wanted: BTreeSet<InstanceId>,
    pub(super) ports: PortTable,
    inputs: HashMap<InstanceId, String>,
}

pub(super) fn unresolved(error: &ResolveError) -> ErrorDocument {
    ErrorDocument::new("resolve::reference", 3, error.to_string()).help("`muster validate` checks the file")
}

fn port_error(error: &PortError) -> ErrorDocument {
    let document = |code| ErrorDocument::new(code, 3, error.to_string());
    match error {
        PortError::Taken { number, .. } => {
            let holder = port_owner(*number).map(|o| format!("; {o} listens on it now"));
            document("port::taken").help(format!(
                "give the other environment up with `muster env rm`, or choose another port or `base`{}",
                holder.unwrap_or_default()
            ))
        }
        PortError::Twice { .. } => document("port::taken").help("give one of them another number"),
        PortError::TooMany { .. } | PortError::Full(_) | PortError::Range { .. } => {
            document("port::block").help("write a larger `ports: { block: N }`, or another `base`")
        }
    }
}

impl Actor {
    pub(super) async fn up(&mut self, request: UpRequest, answer: Answer<AcceptedDocument>, turn: &mut Turn) {
        let accepted = self.accept(&request).await;
        match accepted {
            Ok(prepared) => {
                self.leaving = Leaving::No;
                let command = Command::Up {
                    accepted: prepared.accepted,
                    targets: prepared.targets,
                    no_deps: request.no_deps,
                    recreate: request.recreate,
                };
                self.command(command, answer, turn);
                self.reroute();
            }
            Err(error) => {
                // An error means that the asking client is gone.
                let _ = answer.send(Err(error));
            }
        }
    }

    /// What runs on other hosts and stays is led to where those are now that it asks for: the address that it was given
    /// holds, it is the tunnel behind it that leads elsewhere.
    fn reroute(&self) {
        let handles = self.live.values().filter_map(|live| live.handle.clone().zip(live.runtime.clone()));
        for (handle, runtime) in handles.filter(|(handle, _)| handle.runtime == RuntimeKind::Remote) {
            let Ok(Ok(spec)) = self.resolver(|resolver| resolver.spec(&handle.run)) else { continue };
            let host = handle.far.as_ref().map(|far| far.host.clone());
            let Some(remote) = spec.remote.filter(|remote| host.as_ref() == Some(&remote.host)) else { continue };
            tokio::spawn(async move {
                if let Err(error) = runtime.reroute(&handle, &remote.tunnels).await {
                    tracing::warn!(run = %handle.run, %error, "a tunnel leads where it did before");
                }
            });
        }
    }

    /// Checks a stack, gives it ports, and keeps it.
    async fn accept(&mut self, request: &UpRequest) -> Result<Prepared, ErrorDocument> {
        let shared = Arc::clone(&self.shared);
        let mut all = shared.ports.lock().await;
        let mut prepared = self.prepare(request, &all).await?;
        self.shared.runtimes.settle(&self.id, &request.stack.runtime_env);
        self.reachable(&prepared).await?;
        prepared.ports.gateway = self.gateway(&prepared).await?;
        let changed = self.machine.accepted().is_none_or(|old| old.stack != prepared.accepted.stack);
        let generation = self.machine.header().generation + 1;
        let ported = *self.ports != prepared.ports;
        if changed || ported {
            let rows = environment_rows(&self.id, &prepared.accepted, generation, &prepared.ports);
            self.shared.commit(rows).await.map_err(|error| errors::journal(&error))?;
            all.insert(self.id.clone(), prepared.ports.clone());
        }
        drop(all);
        write_secrets(&self.shared.paths, &self.id, &request.secrets)
            .map_err(|error| ErrorDocument::new("journal::failed", 1, format!("cannot keep secrets: {error}")))?;
        self.secrets = Arc::new(request.secrets.clone());
        self.ports = Arc::new(prepared.ports.clone());
        self.inputs.clone_from(&prepared.inputs);
        if changed || ported {
            self.keep(&EnvironmentRecord::new(&prepared.accepted, generation, &prepared.ports));
        }
        Ok(prepared)
    }

    /// The ports of what a command starts are held from now on, as `up` holds those of what it starts.
    pub(super) async fn hold(&mut self, command: &Command) -> Result<(), ErrorDocument> {
        let (targets, no_deps) = match command {
            Command::Start { targets, no_deps } => (targets, *no_deps),
            Command::Restart { targets } => (targets, false),
            Command::Up { .. } | Command::Down { .. } | Command::Stop { .. } | Command::Forget { .. } => return Ok(()),
        };
        let Some(accepted) = self.machine.accepted().cloned() else { return Ok(()) };
        let wanted = if no_deps { targets.clone() } else { graph::closure(&accepted.stack, targets) };
        let names: BTreeSet<&ServiceName> = wanted.iter().map(|instance| &instance.service).collect();
        if !self.ports.told.iter().any(|(service, ..)| names.contains(service)) {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let mut all = shared.ports.lock().await;
        let ports = self.ports.holding(&names, &reserved(&all, &self.id)).map_err(|error| port_error(&error))?;
        let generation = self.machine.header().generation;
        let rows = environment_rows(&self.id, &accepted, generation, &ports);
        self.shared.commit(rows).await.map_err(|error| errors::journal(&error))?;
        all.insert(self.id.clone(), ports.clone());
        drop(all);
        self.keep(&EnvironmentRecord::new(&accepted, generation, &ports));
        self.ports = Arc::new(ports);
        Ok(())
    }

    pub(super) async fn prepare(
        &self,
        request: &UpRequest,
        all: &BTreeMap<EnvironmentId, PortTable>,
    ) -> Result<Prepared, ErrorDocument> {
        let stack = Arc::new(request.stack.clone());
        let selector: Selector = match &request.select {
            Some(text) => text.parse().map_err(|error| errors::selector(&error))?,
            None => Selector::all(),
        };
        let targets = selector.instances(&stack).map_err(|error| errors::selector(&error))?;
        if let Some(cycle) = graph::find_cycle(&stack) {
            let names: Vec<String> = cycle.iter().map(ToString::to_string).collect();
            return Err(ErrorDocument::new("stack::cycle", 3, format!("a cycle of needs: {}", names.join(" -> "))));
        }
        let wanted = if request.no_deps { targets.clone() } else { graph::closure(&stack, &targets) };
        self.available(&stack, &wanted)?;
        let mut needed = resolve::wanted(&self.id, &stack, &request.secrets, &self.shared.paths);
        needed.holds = Some(wanted.iter().map(|instance| instance.service.clone()).collect());
        let ports = ports::allocate(&stack, needed, &self.ports, &reserved(all, &self.id), muster_sockets::can_bind);
        let ports = ports.map_err(|error| port_error(&error))?;
        let resolver = Resolver { ports: &ports, secrets: &request.secrets, ..self.resolver_of(&stack) };
        let (mut hashes, mut problems) = (BTreeMap::new(), Vec::new());
        for instance in stack.instances() {
            let known = stack.services.get(&instance.service).is_some_and(|s| self.has(s.runtime));
            if known {
                let run = RunId { environment: self.id.clone(), instance: instance.clone(), number: 0, step: None };
                let spec = resolver.spec(&run).map_err(|error| unresolved(&error))?;
                if wanted.contains(&instance) {
                    problems.extend(self.problems(&instance, &spec));
                }
                hashes.insert(instance, spec.hash);
            }
        }
        if !problems.is_empty() {
            return Err(ErrorDocument::new("runtime::unsupported", 8, problems.join("; ")));
        }
        let (inputs, satisfied) = self.satisfied(&stack, &hashes).await?;
        Ok(Prepared { accepted: Arc::new(Accepted { stack, hashes, satisfied }), targets, wanted, ports, inputs })
    }

    /// Every wanted service has a runtime that is here.
    fn available(&self, stack: &Stack, wanted: &BTreeSet<InstanceId>) -> Result<(), ErrorDocument> {
        let names: BTreeSet<_> = wanted.iter().map(|instance| &instance.service).collect();
        for service in names.into_iter().filter_map(|name| stack.services.get(name)) {
            if !self.has(service.runtime) {
                let text = format!(
                    "service `{}` should run as `{}`, which is not available here",
                    service.name, service.runtime
                );
                return Err(ErrorDocument::new("runtime::unavailable", 8, text).help(self.otherwise(service)));
            }
        }
        Ok(())
    }

    /// Whether this machine has a driver for a kind.
    fn has(&self, kind: RuntimeKind) -> bool {
        self.shared.runtimes.get(kind, &self.id).is_some()
    }

    /// What of a service its runtime cannot do, a sentence each.
    fn problems(&self, instance: &InstanceId, spec: &muster_spec::InstanceSpec) -> Vec<String> {
        let runtime = self.shared.runtimes.get(spec.runtime, &self.id);
        let problems = runtime.map(|runtime| runtime.validate(spec)).unwrap_or_default();
        problems.iter().map(|p| format!("service `{instance}`: `{}`: {}", p.field, p.message)).collect()
    }

    /// The engine of the containers that are wanted answers. A host is asked by the starts themselves: it may come back.
    async fn reachable(&self, prepared: &Prepared) -> Result<(), ErrorDocument> {
        let stack = &prepared.accepted.stack;
        let wanted = prepared.wanted.iter().filter_map(|instance| stack.services.get(&instance.service));
        let Some(service) = wanted.into_iter().find(|service| service.runtime == RuntimeKind::Container) else {
            return Ok(());
        };
        let Some(runtime) = self.shared.runtimes.get(RuntimeKind::Container, &self.id) else { return Ok(()) };
        if let Err(RuntimeError::Unavailable { reason, .. }) = runtime.answers().await {
            let text = format!("service `{}` should run as `container`: {reason}", service.name);
            return Err(ErrorDocument::new("runtime::unavailable", 8, text).help(self.otherwise(service)));
        }
        Ok(())
    }

    /// How else a service can be run here.
    fn otherwise(&self, service: &ServiceSpec) -> String {
        let kinds = service.variants.kinds().into_iter().filter(|kind| *kind != service.runtime && self.has(*kind));
        let here: Vec<String> = kinds.map(|kind| kind.to_string()).collect();
        match here.first() {
            None => format!("the file offers no other way to run `{}`: see `muster doctor`", service.name),
            Some(first) => {
                format!("the file also offers: {}; try `--runtime {}={first}`", here.join(", "), service.name)
            }
        }
    }

    /// This machine as containers reach it, where a tunnel has to listen for them.
    async fn gateway(&self, prepared: &Prepared) -> Result<Option<IpAddr>, ErrorDocument> {
        let stack = &prepared.accepted.stack;
        let remote = |name: &ServiceName| stack.services.get(name).is_some_and(|s| s.runtime == RuntimeKind::Remote);
        if !prepared.ports.reached.iter().any(|(service, _)| remote(service)) {
            return Ok(None);
        }
        let Some(runtime) = self.shared.runtimes.get(RuntimeKind::Container, &self.id) else { return Ok(None) };
        let found = runtime.gateway(&self.id).await;
        found.map_err(|error| ErrorDocument::new("runtime::unavailable", 8, error.to_string()))
    }

    /// Hashes the inputs of jobs, and tells which of them need not run again.
    async fn satisfied(
        &self,
        stack: &Arc<Stack>,
        hashes: &BTreeMap<InstanceId, String>,
    ) -> Result<(HashMap<InstanceId, String>, BTreeSet<InstanceId>), ErrorDocument> {
        let (mut all, mut satisfied) = (HashMap::new(), BTreeSet::new());
        for job in stack.services.values().filter(|s| s.kind == ServiceKind::Job && !s.inputs.is_empty()) {
            let (root, globs) = (stack.root.clone(), job.inputs.clone());
            let hashed = tokio::task::spawn_blocking(move || inputs::hash(&root, &globs)).await;
            let hashed = hashed.map_err(|_| errors::closing())?;
            let hash = hashed.map_err(|error| ErrorDocument::new("resolve::inputs", 3, error.to_string()))?;
            for instance in stack.instances_of(job) {
                let known = self.shared.store.success(&self.id, &instance.to_string()).ok().flatten();
                let same = |row: &SuccessRow| row.inputs_hash == hash && hashes.get(&instance) == Some(&row.spec_hash);
                if known.as_ref().is_some_and(same) {
                    satisfied.insert(instance.clone());
                }
                all.insert(instance, hash.clone());
            }
        }
        Ok((all, satisfied))
    }

    pub(super) async fn plan(&self, request: &UpRequest) -> Result<PlanDocument, ErrorDocument> {
        let all = self.shared.ports.lock().await;
        let prepared = self.prepare(request, &all).await?;
        let views: Vec<_> = self.machine.views().collect();
        let current = plan::Current { accepted: self.machine.accepted().map(AsRef::as_ref), views: &views };
        let changes = plan::plan(current, &prepared.accepted, &prepared.targets);
        let reason = |change: &plan::FieldChange| PlannedReason {
            field: change.field.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
        };
        let changes = changes.iter().map(|change| PlannedChange {
            service: change.instance.to_string(),
            action: change.action.as_str().to_owned(),
            reasons: change.reasons.iter().map(reason).collect(),
            because: change.because.map(str::to_owned),
        });
        Ok(PlanDocument { schema: "muster.plan.v1".to_owned(), changes: changes.collect() })
    }

    pub(super) fn signal_all(
        &self,
        instances: &BTreeSet<InstanceId>,
        signal: Signal,
        answer: Answer<AcceptedDocument>,
    ) {
        let names: Vec<String> = instances.iter().map(ToString::to_string).collect();
        let sent: Vec<bool> = instances.iter().map(|instance| self.signal_now(instance, signal)).collect();
        let reply = if sent.contains(&true) {
            Ok(AcceptedDocument {
                schema: "muster.accepted.v1".to_owned(),
                environment: self.id.to_string(),
                generation: self.machine.header().generation,
                instances: names,
                changed: Vec::new(),
                after: 0,
                data_removed_on: Vec::new(),
            })
        } else {
            let text = format!("{} does not run", names.join(", "));
            Err(ErrorDocument::new("command::not_running", 1, text).help("see `muster status`"))
        };
        // An error means that the asking client is gone.
        let _ = answer.send(reply);
    }
}

/// Environment and ports: they survive a power cut before anything uses them.
pub(super) fn environment_rows(id: &EnvironmentId, accepted: &Accepted, generation: u64, table: &PortTable) -> Batch {
    let now = i64::try_from(wall_ns()).unwrap_or(i64::MAX);
    let row = EnvironmentRow {
        id: id.clone(),
        root: accepted.stack.root.clone(),
        stack_name: accepted.stack.name.clone(),
        generation,
        stack_json: serde_json::to_string(accepted).unwrap_or_default(),
        port_base: table.base,
        port_block: Some(table.block),
        created_at: now,
        updated_at: now,
    };
    let port = |((service, replica, name), number): (&ports::PortKey, u16)| PortRow {
        number,
        environment: id.clone(),
        service: service.clone(),
        replica: *replica,
        name: name.clone(),
    };
    let ports = table.held().map(port).collect();
    let beside = Write::PutFact {
        environment: Some(id.clone()),
        key: BESIDE.to_owned(),
        value: serde_json::to_string(&table.beside()).unwrap_or_default(),
    };
    vec![Write::PutEnvironment(row), Write::PutPorts { environment: id.clone(), ports }, beside].into()
}
