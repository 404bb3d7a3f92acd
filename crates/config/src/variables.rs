//! Where the value of `${NAME}` comes from: the caller, environment files, the declared source, the default.

use crate::envfile;
use crate::files::normal;
use crate::include::Reader;
use crate::problem::Code;
use crate::tree::{Node, Span, boolean};
use indexmap::IndexMap;
use muster_spec::{SecretText, VariableSpec};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone)]
enum Source {
    Env(String),
    File(PathBuf),
    Command(String, PathBuf),
}

#[derive(Debug)]
struct Declared {
    span: Span,
    description: Option<String>,
    default: Option<String>,
    secret: bool,
    from: Option<Source>,
}

/// A value and who gave it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) text: String,
    pub(crate) secret: bool,
    origin: String,
}

/// Answers for names; asks files and commands only when a name is used, and once.
pub(crate) struct Values<'a> {
    env: &'a BTreeMap<String, String>,
    files: BTreeMap<String, (String, String)>,
    declared: IndexMap<String, Declared>,
    known: BTreeMap<String, Option<Found>>,
    pub(crate) secrets: BTreeMap<String, SecretText>,
}

impl<'a> Values<'a> {
    /// Reads `env_file` and `variables` of a merged tree.
    pub(crate) fn new(tree: &Node, env: &'a BTreeMap<String, String>, reader: &mut Reader<'_>) -> Self {
        let mut files = BTreeMap::new();
        for node in tree.get("env_file").map(Node::one_or_many).unwrap_or_default() {
            for (name, value, path) in env_file(node, reader) {
                files.insert(name, (value, path));
            }
        }
        let mut declared = IndexMap::new();
        for (name, entry) in tree.get("variables").and_then(Node::as_map).into_iter().flatten() {
            declared.insert(name.clone(), declaration(&entry.value, entry.key_span, reader));
        }
        Self { env, files, declared, known: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// The value of a name, secrets remembered apart.
    pub(crate) fn get(&mut self, name: &str, reader: &mut Reader<'_>) -> Option<Found> {
        if let Some(found) = self.known.get(name) {
            return found.clone();
        }
        let secret = self.declared.get(name).is_some_and(|d| d.secret);
        let found = self.given(name).or_else(|| self.sourced(name, reader));
        let found = found.map(|(text, origin)| Found { text, secret, origin });
        if let Some(found) = found.as_ref().filter(|found| found.secret) {
            self.secrets.insert(name.to_owned(), SecretText::new(found.text.clone()));
        }
        self.known.insert(name.to_owned(), found.clone());
        found
    }

    /// What the caller's environment says.
    pub(crate) fn callers(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// Names that have a value or a declaration.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.keys().chain(self.files.keys()).chain(self.env.keys()).map(String::as_str)
    }

    fn given(&self, name: &str) -> Option<(String, String)> {
        if let Some(value) = self.env.get(name) {
            return Some((value.clone(), "environment".to_owned()));
        }
        self.files.get(name).cloned()
    }

    fn sourced(&self, name: &str, reader: &mut Reader<'_>) -> Option<(String, String)> {
        let declared = self.declared.get(name)?;
        let fallback = || declared.default.clone().map(|text| (text, "default".to_owned()));
        let (answer, origin) = match declared.from.as_ref() {
            None => return fallback(),
            Some(Source::Env(other)) => {
                let found = self.given(other).map(|(text, _)| text);
                (found.ok_or_else(|| format!("`{other}` is not set")), format!("environment:{other}"))
            }
            Some(Source::File(path)) => {
                let read = reader.host.read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()));
                let text = read.and_then(|bytes| {
                    String::from_utf8(bytes).map_err(|_| format!("`{}` is not UTF-8", path.display()))
                });
                (text, path.display().to_string())
            }
            Some(Source::Command(command, folder)) => {
                let output = reader.host.run(command, folder);
                (output.map_err(|why| format!("`{command}`: {why}")), "command".to_owned())
            }
        };
        match answer {
            Ok(text) => Some((text.trim_end_matches(['\n', '\r']).to_owned(), origin)),
            Err(why) => {
                let message = format!("the source of `{name}` gave no value: {why}");
                if declared.default.is_some() {
                    reader.report.warn(Code::SecretSource, declared.span, message).help("the default is used");
                } else {
                    reader.report.error(Code::SecretSource, declared.span, message);
                }
                fallback()
            }
        }
    }

