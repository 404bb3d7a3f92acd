//! The smaller documents as text.

use crate::human;
use crate::render::status::{instance, process};
use crate::render::table::{fitted, table};
use crate::term::Terminal;
use anstyle::AnsiColor;
use muster_engine::documents::{
    BuildDocument, EnvironmentDocument, EventDocument, HealthDocument, PortsDocument, ServiceHealth, StatusDocument,
    WayDocument, WhyDocument,
};

/// What each probe said.
pub(crate) fn health(document: &HealthDocument, terminal: &Terminal) -> String {
    if document.services.is_empty() {
        return "no services\n".into();
    }
    document.services.iter().map(|service| health_of(service, terminal)).collect()
}

fn health_of(service: &ServiceHealth, terminal: &Terminal) -> String {
    let colour = if service.ok { AnsiColor::Green } else { AnsiColor::Red };
    let mark = terminal.style(terminal.mark(service.ok), colour);
    let mut text = format!("{mark} {} {}\n", service.name, service.state);
    for check in &service.checks {
        let said = match (&check.reason, check.ok) {
            (_, true) => format!("ok in {}", human::duration(check.took_ms / 1000.0)),
            (Some(reason), false) => reason.clone(),
            (None, false) => "failed".into(),
        };
        text.push_str(&format!("    {} {}: {said}\n", check.role, check.check));
    }
    if let Some(details) = &service.details {
        let pretty = serde_json::to_string_pretty(details).unwrap_or_default();
        pretty.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    if let Some(error) = &service.details_error {
        text.push_str(&format!("    no details: {error}\n"));
    }
    text
}

/// From each instance to the root cause.
pub(crate) fn why(document: &WhyDocument, terminal: &Terminal) -> String {
    let mut text = String::new();
    for service in &document.services {
        let runs = match (service.pid, &service.host) {
            (Some(pid), Some(host)) => format!(" (pid {pid} on {host})"),
            (Some(pid), None) => format!(" (pid {pid})"),
            (None, _) => String::new(),
        };
        text.push_str(&format!("{} is {}{runs}\n", service.name, terminal.state(&service.state)));
        for (depth, link) in service.chain.iter().enumerate() {
            let indent = "  ".repeat(depth + 1);
            let at = link.at.as_deref().map(|at| format!(" ({})", human::clock(at))).unwrap_or_default();
            let arrow = if terminal.unicode { "└─" } else { "`-" };
            // most sentences begin with whom they are about
            let about = match link.sentence.starts_with(&format!("`{}`", link.instance)) {
                true => String::new(),
                false => format!("{}: ", link.instance),
            };
            text.push_str(&format!("{indent}{arrow} {about}{}{at}\n", link.sentence));
            if let Some(next) = &link.next {
                text.push_str(&format!("{indent}   next: {next}\n"));
            }
        }
    }
    text
}

/// How one service reaches another.
pub(crate) fn way(document: &WayDocument, terminal: &Terminal) -> String {
    let arrow = if terminal.unicode { "→" } else { "->" };
    let mut text = String::new();
    for way in &document.ways {
        let address = way.address.as_deref().unwrap_or("no way");
        text.push_str(&format!("{} {arrow} {} ({}): {address}\n", document.from, document.to, way.port));
        for (n, step) in way.steps.iter().enumerate() {
            text.push_str(&format!("  {}. {step}\n", n + 1));
        }
        if let Some(missing) = &way.missing {
            text.push_str(&format!("  missing: {missing}\n"));
        }
    }
    if document.ways.is_empty() {
        text.push_str(&format!("{} has no ports\n", document.to));
    }
    text
}

/// One entry of the history.
pub(crate) fn event(event: &EventDocument, terminal: &Terminal) -> String {
    let to = terminal.state(&event.to);
    let arrow = if terminal.unicode { "→" } else { "->" };
    format!("{} {} {} {arrow} {to}: {}\n", human::clock(&event.at), event.instance, event.from, event.cause)
}

/// Who listens where.
pub(crate) fn ports(document: &PortsDocument, terminal: &Terminal) -> String {
    if document.ports.is_empty() {
        return "no ports\n".into();
    }
    let rows = document.ports.iter().map(|port| {
        let owner = port.owner.clone();
        let listens = match (&port.leads_to, port.listening) {
            (Some(place), Some(false)) => format!("no; a tunnel to {place}"),
            (Some(place), _) => format!("tunnel to {place}"),
            (None, Some(true)) => owner.unwrap_or_else(|| "yes".into()),
            (None, Some(false)) => "no".into(),
            (None, None) => match (&port.host, port.pid) {
                (Some(host), Some(pid)) => format!("on host {host}, pid {pid} there"),
                (Some(host), None) => format!("on host {host}"),
                (None, _) => String::new(),
            },
        };
        vec![port.port.to_string(), port.instance.clone(), port.name.clone(), listens]
    });
    table(&["PORT", "SERVICE", "NAME", "LISTENS"], &rows.collect::<Vec<_>>(), terminal)
}

/// What runs, the largest use first.
pub(crate) fn top(document: &StatusDocument, terminal: &Terminal) -> String {
    let mut running: Vec<_> =
        document.services.iter().filter(|s| s.memory_bytes.is_some() || s.pid.is_some()).collect();
    running.sort_by(|a, b| b.cpu_percent.unwrap_or(0.0).total_cmp(&a.cpu_percent.unwrap_or(0.0)));
    let cpu: f64 = running.iter().filter_map(|s| s.cpu_percent).sum();
    let memory: u64 = running.iter().filter_map(|s| s.memory_bytes).sum();
    let rows = running.iter().map(|service| {
        vec![
            instance(service),
            process(service).unwrap_or_default(),
            super::status::cpu(service).unwrap_or_default(),
            super::status::memory(service).unwrap_or_default(),
            service.uptime_s.map(human::duration).unwrap_or_default(),
        ]
    });
    let heads = ["NAME", "PID", "CPU", "MEMORY", "UPTIME"];
    let body = fitted(&heads, &rows.collect::<Vec<_>>(), terminal, &["UPTIME", "PID"]);
    let running = human::count(running.len(), "service");
    format!("{running} use {cpu:.1}% of a core and {}\n{body}", human::bytes(memory))
}

/// What was built.
pub(crate) fn builds(document: &BuildDocument, terminal: &Terminal) -> String {
    let mut text = String::new();
    let some = document.builds.iter().any(|build| build.result != "none");
    for build in document.builds.iter().filter(|build| !some || build.result != "none") {
        let took = human::duration(build.took_ms as f64 / 1000.0);
        let line = match build.result.as_str() {
            "built" => format!("{} {} built in {took}", terminal.mark(true), build.service),
            "up_to_date" => format!("{} {} is up to date", terminal.mark(true), build.service),
            "none" => format!("  {} has nothing to build", build.service),
            _failed => {
                let reason = build.reason.as_deref().unwrap_or("no reason was given");
                format!("{} {} failed after {took}: {reason}", terminal.mark(false), build.service)
            }
        };
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// Every environment.
pub(crate) fn environments(environments: &[EnvironmentDocument], terminal: &Terminal) -> String {
    if environments.is_empty() {
        return "no environments; `muster up` makes the first\n".into();
    }
    let rows = environments.iter().map(|e| {
        let ports = e.port_base.map(|base| match e.port_block {
            Some(block) if block > 0 => format!("{base}-{}", base.saturating_add(block - 1)),
            Some(_) | None => base.to_string(),
        });
        let running = format!("{}/{}", e.running, e.wanted);
        vec![e.name.clone(), e.stack.clone(), running, ports.unwrap_or_default(), e.id.clone(), e.root.clone()]
    });
    let heads = ["NAME", "STACK", "RUNNING", "PORTS", "ID", "FOLDER"];
    fitted(&heads, &rows.collect::<Vec<_>>(), terminal, &["ID", "FOLDER", "PORTS"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_engine::documents::{WhyLink, WhyService};

    #[test]
    fn why_goes_to_the_root() {
        let link = |instance: &str, sentence: &str, next: Option<&str>| WhyLink {
            instance: instance.into(),
            sentence: sentence.into(),
            at: None,
            next: next.map(Into::into),
        };
        let chain = vec![
            link("api", "waits until `db` is ready", None),
            link("db", "`db` is failed: exited with code 1", Some("muster logs db")),
        ];
        let here = WhyService { name: "api".into(), state: "waiting".into(), pid: None, host: None, chain };
        let there = WhyService {
            name: "db".into(),
            state: "ready".into(),
            pid: Some(4242),
            host: Some("lab-1".into()),
            chain: Vec::new(),
        };
        let services = vec![here, there];
        let document = WhyDocument { schema: String::new(), services };
        insta::assert_snapshot!(why(&document, &Terminal::default()), @r"
        api is waiting
          `- api: waits until `db` is ready
            `- `db` is failed: exited with code 1
               next: muster logs db
        db is ready (pid 4242 on lab-1)
        ");
    }
}
