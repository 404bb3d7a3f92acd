//! How one process-compose file, or process, is laid over another.

use super::yaml::{Map, Node};

/// Lays `over` on `base`: scalars replace unless they are empty, maps merge, lists append; `environment` merges by
/// name, `namespace` and the paths of a watch are replaced as a whole.
///
/// An empty scalar (`false`, `0`, `""`) does not replace, as there: a later file cannot take a `true` back.
pub(super) fn merge(base: &mut Map, over: &Map) {
    for (key, value) in over {
        let Some(present) = base.get_mut(key) else {
            base.insert(key.clone(), value.clone());
            continue;
        };
        if is_zero(value) {
            continue;
        }
        match (present, value) {
            (present, value) if key == "environment" => *present = merge_environment(present, value),
            (Node::Map(present), Node::Map(value)) => merge(present, value),
            (Node::Seq(present), Node::Seq(value)) if key != "namespace" && key != "paths" => {
                present.extend(value.iter().cloned());
            }
            (present, value) => *present = value.clone(),
        }
    }
}

fn is_zero(node: &Node) -> bool {
    match node {
        Node::Scalar { text, plain } => {
            node.is_null() || text.is_empty() || (*plain && matches!(text.as_str(), "false" | "0"))
        }
        Node::Seq(items) => items.is_empty(),
        Node::Map(map) => map.is_empty(),
    }
}

/// The assignments of an `environment`, which is a list of `NAME=value` or a map; what is neither is returned as well.
pub(super) fn assignments(node: &Node) -> (Vec<(String, String)>, Vec<String>) {
    let mut pairs = Vec::new();
    let mut bad = Vec::new();
    match node {
        Node::Map(map) => {
            pairs.extend(map.iter().map(|(key, value)| (key.clone(), value.as_text().unwrap_or_default().to_owned())));
        }
        Node::Seq(items) => {
            for item in items {
                match item.as_text().and_then(|text| text.split_once('=')) {
                    Some((key, value)) => pairs.push((key.to_owned(), value.to_owned())),
                    None => bad.push(item.as_text().unwrap_or_default().to_owned()),
                }
            }
        }
        Node::Scalar { text, .. } => bad.push(text.clone()),
    }
    (pairs, bad)
}

fn merge_environment(base: &Node, over: &Node) -> Node {
    let mut merged = Map::new();
    let mut bad = Vec::new();
    for node in [base, over] {
        let (pairs, rest) = assignments(node);
        merged.extend(pairs.into_iter().map(|(key, value)| (key, Node::text(&value))));
        bad.extend(rest);
    }
    let lines = merged.iter().map(|(key, value)| format!("{key}={}", value.as_text().unwrap_or_default()));
    Node::Seq(lines.chain(bad).map(|line| Node::text(&line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;
    use std::path::Path;

    #[test]
    fn merges_as_process_compose_does() {
        let read = |text: &str| parse(Path::new("x"), text).unwrap();
        let mut base = read("a: 1\nb: true\nl: [1]\nm: {x: 1}\nnamespace: [a]\nenvironment: [A=1, B=2=3]");
        let over = read("a: 2\nb: false\nl: [2]\nm: {y: 2}\nnamespace: b\nenvironment: [A=x, C=4]\nn: 3");
        merge(&mut base, &over);
        let wanted =
            "a: 2\nb: true\nl: [1, 2]\nm: {x: 1, y: 2}\nnamespace: b\nenvironment: ['A=x', 'B=2=3', 'C=4']\nn: 3";
        assert_eq!(base, read(wanted));
    }
}
