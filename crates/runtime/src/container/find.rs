//! Which engine: the one that is named, the docker context's, or the first that listens where engines usually do.

use super::ContainerConfig;
use super::trouble::Trouble;
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The socket to talk to; tried, so that what is wrong with it can be told in words.
///
/// Blocks for as long as a connect to a unix socket takes.
pub(super) fn socket(config: &ContainerConfig) -> Result<PathBuf, Trouble> {
    if let Some((host, named_by)) = named(config)? {
        let path = unix_path(&host, &named_by)?;
        return match UnixStream::connect(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(Trouble::Unreachable(told(&path, &error, &named_by))),
        };
    }
    let usual = usual(config);
    let mut forbidden = None;
    for path in &usual {
        match UnixStream::connect(path) {
            Ok(_) => return Ok(path.clone()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                forbidden.get_or_insert_with(|| told(path, &error, "the usual place"));
            }
            Err(_) => {}
        }
    }
    Err(Trouble::Unreachable(forbidden.unwrap_or_else(|| {
        let places: Vec<String> = usual.iter().map(|path| format!("`{}`", path.display())).collect();
        format!(
            "no container engine was found: DOCKER_HOST and the docker context name none, and nothing listens at {}; \
             start Docker, or Podman with `systemctl --user start podman.socket`",
            places.join(", ")
        )
    })))
}

/// What is named by the user, and by what.
fn named(config: &ContainerConfig) -> Result<Option<(String, String)>, Trouble> {
    if let Some(host) = config.host.as_ref().filter(|host| !host.is_empty()) {
        return Ok(Some((host.clone(), "DOCKER_HOST".to_owned())));
    }
    let Some(folder) = &config.docker_config else { return Ok(None) };
    let current = || -> Option<String> {
        let text = fs::read_to_string(folder.join("config.json")).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(json.get("currentContext")?.as_str()?.to_owned())
    };
    let Some(context) = config.context.clone().or_else(current).filter(|name| !name.is_empty() && name != "default")
    else {
        return Ok(None);
    };
    let host = context_host(folder, &context).ok_or_else(|| {
        let reason =
            format!("docker context `{context}` is chosen but not known: `docker context ls` lists those that are");
        Trouble::Unreachable(reason)
    })?;
    Ok(Some((host, format!("docker context `{context}`"))))
}

/// Contexts lie in folders named by the SHA-256 of their names (docker/cli, `cli/context/store`).
fn context_host(folder: &Path, context: &str) -> Option<String> {
    let name: String = Sha256::digest(context.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = fs::read_to_string(folder.join("contexts/meta").join(name).join("meta.json")).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(json.pointer("/Endpoints/docker/Host")?.as_str()?.to_owned())
}

fn unix_path(host: &str, named_by: &str) -> Result<PathBuf, Trouble> {
    if let Some(path) = host.strip_prefix("unix://").or_else(|| host.starts_with('/').then_some(host)) {
        return Ok(path.into());
    }
    Err(Trouble::Unreachable(format!(
        "{named_by} is `{host}`: only engines behind a unix socket of this machine are driven; run the service with \
         `remote` on that host, or forward its socket here (`ssh -L /tmp/engine.sock:/var/run/docker.sock HOST`)"
    )))
}

/// Docker's places first, then Podman's.
fn usual(config: &ContainerConfig) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/var/run/docker.sock")];
    paths.extend(config.runtime_dir.iter().map(|dir| dir.join("docker.sock")));
    paths.extend(
        config.docker_config.iter().flat_map(|dir| [dir.join("run/docker.sock"), dir.join("desktop/docker.sock")]),
    );
    paths.extend(config.runtime_dir.iter().map(|dir| dir.join("podman/podman.sock")));
    paths.push("/run/podman/podman.sock".into());
    paths
}

