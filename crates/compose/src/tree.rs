//! The tree of a compose file: typed values, each with its place.
//!
//! Types are those of the YAML library that Compose reads with: `on` is a text, `0o17` and `017` are numbers. A scalar also
//! keeps the text it was written as, before interpolation, for whoever wants to say or to change what stands in the file.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use indexmap::IndexMap;

/// A place in a file: bytes, and the line and column (from 1) of the first. The file is a number into
/// [`Loaded::sources`](crate::Loaded).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Number of the file.
    pub file: u32,
    /// Line, from 1; 0 for what stands in no file.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// What a later file does with a value instead of merging it (compose-spec, 13-merge).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `!reset`: the value is removed.
    Reset,
    /// `!override`: the value replaces the earlier one as a whole.
    Override,
}

/// The text of a scalar as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// After YAML's own unquoting, before interpolation.
    pub text: Box<str>,
    /// In quotes or as a block: always a string.
    pub quoted: bool,
}

/// The name of a map's entry; equal to another of the same text, wherever it stands.
#[derive(Debug, Clone, Eq)]
pub struct Key {
    /// The name.
    pub text: Box<str>,
    /// Where it stands.
    pub span: Span,
}

impl Key {
    /// A name at a place.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>, span: Span) -> Self {
        Self { text: text.into(), span }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The entries of a map in the order they were written; `map.get("name")` finds by text.
pub type Map = IndexMap<Key, Node>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; YAML's own are within `i64` and `u64`.
    Int(i128),
    /// Any other number, `.inf` and `.nan` too.
    Float(f64),
    /// A text.
    String(String),
    /// A date or time without quotes, as it is written: a type of YAML that no attribute of compose takes.
    Time(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map.
    Map(Map),
}

/// A value, its place, and how it was written. Two are equal if their values are.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands; an alias's value where its anchor is.
    pub span: Span,
    /// `!reset` or `!override`; gone from what loading gives back.
    pub tag: Option<Tag>,
    /// Of a scalar that stands in a file; none for what loading made.
    pub written: Option<Written>,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A value that loading made, for the place it was made of.
    #[must_use]
    pub fn new(span: Span, value: Value) -> Self {
        Self { value, span, tag: None, written: None }
    }

    /// A text that loading made.
    #[must_use]
    pub fn string(span: Span, text: impl Into<String>) -> Self {
        Self::new(span, Value::String(text.into()))
    }

    /// An empty map.
    #[must_use]
    pub fn map(span: Span) -> Self {
        Self::new(span, Value::Map(Map::new()))
    }

    /// The entries, if it is a map.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// The entries to change, if it is a map.
    #[must_use]
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_seq(&self) -> Option<&[Node]> {
        if let Value::Seq(items) = &self.value { Some(items) } else { None }
    }

    /// The items to change, if it is a list.
    #[must_use]
    pub fn as_seq_mut(&mut self) -> Option<&mut Vec<Node>> {
        if let Value::Seq(items) = &mut self.value { Some(items) } else { None }
    }

    /// The text, if it is one: not a number, not null.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The value of a key, null too.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// The value of a key to change.
    #[must_use]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_map_mut()?.get_mut(key)
    }

    /// The value at the end of a path of keys.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Sets a key, keeping the place of its name if it is there; nothing when this is no map.
    pub fn insert(&mut self, key: &str, value: Node) {
        let span = value.span;
        if let Some(map) = self.as_map_mut() {
            match map.get_mut(key) {
                Some(old) => *old = value,
                None => {
                    map.insert(Key::new(key, span), value);
                }
            }
        }
    }

    /// Takes a key out, the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.as_map_mut()?.shift_remove(key)
    }

    /// What it is, for messages.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::String(_) => "a text",
            Value::Time(_) => "a date",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
