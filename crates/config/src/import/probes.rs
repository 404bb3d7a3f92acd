//! Probes of process-compose as probes of the document.

use super::fields::{Fields, Report};
use super::gotemplate::escape;
use super::translate::Renderer;
use crate::tree::Map;
use serde_json::{Map as Object, Value, json};

/// The shell of a project and the argument before a script.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    /// As in `bash`.
    pub(super) program: String,
    /// As in `-c`.
    pub(super) argument: String,
}

impl Shell {
    /// The words of a script in the document.
    pub(super) fn words(&self, script: &str) -> Value {
        json!([escape(&self.program), escape(&self.argument), script])
    }
}

/// Translates a `readiness_probe` or `liveness_probe`.
pub(super) fn probe(
    mut fields: Fields<'_>,
    render: &Renderer<'_>,
    shell: &Shell,
    report: &mut Report,
) -> Option<Value> {
    let mut out = Object::new();
    let exec = fields.map("exec", report);
    let http = fields.map("http_get", report);
    match (exec, http) {
        (Some(exec), http) => {
            if http.is_some() {
                report.loss.push(
                    &fields.at("http_get"),
                    "there is an `exec` as well, which has precedence",
                    "it is left out",
                );
            }
            let exec = self::exec(Fields::new(fields.at("exec"), exec), render, shell, report);
            out.insert("exec".to_owned(), exec);
        }
        (None, Some(http)) => {
            out.insert("http".to_owned(), self::http(Fields::new(fields.at("http_get"), http), render, report));
        }
        (None, None) => {
            report.loss.push(&fields.path, "it has neither `exec` nor `http_get`", "it is left out");
            return None;
        }
    }
    let seconds = |number: i64, default: i64| if number < 1 { default } else { number };
    out.insert("every".to_owned(), json!(format!("{}s", seconds(fields.number("period_seconds", report), 10))));
    out.insert("timeout".to_owned(), json!(format!("{}s", seconds(fields.number("timeout_seconds", report), 1))));
    out.insert("passes".to_owned(), json!(seconds(fields.number("success_threshold", report), 1)));
    out.insert("fails".to_owned(), json!(seconds(fields.number("failure_threshold", report), 3)));
    let delay = fields.number("initial_delay_seconds", report);
    if delay > 0 {
        out.insert("delay".to_owned(), json!(format!("{delay}s")));
    }
    fields.finish(report);
    Some(Value::Object(out))
}

fn exec(mut fields: Fields<'_>, render: &Renderer<'_>, shell: &Shell, report: &mut Report) -> Value {
    let command = fields.text("command", report).unwrap_or_default();
    let command = render.text(&fields.at("command"), &command, report);
    let folder = fields.text("working_dir", report);
    fields.finish(report);
    match folder {
        Some(folder) => shell.words(&format!("cd '{}' && {{ {command}\n}}", escape(&folder.replace('\'', r"'\''")))),
        None => shell.words(&command),
    }
}

fn http(mut fields: Fields<'_>, render: &Renderer<'_>, report: &mut Report) -> Value {
    let mut part = |key: &'static str, default: &str, report: &mut Report| match fields.text(key, report) {
        Some(text) if !text.trim().is_empty() => render.text(&fields.at(key), &text, report),
        Some(_) | None => default.to_owned(),
    };
    let scheme = part("scheme", "http", report);
    let host = part("host", "127.0.0.1", report);
    let path = part("path", "/", report);
    let port = part("port", "", report);
    let valid = port.contains('$') || port.parse::<u16>().is_ok_and(|port| port > 0);
    let port = if valid { format!(":{port}") } else { String::new() };
    let status = match fields.number("status_code", report) {
        code @ 1..400 => code,
        _none_or_not_accepted => 200,
    };
    let headers = fields.map("headers", report).map(texts).unwrap_or_default();
    fields.lose(&[("num_port", "a field of process-compose itself", "`port` is what counts")], report);
    fields.finish(report);
    let mut out = Object::new();
    out.insert("url".to_owned(), json!(format!("{scheme}://{host}{port}{path}")));
    out.insert("status".to_owned(), json!([status.to_string()]));
    if !headers.is_empty() {
        out.insert("headers".to_owned(), Value::Object(headers));
    }
    Value::Object(out)
}

fn texts(map: &Map) -> Object<String, Value> {
    map.iter().map(|(key, entry)| (key.clone(), json!(escape(entry.value.as_text().unwrap_or_default())))).collect()
}
