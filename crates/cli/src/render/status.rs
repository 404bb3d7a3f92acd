//! The status table.

use crate::human;
use crate::render::table;
use crate::term::Terminal;
use muster_engine::documents::{ServiceStatus, StatusDocument};

/// What a narrow terminal goes without, the least missed first.
const LESS: [&str; 7] = ["RUNTIME", "GROUP", "UPTIME", "RESTARTS", "PID", "CPU", "MEMORY"];

/// `name`, or `name#2` for the others of several.
pub(crate) fn instance(service: &ServiceStatus) -> String {
    if service.replica > 1 { format!("{}#{}", service.name, service.replica) } else { service.name.clone() }
}

/// `4242`, or `lab-1:4242` for a process of another host: nobody is to take that for one of this machine.
pub(crate) fn process(service: &ServiceStatus) -> Option<String> {
    let pid = service.pid?;
    Some(service.host.as_ref().map_or_else(|| pid.to_string(), |host| format!("{host}:{pid}")))
}

/// `3.1%`, or `3.1% of 150%` where it may use no more.
pub(crate) fn cpu(service: &ServiceStatus) -> Option<String> {
    let used = service.cpu_percent?;
    let most = service.limits.as_ref().and_then(|limits| limits.cpus);
    Some(most.map_or_else(|| format!("{used:.1}%"), |most| format!("{used:.1}% of {:.0}%", most * 100.0)))
}

/// `748 KiB`, or `748 KiB of 512 MiB` where it may use no more.
pub(crate) fn memory(service: &ServiceStatus) -> Option<String> {
    let used = human::bytes(service.memory_bytes?);
    let most = service.limits.as_ref().and_then(|limits| limits.memory_bytes);
    Some(most.map_or_else(|| used.clone(), |most| format!("{used} of {}", human::bytes(most))))
}

/// A row per instance, and what is wrong with the whole below.
fn table_of(document: &StatusDocument, terminal: &Terminal) -> String {
    let heads = ["NAME", "GROUP", "STATE", "RUNTIME", "PID", "PORTS", "UPTIME", "RESTARTS", "CPU", "MEMORY", "REASON"];
    let rows: Vec<Vec<String>> = document.services.iter().map(row).collect();
    table::fitted(&heads, &rows, terminal, &LESS)
}

/// `http:8080`: the number by which it is reached from here. One of another host has its own here, where a tunnel leads to it.
fn told_port(service: &ServiceStatus, name: &str, port: u16) -> String {
    if service.host.is_none() {
        return format!("{name}:{port}");
    }
    let near = service.addresses.get(name).and_then(|address| address.rsplit_once(':'));
    near.map_or_else(|| format!("{name}:{port} there"), |(_, number)| format!("{name}:{number}"))
}

fn row(service: &ServiceStatus) -> Vec<String> {
    let mut reasons: Vec<String> = service.reason.clone().into_iter().collect();
    if !service.stale.is_empty() {
        reasons.push(format!("runs with old: {}", service.stale.join(", ")));
    }
    let place = service.container.clone().or_else(|| process(service));
    let runs = place.is_some();
    // what does not run listens nowhere; `--json` and `muster ports` still say where it would
    let ports = service.ports.iter().filter(|_| runs).map(|(name, port)| told_port(service, name, *port));
    vec![
        instance(service),
        service.group.clone().unwrap_or_default(),
        service.state.clone(),
        service
            .host
            .as_ref()
            .filter(|_| !runs)
            .map_or_else(|| service.runtime.clone(), |host| format!("{} {host}", service.runtime)),
        place.unwrap_or_default(),
        ports.collect::<Vec<_>>().join(" "),
        service.uptime_s.filter(|_| runs).map(human::duration).unwrap_or_default(),
        if service.restarts > 0 { service.restarts.to_string() } else { String::new() },
        cpu(service).unwrap_or_default(),
        memory(service).unwrap_or_default(),
        reasons.join("; "),
    ]
}

