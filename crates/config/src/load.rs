//! The passes in order.

use crate::build::{self, Chosen};
use crate::environment;
use crate::files::{Host, discover, normal};
use crate::foreign;
use crate::import::Imported;
use crate::include::{Reader, empty};
use crate::interpolate::interpolate;
use crate::merge::{merge, settled};
use crate::origin::{Origin, origins};
use crate::problem::{Code, Problem, Problems};
use crate::tree::{Map, Node, Span, from_json};
use crate::variables::Values;
use muster_spec::{EnvironmentName, RuntimeKind, SecretText, Selector, Stack};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is asked for. Everything from outside is in here or behind [`Host`].
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The files, later ones over earlier ones; none: found upward from `cwd`.
    pub files: Vec<PathBuf>,
    /// The environment; none: `default_environment` of the file, else `local`.
    pub environment: Option<EnvironmentName>,
    /// The declared environment that one which the file does not declare takes after; none: the default one.
    pub like: Option<EnvironmentName>,
    /// `--runtime S=V`: service, alias or group, and variant.
    pub runtimes: Vec<(String, RuntimeKind)>,
    /// The runtimes of this machine; none: all of them.
    pub available: Option<BTreeSet<RuntimeKind>>,
    /// What will be used: a runtime that is missing elsewhere is a warning only. None: everything.
    pub only: Option<Selector>,
    /// The caller's folder, absolute.
    pub cwd: PathBuf,
    /// The caller's environment.
    pub env: BTreeMap<String, String>,
}

/// A stack that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// The stack, resolved for one environment.
    pub stack: Stack,
    /// Values of the secrets that are used, by variable.
    pub secrets: BTreeMap<String, SecretText>,
    /// Warnings.
    pub problems: Problems,
    /// Where every value came from, in the order of the merged file.
    pub origins: Vec<Origin>,
    /// Names of the environments that the file declares.
    pub environments: Vec<String>,
    /// What was lost, and facts for the run, when the file is another tool's.
    pub imported: Option<Imported>,
}

/// Reads, merges, interpolates and checks. A file of another tool is imported first.
///
/// # Errors
/// All problems of all files at once.
pub fn load(request: &Request, host: &dyn Host) -> Result<Loaded, Problems> {
    let files = match files(request, host) {
        Ok(files) => files,
        Err(problem) => return Err(Problems { list: vec![*problem], sources: Vec::new() }),
    };
    if let Some(imported) = foreign::import(request, &files, host) {
        let imported = imported?;
        let name = files.first().and_then(|file| file.file_name()).unwrap_or_default();
        let mut loaded = load_document(request, &imported.document, vec![imported.root.join(name)], host)?;
        loaded.imported = Some(imported);
        return Ok(loaded);
    }
    let mut reader = Reader::new(host);
    let mut trees = Vec::new();
    for path in &files {
        trees.extend(reader.file(path, None));
    }
    finish(request, reader, trees, files)
}

/// As [`load`], from a document in the stack file's language, as importers make one. Problems have the first of `files`
/// as their place.
///
/// # Errors
/// All problems at once.
pub fn load_document(
    request: &Request,
    document: &serde_json::Value,
    files: Vec<PathBuf>,
    host: &dyn Host,
) -> Result<Loaded, Problems> {
    let mut reader = Reader::new(host);
    let path = files.first().cloned().unwrap_or_else(|| request.cwd.join(crate::FILE_NAMES[0]));
    let text = host.read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let file = reader.sources.add(path.clone(), text);
    let node = from_json(document, Span { file, line: 1, column: 1, start: 0, end: 0 });
    let trees = reader.document(node, &path, None).into_iter().collect();
    let files = if files.is_empty() { vec![path] } else { files };
    finish(request, reader, trees, files)
}

fn files(request: &Request, host: &dyn Host) -> Result<Vec<PathBuf>, Box<Problem>> {
    if request.files.is_empty() {
        let found = discover(&request.cwd, host).ok_or_else(|| {
            let message = format!("no `muster.yaml` in `{}` or above it", request.cwd.display());
            let help = "`muster init` writes a first one from what is found here; `-f FILE` names another";
            Box::new(Problem::error(Code::NoFile, message).with_help(help))
        })?;
        return Ok(vec![host.canonical(&found)]);
    }
    Ok(request.files.iter().map(|file| host.canonical(&normal(&request.cwd.join(file)))).collect())
}

fn finish(
    request: &Request,
    mut reader: Reader<'_>,
    trees: Vec<Node>,
    files: Vec<PathBuf>,
) -> Result<Loaded, Problems> {
    let mut trees = trees.into_iter();
    let mut tree = match trees.next() {
        Some(first) => settled(first),
        None => empty(),
    };
    trees.for_each(|over| merge(&mut tree, over, &mut reader.report));
    // Without any tree every further problem would only be a consequence.
    if tree.as_map().is_none_or(Map::is_empty) && reader.report.has_errors() {
        return Err(reader.report.into_problems(&reader.sources));
    }
    let environments = tree.get("environments").and_then(Node::as_map).map(|map| map.keys().cloned().collect());
    let Some(environment) = environment_name(request, &tree, &mut reader) else {
        return Err(reader.report.into_problems(&reader.sources));
    };
    let like = request.like.as_ref().map(EnvironmentName::as_str);
    let mut overlay = environment::overlay(&tree, environment.as_str(), like, &mut reader.report);
    let overlay_runtimes = overlay.apply(&mut tree, &mut reader.report);
    let mut values = Values::new(&tree, &request.env, &mut reader);
    interpolate(&mut tree, &mut values, &mut reader);
    let root = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("/")).to_owned();
    let chosen = Chosen {
        environment,
        root,
        files,
        runtimes: &request.runtimes,
        overlay_runtimes: &overlay_runtimes,
        environment_runtime: overlay.runtime.as_ref(),
        available: request.available.as_ref(),
        only: request.only.as_ref(),
        env: &request.env,
    };
    let stack = build::build(&mut tree, &chosen, &values, &mut reader);
    reader.report.name_keys(&tree);
    let failed = reader.report.has_errors();
    let origins = origins(&tree, &reader.sources, &overlay.chain, &stack);
    let problems = reader.report.into_problems(&reader.sources);
    if failed {
        return Err(problems);
    }
    let environments = environments.unwrap_or_default();
    Ok(Loaded { stack, secrets: values.secrets, problems, origins, environments, imported: None })
}

fn environment_name(request: &Request, tree: &Node, reader: &mut Reader<'_>) -> Option<EnvironmentName> {
    if let Some(name) = &request.environment {
        return Some(name.clone());
    }
    let text = environment::default_name(tree);
    match EnvironmentName::new(&text) {
        Ok(name) => Some(name),
        Err(error) => {
            let span = tree.get("default_environment").map_or(tree.span, |node| node.span);
            reader.report.error(Code::BadName, span, format!("{error}"));
            None
        }
    }
}
