//! Of list items that say the same thing twice the later one counts, at the earlier one's place
//! (compose-spec, 13-merge, unique resources).

use crate::path::Path;
use crate::problem::{Code, Report};
use crate::show::sprint;
use crate::tree::{Node, Value};

/// What makes two items of a list the same.
#[derive(Debug, Clone, Copy)]
enum Identity {
    /// What stands before `=`.
    Name,
    /// The target in the container.
    Volume,
    /// The same of a device.
    Device,
    /// The target, or the source in a folder.
    Mount(&'static str),
    /// All of it.
    Expose,
    /// Address, published port, target and protocol.
    Port,
    /// The path.
    EnvFile,
}

const UNIQUE: [(&str, Identity); 28] = [
    ("networks.*.labels", Identity::Name),
    ("networks.*.ipam.options", Identity::Name),
    ("services.*.annotations", Identity::Name),
    ("services.*.build.args", Identity::Name),
    ("services.*.build.additional_contexts", Identity::Name),
    ("services.*.build.platform", Identity::Name),
    ("services.*.build.tags", Identity::Name),
    ("services.*.build.labels", Identity::Name),
    ("services.*.cap_add", Identity::Name),
    ("services.*.cap_drop", Identity::Name),
    ("services.*.configs", Identity::Mount("")),
    ("services.*.deploy.labels", Identity::Name),
    ("services.*.dns", Identity::Name),
    ("services.*.dns_opt", Identity::Name),
    ("services.*.dns_search", Identity::Name),
    ("services.*.environment", Identity::Name),
    ("services.*.env_file", Identity::EnvFile),
    ("services.*.expose", Identity::Expose),
    ("services.*.labels", Identity::Name),
    ("services.*.links", Identity::Name),
    ("services.*.networks.*.aliases", Identity::Name),
    ("services.*.networks.*.link_local_ips", Identity::Name),
    ("services.*.ports", Identity::Port),
    ("services.*.profiles", Identity::Name),
    ("services.*.secrets", Identity::Mount("/run/secrets")),
    ("services.*.sysctls", Identity::Name),
    ("services.*.tmpfs", Identity::Name),
    ("services.*.volumes", Identity::Volume),
];

/// A pattern that is not in [`UNIQUE`] twice: the last of the two that Compose has for it counts.
const DEVICES: (&str, Identity) = ("services.*.devices", Identity::Device);

/// Leaves each item of a list once.
pub(crate) fn apply(root: &mut Node, report: &mut Report) {
    walk(root, Path::ROOT, report);
}

fn walk(node: &mut Node, path: Path<'_>, report: &mut Report) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map {
                walk(value, path.next(key.as_str()), report);
            }
        }
        Value::Seq(items) => {
            let rule = UNIQUE.iter().chain([&DEVICES]).find(|(pattern, _)| path.matches(pattern));
            if let Some((_, identity)) = rule {
                *items = once(std::mem::take(items), *identity, &path, report);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Time(_) => {}
    }
}

fn once(items: Vec<Node>, identity: Identity, path: &Path<'_>, report: &mut Report) -> Vec<Node> {
    let mut kept = indexmap::IndexMap::new();
    for item in items {
        match key(&item, identity) {
            Ok(key) => {
                kept.insert(key, item);
            }
            Err(message) => report.error(Code::WrongType, item.span, format!("an item of `{path}` {message}")),
        }
    }
    kept.into_values().collect()
}

fn key(item: &Node, identity: Identity) -> Result<String, String> {
    let unexpected = || Err(format!("is {}, which it cannot be", item.describe()));
    let field = |name: &str| item.get(name);
    match (&item.value, identity) {
        (Value::String(text), Identity::Name) => {
            Ok(text.split_once('=').map_or(text.as_str(), |(name, _)| name).to_owned())
        }
        (Value::String(text), Identity::Volume) => volume_target(text),
        (Value::String(text), Identity::Device) => {
            let mut parts = text.split(':');
            let first = parts.next().unwrap_or_default();
            Ok(parts.next().unwrap_or(first).to_owned())
        }
        (Value::String(text), Identity::Mount(folder)) => Ok(format!("{folder}/{text}")),
        (Value::String(text), Identity::Expose | Identity::Port | Identity::EnvFile) => Ok(text.clone()),
        (Value::Int(number), Identity::Expose | Identity::Port) => Ok(number.to_string()),
        (Value::Map(_), Identity::Volume | Identity::Device) => match field("target").and_then(Node::as_str) {
            Some(target) => Ok(target.to_owned()),
            None => Err("has no `target`".to_owned()),
        },
        (Value::Map(_), Identity::Mount(folder)) => match field("target") {
            Some(target) => target.as_str().map_or_else(unexpected, |target| Ok(target.to_owned())),
            None => Ok(format!("{folder}/{}", field("source").map_or_else(|| "<nil>".to_owned(), sprint))),
        },
        (Value::Map(_), Identity::Port) => port(item),
        (Value::Map(_), Identity::EnvFile) => match field("path").and_then(Node::as_str) {
            Some(path) => Ok(path.to_owned()),
            None => Err("has no `path`".to_owned()),
        },
        (_, Identity::Name | Identity::Mount(_) | Identity::Expose) => unexpected(),
        (_, Identity::Volume | Identity::Device | Identity::Port | Identity::EnvFile) => Ok(String::new()),
    }
}

/// What makes a port one: a number where a text is usual makes it another.
fn port(item: &Node) -> Result<String, String> {
    let shown = |name: &str, default: &str| match item.get(name) {
        None => default.to_owned(),
        Some(node) => node.as_str().map_or_else(|| format!("({})", sprint(node)), str::to_owned),
    };
    let target = item.get("target").ok_or("has no `target`")?;
    let (address, published) = (shown("host_ip", "0.0.0.0"), shown("published", "()"));
    Ok(format!("{address}:{published}:{}/{}", sprint(target), shown("protocol", "tcp")))
}

/// Where a volume in its short form is mounted: what stands behind the first colon, or all of it.
fn volume_target(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() <= 2 {
        return Ok(text.to_owned());
    }
    let sections = sections(text);
    if sections.iter().any(|section| section.is_empty()) {
        return Err("has nothing between two colons".to_owned());
    }
    match sections.as_slice() {
        [target] | [_, target] | [_, target, _] => Ok((*target).to_owned()),
        _ => Err("has too many colons".to_owned()),
    }
}

/// The parts of a short form between its colons; the colon behind the letter of a Windows drive separates nothing.
fn sections(text: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(':') {
        let mut before = text[start..at].chars();
        let drive = before.next().is_some_and(char::is_alphabetic) && before.next().is_none();
        if !drive {
            sections.push(&text[start..at]);
            start = at + 1;
        }
    }
    sections.push(&text[start..]);
    sections
}
