//! `x-...` attributes, set apart (compose-spec 11).
//!
//! Compose takes them out of every map except those whose keys the writer chooses, and it does not count `environment`,
//! `labels` and other lists of pairs among those: what a file gives there as `x-...` in the map form is lost, and an entry
//! [`SET_APART`] with a description of it is there instead. This is so, and is kept.

use crate::path::Path;
use crate::tree::{Key, Map, Node, Value};

/// The entry that holds what was set apart.
pub(crate) const SET_APART: &str = "#extensions";

/// Maps in which `x-...` is a name like any other.
const NAMES: [&str; 6] = ["services", "services.*.depends_on", "volumes", "networks", "secrets", "configs"];

/// Moves `x-...` into one entry of its map, everywhere but at the top.
pub(crate) fn set_apart(root: &mut Node) {
    for (key, value) in root.as_map_mut().into_iter().flatten() {
        if !is_extension(key) {
            walk(value, Path::ROOT.next(key.as_str()));
        }
    }
}

/// Whether a key of the top is an extension.
pub(crate) fn is_extension(key: &Key) -> bool {
    key.as_str().starts_with("x-")
}

fn walk(node: &mut Node, path: Path<'_>) {
    let span = node.span;
    match &mut node.value {
        Value::Map(map) => {
            let names = NAMES.iter().any(|names| path.matches(names));
            let apart: Map = if names { Map::new() } else { map.extract_if(.., |key, _| is_extension(key)).collect() };
            for (key, value) in &mut *map {
                walk(value, path.next(key.as_str()));
            }
            if !apart.is_empty() {
                map.insert(Key::new(SET_APART, span), Node::new(span, Value::Map(apart)));
            }
        }
        Value::Seq(items) => {
            for item in items {
                walk(item, path.next("[]"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Time(_) => {}
    }
}
