//! The environment that process-compose gives to a process.

use super::fields::{Fields, Report};
use super::gotemplate::{REPLICA, escape};
use super::merge::assignments;
use super::project::clean;
use super::translate::Renderer;
use super::{ImportOptions, ReadText, dotenv};
use crate::tree::{Map, Node};
use indexmap::IndexMap;
use serde_json::{Map as Object, Value, json};
use std::path::Path;

/// Shared parts, lowest precedence first: `.env`, then the caller's, then `environment`, then `env_cmds`.
pub(super) struct Environ<'a> {
    options: &'a ImportOptions,
    read: &'a ReadText<'a>,
    dotenv: &'a dotenv::Variables,
    global: IndexMap<String, String>,
    commands: Vec<String>,
}

impl<'a> Environ<'a> {
    /// Reads the project's parts.
    pub(super) fn new(
        fields: &mut Fields<'_>,
        dotenv: &'a dotenv::Variables,
        options: &'a ImportOptions,
        read: &'a ReadText<'a>,
        report: &mut Report,
    ) -> Self {
        let path = fields.at("environment");
        let global = fields.node("environment").map(|node| pairs(&path, node, report)).unwrap_or_default();
        let commands = fields.map("env_cmds", report).map(|map| map.keys().cloned().collect()).unwrap_or_default();
        Self { options, read, dotenv, global, commands }
    }

    /// What is written for a process; the caller's own variables come in by `inherit`.
    pub(super) fn of(
        &self,
        name: &str,
        fields: &mut Fields<'_>,
        render: &Renderer<'_>,
        report: &mut Report,
    ) -> Object<String, Value> {
        let mut out = Object::new();
        let callers = |key: &str| self.options.env.contains_key(key);
        out.insert("PC_PROC_NAME".to_owned(), json!(escape(name)));
        out.insert("PC_REPLICA_NUM".to_owned(), json!(REPLICA));
        if !fields.flag("is_dotenv_disabled", report) {
            let missing = self.dotenv.iter().filter(|(key, _)| !callers(key));
            out.extend(missing.map(|(key, value)| (key.clone(), json!(escape(value)))));
        }
        out.extend(self.global.iter().map(|(key, value)| (key.clone(), json!(escape(value)))));
        out.extend(self.commands.iter().map(|key| (key.clone(), json!(format!("${{{key}}}")))));
        if let Some(file) = fields.text("env_file", report) {
            let cwd = fields.node("working_dir").and_then(Node::as_text).unwrap_or_default();
            let file = Path::new(cwd).join(file);
            self.file(&fields.at("env_file"), &file, &mut out, report);
        }
        let path = fields.at("environment");
        if let Some(node) = fields.node("environment") {
            for (key, value) in pairs(&path, node, report) {
                let value = render.text(&format!("{path}.{key}"), &value, report);
                out.insert(key, json!(value));
            }
        }
        out
    }

    fn file(&self, field: &str, file: &Path, out: &mut Object<String, Value>, report: &mut Report) {
        let path = clean(&self.options.project_dir.join(file));
        match (self.read)(&path) {
            Ok(text) => {
                let (variables, ignored) = dotenv::parse(&text);
                out.extend(variables.into_iter().map(|(key, value)| (key, json!(escape(&value)))));
                report.loss.push(field, "it was read at the import", "its variables stand in `env`");
                for line in ignored {
                    report.loss.push(field, &format!("`{line}` is no assignment"), "it is left out");
                }
            }
            Err(error) => {
                report.complain(
                    field,
                    &format!("`{}` cannot be read: {error}", file.display()),
                    "it is left out, as there",
                );
            }
        }
    }
}

fn pairs(path: &str, node: &Node, report: &mut Report) -> IndexMap<String, String> {
    let (pairs, bad) = assignments(node);
    for line in bad {
        report.loss.push(path, &format!("`{line}` is not `NAME=value`"), "it is left out");
    }
    pairs.into_iter().collect()
}

/// The document's variables for `env_cmds`.
pub(super) fn command_variables(fields: &mut Fields<'_>, report: &mut Report) -> Object<String, Value> {
    let path = fields.at("env_cmds");
    let empty = Map::new();
    let commands = fields.map("env_cmds", report).unwrap_or(&empty);
    let mut out = Object::new();
    for (name, entry) in commands {
        let reason = "the caller's variable of this name has precedence here";
        let instead = "it is a variable of the stack, taken from the command, and empty when that fails";
        report.loss.push(&format!("{path}.{name}"), reason, instead);
        // the document's `variables` are not interpolated, so nothing is escaped
        let command = entry.value.as_text().unwrap_or_default();
        out.insert(name.clone(), json!({ "from": { "command": command }, "default": "" }));
    }
    out
}
