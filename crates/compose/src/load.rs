//! From a request to one tree.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::files::{Files, SourceFile};
use crate::problem::{Problem, Report};
use crate::tree::Node;

/// Everything that decides what a project is, besides the files themselves.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// The folder the command was given in, absolute.
    pub cwd: PathBuf,
    /// `-f`, in order; none means `COMPOSE_FILE`, else the default names in `cwd` or above it.
    pub files: Vec<PathBuf>,
    /// `--profile`, in order; none means `COMPOSE_PROFILES`. `*` is all.
    pub profiles: Vec<String>,
    /// `--env-file`, in order; none means `COMPOSE_ENV_FILES`, else `.env` in the project's folder.
    pub env_files: Vec<PathBuf>,
    /// `--project-name`, which beats `COMPOSE_PROJECT_NAME`, `name:` and the folder's name.
    pub project_name: Option<String>,
    /// `--project-directory`; else the folder of the first file.
    pub project_directory: Option<PathBuf>,
    /// The caller's environment: variables, `COMPOSE_*`, `HOME`.
    pub environment: BTreeMap<String, String>,
}

/// A project as its files say it: merged and interpolated, every attribute in its long form, paths absolute, `extends`,
/// `include`, `!reset` and `!override` done. Services whose profile is off are still there.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project's map: `services`, `networks`, `volumes`, `secrets`, `configs`, `models`, `name`, `x-...`.
    pub root: Node,
    /// Every file that was read, by the number in a [`Span`](crate::Span).
    pub sources: Vec<SourceFile>,
    /// The project's name, normalised.
    pub project_name: String,
    /// The project's folder, absolute: what relative paths start at.
    pub working_dir: PathBuf,
    /// The compose files, absolute, in the order they were merged.
    pub files: Vec<PathBuf>,
    /// The files that variables were looked up in, absolute.
    pub env_files: Vec<PathBuf>,
    /// What variables mean: the caller's environment over the env files, with `COMPOSE_PROJECT_NAME`.
    pub environment: BTreeMap<String, String>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// Services without profiles, and those with an active one, in the order of the files. Their `environment` and
    /// `labels` are maps that hold what their files say.
    pub active: Vec<String>,
    /// What was noticed and is no error: unset variables, obsolete attributes.
    pub warnings: Vec<Problem>,
}

/// The files that a project would be loaded from, absolute: those asked for, those of `COMPOSE_FILE`, or those that are
/// found in `cwd` or above it. Empty where there are none. Looks only at env files, and says nothing of what is wrong.
#[must_use]
pub fn project_files(request: &LoadRequest, files: &dyn Files) -> Vec<PathBuf> {
    crate::options::resolve(request, files, &mut Report::default()).map(|options| options.files).unwrap_or_default()
}

/// Loads a project.
///
/// # Errors
/// Everything that is wrong, as far as it could be found in one go.
pub fn load(request: &LoadRequest, files: &dyn Files) -> Result<Loaded, Vec<Problem>> {
    crate::project::load(request, files)
}
