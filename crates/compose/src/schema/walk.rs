//! A tree held against the tables.

use super::shape::{Object, Rest, Shape, Type};
use crate::problem::{Code, Report};
use crate::tree::{Key, Node, Span, Value};

/// Where the walk is, and what it found.
pub(super) struct At<'a> {
    path: Vec<String>,
    report: &'a mut Report,
}

impl<'a> At<'a> {
    pub(super) fn new(report: &'a mut Report) -> Self {
        Self { path: Vec::new(), report }
    }

    fn below(&mut self, part: impl Into<String>, check: impl FnOnce(&mut Self)) {
        self.path.push(part.into());
        check(self);
        self.path.pop();
    }

    fn path(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path.join(".")) }
    }

    fn wrong(&mut self, code: Code, span: Span, what: impl std::fmt::Display) {
        let message = format!("{} {what}", self.path());
        self.report.error(code, span, message);
    }
}

/// Checks a value that must be a map.
pub(super) fn object(node: &Node, object: &Object, at: &mut At<'_>) {
    let Some(map) = node.as_map() else {
        return at.wrong(Code::WrongType, node.span, format_args!("must be a map, it is {}", node.describe()));
    };
    for name in object.required.iter().filter(|name| !map.contains_key(**name)) {
        at.wrong(Code::MissingKey, node.span, format_args!("lacks `{name}`"));
    }
    for (key, value) in map {
        at.below(key.as_str(), |at| entry(key, value, object, at));
    }
}

fn entry(key: &Key, value: &Node, object: &Object, at: &mut At<'_>) {
    if let Some((_, known)) = object.keys.iter().find(|(name, _)| *name == key.as_str()) {
        return shape(value, known, at);
    }
    match object.rest {
        Rest::Extensions if key.as_str().starts_with("x-") => {}
        Rest::Open => {}
        Rest::Names(good, inner) | Rest::NamesOrAny(good, inner) if good(key.as_str()) => shape(value, inner, at),
        Rest::NamesOrAny(..) => {}
        Rest::Names(..) if key.as_str().is_empty() => at.wrong(Code::BadName, key.span, "is an empty name"),
        Rest::Names(..) => {
            at.wrong(
                Code::BadName,
                key.span,
                "is no name that is allowed here: only letters, digits, `.`, `_` and `-`",
            );
        }
        Rest::Closed | Rest::Extensions => unknown(key, object, at),
    }
}

