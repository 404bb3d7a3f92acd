//! A service: what it needs, when it is restarted, what it may use. How it runs is in `container`.

use super::{Body, Import, container, duration, lost, ports, size, watch};
use muster_compose::model::{Deploy, RestartPolicy, Service};
use serde_json::{Value, json};

/// The body of a service; none for one that nothing here can run.
pub(super) fn service(import: &mut Import<'_>, name: &str, service: &Service) -> Option<Value> {
    if let Some(provider) = &service.provider {
        let reason = format!("`{}` provides it, which only Compose can ask", provider.r#type);
        import.lose(name, "provider", &reason, "the service is left out, nothing waits for it");
        return None;
    }
    let mut body = Body::default();
    if import.jobs.contains(name) {
        body.flag("job", true);
    }
    body.put("container", container::container(import, name, service));
    ports::ports(import, name, service, &mut body);
    if !service.ports.is_empty() && !import.jobs.contains(name) {
        // what a published port says of readiness here, it does not there
        body.put("ready", json!({"healthcheck": true, "fails": 1}));
    }
    environment(import, name, service, &mut body);
    needs(import, name, service, &mut body);
    restart(import, name, service, &mut body);
    stop(import, name, service, &mut body);
    limits(import, name, service, &mut body);
    replicas(import, name, service, &mut body);
    body.flag("tty", service.tty);
    watch::watch(import, name, service, &mut body);
    lost::of_service(import, name, service);
    Some(Value::Object(body.0))
}

fn environment(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let given = service.environment.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    body.pairs("env", given);
    for (key, _) in service.environment.iter().filter(|(_, value)| value.is_none()) {
        let attribute = format!("environment.{key}");
        import.lose(name, &attribute, "it has no value", "it is left out; the image's own value counts");
    }
}

fn needs(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let mut needs = Body::default();
    for (other, need) in &service.depends_on {
        let attribute = format!("depends_on.{other}");
        let there = import.project.services.get(other).filter(|other| other.provider.is_none());
        if there.is_none() {
            import.lose(name, &attribute, "the service is not part of the stack", "nothing waits for it");
            continue;
        }
        let job = import.jobs.contains(other.as_str());
        let until = match need.condition.as_str() {
            "service_completed_successfully" => "done",
            "service_healthy" if job => {
                import.lose(name, &attribute, "a job is not ready or healthy, it is done", "its start is waited for");
                "started"
            }
            "service_healthy" => "ready",
            _ => "started",
        };
        let target = import.names.of(other);
        if !need.restart && need.required {
            needs.put(&target, json!(until));
            continue;
        }
        let mut edge = Body::default();
        edge.put("until", json!(until));
        if need.restart {
            edge.put("restart", json!("with"));
        }
        edge.flag("optional", !need.required);
        needs.put(&target, Value::Object(edge.0));
    }
    body.body("needs", needs);
}

/// `restart`, else `deploy.restart_policy`; without both nothing is restarted.
fn restart(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let policy = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
    let (word, most) = match service.restart.split_once(':') {
        Some((word, most)) => (word, most.parse::<u64>().ok()),
        None => (service.restart.as_str(), None),
    };
    let (on, max, backoff) = match (word, policy) {
        ("", Some(policy)) => deployed(import, name, policy),
        ("always" | "unless-stopped", _) => ("always", None, None),
        ("on-failure", _) => ("failure", most, None),
        ("no" | "false" | "", _) => ("never", None, None),
        (other, _) => {
            import.lose(name, "restart", &format!("`{other}` is no policy"), "it is not restarted");
            ("never", None, None)
        }
    };
    if on == "never" {
        if !import.jobs.contains(name) {
            body.put("restart", json!("never"));
        }
        return;
    }
    let mut restart = Body::default();
    restart.put("on", json!(on));
    // the engine waits 100 ms, doubles up to a minute and never gives up
    restart.put("backoff", json!(backoff.unwrap_or_else(|| "100ms..60s".to_owned())));
    restart.put("limit", json!("none"));
    if let Some(max) = max {
        restart.put("max", json!(max));
    }
    body.body("restart", restart);
}

fn deployed(
    import: &mut Import<'_>,
    name: &str,
    policy: &RestartPolicy,
) -> (&'static str, Option<u64>, Option<String>) {
    if policy.window.is_some() {
        import.lose(
            name,
            "deploy.restart_policy.window",
            "a start is not judged by a window",
            "every restart counts towards `max`",
        );
    }
    let on = match policy.condition.as_str() {
        "none" => "never",
        "on-failure" => "failure",
        _ => "always",
    };
    (on, policy.max_attempts, policy.delay.map(duration))
}

fn stop(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let mut stop = Body::default();
    if service.stop_signal.parse::<muster_spec::Signal>().is_ok() {
        stop.text("signal", &service.stop_signal);
    } else if !service.stop_signal.is_empty() {
        let reason = format!("`{}` is no signal that is known here", service.stop_signal);
        import.lose(name, "stop_signal", &reason, "TERM asks it to stop");
    }
    if let Some(grace) = service.stop_grace_period {
        stop.put("grace", json!(duration(grace)));
    }
    body.body("stop", stop);
}

/// Limits of the service itself, else those of `deploy`.
fn limits(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let deployed = |deploy: &Deploy| deploy.resources.limits.clone();
    let deployed = service.deploy.as_ref().and_then(deployed).unwrap_or_default();
    let mut limits = Body::default();
    let memory = if service.mem_limit.0 > 0 { service.mem_limit.0 } else { deployed.memory.0 };
    if memory > 0 {
        limits.put("memory", json!(size(memory)));
    }
    let mut cpus = if service.cpus.0 > 0.0 { service.cpus.0 } else { deployed.cpus.0 };
    if cpus <= 0.0 && service.cpu_quota > 0 {
        // the kernel's own default is a period of 100 ms
        let period = if service.cpu_period > 0 { service.cpu_period } else { 100_000 };
        cpus = service.cpu_quota as f32 / period as f32;
        import.lose(name, "cpu_quota", "a share of each period is said in cores", &format!("`limits.cpus` is {cpus}"));
    }
    if cpus > 0.0 {
        // through the shortest digits: 0.1 stays 0.1
        limits.put("cpus", cpus.to_string().parse::<f64>().map_or(json!(cpus), |cpus| json!(cpus)));
    }
    let pids = if service.pids_limit != 0 { service.pids_limit } else { deployed.pids };
    if pids > 0 {
        limits.put("pids", json!(pids));
    }
    body.body("limits", limits);
}

fn replicas(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    match service.replicas() {
        1 => {}
        0 => {
            import.lose(name, "scale", "there is no service of no copies", "it starts only when it is named or needed");
            body.put("autostart", json!(false));
        }
        more => body.put("replicas", json!(more)),
    }
}