/// The table under the names of stack and environment.
pub(crate) fn table(document: &StatusDocument, terminal: &Terminal) -> String {
    let title = format!("{} in {}", document.stack, document.environment);
    if document.services.is_empty() {
        return format!("{title}: no services\n");
    }
    let good = document.services.iter().filter(|s| s.ready || s.state == "done").count();
    let counted = format!("{good} of {} ready or done", document.services.len());
    format!("{title}: {counted}\n{}", table_of(document, terminal))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use muster_engine::documents::LimitsDocument;

    pub(crate) fn service(name: &str, state: &str) -> ServiceStatus {
        serde_json::from_value(serde_json::json!({
            "name": name, "replica": 1, "group": null, "kind": "service", "runtime": "process", "wanted": "up",
            "state": state, "ready": state == "ready", "healthy": state == "ready",
            "pid": (state == "ready").then_some(4242), "container": null, "host": null,
            "started_at": null, "uptime_s": 9240.0, "run": 1, "generation": 1, "restarts": 0, "exit": null,
            "ports": {"grpc": 50051}, "addresses": {}, "reason": null, "stale": [],
            "cpu_percent": null, "memory_bytes": null, "settled": true, "log_dir": null,
        }))
        .unwrap()
    }

    fn document() -> StatusDocument {
        let mut failed = service("api", "failed");
        failed.reason = Some("exited with code 1, 5 times within 60s".into());
        failed.restarts = 5;
        let services = vec![service("memory", "ready"), failed];
        let (stack, environment) = ("gladys".into(), "local".into());
        StatusDocument { schema: "muster.status.v1".into(), stack, environment, generation: 1, services }
    }

    #[test]
    fn a_pipe_has_no_width() {
        insta::assert_snapshot!(table(&document(), &Terminal::default()), @r"
        gladys in local: 1 of 2 ready or done
        NAME    STATE   RUNTIME  PID   PORTS       UPTIME  RESTARTS  REASON
        memory  ready   process  4242  grpc:50051  2h 34m
        api     failed  process                            5         exited with code 1, 5 times within 60s
        ");
    }

    #[test]
    fn a_process_of_another_host_is_told_with_its_host() {
        let mut document = document();
        for service in &mut document.services {
            (service.runtime, service.host) = ("remote".to_owned(), Some("lab-1".to_owned()));
        }
        insta::assert_snapshot!(table(&document, &Terminal::default()), @r"
        gladys in local: 1 of 2 ready or done
        NAME    STATE   RUNTIME       PID         PORTS             UPTIME  RESTARTS  REASON
        memory  ready   remote        lab-1:4242  grpc:50051 there  2h 34m
        api     failed  remote lab-1                                        5         exited with code 1, 5 times within 60s
        ");
    }

    #[test]
    fn a_narrow_terminal_breaks_no_word() {
        let mut document = document();
        document.services[0].group = Some("storage".into());
        let terminal = Terminal { width: Some(40), ..Terminal::default() };
        insta::assert_snapshot!(table(&document, &terminal), @r"
        gladys in local: 1 of 2 ready or done
        NAME    STATE   PORTS       REASON
        memory  ready   grpc:50051
        api     failed              exited with
                                    code 1, 5
                                    times within
                                    60s
        ");
    }

    #[test]
    fn a_port_of_another_host_is_told_as_it_is_reached_from_here() {
        let mut service = service("api", "ready");
        assert_eq!(told_port(&service, "grpc", 50051), "grpc:50051");
        service.host = Some("lab-1".to_owned());
        assert_eq!(told_port(&service, "grpc", 50051), "grpc:50051 there");
        service.addresses.insert("grpc".to_owned(), "127.0.0.1:50060".to_owned());
        assert_eq!(told_port(&service, "grpc", 50051), "grpc:50060");
    }

    #[test]
    fn use_is_told_with_its_limit() {
        let mut service = service("api", "ready");
        (service.cpu_percent, service.memory_bytes) = (Some(3.1), Some(5 << 20));
        assert_eq!((cpu(&service).unwrap(), memory(&service).unwrap()), ("3.1%".into(), "5.0 MiB".into()));
        let limits = LimitsDocument { memory_bytes: Some(512 << 20), cpus: Some(1.5), pids: None, files: None };
        service.limits = Some(limits);
        let told = (cpu(&service).unwrap(), memory(&service).unwrap());
        assert_eq!(told, ("3.1% of 150%".into(), "5.0 MiB of 512 MiB".into()));
    }

    #[test]
    fn a_terminal_is_not_overrun() {
        let terminal = Terminal { width: Some(80), ..Terminal::default() };
        let text = table(&document(), &terminal);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn colours_change_no_character() {
        let plain = table(&document(), &Terminal::default());
        let coloured = table(&document(), &Terminal { out_colour: true, ..Terminal::default() });
        assert!(coloured.contains("\x1b[32mready\x1b[0m"));
        assert!(coloured.contains("\x1b[31mfailed\x1b[0m"));
        let stripped = coloured.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
        assert_eq!(stripped, plain);
    }
}
