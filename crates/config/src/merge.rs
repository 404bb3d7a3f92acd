//! Overlays: a scalar replaces, a map merges, a list replaces; `!append` appends, `!unset` removes.
//!
//! Every node keeps its own place, so the merged tree still knows where each value came from.

use crate::problem::{Code, Report};
use crate::tree::{Entry, Kind, Map, MergeTag, Node};

/// `over` onto `base`.
pub(crate) fn merge(base: &mut Node, over: Node, report: &mut Report) {
    if over.tag == Some(MergeTag::Append) {
        return append(base, over, report);
    }
    match (&mut base.kind, over.kind) {
        (Kind::Map(target), Kind::Map(source)) => merge_map(target, source, report),
        (_, kind) => *base = settled(Node { span: over.span, kind, tag: None }),
    }
}

fn merge_map(target: &mut Map, source: Map, report: &mut Report) {
    for (key, entry) in source {
        if entry.value.tag == Some(MergeTag::Unset) {
            target.shift_remove(&key);
            continue;
        }
        match target.get_mut(&key) {
            Some(found) if !found.value.is_null() => {
                if matches!(key.as_str(), "env" | "needs" | "ports") {
                    as_map(&key, &mut found.value, &entry.value);
                }
                give_way(&key, &mut found.value, &entry.value);
                merge(&mut found.value, entry.value, report);
            }
            Some(found) => found.value = settled(entry.value),
            None => {
                let value = settled(entry.value);
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

fn append(base: &mut Node, over: Node, report: &mut Report) {
    match (&mut base.kind, over.kind) {
        (Kind::List(target), Kind::List(source)) => target.extend(source.into_iter().map(settled)),
        (_, _) => {
            let item = report.error(Code::BadMerge, over.span, "`!append` needs a list here and in the earlier file");
            item.help("leave the tag out to replace the value");
        }
    }
}

/// A value that lands where nothing was: what its tags ask for is already so.
pub(crate) fn settled(mut node: Node) -> Node {
    node.tag = None;
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::List(list) => {
            let items = std::mem::take(list);
            *list = items.into_iter().filter(|item| item.tag != Some(MergeTag::Unset)).map(settled).collect();
        }
        Kind::Map(map) => {
            let entries = std::mem::take(map);
            *map = entries
                .into_iter()
                .filter(|(_, entry)| entry.value.tag != Some(MergeTag::Unset))
                .map(|(key, entry)| (key, Entry { key_span: entry.key_span, value: settled(entry.value) }))
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
