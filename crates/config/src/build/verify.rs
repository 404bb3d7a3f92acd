//! What can only be seen when the whole stack is there.

use super::read::{Cx, Used};
use super::{Nodes, data, fits, needs, ports, span_of};
use crate::problem::{Code, nearest};
use crate::tree::Node;
use muster_spec::{PortName, Reference, RuntimeKind, ServiceName, ServiceSpec, Stack};
use std::collections::BTreeMap;

pub(super) fn verify(cx: &mut Cx<'_>, tree: &Node, nodes: &Nodes<'_>, stack: &Stack) {
    clashes(cx, nodes, stack);
    for circle in needs::cycles(&stack.services) {
        let mut path: Vec<String> = circle.iter().map(ToString::to_string).collect();
        path.extend(path.first().cloned());
        let span = span_of(nodes, path[0].as_str());
        let item = cx.report.error(Code::Cycle, span, format!("services need each other: {}", path.join(" -> ")));
        item.help("take one of these needs away; what only talks later does not need to wait");
    }
    let port_span = |service: &ServiceName, port: &PortName| {
        let node = nodes.get(service).map(|(_, node)| *node);
        let entry =
            node.and_then(|node| node.get("ports")).and_then(Node::as_map).and_then(|map| map.get(port.as_str()));
        entry.map_or_else(|| span_of(nodes, service.as_str()), |entry| entry.key_span)
    };
    let plan_span = tree.get("ports").map_or(tree.span, |node| node.span);
    ports::fit(cx, stack.services.values(), &stack.ports, port_span, plan_span);
    sizes(cx, nodes, stack);
    fits::containers(cx, nodes, stack);
    for used in std::mem::take(&mut cx.used) {
        reference(cx, &used, stack);
    }
    data::check_profiles(cx, tree.get("profiles"), stack);
}

/// The way out of two things with one name.
const RENAME: &str = "give one of them another name: a selector must mean one thing";

/// One word may name one thing only.
fn clashes(cx: &mut Cx<'_>, nodes: &Nodes<'_>, stack: &Stack) {
    let mut owners: BTreeMap<&str, String> = BTreeMap::new();
    for name in stack.services.keys() {
        owners.insert(name.as_str(), format!("the service `{name}`"));
    }
    for service in stack.services.values() {
        for alias in &service.aliases {
            let span = span_of(nodes, service.name.as_str());
            if let Some(owner) = owners.get(alias.as_str()) {
                let message = format!("`{alias}`, an alias of `{}`, already names {owner}", service.name);
                cx.report.error(Code::DuplicateName, span, message).help(RENAME);
            } else {
                owners.insert(alias, format!("the service `{}`", service.name));
            }
        }
    }
    let mut groups: BTreeMap<&str, String> = BTreeMap::new();
    for service in stack.services.values() {
        let Some(group) = service.group.as_deref() else { continue };
        let first = !groups.contains_key(group);
        if let Some(owner) = owners.get(group).filter(|_| first) {
            let node = nodes.get(&service.name).and_then(|(_, node)| node.get("group"));
            let span = node.map_or_else(|| span_of(nodes, service.name.as_str()), |node| node.span);
            let message = format!("`{group}` is a group and also names {owner}");
            cx.report.error(Code::DuplicateName, span, message).help(RENAME);
        }
        groups.insert(group, format!("the group `{group}`"));
    }
    owners.extend(groups);
    let profiles = stack.profiles.keys().filter_map(|name| owners.get(name.as_str()).map(|owner| (name, owner)));
    for (name, owner) in profiles {
        cx.report.general(Code::DuplicateName, format!("`{name}` is a profile and also names {owner}")).help(RENAME);
    }
}

