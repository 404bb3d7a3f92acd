//! The attributes of a service that have a short form (compose-spec 05).

use super::{attribute, default, each, items, map_of, mistyped, ports, volume};
use crate::path::Path;
use crate::problem::{Code, Report};
use crate::show::sprint;
use crate::tree::{Key, Map, Node, Value};

/// Makes the attributes of a service long.
pub(super) fn long(node: &mut Node, path: Path<'_>, report: &mut Report) {
    attribute(node, "build", path, report, build);
    attribute(node, "depends_on", path, report, depends_on);
    attribute(node, "env_file", path, report, env_file);
    attribute(node, "label_file", path, report, list);
    attribute(node, "dns", path, report, list);
    attribute(node, "gpus", path, report, gpus);
    attribute(node, "networks", path, report, names);
    attribute(node, "models", path, report, names);
    attribute(node, "ports", path, report, ports::long);
    items(node, "volumes", path, report, volume::long);
    items(node, "devices", path, report, device);
    items(node, "secrets", path, report, grant);
    items(node, "configs", path, report, grant);
    each(node, "ulimits", path, report, ulimit);
    attribute(node, "develop", path, report, develop);
}

/// Fills in what a service does not say.
pub(super) fn defaults(node: &mut Node, path: Path<'_>, report: &mut Report) {
    attribute(node, "build", path, report, |build, _, _| default(build, "context", Value::String(".".to_owned())));
    items(node, "ports", path, report, |port, _, _| {
        default(port, "protocol", Value::String("tcp".to_owned()));
        default(port, "mode", Value::String("ingress".to_owned()));
    });
    items(node, "secrets", path, report, |secret, _, _| {
        let source = secret.get("source").map_or_else(|| "<nil>".to_owned(), sprint);
        default(secret, "target", Value::String(format!("/run/secrets/{source}")));
    });
    items(node, "gpus", path, report, all_devices);
    let reservations = ["deploy", "resources", "reservations"];
    let reservations = reservations.iter().try_fold(node, |node, key| node.get_mut(key));
    if let Some(reservations) = reservations {
        let path = path.next("deploy");
        let path = path.next("resources");
        items(reservations, "devices", path.next("reservations"), report, all_devices);
    }
}

fn all_devices(request: &mut Node, _: Path<'_>, _: &mut Report) {
    if request.get("device_ids").is_none() {
        default(request, "count", Value::String("all".to_owned()));
    }
}

fn build(node: &mut Node, path: Path<'_>, report: &mut Report) {
    if node.as_str().is_some() {
        let context = std::mem::replace(node, Node::map(node.span));
        node.insert("context", context);
    } else if node.as_map().is_none() {
        mistyped(node, path, "a text or a map", report);
    }
    items(node, "secrets", path, report, grant);
    attribute(node, "provenance", path, report, text);
    attribute(node, "sbom", path, report, text);
    attribute(node, "additional_contexts", path, report, pairs);
    attribute(node, "ssh", path, report, ssh);
    each(node, "ulimits", path, report, ulimit);
}

fn text(node: &mut Node, _: Path<'_>, _: &mut Report) {
    node.value = Value::String(sprint(node));
}

fn list(node: &mut Node, _: Path<'_>, _: &mut Report) {
    if node.as_str().is_some() {
        let item = node.clone();
        *node = Node::new(item.span, Value::Seq(vec![item]));
    }
}

/// A list of names becomes a map of nothing.
fn names(node: &mut Node, path: Path<'_>, report: &mut Report) {
    let Some(list) = node.as_seq() else { return };
    texts_only(list, path, report);
    let entry = |item: &Node| Some((Key::new(item.as_str()?, item.span), Node::new(item.span, Value::Null)));
    node.value = Value::Map(list.iter().filter_map(entry).collect::<Map>());
}

/// Says which items of a list are no texts: the base of an `extends` comes here without the schema's judgement.
fn texts_only(list: &[Node], path: Path<'_>, report: &mut Report) {
    for item in list.iter().filter(|item| item.as_str().is_none()) {
        mistyped(item, path, "a list of texts", report);
    }
}

