//! One process of process-compose as one service of the document.

use super::environ::Environ;
use super::fields::{Fields, Report};
use super::gotemplate::{self, REPLICA, escape};
use super::probes::{self, Shell};
use super::project::clean;
use super::select::{Condition, Process};
use crate::tree::{Map, Node};
use muster_spec::Signal;
use serde_json::{Map as Object, Value, json};
use std::path::Path;

/// Key of the document that names a script's shell.
const INTERPRETER: &str = "interpreter";

/// What all processes share.
pub(super) struct Shared<'a> {
    /// The shell of commands.
    pub(super) shell: Shell,
    /// Words before the command of an elevated process.
    pub(super) elevated: [String; 2],
    /// Variables of templates.
    pub(super) vars: &'a Map,
    /// Environment of all processes.
    pub(super) environ: &'a Environ<'a>,
    /// A log file for processes without one of their own.
    pub(super) log_file: Option<String>,
    /// Processes that somebody waits for the end of.
    pub(super) awaited: std::collections::BTreeSet<String>,
    /// Names in the document, where they differ.
    pub(super) names: &'a super::Names,
    /// Groups by first namespace; the default one has none.
    pub(super) groups: &'a indexmap::IndexMap<String, String>,
}

/// Renders templates in a process's fields.
pub(super) struct Renderer<'a> {
    vars: Vec<&'a Map>,
}

impl Renderer<'_> {
    /// The text as it is written in the document.
    pub(super) fn text(&self, field: &str, text: &str, report: &mut Report) -> String {
        let Ok(rendered) = gotemplate::render(text, &self.vars) else {
            report.invalid(field, "a `{{` without its `}}`");
            return String::new();
        };
        for action in rendered.kept {
            let reason = format!("`{{{{ {action} }}}}` is a template action that is not understood");
            report.loss.push(field, &reason, "it stays in the text as it is");
        }
        for name in rendered.unset {
            report.loss.push(
                field,
                &format!("the variable `{name}` is not set"),
                "`<no value>` stands there, as Go renders it",
            );
        }
        rendered.text
    }
}

/// Translates a process.
pub(super) fn service(name: &str, process: Process<'_>, shared: &Shared<'_>, report: &mut Report) -> Value {
    let Process { mut fields, disabled, foreground, needs, namespaces, replicas } = process;
    let own_vars = fields.map("vars", report);
    let render = Renderer { vars: own_vars.into_iter().chain([shared.vars]).collect() };
    let mut out = Object::new();
    if let Some(text) = fields.text("description", report) {
        out.insert("description".to_owned(), json!(render.text(&fields.at("description"), &text, report)));
    }
    if let Some(group) = shared.groups.get(&namespaces[0]) {
        out.insert("group".to_owned(), json!(escape(group)));
    }
    if shared.awaited.contains(name) {
        out.insert("job".to_owned(), json!(true));
    }
    out.insert("process".to_owned(), command(&mut fields, &render, shared, report));
    let cwd = fields.text("working_dir", report);
    if let Some(folder) = &cwd {
        out.insert("cwd".to_owned(), json!(render.text(&fields.at("working_dir"), folder, report)));
    }
    out.insert("inherit".to_owned(), json!(true));
    let env = shared.environ.of(name, &mut fields, &render, report);
    out.insert("env".to_owned(), Value::Object(env));
    if !needs.is_empty() {
        let needs = needs.iter().map(|(name, condition)| (shared.names.of(name), need(*condition)));
        out.insert("needs".to_owned(), Value::Object(needs.collect()));
    }
    readiness(&mut fields, &render, shared, &mut out, report);
    availability(&mut fields, &mut out, report);
    stop(&mut fields, shared, &mut out, report);
    logs(&mut fields, &render, shared, &mut out, report);
    if let Some(rules) = watch(&mut fields, cwd.as_deref(), report) {
        out.insert("watch".to_owned(), rules);
    }
    if replicas > 1 {
        out.insert("replicas".to_owned(), json!(replicas));
        let reason = format!("replicas are named `{name}#1` to `{name}#{replicas}` here");
        report.loss.push(&fields.at("replicas"), &reason, "PC_REPLICA_NUM counts from 0, as there");
    }
    let tty = fields.flag("is_tty", report) | fields.flag("is_interactive", report);
    if tty {
        out.insert("tty".to_owned(), json!(true));
    }
    let scheduled = lose_rest(&mut fields, foreground, report);
    if disabled || foreground || scheduled {
        out.insert("autostart".to_owned(), json!(false));
    }
    fields.finish(report);
    Value::Object(out)
}

