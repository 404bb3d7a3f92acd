//! Ports of a service, and whether the ports of all fit together.

use super::policy::Ports;
use super::read::{Cx, entries};
use crate::problem::Code;
use crate::tree::{Node, Span};
use muster_spec::{PortAt, PortName, PortPlan, PortSpec, RuntimeKind, ServiceName, ServiceSpec};
use std::collections::BTreeMap;

/// `ports:` as a map of places, or as a list of names that are `auto`.
pub(super) fn ports(cx: &mut Cx<'_>, node: &Node) -> Ports {
    let mut ports = Ports::new();
    let Some(value) = node.get("ports") else { return ports };
    if let Some(list) = value.as_list() {
        for item in list {
            let Some(text) = cx.text(item) else { continue };
            ports.extend(cx.name::<PortName, _>(&text, item.span).map(|name| (name, AUTO)));
        }
    }
    for (key, span, value) in entries(Some(value)) {
        let Some(name) = cx.name::<PortName, _>(key, span) else { continue };
        // one with a wrong place was told; whoever refers to it is right
        let port = port(cx, value).unwrap_or(AUTO);
        ports.insert(name, port);
    }
    ports
}

/// A port of which nothing more is said.
const AUTO: PortSpec = PortSpec { at: PortAt::Auto, container: None, stride: None, udp: false, address: None };

fn port(cx: &mut Cx<'_>, node: &Node) -> Option<PortSpec> {
    let mut spec = AUTO;
    if node.is_null() {
        return Some(spec);
    }
    let place = if node.as_map().is_some() { node.get("at") } else { Some(node) };
    if let Some(place) = place {
        let text = cx.text(place)?;
        let (text, udp) = match text.strip_suffix("/udp") {
            Some(text) => (text.to_owned(), true),
            None => (text.strip_suffix("/tcp").unwrap_or(&text).to_owned(), false),
        };
        spec.udp = udp;
        spec.at = at(cx, &text, place.span)?;
    }
    spec.container = number(cx, node, "container");
    spec.stride = number(cx, node, "stride");
    spec.udp |= cx.flag(node, "udp").unwrap_or(false);
    if let Some(value) = node.get("address") {
        let text = cx.text(value)?;
        spec.address = text.trim_matches(['[', ']']).parse().ok();
        if spec.address.is_none() {
            let item = cx.report.error(Code::BadAddress, value.span, format!("`{text}` is no IP address"));
            item.help("write an address of this machine: `127.0.0.1`, `0.0.0.0` for all, `::1`");
        }
    }
    Some(spec)
}

fn number(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<u16> {
    let found: u16 = cx.number(node, key, "a number from 1 to 65535")?;
    if found == 0 {
        let span = node.get(key).map_or(node.span, |value| value.span);
        cx.report.error(Code::BadPort, span, format!("`{key}` is at least 1"));
        return None;
    }
    Some(found)
}

fn at(cx: &mut Cx<'_>, text: &str, span: Span) -> Option<PortAt> {
    let found = match text.strip_prefix('+') {
        Some(offset) => offset.parse().ok().map(PortAt::Offset),
        None if text == "auto" => Some(PortAt::Auto),
        None => text.parse().ok().filter(|port| *port > 0).map(PortAt::Fixed),
    };
    if found.is_none() {
        let item = cx.report.error(Code::BadPort, span, format!("`{text}` is no place for a port"));
        item.help("write `5432` (the same everywhere), `+5` (from the environment's base) or `auto`");
    }
    found
}

/// `ports: {base, block}` of the stack or environment.
pub(super) fn plan(cx: &mut Cx<'_>, node: Option<&Node>) -> PortPlan {
    let Some(node) = node else { return PortPlan::default() };
    PortPlan { base: number(cx, node, "base"), block: number(cx, node, "block") }
}

/// A port that a replica of a service takes, and where it was asked for.
struct Taken<'a> {
    service: &'a ServiceName,
    port: &'a PortName,
}

/// Clashes, replicas without a stride, more ports than the block has.
pub(super) fn fit<'a>(
    cx: &mut Cx<'_>,
    services: impl Iterator<Item = &'a ServiceSpec>,
    plan: &PortPlan,
    span_of: impl Fn(&ServiceName, &PortName) -> Span,
    plan_span: Span,
) {
    let mut fixed: BTreeMap<(bool, bool, u32), Taken<'a>> = BTreeMap::new();
    let mut wanted = 0_u32;
    for service in services.filter(|service| service.runtime != RuntimeKind::External) {
        for (name, port) in &service.ports {
            let span = span_of(&service.name, name);
            let replicas = u32::from(service.replicas);
            let (offset, first) = match port.at {
                PortAt::Auto => {
                    wanted += replicas;
                    continue;
                }
                PortAt::Offset(at) => {
                    wanted += replicas;
                    (true, u32::from(at))
                }
                PortAt::Fixed(at) => (false, u32::from(at)),
            };
            if replicas > 1 && port.stride.is_none() {
                let message = format!("{replicas} replicas of `{}` cannot share the port `{name}`", service.name);
                let item = cx.report.error(Code::ReplicaPort, span, message);
                item.help("give it a `stride`, the distance between two replicas, or `at: auto`");
                continue;
            }
            let stride = u32::from(port.stride.unwrap_or(1));
            for number in (0..replicas).map(|k| first + k * stride) {
                within(cx, (offset, number), plan, span, name);
                match fixed.get(&(offset, port.udp, number)) {
                    Some(taken) => {
                        let shown = if offset { format!("+{number}") } else { number.to_string() };
                        let message = format!(
                            "`{}` and `{}` both want port {shown} (`{}`, `{name}`)",
                            taken.service, service.name, taken.port
                        );
                        cx.report.error(Code::PortClash, span, message).help("write another number, or `auto`");
                    }
                    None => {
                        fixed.insert((offset, port.udp, number), Taken { service: &service.name, port: name });
                    }
                }
            }
        }
    }
    if let Some(block) = plan.block.filter(|block| wanted > u32::from(*block)) {
        let message = format!("the stack has {wanted} ports of its own, the block of an environment {block}");
        cx.report.error(Code::PortBlock, plan_span, message).help(format!("write `block: {wanted}` or more"));
    }
}

fn within(cx: &mut Cx<'_>, place: (bool, u32), plan: &PortPlan, span: Span, name: &PortName) {
    let (offset, number) = place;
    if let Some(block) = plan.block.filter(|block| offset && number >= u32::from(*block)) {
        let message = format!("`{name}` at +{number} lies outside of the block of {block} ports");
        cx.report.error(Code::PortBlock, span, message).help("write a larger `ports: {block: ...}`");
    }
    let last = if offset { number + u32::from(plan.base.unwrap_or(0)) } else { number };
    if last > u32::from(u16::MAX) {
        cx.report.error(Code::BadPort, span, format!("`{name}` would be port {last}; the last one is 65535"));
    }
}
