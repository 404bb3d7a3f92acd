//! Ports that are published on this machine.

use super::{Body, Import};
use muster_compose::model::{Port, Service};
use serde_json::{Value, json};
use std::ops::Range;

pub(super) fn ports(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    if !service.expose.is_empty() {
        import.lose(name, "expose", "every port is open to the other services", "nothing has to be said");
    }
    if service.ports.is_empty() {
        return;
    }
    if matches!(service.network_mode.as_str(), "host" | "none") {
        let reason = format!("`network_mode: {}` publishes nothing", service.network_mode);
        return import.lose(name, "ports", &reason, "they are left out");
    }
    let mut ports = Body::default();
    for port in &service.ports {
        if let Some((key, value)) = self::port(import, name, service, port, &ports) {
            ports.put(&key, value);
        }
    }
    body.body("ports", ports);
}

fn port(import: &mut Import<'_>, name: &str, service: &Service, port: &Port, taken: &Body) -> Option<(String, Value)> {
    let attribute = format!("ports.{}", port.target);
    let (Ok(inside), "tcp" | "udp") = (u16::try_from(port.target), port.protocol.as_str()) else {
        import.lose(name, &attribute, &format!("`{}` is not spoken here", port.protocol), "the port is left out");
        return None;
    };
    let udp = port.protocol == "udp";
    if !port.app_protocol.is_empty() {
        import.lose(name, &format!("{attribute}.app_protocol"), "nothing asks for it", "it is left out");
    }
    let mut out = Body::default();
    let place = place(import, name, service, port)?;
    out.put("at", place.at);
    if place.steps {
        out.put("stride", json!(1));
    }
    out.put("container", json!(inside));
    out.flag("udp", udp);
    // compose publishes to the whole world when it is not told otherwise
    let address = if port.host_ip.is_empty() { "0.0.0.0" } else { port.host_ip.as_str() };
    out.put("address", json!(address));
    let first = if muster_spec::PortName::new(&port.name).is_ok() {
        port.name.clone()
    } else {
        format!("{}{inside}", if udp { "udp" } else { "p" })
    };
    let names = std::iter::once(first.clone()).chain((2..).map(|number| format!("{first}-{number}")));
    let key = { names }.find(|key| !taken.0.contains_key(key))?;
    Some((key, Value::Object(out.0)))
}

/// A port of this machine.
struct Place {
    at: Value,
    /// Each further copy has the next number.
    steps: bool,
}

const AUTO: &str = "auto";

impl Place {
    fn at(at: impl Into<Value>) -> Self {
        Self { at: at.into(), steps: false }
    }
}

/// Of a range that is left to the engine, the first numbers that nobody else asks for: one for each copy.
fn range(import: &Import<'_>, port: &Port, copies: i64) -> Option<Range<u16>> {
    let (first, last) = port.published.split_once('-')?;
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let copies = u16::try_from(copies.max(1)).ok()?;
    let asked: Vec<&str> =
        import.project.services.values().flat_map(|s| &s.ports).map(|p| p.published.as_str()).collect();
    let udp = port.protocol == "udp";
    let free = |n: u16| !import.published.contains(&(udp, n)) && !asked.contains(&n.to_string().as_str());
    let ranges = (first..=last).filter_map(|start| Some(start..start.checked_add(copies)?));
    ranges.take_while(|range| range.end - 1 <= last).find(|range| range.clone().all(free))
}

/// The port of this machine; none when it is published there already.
fn place(import: &mut Import<'_>, name: &str, service: &Service, port: &Port) -> Option<Place> {
    let (attribute, udp) = (format!("ports.{}", port.target), port.protocol == "udp");
    if port.published.is_empty() || port.published == "0" {
        return Some(Place::at(AUTO));
    }
    let copies = service.replicas();
    if let Some(numbers) = range(import, port, copies) {
        let reason = format!("the engine would take what is free of `{}`", port.published);
        import.lose(name, &attribute, &reason, "each copy has the next one");
        import.published.extend(numbers.clone().map(|number| (udp, number)));
        return Some(Place { at: json!(numbers.start), steps: numbers.len() > 1 });
    }
    let Ok(number) = port.published.parse::<u16>() else {
        let reason = format!("`{}` leaves the choice to the engine", port.published);
        import.lose(name, &attribute, &reason, "the environment chooses a port");
        return Some(Place::at(AUTO));
    };
    if copies > 1 {
        import.lose(name, &attribute, "several copies cannot share a port", "the environment chooses one for each");
        return Some(Place::at(AUTO));
    }
    if !import.published.insert((udp, number)) {
        let reason = format!("port {number} of this machine is published already");
        import.lose(name, &attribute, &reason, "it is published once");
        return None;
    }
    Some(Place::at(number))
}
