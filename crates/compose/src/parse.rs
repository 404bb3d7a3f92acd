//! YAML events to nodes: one tree per document, aliases and merge keys resolved.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag as YamlTag};

use crate::dialect::{directive, has_slash_escape, mendable, stray_tab};
use crate::marks::Marks;
use crate::problem::{Code, Report};
use crate::scalar;
use crate::tree::{Key, Map, Node, Span, Tag, Value, Written};

/// No project nests deeper; the recursion of every later pass is bounded by it.
const MAX_DEPTH: usize = 128;
/// Nodes of one file, aliases expanded: more than a project of 10,000 services has, and little enough memory.
const MAX_NODES: usize = 1_000_000;

/// Places that are mended before a file is given up: more than a file has that is not made to hurt.
const MAX_MENDED: usize = 500;

/// The documents of one file, in order. After a problem that leaves no tree there are none and the report says why.
pub(crate) fn parse(file: u32, text: &str, report: &mut Report) -> Option<Vec<Node>> {
    if let Some((line, problem)) = directive(text) {
        report.error(Code::Syntax, Span { file, line, column: 1, start: 0, end: 0 }, problem);
        return None;
    }
    let mut mended = Cow::Borrowed(text);
    for _ in 0..MAX_MENDED {
        let changed = matches!(mended, Cow::Owned(_));
        let mut builder = Builder::new(file, text, changed, report);
        let error = match builder.run(&mended) {
            Ok(None) => return None,
            Ok(Some(())) => {
                builder.check_tabs();
                return (!builder.failed).then_some(builder.documents);
            }
            Err(error) => error,
        };
        let span = builder.span(*error.marker(), *error.marker());
        let Some(space) = mendable(&mended, span.start as usize, error.info()) else {
            report.error(Code::Syntax, span, format!("not valid YAML: {}", error.info()));
            return None;
        };
        mended.to_mut().replace_range(space..=space, " ");
    }
    report.general(Code::Syntax, format!("not valid YAML: more than {MAX_MENDED} stray tabs or line breaks"));
    None
}

/// A collection that is being filled.
struct Frame {
    start: Span,
    anchor: usize,
    tag: Option<Tag>,
    /// Nesting of the deepest child, for aliases of this collection.
    depth: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map { entries: Map, key: Option<PendingKey>, merge: Option<Box<Node>> },
}

/// A key whose value comes next.
struct PendingKey {
    name: Key,
    /// A `<<` without quotes.
    merges: bool,
}

struct Anchored {
    node: Node,
    depth: usize,
    nodes: usize,
    /// Where aliases of it stood, for [`Builder::check_circle`].
    used_at: Vec<String>,
}

struct Builder<'a> {
    report: &'a mut Report,
    text: &'a str,
    marks: Marks<'a>,
    /// Bytes of scalars and of what stands in braces or brackets, in a text with tabs.
    covered: Option<Vec<(u32, u32)>>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    documents: Vec<Node>,
    /// A problem that parsing could go on after: there may be more of the kind.
    failed: bool,
}

impl<'a> Builder<'a> {
    fn new(file: u32, text: &'a str, changed: bool, report: &'a mut Report) -> Self {
        Self {
            report,
            text,
            marks: Marks::new(file, text, changed),
            covered: text.contains('\t').then(Vec::new),
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            documents: Vec::new(),
            failed: false,
        }
    }

    /// Takes in the events of a text; none after a problem that ends it, which was reported.
    fn run(&mut self, text: &str) -> Result<Option<()>, ScanError> {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let (event, span) = next?;
            if self.event(event, span.start, span.end).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        self.marks.span(start, end)
    }

    fn cover(&mut self, span: Span) {
        if let Some(covered) = &mut self.covered {
            covered.push((span.start, span.end));
        }
    }

    fn check_tabs(&mut self) {
        let stray = self.covered.as_ref().and_then(|covered| stray_tab(self.text, covered));
        if let Some(at) = stray {
            let line = self.text[..at].matches('\n').count() + 1;
            self.failed = true;
            let message = format!("line {line} has a tab where only spaces may stand");
            self.report.general(Code::Syntax, message);
        }
    }

    /// A problem that does not keep the rest from being read.
    fn wrong(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.failed = true;
        self.report.error(code, span, message);
    }

