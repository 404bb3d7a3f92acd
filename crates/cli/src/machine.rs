//! What this machine can run services as, as far as it can be seen without asking anybody.

use muster_spec::RuntimeKind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runtimes that are there. An engine that does not answer is told when it is asked.
pub(crate) fn runtimes(env: &BTreeMap<String, String>) -> BTreeSet<RuntimeKind> {
    let mut found = BTreeSet::from([RuntimeKind::Process, RuntimeKind::External]);
    if has_engine(env) {
        found.insert(RuntimeKind::Container);
    }
    if has_ssh(env) {
        found.insert(RuntimeKind::Remote);
    }
    found
}

fn text<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|text| !text.is_empty())
}

/// An engine is named, or one of the usual sockets is there.
fn has_engine(env: &BTreeMap<String, String>) -> bool {
    if ["DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT"].iter().any(|name| text(env, name).is_some()) {
        return true;
    }
    let docker = text(env, "DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| Some(Path::new(text(env, "HOME")?).join(".docker")));
    let config = docker.and_then(|folder| std::fs::read_to_string(folder.join("config.json")).ok());
    if config.is_some_and(|config| config.contains("\"currentContext\"")) {
        return true;
    }
    let runtime = text(env, "XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = runtime.iter().flat_map(|folder| [folder.join("docker.sock"), folder.join("podman/podman.sock")]);
    let shared = ["/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    own.chain(shared).any(|socket| socket.exists())
}

fn has_ssh(env: &BTreeMap<String, String>) -> bool {
    if let Some(program) = text(env, "MUSTER_SSH") {
        return program.contains('/') && Path::new(program).exists() || on_path(env, program);
    }
    on_path(env, "ssh")
}

fn on_path(env: &BTreeMap<String, String>, program: &str) -> bool {
    let path = text(env, "PATH").unwrap_or("/usr/bin:/bin");
    std::env::split_paths(path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> BTreeSet<RuntimeKind> {
        runtimes(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_engine_that_is_named_counts_and_ssh_is_looked_for_along_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        assert!(of(&[("DOCKER_HOST", "unix:///nowhere"), ("PATH", &path)]).contains(&RuntimeKind::Container));
        assert!(!of(&[("PATH", &path)]).contains(&RuntimeKind::Remote));
        std::fs::write(folder.path().join("ssh"), "").unwrap();
        assert!(of(&[("PATH", &path)]).contains(&RuntimeKind::Remote));
    }
}
