//! Compose projects on the command line: which they are, how they are read, and what becomes of them here.
//!
//! Files, profiles, variables, name and folder are chosen as Docker Compose has them chosen: by the options of the same
//! names, else by `COMPOSE_FILE`, `COMPOSE_PROFILES`, `COMPOSE_ENV_FILES` and `COMPOSE_PROJECT_NAME`. A project's name that the
//! caller gives is the environment's name as well: there, too, two names are two isolated copies.

use crate::context::Context;
use crate::failure::{Failure, compose_document};
use crate::files::{self, Read, Wanted};
use clap::Args;
use muster_api::exit;
use muster_compose::{Disk, LoadRequest, Project};
use muster_config::import::import_compose;
use std::path::{Path, PathBuf};

/// The variable that names a project.
const NAME_VARIABLE: &str = "COMPOSE_PROJECT_NAME";

/// What chooses a project, as options of `docker compose`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ComposeOptions {
    /// Of a compose project: turn a profile on, `*` is all of them. [default: those of COMPOSE_PROFILES]
    #[arg(long = "profile", value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Of a compose project: a file of variables. [default: those of COMPOSE_ENV_FILES, else `.env`]
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,
    /// Of a compose project: its name, and that of the environment unless `--env` says. [default: COMPOSE_PROJECT_NAME]
    #[arg(short = 'p', long = "project-name", value_name = "NAME")]
    pub(crate) project_name: Option<String>,
    /// Of a compose project: where its relative paths start. [default: the folder of its first file]
    #[arg(long = "project-directory", value_name = "FOLDER")]
    pub(crate) project_directory: Option<PathBuf>,
}

impl ComposeOptions {
    /// What a project is loaded by.
    pub(crate) fn request(&self, files: &[PathBuf], cwd: &Path) -> LoadRequest {
        LoadRequest {
            cwd: cwd.to_owned(),
            files: files.to_vec(),
            profiles: self.profiles.clone(),
            env_files: self.env_files.clone(),
            project_name: self.project_name.clone(),
            project_directory: self.project_directory.clone(),
            environment: files::environment_of_caller(),
        }
    }

    /// The environment that the caller's name of a project means.
    pub(crate) fn environment(&self) -> Option<String> {
        let named = || std::env::var(NAME_VARIABLE).ok();
        self.project_name.clone().or_else(named).filter(|name| !name.is_empty())
    }

    /// Nothing of this means anything for another tool's files or ours.
    pub(crate) fn refuse(&self) -> Result<(), Failure> {
        let used = [
            ("--profile", self.profiles.is_empty(), "name it: `muster up PROFILE`"),
            ("--env-file", self.env_files.is_empty(), "a stack file names its own: `env_file: [.env]`"),
            ("--project-name", self.project_name.is_none(), "`--env NAME` chooses the environment"),
            ("--project-directory", self.project_directory.is_none(), "paths start at the file's folder"),
        ];
        match used.into_iter().find(|(_, unused, _)| !unused) {
            Some((option, _, help)) => Err(Failure::usage(format!("`{option}` is only for compose projects"), help)),
            None => Ok(()),
        }
    }
}

/// The files of the project that is found here: what `COMPOSE_FILE` names, else a compose file here or above.
pub(crate) fn discover(options: &ComposeOptions, cwd: &Path) -> Vec<PathBuf> {
    muster_compose::project_files(&options.request(&[], cwd), &Disk)
}

/// Loads a project; what is noticed and no error is told.
pub(crate) fn load(context: &Context, request: &LoadRequest) -> Result<Project, Failure> {
    let project = muster_compose::read(request, &Disk)?;
    for warning in &project.warnings {
        context.warn(&compose_document(warning, exit::OK));
    }
    Ok(project)
}

/// A project as a stack.
pub(crate) fn read(context: &Context, wanted: &Wanted) -> Result<Read, Failure> {
    let (cwd, first) = (context.cwd()?, context.first_file()?);
    let mut request = context.global.compose.request(&context.global.files, &cwd);
    let mut project = load(context, &request)?;
    let named = profiles_of(&project, &wanted.words);
    if !named.is_empty() {
        // who names a service turns its profiles on
        request.profiles = project.profiles.iter().cloned().chain(named).collect();
        project = muster_compose::read(&request, &Disk)?;
    }
    if context.global.files.is_empty() {
        context.note(&format!("no `muster.yaml`: {} is taken as it is", names(&project.files)));
    }
    let root = first.parent().unwrap_or(&cwd).to_owned();
    let mut request = files::request(context, wanted, &root, true)?;
    request.env = project.environment.clone();
    let imported = import_compose(&project, &root);
    let mut sources = vec![first];
    sources.extend(project.files.into_iter().skip(1));
    let loaded = muster_config::load_document(&request, &imported.document, sources, &muster_config::Disk)?;
    files::warn(context, &loaded);
    Ok(Read { loaded, loss: Some(imported.loss), cut: false })
}

/// Profiles of services that are named and whose profiles are off.
fn profiles_of(project: &Project, words: &[String]) -> Vec<String> {
    let names = words.iter().flat_map(|word| word.split(','));
    names.filter_map(|name| project.disabled.get(name.trim())).flat_map(|service| service.profiles.clone()).collect()
}

fn names(files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| format!("`{}`", file.file_name().unwrap_or(file.as_os_str()).to_string_lossy());
    files.iter().map(name).collect::<Vec<_>>().join(" with ")
}
