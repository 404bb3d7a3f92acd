//! A run's spec in the engine's words. Pure.

use super::mounts;
use super::names::Owner;
use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use muster_spec::{
    ContainerOptions, ContainerRun, HOST_GATEWAY, HealthCheck, HumanDuration, InstanceSpec, Limits, NetworkMode, RunId,
    Streams,
};
use std::collections::HashMap;
use std::path::Path;

/// Log files of the engine are not smaller: what is written while nobody copies must fit.
const ENGINE_LOG: u64 = 32 << 20;
/// Of those json-file keeps so many.
const ENGINE_LOG_FILES: u32 = 2;
const NANO: f64 = 1e9;

/// What a body depends on beside the spec.
pub(super) struct Place<'a> {
    pub(super) owner: &'a Owner,
    pub(super) run: &'a RunId,
    /// Folder of the run, where files with written content lie.
    pub(super) folder: &'a Path,
    /// The environment's network by its identity, or `host` or `none`.
    pub(super) network: String,
    /// What `host-gateway` stands for; where nothing is known such names are left out.
    pub(super) gateway: Option<String>,
    pub(super) is_podman: bool,
    /// Limits that must be named with any other.
    pub(super) named_limits: &'a [(&'static str, i64)],
}

/// The container of a run.
pub(super) fn body(spec: &InstanceSpec, container: &ContainerRun, place: &Place<'_>) -> ContainerCreateBody {
    let options = &container.options;
    let tty = spec.streams == Streams::Terminal;
    let ports = container.publish.iter().map(|port| protocol_port(port.container, port.udp));
    ContainerCreateBody {
        hostname: options.hostname.clone(),
        domainname: options.domainname.clone(),
        user: options.user.clone(),
        exposed_ports: Some(ports.collect()),
        tty: Some(tty),
        open_stdin: Some(options.stdin_open || tty),
        stdin_once: Some(false),
        env: Some(spec.command.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()),
        cmd: container.command.clone(),
        // an empty entrypoint would be left out: one empty word takes the image's away
        entrypoint: container
            .entrypoint
            .clone()
            .map(|words| if words.is_empty() { vec![String::new()] } else { words }),
        healthcheck: health(&options.health),
        image: Some(container.image.clone()),
        working_dir: options.working_dir.clone(),
        labels: Some(place.owner.run_labels(place.run, spec)),
        stop_signal: Some(spec.stop_signal.number().to_string()),
        stop_timeout: i64::try_from(spec.grace.as_secs()).ok(),
        host_config: Some(host(spec, container, place)),
        networking_config: endpoints(container, place),
        ..Default::default()
    }
}

fn host(spec: &InstanceSpec, container: &ContainerRun, place: &Place<'_>) -> HostConfig {
    let options = &container.options;
    let lines = hosts(container, place.gateway.as_deref());
    let mut host = HostConfig {
        mounts: Some(mounts::mounts(container, place.run, place.owner, place.folder)),
        network_mode: Some(place.network.clone()),
        port_bindings: Some(bindings(container)),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        extra_hosts: Some(lines),
        log_config: Some(log_config(spec.logs.keep.get(), place.is_podman)),
        init: Some(options.init),
        devices: Some(options.devices.iter().map(|text| device(text)).collect()),
        sysctls: Some(options.sysctls.clone().into_iter().collect()),
        ..from_options(options)
    };
    limit(&mut host, &spec.limits, options);
    fill(host.ulimits.get_or_insert_default(), place.named_limits);
    host
}

/// What is passed on as it is written.
fn from_options(options: &ContainerOptions) -> HostConfig {
    let signed = |size: &muster_spec::ByteSize| i64::try_from(size.get()).unwrap_or(i64::MAX);
    HostConfig {
        readonly_rootfs: Some(options.read_only),
        privileged: Some(options.privileged),
        cap_add: Some(options.cap_add.clone()),
        cap_drop: Some(options.cap_drop.clone()),
        security_opt: Some(options.security_opt.clone()),
        group_add: Some(options.group_add.clone()),
        dns: Some(options.dns.clone()),
        dns_search: Some(options.dns_search.clone()),
        dns_options: Some(options.dns_opt.clone()),
        shm_size: options.shm_size.as_ref().map(signed),
        memory_reservation: options.memory_reservation.as_ref().map(signed),
        memory_swap: options.memory_swap,
        oom_score_adj: options.oom_score_adj,
        cpu_shares: options.cpu_shares,
        cpuset_cpus: options.cpuset.clone(),
        pid_mode: options.pid.clone(),
        ipc_mode: options.ipc.clone(),
        uts_mode: options.uts.clone(),
        userns_mode: options.userns_mode.clone(),
        runtime: options.runtime.clone(),
        ..Default::default()
    }
}

