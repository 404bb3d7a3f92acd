//! Drivers of what is not a process of this machine, made of what a stack's settings say.

use crate::runtimes::{Factory, Settings};
use muster_runtime::{
    ContainerConfig, ContainerRuntime, HostBinaries, HostFolders, Masters, RemoteConfig, RemoteRuntime, Runtime,
    SshOptions,
};
use muster_spec::RuntimeKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes drivers whose run folders lie below `state_dir`, and whose links to hosts are `masters`; `hosts` is what is brought
/// there, and `folders` where services have theirs.
pub(crate) fn factory(
    state_dir: PathBuf,
    masters: Masters,
    folders: HostFolders,
    hosts: Vec<HostBinaries>,
) -> Arc<Factory> {
    Arc::new(move |kind, settings| match kind {
        RuntimeKind::Container => {
            Some(Arc::new(ContainerRuntime::new(engine(&state_dir, settings))) as Arc<dyn Runtime>)
        }
        RuntimeKind::Remote => Some(Arc::new(RemoteRuntime::new(RemoteConfig {
            state_dir: state_dir.clone(),
            masters: masters.clone(),
            folders: folders.clone(),
            ssh: ssh(settings),
            binaries: hosts.clone(),
        })) as Arc<dyn Runtime>),
        RuntimeKind::Process | RuntimeKind::Mock | RuntimeKind::External => None,
    })
}

/// Variables that ssh gets from the stack's settings.
const OF_SSH: [&str; 3] = ["HOME", "PATH", "SSH_AUTH_SOCK"];

/// `MUSTER_SSH` and `MUSTER_SSH_CONFIG`, of the stack's settings or else of the daemon. Without settings ssh has the
/// daemon's variables.
fn ssh(settings: &Settings) -> SshOptions {
    let path = |name: &str| settings.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = SshOptions::from_env();
    let given = OF_SSH.into_iter().filter(|_| !settings.is_empty());
    SshOptions {
        program: path("MUSTER_SSH").unwrap_or(own.program),
        config: path("MUSTER_SSH_CONFIG").or(own.config),
        variables: given.map(|name| (name.to_owned(), settings.get(name).cloned())).collect(),
    }
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
        path: text("PATH"),
    }
}
