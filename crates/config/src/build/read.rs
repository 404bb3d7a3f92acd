//! Typed values out of nodes. A wrong kind was reported by the language's check already: here it is only left out.

use super::Chosen;
use super::command::Place;
use crate::files::{Sources, normal};
use crate::include::Reader;
use crate::language::unknown_word;
use crate::problem::{Code, Report};
use crate::tree::{Kind, Node, Span, boolean};
use indexmap::IndexMap;
use muster_spec::{ByteSize, HumanDuration, Part, PortName, Reference, RuntimeKind, ServiceName, Signal, Template};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A reference that was read, to be checked when every service is known.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) span: Span,
    /// The service whose text it is in.
    pub(super) by: Option<ServiceName>,
    /// The variant of it whose text it is in.
    pub(super) variant: Option<RuntimeKind>,
    pub(super) reference: Reference,
}

/// What building carries along.
pub(super) struct Cx<'a> {
    pub(super) report: &'a mut Report,
    pub(super) sources: &'a Sources,
    pub(super) root: &'a Path,
    /// The caller's home, for `~`.
    pub(super) home: Option<&'a str>,
    pub(super) used: Vec<Used>,
    pub(super) service: Option<ServiceName>,
    /// The variant whose text is read; none: what holds for the one that is used.
    pub(super) variant: Option<RuntimeKind>,
    /// The ports of services as variants that are not used would have them, where these say something of their own.
    pub(super) ports: BTreeMap<(ServiceName, RuntimeKind), BTreeSet<PortName>>,
    /// Where what a probe executes lies.
    pub(super) probed: Place,
}

impl<'a> Cx<'a> {
    pub(super) fn new(reader: &'a mut Reader<'_>, chosen: &'a Chosen<'_>) -> Self {
        let Reader { sources, report, .. } = reader;
        Self {
            report,
            sources,
            root: &chosen.root,
            home: chosen.env.get("HOME").map(String::as_str),
            used: Vec::new(),
            service: None,
            variant: None,
            ports: BTreeMap::new(),
            probed: Place::Here,
        }
    }
}

