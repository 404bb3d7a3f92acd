//! What of a container does not fit to the rest of its service.

use super::read::Cx;
use super::{Nodes, span_of};
use crate::problem::Code;
use crate::tree::Node;
use muster_spec::{ContainerSpec, NetworkMode, RuntimeKind, ServiceSpec, Stack};
use std::collections::BTreeMap;

pub(super) fn containers(cx: &mut Cx<'_>, nodes: &Nodes<'_>, stack: &Stack) {
    let mut names: BTreeMap<&str, &ServiceSpec> = BTreeMap::new();
    for service in stack.services.values() {
        let Some(container) = &service.variants.container else { continue };
        let node = nodes.get(&service.name).and_then(|(_, node)| node.get("container"));
        // What it says for itself is in the service only when it is the one that is used.
        let shares = |key: &str| {
            service.runtime == RuntimeKind::Container || node.is_none_or(|container| container.get(key).is_none())
        };
        if shares("ports") {
            network(cx, nodes, service, container);
        }
        if shares("limits") {
            swap(cx, node, service, container);
        }
        let Some(name) = container.options.container_name.as_deref() else { continue };
        let span = node
            .and_then(|node| node.get("container_name"))
            .map_or_else(|| span_of(nodes, service.name.as_str()), |node| node.span);
        if service.replicas > 1 && shares("replicas") {
            let message = format!("{} replicas of `{}` cannot share the name `{name}`", service.replicas, service.name);
            cx.report.error(Code::Conflict, span, message).help("leave `container_name` out: every copy gets its own");
        }
        if let Some(other) = names.insert(name, service) {
            let message = format!("`{}` and `{}` both want the container name `{name}`", other.name, service.name);
            cx.report.error(Code::DuplicateName, span, message);
        }
    }
}

/// What the machine's network or none at all do to ports.
fn network(cx: &mut Cx<'_>, nodes: &Nodes<'_>, service: &ServiceSpec, container: &ContainerSpec) {
    let node = nodes.get(&service.name).and_then(|(_, node)| node.get("ports")).and_then(Node::as_map);
    for (name, port) in &service.ports {
        let span = node
            .and_then(|map| map.get(name.as_str()))
            .map_or_else(|| span_of(nodes, service.name.as_str()), |entry| entry.key_span);
        match (&container.options.network, port.container) {
            (NetworkMode::Host, Some(inside)) => {
                let message =
                    format!("`{name}` is port {inside} in the container, which shares this machine's network");
                let item = cx.report.error(Code::Conflict, span, message);
                item.help("leave `container` out and listen on `${port.NAME}`, or leave `network_mode: host` out");
            }
            (NetworkMode::None, _) => {
                let message = format!("`{name}` cannot be reached: the container has no network");
                cx.report.error(Code::Conflict, span, message).help("leave `network_mode: none` out, or the port");
            }
            (NetworkMode::Host, None) | (NetworkMode::Environment, _) => {}
        }
    }
}

fn swap(cx: &mut Cx<'_>, node: Option<&Node>, service: &ServiceSpec, container: &ContainerSpec) {
    let Some(swap) = container.options.memory_swap.and_then(|bytes| u64::try_from(bytes).ok()) else { return };
    let span = node.and_then(|node| node.get("memswap_limit")).map(|node| node.span).unwrap_or_default();
    match &service.limits.memory {
        Some(memory) if memory.get() > swap => {
            let message = format!("`memswap_limit` is memory and swap together: less than `limits.memory`, {memory}");
            cx.report.error(Code::BadContainer, span, message);
        }
        Some(_) => {}
        None => {
            let message = "`memswap_limit` needs `limits: {memory: ...}`: it is memory and swap together";
            cx.report.error(Code::BadContainer, span, message);
        }
    }
}
