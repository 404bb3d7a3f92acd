//! Files to one tree per file: reading, includes with their prefix, shorthand made long.

use crate::files::{Host, Sources, normal};
use crate::language::{self, STACK};
use crate::merge::{merge, settled};
use crate::problem::{Code, Report};
use crate::shorthand;
use crate::tree::{self, Entry, Kind, Map, Node, Span};
use muster_spec::RuntimeKind;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Reads files and what they include.
pub(crate) struct Reader<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) sources: Sources,
    pub(crate) report: Report,
    /// Files that are being read: one that is met again includes itself.
    open: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(host: &'a dyn Host) -> Self {
        Self { host, sources: Sources::default(), report: Report::default(), open: Vec::new() }
    }

    /// The text of a file, registered as a source.
    pub(crate) fn text(&mut self, path: &Path, asked: Option<Span>) -> Option<u32> {
        let bytes = match self.host.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(path, asked, &error.to_string());
                return None;
            }
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text,
            Ok(_) => {
                self.unreadable(path, asked, "it is a binary file");
                return None;
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
                self.unreadable(path, asked, &format!("line {line} is not UTF-8"));
                return None;
            }
        };
        // A byte order mark is not part of the document.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Some(self.sources.add(path.to_owned(), text))
    }

    fn unreadable(&mut self, path: &Path, asked: Option<Span>, why: &str) {
        let message = format!("cannot read `{}`: {why}", path.display());
        let item = match asked {
            Some(span) => self.report.error(Code::Unreadable, span, message),
            None => self.report.general(Code::Unreadable, message),
        };
        item.help("check the path; a stack file is text in UTF-8 that this user can read");
    }

    /// The tree of a file with its includes merged below it.
    pub(crate) fn file(&mut self, path: &Path, asked: Option<Span>) -> Option<Node> {
        let id = self.text(path, asked)?;
        let text = self.sources.get(id)?.text.clone();
        let node = tree::parse(id, &text, &mut self.report)?;
        self.document(node, path, asked)
    }

    /// A tree that is already there, as an importer makes it.
    pub(crate) fn document(&mut self, node: Node, path: &Path, asked: Option<Span>) -> Option<Node> {
        if self.open.iter().any(|open| open == path) {
            let span = asked.unwrap_or(node.span);
            self.report.error(Code::Include, span, format!("`{}` includes itself", path.display()));
            return None;
        }
        language::check(&node, &STACK, &mut self.report);
        self.report.name_keys(&node);
        let mut node = node;
        shorthand::expand(&mut node, &mut self.report);
        let includes = node.as_map_mut()?.shift_remove("include");
        let Some(includes) = includes else { return Some(node) };
        self.open.push(path.to_owned());
        let mut merged: Option<Node> = None;
        for include in includes.value.one_or_many() {
            if let Some(part) = self.include(include, path) {
                match &mut merged {
                    Some(base) => merge(base, part, &mut self.report),
                    None => merged = Some(settled(part)),
                }
            }
        }
        self.open.pop();
        Some(match merged {
            Some(mut base) => {
                merge(&mut base, node, &mut self.report);
                base
            }
            None => node,
        })
    }

    fn include(&mut self, include: &Node, from: &Path) -> Option<Node> {
        let path_node = if include.as_map().is_some() { include.get("path") } else { Some(include) };
        let Some(path_node) = path_node else {
            self.report.error(Code::MissingKey, include.span, "an include needs a `path`");
            return None;
        };
        let text = &path_node.as_scalar()?.text;
        let folder = from.parent().unwrap_or(Path::new("/"));
        let path = normal(&folder.join(text));
        let mut tree = self.file(&path, Some(path_node.span))?;
        if let Some(map) = tree.as_map_mut() {
            // The name and the default environment are those of the file that was asked for.
            map.shift_remove("name");
            map.shift_remove("default_environment");
        }
        if let Some(prefix) = include.get("as").and_then(Node::as_scalar) {
            prefixed(&mut tree, &prefix.text);
        }
        Some(tree)
    }
}

/// Sections whose keys are names that a prefix changes.
const NAMED: [&str; 4] = ["services", "databases", "tests", "profiles"];

