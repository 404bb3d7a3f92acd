//! Why a container cannot be made or started, in words that say what to do.

use super::trouble::{ENGINE_REFUSED, Trouble};
use crate::contract::{Exec, StartError};
use muster_spec::{ContainerRun, InstanceSpec, RunId};

/// As shells and docker-run(1) end.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

fn permanent(reason: String, code: i32) -> StartError {
    StartError::Permanent { reason, code }
}

/// Podman answers 500 where docker answers 409.
pub(super) fn is_name_taken(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Refused { message, .. } => {
            message.contains("is already in use by") || message.contains("name is already in use")
        }
        Trouble::Unreachable(_) => false,
    }
}

/// The network that a container is made for is not there. Docker ends with `network ID not found`, Podman with
/// `unable to find network with name or ID NAME: network not found`.
pub(super) fn is_network_gone(trouble: &Trouble) -> bool {
    let Trouble::Refused { message, .. } = trouble else { return false };
    let Some(before) = message.strip_suffix(" not found") else { return false };
    before.rsplit(' ').take(2).any(|word| word == "network")
}

/// The name belongs to somebody else.
pub(super) fn name_taken(name: &str, theirs: Option<&RunId>, trouble: &Trouble) -> StartError {
    let whose = match theirs {
        Some(run) => format!("it is that of run `{run}`, which is still there"),
        None => "it is not ours".to_owned(),
    };
    let reason = format!(
        "the container's name `{name}` is taken: {whose}; remove it with `docker rm -f {name}`, or set another \
         `container_name` ({trouble})"
    );
    permanent(reason, ENGINE_REFUSED)
}

/// A container that could not be created.
pub(super) fn of_create(trouble: Trouble, container: &ContainerRun) -> StartError {
    match trouble {
        Trouble::Refused { message, .. } if message.contains("No such image") || message.contains("no such image") => {
            permanent(format!("image `{}` is not there", container.image), ENGINE_REFUSED)
        }
        Trouble::Refused { message, .. } if message.contains("container-init binary not found") => {
            let reason =
                format!("`init: true` needs an init that the engine does not find: install `catatonit` ({message})");
            permanent(reason, ENGINE_REFUSED)
        }
        other => other.start(),
    }
}

/// Which program cannot be executed, or which port is taken.
pub(super) fn of_start(trouble: Trouble, spec: &InstanceSpec, container: &ContainerRun) -> StartError {
    let Trouble::Refused { message, .. } = &trouble else { return trouble.start() };
    let low = message.to_lowercase();
    if low.contains("port is already allocated") || low.contains("address already in use") {
        // who holds it may let go: it is tried again
        let port = container.publish.iter().find(|port| message.contains(&format!(":{}", port.host)));
        let which =
            port.map_or_else(|| "a published port".to_owned(), |port| format!("port {} ({})", port.host, port.name));
        return StartError::Transient(format!("{which} is taken: {message}"));
    }
    let is_exec = low.contains("exec") || low.contains("oci runtime");
    let program = program(message, container);
    if is_exec && (low.contains("no such file") || low.contains("not found")) {
        let reason = format!("`{program}` is not found in image `{}`: {message}", container.image);
        return permanent(reason, NOT_FOUND);
    }
    if is_exec && low.contains("permission denied") {
        let reason = format!("`{program}` of image `{}` may not be executed: {message}", container.image);
        return permanent(reason, NOT_EXECUTABLE);
    }
    if low.contains("unable to find user") || low.contains("no matching entries in passwd") {
        let user = container.options.user.as_deref().or(spec.user.as_deref()).unwrap_or_default();
        return permanent(format!("image `{}` has no user `{user}`: {message}", container.image), ENGINE_REFUSED);
    }
    trouble.start()
}

/// The program that was to be executed: what the runtime names in `exec: "..."`, else what the spec says.
fn program(message: &str, container: &ContainerRun) -> String {
    let named = message.split_once("exec: \"").and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
    let written = || {
        let words = container.entrypoint.iter().chain(&container.command).flatten();
        words.map(String::as_str).next()
    };
    named.or_else(written).unwrap_or("its command").to_owned()
}

/// Why a command beside a container's own could not be executed, of what runc or crun said, and the exit code: docker says
/// 126 also of a program that is not there.
pub(super) fn of_exec(said: String, asked: &Exec, code: i32) -> (String, i32) {
    let low = said.to_lowercase();
    let program = asked.argv.first().map(String::as_str).unwrap_or_default();
    let missing = low.contains("no such file") || low.contains("not found");
    match &asked.cwd {
        Some(cwd) if missing && low.contains("chdir") => {
            (format!("its container has no folder `{}`", cwd.display()), NOT_EXECUTABLE)
        }
        Some(_) | None if missing && program.contains('/') => {
            (format!("`{program}` is not found in its container"), NOT_FOUND)
        }
        Some(_) | None if missing => (format!("`{program}` is not found along the PATH of its container"), NOT_FOUND),
        Some(_) | None if low.contains("permission denied") => {
            (format!("could not execute `{program}` in its container: permission denied"), NOT_EXECUTABLE)
        }
        Some(_) | None => (said, code),
    }
}

