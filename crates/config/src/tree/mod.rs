//! Text to a tree of nodes, each with its place.
//!
//! This reads stack files, and by [`parse_foreign`] the YAML of other tools that is imported.
//!
//! A scalar keeps the text as it was written (`1.10` stays `1.10`); what it means is decided by who reads it. Aliases
//! and merge keys are resolved here, so that later passes see plain maps, lists and scalars.

mod parse;

use indexmap::IndexMap;
use muster_spec::Template;
use std::collections::{HashMap, HashSet};

pub(crate) use muster_compose::Span;
pub(crate) use parse::{parse, parse_foreign};

/// What an overlay does with a value instead of replacing or merging it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeTag {
    Append,
    Unset,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes: may be a number, a boolean or null.
    pub(crate) plain: bool,
    /// Set by interpolation when the text has references or `$$`.
    pub(crate) template: Option<Template>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

pub(crate) type Map = IndexMap<String, Entry>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
    pub(crate) tag: Option<MergeTag>,
}

impl Node {
    pub(crate) fn new(span: Span, kind: Kind) -> Self {
        Self { span, kind, tag: None }
    }

    pub(crate) fn word(span: Span, text: &str) -> Self {
        Self::scalar(span, text, true)
    }

    pub(crate) fn scalar(span: Span, text: &str, plain: bool) -> Self {
        Self::new(span, Kind::Scalar(Scalar { text: text.to_owned(), plain, template: None }))
    }

    pub(crate) fn map(span: Span) -> Self {
        Self::new(span, Kind::Map(Map::new()))
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        if let Kind::Map(map) = &self.kind { Some(map) } else { None }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Kind::Map(map) = &mut self.kind { Some(map) } else { None }
    }

    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        if let Kind::List(list) = &self.kind { Some(list) } else { None }
    }

    pub(crate) fn as_scalar(&self) -> Option<&Scalar> {
        if let Kind::Scalar(scalar) = &self.kind { Some(scalar) } else { None }
    }

    /// The text of a scalar that is not null.
    pub(crate) fn as_text(&self) -> Option<&str> {
        self.as_scalar().filter(|_| !self.is_null()).map(|scalar| scalar.text.as_str())
    }

    /// The text of a scalar without quotes: what may be a number or a boolean.
    pub(crate) fn as_plain(&self) -> Option<&str> {
        self.as_scalar().filter(|scalar| scalar.plain).map(|scalar| scalar.text.as_str())
    }

    /// Nothing was written, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(|s| {
            s.plain && s.template.is_none() && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
        })
    }

    /// A list as it is; anything else that is not null as a list of one.
    pub(crate) fn one_or_many(&self) -> &[Node] {
        match &self.kind {
            Kind::List(list) => list,
            Kind::Scalar(_) if self.is_null() => &[],
            Kind::Scalar(_) | Kind::Map(_) => std::slice::from_ref(self),
        }
    }

    /// The value of a key, unless it is null.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|entry| &entry.value).filter(|value| !value.is_null())
    }

    /// The keys that lead to the nodes at some places, as `services.api.needs[1]`.
    pub(crate) fn paths(&self, wanted: &HashSet<Span>) -> HashMap<Span, String> {
        let mut found = HashMap::new();
        // imported documents have one place for everything: that is no key
        let mut open = vec![(String::new(), self)];
        while let Some((path, node)) = open.pop() {
            if wanted.contains(&node.span) && node.span != self.span {
                let known = found.entry(node.span).or_insert_with(String::new);
                // What a variant says for itself also stands in its service: it was written in the variant.
                if known.len() < path.len() {
                    known.clone_from(&path);
                }
            }
            match &node.kind {
                Kind::Scalar(_) => {}
                Kind::List(list) => {
                    open.extend(list.iter().enumerate().map(|(at, node)| (format!("{path}[{at}]"), node)));
                }
                Kind::Map(map) => open.extend(map.iter().map(|(key, entry)| {
                    let dot = if path.is_empty() { "" } else { "." };
                    (format!("{path}{dot}{key}"), &entry.value)
                })),
            }
        }
        found
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar(_) if self.is_null() => "nothing",
            Kind::Scalar(_) => "a text",
        }
    }
}

/// `true` and `false` of the YAML 1.2 core schema.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A tree of a JSON document, all of it at one place.
pub(crate) fn from_json(value: &serde_json::Value, span: Span) -> Node {
    use serde_json::Value;
    match value {
        Value::Null => Node::word(span, "null"),
        Value::Bool(b) => Node::word(span, if *b { "true" } else { "false" }),
        Value::Number(n) => Node::word(span, &n.to_string()),
        Value::String(text) => Node::scalar(span, text, false),
        Value::Array(items) => Node::new(span, Kind::List(items.iter().map(|item| from_json(item, span)).collect())),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| {
                let value = from_json(value, span);
                (key.clone(), Entry { key_span: span, value })
            });
            Node::new(span, Kind::Map(entries.collect()))
        }
    }
}
