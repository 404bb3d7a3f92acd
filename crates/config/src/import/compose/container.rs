//! How a service runs: its image and what of a container holds as it is written.

use super::{Body, Import, build, duration, mounts, size};
use muster_compose::model::{Command, HealthCheck, Service, Ulimit};
use serde_json::{Map, Value, json};

pub(super) fn container(import: &mut Import<'_>, name: &str, service: &Service) -> Value {
    let mut body = Body::default();
    body.text("image", &service.image);
    if let Some(wanted) = &service.build {
        build::build(import, name, service, wanted, &mut body);
    }
    pull(import, name, service, &mut body);
    for (key, wanted) in [("entrypoint", &service.entrypoint), ("command", &service.command)] {
        command(import, name, key, wanted, &mut body);
    }
    mounts::mounts(import, name, service, &mut body);
    body.texts("tmpfs", &service.tmpfs);
    body.text("user", &service.user);
    body.texts("group_add", &service.group_add);
    working_dir(import, name, service, &mut body);
    network(import, name, service, &mut body);
    rights(service, &mut body);
    memory(import, name, service, &mut body);
    namespaces(import, name, service, &mut body);
    body.text("runtime", &service.runtime);
    body.text("platform", &service.platform);
    body.flag("stdin_open", service.stdin_open);
    body.pairs("labels", service.labels.iter());
    body.text("container_name", &service.container_name);
    if let Some(check) = &service.healthcheck {
        body.put("healthcheck", health(check));
    }
    Value::Object(body.0)
}

fn pull(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    match service.pull_policy.as_str() {
        "" | "missing" => {}
        word @ ("always" | "never") => body.text("pull_policy", word),
        "build" if service.build.is_some() => {}
        other => {
            let reason = format!("`{other}` is no time to pull here");
            import.lose(name, "pull_policy", &reason, "the image is pulled when it is not there");
        }
    }
}

fn command(import: &mut Import<'_>, name: &str, key: &str, command: &Command, body: &mut Body) {
    let Some(words) = command.words() else { return };
    if words.first().is_some_and(String::is_empty) {
        return import.lose(name, key, "its program has no name", "what the image says is run");
    }
    body.put(key, words.iter().map(|word| super::escaped(word)).collect());
}

fn working_dir(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    if service.working_dir.is_empty() || service.working_dir.starts_with('/') {
        return body.text("working_dir", &service.working_dir);
    }
    import.lose(name, "working_dir", "it is no absolute path", "it starts where its image says");
}

fn network(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    for (key, value) in [("hostname", &service.hostname), ("domainname", &service.domainname)] {
        if is_host_name(value) {
            body.text(key, value);
        } else if !value.is_empty() {
            import.lose(name, key, "it is no name that a host can have", "the engine gives it one");
        }
    }
    let alone = matches!(service.network_mode.as_str(), "host" | "none");
    match service.network_mode.as_str() {
        "" => {}
        word @ ("host" | "none") => body.text("network_mode", word),
        other => {
            let reason = format!("`{other}` is no network here");
            import.lose(name, "network_mode", &reason, "it is in the environment's network");
        }
    }
    let own = service.networks.values().flatten().flat_map(|network| network.aliases.iter().cloned());
    let mut aliases: Vec<String> = own.chain(import.aliases.get(name).into_iter().flatten().cloned()).collect();
    aliases.sort();
    aliases.dedup();
    if !alone {
        body.texts("network_aliases", &aliases);
    }
    let mut hosts = Vec::new();
    for (host, addresses) in service.extra_hosts.iter() {
        for address in addresses {
            if address == "host-gateway" || address.parse::<std::net::IpAddr>().is_ok() {
                hosts.push(format!("{host}={address}"));
            } else {
                let reason = format!("`{address}` is no IP address");
                import.lose(name, &format!("extra_hosts.{host}"), &reason, "the line is left out");
            }
        }
    }
    body.texts("extra_hosts", &hosts);
    body.texts("dns", &service.dns);
    body.texts("dns_search", &service.dns_search);
    body.texts("dns_opt", &service.dns_opt);
}