    fn event(&mut self, event: Event<'_>, start: Marker, end: Marker) -> Option<()> {
        let span = self.span(start, end);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(Cow::into_owned(text), style, tag.as_deref(), span);
                self.keep(node, anchor, 0)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(span, anchor, merge_tag(tag.as_deref()), FrameKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = FrameKind::Map { entries: Map::new(), key: None, merge: None };
                self.open(span, anchor, merge_tag(tag.as_deref()), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Some(())
            }
        }
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, tag: Option<&YamlTag>, span: Span) -> Node {
        let quoted = style != ScalarStyle::Plain;
        self.cover(span);
        let raw = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        if style == ScalarStyle::DoubleQuoted && has_slash_escape(raw) {
            self.wrong(Code::Syntax, span, "`\\/` is no escape of YAML 1.1; write `/`");
        }
        let value = match tag {
            None if quoted => Value::String(text.clone()),
            None => scalar::resolve(&text),
            Some(tag) if tag.is_yaml_core_schema() => match scalar::resolve_as(&tag.suffix, &text) {
                Some(value) => value,
                None => {
                    self.wrong(Code::Syntax, span, format!("`{text}` is no `!!{}`", tag.suffix));
                    Value::Null
                }
            },
            // Compose passes over a tag that it does not know, but the value is a text then.
            Some(_) => Value::String(text.clone()),
        };
        let written = Some(Written { text: text.into_boxed_str(), quoted });
        Node { value, span, tag: merge_tag(tag), written }
    }

    fn open(&mut self, start: Span, anchor: usize, tag: Option<Tag>, kind: FrameKind) -> Option<()> {
        if self.stack.len() >= MAX_DEPTH {
            self.too_deep(start);
            return None;
        }
        self.stack.push(Frame { start, anchor, tag, depth: 1, kind });
        Some(())
    }

    fn too_deep(&mut self, span: Span) {
        self.report.error(Code::TooDeep, span, format!("nested deeper than {MAX_DEPTH} levels"));
    }

    fn close(&mut self, end: Span) -> Option<()> {
        let frame = self.stack.pop()?;
        let (value, last) = match frame.kind {
            FrameKind::List(list) => {
                let last = list.last().map(|node| node.span.end);
                (Value::Seq(list), last)
            }
            FrameKind::Map { mut entries, merge, .. } => {
                let last = entries.last().map(|(_, node)| node.span.end);
                if let Some(merge) = merge {
                    self.merge(&mut entries, &merge);
                }
                (Value::Map(entries), last)
            }
        };
        // A block collection "ends" at the next token, lines below: its last child is where it really does.
        let block_end = last.filter(|_| end.start == end.end).unwrap_or(end.end);
        let span = Span { end: block_end.max(frame.start.start), ..frame.start };
        if matches!(self.text.as_bytes().get(span.start as usize), Some(b'{' | b'[')) {
            self.cover(span);
        }
        self.keep(Node { value, span, tag: frame.tag, written: None }, frame.anchor, frame.depth)
    }

