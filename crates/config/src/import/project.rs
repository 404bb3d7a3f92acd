//! Loading: files in order, what they extend before them, and processes that extend processes.

use super::fields::Report;
use super::merge::merge;
use super::select::says_yes;
use super::{ImportOptions, ImportProblem, ReadText, SourceFile, dotenv, expand, yaml};
use crate::tree::{Kind, Map, Node};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// All files as one, before defaults.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// Top-level fields without `processes` and `extends`.
    pub(super) fields: Map,
    /// Processes in the order in which they were first named.
    pub(super) processes: Map,
    /// Variables of the `.env` files.
    pub(super) dotenv: dotenv::Variables,
}

/// A path without `.` and, where they can be taken away, `..`.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => {
                    out.pop();
                }
                Some(Component::RootDir) => {}
                Some(Component::ParentDir | Component::CurDir | Component::Prefix(_)) | None => out.push(part),
            },
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => out.push(part),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

struct Loader<'a> {
    options: &'a ImportOptions,
    read: &'a ReadText<'a>,
    dotenv: dotenv::Variables,
    names: Vec<PathBuf>,
    loaded: Vec<Map>,
    expanded: BTreeSet<String>,
}

/// Loads and merges all files.
pub(super) fn load(
    files: &[SourceFile],
    options: &ImportOptions,
    read: &ReadText<'_>,
    report: &mut Report,
) -> Result<Project, ImportProblem> {
    let dotenv = read_dotenv(options, read, report);
    let names = files.iter().map(|file| clean(&options.project_dir.join(&file.path))).collect();
    let mut loader = Loader { options, read, dotenv, names, loaded: Vec::new(), expanded: BTreeSet::new() };
    for (index, file) in files.iter().enumerate() {
        let mut fields = loader.parse(&file.path, &file.text)?;
        let parent = fields.shift_remove("extends");
        loader.extend(parent.as_ref().map(|entry| &entry.value), &file.path, index)?;
        loader.loaded.push(fields);
    }
    for name in &loader.expanded {
        let reason = "it was expanded when the file was loaded, as process-compose does";
        report.loss.push(&format!("${{{name}}}"), reason, "the value of that moment stands in its place");
    }
    let mut merged = Map::new();
    for fields in &loader.loaded {
        merge(&mut merged, fields);
    }
    let mut processes = match merged.shift_remove("processes").map(|entry| entry.value) {
        Some(Node { kind: Kind::Map(map), .. }) => map,
        Some(node) if !node.is_null() => {
            return Err(ImportProblem::WrongType { field: "processes".to_owned(), wanted: "a map" });
        }
        Some(_) | None => Map::new(),
    };
    for process in processes.values_mut().map(|entry| &mut entry.value).filter(|process| process.is_null()) {
        process.kind = Kind::Map(Map::new());
    }
    let mut project = Project { fields: merged, processes, dotenv: loader.dotenv };
    resolve_extends(&mut project.processes)?;
    Ok(project)
}

fn read_dotenv(options: &ImportOptions, read: &ReadText<'_>, report: &mut Report) -> dotenv::Variables {
    let mut variables = dotenv::Variables::new();
    for file in &options.env_files {
        let Ok(text) = read(&options.project_dir.join(file)) else { break };
        let (found, ignored) = dotenv::parse(&text);
        let field = file.display().to_string();
        if !found.is_empty() {
            report.loss.push(&field, "it was read at the import", "what the caller has not set stands in `env`");
        }
        variables.extend(found);
        for line in ignored {
            report.loss.push(&field, &format!("`{line}` is no assignment"), "it is left out");
        }
    }
    variables
}

impl Loader<'_> {
    fn parse(&mut self, path: &Path, text: &str) -> Result<Map, ImportProblem> {
        let lookup = |name: &str| self.dotenv.get(name).or_else(|| self.options.env.get(name)).cloned();
        let expanded = expand::expand(text, &lookup).map_err(|bad| ImportProblem::Expansion {
            path: path.to_owned(),
            line: 1 + text[..bad.0].matches('\n').count(),
            text: text[bad.0..].lines().next().unwrap_or_default().chars().take(40).collect(),
        })?;
        let fields = yaml::parse(path, &expanded.text)?;
        if says_yes(&fields, "disable_env_expansion") {
            return yaml::parse(path, text);
        }
        self.expanded.extend(expanded.names);
        Ok(fields)
    }

    /// Loads the file that `parent` names, and what that extends before it, at `index`.
    fn extend(&mut self, parent: Option<&Node>, path: &Path, index: usize) -> Result<(), ImportProblem> {
        let Some(parent) = parent.and_then(Node::as_text).filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let parent = clean(&path.parent().unwrap_or(Path::new("")).join(parent));
        let name = clean(&self.options.project_dir.join(&parent));
        if self.names.contains(&name) {
            return Err(ImportProblem::ExtendsGivenTwice { path: parent });
        }
        let text = (self.read)(&name).map_err(|source| ImportProblem::Unreadable { path: parent.clone(), source })?;
        self.names.push(name);
        let mut base = self.parse(&parent, &text)?;
        anchor_working_dirs(&mut base, parent.parent().unwrap_or(Path::new("")));
        let grandparent = base.shift_remove("extends");
        self.loaded.insert(index.min(self.loaded.len()), base);
        self.extend(grandparent.as_ref().map(|entry| &entry.value), &parent, index)
    }
}

