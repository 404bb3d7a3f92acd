//! Two files, or a service and its base, become one (compose-spec, 13-merge).
//!
//! Maps merge key by key, lists are appended, anything else is replaced; null changes nothing. [`SPECIAL`] names the
//! attributes that have a rule of their own. Both sides may be in any form that the language allows: the rules here make
//! lists of maps or the other way round, as far as it takes to merge.

use crate::path::Path;
use crate::problem::{Code, Report};
use crate::show::sprint;
use crate::tree::{Key, Map, Node, Span, Value};

/// How an attribute is merged when not by the kind of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The later one counts, null too.
    Replace,
    /// Both as lists of `KEY=value`, appended.
    Sequence,
    /// As `Sequence`, without what is there already.
    Hosts,
    /// A text is the `context`.
    Build,
    /// A list of names is a map with these conditions.
    DependsOn,
    /// A list of names is a map to null.
    Names,
    /// Of another driver, the later one counts.
    Logging,
    /// By `subnet`.
    Ipam,
}

const SPECIAL: [(&str, Rule); 29] = [
    ("networks.*.ipam.config", Rule::Ipam),
    ("networks.*.labels", Rule::Sequence),
    ("volumes.*.labels", Rule::Sequence),
    ("services.*.annotations", Rule::Sequence),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::Sequence),
    ("services.*.build.additional_contexts", Rule::Sequence),
    ("services.*.build.extra_hosts", Rule::Hosts),
    ("services.*.build.labels", Rule::Sequence),
    ("services.*.command", Rule::Replace),
    ("services.*.depends_on", Rule::DependsOn),
    ("services.*.deploy.labels", Rule::Sequence),
    ("services.*.dns", Rule::Sequence),
    ("services.*.dns_opt", Rule::Sequence),
    ("services.*.dns_search", Rule::Sequence),
    ("services.*.entrypoint", Rule::Replace),
    ("services.*.env_file", Rule::Sequence),
    ("services.*.label_file", Rule::Sequence),
    ("services.*.environment", Rule::Sequence),
    ("services.*.extra_hosts", Rule::Hosts),
    ("services.*.healthcheck.test", Rule::Replace),
    ("services.*.labels", Rule::Sequence),
    ("services.*.volumes.*.volume.labels", Rule::Sequence),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::Names),
    ("services.*.networks", Rule::Names),
    ("services.*.sysctls", Rule::Sequence),
    ("services.*.tmpfs", Rule::Sequence),
    ("services.*.ulimits.*", Rule::Replace),
];

/// What cannot be merged was said.
struct Clash;

/// A project and the next file.
pub(crate) fn projects(base: Node, over: Node, report: &mut Report) -> Option<Node> {
    merge(base, over, Path::ROOT, report).ok()
}

/// What a service extends, and the service.
pub(crate) fn services(base: Node, over: Node, report: &mut Report) -> Option<Node> {
    let services = Path::ROOT.next("services");
    merge(base, over, services.next("x"), report).ok()
}

fn merge(base: Node, over: Node, path: Path<'_>, report: &mut Report) -> Result<Node, Clash> {
    if let Some((_, rule)) = SPECIAL.iter().find(|(pattern, _)| path.matches(pattern)) {
        return apply(*rule, base, over, path, report);
    }
    match (base.value, over.value) {
        (value, Value::Null) => Ok(Node { value, ..base }),
        (Value::Map(value), Value::Map(other)) => {
            let value = Value::Map(maps(value, other, path, report)?);
            Ok(Node { value, span: base.span, tag: None, written: None })
        }
        (Value::Seq(mut items), Value::Seq(others)) => {
            items.extend(others);
            Ok(Node::new(base.span, Value::Seq(items)))
        }
        (Value::Map(_) | Value::Seq(_), value) => Err(clash(&path, &Node::new(over.span, value), report)),
        (_, value) => Ok(Node { value, ..over }),
    }
}

fn clash(path: &Path<'_>, over: &Node, report: &mut Report) -> Clash {
    let message = format!("{} cannot be merged into `{path}` of the file before", over.describe());
    report.error(Code::Merge, over.span, message);
    Clash
}

fn maps(mut base: Map, over: Map, path: Path<'_>, report: &mut Report) -> Result<Map, Clash> {
    for (key, value) in over {
        match base.get_mut(&key) {
            None => {
                base.insert(key, value);
            }
            Some(slot) => {
                let earlier = std::mem::replace(slot, Node::new(Span::default(), Value::Null));
                *slot = merge(earlier, value, path.next(key.as_str()), report)?;
            }
        }
    }
    Ok(base)
}

fn apply(rule: Rule, base: Node, over: Node, path: Path<'_>, report: &mut Report) -> Result<Node, Clash> {
    let span = base.span;
    match rule {
        Rule::Replace => Ok(over),
        Rule::Sequence | Rule::Hosts => {
            let mut items = sequence(base);
            let known = if rule == Rule::Hosts { items.len() } else { 0 };
            for item in sequence(over) {
                if !items[..known].contains(&item) {
                    items.push(item);
                }
            }
            Ok(Node::new(span, Value::Seq(items)))
        }
        Rule::Build | Rule::DependsOn | Rule::Names => {
            let form = |node: Node, report: &mut Report| match rule {
                Rule::Build => build(node, &path, report),
                Rule::DependsOn => names(node, Some(started), &path, report),
                _ => names(node, None, &path, report),
            };
            let (base, over) = (form(base, report)?, form(over, report)?);
            joined(base, over, span, path, report)
        }
        Rule::Logging => logging(base, over, path, report),
        Rule::Ipam => ipam(&base, &over, path, report),
    }
}

