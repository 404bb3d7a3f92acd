//! `include`: other projects as a part of this one (compose-spec, 14-include).
//!
//! An included project is loaded by itself, with its own folder and variables, up to where its paths are absolute; then
//! its services, networks and so on are put beside those of the including file. What both have must be the same.

use std::path::{Path, PathBuf};

use crate::files::{Found, join};
use crate::loader::{Loader, Scope};
use crate::options::read_env_files;
use crate::problem::Code;
use crate::tree::{Map, Node, Span, Value};

/// The maps of a project that an include brings along.
const KINDS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// One entry of `include`, in its long form.
struct Entry {
    span: Span,
    paths: Vec<String>,
    folder: Option<String>,
    env_files: Vec<String>,
}

/// Loads what a document includes into it.
pub(crate) fn apply(loader: &mut Loader<'_>, root: &mut Node, file: &Path, scope: &Scope) -> Option<()> {
    let Some(include) = root.remove("include") else { return Some(()) };
    let mut scope = scope.clone();
    scope.included.push(file.to_path_buf());
    // an entry that names no file, which Compose allows, brings nothing along
    for entry in entries(&include, loader)?.into_iter().filter(|entry| !entry.paths.is_empty()) {
        let imported = load(loader, &entry, &scope)?;
        add(loader, imported, root, entry.span)?;
    }
    Some(())
}

fn entries(include: &Node, loader: &mut Loader<'_>) -> Option<Vec<Entry>> {
    let items = match &include.value {
        Value::Null => return Some(Vec::new()),
        Value::Seq(items) => items,
        _ => {
            let message = format!("`include` must be a list, this is {}", include.describe());
            loader.report.error(Code::WrongType, include.span, message);
            return None;
        }
    };
    let entries: Option<Vec<Entry>> = items.iter().map(entry).collect();
    if entries.is_none() {
        let message = "`include` takes paths, or maps of `path`, `project_directory` and `env_file`";
        loader.report.error(Code::WrongType, include.span, message);
    }
    entries
}

fn entry(item: &Node) -> Option<Entry> {
    let span = item.span;
    let (paths, folder, env_files) = match &item.value {
        Value::String(path) => (vec![path.clone()], None, Vec::new()),
        Value::Map(map) => {
            let folder = match map.get("project_directory") {
                Some(node) if !node.is_null() => Some(node.as_str()?.to_owned()).filter(|path| !path.is_empty()),
                Some(_) | None => None,
            };
            (texts(map.get("path"))?, folder, texts(map.get("env_file"))?)
        }
        Value::Null => (Vec::new(), None, Vec::new()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Seq(_) => return None,
    };
    Some(Entry { span, paths, folder, env_files })
}

/// A text or a list of texts.
fn texts(node: Option<&Node>) -> Option<Vec<String>> {
    match node.map(|node| &node.value) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(Value::Seq(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    }
}

/// The included project.
fn load(loader: &mut Loader<'_>, entry: &Entry, scope: &Scope) -> Option<Node> {
    let paths: Vec<PathBuf> = entry.paths.iter().map(|path| join(&scope.lookup, path)).collect();
    let first = paths.first()?;
    if scope.included.contains(first) {
        let way: Vec<_> = scope.included.iter().map(|path| format!("`{}`", path.display())).collect();
        let message =
            format!("files include each other in a circle: {}, then `{}`", way.join(", then "), first.display());
        loader.report.error(Code::Include, entry.span, message);
        return None;
    }
    let missing: Vec<&PathBuf> = paths.iter().filter(|path| loader.files.find(path) != Some(Found::File)).collect();
    for path in &missing {
        loader.report.error(Code::Include, entry.span, format!("`{}`, which is included, is no file", path.display()));
    }
    if !missing.is_empty() {
        return None;
    }
    let folder = match &entry.folder {
        Some(folder) => join(&scope.folder, folder),
        None => first.parent().unwrap_or(first).to_path_buf(),
    };
    let env_files = env_files(loader, entry, scope, &folder)?;
    let mut environment = scope.environment.clone();
    for (name, value) in read_env_files(&env_files, &scope.environment, loader.files, &mut loader.report)? {
        environment.entry(name).or_insert(value);
    }
    loader.scopes += 1;
    let (number, lookup, included) = (loader.scopes, folder.clone(), scope.included.clone());
    loader.project(&paths, &Scope { number, folder, lookup, environment, included })
}

/// The env files of an included project: those it is given, else `.env` in its folder if it is there.
fn env_files(loader: &mut Loader<'_>, entry: &Entry, scope: &Scope, folder: &Path) -> Option<Vec<PathBuf>> {
    if entry.env_files.is_empty() {
        let default = folder.join(".env");
        let there = loader.files.find(&default) == Some(Found::File);
        return Some(if there { vec![default] } else { Vec::new() });
    }
    let files: Vec<PathBuf> = entry.env_files.iter().map(|file| join(&scope.folder, file)).collect();
    match files.iter().find(|file| loader.files.find(file) != Some(Found::File)) {
        None => Some(files),
        Some(missing) => {
            let message = format!("the env file `{}` of an include is no file", missing.display());
            loader.report.error(Code::EnvFile, entry.span, message);
            None
        }
    }
}

/// Puts what was imported beside what is there.
fn add(loader: &mut Loader<'_>, mut imported: Node, root: &mut Node, span: Span) -> Option<()> {
    for kind in KINDS {
        let from = match imported.remove(kind).map(|node| node.value) {
            Some(Value::Map(from)) => from,
            Some(_) | None => continue,
        };
        if root.get(kind).is_none() {
            root.insert(kind, Node::new(span, Value::Map(Map::new())));
        }
        let Some(to) = root.get_mut(kind).and_then(Node::as_map_mut) else {
            let message = format!("`{kind}` must be a map for what is included to go into it");
            loader.report.error(Code::WrongType, span, message);
            return None;
        };
        for (name, node) in from {
            match to.get(&name) {
                Some(own) if *own != node => {
                    let message = format!("`{kind}.{name}` is in an included file too, and differs");
                    loader.report.error(Code::Include, own.span, message);
                    return None;
                }
                Some(_) => {}
                None => {
                    to.insert(name, node);
                }
            }
        }
    }
    Some(())
}