    /// The entries of `<<` that the map does not have itself; of several maps the first counts.
    fn merge(&mut self, entries: &mut Map, merged: &Node) {
        for source in merged.as_seq().unwrap_or(std::slice::from_ref(merged)) {
            let Some(map) = source.as_map() else {
                self.wrong(Code::WrongType, source.span, "`<<` takes a map or a list of maps");
                continue;
            };
            for (key, node) in map {
                if !entries.contains_key(key) {
                    entries.insert(key.clone(), node.clone());
                }
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        self.check_circle(anchor, span);
        let Some(anchored) = self.anchors.get(&anchor) else {
            self.report.error(Code::TooDeep, span, "an anchor holds an alias to itself");
            return None;
        };
        if self.nodes + anchored.nodes > MAX_NODES {
            self.report.error(Code::TooLarge, span, format!("aliases make this file larger than {MAX_NODES} values"));
            return None;
        }
        if self.stack.len() + anchored.depth > MAX_DEPTH {
            self.too_deep(span);
            return None;
        }
        let (node, depth) = (anchored.node.clone(), anchored.depth);
        self.nodes += anchored.nodes;
        self.place(node, depth)
    }

    /// Compose refuses two uses of one anchor of which one stands below the other, merge keys not counted as a level: it
    /// takes them for a circle. Only across services does it not look.
    fn check_circle(&mut self, anchor: usize, span: Span) {
        let path = self.path().replacen(".<<", "", 1);
        let Some(anchored) = self.anchors.get_mut(&anchor) else { return };
        let circle = anchored.used_at.iter().any(|other| {
            let apart = path.contains("<<") || other.contains("<<") || in_different_services(&path, other);
            !apart && (below(&path, other) || below(other, &path))
        });
        anchored.used_at.push(path);
        if circle {
            self.wrong(Code::TooDeep, span, "the same anchor is used here and above this place");
        }
    }

    /// Keys and numbers from the root to what comes next.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            if !path.is_empty() {
                path.push('.');
            }
            match &frame.kind {
                FrameKind::List(list) => path.push_str(&list.len().to_string()),
                FrameKind::Map { key, .. } => path.push_str(key.as_ref().map_or("", |key| key.name.as_str())),
            }
        }
        path
    }

    fn keep(&mut self, node: Node, anchor: usize, depth: usize) -> Option<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.report.error(Code::TooLarge, node.span, format!("more than {MAX_NODES} values"));
            return None;
        }
        if anchor > 0 {
            let anchored = Anchored { node: node.clone(), depth, nodes: count(&node), used_at: Vec::new() };
            self.anchors.insert(anchor, anchored);
        }
        self.place(node, depth)
    }

    fn place(&mut self, node: Node, depth: usize) -> Option<()> {
        let Some(frame) = self.stack.last_mut() else {
            self.documents.push(node);
            return Some(());
        };
        frame.depth = frame.depth.max(depth + 1);
        let FrameKind::Map { entries, key, merge } = &mut frame.kind else {
            if let FrameKind::List(list) = &mut frame.kind {
                list.push(node);
            }
            return Some(());
        };
        let Some(PendingKey { name, merges: merging }) = key.take() else {
            let merges = node.written.as_ref().is_some_and(|written| !written.quoted && &*written.text == "<<");
            let (name, problem) = key_of(node);
            *key = Some(PendingKey { name, merges });
            if let Some((span, message)) = problem {
                self.wrong(Code::KeyType, span, message);
            }
            return Some(());
        };
        let first = if merging { merge.as_ref().map(|node| node.span) } else { place_of(entries, &name) };
        match first {
            Some(first) => {
                let message = format!("`{name}` stands twice in one map; the first is in line {}", first.line);
                self.wrong(Code::DuplicateKey, name.span, message);
            }
            None if merging => *merge = Some(Box::new(node)),
            None => {
                entries.insert(name, node);
            }
        }
        Some(())
    }
}

fn place_of(entries: &Map, name: &Key) -> Option<Span> {
    entries.get_key_value(name).map(|(key, _)| key.span)
}

/// The name that a node is as a key, and what is wrong with it.
fn key_of(node: Node) -> (Key, Option<(Span, String)>) {
    let described = node.describe();
    let span = node.span;
    let written = node.written.map(|written| written.text).unwrap_or_default();
    match node.value {
        Value::String(text) => (Key::new(text, span), None),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Time(_)
        | Value::Seq(_)
        | Value::Map(_) => {
            let message = format!("a key must be a text, this is {described}; put it in quotes");
            (Key::new(written, span), Some((span, message)))
        }
    }
}

fn merge_tag(tag: Option<&YamlTag>) -> Option<Tag> {
    let tag = tag?;
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Some(Tag::Reset),
        ("!", "override") => Some(Tag::Override),
        (_, _) => None,
    }
}

fn below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'))
}

