//! Overlays: a scalar replaces, a map merges, a list replaces; `!append` appends, `!unset` removes.
//!
//! Every node keeps its own place, so the merged tree still knows where each value came from.

use crate::language::overrides;
use crate::problem::{Code, Report};
use crate::tree::{Entry, Kind, Map, MergeTag, Node};
use muster_spec::RuntimeKind;

/// Where in a stack file values meet.
#[derive(Debug, Clone, Copy)]
enum At {
    Stack,
    Services,
    Service,
    Variant(RuntimeKind),
    Environments,
    /// In something that is itself laid over a service or a stack, later: its tags are for then.
    Later,
    Elsewhere,
}

impl At {
    /// The place of a key's value.
    fn below(self, key: &str) -> Self {
        match self {
            Self::Stack if key == "services" => Self::Services,
            Self::Stack if key == "environments" => Self::Environments,
            Self::Services => Self::Service,
            Self::Service => match RuntimeKind::ALL.into_iter().find(|kind| kind.as_str() == key) {
                Some(kind) => Self::Variant(kind),
                None => Self::Elsewhere,
            },
            Self::Variant(kind) if overrides(kind, key) => Self::Later,
            Self::Environments | Self::Later => Self::Later,
            Self::Stack | Self::Variant(_) | Self::Elsewhere => Self::Elsewhere,
        }
    }

    fn is_later(self) -> bool {
        matches!(self, Self::Later)
    }
}

/// A stack over a stack.
pub(crate) fn merge(base: &mut Node, over: Node, report: &mut Report) {
    merge_at(base, over, At::Stack, report);
}

/// What a variant says of what all variants share, over the service.
pub(crate) fn lay(service: &mut Node, over: Node, report: &mut Report) {
    merge_at(service, over, At::Service, report);
}

/// A stack that lands where nothing was: what its tags ask for is already so.
pub(crate) fn settled(stack: Node) -> Node {
    landed(stack, At::Stack)
}

fn merge_at(base: &mut Node, over: Node, at: At, report: &mut Report) {
    if over.tag == Some(MergeTag::Append) {
        return append(base, over, at, report);
    }
    match (&mut base.kind, over.kind) {
        (Kind::Map(target), Kind::Map(source)) => merge_map(target, source, at, report),
        (_, kind) => {
            let tag = over.tag.filter(|tag| at.is_later() && *tag == MergeTag::Unset);
            *base = landed(Node { span: over.span, kind, tag: None }, at);
            base.tag = tag;
        }
    }
}

fn merge_map(target: &mut Map, source: Map, at: At, report: &mut Report) {
    for (key, entry) in source {
        let below = at.below(&key);
        if entry.value.tag == Some(MergeTag::Unset) && !below.is_later() {
            target.shift_remove(&key);
            continue;
        }
        match target.get_mut(&key) {
            Some(found) if !found.value.is_null() => {
                if matches!(key.as_str(), "env" | "needs" | "ports") {
                    as_map(&key, &mut found.value, &entry.value);
                }
                give_way(&key, &mut found.value, &entry.value);
                merge_at(&mut found.value, entry.value, below, report);
                // Relative paths of a service start at the file that its name stands in.
                if !matches!(at, At::Stack | At::Services) {
                    found.key_span = entry.key_span;
                }
            }
            Some(found) => {
                let unset = found.value.tag == Some(MergeTag::Unset);
                found.value = landed(entry.value, below);
                // Nothing of what it will be laid over is left to append to.
                found.value.tag = found.value.tag.filter(|tag| !(unset && *tag == MergeTag::Append));
            }
            None => {
                let value = landed(entry.value, below);
                target.insert(key, Entry { key_span: entry.key_span, value });
            }
        }
    }
}

/// Ways to say one thing, of which a map has one: the overlay's replaces the other one.
const ONE_OF: [(&[&str], &[&str]); 3] = [
    (&["process", "remote", "build"], &["command", "shell"]),
    (
        &["startup", "ready", "live"],
        &["tcp", "http", "grpc", "exec", "log", "notify", "file", "healthcheck", "listens", "all", "any"],
    ),
    (&["from"], &["env", "file", "command"]),
];

fn give_way(key: &str, base: &mut Node, over: &Node) {
    let (Some(target), Some(source)) = (base.as_map_mut(), over.as_map()) else { return };
    for (_, words) in ONE_OF.iter().filter(|(keys, _)| keys.contains(&key)) {
        if words.iter().any(|word| source.contains_key(*word)) {
            target.retain(|word, _| !words.contains(&word.as_str()) || source.contains_key(word));
        }
    }
}

fn append(base: &mut Node, over: Node, at: At, report: &mut Report) {
    match (&mut base.kind, over.kind) {
        (Kind::List(target), Kind::List(source)) => target.extend(source.into_iter().map(|item| landed(item, at))),
        (_, _) => {
            let item = report.error(Code::BadMerge, over.span, "`!append` needs a list here and in the earlier file");
            item.help("leave the tag out to replace the value");
        }
    }
}

/// A value that lands where nothing was.
fn landed(mut node: Node, at: At) -> Node {
    if at.is_later() {
        return node;
    }
    node.tag = None;
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::List(list) => {
            let items = std::mem::take(list).into_iter().filter(|item| item.tag != Some(MergeTag::Unset));
            *list = items.map(|item| landed(item, at.below(""))).collect();
        }
        Kind::Map(map) => {
            let entries = std::mem::take(map).into_iter().map(|(key, entry)| (at.below(&key), key, entry));
            let stays = |below: &At, entry: &Entry| below.is_later() || entry.value.tag != Some(MergeTag::Unset);
            *map = entries
                .filter(|(below, _, entry)| stays(below, entry))
                .map(|(below, key, entry)| (key, Entry { key_span: entry.key_span, value: landed(entry.value, below) }))
                .collect();
        }
    }
    node
}

/// A list of `K=V`, or of names, becomes the map that a map can be merged into.
fn as_map(key: &str, base: &mut Node, over: &Node) {
    if over.as_map().is_none() {
        return;
    }
    let items: Vec<Node> = match &base.kind {
        Kind::Map(_) => return,
        Kind::List(_) | Kind::Scalar(_) => base.one_or_many().to_vec(),
    };
    let mut map = Map::new();
    for item in items {
        let Some(scalar) = item.as_scalar() else { continue };
        let (name, value) = match scalar.text.split_once('=').filter(|_| key == "env") {
            Some((name, value)) => (name.to_owned(), Node::scalar(item.span, value, false)),
            None => (scalar.text.clone(), Node::map(item.span)),
        };
        let value = if key == "env" && value.as_map().is_some() { Node::word(item.span, "null") } else { value };
        map.insert(name, Entry { key_span: item.span, value });
    }
    base.kind = Kind::Map(map);
}
