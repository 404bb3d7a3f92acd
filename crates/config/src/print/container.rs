//! The variants `container` and `remote` as they are written in a file.

use super::{Object, command, escape, map, path, step, template, text, texts};
use muster_spec::{
    ContainerOptions, ContainerSpec, HealthCheck, ImageBuild, Mount, MountSource, NetworkMode, PullPolicy, RemoteSpec,
    Template, VolumeSource,
};
use serde_json::{Value, json};

pub(super) fn variant(spec: &ContainerSpec) -> Value {
    let mut out = Object::default();
    out.option("image", spec.image.as_ref().map(template));
    out.option("build", spec.build.as_ref().map(build));
    out.option(
        "pull_policy",
        match spec.pull {
            PullPolicy::Missing => None,
            PullPolicy::Always => Some("always"),
            PullPolicy::Never => Some("never"),
        },
    );
    out.option("entrypoint", spec.entrypoint.as_ref().map(command));
    out.option("command", spec.command.as_ref().map(command));
    out.some("before", Value::Array(spec.before.iter().map(step).collect()));
    out.some("volumes", Value::Array(spec.mounts.iter().map(mount).collect()));
    identity(&spec.options, &mut out);
    names(&spec.options, &mut out);
    rights(&spec.options, &mut out);
    resources(&spec.options, &mut out);
    out.option("healthcheck", health(&spec.options.health));
    out.done()
}

