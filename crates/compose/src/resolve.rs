//! From a loaded tree to the project: what is meant without being said, the structs, profiles, and whether it all fits.

use crate::consistency;
use crate::files::Files;
use crate::load::{LoadRequest, Loaded, load};
use crate::model::{Project, project::Decoded};
use crate::normalise;
use crate::problem::{Problem, Report};

/// Loads a project and resolves it.
///
/// # Errors
/// Everything that is wrong, as far as it could be found in one go.
pub fn read(request: &LoadRequest, files: &dyn Files) -> Result<Project, Vec<Problem>> {
    resolve(load(request, files)?)
}

/// The project of a loaded tree.
///
/// # Errors
/// Everything that is wrong with it.
pub fn resolve(loaded: Loaded) -> Result<Project, Vec<Problem>> {
    let mut report = Report::default();
    let mut tree = loaded.root;
    normalise::apply(&mut tree, &loaded.environment);
    let mut decoded = Decoded::read(&tree, &mut report);
    for config in decoded.configs.values_mut().filter(|config| !config.environment.is_empty()) {
        // what the variable says is no part of the model
        config.content.clear();
    }
    let (services, disabled) =
        decoded.services.into_iter().partition(|(_, service)| service.has_profile(&loaded.profiles));
    let mut project = Project {
        name: loaded.project_name,
        working_dir: loaded.working_dir,
        services,
        disabled,
        networks: decoded.networks,
        volumes: decoded.volumes,
        secrets: decoded.secrets,
        configs: decoded.configs,
        models: decoded.models,
        extensions: decoded.extensions,
        tree,
        sources: loaded.sources,
        files: loaded.files,
        env_files: loaded.env_files,
        environment: loaded.environment,
        profiles: loaded.profiles,
        warnings: loaded.warnings,
    };
    if !report.has_errors() {
        consistency::check(&mut project, &mut report);
    }
    if report.has_errors() {
        return Err(report.finish(&project.sources).0);
    }
    project.prune();
    Ok(project)
}