fn pairs(node: &mut Node, path: Path<'_>, report: &mut Report) {
    let Some(list) = node.as_seq() else { return };
    let mut map = Map::new();
    for item in list {
        match item.as_str().and_then(|text| text.split_once('=')) {
            Some((name, value)) => {
                map.insert(Key::new(name, item.span), Node::string(item.span, value));
            }
            None => {
                let message = format!("`{path}` has `{}`, which is no `name=value`", sprint(item));
                report.error(Code::BadValue, item.span, message);
            }
        }
    }
    node.value = Value::Map(map);
}

fn depends_on(node: &mut Node, path: Path<'_>, report: &mut Report) {
    let started = || Value::String("service_started".to_owned());
    if let Some(list) = node.as_seq() {
        texts_only(list, path, report);
        let entry = |item: &Node| {
            let condition = Node::new(item.span, started());
            let required = Node::new(item.span, Value::Bool(true));
            let about = map_of(item.span, [("condition", condition), ("required", required)]);
            Some((Key::new(item.as_str()?, item.span), about))
        };
        node.value = Value::Map(list.iter().filter_map(entry).collect::<Map>());
        return;
    }
    if node.as_map().is_none() {
        mistyped(node, path, "a list or a map", report);
    }
    for (name, about) in node.as_map_mut().into_iter().flatten() {
        if about.as_map().is_none() {
            mistyped(about, path.next(name.as_str()), "a map", report);
        }
        default(about, "condition", started());
        default(about, "required", Value::Bool(true));
    }
}

fn env_file(node: &mut Node, path: Path<'_>, report: &mut Report) {
    list(node, path, report);
    for file in node.as_seq_mut().into_iter().flatten() {
        if file.as_str().is_some() {
            let name = file.clone();
            *file = map_of(name.span, [("path", name)]);
        }
        default(file, "required", Value::Bool(true));
    }
}

fn gpus(node: &mut Node, _: Path<'_>, _: &mut Report) {
    if node.as_str().is_some() {
        let count = Node::string(node.span, "all");
        node.value = Value::Seq(vec![map_of(node.span, [("count", count)])]);
    }
}

/// `SOURCE[:TARGET[:PERMISSIONS]]`
fn device(node: &mut Node, path: Path<'_>, report: &mut Report) {
    let Some(text) = node.as_str() else { return };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, "", "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            let message = format!("`{path}` has `{text}`, which has too many colons");
            return report.error(Code::BadValue, node.span, message);
        }
    };
    let target = if target.is_empty() { source } else { target };
    let text = |text: &str| Node::string(node.span, text);
    let entries = [("source", text(source)), ("target", text(target)), ("permissions", text(permissions))];
    *node = map_of(node.span, entries);
}

fn grant(node: &mut Node, _: Path<'_>, _: &mut Report) {
    if node.as_str().is_some() {
        let source = node.clone();
        *node = map_of(source.span, [("source", source)]);
    }
}

fn ulimit(node: &mut Node, path: Path<'_>, report: &mut Report) {
    if !matches!(node.value, Value::Int(_) | Value::Map(_)) {
        mistyped(node, path, "a whole number without quotes or a map of `soft` and `hard`", report);
    }
}

/// `default`, or `ID=PATH`.
fn ssh(node: &mut Node, path: Path<'_>, report: &mut Report) {
    let Some(list) = node.as_seq() else { return };
    let mut keys = Map::new();
    for item in list {
        let text = sprint(item);
        let (id, value) = match text.split_once('=') {
            Some((id, path)) => (id, Value::String(path.to_owned())),
            None => (text.as_str(), Value::Null),
        };
        if matches!(value, Value::Null) && id != "default" {
            let message = format!("`{path}` has `{id}`, which is neither `default` nor `id=path`");
            report.error(Code::BadValue, item.span, message);
        }
        keys.insert(Key::new(id, item.span), Node::new(item.span, value));
    }
    node.value = Value::Map(keys);
}

fn develop(node: &mut Node, path: Path<'_>, report: &mut Report) {
    items(node, "watch", path, report, |watch, path, report| {
        attribute(watch, "ignore", path, report, list);
        attribute(watch, "include", path, report, list);
    });
}
