//! Who asks for whom: what tunnels and addresses a stack needs, found by resolving it once without numbers.

use super::{Asker, Resolver};
use crate::address;
use crate::paths::Paths;
use crate::ports::{End, PortTable, Wanted};
use muster_spec::{
    CommandSpec, EnvironmentId, Location, PortName, RunId, SecretText, ServiceName, ServiceSpec, Stack, Step,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Somebody at a place asks for a port of a service.
pub(crate) type Asked = (Location, ServiceName, PortName);

/// What tunnels a stack needs and which of its ports containers ask for.
pub(crate) fn wanted(
    id: &EnvironmentId,
    stack: &Stack,
    secrets: &BTreeMap<String, SecretText>,
    paths: &Paths,
) -> Wanted {
    if stack.services.values().all(|service| address::location(service) == Location::Host) {
        return Wanted::default();
    }
    let asked = Mutex::default();
    let table = PortTable::default();
    let resolver =
        Resolver { id, stack, ports: &table, secrets, folders: RefCell::default(), paths, asked: Some(&asked) };
    for service in stack.services.values() {
        look(&resolver, service);
    }
    of(stack, &asked.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Errors are left for the pass that has the numbers.
fn look(resolver: &Resolver<'_>, service: &ServiceSpec) {
    let instance = muster_spec::InstanceId::first(service.name.clone());
    let run = RunId { environment: resolver.id.clone(), instance, number: 0, step: None };
    let _ = resolver.spec(&run);
    let own = Asker::of(service);
    let steps = resolver.steps(service).iter().map(|step| &step.command);
    for command in steps.chain(service.stop.command.as_ref()) {
        let _ = resolver.argv(command, &run, &own);
    }
}

fn of(stack: &Stack, asked: &BTreeSet<Asked>) -> Wanted {
    let mut wanted = Wanted::default();
    for service in stack.services.values() {
        if let Location::Remote(_) = address::location(service) {
            for (port, _) in service.ports.iter().filter(|(_, port)| !port.udp) {
                for replica in 1..=service.replicas {
                    wanted.ends.insert(End::Near { service: service.name.clone(), replica, port: port.clone() });
                }
            }
        }
    }
    for (consumer, service, port) in asked {
        let Some(provider) = stack.services.get(service).map(address::location) else { continue };
        match (consumer, provider) {
            (Location::Container, Location::Host | Location::Remote(_)) => {
                wanted.reached.insert((service.clone(), port.clone()));
            }
            (Location::Remote(host), provider) if provider != Location::Remote(host.clone()) => {
                let (host, service, port) = (host.clone(), service.clone(), port.clone());
                wanted.ends.insert(End::Far { host, service, port });
            }
            (Location::Host | Location::Container | Location::Remote(_), _) => {}
        }
    }
    wanted
}

impl Resolver<'_> {
    /// Steps before the start of the variant that a service runs as.
    pub(crate) fn steps<'s>(&self, service: &'s ServiceSpec) -> &'s [Step] {
        use muster_spec::RuntimeKind;
        let variants = &service.variants;
        let steps = match service.runtime {
            RuntimeKind::Process => variants.process.as_ref().map(|process| &process.before),
            RuntimeKind::Container => variants.container.as_ref().map(|container| &container.before),
            RuntimeKind::Remote => variants.remote.as_ref().map(|remote| &remote.before),
            RuntimeKind::Mock | RuntimeKind::External => None,
        };
        steps.map(Vec::as_slice).unwrap_or_default()
    }

    /// The command of the variant that a service runs as, where it is a command of ours.
    pub(super) fn own_commands<'s>(&self, service: &'s ServiceSpec) -> Vec<&'s CommandSpec> {
        use muster_spec::RuntimeKind;
        let variants = &service.variants;
        match service.runtime {
            RuntimeKind::Process => variants.process.iter().map(|process| &process.command).collect(),
            RuntimeKind::Container => {
                let container = variants.container.as_ref();
                container.into_iter().flat_map(|c| c.entrypoint.iter().chain(&c.command)).collect()
            }
            RuntimeKind::Remote => variants.remote.iter().map(|remote| &remote.command).collect(),
            RuntimeKind::Mock | RuntimeKind::External => Vec::new(),
        }
    }
}