fn in_different_services(path: &str, other: &str) -> bool {
    let mut pairs = path.split('.').zip(other.split('.'));
    let at_services = pairs.by_ref().any(|(a, b)| a == "services" && b == "services");
    at_services && pairs.next().is_some_and(|(a, b)| a != b)
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Seq(items) => items.iter().map(count).sum(),
        Value::Map(map) => map.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Time(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        let mut report = Report::default();
        let mut documents = parse(0, text, &mut report).unwrap_or_else(|| panic!("{:?}", report.finish(&[])));
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    fn problem(text: &str) -> Code {
        let mut report = Report::default();
        assert!(parse(0, text, &mut report).is_none(), "{text}");
        report.finish(&[]).0[0].code
    }

    #[test]
    fn a_merge_key_gives_what_the_map_does_not_have() {
        let root = one("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 3}\n");
        let c = root.get("c").unwrap();
        let numbers: Vec<_> = ["x", "y", "z"].iter().map(|key| c.get(key).unwrap().value.clone()).collect();
        assert_eq!(numbers, [Value::Int(1), Value::Int(3), Value::Int(2)]);
    }

    #[test]
    fn places_count_lines_and_bytes() {
        let root = one("ä: ö\nb:\n  - x\n");
        let x = &root.get("b").unwrap().as_seq().unwrap()[0];
        assert_eq!((x.span.line, x.span.column, x.span.start, x.span.end), (3, 5, 14, 15));
        assert_eq!(root.as_map().unwrap().get_index(1).unwrap().0.span.line, 2);
    }

    #[test]
    fn what_compose_refuses_is_refused() {
        assert_eq!(problem("a: 1\na: 2\n"), Code::DuplicateKey);
        assert_eq!(problem("a: {1: x}\n"), Code::KeyType);
        assert_eq!(problem("a: &a {b: *a}\n"), Code::TooDeep);
        assert_eq!(problem("a: &a [x]\nb: {<<: *a}\n"), Code::WrongType);
        assert_eq!(problem("a:\n\tb: 1\n"), Code::Syntax);
        assert_eq!(problem("d: &d {k: v}\ns: {<<: *d, e: {<<: *d}}\n"), Code::TooDeep);
    }

    #[test]
    fn tags_are_kept_and_unknown_ones_make_texts() {
        let root = one("a: !reset null\nb: !override [x]\nc: !other 5\n");
        assert_eq!(root.get("a").unwrap().tag, Some(Tag::Reset));
        assert_eq!(root.get("b").unwrap().tag, Some(Tag::Override));
        assert_eq!(root.get("c").unwrap().as_str(), Some("5"));
    }

    #[test]
    fn a_tab_may_stand_between_tokens_but_not_before_them() {
        let root = one("a:\tb\t# c\nd: [\te,\n\tf]\ng: |\n  h\n  \ti\n");
        assert_eq!(root.get("a").and_then(Node::as_str), Some("b"));
        assert_eq!(root.get("d").and_then(Node::as_seq).map(<[Node]>::len), Some(2));
        assert_eq!(root.get("g").and_then(Node::as_str), Some("h\n\ti\n"));
        for text in ["a:\n\tb: c\n", "a:\n  -\tb\n", "a: b\n\t\nc: d\n", "\ta: b\n", "a: b\n \t# c\n"] {
            assert_eq!(problem(text), Code::Syntax, "{text:?}");
        }
    }

    #[test]
    fn what_stands_in_braces_may_begin_at_the_line() {
        let root = one("a: {\nb: c,\nd: [\ne\n]\n}\nf: g\n");
        assert_eq!(root.at(&["a", "b"]).and_then(Node::as_str), Some("c"));
        let f = root.get("f").unwrap().span;
        assert_eq!((f.line, f.column, f.start), (7, 4, 25));
        assert_eq!(problem("a: \"\\/\"\n"), Code::Syntax);
        one("a: \"\\\\/\"\n");
    }

    #[test]
    fn only_yaml_1_1_may_be_asked_for() {
        one("%YAML 1.1\n---\na: b\n");
        assert_eq!(problem("%YAML 1.2\n---\na: b\n"), Code::Syntax);
        assert_eq!(problem("%OTHER\n---\na: b\n"), Code::Syntax);
    }

    #[test]
    fn a_merge_key_in_quotes_is_a_key() {
        let root = one("a: {\"<<\": {b: c}}\n");
        assert!(root.at(&["a", "<<", "b"]).is_some());
    }

    #[test]
    fn aliases_cannot_make_a_file_grow_without_bounds() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let alias = format!("*a{}", level - 1);
            let items = [alias.as_str(); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert_eq!(problem(&text), Code::TooLarge);
    }

    #[test]
    fn a_file_has_any_number_of_documents() {
        let mut report = Report::default();
        assert_eq!(parse(0, "a: 1\n---\nb: 2\n", &mut report).map(|all| all.len()), Some(2));
        assert_eq!(parse(0, "# nothing\n", &mut report).map(|all| all.len()), Some(0));
    }
}
