//! YAML events to nodes.

use super::{Entry, Kind, Map, MergeTag, Node, Scalar, Span};
use crate::problem::{Code, Report};
use muster_compose::Marks;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// No stack nests deeper; the recursion of every later pass is bounded by it.
const MAX_DEPTH: usize = 64;
/// Nodes of one document, aliases expanded: more than a stack of 10,000 services has, and little enough memory.
const MAX_NODES: usize = 1_000_000;

/// Whose file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// A stack: one document, with tags of its own.
    Stack,
    /// Another tool's: further documents are not looked at, and what has a tag that YAML does not know is a text.
    Foreign,
}

/// The tree of one stack file, or nothing after a problem that leaves no tree.
pub(crate) fn parse(file: u32, text: &str, report: &mut Report) -> Option<Node> {
    let root = read(Dialect::Stack, file, text, report)?;
    if root.is_null() {
        let start = Span { file, line: 1, column: 1, start: 0, end: 0 };
        report.error(Code::Unreadable, start, "the file is empty").help("`muster init` writes a first one");
        return None;
    }
    Some(root)
}

/// The tree of the first document of another tool's file, null where there is none; nothing after a problem that leaves
/// no tree.
pub(crate) fn parse_foreign(text: &str, report: &mut Report) -> Option<Node> {
    read(Dialect::Foreign, 0, text, report)
}

fn read(dialect: Dialect, file: u32, text: &str, report: &mut Report) -> Option<Node> {
    let mut builder = Builder::new(dialect, file, text, report);
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => builder.event(event, span.start, span.end)?,
            Err(error) => {
                builder.syntax(&error);
                return None;
            }
        }
        if dialect == Dialect::Foreign && builder.root.is_some() {
            break;
        }
    }
    Some(builder.root.take().unwrap_or_else(|| Node::word(Span { file, ..Span::default() }, "")))
}

/// A collection that is being filled.
struct Frame {
    start: Span,
    anchor: usize,
    tag: Option<MergeTag>,
    /// Nesting of the deepest child, for aliases of this collection.
    depth: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map { entries: Map, key: Option<PendingKey>, merges: Vec<Node> },
}

/// A key whose value comes next.
enum PendingKey {
    /// A `<<` without quotes.
    Merge,
    Name(String, Span),
}

struct Anchored {
    node: Node,
    depth: usize,
    nodes: usize,
}

