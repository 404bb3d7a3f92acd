//! The types of attributes that are more than a text, a number, a list or a map.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::{Serialize, Serializer};

use super::decode::{Decode, Decoder, Omit};
use crate::show::sprint;
use crate::text::{Duration, json_float, parse_bytes, parse_duration, split};
use crate::tree::{Node, Value};

/// A command line: nothing when it is not set (the image's own counts), else its words, which may be none at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Command(pub Option<Vec<String>>);

impl Command {
    /// The words, if it is set.
    #[must_use]
    pub fn words(&self) -> Option<&[String]> {
        self.0.as_deref()
    }
}

impl Decode for Command {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        let Some(text) = node.as_str() else { return Vec::decode(node, at).map(|words| Self(Some(words))) };
        let words = split(text);
        if words.is_none() {
            at.wrong(node, "has a quote or bracket that is not closed, or a bracket that only a shell understands");
        }
        words.map(|words| Self(Some(words)))
    }
}

/// The check of a health check: `CMD`, `CMD-SHELL` or `NONE`, and what it takes. A text is one for the shell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HealthTest(pub Vec<String>);

impl Decode for HealthTest {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        match node.as_str() {
            Some(text) => Some(Self(vec!["CMD-SHELL".to_owned(), text.to_owned()])),
            None => Vec::decode(node, at).map(Self),
        }
    }
}

/// A list of texts; one text alone is a list of one, numbers in it are texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Texts(pub Vec<String>);

impl Decode for Texts {
    fn decode(node: &Node, _: &mut Decoder<'_>) -> Option<Self> {
        match node.as_seq() {
            Some(items) => Some(Self(items.iter().map(sprint).collect())),
            None => Some(Self(vec![sprint(node)])),
        }
    }
}

/// Names and texts: `labels`, `sysctls`, options of a driver. A name without a value has an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pairs(pub BTreeMap<String, String>);

impl Decode for Pairs {
    fn decode(node: &Node, _: &mut Decoder<'_>) -> Option<Self> {
        let text = |node: &Node| if node.is_null() { String::new() } else { sprint(node) };
        if let Some(map) = node.as_map() {
            return Some(Self(map.iter().map(|(key, value)| (key.as_str().to_owned(), text(value))).collect()));
        }
        let pair = |item: &Node| {
            let item = text(item);
            let (name, value) = item.split_once('=').unwrap_or((&item, ""));
            (name.to_owned(), value.to_owned())
        };
        Some(Self(node.as_seq().unwrap_or_default().iter().map(pair).collect()))
    }
}

/// Variables: a name without a value is one that nothing gave a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Variables(pub BTreeMap<String, Option<String>>);

impl Decode for Variables {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        if let Some(map) = node.as_map() {
            let value = |node: &Node| (!node.is_null()).then(|| sprint(node));
            return Some(Self(map.iter().map(|(key, node)| (key.as_str().to_owned(), value(node))).collect()));
        }
        let mut variables = BTreeMap::new();
        for item in node.as_seq().unwrap_or_default() {
            let text = sprint(item);
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text.as_str(), None),
            };
            if name.ends_with(char::is_whitespace) {
                at.wrong(item, format_args!("has `{name}`, a name with a space at its end"));
            }
            variables.insert(name.to_owned(), value);
        }
        Some(Self(variables))
    }
}

/// Options that may be given several times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Options(pub BTreeMap<String, Vec<String>>);

impl Decode for Options {
    fn decode(node: &Node, _: &mut Decoder<'_>) -> Option<Self> {
        let texts = |node: &Node| match node.as_seq() {
            Some(items) => items.iter().map(sprint).collect(),
            None => vec![sprint(node)],
        };
        let map = node.as_map()?;
        Some(Self(map.iter().map(|(key, value)| (key.as_str().to_owned(), texts(value))).collect()))
    }
}

/// More lines of a container's hosts file: addresses by name. Printed as `name=address`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraHosts(pub BTreeMap<String, Vec<String>>);

impl Decode for ExtraHosts {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let Some(map) = node.as_map() {
            for (key, value) in map {
                let addresses = match (&value.value, value.as_seq()) {
                    (Value::Map(_), _) => {
                        // `x-...`, set apart
                        at.mistyped(value, "an address or several");
                        continue;
                    }
                    (Value::Null, _) => vec![String::new()],
                    (_, Some(items)) => items.iter().map(sprint).collect(),
                    (_, None) => vec![sprint(value)],
                };
                hosts.insert(key.as_str().to_owned(), addresses);
            }
        }
        for item in node.as_seq().unwrap_or_default() {
            let text = sprint(item);
            match text.split_once('=').or_else(|| text.split_once(':')) {
                Some((name, addresses)) => {
                    hosts.entry(name.to_owned()).or_default().extend(addresses.split(',').map(str::to_owned));
                }
                None => at.wrong(item, format_args!("has `{text}`, which has no address: write `name=address`")),
            }
        }
        for name in hosts.keys().filter(|name| name.is_empty() || name.contains([':', '='])) {
            at.wrong(node, format_args!("has `{name}`, which is no name of a host"));
        }
        for address in hosts.values_mut().flatten() {
            if address.len() > 2 && address.starts_with('[') && address.ends_with(']') {
                *address = address[1..address.len() - 1].to_owned();
            }
        }
        Some(Self(hosts))
    }
}

impl Serialize for ExtraHosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let each = |(name, addresses): (&String, &Vec<String>)| {
            addresses.iter().map(|address| format!("{name}={address}")).collect::<Vec<_>>()
        };
        let mut lines: Vec<String> = self.0.iter().flat_map(each).collect();
        lines.sort_unstable();
        lines.serialize(serializer)
    }
}

