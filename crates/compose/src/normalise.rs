//! What a project means without saying it: the default network, implied dependencies, the names of its resources.

use std::collections::BTreeMap;

use crate::canonical::clean;
use crate::show::sprint;
use crate::tree::{Key, Map, Node, Value};

/// Variables by name.
type Environment = BTreeMap<String, String>;

/// Says what is meant.
pub(crate) fn apply(root: &mut Node, environment: &Environment) {
    let default_network = services(root).fold(false, |any, service| join_networks(service) | any);
    let networks = root.get("networks");
    if default_network && networks.is_none_or(|networks| networks.get("default").is_none()) {
        if networks.and_then(Node::as_map).is_none() {
            root.insert("networks", Node::map(root.span));
        }
        let span = root.span;
        if let Some(networks) = root.get_mut("networks") {
            networks.insert("default", Node::new(span, Value::Null));
        }
    }
    for service in services(root) {
        normalise(service, environment);
    }
    name_resources(root);
}

fn services(root: &mut Node) -> impl Iterator<Item = &mut Node> {
    root.get_mut("services").and_then(Node::as_map_mut).into_iter().flat_map(Map::values_mut)
}

/// Puts a service that names no network into the default one; whether it is in that.
fn join_networks(service: &mut Node) -> bool {
    if service.get("provider").is_some() || service.get("network_mode").is_some() {
        return false;
    }
    let named = service.get("networks").and_then(Node::as_map).filter(|networks| !networks.is_empty());
    if let Some(networks) = named {
        return networks.contains_key("default");
    }
    let mut networks = Node::map(service.span);
    networks.insert("default", Node::new(service.span, Value::Null));
    service.insert("networks", networks);
    true
}

fn normalise(service: &mut Node, environment: &Environment) {
    if let Some(policy) = service.get_mut("pull_policy").filter(|policy| policy.as_str() == Some("if_not_present")) {
        policy.value = Value::String("missing".to_owned());
    }
    if let Some(build) = service.get_mut("build") {
        if build.get("context").is_none_or(Node::is_null) {
            build.insert("context", Node::string(build.span, "."));
        }
        let given = |key: &str| build.get(key).is_some_and(|value| !value.is_null());
        if !given("dockerfile") && !given("dockerfile_inline") {
            build.insert("dockerfile", Node::string(build.span, "Dockerfile"));
        }
        if let Some(args) = build.get_mut("args") {
            look_up(args, environment, Unknown::Dropped);
        }
    }
    if let Some(variables) = service.get_mut("environment") {
        look_up(variables, environment, Unknown::Kept);
    }
    for mount in service.get_mut("volumes").and_then(Node::as_seq_mut).into_iter().flatten() {
        if let Some(target) = mount.get_mut("target")
            && let Some(path) = target.as_str()
        {
            target.value = Value::String(clean(path));
        }
    }
    imply_dependencies(service);
}

/// What becomes of a name that has no value anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Kept,
    Dropped,
}

/// Gives names without a value that of the environment.
fn look_up(pairs: &mut Node, environment: &Environment, unknown: Unknown) {
    match &mut pairs.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut().filter(|(_, value)| value.is_null()) {
                if let Some(found) = environment.get(key.as_str()) {
                    value.value = Value::String(found.clone());
                }
            }
            map.retain(|_, value| unknown == Unknown::Kept || !value.is_null());
        }
        Value::Seq(items) => {
            items.retain_mut(|item| {
                let Some(name) = item.as_str().filter(|text| !text.contains('=')) else { return true };
                match environment.get(name) {
                    Some(found) => {
                        item.value = Value::String(format!("{name}={found}"));
                        true
                    }
                    None => unknown == Unknown::Kept,
                }
            });
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Time(_) => {}
    }
}

/// Adds to `depends_on` what links, shared namespaces and `volumes_from` need.
fn imply_dependencies(service: &mut Node) {
    let mut implied: Vec<(String, Node, bool)> = Vec::new();
    let listed = |key: &str| service.get(key).and_then(Node::as_seq).unwrap_or_default();
    for link in listed("links") {
        let text = sprint(link);
        let parts: Vec<&str> = text.split(':').collect();
        let name = if parts.len() == 2 { parts[0] } else { text.as_str() };
        implied.push((name.to_owned(), link.clone(), true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(key)
            && let Some(name) = node.as_str().and_then(|mode| mode.strip_prefix("service:"))
        {
            implied.push((name.to_owned(), node.clone(), true));
        }
    }
    for from in listed("volumes_from") {
        let text = sprint(from);
        if !text.starts_with("container:") {
            let name = text.split(':').next().unwrap_or_default();
            implied.push((name.to_owned(), from.clone(), false));
        }
    }
    if implied.is_empty() {
        return;
    }
    if service.get("depends_on").and_then(Node::as_map).is_none() {
        service.insert("depends_on", Node::map(service.span));
    }
    let Some(dependencies) = service.get_mut("depends_on").and_then(Node::as_map_mut) else { return };
    for (name, from, restart) in implied {
        dependencies.entry(Key::new(name, from.span)).or_insert_with(|| {
            let mut about = Node::map(from.span);
            about.insert("condition", Node::string(from.span, "service_started"));
            about.insert("restart", Node::new(from.span, Value::Bool(restart)));
            about.insert("required", Node::new(from.span, Value::Bool(true)));
            about
        });
    }
}

/// The name of a resource is its key after the project's name, or the key alone when it is not the project's own.
fn name_resources(root: &mut Node) {
    let project = root.get("name").map(sprint).unwrap_or_default();
    for kind in ["networks", "volumes", "configs", "secrets"] {
        for (key, resource) in root.get_mut(kind).and_then(Node::as_map_mut).into_iter().flatten() {
            if resource.is_null() {
                resource.value = Value::Map(Map::new());
            }
            if resource.get("name").is_some_and(|name| !name.is_null()) {
                continue;
            }
            let external = resource.get("external").is_some_and(|external| is_true(&sprint(external)));
            let name = if external { key.to_string() } else { format!("{project}_{key}") };
            resource.insert("name", Node::string(resource.span, name));
        }
    }
}

/// The words that mean true to Go, which differ from those of YAML.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