fn need(condition: Condition) -> Value {
    let until = match condition {
        Condition::Completed => "exited",
        Condition::Succeeded => "done",
        Condition::Healthy | Condition::LogReady => "ready",
        Condition::Started => "started",
    };
    // a dependent there waits before its first start only
    json!({ "until": until, "restart": "ignore" })
}

fn command(fields: &mut Fields<'_>, render: &Renderer<'_>, shared: &Shared<'_>, report: &mut Report) -> Value {
    let script = fields.text("command", report);
    let entrypoint = fields.list("entrypoint", report);
    let elevated = fields.flag("is_elevated", report);
    let raw = fields.flag("is_template_disabled", report);
    if elevated {
        let reason = "a password cannot be typed in";
        report.loss.push(
            &fields.at("is_elevated"),
            reason,
            "the command is run through the same program, which must not ask",
        );
    }
    if script.is_some() && !entrypoint.is_empty() {
        report.loss.push(&fields.at("entrypoint"), "`command` is set as well", "`command` is used, as there");
    }
    fields.lose(
        &[("args", "process-compose replaces it by what `command` or `entrypoint` says", "it is left out")],
        report,
    );
    let Shell { program, argument } = &shared.shell;
    match script {
        Some(script) => {
            let field = fields.at("command");
            let script = if raw { escape(&script) } else { render.text(&field, &script, report) };
            let [sudo, flag] = &shared.elevated;
            let script = if elevated { format!("{} {} {script}", escape(sudo), escape(flag)) } else { script };
            json!({ "shell": script, INTERPRETER: [escape(program), escape(argument)] })
        }
        None if entrypoint.is_empty() => json!({ "command": [escape(program)] }),
        None => {
            let mut entrypoint = entrypoint;
            let cwd = fields.node("working_dir").and_then(Node::as_text).unwrap_or_default();
            if entrypoint[0].contains('/') && !cwd.is_empty() {
                // a relative program starts at the process's folder there, at the file's folder here
                let program = clean(&Path::new(cwd).join(&entrypoint[0])).to_string_lossy().into_owned();
                entrypoint[0] = if program.contains('/') { program } else { format!("./{program}") };
            }
            let before = if elevated { shared.elevated.as_slice() } else { &[] };
            let words: Vec<String> = before.iter().chain(&entrypoint).map(|word| escape(word)).collect();
            json!({ "command": words })
        }
    }
}

fn readiness(
    fields: &mut Fields<'_>,
    render: &Renderer<'_>,
    shared: &Shared<'_>,
    out: &mut Object<String, Value>,
    report: &mut Report,
) {
    if let Some(map) = fields.map("readiness_probe", report) {
        let path = fields.at("readiness_probe");
        if let Some(probe) = probes::probe(Fields::new(&path, map), render, &shared.shell, report) {
            out.insert("ready".to_owned(), probe);
            let reason = "process-compose stops a process whose readiness fails for good";
            report.loss.push(&path, reason, "it runs on and is shown as not ready");
        }
    }
    if let Some(line) = fields.text("ready_log_line", report) {
        out.insert("ready".to_owned(), json!({ "log": escape(&regex::escape(&line)) }));
    }
    if let Some(map) = fields.map("liveness_probe", report) {
        let path = fields.at("liveness_probe");
        if let Some(probe) = probes::probe(Fields::new(&path, map), render, &shared.shell, report) {
            out.insert("live".to_owned(), probe);
            // process-compose only notes it, unless the process is a daemon
            out.insert("unhealthy".to_owned(), json!("ignore"));
        }
    }
}

