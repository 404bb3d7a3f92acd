//! From the tree to the structs.
//!
//! The schema has judged the types before; what is left is what it lets through: a number in quotes, a text that is no
//! duration. Null leaves an attribute unset, whatever it is.

use std::collections::BTreeMap;
use std::fmt;

use crate::problem::{Code, Report};
use crate::tree::{Node, Value};

/// A type that an attribute is read into. Unset and its default are one.
pub(crate) trait Decode: Default {
    /// The value of a node that is not null; none after a report.
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self>;
}

/// Whether an attribute is left out when the model is printed.
pub(crate) trait Omit {
    fn omit(&self) -> bool;
}

/// Where the reading is, and what was wrong.
pub(crate) struct Decoder<'a> {
    path: Vec<String>,
    report: &'a mut Report,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(report: &'a mut Report) -> Self {
        Self { path: Vec::new(), report }
    }

    /// The attribute of a map; its default when it is not there, null or wrong.
    pub(crate) fn field<T: Decode>(&mut self, node: &Node, key: &str) -> T {
        match node.get(key) {
            Some(value) => self.at(key, value),
            None => T::default(),
        }
    }

    /// A value with the name it has where it stands.
    pub(crate) fn at<T: Decode>(&mut self, part: &str, node: &Node) -> T {
        if node.is_null() {
            return T::default();
        }
        self.path.push(part.to_owned());
        let value = T::decode(node, self).unwrap_or_default();
        self.path.pop();
        value
    }

    /// Says what is wrong with the value here.
    pub(crate) fn wrong(&mut self, node: &Node, what: impl fmt::Display) {
        let message = format!("`{}` {what}", self.path.join("."));
        self.report.error(Code::BadValue, node.span, message);
    }

    pub(crate) fn mistyped(&mut self, node: &Node, wanted: &str) {
        let message = format!("`{}` must be {wanted}, it is {}", self.path.join("."), node.describe());
        self.report.error(Code::WrongType, node.span, message);
    }
}

impl Decode for String {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => {
                at.mistyped(node, "a text");
                None
            }
        }
    }
}

/// The words of YAML 1.1 that Compose takes for a boolean in quotes.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl Decode for bool {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Bool(flag) => return Some(*flag),
            Value::String(text) => match boolean(text) {
                Some(flag) => return Some(flag),
                None => at.wrong(node, format_args!("must be `true` or `false`, it is `{text}`")),
            },
            _ => at.mistyped(node, "a boolean"),
        }
        None
    }
}

impl Decode for i64 {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            // no number of a compose file is near the limits
            Value::Int(number) => return Some(*number as i64),
            Value::Float(number) => return Some(*number as i64),
            Value::String(text) => match text.parse() {
                Ok(number) => return Some(number),
                Err(_) => at.wrong(node, format_args!("must be a whole number, it is `{text}`")),
            },
            _ => at.mistyped(node, "a number"),
        }
        None
    }
}

/// A number of at least 0: one in quotes is refused, as Compose does, unless interpolation made a number of it before.
fn unsigned(node: &Node, at: &mut Decoder<'_>) -> Option<u64> {
    match node.value {
        Value::Int(number) if number >= 0 => Some(number as u64),
        Value::Float(number) if number >= 0.0 => Some(number as u64),
        Value::Int(_) | Value::Float(_) => {
            at.wrong(node, "must be 0 or more");
            None
        }
        _ => {
            at.mistyped(node, "a number without quotes");
            None
        }
    }
}

impl Decode for u64 {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        unsigned(node, at)
    }
}

impl Decode for u32 {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        unsigned(node, at).map(|number| number as u32)
    }
}

impl Decode for u16 {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        unsigned(node, at).map(|number| number as u16)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, at).map(Some)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        let Some(items) = node.as_seq() else {
            at.mistyped(node, "a list");
            return None;
        };
        Some(items.iter().enumerate().map(|(index, item)| at.at(&index.to_string(), item)).collect())
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        let Some(map) = node.as_map() else {
            at.mistyped(node, "a map");
            return None;
        };
        Some(map.iter().map(|(key, value)| (key.as_str().to_owned(), at.at(key.as_str(), value))).collect())
    }
}

macro_rules! omit {
    ($($ty:ty: $value:ident => $test:expr;)*) => {
        $(impl Omit for $ty {
            fn omit(&self) -> bool {
                let $value = self;
                $test
            }
        })*
    };
}

omit! {
    String: text => text.is_empty();
    bool: flag => !*flag;
    i64: number => *number == 0;
    u64: number => *number == 0;
    u32: number => *number == 0;
    u16: number => *number == 0;
}

impl<T> Omit for Option<T> {
    fn omit(&self) -> bool {
        self.is_none()
    }
}

impl<T> Omit for Vec<T> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Omit for BTreeMap<String, T> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}

/// The key of an attribute: the field's name unless another is given.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident, $key:literal) => {
        $key
    };
}

/// Structs of the model: each attribute of compose is a field of the same name (`as` names another), left out of the printed
/// model when it is not set; those after `always` are printed in any case.
macro_rules! model {
    ($(
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[$note:meta])* $field:ident $(as $key:literal)?: $ty:ty,)*
        } $(always {
            $($(#[$anote:meta])* $afield:ident $(as $akey:literal)?: $aty:ty,)+
        })?
    )*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Default, serde::Serialize)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$note])*
            $(#[serde(rename = $key)])?
            #[serde(skip_serializing_if = "crate::model::decode::Omit::omit")]
            pub $field: $ty,)*
            $($($(#[$anote])*
            $(#[serde(rename = $akey)])?
            pub $afield: $aty,)+)?
            /// Where it stands.
            #[serde(skip)]
            pub span: crate::tree::Span,
        }

        impl crate::model::decode::Decode for $name {
            fn decode(node: &crate::tree::Node, at: &mut crate::model::decode::Decoder<'_>) -> Option<Self> {
                if node.as_map().is_none() {
                    at.mistyped(node, "a map");
                    return None;
                }
                Some(Self {
                    $($field: at.field(node, crate::model::decode::key!($field $(, $key)?)),)*
                    $($($afield: at.field(node, crate::model::decode::key!($afield $(, $akey)?)),)+)?
                    span: node.span,
                })
            }
        }

        impl crate::model::decode::Omit for $name {
            fn omit(&self) -> bool {
                false
            }
        }
    )*};
}

pub(crate) use {key, model};
