//! One project, or one included project: its files merged into one tree.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::extends::{self, Extended};
use crate::files::Files;
use crate::interpolate::{self, Environment};
use crate::path::Path as TreePath;
use crate::paths::{self, Base};
use crate::problem::{Code, Report};
use crate::reset::Resets;
use crate::sources::Sources;
use crate::tree::{Map, Node, Span, Value};
use crate::{canonical, checks, environ, include, merge, schema, unique};

/// Everything that outlives one file.
pub(crate) struct Loader<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) sources: Sources,
    pub(crate) report: Report,
    /// What was extended, by scope and file: a file with a base for a hundred services is loaded once.
    pub(crate) extended: HashMap<(usize, PathBuf), Option<Rc<Extended>>>,
    /// Numbers scopes.
    pub(crate) scopes: usize,
}

/// What the files of one project, or of one included project, have in common.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) number: usize,
    /// Where relative paths start.
    pub(crate) folder: PathBuf,
    /// Where `extends` and `include` look for files.
    pub(crate) lookup: PathBuf,
    pub(crate) environment: Environment,
    /// The files on the way here, for circles.
    pub(crate) included: Vec<PathBuf>,
}

/// A document of a file: interpolated, and what it takes out of the ones before.
struct Document {
    file: PathBuf,
    root: Node,
    resets: Resets,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(files: &'a dyn Files) -> Self {
        let (sources, report) = (Sources::default(), Report::default());
        Self { files, sources, report, extended: HashMap::new(), scopes: 0 }
    }

    /// The files merged, in their long forms, with absolute paths. None after an error.
    pub(crate) fn project(&mut self, paths: &[PathBuf], scope: &Scope) -> Option<Node> {
        let mut documents = Vec::new();
        let mut complete = true;
        for path in paths {
            match self.documents(path, &scope.environment) {
                Some(found) => documents.extend(found),
                None => complete = false,
            }
        }
        if !complete {
            return None;
        }
        let mut root = Node::map(Span::default());
        for document in documents {
            root = self.add(root, document, scope)?;
        }
        canonical::defaults(&mut root, &mut self.report);
        self.pass(|report| checks::validate(&root, report))?;
        let home = scope.environment.get("HOME").map(String::as_str);
        let base = Base { folder: &scope.folder, home, files: self.files };
        self.pass(|report| paths::resolve(&mut root, base, report))?;
        environ::resolve(&mut root, &scope.environment);
        Some(root)
    }

    /// A file as a source of bases: its documents merged, without `extends`, `include` and the schema.
    pub(crate) fn base_file(&mut self, path: &Path, environment: &Environment) -> Option<(Node, Resets)> {
        let mut root = Node::map(Span::default());
        let mut last = Resets::default();
        for document in self.documents(path, environment)? {
            document.resets.apply(&mut root);
            root = merge::projects(root, document.root, &mut self.report)?;
            root = self.long_forms(root)?;
            last = document.resets;
        }
        Some((root, last))
    }

    /// Runs a pass that reports; none if it found an error.
    pub(crate) fn pass(&mut self, run: impl FnOnce(&mut Report)) -> Option<()> {
        let before = self.report.errors();
        run(&mut self.report);
        (self.report.errors() == before).then_some(())
    }

    /// The documents of a file, each with its variables replaced and its `!reset`s taken out.
    fn documents(&mut self, path: &Path, environment: &Environment) -> Option<Vec<Document>> {
        let mut documents = Vec::new();
        for mut root in self.sources.documents(path, self.files, &mut self.report)? {
            let resets = Resets::take(&mut root);
            if root.as_map().is_none() {
                let message = format!("a compose file is a map, not {}", root.describe());
                self.report.error(Code::WrongType, root.span, message);
                return None;
            }
            self.pass(|report| interpolate::interpolate(&mut root, environment, report))?;
            documents.push(Document { file: path.to_path_buf(), root, resets });
        }
        Some(documents)
    }

    fn add(&mut self, base: Node, document: Document, scope: &Scope) -> Option<Node> {
        let Document { file, root: mut over, resets } = document;
        extends::apply(self, &mut over, &file, &resets, scope)?;
        let mut base = base;
        resets.apply(&mut base);
        include::apply(self, &mut over, &file, scope)?;
        let mut root = merge::projects(base, over, &mut self.report)?;
        self.pass(|report| unique::apply(&mut root, report))?;
        self.pass(|report| schema::validate(&root, report))?;
        if let Some(version) = root.remove("version") {
            let message = "`version` is obsolete and passed over";
            self.report.warn(Code::Obsolete, Some(version.span), message);
        }
        self.long_forms(root)
    }

    fn long_forms(&mut self, mut root: Node) -> Option<Node> {
        self.pass(|report| canonical::apply(&mut root, report))?;
        omit_empty(&mut root);
        self.pass(|report| unique::apply(&mut root, report))?;
        Some(root)
    }
}

/// Leaves out empty names of `dns` servers, which an unset variable makes.
fn omit_empty(root: &mut Node) {
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(Map::values_mut) {
        if let Some(servers) = service.get_mut("dns").and_then(Node::as_seq_mut) {
            servers.retain(|server| !matches!(&server.value, Value::Null) && server.as_str() != Some(""));
        }
    }
}

/// Says that something stands where a map has to.
pub(crate) fn not_a_map(path: &TreePath<'_>, node: &Node, report: &mut Report) {
    report.error(Code::WrongType, node.span, format!("`{path}` must be a map, this is {}", node.describe()));
}
