//! How the tables say what a value may be.

/// A kind of scalar, in the words of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    /// A number without a fraction; `2.0` is one.
    Integer,
    Number,
    Text,
}

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    /// A scalar of one of some types.
    Scalar(&'static [Type]),
    /// A whole number between two, both included, or a text that interpolation or decoding makes a number of.
    Within(i128, i128),
    /// One of some words.
    Word(&'static [&'static str]),
    /// A text with something in it that a pattern finds; the second is how to say that.
    Text(fn(&str) -> bool, &'static str),
    /// A list.
    List(&'static Shape),
    /// A list in which nothing stands twice.
    Set(&'static Shape),
    /// A map.
    Object(&'static Object),
    /// Any one of several that differ in their kind: a text or a map, say.
    Either(&'static [Shape]),
}

/// What a map may have.
#[derive(Debug)]
pub(super) struct Object {
    /// The attributes that have a name.
    pub(super) keys: &'static [(&'static str, Shape)],
    /// Those of them that must be there.
    pub(super) required: &'static [&'static str],
    /// What else may be there.
    pub(super) rest: Rest,
}

/// The keys of a map that are not named.
#[derive(Debug)]
pub(super) enum Rest {
    /// None.
    Closed,
    /// `x-...`, with anything in it.
    Extensions,
    /// Any, with anything in it.
    Open,
    /// Names chosen by whoever wrote the file; the others are refused.
    Names(fn(&str) -> bool, &'static Shape),
    /// The same, but others are let through as they are.
    NamesOrAny(fn(&str) -> bool, &'static Shape),
}

/// A map of these attributes that takes `x-...` too.
macro_rules! extensible {
    ($($keys:tt)*) => {
        $crate::schema::shape::Object {
            keys: &[$($keys)*],
            required: &[],
            rest: $crate::schema::shape::Rest::Extensions,
        }
    };
}

/// A map of nothing but names that the writer chose, and what each may be.
macro_rules! named {
    ($good:expr, $shape:expr $(,)?) => {
        $crate::schema::shape::Object {
            keys: &[],
            required: &[],
            rest: $crate::schema::shape::Rest::Names($good, &$shape),
        }
    };
}

pub(super) use {extensible, named};

/// The name of a service or of a resource.
pub(super) fn resource_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Any name but the empty one.
pub(super) fn some_name(name: &str) -> bool {
    name.chars().any(|c| c != '\n')
}

/// Any name but the empty one, on one line.
pub(super) fn line_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('\n')
}

pub(super) const TEXT: Shape = Shape::Scalar(&[Type::Text]);
pub(super) const BOOL: Shape = Shape::Scalar(&[Type::Bool]);
pub(super) const INTEGER: Shape = Shape::Scalar(&[Type::Integer]);
pub(super) const BOOL_TEXT: Shape = Shape::Scalar(&[Type::Bool, Type::Text]);
pub(super) const INTEGER_TEXT: Shape = Shape::Scalar(&[Type::Integer, Type::Text]);
pub(super) const NUMBER_TEXT: Shape = Shape::Scalar(&[Type::Number, Type::Text]);
pub(super) const TEXTS: Shape = Shape::List(&TEXT);
pub(super) const TEXT_SET: Shape = Shape::Set(&TEXT);
/// `string_or_list`
pub(super) const TEXT_OR_SET: Shape = Shape::Either(&[TEXT, TEXT_SET]);
/// `list_or_dict`
pub(super) const PAIRS: Shape = Shape::Either(&[
    Shape::Object(&named!(some_name, Shape::Scalar(&[Type::Text, Type::Number, Type::Bool, Type::Null]))),
    TEXT_SET,
]);
/// Options handed on to a driver.
pub(super) const DRIVER_OPTIONS: Shape =
    Shape::Object(&Object { keys: &[], required: &[], rest: Rest::NamesOrAny(line_name, &NUMBER_TEXT) });