/// RFC 1123, and `_`, which many names have.
fn is_host_name(text: &str) -> bool {
    let piece = |piece: &str| {
        (1..=63).contains(&piece.len())
            && !piece.starts_with('-')
            && !piece.ends_with('-')
            && piece.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    text.len() <= 253 && text.split('.').all(piece)
}

fn rights(service: &Service, body: &mut Body) {
    body.flag("init", service.init == Some(true));
    body.flag("read_only", service.read_only);
    body.flag("privileged", service.privileged);
    body.texts("cap_add", &service.cap_add);
    body.texts("cap_drop", &service.cap_drop);
    body.texts("security_opt", &service.security_opt);
    let ulimits: Map<String, Value> =
        service.ulimits.iter().map(|(limit, ulimit)| (limit.clone(), both(ulimit))).collect();
    body.body("ulimits", Body(ulimits));
    body.pairs("sysctls", service.sysctls.iter());
    let device = |device: &muster_compose::model::Device| {
        let parts = [&device.source, &device.target, &device.permissions];
        parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(":")
    };
    body.texts("devices", &service.devices.iter().map(device).collect::<Vec<_>>());
}

fn both(limit: &Ulimit) -> Value {
    if limit.single { json!(limit.soft) } else { json!({"soft": limit.soft, "hard": limit.hard}) }
}

fn memory(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let deployed = service.deploy.as_ref().and_then(|deploy| deploy.resources.reservations.as_ref());
    let reserved = if service.mem_reservation.0 > 0 {
        service.mem_reservation.0
    } else {
        deployed.map_or(0, |reserved| reserved.memory.0)
    };
    for (key, bytes) in [("shm_size", service.shm_size.0), ("mem_reservation", reserved)] {
        if bytes > 0 {
            body.put(key, json!(size(bytes)));
        }
    }
    let limits = service.deploy.as_ref().and_then(|deploy| deploy.resources.limits.as_ref());
    let limited = service.mem_limit.0.max(limits.map_or(0, |limits| limits.memory.0));
    match service.memswap_limit.0 {
        0 => {}
        -1 if limited > 0 => body.put("memswap_limit", json!(-1)),
        swap if limited > 0 && swap >= limited => body.put("memswap_limit", json!(size(swap))),
        _ => import.lose(
            name,
            "memswap_limit",
            "it means nothing without a limit of memory",
            "there is no limit of swap",
        ),
    }
    if service.oom_score_adj != 0 {
        body.put("oom_score_adj", json!(service.oom_score_adj));
    }
    if service.cpu_shares > 0 {
        body.put("cpu_shares", json!(service.cpu_shares));
    }
    body.text("cpuset", &service.cpuset);
}

fn namespaces(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let spaces = [
        ("pid", &service.pid, &["host"][..]),
        ("ipc", &service.ipc, &["host", "private", "shareable", "none"]),
        ("uts", &service.uts, &["host"]),
        ("userns_mode", &service.userns_mode, &["host"]),
    ];
    for (key, value, words) in spaces {
        if words.contains(&value.as_str()) {
            body.text(key, value);
        } else if !value.is_empty() {
            let reason = format!("`{value}` cannot be shared");
            import.lose(name, key, &reason, "it has one of its own");
        }
    }
}

fn health(check: &HealthCheck) -> Value {
    if check.disable || check.test.first().is_some_and(|word| word == "NONE") {
        return json!("none");
    }
    let mut body = Body::default();
    // a test of one word says nothing: the image's own counts
    if check.test.len() > 1 {
        body.texts("test", &check.test);
    }
    let times = [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("start_period", check.start_period),
        ("start_interval", check.start_interval),
    ];
    for (key, time) in times {
        if let Some(time) = time {
            body.put(key, json!(duration(time)));
        }
    }
    if let Some(retries) = check.retries {
        body.put("retries", json!(retries));
    }
    if body.0.is_empty() { json!("image") } else { Value::Object(body.0) }
}
