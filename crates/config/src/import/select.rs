//! Which processes there are, what they wait for, and which of them are started.

use super::fields::{Fields, Report, node_flag};
use super::project::Project;
use super::{ImportOptions, ImportProblem};
use crate::tree::{Kind, Map};
use indexmap::IndexMap;
use std::collections::BTreeSet;

/// What a dependent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It ended, however. Also what an entry without a condition means.
    Completed,
    /// It ended with success.
    Succeeded,
    /// Its readiness probe passes.
    Healthy,
    /// It was started.
    Started,
    /// It printed its line.
    LogReady,
}

/// A process before it is translated.
pub(super) struct Process<'a> {
    /// Its fields; those read here are taken.
    pub(super) fields: Fields<'a>,
    /// Not started unless somebody asks.
    pub(super) disabled: bool,
    /// Runs only in the terminal of who asks for it.
    pub(super) foreground: bool,
    /// What it waits for.
    pub(super) needs: IndexMap<String, Condition>,
    /// At least one.
    pub(super) namespaces: Vec<String>,
    /// At least 1.
    pub(super) replicas: u16,
}

/// Processes by name, in order.
pub(super) type Processes<'a> = IndexMap<String, Process<'a>>;

/// Namespace of a process that names none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// Reads what decides about starting and checks what process-compose checks.
pub(super) fn read<'a>(project: &'a Project, options: &ImportOptions, report: &mut Report) -> Processes<'a> {
    let mut processes = Processes::new();
    for (name, entry) in &project.processes {
        let path = format!("processes.{name}");
        match entry.value.as_map() {
            Some(map) => {
                processes.insert(name.clone(), read_one(path, map, report));
            }
            None => report.problems.push(ImportProblem::WrongType { field: path, wanted: "a map" }),
        }
    }
    for name in options.env.get("PC_DISABLED_PROCESSES").map(|names| names.split(',')).into_iter().flatten() {
        if let Some(process) = processes.get_mut(name) {
            process.disabled = true;
        }
    }
    name_whole_sets(&mut processes, report);
    check_needs(&processes, project, report);
    if let Some(chain) = cycle(&processes) {
        report.problems.push(ImportProblem::Circular { chain });
    }
    processes
}

fn read_one<'a>(path: String, map: &'a Map, report: &mut Report) -> Process<'a> {
    let mut fields = Fields::new(path, map);
    let mut disabled = fields.flag("disabled", report);
    match fields.text("is_disabled", report).as_deref() {
        Some("true") => disabled = true,
        Some("false") => disabled = false,
        Some(_) | None => {}
    }
    if let Some(mcp) = fields.node("mcp").filter(|node| !node.as_map().is_some_and(Map::is_empty)) {
        let field = fields.at("mcp");
        let reason = if mcp.as_map().is_some() { "it is no tool for agents here" } else { "not understood" };
        report.loss.push(&field, reason, "it is not started by itself, as there; `muster start` runs it");
        disabled = true;
    }
    let replicas = fields.number("replicas", report).max(1);
    let replicas = u16::try_from(replicas).unwrap_or_else(|_| {
        report.invalid(&fields.at("replicas"), "more than 65535");
        1
    });
    let namespaces = namespaces(&mut fields, report);
    let needs = read_needs(&mut fields, report);
    let foreground = fields.flag("is_foreground", report);
    Process { fields, disabled, foreground, needs, namespaces, replicas }
}

fn namespaces(fields: &mut Fields<'_>, report: &mut Report) -> Vec<String> {
    let mut found: Vec<String> = match fields.node("namespace").map(|node| &node.kind) {
        Some(Kind::List(_)) => fields.list("namespace", report),
        Some(Kind::Scalar(_) | Kind::Map(_)) => fields.text("namespace", report).into_iter().collect(),
        None => Vec::new(),
    };
    let mut seen = BTreeSet::new();
    found.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    if found.is_empty() {
        found.push(DEFAULT_NAMESPACE.to_owned());
    }
    found
}

fn read_needs(fields: &mut Fields<'_>, report: &mut Report) -> IndexMap<String, Condition> {
    let mut needs = IndexMap::new();
    let path = fields.at("depends_on");
    let empty = Map::new();
    for (name, entry) in fields.map("depends_on", report).into_iter().flatten() {
        let map = entry.value.as_map();
        if map.is_none() && !entry.value.is_null() {
            report.problems.push(ImportProblem::WrongType { field: format!("{path}.{name}"), wanted: "a map" });
        }
        let mut inner = Fields::new(format!("{path}.{name}"), map.unwrap_or(&empty));
        let condition = match inner.text("condition", report).as_deref() {
            Some("process_completed") | None => Condition::Completed,
            Some("process_completed_successfully") => Condition::Succeeded,
            Some("process_healthy") => Condition::Healthy,
            Some("process_started") => Condition::Started,
            Some("process_log_ready") => Condition::LogReady,
            Some(other) => {
                report.invalid(&inner.at("condition"), format!("`{other}` is not a condition"));
                Condition::Completed
            }
        };
        inner.finish(report);
        needs.insert(name.clone(), condition);
    }
    needs
}

/// The name that process-compose gives to a replica.
pub(super) fn replica_name(name: &str, number: u16, replicas: u16) -> String {
    if replicas <= 1 {
        return name.to_owned();
    }
    let width = replicas.to_string().len();
    format!("{name}-{number:0width$}")
}