/// Processes of an extended file run in its folder unless they name another.
fn anchor_working_dirs(fields: &mut Map, folder: &Path) {
    let Some(processes) = fields.get_mut("processes").and_then(|entry| entry.value.as_map_mut()) else { return };
    for process in processes.values_mut().filter_map(|entry| entry.value.as_map_mut()) {
        let own = process.get("working_dir").and_then(|entry| entry.value.as_text()).unwrap_or_default();
        let anchored = clean(&folder.join(own));
        process.insert("working_dir".to_owned(), yaml::entry(yaml::text(&anchored.to_string_lossy())));
    }
}

fn resolve_extends(processes: &mut Map) -> Result<(), ImportProblem> {
    let names: Vec<String> = processes.keys().cloned().collect();
    let mut resolved = BTreeSet::new();
    for name in names {
        resolve_one(processes, &name, &mut resolved, &mut Vec::new())?;
    }
    Ok(())
}

fn process_of<'a>(processes: &'a mut Map, name: &str) -> Option<&'a mut Map> {
    processes.get_mut(name)?.value.as_map_mut()
}

fn resolve_one(
    processes: &mut Map,
    name: &str,
    resolved: &mut BTreeSet<String>,
    open: &mut Vec<String>,
) -> Result<(), ImportProblem> {
    if resolved.contains(name) {
        return Ok(());
    }
    if open.iter().any(|process| process == name) {
        return Err(ImportProblem::ExtendsCircular { process: name.to_owned() });
    }
    let parent = process_of(processes, name).and_then(|process| process.shift_remove("extends"));
    if let Some(parent) = parent.as_ref().and_then(|entry| entry.value.as_text()).filter(|text| !text.is_empty()) {
        if !processes.contains_key(parent) {
            return Err(ImportProblem::ExtendsUnknown { process: name.to_owned(), parent: parent.to_owned() });
        }
        open.push(name.to_owned());
        resolve_one(processes, parent, resolved, open)?;
        open.pop();
        let mut merged = process_of(processes, parent).cloned().unwrap_or_default();
        if let Some(own) = process_of(processes, name) {
            merge(&mut merged, own);
            *own = merged;
        }
    }
    resolved.insert(name.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_paths() {
        for (path, wanted) in [("a/./b/../c", "a/c"), ("../../x/", "../../x"), ("", "."), ("/a/../../b", "/b")] {
            let found = clean(Path::new(path));
            assert_eq!(found.to_str(), Some(wanted), "{path}");
        }
    }

    fn load_texts(files: &[(&str, &str)], given: &[&str]) -> Result<Project, ImportProblem> {
        let text = |path: &Path| files.iter().find(|(name, _)| Path::new("/p").join(name) == path).map(|(_, t)| *t);
        let read = |path: &Path| text(path).map(str::to_owned).ok_or(std::io::ErrorKind::NotFound.into());
        let options = ImportOptions { project_dir: "/p".into(), ..ImportOptions::default() };
        let source =
            |name: &&str| SourceFile { path: name.into(), text: text(&Path::new("/p").join(name)).unwrap().into() };
        let given: Vec<_> = given.iter().map(source).collect();
        load(&given, &options, &read, &mut Report::default())
    }

    #[test]
    fn the_extended_comes_first_and_through_a_chain() {
        let files = [
            ("a.yaml", "extends: sub/b.yaml\nprocesses: {p: {command: a}}"),
            ("sub/b.yaml", "extends: c.yaml\nprocesses: {p: {command: b, description: b}}"),
            ("sub/c.yaml", "processes: {p: {command: c, description: c, namespace: c}, q: {working_dir: ../x}}"),
        ];
        let project = load_texts(&files, &["a.yaml"]).unwrap();
        let text =
            |process: &str, key: &str| project.processes[process].value.get(key).and_then(Node::as_text).unwrap();
        assert_eq!([text("p", "command"), text("p", "description"), text("p", "namespace")], ["a", "b", "c"]);
        assert_eq!([text("p", "working_dir"), text("q", "working_dir")], ["sub", "x"]);
        let twice = load_texts(&files, &["a.yaml", "sub/c.yaml"]).unwrap_err();
        assert_eq!(twice.code(), "import::extends_given_twice");
    }

    #[test]
    fn refuses_extends_that_lead_nowhere() {
        let circular = [("a", "processes: {p: {extends: q}, q: {extends: p}}")];
        assert_eq!(load_texts(&circular, &["a"]).unwrap_err().code(), "import::extends_circular");
        let unknown = [("a", "processes: {p: {extends: q}}")];
        assert_eq!(load_texts(&unknown, &["a"]).unwrap_err().code(), "import::extends_unknown");
        let file = [("a", "extends: b")];
        assert_eq!(load_texts(&file, &["a"]).unwrap_err().code(), "import::unreadable");
        let bad = [("a", "x: 1\ny: ${-}")];
        assert_eq!(load_texts(&bad, &["a"]).unwrap_err().to_string(), "`a`, line 2: bad substitution `${-}`");
    }
}