fn availability(fields: &mut Fields<'_>, out: &mut Object<String, Value>, report: &mut Report) {
    let empty = Map::new();
    let map = fields.map("availability", report).unwrap_or(&empty);
    let mut policy = Fields::new(fields.at("availability"), map);
    let backoff = policy.number("backoff_seconds", report).max(1);
    let max = policy.number("max_restarts", report);
    let on = match policy.text("restart", report).as_deref() {
        Some("always") => "always",
        Some("on_failure") => "failure",
        Some("exit_on_failure") => {
            out.insert("on_failure".to_owned(), json!("end"));
            "never"
        }
        Some("no") | None => "never",
        Some(other) => {
            report.invalid(&policy.at("restart"), format!("`{other}` is not a restart policy"));
            "never"
        }
    };
    let restart = if on == "never" {
        json!("never")
    } else {
        let mut restart = json!({ "on": on, "backoff": format!("{backoff}s"), "limit": "none" });
        if max > 0 {
            restart["max"] = json!(max);
        }
        restart
    };
    out.insert("restart".to_owned(), restart);
    if policy.flag("exit_on_end", report) {
        out.insert("on_exit".to_owned(), json!("end"));
    }
    policy.lose(
        &[("exit_on_skipped", "a service that is never started has no end", "the other services run on")],
        report,
    );
    policy.finish(report);
    let mut success = vec![0];
    for text in fields.list("success_exit_codes", report) {
        match text.parse::<i32>() {
            Ok(code) if (0..=255).contains(&code) && !success.contains(&code) => success.push(code),
            Ok(0..=255) => {}
            Ok(_) | Err(_) => {
                let field = fields.at("success_exit_codes");
                report.complain(&field, &format!("`{text}` is not an exit code from 0 to 255"), "it is left out");
            }
        }
    }
    if success.len() > 1 {
        out.insert("success".to_owned(), json!(success));
    }
}

fn stop(fields: &mut Fields<'_>, shared: &Shared<'_>, out: &mut Object<String, Value>, report: &mut Report) {
    let path = fields.at("shutdown");
    let empty = Map::new();
    let mut stop = Fields::new(&path, fields.map("shutdown", report).unwrap_or(&empty));
    let mut found = Object::new();
    let seconds = stop.number("timeout_seconds", report);
    match stop.number("signal", report) {
        0 => {}
        number => match i32::try_from(number).ok().and_then(|number| Signal::from_number(number).ok()) {
            Some(signal) => {
                found.insert("signal".to_owned(), json!(signal.to_string()));
            }
            None => {
                let reason = format!("{number} is not a signal from 1 to 31");
                report.loss.push(&stop.at("signal"), &reason, "TERM is sent");
            }
        },
    }
    if stop.flag("parent_only", report) {
        found.insert("to".to_owned(), json!("main"));
    }
    let command = stop.text("command", report);
    if let Some(command) = &command {
        found.insert("command".to_owned(), shared.shell.words(&escape(command)));
    }
    let reason = "keys cannot be sent to a terminal";
    stop.lose(&[("send_keys", reason, "the signal is sent at once")], report);
    stop.finish(report);
    if seconds > 0 {
        found.insert("grace".to_owned(), json!(format!("{seconds}s")));
    } else if command.is_some() {
        found.insert("grace".to_owned(), json!("10s"));
    } else {
        let reason = "process-compose waits without end for a process that has no `timeout_seconds`";
        report.loss.push("processes.*.shutdown.timeout_seconds", reason, "KILL follows after 10s");
    }
    if !found.is_empty() {
        out.insert("stop".to_owned(), Value::Object(found));
    }
}

