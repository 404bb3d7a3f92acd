//! Where every value of the merged file came from: `muster config --origin`.

use crate::build::own;
use crate::files::Sources;
use crate::tree::{Kind, Node, Span};
use muster_spec::{RuntimeKind, ServiceSpec, Stack};
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;

/// One value and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Keys from the top, joined by dots; items of a list by their number from 0.
    pub path: String,
    /// The value as it was resolved; references and secrets stay as `${...}`.
    pub value: String,
    /// The file it stands in.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// The environment whose overlay it stands in.
    pub environment: Option<String>,
    /// The variant of its service that says so for itself.
    pub variant: Option<RuntimeKind>,
}

/// The origins of all scalars, in order.
pub(crate) fn origins(tree: &Node, sources: &Sources, chain: &[String], stack: &Stack) -> Vec<Origin> {
    let mut walk = Walk { sources, overlays: Vec::new(), own: HashMap::new(), out: Vec::new() };
    for service in stack.services.values() {
        walk.variant(tree, service);
    }
    if let Some(environments) = tree.get("environments").and_then(Node::as_map) {
        let spans =
            chain.iter().filter_map(|name| environments.get(name).map(|entry| (name.clone(), entry.value.span)));
        walk.overlays = spans.map(|(name, span)| (name, span.file, span.start, span.end)).collect();
    }
    for (key, entry) in tree.as_map().into_iter().flatten() {
        if key != "environments" && !key.starts_with("x-") {
            walk.node(key, &entry.value);
        }
    }
    walk.out
}

struct Walk<'a> {
    sources: &'a Sources,
    overlays: Vec<(String, u32, u32, u32)>,
    /// Values that variants which are used say for themselves: in the variant, and where they hold.
    own: HashMap<Span, Own>,
    out: Vec<Origin>,
}

struct Own {
    /// The keys before those of the value, in the variant.
    inside: String,
    runtime: RuntimeKind,
}

impl Walk<'_> {
    fn variant(&mut self, tree: &Node, service: &ServiceSpec) {
        let node = tree.get("services").and_then(|services| services.get(service.name.as_str()));
        let Some(own) = node.and_then(|node| own(node, service.runtime)) else { return };
        let inside = format!("services.{}.{}.", service.name, service.runtime);
        let mut open = vec![&own];
        while let Some(node) = open.pop() {
            match &node.kind {
                Kind::Scalar(_) => {
                    self.own.insert(node.span, Own { inside: inside.clone(), runtime: service.runtime });
                }
                Kind::List(list) => open.extend(list),
                Kind::Map(map) => open.extend(map.values().map(|entry| &entry.value)),
            }
        }
    }

    fn node(&mut self, path: &str, node: &Node) {
        match &node.kind {
            Kind::Scalar(scalar) => {
                let value = scalar.template.as_ref().map_or_else(|| scalar.text.clone(), ToString::to_string);
                let span = node.span;
                let own = self.own.get(&span);
                if own.is_some_and(|own| path.starts_with(&own.inside)) {
                    return;
                }
                let inside = |(_, file, start, end): &&(String, u32, u32, u32)| {
                    *file == span.file && (*start..*end).contains(&span.start)
                };
                self.out.push(Origin {
                    path: path.to_owned(),
                    value,
                    file: self.sources.get(span.file).map(|file| file.path.clone()).unwrap_or_default(),
                    line: span.line,
                    variant: own.map(|own| own.runtime),
                    environment: self.overlays.iter().find(inside).map(|(name, ..)| name.clone()),
                });
            }
            Kind::List(list) => {
                for (at, item) in list.iter().enumerate() {
                    self.node(&format!("{path}.{at}"), item);
                }
            }
            Kind::Map(map) => {
                for (key, entry) in map {
                    self.node(&format!("{path}.{key}"), &entry.value);
                }
            }
        }
    }
}
