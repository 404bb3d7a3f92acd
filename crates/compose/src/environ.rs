//! Values that come from outside: variables named without a value, `environment:` of secrets and configs, and the files
//! that services name with `env_file` and `label_file`.

use std::path::Path;

use crate::dotenv::{self, EnvError, Values};
use crate::files::{Files, Found};
use crate::interpolate::Environment;
use crate::problem::{Code, Report};
use crate::show::sprint;
use crate::tree::{Key, Map, Node, Span, Value};

/// Where Compose keeps the value of a secret that comes from the environment; printing leaves it out.
pub(crate) const SECRET_VALUE: &str = "x-#value";

/// Gives a value to what a project only names: `- NAME` in a list of a service's environment, and `environment:` of a
/// secret or config.
pub(crate) fn resolve(root: &mut Node, environment: &Environment) {
    for service in entries(root, "services") {
        for item in service.get_mut("environment").and_then(Node::as_seq_mut).into_iter().flatten() {
            if let Some(value) = item.as_str().and_then(|name| environment.get(name)) {
                item.value = Value::String(format!("{}={value}", item.as_str().unwrap_or_default()));
            }
        }
    }
    for (kind, field) in [("secrets", SECRET_VALUE), ("configs", "content")] {
        for item in entries(root, kind) {
            let named = item.get("environment").map(|node| (node.span, node.as_str().map(str::to_owned)));
            if let Some((span, Some(name))) = named
                && let Some(value) = environment.get(&name)
            {
                item.insert(field, Node::string(span, value));
            }
        }
    }
}

fn entries<'n>(root: &'n mut Node, kind: &str) -> impl Iterator<Item = &'n mut Node> {
    root.get_mut(kind).and_then(Node::as_map_mut).into_iter().flat_map(indexmap::IndexMap::values_mut)
}

/// Reads the files that services name.
pub(crate) struct ServiceFiles<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) environment: &'a Environment,
    pub(crate) report: &'a mut Report,
}

impl ServiceFiles<'_> {
    /// `environment` becomes a map of everything that the service gets, null for a name without a value; what the
    /// service says itself counts over its files, of which the later counts over the earlier.
    pub(crate) fn environment_of(&mut self, service: &mut Node) {
        let own = self.own(service);
        let mut values: Values =
            own.iter().filter_map(|(key, node)| Some((key.to_string(), node.as_str()?.to_owned()))).collect();
        let lookup = |name: &str| {
            let outer = self.environment.get(name).cloned();
            outer.or_else(|| own.get(name).and_then(Node::as_str).map(str::to_owned))
        };
        let listed = service.get("env_file").and_then(Node::as_seq).unwrap_or_default().to_vec();
        for file in &listed {
            let Some(path) = file.get("path").and_then(Node::as_str) else { continue };
            let required = file.get("required").is_none_or(|node| sprint(node) != "false");
            let format = file.get("format").and_then(Node::as_str).unwrap_or_default();
            let Some(text) = self.text(path, required, file.span) else { continue };
            let mut missing = Vec::new();
            let read = match format {
                "" | ".env" => dotenv::parse(&text, &mut values, &lookup, &mut missing),
                "raw" => dotenv::parse_raw(&text, &mut values, &lookup),
                other => Err(EnvError { line: 1, message: format!("there is no format `{other}`, only `raw`") }),
            };
            self.told(path, file.span, read, &missing);
        }
        let span = service.get("environment").map_or(service.span, |node| node.span);
        let mut all = Map::new();
        for (name, value) in values {
            all.insert(Key::new(name, span), Node::string(span, value));
        }
        for (key, value) in own {
            all.insert(key, value);
        }
        if !all.is_empty() || service.get("environment").is_some() {
            service.insert("environment", Node::new(span, Value::Map(all)));
        }
        service.remove("env_file");
    }

    /// `labels` becomes a map of the service's own and those of its label files.
    pub(crate) fn labels_of(&mut self, service: &mut Node) {
        let Some(listed) = service.get("label_file").and_then(Node::as_seq).map(<[Node]>::to_vec) else { return };
        let mut values = Values::new();
        for file in &listed {
            let Some(path) = file.as_str() else { continue };
            let Some(text) = self.text(path, true, file.span) else { continue };
            let mut missing = Vec::new();
            let before = values.clone();
            let read = dotenv::parse(&text, &mut values, &|name| before.get(name).cloned(), &mut missing);
            self.told(path, file.span, read, &missing);
        }
        let span = service.get("labels").map_or(service.span, |node| node.span);
        let mut all: Map = values.into_iter().map(|(key, v)| (Key::new(key, span), Node::string(span, v))).collect();
        if let Some(own) = service.get("labels") {
            all.extend(mapping(own));
        }
        service.insert("labels", Node::new(span, Value::Map(all)));
        service.remove("label_file");
    }

    /// What a service says itself, as a map; a name without a value takes the outer one.
    fn own(&mut self, service: &Node) -> Map {
        for item in service.get("environment").and_then(Node::as_seq).unwrap_or_default() {
            let name = item.as_str().map(|text| text.split_once('=').map_or(text, |(name, _)| name));
            if let Some(name) = name.filter(|name| name.ends_with(char::is_whitespace)) {
                self.report.error(Code::BadValue, item.span, format!("the variable `{name}` ends with a space"));
            }
        }
        let mut own = service.get("environment").map(mapping).unwrap_or_default();
        for (key, node) in &mut own {
            if node.is_null()
                && let Some(value) = self.environment.get(key.as_str())
            {
                node.value = Value::String(value.clone());
            }
        }
        own
    }

    fn text(&mut self, path: &str, required: bool, span: Span) -> Option<String> {
        let (found, path) = (self.files.find(Path::new(path)), Path::new(path));
        if found.is_none() && !required {
            return None;
        }
        let problem = match found {
            None => "is not there".to_owned(),
            Some(Found::Folder) => "is a folder".to_owned(),
            Some(Found::File) => match self.files.read(path) {
                Ok(bytes) => return Some(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) => format!("cannot be read: {error}"),
            },
        };
        self.report.error(Code::EnvFile, span, format!("the file `{}` {problem}", path.display()));
        None
    }

    fn told(&mut self, path: &str, span: Span, read: Result<(), EnvError>, missing: &[String]) {
        for name in missing {
            let message = format!("the variable `{name}` in `{path}` is not set and taken for empty");
            self.report.warn(Code::Unset, Some(span), message);
        }
        if let Err(error) = read {
            self.report.error(Code::EnvFile, span, format!("line {} of `{path}`: {}", error.line, error.message));
        }
    }
}

/// A map to texts, or a list of `KEY=value`, as a map to texts and nulls.
fn mapping(node: &Node) -> Map {
    match &node.value {
        Value::Map(map) => map
            .iter()
            .map(|(key, value)| {
                let text = if value.is_null() { Value::Null } else { Value::String(sprint(value)) };
                (key.clone(), Node { value: text, ..value.clone() })
            })
            .collect(),
        Value::Seq(items) => items
            .iter()
            .map(|item| {
                let text = sprint(item);
                match text.split_once('=') {
                    Some((key, value)) => (Key::new(key, item.span), Node::string(item.span, value)),
                    None => (Key::new(text, item.span), Node::new(item.span, Value::Null)),
                }
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Time(_) => {
            Map::new()
        }
    }
}