fn logs(
    fields: &mut Fields<'_>,
    render: &Renderer<'_>,
    shared: &Shared<'_>,
    out: &mut Object<String, Value>,
    report: &mut Report,
) {
    let field = fields.at("log_location");
    let own = fields.text("log_location", report);
    let file = match &own {
        Some(file) => Some(render.text(&field, &file.replace("{PC_REPLICA_NUM}", "{{.PC_REPLICA_NUM}}"), report)),
        None => shared.log_file.clone(),
    };
    let Some(mut file) = file else { return };
    let field = if own.is_some() { field } else { "log_location".to_owned() };
    if file.contains(REPLICA) {
        report.loss.push(&field, "a log file cannot be named by its replica", "all replicas share one file");
        file = file.replace(REPLICA, "all");
    }
    report.loss.push(&field, "the time of a line is not written to a file", "it stands in `muster logs`");
    out.insert("logs".to_owned(), json!({ "file": file }));
}

fn watch(fields: &mut Fields<'_>, cwd: Option<&str>, report: &mut Report) -> Option<Value> {
    let map = fields.map("watch", report)?;
    let mut watch = Fields::new(fields.at("watch"), map);
    watch.lose(
        &[
            ("cascade", "dependents cannot be restarted by a watch", "only the process itself is restarted"),
            ("debounce", "the wait for a quiet moment is not adjustable", "the built-in wait is used"),
            ("max_entries", "there is no such bound", "it is left out"),
            ("buffer_size", "it is for Windows", "it is left out"),
            (
                "disable_default_excludes",
                "the built-in list of what does not count is not known here",
                "name it in `ignore`",
            ),
        ],
        report,
    );
    let paths = watch.node("paths").and_then(Node::as_list).unwrap_or_default();
    let mut rules = Vec::new();
    for (index, item) in paths.iter().enumerate() {
        let Some(map) = item.as_map() else {
            report.invalid(&watch.at("paths"), "each must be a map with `path`");
            continue;
        };
        let mut path = Fields::new(format!("{}.{index}", watch.at("paths")), map);
        let root = path.text("path", report).unwrap_or_default();
        let root = clean(&Path::new(cwd.unwrap_or_default()).join(root));
        let root = escape(&root.to_string_lossy());
        let include = path.list("include", report);
        let globs = |patterns: &[String]| -> Vec<String> {
            let deep = |pattern: &String| if pattern.contains('/') { "" } else { "**/" };
            patterns.iter().map(|pattern| format!("{root}/{}{}", deep(pattern), escape(pattern))).collect()
        };
        let all = if include.is_empty() { vec![format!("{root}/**")] } else { globs(&include) };
        let exclude = path.list("exclude", report);
        path.finish(report);
        rules.push(json!({ "paths": all, "ignore": globs(&exclude), "do": "restart" }));
    }
    watch.finish(report);
    (!rules.is_empty()).then_some(Value::Array(rules))
}

/// Reports what has no counterpart; true when the process only ran by a schedule.
fn lose_rest(fields: &mut Fields<'_>, foreground: bool, report: &mut Report) -> bool {
    let left = "it is left out";
    if foreground {
        let reason = "a process cannot take over the terminal";
        report.loss.push(&fields.at("is_foreground"), reason, "it is not started by itself, as there");
    }
    fields.lose(
        &[
            (
                "is_daemon",
                "a command that leaves a daemon behind is not told apart",
                "its end counts as the end of the service",
            ),
            ("launch_timeout_seconds", "it only counts for daemons", left),
            ("disable_ansi_colors", "output is kept as it is written", left),
            (
                "log_configuration",
                "log files are not rotated or formatted",
                "lines stand there as JSON, without a time",
            ),
            ("truncate_log", "a log file is appended to", left),
            ("monitor_for", "there is nothing that tells of activity", left),
            ("monitor_silence_threshold", "there is nothing that tells of silence", left),
            ("name", "the key of the map is the name", left),
            ("original_config", "a field of process-compose itself", left),
            ("replica_num", "a field of process-compose itself", left),
            ("replica_name", "a field of process-compose itself", left),
            ("executable", "a field of process-compose itself", left),
        ],
        report,
    );
    let Some(map) = fields.map("schedule", report) else { return false };
    let at_start = super::select::says_yes(map, "run_on_start");
    let instead = if at_start { "it is started once, at the start" } else { "it is not started by itself" };
    report.loss.push(&fields.at("schedule"), "there are no schedules", instead);
    !at_start
}