/// Two maps, of which each may not be there; the first has to be for the second to go into it.
fn joined(
    base: Option<Map>,
    over: Option<Map>,
    span: Span,
    path: Path<'_>,
    report: &mut Report,
) -> Result<Node, Clash> {
    let over = over.unwrap_or_default();
    let value = match base {
        Some(base) => Value::Map(maps(base, over, path, report)?),
        None if over.is_empty() => Value::Null,
        None => return Err(clash(&path, &Node::new(span, Value::Map(over)), report)),
    };
    Ok(Node::new(span, value))
}

fn build(node: Node, path: &Path<'_>, report: &mut Report) -> Result<Option<Map>, Clash> {
    match node.value {
        Value::Map(map) => Ok(Some(map)),
        Value::Null => Ok(None),
        Value::String(_) => {
            let key = Key::new("context", node.span);
            Ok(Some(Map::from_iter([(key, node)])))
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Seq(_) => {
            Err(clash(path, &node, report))
        }
    }
}

/// A list of names as a map.
fn names(
    node: Node,
    value: Option<fn(Span) -> Node>,
    path: &Path<'_>,
    report: &mut Report,
) -> Result<Option<Map>, Clash> {
    match node.value {
        Value::Map(map) => Ok(Some(map)),
        Value::Null => Ok(None),
        Value::Seq(items) => {
            let mut map = Map::new();
            for item in items {
                let Some(name) = item.as_str() else { return Err(clash(path, &item, report)) };
                let default = value.map_or_else(|| Node::new(item.span, Value::Null), |make| make(item.span));
                map.insert(Key::new(name, item.span), default);
            }
            Ok(Some(map))
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::String(_) => {
            Err(clash(path, &node, report))
        }
    }
}

/// What the short form of `depends_on` means (compose-spec, 05-services).
fn started(span: Span) -> Node {
    let mut node = Node::map(span);
    node.insert("condition", Node::string(span, "service_started"));
    node.insert("required", Node::new(span, Value::Bool(true)));
    node
}

/// A map as sorted `KEY=value`, a text as a list of one; nothing else has items.
fn sequence(node: Node) -> Vec<Node> {
    match node.value {
        Value::Seq(items) => items,
        Value::String(_) => vec![node],
        Value::Map(map) => {
            let mut items: Vec<(String, Span)> = Vec::new();
            for (key, value) in map {
                match &value.value {
                    Value::Null => items.push((key.to_string(), key.span)),
                    Value::Seq(values) => {
                        items.extend(values.iter().map(|value| (format!("{key}={}", sprint(value)), value.span)));
                    }
                    _ => items.push((format!("{key}={}", sprint(&value)), value.span)),
                }
            }
            items.sort_by(|a, b| a.0.cmp(&b.0));
            items.into_iter().map(|(text, span)| Node::string(span, text)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => Vec::new(),
    }
}

fn logging(base: Node, over: Node, path: Path<'_>, report: &mut Report) -> Result<Node, Clash> {
    let span = base.span;
    let (Value::Map(config), Value::Map(other)) = (&base.value, &over.value) else {
        return Err(clash(&path, &over, report));
    };
    let same = match (config.get("driver"), other.get("driver")) {
        (Some(a), Some(b)) => a == b,
        (None, _) | (_, None) => true,
    };
    match (same, base.value, over.value) {
        (true, Value::Map(config), Value::Map(other)) => {
            Ok(Node::new(span, Value::Map(maps(config, other, path, report)?)))
        }
        (_, _, value) => Ok(Node::new(over.span, value)),
    }
}

/// Address ranges of one subnet merge, others stand beside each other.
fn ipam(base: &Node, over: &Node, path: Path<'_>, report: &mut Report) -> Result<Node, Clash> {
    let subnet = |node: &Node| node.get("subnet").cloned();
    let (Some(configs), Some(overrides)) = (base.as_seq(), over.as_seq()) else {
        return Err(clash(&path, over, report));
    };
    let mut merged: Vec<Node> = Vec::new();
    for config in configs {
        let mut earlier = config.clone();
        for later in overrides {
            if subnet(later) != subnet(&earlier) && !merged.iter().any(|known| subnet(known) == subnet(later)) {
                merged.push(later.clone());
                continue;
            }
            earlier = joined(map_of(earlier), map_of(later.clone()), config.span, path, report)?;
            match merged.iter_mut().find(|known| subnet(known) == subnet(&earlier)) {
                Some(known) => *known = earlier.clone(),
                None => merged.push(earlier.clone()),
            }
        }
    }
    Ok(Node::new(base.span, Value::Seq(merged)))
}

fn map_of(node: Node) -> Option<Map> {
    if let Value::Map(map) = node.value { Some(map) } else { None }
}