/// A need of one replica becomes a need of the whole set: needs are between services.
fn name_whole_sets(processes: &mut Processes<'_>, report: &mut Report) {
    let sets: IndexMap<String, String> = processes
        .iter()
        .flat_map(|(name, process)| {
            (0..process.replicas).map(move |k| (replica_name(name, k, process.replicas), name.clone()))
        })
        .collect();
    let known: BTreeSet<String> = processes.keys().cloned().collect();
    for process in processes.values_mut() {
        let path = process.fields.at("depends_on");
        let needs = std::mem::take(&mut process.needs);
        for (name, condition) in needs {
            let whole = sets.get(&name).filter(|_| !known.contains(&name));
            if whole.is_some() {
                let field = format!("{path}.{name}");
                report.loss.push(&field, "a need cannot name one replica", "all replicas are waited for");
            }
            process.needs.entry(whole.cloned().unwrap_or(name)).or_insert(condition);
        }
    }
}

fn check_needs(processes: &Processes<'_>, project: &Project, report: &mut Report) {
    let has = |name: &str, key: &str| project.processes[name].value.get(key).is_some();
    for (name, process) in processes {
        if has(name, "readiness_probe") && has(name, "ready_log_line") {
            report.invalid(&process.fields.at("ready_log_line"), "not beside a `readiness_probe`");
        }
        for (dependency, condition) in &process.needs {
            let field = process.fields.at(&format!("depends_on.{dependency}"));
            let Some(other) = processes.get(dependency) else {
                let (process, dependency) = (name.clone(), dependency.clone());
                report.problems.push(ImportProblem::UnknownDependency { process, dependency });
                continue;
            };
            if *condition == Condition::LogReady && !has(dependency, "ready_log_line") {
                report.invalid(&field, format!("`{dependency}` has no `ready_log_line`"));
            }
            let probed = has(dependency, "readiness_probe") || has(dependency, "liveness_probe");
            if *condition == Condition::Healthy && !probed {
                let reason = format!("`{dependency}` has no health check, so process-compose would skip `{name}`");
                report.complain(&field, &reason, "it is waited for until it is alive");
            }
            if other.disabled && !process.disabled && report.strict {
                report.complain(&field, &format!("`{dependency}` is disabled"), "");
            }
        }
    }
}

fn cycle(processes: &Processes<'_>) -> Option<Vec<String>> {
    fn visit(processes: &Processes<'_>, name: &str, open: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        open.push(name.to_owned());
        for dependency in processes.get(name).into_iter().flat_map(|process| process.needs.keys()) {
            if let Some(at) = open.iter().position(|other| other == dependency) {
                open.drain(..at);
                open.push(dependency.clone());
                return true;
            }
            if !done.contains(dependency) && visit(processes, dependency, open, done) {
                return true;
            }
        }
        open.pop();
        done.insert(name.to_owned());
        false
    }
    let mut done = BTreeSet::new();
    processes.keys().find_map(|name| {
        let mut open = Vec::new();
        (!done.contains(name) && visit(processes, name, &mut open, &mut done)).then_some(open)
    })
}

/// Takes out what is in none of the selected namespaces, then disables what was not asked for by name.
pub(super) fn apply(processes: &mut Processes<'_>, options: &ImportOptions, report: &mut Report) {
    if !options.namespaces.is_empty() {
        processes.retain(|_, process| process.namespaces.iter().any(|name| options.namespaces.contains(name)));
        let left: BTreeSet<String> = processes.keys().cloned().collect();
        for process in processes.values_mut() {
            let path = process.fields.at("depends_on");
            process.needs.retain(|name, _| {
                let stays = left.contains(name);
                if !stays {
                    let reason = "it is in none of the selected namespaces";
                    report.loss.push(&format!("{path}.{name}"), reason, "it is not waited for");
                }
                stays
            });
        }
    }
    if !options.processes.is_empty() {
        by_name(processes, options, report);
    }
    drop_disabled_needs(processes, report);
}

fn by_name(processes: &mut Processes<'_>, options: &ImportOptions, report: &mut Report) {
    let mut wanted = Vec::new();
    for asked in &options.processes {
        let whole = processes.iter().find(|(name, process)| {
            *name == asked || (0..process.replicas).any(|k| replica_name(name, k, process.replicas) == *asked)
        });
        match whole {
            Some((name, _)) => {
                if name != asked {
                    report.loss.push(asked, "one replica cannot be started alone", "all replicas are started");
                }
                wanted.push(name.clone());
            }
            None => report.problems.push(ImportProblem::NoSuchProcess { name: asked.clone() }),
        }
    }
    if options.no_deps {
        for name in &wanted {
            processes[name.as_str()].needs.clear();
        }
    }
    let mut selected = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if let Some(process) = processes.get(&name)
            && selected.insert(name)
        {
            wanted.extend(process.needs.keys().cloned());
        }
    }
    for (name, process) in processes {
        process.disabled = process.foreground || !selected.contains(name);
    }
}

/// process-compose does not wait for a process that is disabled; a need would start it.
fn drop_disabled_needs(processes: &mut Processes<'_>, report: &mut Report) {
    let idle = |process: &Process<'_>| process.disabled || process.foreground;
    let disabled: BTreeSet<String> =
        processes.iter().filter(|(_, process)| idle(process)).map(|(name, _)| name.clone()).collect();
    for process in processes.values_mut().filter(|process| !idle(process)) {
        let path = process.fields.at("depends_on");
        process.needs.retain(|name, _| {
            let stays = !disabled.contains(name);
            if !stays {
                let reason = "it is disabled, and process-compose does not wait for it then";
                report.loss.push(&format!("{path}.{name}"), reason, "it is neither started nor waited for");
            }
            stays
        });
    }
}

/// Whether a field of a map says yes.
pub(super) fn says_yes(map: &Map, key: &str) -> bool {
    map.get(key).and_then(|entry| node_flag(&entry.value)) == Some(true)
}