struct Builder<'a> {
    dialect: Dialect,
    report: &'a mut Report,
    marks: Marks<'a>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(dialect: Dialect, file: u32, text: &'a str, report: &'a mut Report) -> Self {
        let marks = Marks::new(file, text, false);
        Self { dialect, report, marks, stack: Vec::new(), anchors: HashMap::new(), nodes: 0, documents: 0, root: None }
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        self.marks.span(start, end)
    }

    fn syntax(&mut self, error: &ScanError) {
        let span = self.span(*error.marker(), *error.marker());
        let item = self.report.error(Code::Syntax, span, format!("not valid YAML: {}", error.info()));
        if error.info().contains("flow") {
            item.help("within `{...}` and `[...]` a text with `{`, `}`, `[`, `]`, `,` or `: ` needs quotes");
        } else if error.info().contains("tab") {
            item.help("indent with spaces");
        }
    }

    fn event(&mut self, event: Event<'_>, start: Marker, end: Marker) -> Option<()> {
        let span = self.span(start, end);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let item = self.report.error(Code::SeveralDocuments, span, "a second document starts here");
                    item.help("a stack file holds one document; put the other into a file of its own and `include` it");
                    return None;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let (merge, core) = self.tag(tag.as_deref(), span);
                let plain = style == ScalarStyle::Plain && core != Some("str");
                let kind = Kind::Scalar(Scalar { text: Cow::into_owned(text), plain, template: None });
                self.keep(Node { span, kind, tag: merge }, anchor, 0)?;
            }
            Event::SequenceStart(anchor, tag) => {
                let (merge, _) = self.tag(tag.as_deref(), span);
                self.open(span, anchor, merge, FrameKind::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let (merge, _) = self.tag(tag.as_deref(), span);
                let kind = FrameKind::Map { entries: Map::new(), key: None, merges: Vec::new() };
                self.open(span, anchor, merge, kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn tag<'t>(&mut self, tag: Option<&'t Tag>, span: Span) -> (Option<MergeTag>, Option<&'t str>) {
        let Some(tag) = tag else { return (None, None) };
        if tag.is_yaml_core_schema() {
            return (None, Some(tag.suffix.as_str()));
        }
        if self.dialect == Dialect::Foreign {
            return (None, Some("str"));
        }
        match (tag.handle.as_str(), tag.suffix.as_str()) {
            ("!", "append") => (Some(MergeTag::Append), None),
            ("!", "unset") => (Some(MergeTag::Unset), None),
            (_, _) => {
                let item = self.report.error(Code::UnknownTag, span, format!("unknown tag `{tag}`"));
                item.help("`!append` adds to a list of an earlier file, `!unset` removes a value");
                (None, None)
            }
        }
    }

    fn open(&mut self, start: Span, anchor: usize, tag: Option<MergeTag>, kind: FrameKind) -> Option<()> {
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
        let (kind, last) = match frame.kind {
            FrameKind::List(list) => {
                let last = list.last().map(|node| node.span.end);
                (Kind::List(list), last)
            }
            FrameKind::Map { mut entries, merges, .. } => {
                let last = entries.last().map(|(_, entry)| entry.value.span.end);
                for merge in merges {
                    self.merge(&mut entries, &merge);
                }
                (Kind::Map(entries), last)
            }
        };
        // A block collection "ends" at the next token, lines below: its last child is where it really does.
        let block_end = last.filter(|_| end.start == end.end).unwrap_or(end.end);
        let span = Span { end: block_end.max(frame.start.start), ..frame.start };
        self.keep(Node { span, kind, tag: frame.tag }, frame.anchor, frame.depth)
    }

    /// The entries of `<<` that the map does not have itself.
    fn merge(&mut self, entries: &mut Map, merged: &Node) {
        for source in merged.one_or_many() {
            let Some(map) = source.as_map() else {
                self.report.error(Code::WrongType, source.span, "`<<` takes a map or a list of maps");
                continue;
            };
            for (key, entry) in map {
                if !entries.contains_key(key) {
                    entries.insert(key.clone(), entry.clone());
                }
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            self.report.error(Code::Syntax, span, "an alias of something that is not complete yet");
            return None;
        };
        if self.nodes + anchored.nodes > MAX_NODES {
            let item = self.report.error(Code::TooLarge, span, "aliases make this document too large");
            item.help(format!("at most {MAX_NODES} values, aliases counted each time"));
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

    fn keep(&mut self, node: Node, anchor: usize, depth: usize) -> Option<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.report.error(Code::TooLarge, node.span, format!("more than {MAX_NODES} values"));
            return None;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), depth, nodes: count(&node) });
        }
        self.place(node, depth)
    }

    fn place(&mut self, node: Node, depth: usize) -> Option<()> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        frame.depth = frame.depth.max(depth + 1);
        match &mut frame.kind {
            FrameKind::List(list) => list.push(node),
            FrameKind::Map { entries, key, merges } => match key.take() {
                None => {
                    let Kind::Scalar(scalar) = node.kind else {
                        self.report.error(Code::Syntax, node.span, "a key must be a text");
                        return None;
                    };
                    let merge = scalar.plain && scalar.text == "<<";
                    *key = Some(if merge { PendingKey::Merge } else { PendingKey::Name(scalar.text, node.span) });
                }
                Some(PendingKey::Merge) => merges.push(node),
                Some(PendingKey::Name(name, key_span)) => {
                    if let Some(first) = entries.get(&name) {
                        let line = first.key_span.line;
                        let item = self.report.error(Code::DuplicateKey, key_span, format!("`{name}` stands twice"));
                        item.help(format!("the first is in line {line}; keep one of them"));
                    } else {
                        entries.insert(name, Entry { key_span, value: node });
                    }
                }
            },
        }
        Some(())
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::List(list) => list.iter().map(count).sum(),
        Kind::Map(map) => map.values().map(|entry| count(&entry.value)).sum(),
    }
}
