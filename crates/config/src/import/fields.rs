//! Reading fields of a map as process-compose types them, and remembering which were read.

use super::{ImportProblem, LossReport};
use crate::tree::{Map, Node};
use std::collections::BTreeSet;

/// Where losses and problems are collected.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What cannot be kept.
    pub(super) loss: LossReport,
    /// Why it is refused.
    pub(super) problems: Vec<ImportProblem>,
    /// Whether complaints are problems.
    pub(super) strict: bool,
}

impl Report {
    /// Something the other tool only logs, unless it is strict.
    pub(super) fn complain(&mut self, field: &str, reason: &str, instead: &str) {
        if self.strict {
            self.problems.push(ImportProblem::Strict { field: field.to_owned(), reason: reason.to_owned() });
        } else {
            self.loss.push(field, reason, instead);
        }
    }

    /// A value that is refused.
    pub(super) fn invalid(&mut self, field: &str, reason: impl Into<String>) {
        self.problems.push(ImportProblem::InvalidValue { field: field.to_owned(), reason: reason.into() });
    }
}

/// A map whose fields are taken one by one; what is left over at the end is unknown.
pub(super) struct Fields<'a> {
    /// The path of the map, as in `processes.web`.
    pub(super) path: String,
    map: &'a Map,
    taken: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of `map`, which stands at `path`.
    pub(super) fn new(path: impl Into<String>, map: &'a Map) -> Self {
        Self { path: path.into(), map, taken: BTreeSet::new() }
    }

    /// The path of a field.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A field that is there and not null.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.taken.insert(key);
        self.map.get(key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    fn wrong<T>(&self, key: &str, wanted: &'static str, report: &mut Report) -> Option<T> {
        report.problems.push(ImportProblem::WrongType { field: self.at(key), wanted });
        None
    }

    /// A text; an empty one is as good as none.
    pub(super) fn text(&mut self, key: &'static str, report: &mut Report) -> Option<String> {
        match self.node(key)?.as_text() {
            Some(text) => Some(text.to_owned()).filter(|text| !text.is_empty()),
            None => self.wrong(key, "a text", report),
        }
    }

    /// A number; 0 when it is not there.
    pub(super) fn number(&mut self, key: &'static str, report: &mut Report) -> i64 {
        let Some(node) = self.node(key) else { return 0 };
        let number = node.as_plain().and_then(|text| text.replace('_', "").parse().ok());
        number.or_else(|| self.wrong(key, "a whole number", report)).unwrap_or(0)
    }

    /// Yes or no; no when it is not there.
    pub(super) fn flag(&mut self, key: &'static str, report: &mut Report) -> bool {
        let Some(node) = self.node(key) else { return false };
        node_flag(node).or_else(|| self.wrong(key, "`true` or `false`", report)).unwrap_or(false)
    }

    /// A map.
    pub(super) fn map(&mut self, key: &'static str, report: &mut Report) -> Option<&'a Map> {
        self.node(key)?.as_map().or_else(|| self.wrong(key, "a map", report))
    }

    /// A list of texts; empty when it is not there.
    pub(super) fn list(&mut self, key: &'static str, report: &mut Report) -> Vec<String> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let texts = |items: &[Node]| items.iter().map(|item| item.as_text().map(str::to_owned)).collect();
        let items: Option<Vec<String>> = node.as_list().and_then(texts);
        items.or_else(|| self.wrong(key, "a list of texts", report)).unwrap_or_default()
    }

    /// Fields that are there although nothing is done with them.
    pub(super) fn lose(&mut self, keys: &[(&'static str, &str, &str)], report: &mut Report) {
        for (key, reason, instead) in keys {
            if self.node(key).is_some_and(|node| node_flag(node) != Some(false)) {
                report.loss.push(&self.at(key), reason, instead);
            }
        }
    }

    /// Complains of every field that was not read; `x-` fields are only reported.
    pub(super) fn finish(self, report: &mut Report) {
        for key in self.map.keys().filter(|key| !self.taken.contains(key.as_str())) {
            let field = self.at(key);
            if key.starts_with("x-") {
                report.loss.push(&field, "an extension without a meaning of its own", "it is left out");
            } else {
                report.complain(&field, "unknown key", "it is left out");
            }
        }
    }
}

/// Yes or no as YAML 1.1 writes it, which process-compose's reader accepts.
pub(super) fn node_flag(node: &Node) -> Option<bool> {
    match node.as_plain()?.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}
