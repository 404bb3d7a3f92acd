//! A file against the table: unknown keys and wrong kinds, everywhere, also in environments that are not chosen.

use super::elsewhere::elsewhere;
use super::keys_service::SERVICE_KEYS;
use super::{Key, Shape};
use crate::problem::{Code, Report, nearest};
use crate::tree::{Kind, MergeTag, Node, boolean};

/// Reports everything in `node` that `shape` does not have.
pub(crate) fn check(node: &Node, shape: &Shape, report: &mut Report) {
    if node.tag == Some(MergeTag::Unset) || node.is_null() {
        return;
    }
    match shape {
        Shape::See(shape) => check(node, shape, report),
        Shape::OneOf(shapes) => one_of(node, shapes, report),
        Shape::List(item) => match &node.kind {
            Kind::List(list) => list.iter().for_each(|node| check(node, item, report)),
            Kind::Scalar(_) | Kind::Map(_) => wrong(node, shape, report),
        },
        Shape::Map(value) => match &node.kind {
            Kind::Map(map) => map.values().for_each(|entry| check(&entry.value, value, report)),
            Kind::Scalar(_) | Kind::List(_) => wrong(node, shape, report),
        },
        Shape::Record(keys) => record(node, &[keys], shape, report),
        Shape::Records(tables) => record(node, tables, shape, report),
        Shape::Text | Shape::Bool | Shape::Int | Shape::Number | Shape::Duration | Shape::Size | Shape::Words(_) => {
            scalar(node, shape, report);
        }
    }
}

fn record(node: &Node, tables: &[&[Key]], shape: &Shape, report: &mut Report) {
    let Some(map) = node.as_map() else { return wrong(node, shape, report) };
    for (name, entry) in map {
        if let Some(key) = tables.iter().copied().flatten().find(|key| key.name == name) {
            check(&entry.value, &key.shape, report);
        } else if !name.starts_with("x-") {
            let item = report.error(Code::UnknownKey, entry.key_span, format!("unknown key `{name}`"));
            item.help(instead(name, tables));
        }
    }
}

/// What was probably meant by a key that none of the tables has.
fn instead(name: &str, tables: &[&[Key]]) -> String {
    let own = tables.first().copied().unwrap_or_default();
    if let Some(place) = elsewhere(name, own) {
        return place;
    }
    let in_variant = tables.len() > 1 && !std::ptr::eq(own, SERVICE_KEYS);
    if in_variant && SERVICE_KEYS.iter().any(|key| key.name == name) {
        return format!("`{name}` is said of the service, beside its variants");
    }
    match nearest(name, tables.iter().copied().flatten().map(|key| key.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known = listed(own.iter().map(|key| key.name));
            let more = if in_variant { ", and what variants share, as `ports`, `env` or `ready`" } else { "" };
            let rest = if in_variant { &[] } else { &tables[1..] };
            let rest: String = rest.iter().copied().flatten().map(|key| format!(", `{}`", key.name)).collect();
            format!("known here: {known}{rest}{more}")
        }
    }
}

/// `a`, `b`, `c`
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn one_of(node: &Node, shapes: &[Shape], report: &mut Report) {
    let fits = |shape: &&Shape| match (&node.kind, inner(shape)) {
        (Kind::List(_), Shape::List(_)) | (Kind::Map(_), Shape::Map(_) | Shape::Record(_) | Shape::Records(_)) => true,
        (Kind::Scalar(_), found) => is_scalar(found),
        (Kind::List(_) | Kind::Map(_), _) => false,
    };
    match shapes.iter().find(fits) {
        Some(shape) => check(node, shape, report),
        None => {
            let wanted = shapes.iter().map(describe).collect::<Vec<_>>().join(" or ");
            report.error(Code::WrongType, node.span, format!("expected {wanted}, found {}", node.describe()));
        }
    }
}

fn inner(shape: &Shape) -> &Shape {
    if let Shape::See(shape) = shape { inner(shape) } else { shape }
}

fn is_scalar(shape: &Shape) -> bool {
    !matches!(shape, Shape::List(_) | Shape::Map(_) | Shape::Record(_) | Shape::Records(_) | Shape::OneOf(_))
}

fn scalar(node: &Node, shape: &Shape, report: &mut Report) {
    let Some(scalar) = node.as_scalar() else { return wrong(node, shape, report) };
    // What an interpolation will put here is checked by whoever reads it.
    if scalar.text.contains("${") {
        return;
    }
    let text = scalar.text.trim();
    let fits = match shape {
        Shape::Bool => boolean(text).is_some(),
        Shape::Int => text.replace('_', "").parse::<i64>().is_ok(),
        Shape::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
        Shape::Words(words) => {
            if !words.contains(&text) {
                unknown_word(node, text, words, report);
            }
            true
        }
        Shape::Text
        | Shape::Duration
        | Shape::Size
        | Shape::List(_)
        | Shape::Map(_)
        | Shape::Record(_)
        | Shape::Records(_)
        | Shape::OneOf(_)
        | Shape::See(_) => true,
    };
    if !fits {
        let message = format!("expected {}, found `{text}`", describe(shape));
        report.error(Code::WrongType, node.span, message);
    }
}

/// A word that is not one of those allowed.
pub(crate) fn unknown_word(node: &Node, text: &str, words: &[&str], report: &mut Report) {
    let item =
        report.error(Code::UnknownWord, node.span, format!("`{text}` is not one of {}", listed(words.iter().copied())));
    if let Some(near) = nearest(text, words.iter().copied()) {
        item.help(format!("did you mean `{near}`?"));
    }
}

fn wrong(node: &Node, shape: &Shape, report: &mut Report) {
    report.error(Code::WrongType, node.span, format!("expected {}, found {}", describe(shape), node.describe()));
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Text => "a text".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Int => "a whole number".to_owned(),
        Shape::Number => "a number".to_owned(),
        Shape::Duration => "a duration such as `30s`".to_owned(),
        Shape::Size => "a size such as `512MiB`".to_owned(),
        Shape::Words(words) => format!("one of {}", listed(words.iter().copied())),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) => "a map of names".to_owned(),
        Shape::Record(keys) => with_keys(keys),
        Shape::Records(tables) => with_keys(tables.first().copied().unwrap_or_default()),
        Shape::OneOf(shapes) => shapes.iter().map(describe).collect::<Vec<_>>().join(" or "),
        Shape::See(shape) => describe(shape),
    }
}

fn with_keys(keys: &[Key]) -> String {
    format!("a map with {}", listed(keys.iter().take(4).map(|key| key.name)))
}