fn unknown(key: &Key, object: &Object, at: &mut At<'_>) {
    let names = object.keys.iter().map(|(name, _)| *name);
    let near = names
        .map(|name| (strsim::damerau_levenshtein(key.as_str(), name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .min();
    match near {
        Some((_, name)) => {
            at.wrong(Code::UnknownKey, key.span, format_args!("is no attribute of compose: `{name}` may be meant"));
        }
        None => at.wrong(Code::UnknownKey, key.span, "is no attribute of compose"),
    }
}

fn shape(node: &Node, shape_: &Shape, at: &mut At<'_>) {
    match shape_ {
        Shape::Object(known) => object(node, known, at),
        Shape::List(inner) => list(node, inner, at),
        Shape::Set(inner) => {
            list(node, inner, at);
            twice(node, at);
        }
        Shape::Either(choices) => match choices.iter().find(|choice| fits(node, choice)) {
            Some(choice) => shape(node, choice, at),
            None => mistyped(node, shape_, at),
        },
        Shape::Scalar(_) if fits(node, shape_) => {}
        Shape::Scalar(_) => mistyped(node, shape_, at),
        Shape::Within(least, most) => within(node, *least, *most, at),
        Shape::Word(words) => match node.as_str() {
            Some(text) if words.contains(&text) => {}
            Some(text) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                at.wrong(Code::BadValue, node.span, format_args!("must be {}, it is `{text}`", words.join(" or ")));
            }
            None => mistyped(node, shape_, at),
        },
        Shape::Text(good, wanted) => match node.as_str() {
            Some(text) if good(text) => {}
            Some(text) => at.wrong(Code::BadValue, node.span, format_args!("must be {wanted}, it is `{text}`")),
            None => mistyped(node, shape_, at),
        },
    }
}

fn list(node: &Node, inner: &Shape, at: &mut At<'_>) {
    let Some(items) = node.as_seq() else {
        return at.wrong(Code::WrongType, node.span, format_args!("must be a list, it is {}", node.describe()));
    };
    for (index, item) in items.iter().enumerate() {
        at.below(index.to_string(), |at| shape(item, inner, at));
    }
}

fn within(node: &Node, least: i128, most: i128, at: &mut At<'_>) {
    let number = match node.value {
        Value::String(_) => return,
        Value::Int(number) => number,
        // a whole float below 2^53 in all limits there are
        Value::Float(number) if number.is_finite() && number.fract() == 0.0 => number as i128,
        _ => {
            return at.wrong(
                Code::WrongType,
                node.span,
                format_args!("must be a whole number, it is {}", node.describe()),
            );
        }
    };
    if number < least || number > most {
        let wanted = if most == i128::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
        at.wrong(Code::BadValue, node.span, format_args!("must be {wanted}, it is {number}"));
    }
}

/// A set with the same item twice: compose wants each once in one file.
fn twice(node: &Node, at: &mut At<'_>) {
    let Some(items) = node.as_seq() else { return };
    for (index, item) in items.iter().enumerate() {
        if let Some(first) = items[..index].iter().position(|earlier| same(earlier, item)) {
            at.wrong(Code::DuplicateItem, item.span, format_args!("has one item twice, at {first} and at {index}"));
        }
    }
}

/// Equality of JSON: numbers by value, maps without order.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key.as_str()).is_some_and(|other| same(value, other)))
        }
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
        (a, b) => a == b,
    }
}

/// Whether a value is of the kind that a shape is about; what is inside may still be wrong.
fn fits(node: &Node, shape: &Shape) -> bool {
    match shape {
        Shape::Object(_) => node.as_map().is_some(),
        Shape::List(_) | Shape::Set(_) => node.as_seq().is_some(),
        Shape::Either(choices) => choices.iter().any(|choice| fits(node, choice)),
        Shape::Word(_) | Shape::Text(..) => node.as_str().is_some(),
        Shape::Within(..) => matches!(node.value, Value::Int(_) | Value::Float(_) | Value::String(_)),
        Shape::Scalar(types) => types.iter().any(|kind| is(node, *kind)),
    }
}

fn is(node: &Node, kind: Type) -> bool {
    match (&node.value, kind) {
        (Value::Float(number), Type::Integer) => number.is_finite() && number.fract() == 0.0,
        (Value::Null, Type::Null)
        | (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Integer | Type::Number)
        | (Value::Float(_), Type::Number)
        | (Value::String(_), Type::Text) => true,
        (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_), _)
        | (Value::Time(_) | Value::Seq(_) | Value::Map(_), _) => false,
    }
}

fn mistyped(node: &Node, shape: &Shape, at: &mut At<'_>) {
    let mut wanted = Vec::new();
    kinds(shape, &mut wanted);
    at.wrong(Code::WrongType, node.span, format_args!("must be {}, it is {}", wanted.join(" or "), node.describe()));
}

fn kinds(shape: &Shape, out: &mut Vec<&'static str>) {
    match shape {
        Shape::Object(_) => out.push("a map"),
        Shape::List(_) | Shape::Set(_) => out.push("a list"),
        Shape::Either(choices) => choices.iter().for_each(|choice| kinds(choice, out)),
        Shape::Word(_) | Shape::Text(..) => out.push("a text"),
        Shape::Within(..) => out.push("a whole number"),
        Shape::Scalar(types) => out.extend(types.iter().map(|kind| match kind {
            Type::Null => "nothing",
            Type::Bool => "a boolean",
            Type::Integer => "a whole number",
            Type::Number => "a number",
            Type::Text => "a text",
        })),
    }
}