fn build(spec: &ImageBuild) -> Value {
    let mut out = Object::default();
    out.put("context", path(&spec.context));
    out.option("dockerfile", spec.dockerfile.as_deref().map(path));
    out.option("dockerfile_inline", spec.dockerfile_inline.as_deref().map(escape));
    out.some("args", map(&spec.args, |value| value.as_deref().map_or(Value::Null, text)));
    out.option("target", spec.target.as_deref().map(escape));
    out.some("labels", map(&spec.labels, |value| text(value)));
    out.some("no_cache", json!(spec.no_cache));
    out.some("pull", json!(spec.pull));
    out.option("platform", spec.platform.as_deref().map(escape));
    out.option("network", spec.network.as_deref().map(escape));
    out.done()
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

/// The long form: it says everything.
fn mount(mount: &Mount<Template>) -> Value {
    let mut out = Object::default();
    match &mount.source {
        MountSource::Bind { path, create, propagation } => {
            out.put("type", json!("bind"));
            out.put("source", template(path));
            let mut own = Object::default();
            if !create {
                own.put("create_host_path", json!(false));
            }
            own.option("propagation", propagation.as_deref());
            out.some("bind", own.done());
        }
        MountSource::Volume(volume) => {
            out.put("type", json!("volume"));
            out.put("source", text(&volume.name));
            out.some("volume", self::volume(volume));
        }
        MountSource::Anonymous => out.put("type", json!("volume")),
        MountSource::Tmpfs { size, mode } => {
            out.put("type", json!("tmpfs"));
            let mut own = Object::default();
            own.option("size", size.as_ref().map(ToString::to_string));
            own.option("mode", mode.map(octal));
            out.some("tmpfs", own.done());
        }
        MountSource::Content { text, mode } => {
            out.put("type", json!("content"));
            out.put("content", template(text));
            out.option("mode", mode.map(octal));
        }
    }
    out.put("target", text(&mount.target));
    out.some("read_only", json!(mount.read_only));
    out.done()
}

fn volume(volume: &VolumeSource) -> Value {
    let mut out = Object::default();
    out.some("external", json!(volume.external));
    out.option("driver", volume.driver.as_deref().map(escape));
    out.some("driver_opts", map(&volume.driver_opts, |value| text(value)));
    out.option("subpath", volume.subpath.as_deref().map(escape));
    out.some("nocopy", json!(volume.nocopy));
    out.done()
}

fn identity(options: &ContainerOptions, out: &mut Object) {
    out.option("user", options.user.as_deref().map(escape));
    out.some("group_add", texts(&options.group_add));
    out.option("working_dir", options.working_dir.as_deref().map(escape));
    out.option("hostname", options.hostname.as_deref().map(escape));
    out.option("domainname", options.domainname.as_deref().map(escape));
    out.option("container_name", options.container_name.as_deref().map(escape));
    out.some("labels", map(&options.labels, |value| text(value)));
    out.some("stdin_open", json!(options.stdin_open));
    out.some("init", json!(options.init));
    out.option("platform", options.platform.as_deref().map(escape));
    out.option("runtime", options.runtime.as_deref().map(escape));
}

fn names(options: &ContainerOptions, out: &mut Object) {
    let mode = match options.network {
        NetworkMode::Environment => None,
        NetworkMode::Host => Some("host"),
        NetworkMode::None => Some("none"),
    };
    out.option("network_mode", mode);
    out.some("network_aliases", texts(&options.aliases));
    let hosts = options.extra_hosts.iter().map(|(name, address)| text(&format!("{name}={address}")));
    out.some("extra_hosts", Value::Array(hosts.collect()));
    out.some("dns", texts(&options.dns));
    out.some("dns_search", texts(&options.dns_search));
    out.some("dns_opt", texts(&options.dns_opt));
}

fn rights(options: &ContainerOptions, out: &mut Object) {
    out.some("read_only", json!(options.read_only));
    out.some("privileged", json!(options.privileged));
    out.some("cap_add", texts(&options.cap_add));
    out.some("cap_drop", texts(&options.cap_drop));
    out.some("security_opt", texts(&options.security_opt));
    out.some("devices", texts(&options.devices));
    out.option("pid", options.pid.as_deref().map(escape));
    out.option("ipc", options.ipc.as_deref().map(escape));
    out.option("uts", options.uts.as_deref().map(escape));
    out.option("userns_mode", options.userns_mode.as_deref().map(escape));
}

fn resources(options: &ContainerOptions, out: &mut Object) {
    out.some("ulimits", map(&options.ulimits, |(soft, hard)| json!({ "soft": soft, "hard": hard })));
    out.some("sysctls", map(&options.sysctls, |value| text(value)));
    out.option("shm_size", options.shm_size.as_ref().map(ToString::to_string));
    out.option("mem_reservation", options.memory_reservation.as_ref().map(ToString::to_string));
    out.option("memswap_limit", options.memory_swap.map(|bytes| bytes.to_string()));
    out.option("oom_score_adj", options.oom_score_adj);
    out.option("cpu_shares", options.cpu_shares);
    out.option("cpuset", options.cpuset.as_deref().map(escape));
}

fn health(health: &HealthCheck) -> Option<Value> {
    match health {
        HealthCheck::Image => None,
        HealthCheck::Disabled => Some(json!("none")),
        HealthCheck::Own { test, interval, timeout, retries, start_period, start_interval } => {
            let mut out = Object::default();
            out.some("test", texts(test));
            out.option("interval", interval.as_ref().map(ToString::to_string));
            out.option("timeout", timeout.as_ref().map(ToString::to_string));
            out.option("retries", *retries);
            out.option("start_period", start_period.as_ref().map(ToString::to_string));
            out.option("start_interval", start_interval.as_ref().map(ToString::to_string));
            Some(out.done())
        }
    }
}

pub(super) fn remote(spec: &RemoteSpec) -> Value {
    let mut out = Object::default();
    out.put("host", text(&spec.host));
    out.put("command", command(&spec.command));
    out.some("before", Value::Array(spec.before.iter().map(step).collect()));
    let sync = spec.sync.iter().map(|pair| json!(escape(&format!("{}:{}", pair.local.display(), pair.remote))));
    out.some("sync", Value::Array(sync.collect()));
    out.option("user", spec.user.as_deref().map(escape));
    out.option("cwd", spec.cwd.as_ref().map(template));
    out.done()
}