/// What a pull says when it fails.
pub(super) fn of_pull(image: &str, trouble: Trouble) -> StartError {
    let Trouble::Refused { message, .. } = &trouble else { return trouble.start() };
    let low = message.to_lowercase();
    if trouble.is_disk_full() {
        return trouble.start();
    }
    let any = |words: &[&str]| words.iter().any(|word| low.contains(word));
    let what = if any(&["unauthorized", "authentication required", "denied", "forbidden"]) {
        "the registry refuses it; it may be private: `docker login`, then `docker pull` once, or it does not exist"
    } else if any(&["not found", "manifest unknown", "no such image", "name unknown"]) {
        "the registry does not have it; is the name right?"
    } else if any(&[
        "no such host",
        "dial tcp",
        "i/o timeout",
        "timeout",
        "connection refused",
        "temporary failure",
        "network is unreachable",
        "tls",
        "proxyconnect",
        "pinging container registry",
    ]) {
        "the registry cannot be reached; check the network, or make the image here and set `pull_policy: never`"
    } else {
        "the pull failed"
    };
    permanent(format!("image `{image}` is not there and cannot be pulled: {what} ({message})"), ENGINE_REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str) -> Trouble {
        Trouble::Refused { status: 500, message: message.to_owned() }
    }

    #[test]
    fn a_command_that_cannot_be_executed_is_named() {
        let exec = |program: &str, cwd: Option<&str>| Exec {
            argv: vec![program.to_owned(), "argument".to_owned()],
            env: Vec::new(),
            cwd: cwd.map(Into::into),
            terminal: None,
        };
        let runc = "OCI runtime exec failed: exec failed: unable to start container process: ";
        for (asked, said, code, wanted) in [
            (
                exec("nope", None),
                format!("{runc}exec: \"nope\": executable file not found in $PATH: unknown"),
                126,
                ("`nope` is not found along the PATH of its container", 127),
            ),
            (
                exec("nope", None),
                "Error: crun: executable file `nope` not found in $PATH: No such file or directory: OCI runtime \
                 attempted to invoke a command that was not found"
                    .to_owned(),
                127,
                ("`nope` is not found along the PATH of its container", 127),
            ),
            (
                exec("/etc/nope", Some("/")),
                format!("{runc}exec: \"/etc/nope\": stat /etc/nope: no such file or directory: unknown"),
                126,
                ("`/etc/nope` is not found in its container", 127),
            ),
            (
                exec("/etc/passwd", None),
                "Error: runc: exec failed: unable to start container process: exec: \"/etc/passwd\": permission denied: \
                 OCI permission denied"
                    .to_owned(),
                126,
                ("could not execute `/etc/passwd` in its container: permission denied", 126),
            ),
            (
                exec("true", Some("/nowhere")),
                format!("{runc}chdir to cwd (\"/nowhere\") set in config.json failed: no such file or directory: unknown"),
                126,
                ("its container has no folder `/nowhere`", 126),
            ),
            (exec("x", None), format!("{runc}something else"), 126, (&*format!("{runc}something else"), 126)),
        ] {
            let (reason, found) = of_exec(said, &asked, code);
            assert_eq!((reason.as_str(), found), wanted);
        }
    }

    #[test]
    fn a_network_that_is_gone_is_told_from_a_program_that_is_not_there() {
        for gone in [
            "network 0f9e not found",
            "failed to set up container networking: network 0f9e not found",
            "container create: unable to find network with name or ID 0f9e: network not found",
        ] {
            assert!(is_network_gone(&refused(gone)), "{gone}");
        }
        for other in [
            "exec: \"network\": executable file not found in $PATH",
            "network muster-x is ambiguous (2 matches found on name)",
            "container 0f9e not found",
        ] {
            assert!(!is_network_gone(&refused(other)), "{other}");
        }
    }

    #[test]
    fn a_pull_says_why_and_what_to_do() {
        for (message, wanted) in [
            ("pull access denied for x, repository does not exist or may require 'docker login'", "docker login"),
            ("manifest for busybox:nope not found: manifest unknown", "is the name right?"),
            ("Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host", "be reached"),
        ] {
            let error = of_pull("x:1", refused(message)).to_string();
            assert!(error.contains(wanted) && error.contains("`x:1`"), "{error}");
        }
    }
}
