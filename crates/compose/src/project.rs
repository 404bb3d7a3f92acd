//! A request to a loaded project: options, name, tree, and which services are active.

use crate::environ::ServiceFiles;
use crate::extensions;
use crate::files::Files;
use crate::interpolate;
use crate::load::{LoadRequest, Loaded};
use crate::loader::{Loader, Scope};
use crate::options::{self, Options};
use crate::path::Path;
use crate::problem::{Code, Problem, Report};
use crate::tree::{Map, Node, Value};

/// The variable that the project's name is given as.
const NAME_VARIABLE: &str = "COMPOSE_PROJECT_NAME";

/// See [`crate::load::load`].
pub(crate) fn load(request: &LoadRequest, files: &dyn Files) -> Result<Loaded, Vec<Problem>> {
    let mut loader = Loader::new(files);
    let loaded = run(&mut loader, request);
    let sources = loader.sources.into_list();
    let (errors, warnings) = loader.report.finish(&sources);
    match loaded {
        Some(loaded) if errors.is_empty() => Ok(Loaded { sources, warnings, ..loaded }),
        Some(_) | None => Err(errors),
    }
}

fn run(loader: &mut Loader<'_>, request: &LoadRequest) -> Option<Loaded> {
    let mut options = options::resolve(request, loader.files, &mut loader.report)?;
    let project_name = name(loader, request, &options)?;
    options.environment.insert(NAME_VARIABLE.to_owned(), project_name.clone());
    let scope = Scope {
        number: 0,
        folder: options.folder.clone(),
        lookup: options.folder.clone(),
        environment: options.environment,
        included: Vec::new(),
    };
    let mut root = loader.project(&options.files, &scope)?;
    if root.as_map().is_none_or(Map::is_empty) {
        loader.report.general(Code::Empty, "there is nothing in the compose file");
        return None;
    }
    if project_name.is_empty() {
        loader.report.general(Code::ProjectName, "the project has no name: give it one with `name:`");
        return None;
    }
    root.insert("name", Node::string(root.span, project_name.clone()));
    extensions::set_apart(&mut root);
    let active = active(&root, &options.profiles);
    let mut reader = ServiceFiles { files: loader.files, environment: &scope.environment, report: &mut loader.report };
    for name in &active {
        if let Some(service) = root.get_mut("services").and_then(|services| services.get_mut(name)) {
            reader.environment_of(service);
            reader.labels_of(service);
        }
    }
    Some(Loaded {
        root,
        sources: Vec::new(),
        project_name,
        working_dir: scope.folder,
        files: options.files,
        env_files: options.env_files,
        environment: scope.environment,
        profiles: options.profiles,
        active,
        warnings: Vec::new(),
    })
}

/// The project's name: as asked for, of the environment, of the files, or of the folder. Empty when the files name it and
/// nothing is left of that.
fn name(loader: &mut Loader<'_>, request: &LoadRequest, options: &Options) -> Option<String> {
    let given = request.project_name.as_ref().filter(|name| !name.is_empty());
    let from_environment = options.environment.get(NAME_VARIABLE).filter(|name| !name.is_empty());
    if let Some(name) = given.or(from_environment) {
        if normalise(name) != *name {
            let message = format!(
                "`{name}` cannot be a project's name: it takes small letters, digits, `-` and `_`, a letter or digit first"
            );
            loader.report.general(Code::ProjectName, message);
            return None;
        }
        return Some(name.clone());
    }
    let mut written: Option<Node> = None;
    let mut named = false;
    for path in &options.files {
        // What cannot be read or parsed is reported when the file is loaded.
        let documents = loader.sources.documents(path, loader.files, &mut Report::default()).unwrap_or_default();
        for (number, document) in documents.iter().enumerate() {
            let Some(node) = document.get("name").filter(|node| is_named(node)) else { continue };
            named |= number == 0;
            written = Some(node.clone());
        }
    }
    let own = match &written {
        None => String::new(),
        Some(node) => {
            let text = node.written.as_ref().map(|written| written.text.as_ref()).unwrap_or_default();
            match interpolate::text(text, node.span, &options.environment, &mut loader.report) {
                Ok(text) => normalise(&text),
                Err(error) => {
                    interpolate::complain(&error, &Path::ROOT.next("name"), node.span, &mut loader.report);
                    return None;
                }
            }
        }
    };
    if own.is_empty() && !named {
        let folder = options.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        return Some(normalise(&folder.unwrap_or_default()));
    }
    Some(own)
}

fn is_named(node: &Node) -> bool {
    !node.is_null() && node.written.as_ref().is_some_and(|written| !written.text.is_empty())
}

/// What Compose leaves of a name: small letters, digits, `-` and `_`, neither of the two at the beginning.
#[must_use]
pub fn normalise(name: &str) -> String {
    let kept = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    let kept: String = name.chars().flat_map(char::to_lowercase).filter(kept).collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// The services that have no profile, or one of these (compose-spec, 15-profiles).
fn active(root: &Node, profiles: &[String]) -> Vec<String> {
    let Some(services) = root.get("services").and_then(Node::as_map) else { return Vec::new() };
    let all = profiles.iter().any(|profile| profile == "*");
    let is_active = |service: &Node| {
        let own = service.get("profiles").and_then(Node::as_seq).unwrap_or_default();
        let named = |node: &Node| matches!(&node.value, Value::String(name) if profiles.contains(name));
        all || own.is_empty() || own.iter().any(named)
    };
    services.iter().filter(|(_, service)| is_active(service)).map(|(name, _)| name.to_string()).collect()
}
