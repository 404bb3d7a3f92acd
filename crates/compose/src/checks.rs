//! What attributes of one resource or one service say together, judged once when all files are merged.

use std::net::IpAddr;

use crate::problem::{Code, Report};
use crate::tree::{Map, Node, Value};

/// Reports what cannot be, as far as it shows in the long forms.
pub(crate) fn validate(root: &Node, report: &mut Report) {
    for (name, volume) in entries(root, "volumes") {
        external(name, volume, report);
    }
    for (name, config) in entries(root, "configs") {
        sources(&format!("configs.{name}"), config, &["file", "environment", "content"], report);
    }
    for (name, secret) in entries(root, "secrets") {
        sources(&format!("secrets.{name}"), secret, &["file", "environment"], report);
    }
    for (name, service_node) in entries(root, "services") {
        service(name, service_node, report);
    }
}

fn entries<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
    node.get(key).and_then(Node::as_map).into_iter().flat_map(Map::iter).map(|(key, value)| (key.as_str(), value))
}

fn items<'a>(node: &'a Node, path: &[&str]) -> &'a [Node] {
    node.at(path).and_then(Node::as_seq).unwrap_or_default()
}

/// What is outside of the project has a name and nothing else.
fn external(name: &str, volume: &Node, report: &mut Report) {
    let Some(external) = volume.get("external") else { return };
    match &external.value {
        Value::Bool(true) => {}
        Value::Bool(false) => return,
        _ => {
            return report.error(
                Code::WrongType,
                external.span,
                format!("`volumes.{name}.external` must be a boolean"),
            );
        }
    }
    for (key, _) in volume.as_map().into_iter().flatten() {
        if !matches!(key.as_str(), "name" | "external") && !key.as_str().starts_with("x-") {
            let message = format!("`volumes.{name}` is external, so that `{key}` has no meaning");
            report.error(Code::Conflict, key.span, message);
        }
    }
}

/// A config or secret comes from one place.
fn sources(path: &str, node: &Node, keys: &[&str], report: &mut Report) {
    let given: Vec<&str> = keys.iter().copied().filter(|key| node.get(key).is_some()).collect();
    let any = keys.join("`, `");
    if given.len() > 1 {
        let message = format!("`{path}` has `{}`: only one of `{any}`", given.join("` and `"));
        report.error(Code::Conflict, node.span, message);
    }
    if given.is_empty() && node.get("driver").is_none() && node.get("external").is_none() {
        report.error(Code::MissingKey, node.span, format!("`{path}` needs one of `{any}`, or `external: true`"));
    }
}

fn service(name: &str, service: &Node, report: &mut Report) {
    if let Some(pid) = service.get("pid").filter(|pid| pid.is_null()) {
        // the schema lets it through, and Compose falls over it afterwards
        report.error(Code::BadValue, pid.span, format!("`services.{name}.pid` must be a text, it is nothing"));
    }
    for port in items(service, &["ports"]) {
        if let Some(address) = port.get("host_ip")
            && address.as_str().is_none_or(|address| address.parse::<IpAddr>().is_err())
        {
            report.error(
                Code::BadValue,
                address.span,
                format!("`services.{name}.ports` has a `host_ip` that is no address"),
            );
        }
    }
    for watch in items(service, &["develop", "watch"]) {
        if let Some(path) = watch.get("path").filter(|path| path.as_str() == Some("")) {
            report.error(Code::BadValue, path.span, format!("`services.{name}.develop.watch` has an empty `path`"));
        }
    }
    let reserved = items(service, &["deploy", "resources", "reservations", "devices"]);
    for request in reserved.iter().chain(items(service, &["gpus"])) {
        if request.get("count").is_some() && request.get("device_ids").is_some() {
            let message =
                format!("`services.{name}` asks for devices by `count` and by `device_ids`: only one of them");
            report.error(Code::Conflict, request.span, message);
        }
    }
}
