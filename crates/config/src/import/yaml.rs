//! YAML to a tree of text: what a scalar means is decided by the field it stands in.

use super::ImportProblem;
use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::path::Path;

/// Nodes that aliases may add in one file: far more than anyone writes, far less than a bomb.
const MAX_ALIASED: usize = 100_000;
/// Nesting beyond which a file is refused instead of exhausting the stack.
const MAX_DEPTH: usize = 64;

/// A map in the order of the file.
pub(super) type Map = IndexMap<String, Node>;

/// A node of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Text; `plain` when it stood without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    Seq(Vec<Node>),
    /// A map.
    Map(Map),
}

impl Node {
    /// An empty or `null` scalar.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar that is not null.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, .. } if !self.is_null() => Some(text),
            Self::Scalar { .. } | Self::Seq(_) | Self::Map(_) => None,
        }
    }

    /// Text that counts as written.
    pub(super) fn text(text: &str) -> Self {
        Self::Scalar { text: text.to_owned(), plain: false }
    }

    fn size(&self) -> usize {
        match self {
            Self::Scalar { .. } => 1,
            Self::Seq(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Map(map) => 1 + map.values().map(Self::size).sum::<usize>(),
        }
    }
}

struct Builder<'a> {
    path: &'a Path,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
}

/// Reads the first document of a text; an empty one is an empty map.
pub(super) fn parse(path: &Path, text: &str) -> Result<Map, ImportProblem> {
    let mut builder = Builder { path, parser: Parser::new_from_str(text), anchors: HashMap::new(), aliased: 0 };
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => return Ok(Map::new()),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            other => {
                return match builder.node(other, span, 0)? {
                    Node::Map(map) => Ok(map),
                    node if node.is_null() => Ok(Map::new()),
                    Node::Scalar { .. } | Node::Seq(_) => Err(builder.bad(span, "the file must be a map")),
                };
            }
        }
    }
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), ImportProblem> {
        match self.parser.next_event() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => Err(ImportProblem::Syntax {
                path: self.path.to_owned(),
                line: error.marker().line(),
                message: error.info().to_owned(),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn bad(&self, span: Span, message: &str) -> ImportProblem {
        ImportProblem::Syntax { path: self.path.to_owned(), line: span.start.line(), message: message.to_owned() }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, ImportProblem> {
        if depth > MAX_DEPTH {
            return Err(self.bad(span, "nested too deeply"));
        }
        let (anchor, node) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                (anchor, Node::Scalar { text: text.into_owned(), plain })
            }
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(depth)?),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(self.bad(span, "the file ends too early")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, ImportProblem> {
        let node = self.anchors.get(&id).cloned().ok_or_else(|| self.bad(span, "an alias that names no anchor"))?;
        self.aliased += node.size();
        if self.aliased > MAX_ALIASED {
            return Err(self.bad(span, "aliases that expand to too much"));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, ImportProblem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Node::Seq(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Node, ImportProblem> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let Node::Scalar { text: key, plain } = self.node(event, span, depth + 1)? else {
                return Err(self.bad(span, "a key must be a text"));
            };
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            if plain && key == "<<" {
                merged.push(value);
            } else if map.insert(key.clone(), value).is_some() {
                return Err(self.bad(span, &format!("the key `{key}` is there twice")));
            }
        }
        for node in merged {
            merge_key(&mut map, node);
        }
        Ok(Node::Map(map))
    }
}

/// `<<: *anchor`: keys that are not there are taken over; of several maps the first has precedence.
fn merge_key(map: &mut Map, node: Node) {
    match node {
        Node::Map(other) => {
            for (key, value) in other {
                map.entry(key).or_insert(value);
            }
        }
        Node::Seq(items) => items.into_iter().for_each(|item| merge_key(map, item)),
        Node::Scalar { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_text_order_anchors_and_merge_keys() {
        let map = parse(Path::new("x"), "b: 1.10\na: &l {k: 'v', n: ~}\nc:\n  <<: *l\n  k: w\n").unwrap();
        assert_eq!(map.keys().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(map["b"].as_text(), Some("1.10"));
        let Node::Map(c) = &map["c"] else { panic!("a map") };
        assert_eq!(c["k"].as_text(), Some("w"));
        assert!(c["n"].is_null());
        assert!(parse(Path::new("x"), "").unwrap().is_empty());
    }

    #[test]
    fn refuses_what_is_broken() {
        for text in ["a: [", "a: 1\na: 2", "- 1", "[a]: b\n: ["] {
            assert_eq!(parse(Path::new("x"), text).unwrap_err().code(), "import::syntax", "{text}");
        }
        let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
            let j = i - 1;
            format!("{text}a{i}: &a{i} [*a{j}, *a{j}]\n")
        });
        assert!(parse(Path::new("x"), &bomb).is_err());
    }
}