fn limit(host: &mut HostConfig, limits: &Limits, options: &ContainerOptions) {
    host.memory = limits.memory.as_ref().and_then(|size| i64::try_from(size.get()).ok());
    #[expect(clippy::cast_possible_truncation, reason = "cores are few")]
    let nano = limits.cpus.map(|cores| (cores * NANO) as i64);
    host.nano_cpus = nano;
    host.pids_limit = limits.pids.and_then(|count| i64::try_from(count).ok());
    let mut ulimits: Vec<ResourcesUlimits> = options
        .ulimits
        .iter()
        .map(|(name, (soft, hard))| ResourcesUlimits { name: Some(name.clone()), soft: Some(*soft), hard: Some(*hard) })
        .collect();
    if let Some(files) = limits.files.and_then(|count| i64::try_from(count).ok()) {
        ulimits.retain(|limit| limit.name.as_deref() != Some("nofile"));
        ulimits.push(ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(files), hard: Some(files) });
    }
    host.ulimits = Some(ulimits);
}

/// With any limit named, these are too.
fn fill(ulimits: &mut Vec<ResourcesUlimits>, named: &[(&'static str, i64)]) {
    if ulimits.is_empty() {
        return;
    }
    for (name, hard) in named {
        if !ulimits.iter().any(|limit| limit.name.as_deref() == Some(*name)) {
            ulimits.push(ResourcesUlimits { name: Some((*name).to_owned()), soft: Some(*hard), hard: Some(*hard) });
        }
    }
}

/// Lines of `/etc/hosts`, a name once: what the file says comes before what we add.
fn hosts(container: &ContainerRun, gateway: Option<&str>) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (name, address) in container.options.extra_hosts.iter().chain(&container.hosts) {
        let address = if address == HOST_GATEWAY { gateway.map(str::to_owned) } else { Some(address.clone()) };
        if let Some(address) = address
            && !lines.contains(&(name.clone(), address.clone()))
        {
            lines.push((name.clone(), address));
        }
    }
    lines.into_iter().map(|(name, address)| format!("{name}:{address}")).collect()
}

fn protocol_port(port: u16, udp: bool) -> String {
    format!("{port}/{}", if udp { "udp" } else { "tcp" })
}

fn bindings(container: &ContainerRun) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut all: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &container.publish {
        let binding = PortBinding { host_ip: Some(port.address.clone()), host_port: Some(port.host.to_string()) };
        all.entry(protocol_port(port.container, port.udp)).or_default().get_or_insert_default().push(binding);
    }
    all
}

/// The environment's network knows it by its service and its further names.
///
/// Docker takes an identity for the key and keeps the name in its place. Only what stands in `NetworkID` is looked at when the
/// container starts; without it the name is, which may be that of two. Podman has one network of a name.
fn endpoints(container: &ContainerRun, place: &Place<'_>) -> Option<NetworkingConfig> {
    if container.options.network != NetworkMode::Environment {
        return None;
    }
    let mut aliases = vec![place.run.instance.service.to_string()];
    for alias in container.aliases.iter().chain(&container.options.aliases) {
        if !aliases.contains(alias) {
            aliases.push(alias.clone());
        }
    }
    let network = place.network.clone();
    let endpoint = EndpointSettings { aliases: Some(aliases), network_id: Some(network.clone()), ..Default::default() };
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) })
}

/// The engine keeps what we have not copied yet; our copy is the log. Podman has one file and empties it when it is
/// full, so that one is not smaller than what is kept.
fn log_config(keep: u64, is_podman: bool) -> HostConfigLogConfig {
    let size = keep.max(ENGINE_LOG);
    let mut config = HashMap::from([("max-size".to_owned(), size.to_string())]);
    let typ = if is_podman {
        "k8s-file"
    } else {
        config.insert("max-file".to_owned(), ENGINE_LOG_FILES.to_string());
        "json-file"
    };
    HostConfigLogConfig { typ: Some(typ.to_owned()), config: Some(config) }
}

fn nanos(duration: &HumanDuration) -> i64 {
    i64::try_from(duration.get().as_nanos()).unwrap_or(i64::MAX)
}

fn health(check: &HealthCheck) -> Option<HealthConfig> {
    match check {
        HealthCheck::Image => None,
        HealthCheck::Disabled => Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        HealthCheck::Own { test, interval, timeout, retries, start_period, start_interval } => Some(HealthConfig {
            test: Some(test.clone()),
            interval: interval.as_ref().map(nanos),
            timeout: timeout.as_ref().map(nanos),
            retries: retries.map(i64::from),
            start_period: start_period.as_ref().map(nanos),
            start_interval: start_interval.as_ref().map(nanos),
        }),
    }
}

/// `host[:container[:permissions]]`
fn device(text: &str) -> DeviceMapping {
    let mut parts = text.splitn(3, ':');
    let on_host = parts.next().unwrap_or_default().to_owned();
    let inside = parts.next().map_or_else(|| on_host.clone(), str::to_owned);
    let permissions = parts.next().unwrap_or("rwm").to_owned();
    DeviceMapping {
        path_on_host: Some(on_host),
        path_in_container: Some(inside),
        cgroup_permissions: Some(permissions),
    }
}
