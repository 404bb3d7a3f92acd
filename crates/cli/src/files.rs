//! Files to a stack: our own language, and what other tools wrote.

use crate::context::Context;
use crate::failure::Failure;
use muster_api::exit;
use muster_config::import::{
    Foreign, ImportOptions, ImportProblem, Imported, LossReport, SourceFile, import_compose, import_process_compose,
    import_procfile, is_compose,
};
use muster_config::{Disk, Host, Loaded, Request};
use muster_engine::documents::ErrorDocument;
use muster_spec::{RuntimeKind, Selector};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What of a stack is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Words of the selection.
    pub(crate) words: Vec<String>,
    /// `--runtime S=V`.
    pub(crate) runtimes: Vec<String>,
    /// `--namespace` of a process-compose file.
    pub(crate) namespaces: Vec<String>,
    /// Leave out what the selected need.
    pub(crate) no_deps: bool,
}

/// A stack that can be run, and what its import lost.
#[derive(Debug)]
pub(crate) struct Read {
    /// The stack with its secrets.
    pub(crate) loaded: Loaded,
    /// What another tool's file could not keep.
    pub(crate) loss: Option<LossReport>,
    /// Only what was selected is in it.
    pub(crate) cut: bool,
}

/// A process-compose file or a Procfile, by its name or by what stands in it.
pub(crate) fn is_foreign(file: &Path) -> bool {
    let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_ascii_lowercase();
    let ours = muster_config::FILE_NAMES.contains(&name.as_str());
    name.starts_with("process-compose") || is_procfile(file) || (!ours && says_processes(file))
}

/// What cannot be read says nothing; whoever reads it next tells why.
fn says_processes(file: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    Foreign::of(&SourceFile { path: file.to_owned(), text }).is_some()
}

fn is_procfile(file: &Path) -> bool {
    file.file_name().and_then(|n| n.to_str()).is_some_and(|name| name.to_ascii_lowercase().starts_with("procfile"))
}

/// A compose file, by its name or by what stands in it.
pub(crate) fn is_docker_compose(file: &Path) -> bool {
    let text = || std::fs::read_to_string(file).unwrap_or_default();
    !is_foreign(file) && is_compose(file, text)
}

/// Reads the stack for the environment that the command means.
pub(crate) fn read(context: &Context, wanted: &Wanted) -> Result<Read, Failure> {
    let first = context.first_file()?;
    if context.is_compose(&first) {
        return crate::compose::read(context, wanted);
    }
    context.global.compose.refuse()?;
    let foreign = is_foreign(&first);
    let cwd = context.cwd()?;
    let root = if foreign { cwd.clone() } else { first.parent().unwrap_or(&cwd).to_owned() };
    let request = request(context, wanted, &root, false)?;
    if !foreign {
        if !wanted.namespaces.is_empty() {
            let help = "only a process-compose file has namespaces; name the group: `muster up GROUP`";
            return Err(Failure::usage("`--namespace` chooses nothing in a stack file", help));
        }
        let loaded = muster_config::load(&request, &Disk)?;
        warn(context, &loaded);
        return Ok(Read { loaded, loss: None, cut: false });
    }
    let imported = import(context, &context.global.files, wanted, &cwd)?;
    let name = first.file_name().map(PathBuf::from).unwrap_or_default();
    let loaded = muster_config::load_document(&request, &imported.document, vec![imported.root.join(name)], &Disk)?;
    warn(context, &loaded);
    Ok(Read { loaded, loss: Some(imported.loss), cut: true })
}

/// Says what is no error.
pub(crate) fn warn(context: &Context, loaded: &Loaded) {
    for document in crate::failure::problem_documents(&loaded.problems) {
        context.warn(&document);
    }
}

/// What a stack is loaded by, below this folder.
pub(crate) fn request(context: &Context, wanted: &Wanted, root: &Path, compose: bool) -> Result<Request, Failure> {
    let only = wanted.words.join(",").parse::<Selector>().ok();
    let env = environment_of_caller();
    Ok(Request {
        files: context.global.files.clone(),
        environment: context.chosen_environment(root, compose)?,
        like: None,
        runtimes: wanted.runtimes.iter().map(|text| runtime(text)).collect::<Result<_, _>>()?,
        available: Some(crate::machine::runtimes(&env)),
        only,
        cwd: context.cwd()?,
        env,
    })
}

/// `S=V`.
fn runtime(text: &str) -> Result<(String, RuntimeKind), Failure> {
    let words =
        [RuntimeKind::Process, RuntimeKind::Container, RuntimeKind::Remote, RuntimeKind::Mock, RuntimeKind::External];
    let found = text.split_once('=').and_then(|(service, word)| {
        let kind = words.into_iter().find(|kind| kind.as_str() == word)?;
        Some((service.to_owned(), kind))
    });
    found.ok_or_else(|| {
        let help = "write `--runtime SERVICE=process`; the others are container, remote, mock and external";
        Failure::usage(format!("`--runtime {text}` names no service and runtime"), help)
    })
}

/// What can be said in UTF-8; the stack file cannot name the rest.
pub(crate) fn environment_of_caller() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Reads other tools' files for a document in `root`.
pub(crate) fn import(context: &Context, files: &[PathBuf], wanted: &Wanted, root: &Path) -> Result<Imported, Failure> {
    let cwd = &context.cwd()?;
    if files.first().is_none_or(|first| is_docker_compose(&cwd.join(first))) {
        let request = context.global.compose.request(files, cwd);
        return Ok(import_compose(&crate::compose::load(context, &request)?, root));
    }
    context.global.compose.refuse()?;
    let read = |path: &Path| std::fs::read_to_string(path);
    let sources = files.iter().map(|path| {
        let full = cwd.join(path);
        let text = read(&full).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", full.display());
            Failure::new("config::unreadable", exit::CONFIG, message, "check the path given with `-f`")
        })?;
        Ok(SourceFile { path: path.clone(), text })
    });
    let sources: Vec<SourceFile> = sources.collect::<Result<_, Failure>>()?;
    let options = ImportOptions {
        project_dir: Disk.canonical(cwd),
        namespaces: wanted.namespaces.clone(),
        processes: wanted.words.clone(),
        no_deps: wanted.no_deps,
        env: environment_of_caller(),
        ..ImportOptions::default()
    };
    match sources.as_slice() {
        [one] if is_procfile(&one.path) => import_procfile(one, &options, &read).map_err(|problems| refused(&problems)),
        _several => import_process_compose(&sources, &options, &read).map_err(|problems| refused(&problems)),
    }
}

fn refused(problems: &[ImportProblem]) -> Failure {
    let (code, mut message) = match problems.first() {
        Some(first) => (first.code(), first.to_string()),
        None => ("config::foreign", "the file cannot be understood".to_owned()),
    };
    for problem in problems.iter().skip(1) {
        message = format!("{message}\n       {problem}");
    }
    let document = ErrorDocument::new(code, exit::CONFIG, message);
    Failure::Document(Box::new(document.help("the file's own tool refuses this, too; nothing was started")))
}

/// One line on standard error about what an import did not keep.
pub(crate) fn note_loss(context: &Context, loss: Option<&LossReport>) {
    let Some(loss) = loss.filter(|loss| !loss.is_empty()) else { return };
    let files: String = context.global.files.iter().map(|file| format!(" {}", file.display())).collect();
    let (count, verb) = match loss.entries.len() {
        1 => ("1 field".to_owned(), "is"),
        n => (format!("{n} fields"), "are"),
    };
    context.note(&format!("{count} {verb} kept differently: `muster import{files} --loss` shows them"));
}