/// Bytes; printed as a text of digits. 0 is unset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub i64);

impl Decode for Bytes {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            // beyond 63 bits Compose has none either
            Value::Int(number) => i64::try_from(*number).ok().map(Self),
            Value::String(text) => {
                let bytes = parse_bytes(text);
                if bytes.is_none() {
                    at.wrong(node, format_args!("must be a size such as `512m`, it is `{text}`"));
                }
                bytes.map(Self)
            }
            // Compose loses a number with a fraction here
            _ => None,
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Decode for Duration {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        let text = sprint(node);
        match parse_duration(&text) {
            Ok(nanos) => Some(Self(nanos)),
            Err(why) => {
                at.wrong(node, format_args!("must be a duration, `{text}` has {why}"));
                None
            }
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A share of processors or the like, with single precision as Compose keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share(pub f32);

impl Decode for Share {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Int(number) => Some(Self(*number as f32)),
            Value::Float(number) => Some(Self(*number as f32)),
            Value::String(text) => {
                let number = text.parse::<f64>().ok();
                if number.is_none() {
                    at.wrong(node, format_args!("must be a number, it is `{text}`"));
                }
                number.map(|number| Self(number as f32))
            }
            _ => {
                at.mistyped(node, "a number");
                None
            }
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // through the shortest digits: 0.1 stays 0.1
        json_float(self.0.to_string().parse().unwrap_or(f64::from(self.0))).serialize(serializer)
    }
}

/// Permissions of a file; printed in octal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mode(pub i64);

impl Decode for Mode {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Int(number) => return Some(Self(*number as i64)),
            Value::String(text) => match i64::from_str_radix(text, 8) {
                Ok(number) => return Some(Self(number)),
                Err(_) => at.wrong(node, format_args!("must be an octal number such as `0444`, it is `{text}`")),
            },
            _ => at.mistyped(node, "an octal number"),
        }
        None
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sign = if self.0 < 0 { "-" } else { "" };
        serializer.collect_str(&format_args!("0{sign}{:o}", self.0.unsigned_abs()))
    }
}

/// How many devices; -1 is all of them, 0 is unset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeviceCount(pub i64);

impl Decode for DeviceCount {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        let count = match &node.value {
            Value::Int(number) => Some(*number as i64),
            Value::String(text) if text.eq_ignore_ascii_case("all") => Some(-1),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if count.is_none() {
            at.wrong(node, format_args!("must be `all` or a whole number, it is `{}`", sprint(node)));
        }
        count.map(Self)
    }
}

/// A limit of the kernel: one value for both, or a soft and a hard one. 0 is unset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ulimit {
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
    /// Written as one number.
    pub single: bool,
}

impl Decode for Ulimit {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        if let Value::Int(number) = node.value {
            return Some(Self { soft: number as i64, hard: number as i64, single: true });
        }
        let limit = |at: &mut Decoder<'_>, key: &str| match node.get(key).map(|limit| (&limit.value, limit)) {
            None => 0,
            Some((Value::Int(number), _)) => *number as i64,
            Some((_, limit)) => {
                at.mistyped(limit, "a whole number without quotes");
                0
            }
        };
        if node.as_map().is_none() {
            at.mistyped(node, "a whole number without quotes or a map of `soft` and `hard`");
            return None;
        }
        Some(Self { soft: limit(at, "soft"), hard: limit(at, "hard"), single: false })
    }
}

impl Serialize for Ulimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.single && self.soft != 0 {
            return self.soft.serialize(serializer);
        }
        let limits = [("soft", self.soft), ("hard", self.hard)];
        serializer.collect_map(limits.into_iter().filter(|(_, limit)| *limit != 0))
    }
}

/// Keys of ssh for a build: a path or socket by id, or nothing for the agent's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshKeys(pub BTreeMap<String, Option<String>>);

impl Decode for SshKeys {
    fn decode(node: &Node, at: &mut Decoder<'_>) -> Option<Self> {
        let Some(map) = node.as_map() else {
            at.mistyped(node, "a map");
            return None;
        };
        let path = |node: &Node| (!node.is_null()).then(|| sprint(node)).filter(|path| !path.is_empty());
        Some(Self(map.iter().map(|(id, node)| (id.as_str().to_owned(), path(node))).collect()))
    }
}

/// Only ids: Compose itself cannot print a path as JSON.
impl Serialize for SshKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.values().any(Option::is_some) {
            return Err(serde::ser::Error::custom("`build.ssh` with a path has no form in JSON"));
        }
        serializer.collect_seq(self.0.keys())
    }
}

macro_rules! of_collection {
    ($($ty:ty => $inner:ty;)*) => {
        $(impl Omit for $ty {
            fn omit(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl Deref for $ty {
            type Target = $inner;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        })*
    };
}

of_collection! {
    HealthTest => Vec<String>;
    Texts => Vec<String>;
    Pairs => BTreeMap<String, String>;
    Variables => BTreeMap<String, Option<String>>;
    Options => BTreeMap<String, Vec<String>>;
    ExtraHosts => BTreeMap<String, Vec<String>>;
    SshKeys => BTreeMap<String, Option<String>>;
}

impl Omit for Bytes {
    fn omit(&self) -> bool {
        self.0 == 0
    }
}

impl Omit for Duration {
    fn omit(&self) -> bool {
        self.0 == 0
    }
}

impl Omit for Share {
    fn omit(&self) -> bool {
        self.0 == 0.0
    }
}

impl Omit for DeviceCount {
    fn omit(&self) -> bool {
        self.0 == 0
    }
}