/// Every name that the tree defines, and every use of one of them, gets a prefix.
fn prefixed(tree: &mut Node, prefix: &str) {
    let names = |tree: &Node, section: &str| -> BTreeSet<String> {
        tree.get(section).and_then(Node::as_map).map(|map| map.keys().cloned().collect()).unwrap_or_default()
    };
    let (services, databases) = (names(tree, "services"), names(tree, "databases"));
    let renames = Renames { prefix, services, databases };
    renames.texts(tree);
    renames.sections(tree);
    let environments = tree.as_map_mut().and_then(|map| map.get_mut("environments"));
    if let Some(map) = environments.and_then(|entry| entry.value.as_map_mut()) {
        map.values_mut().for_each(|entry| renames.sections(&mut entry.value));
    }
}

struct Renames<'a> {
    prefix: &'a str,
    services: BTreeSet<String>,
    databases: BTreeSet<String>,
}

impl Renames<'_> {
    fn sections(&self, tree: &mut Node) {
        let Some(map) = tree.as_map_mut() else { return };
        for section in NAMED {
            let Some(body) = map.get_mut(section).and_then(|entry| entry.value.as_map_mut()) else { continue };
            let entries = std::mem::take(body);
            for (name, mut entry) in entries {
                self.uses(section, &mut entry.value);
                body.insert(format!("{}-{name}", self.prefix), entry);
            }
        }
    }

    fn uses(&self, section: &str, node: &mut Node) {
        if section == "profiles" {
            return self.names(node);
        }
        let Some(map) = node.as_map_mut() else { return };
        let key = match section {
            "services" | "tests" => "needs",
            _ => "service",
        };
        if let Some(entry) = map.get_mut(key) {
            self.names(&mut entry.value);
        }
        if section != "services" {
            return;
        }
        if let Some(entry) = map.get_mut("aliases") {
            self.all(&mut entry.value);
        }
        for kind in RuntimeKind::ALL {
            let variant = map.get_mut(kind.as_str()).and_then(|entry| entry.value.as_map_mut());
            if let Some(entry) = variant.and_then(|map| map.get_mut("needs")) {
                self.names(&mut entry.value);
            }
        }
    }

    /// Renames texts, list items and keys that are services of the tree.
    fn names(&self, node: &mut Node) {
        match &mut node.kind {
            Kind::Scalar(scalar) => {
                if self.services.contains(&scalar.text) {
                    scalar.text = format!("{}-{}", self.prefix, scalar.text);
                }
            }
            Kind::List(list) => list.iter_mut().for_each(|item| self.names(item)),
            Kind::Map(map) => {
                let entries = std::mem::take(map);
                let renamed = entries.into_iter().map(|(name, entry)| {
                    let known = self.services.contains(&name);
                    (if known { format!("{}-{name}", self.prefix) } else { name }, entry)
                });
                *map = renamed.collect::<indexmap::IndexMap<String, Entry>>();
            }
        }
    }

    fn all(&self, node: &mut Node) {
        match &mut node.kind {
            Kind::Scalar(scalar) => scalar.text = format!("{}-{}", self.prefix, scalar.text),
            Kind::List(list) => list.iter_mut().for_each(|item| self.all(item)),
            Kind::Map(_) => {}
        }
    }

    /// `${services.X.` and `${databases.X.` in every text.
    fn texts(&self, node: &mut Node) {
        match &mut node.kind {
            Kind::Scalar(scalar) => {
                for (word, names) in [("services", &self.services), ("databases", &self.databases)] {
                    if !scalar.text.contains(word) {
                        continue;
                    }
                    for name in names {
                        let to = format!("${{{word}.{}-{name}.", self.prefix);
                        scalar.text = scalar.text.replace(&format!("${{{word}.{name}."), &to);
                    }
                }
            }
            Kind::List(list) => list.iter_mut().for_each(|item| self.texts(item)),
            Kind::Map(map) => map.values_mut().for_each(|entry| self.texts(&mut entry.value)),
        }
    }
}

/// An empty tree to merge into.
pub(crate) fn empty() -> Node {
    Node::new(Span::default(), Kind::Map(Map::new()))
}