    /// The table for people; a name that was not used says where its value would come from.
    pub(crate) fn specs(&self) -> IndexMap<String, VariableSpec> {
        let spec = |(name, d): (&String, &Declared)| {
            let used = self.known.get(name).and_then(Option::as_ref).map(|found| found.origin.clone());
            let planned = || match (&d.from, &d.default) {
                (Some(Source::Env(other)), _) => format!("environment:{other}"),
                (Some(Source::File(path)), _) => path.display().to_string(),
                (Some(Source::Command(..)), _) => "command".to_owned(),
                (None, Some(_)) => "default".to_owned(),
                (None, None) => "unset".to_owned(),
            };
            let origin = used.or_else(|| self.given(name).map(|(_, origin)| origin)).unwrap_or_else(planned);
            let default = d.default.clone().filter(|_| !d.secret);
            (name.clone(), VariableSpec { description: d.description.clone(), default, secret: d.secret, origin })
        };
        self.declared.iter().map(spec).collect()
    }
}

fn declaration(node: &Node, span: Span, reader: &mut Reader<'_>) -> Declared {
    let plain = |node: &Node| node.as_scalar().map(|s| s.text.clone());
    let mut declared = Declared { span, description: None, default: None, secret: false, from: None };
    if node.as_map().is_none() {
        declared.default = plain(node).filter(|_| !node.is_null());
        return declared;
    }
    declared.description = node.get("description").and_then(plain);
    declared.default = node.get("default").and_then(plain);
    declared.secret = node.get("secret").and_then(plain).and_then(|text| boolean(&text)).unwrap_or(false);
    let Some(from) = node.get("from") else { return declared };
    let folder = reader.sources.folder(from.span.file).to_owned();
    let sources: Vec<Source> = [
        from.get("env").and_then(plain).map(Source::Env),
        from.get("file").and_then(plain).map(|text| Source::File(normal(&folder.join(text)))),
        from.get("command").and_then(plain).map(|text| Source::Command(text, folder.clone())),
    ]
    .into_iter()
    .flatten()
    .collect();
    if sources.len() > 1 {
        reader.report.error(Code::Conflict, from.span, "`from` takes one of `env`, `file` and `command`");
    }
    declared.from = sources.into_iter().next();
    declared
}

/// Name, value and file of every line of one environment file.
pub(crate) fn env_file(node: &Node, reader: &mut Reader<'_>) -> Vec<(String, String, String)> {
    let Some(scalar) = node.as_scalar() else { return Vec::new() };
    let (text, may_miss) = match scalar.text.strip_suffix('?') {
        Some(text) => (text, true),
        None => (scalar.text.as_str(), false),
    };
    let path = normal(&reader.sources.folder(node.span.file).join(text));
    if may_miss && !reader.host.is_file(&path) {
        return Vec::new();
    }
    let Some(id) = reader.text(&path, Some(node.span)) else { return Vec::new() };
    let Some(source) = reader.sources.get(id).cloned() else { return Vec::new() };
    let (pairs, wrong) = envfile::parse(&source.text);
    for line in wrong {
        let start: usize = source.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let length = source.text[start..].lines().next().map_or(0, str::len);
        let [first, last] = [start, start + length].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let span = Span { file: id, line, column: 1, start: first, end: last };
        reader.report.error(Code::EnvFile, span, "not a `NAME=value` line").help("comments start with `#`");
    }
    let shown = path.display().to_string();
    pairs.into_iter().map(|(name, value)| (name, value, shown.clone())).collect()
}
