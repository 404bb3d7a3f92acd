//! What of a spec no container can be. Pure.

use crate::contract::{Capabilities, Capability, Problem};
use muster_spec::{ContainerRun, HealthCheck, InstanceSpec, Limits, MountSource, NetworkMode};
use std::collections::HashSet;

/// Engines refuse less (docker-run(1), `--memory`).
const MIN_MEMORY: u64 = 6 << 20;
/// The smallest share that the kernel's quota can express.
const MIN_CPUS: f64 = 0.01;

/// All problems of a spec.
pub(super) fn validate(spec: &InstanceSpec, can: &Capabilities) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |field: &str, message: String| {
        problems.push(Problem { field: field.to_owned(), message });
    };
    let Some(container) = &spec.container else {
        say("container", "the service has no `container`: say which image it runs".to_owned());
        return problems;
    };
    if container.image.is_empty() {
        say("container.image", "the image is empty".to_owned());
    }
    if spec.notify {
        say("probes", "`notify` cannot reach out of a container: use `tcp`, `http`, `exec` or `log`".to_owned());
    }
    if spec.umask.is_some() {
        say("umask", "a container's umask is its image's: set it in its command".to_owned());
    }
    for (name, _) in &spec.command.env {
        if name.is_empty() || name.contains('=') {
            say("env", format!("`{name}` is not a name of a variable"));
        }
    }
    limits(&spec.limits, can, &mut say);
    network(container, &mut say);
    mounts(container, &mut say);
    options(container, &mut say);
    problems
}

fn limits(limits: &Limits, can: &Capabilities, say: &mut impl FnMut(&str, String)) {
    if limits.memory.as_ref().is_some_and(|size| size.get() < MIN_MEMORY) {
        say("limits.memory", "a container has at least 6 MiB".to_owned());
    }
    if limits.cpus.is_some_and(|cpus| cpus < MIN_CPUS) {
        say("limits.cpus", format!("a container has at least {MIN_CPUS} of a core"));
    }
    let asked = [
        ("limits.memory", limits.memory.is_some(), Capability::LimitMemory),
        ("limits.cpus", limits.cpus.is_some(), Capability::LimitCpus),
        ("limits.pids", limits.pids.is_some(), Capability::LimitPids),
    ];
    for (field, is_asked, capability) in asked {
        if is_asked && !can.contains(&capability) {
            let message = "the engine cannot limit this here: its cgroups lack the controller; leave the limit out, or \
                           use an engine with cgroup v2";
            say(field, message.to_owned());
        }
    }
}

fn network(container: &ContainerRun, say: &mut impl FnMut(&str, String)) {
    let options = &container.options;
    let mode = match options.network {
        NetworkMode::Environment => None,
        NetworkMode::Host => Some("host"),
        NetworkMode::None => Some("none"),
    };
    if let Some(mode) = mode {
        if !options.aliases.is_empty() {
            say("container.aliases", format!("names need the environment's network: not with `network: {mode}`"));
        }
        if options.network == NetworkMode::None && !container.publish.is_empty() {
            say("ports", "a container with `network: none` has no ports".to_owned());
        }
    }
    let mut taken = HashSet::new();
    for port in &container.publish {
        if !taken.insert((port.address.as_str(), port.host, port.udp)) {
            say("ports", format!("port {} ({}) is published twice", port.host, port.name));
        }
    }
}

fn mounts(container: &ContainerRun, say: &mut impl FnMut(&str, String)) {
    let mut targets = HashSet::new();
    for mount in &container.mounts {
        if !mount.target.starts_with('/') {
            say("container.volumes", format!("`{}` is not an absolute path in the container", mount.target));
        }
        if !targets.insert(mount.target.trim_end_matches('/')) {
            say("container.volumes", format!("two things are mounted at `{}`", mount.target));
        }
        match &mount.source {
            MountSource::Bind { path, .. } if !path.starts_with('/') => {
                say("container.volumes", format!("`{path}` is not an absolute path of this machine"));
            }
            MountSource::Volume(volume) if volume.name.is_empty() => {
                say("container.volumes", format!("the volume at `{}` has no name", mount.target));
            }
            MountSource::Bind { .. }
            | MountSource::Volume(_)
            | MountSource::Anonymous
            | MountSource::Tmpfs { .. }
            | MountSource::Content { .. } => {}
        }
    }
}

fn options(container: &ContainerRun, say: &mut impl FnMut(&str, String)) {
    let options = &container.options;
    if let Some(name) = options.container_name.as_ref().filter(|name| !is_name(name)) {
        let message = format!("`{name}` is not a container's name: two or more of letters, digits, `_`, `.` and `-`");
        say("container.container_name", message);
    }
    if options.privileged && !options.cap_add.is_empty() {
        say("container.cap_add", "a privileged container has every capability already".to_owned());
    }
    for (name, (soft, hard)) in &options.ulimits {
        if *hard >= 0 && (*soft < 0 || soft > hard) {
            say("container.ulimits", format!("`{name}`: the soft limit {soft} is above the hard limit {hard}"));
        }
    }
    if let HealthCheck::Own { test, .. } = &options.health
        && test.is_empty()
    {
        say("container.healthcheck", "the health check has no `test`".to_owned());
    }
}

/// Docker's `RestrictedNamePattern`.
fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter))
}