/// Why a socket does not answer, and what to do.
pub(super) fn told(path: &Path, error: &io::Error, named_by: &str) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let group = fs::metadata(path).ok().and_then(|metadata| nix_users::get_group_by_gid(metadata.gid()));
            match group.map(|group| group.name().to_string_lossy().into_owned()).filter(|group| group != "root") {
                Some(group) => format!(
                    "no permission on the engine's socket `{shown}` ({named_by}), which belongs to group `{group}`: \
                     `sudo usermod -aG {group} $USER`, then log in again"
                ),
                None => format!(
                    "no permission on the engine's socket `{shown}` ({named_by}): use a rootless engine, or give your \
                     group access to it"
                ),
            }
        }
        io::ErrorKind::NotFound => {
            format!("there is no engine's socket `{shown}` ({named_by}): is the engine running?")
        }
        io::ErrorKind::ConnectionRefused => {
            format!("nothing answers at the engine's socket `{shown}` ({named_by}): is the engine running?")
        }
        _ => format!("the engine's socket `{shown}` ({named_by}): {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn config(home: &Path) -> ContainerConfig {
        ContainerConfig {
            state_dir: home.join("state"),
            host: None,
            context: None,
            docker_config: Some(home.join(".docker")),
            runtime_dir: Some(home.join("run")),
            path: None,
        }
    }

    #[test]
    fn a_named_engine_comes_before_a_context_and_that_before_the_usual_places() {
        let home = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(home.path().join("run/podman")).unwrap();
        let bind = |name: &str| UnixListener::bind(home.path().join(name)).unwrap();
        let _engines = [bind("host.sock"), bind("context.sock"), bind("run/podman/podman.sock")];
        let mut config = config(home.path());
        // /var/run/docker.sock of this machine would come first
        if !Path::new("/var/run/docker.sock").exists() {
            assert_eq!(socket(&config).ok(), Some(home.path().join("run/podman/podman.sock")));
        }
        let meta = home.path().join(".docker/contexts/meta").join({
            let digest = Sha256::digest(b"mine");
            digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        fs::create_dir_all(&meta).unwrap();
        let host = format!("unix://{}", home.path().join("context.sock").display());
        let json = serde_json::json!({"Name": "mine", "Endpoints": {"docker": {"Host": host}}});
        fs::write(meta.join("meta.json"), json.to_string()).unwrap();
        fs::write(home.path().join(".docker/config.json"), r#"{"currentContext": "mine"}"#).unwrap();
        assert_eq!(socket(&config).ok(), Some(home.path().join("context.sock")));
        config.host = Some(format!("unix://{}", home.path().join("host.sock").display()));
        assert_eq!(socket(&config).ok(), Some(home.path().join("host.sock")));
    }

    #[test]
    fn a_socket_without_permission_names_its_group() {
        let home = tempfile::TempDir::new().unwrap();
        let path = home.path().join("engine.sock");
        fs::write(&path, "").unwrap();
        let words = told(&path, &io::ErrorKind::PermissionDenied.into(), "the usual place");
        assert!(words.contains("no permission") && words.contains("engine.sock"), "{words}");
        // given to another group, where we may do that
        if let Some(users) = nix_users::get_group_by_name("users")
            && std::os::unix::fs::chown(&path, None, Some(users.gid())).is_ok()
        {
            let words = told(&path, &io::ErrorKind::PermissionDenied.into(), "the usual place");
            assert!(words.contains("sudo usermod -aG users $USER"), "{words}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_in_words() {
        let home = tempfile::TempDir::new().unwrap();
        let mut config = config(home.path());
        let mut told = |host: &str| {
            config.host = Some(host.to_owned());
            socket(&config).unwrap_err().to_string()
        };
        assert!(told("tcp://127.0.0.1:2375").contains("only engines behind a unix socket"));
        assert!(told("unix:///no/such.sock").contains("is the engine running?"));
        config.host = None;
        config.context = Some("nobody".into());
        assert!(socket(&config).unwrap_err().to_string().contains("docker context `nobody` is chosen but not known"));
    }
}