fn reference(cx: &mut Cx<'_>, used: &Used, stack: &Stack) {
    let own = used.by.as_ref().and_then(|name| stack.services.get(name));
    let refused = match &used.reference {
        Reference::OwnPort(port) | Reference::OwnAddress(port) | Reference::Bind(Some(port)) => match own {
            Some(service) if has_port(cx, service, used.variant, port) => None,
            Some(service) => Some((format!("`{}` has no port `{port}`", service.name), near_port(service, port))),
            None => Some((format!("`${{{}}}` means a service's own port", used.reference), None)),
        },
        Reference::Port { service, port } | Reference::Address { service, port } => match stack.services.get(service) {
            Some(found) if found.ports.contains_key(port) => None,
            Some(found) => Some((format!("`{service}` has no port `{port}`"), near_port(found, port))),
            None => Some((format!("there is no service `{service}`"), near_service(stack, service))),
        },
        Reference::ExternalUrl(service) => match stack.services.get(service) {
            Some(found) if found.variants.external.is_some() => None,
            Some(_) => Some((format!("`{service}` is not external: it has no URL"), None)),
            None => Some((format!("there is no service `{service}`"), near_service(stack, service))),
        },
        Reference::DatabaseUrl(name) if stack.databases.contains_key(name) => None,
        Reference::DatabaseUrl(name) => {
            let near = nearest(name, stack.databases.keys().map(String::as_str)).map(str::to_owned);
            Some((format!("there is no database `{name}`"), near))
        }
        Reference::Bind(None)
        | Reference::DataDir
        | Reference::RunDir
        | Reference::LogDir
        | Reference::Replica
        | Reference::ReplicaFromZero => match own {
            Some(_) => None,
            None => Some((format!("`${{{}}}` means something only in a service", used.reference), None)),
        },
        Reference::EnvironmentName | Reference::Secret(_) => None,
    };
    if let Some((message, near)) = refused {
        let item = cx.report.error(Code::BadReference, used.span, message);
        if let Some(near) = near {
            item.help(format!("did you mean `{near}`?"));
        }
    }
}

/// Whether a text of a service, or of one of its variants, may mean this port of its own.
fn has_port(cx: &Cx<'_>, service: &ServiceSpec, variant: Option<RuntimeKind>, port: &PortName) -> bool {
    let other = variant.and_then(|kind| cx.ports.get(&(service.name.clone(), kind)));
    other.map_or_else(|| service.ports.contains_key(port), |ports| ports.contains(port))
}

/// What execve(2) takes in all: a quarter of the usual 8 MiB of stack.
const MAX_ENVIRONMENT: usize = 2 << 20;

/// The whole environment of each service must fit into a process.
fn sizes(cx: &mut Cx<'_>, nodes: &Nodes<'_>, stack: &Stack) {
    let pair = |name: &str, value: &str| name.len() + value.len() + 2;
    let inherited: usize = stack.inherited_env.iter().map(|(name, value)| pair(name, value)).sum();
    let base: usize = stack.base_env.iter().map(|(name, value)| pair(name, value)).sum();
    for service in stack.services.values() {
        let own: usize = service.env.iter().map(|(name, value)| pair(name, &value.to_string())).sum();
        let total = own + if service.inherit { inherited } else { base };
        if total > MAX_ENVIRONMENT {
            let name = &service.name;
            let message =
                format!("the environment of `{name}` has {total} bytes, at most {MAX_ENVIRONMENT} are possible");
            let item = cx.report.error(Code::EnvTooBig, span_of(nodes, name.as_str()), message);
            item.help("put large values into files and pass the files' names");
        }
    }
}

fn near_port(service: &ServiceSpec, port: &PortName) -> Option<String> {
    let known: Vec<&str> = service.ports.keys().map(PortName::as_str).collect();
    match known[..] {
        [only] => Some(only.to_owned()),
        _ => nearest(port.as_str(), known).map(str::to_owned),
    }
}

fn near_service(stack: &Stack, service: &ServiceName) -> Option<String> {
    nearest(service.as_str(), stack.services.keys().map(ServiceName::as_str)).map(str::to_owned)
}