impl Cx<'_> {
    /// A text without references.
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        let scalar = node.as_scalar()?;
        let Some(template) = &scalar.template else { return Some(scalar.text.clone()) };
        let literal = template.as_literal();
        if literal.is_none() {
            let which = template.references().map(|r| format!("`${{{r}}}`")).collect::<Vec<_>>().join(", ");
            let item = self.report.error(Code::BadReference, node.span, format!("{which} cannot stand here"));
            item.help("this must be known before anything starts; references work in commands, env, probes and paths");
        }
        literal
    }

    /// A text with references.
    pub(super) fn template(&mut self, node: &Node) -> Option<Template> {
        let scalar = node.as_scalar()?;
        let Some(template) = &scalar.template else { return Some(Template::literal(&scalar.text)) };
        self.note(template, node.span);
        Some(template.clone())
    }

    /// Remembers the references of a template.
    pub(super) fn note(&mut self, template: &Template, span: Span) {
        for reference in template.references() {
            self.used.push(Used {
                span,
                by: self.service.clone(),
                variant: self.variant,
                reference: reference.clone(),
            });
        }
    }

    pub(super) fn text_at(&mut self, node: &Node, key: &str) -> Option<String> {
        node.get(key).and_then(|value| self.text(value))
    }

    pub(super) fn template_at(&mut self, node: &Node, key: &str) -> Option<Template> {
        node.get(key).and_then(|value| self.template(value))
    }

    pub(super) fn flag(&mut self, node: &Node, key: &str) -> Option<bool> {
        let value = node.get(key)?;
        let text = self.text(value)?;
        let found = boolean(&text);
        if found.is_none() {
            self.report.error(Code::WrongType, value.span, format!("expected `true` or `false`, found `{text}`"));
        }
        found
    }

    pub(super) fn number<T: FromStr>(&mut self, node: &Node, key: &str, what: &str) -> Option<T> {
        node.get(key).and_then(|value| self.number_of(value, what))
    }

    pub(super) fn number_of<T: FromStr>(&mut self, value: &Node, what: &str) -> Option<T> {
        let text = self.text(value)?;
        let found = text.replace('_', "").parse().ok();
        if found.is_none() {
            self.report.error(Code::WrongType, value.span, format!("expected {what}, found `{text}`"));
        }
        found
    }

    pub(super) fn duration(&mut self, node: &Node, key: &str) -> Option<HumanDuration> {
        let value = node.get(key)?;
        let text = self.text(value)?;
        self.duration_of(&text, value.span)
    }

    pub(super) fn duration_of(&mut self, text: &str, span: Span) -> Option<HumanDuration> {
        match text.trim().parse() {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.report.error(Code::BadDuration, span, format!("{error}"));
                None
            }
        }
    }

    pub(super) fn size_of(&mut self, value: &Node) -> Option<ByteSize> {
        let text = self.text(value)?;
        match text.parse() {
            Ok(size) => Some(size),
            Err(error) => {
                self.report.error(Code::BadSize, value.span, format!("{error}"));
                None
            }
        }
    }

    pub(super) fn signal_of(&mut self, text: &str, span: Span) -> Option<Signal> {
        match text.parse() {
            Ok(signal) => Some(signal),
            Err(error) => {
                self.report.error(Code::BadSignal, span, format!("{error}"));
                None
            }
        }
    }

    pub(super) fn word<T: Copy>(&mut self, node: &Node, key: &str, words: &[(&str, T)]) -> Option<T> {
        node.get(key).and_then(|value| self.word_of(value, words))
    }

    pub(super) fn word_of<T: Copy>(&mut self, value: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(value)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            unknown_word(value, &text, &known, self.report);
        }
        found
    }

    /// A name of any kind, checked.
    pub(super) fn name<T: FromStr<Err = E>, E: std::fmt::Display>(&mut self, text: &str, span: Span) -> Option<T> {
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.report.error(Code::BadName, span, format!("{error}"));
                None
            }
        }
    }

    pub(super) fn texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        let Some(list) = node.get(key) else { return Vec::new() };
        list.one_or_many().iter().filter_map(|item| self.text(item)).collect()
    }

    /// A path, absolute, from the folder of the file it stands in.
    pub(super) fn path(&mut self, node: &Node) -> Option<PathBuf> {
        let text = self.text(node)?;
        Some(normal(&self.sources.folder(node.span.file).join(text)))
    }

    pub(super) fn path_at(&mut self, node: &Node, key: &str) -> Option<PathBuf> {
        node.get(key).and_then(|value| self.path(value))
    }

    pub(super) fn paths(&mut self, node: &Node, key: &str) -> Vec<PathBuf> {
        let Some(list) = node.get(key) else { return Vec::new() };
        list.one_or_many().iter().filter_map(|item| self.path(item)).collect()
    }

    /// A path that may begin with a reference, which is absolute then.
    pub(super) fn path_template(&mut self, node: &Node) -> Option<Template> {
        let template = self.template(node)?;
        Some(self.anchored(template, node.span))
    }

    /// The template with a relative beginning made absolute.
    pub(super) fn anchored(&self, mut template: Template, span: Span) -> Template {
        let folder = self.sources.folder(span.file);
        let single = template.0.len() == 1;
        if let Some(Part::Text(text)) = template.0.first_mut() {
            let joined = folder.join(&*text);
            // Text that a reference follows keeps its trailing slash: `data/${replica}`.
            *text = if single { normal(&joined).display().to_string() } else { joined.display().to_string() };
        }
        template
    }

    /// A path whose `~` is the caller's home.
    pub(super) fn home_of(&mut self, text: &str, span: Span) -> Option<String> {
        let Some(rest) = text.strip_prefix('~') else { return Some(text.to_owned()) };
        if !rest.is_empty() && !rest.starts_with('/') {
            let item = self.report.error(Code::BadMount, span, format!("`{text}` is in somebody else's home"));
            item.help("write the path from `/`; `~/` is your own home");
            return None;
        }
        let Some(home) = self.home.filter(|home| home.starts_with('/')) else {
            let item = self.report.error(Code::Unset, span, "`~` is your home, and `HOME` is not set");
            item.help("set `HOME`, or write the path from `/`");
            return None;
        };
        Some(format!("{}{rest}", home.trim_end_matches('/')))
    }

    /// As [`Cx::anchored`], and a `~` at the beginning is the caller's home.
    pub(super) fn homed(&mut self, mut template: Template, span: Span) -> Option<Template> {
        if let Some(Part::Text(text)) = template.0.first_mut() {
            *text = self.home_of(text, span)?;
        }
        Some(self.anchored(template, span))
    }

    /// As [`Cx::path`], and a `~` at the beginning is the caller's home.
    pub(super) fn homed_path(&mut self, node: &Node) -> Option<PathBuf> {
        let text = self.text(node)?;
        let text = self.home_of(&text, node.span)?;
        Some(normal(&self.sources.folder(node.span.file).join(text)))
    }

    /// `{A: 1}` or `[A=1]`; a name without a value has an empty one.
    pub(super) fn pairs(&mut self, node: &Node, key: &str) -> IndexMap<String, String> {
        let Some(value) = node.get(key) else { return IndexMap::new() };
        let mut out = IndexMap::new();
        if let Some(map) = value.as_map() {
            for (name, entry) in map {
                let text = if entry.value.is_null() { Some(String::new()) } else { self.text(&entry.value) };
                out.extend(text.map(|text| (name.clone(), text)));
            }
            return out;
        }
        for item in value.one_or_many() {
            let Some(text) = self.text(item) else { continue };
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            out.insert(name.to_owned(), value.to_owned());
        }
        out
    }

    /// Globs of a file in another folder than the root's are written from the root.
    pub(super) fn globs(&mut self, node: &Node, key: &str) -> Vec<String> {
        let Some(list) = node.get(key) else { return Vec::new() };
        let mut out = Vec::new();
        for item in list.one_or_many() {
            let Some(text) = self.text(item) else { continue };
            out.push(self.rooted(&text, item.span));
        }
        out
    }

    fn rooted(&self, glob: &str, span: Span) -> String {
        let folder = self.sources.folder(span.file);
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        if folder == self.root || Path::new(glob).is_absolute() {
            return glob.to_owned();
        }
        match folder.strip_prefix(self.root) {
            Ok(below) => below.join(glob).display().to_string(),
            Err(_) => folder.join(glob).display().to_string(),
        }
    }

    /// A regular expression, compiled once to see that it can be.
    pub(super) fn regex(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        if let Err(error) = regex::Regex::new(&text) {
            let why = error.to_string();
            let line = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.report.error(Code::BadRegex, node.span, format!("not a regular expression: {line}"));
            return None;
        }
        Some(text)
    }

    pub(super) fn missing(&mut self, span: Span, what: &str) {
        self.report.error(Code::MissingKey, span, what);
    }
}

/// Key, place of the key, and value of a map's entries that are not null.
pub(super) fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, Span, &Node)> {
    let map = node.and_then(|node| if let Kind::Map(map) = &node.kind { Some(map) } else { None });
    map.into_iter().flatten().map(|(key, entry)| (key.as_str(), entry.key_span, &entry.value))
}
