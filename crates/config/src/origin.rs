//! Where every value of the merged file came from: `muster config --origin`.

use crate::files::Sources;
use crate::tree::{Kind, Node};
use serde::Serialize;
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
}

/// The origins of all scalars, in order.
pub(crate) fn origins(tree: &Node, sources: &Sources, chain: &[String]) -> Vec<Origin> {
    let mut walk = Walk { sources, overlays: Vec::new(), out: Vec::new() };
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
    out: Vec<Origin>,
}

impl Walk<'_> {
    fn node(&mut self, path: &str, node: &Node) {
        match &node.kind {
            Kind::Scalar(scalar) => {
                let value = scalar.template.as_ref().map_or_else(|| scalar.text.clone(), ToString::to_string);
                let span = node.span;
                let inside = |(_, file, start, end): &&(String, u32, u32, u32)| {
                    *file == span.file && (*start..*end).contains(&span.start)
                };
                self.out.push(Origin {
                    path: path.to_owned(),
                    value,
                    file: self.sources.get(span.file).map(|file| file.path.clone()).unwrap_or_default(),
                    line: span.line,
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
