//! Drivers of what is not a process of this machine, made of what a stack's settings say.

use crate::runtimes::{Factory, Settings};
use muster_runtime::{ContainerConfig, ContainerRuntime, Runtime};
use muster_spec::RuntimeKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes drivers whose run folders lie below `state_dir`.
pub(crate) fn factory(state_dir: PathBuf) -> Arc<Factory> {
    Arc::new(move |kind, settings| match kind {
        RuntimeKind::Container => {
            Some(Arc::new(ContainerRuntime::new(engine(&state_dir, settings))) as Arc<dyn Runtime>)
        }
        RuntimeKind::Process | RuntimeKind::Remote | RuntimeKind::Mock | RuntimeKind::External => None,
    })
}

/// The variables of docker(1), and Podman's where docker's are not there.
fn engine(state_dir: &Path, settings: &Settings) -> ContainerConfig {
    let text = |name: &str| settings.get(name).filter(|value| !value.is_empty()).cloned();
    let home = text("HOME").map(|home| Path::new(&home).join(".docker"));
    ContainerConfig {
        state_dir: state_dir.to_owned(),
        host: text("DOCKER_HOST").or_else(|| text("CONTAINER_HOST")),
        context: text("DOCKER_CONTEXT"),
        docker_config: text("DOCKER_CONFIG").map(PathBuf::from).or(home),
        runtime_dir: text("XDG_RUNTIME_DIR").map(PathBuf::from),
    }
}
