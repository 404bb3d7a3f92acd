//! How one process-compose file, or process, is laid over another.

use super::yaml::text;
use crate::tree::{Entry, Kind, Map, Node};
use indexmap::IndexMap;

/// Lays `over` on `base`: scalars replace unless they are empty, maps merge, lists append; `environment` merges by
/// name, `namespace` and the paths of a watch are replaced as a whole.
///
/// An empty scalar (`false`, `0`, `""`) does not replace, as there: a later file cannot take a `true` back.
pub(super) fn merge(base: &mut Map, over: &Map) {
    for (key, over) in over {
        let Some(present) = base.get_mut(key) else {
            base.insert(key.clone(), over.clone());
            continue;
        };
        let (present, over) = (&mut present.value, &over.value);
        if is_zero(over) {
            continue;
        }
        match (&mut present.kind, &over.kind) {
            _ if key == "environment" => *present = merge_environment(present, over),
            (Kind::Map(present), Kind::Map(over)) => merge(present, over),
            (Kind::List(present), Kind::List(over)) if key != "namespace" && key != "paths" => {
                present.extend(over.iter().cloned());
            }
            _ => *present = over.clone(),
        }
    }
}

fn is_zero(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar(scalar) => {
            node.is_null() || scalar.text.is_empty() || (scalar.plain && matches!(scalar.text.as_str(), "false" | "0"))
        }
        Kind::List(items) => items.is_empty(),
        Kind::Map(map) => map.is_empty(),
    }
}

/// The assignments of an `environment`, which is a list of `NAME=value` or a map; what is neither is returned as well.
pub(super) fn assignments(node: &Node) -> (Vec<(String, String)>, Vec<String>) {
    let mut pairs = Vec::new();
    let mut bad = Vec::new();
    match &node.kind {
        Kind::Map(map) => {
            let value = |entry: &Entry| entry.value.as_text().unwrap_or_default().to_owned();
            pairs.extend(map.iter().map(|(key, entry)| (key.clone(), value(entry))));
        }
        Kind::List(items) => {
            for item in items {
                match item.as_text().and_then(|text| text.split_once('=')) {
                    Some((key, value)) => pairs.push((key.to_owned(), value.to_owned())),
                    None => bad.push(item.as_text().unwrap_or_default().to_owned()),
                }
            }
        }
        Kind::Scalar(scalar) => bad.push(scalar.text.clone()),
    }
    (pairs, bad)
}

fn merge_environment(base: &Node, over: &Node) -> Node {
    let mut merged = IndexMap::new();
    let mut bad = Vec::new();
    for node in [base, over] {
        let (pairs, rest) = assignments(node);
        merged.extend(pairs);
        bad.extend(rest);
    }
    let lines = merged.iter().map(|(key, value)| format!("{key}={value}"));
    Node::new(over.span, Kind::List(lines.chain(bad).map(|line| text(&line)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::gotemplate::display;
    use crate::import::yaml::parse;
    use std::path::Path;

    #[test]
    fn merges_as_process_compose_does() {
        let read = |text: &str| parse(Path::new("x"), text).unwrap();
        let mut base = read("a: 1\nb: true\nl: [1]\nm: {x: 1}\nnamespace: [a]\nenvironment: [A=1, B=2=3]");
        let over = read("a: 2\nb: false\nl: [2]\nm: {y: 2}\nnamespace: b\nenvironment: [A=x, C=4]\nn: 3");
        merge(&mut base, &over);
        let wanted = [
            ("a", "2"),
            ("b", "true"),
            ("l", "[1 2]"),
            ("m", "map[x:1 y:2]"),
            ("namespace", "b"),
            ("environment", "[A=x B=2=3 C=4]"),
            ("n", "3"),
        ];
        let found: Vec<_> = base.iter().map(|(key, entry)| (key.as_str(), display(&entry.value))).collect();
        assert_eq!(found, wanted.map(|(key, value)| (key, value.to_owned())));
    }
}
