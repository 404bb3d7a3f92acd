//! A whole process-compose project as one document.

use super::environ::{Environ, command_variables};
use super::fields::{Fields, Report};
use super::gotemplate::escape;
use super::probes::Shell;
use super::project::{self, Project};
use super::select::{self, Condition, DEFAULT_NAMESPACE, Processes};
use super::translate::{Shared, service};
use super::{Attached, ExitRule, ImportOptions, ImportProblem, Imported, Names, ReadText, SourceFile, stack_name};
use crate::tree::Map;
use indexmap::IndexMap;
use serde_json::{Map as Object, Value, json};
use std::collections::BTreeSet;

/// Levels that process-compose knows.
const LOG_LEVELS: [&str; 9] = ["trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled", ""];

/// Imports process-compose files, each laid over those before it.
///
/// # Errors
/// Everything that process-compose refuses and everything that is no such file, as far as it can be told at once.
pub fn import_process_compose(
    files: &[SourceFile],
    options: &ImportOptions,
    read: &ReadText<'_>,
) -> Result<Imported, Vec<ImportProblem>> {
    let mut report = Report::default();
    let project = project::load(files, options, read, &mut report).map_err(|problem| vec![problem])?;
    report.strict = options.strict || select::says_yes(&project.fields, "is_strict");
    let mut processes = select::read(&project, options, &mut report);
    if !report.problems.is_empty() {
        return Err(report.problems);
    }
    select::apply(&mut processes, options, &mut report);
    let names = Names::new("processes", processes.keys().map(String::as_str), &mut report.loss);
    let empty = processes.is_empty();
    let selections = selections(&processes, &names, &mut report);
    let source = Source { options, read, names: &names, selections: &selections };
    let document = document(&project, processes, &source, &mut report);
    if !report.problems.is_empty() {
        return Err(report.problems);
    }
    let attached = Attached {
        strict: report.strict,
        exit: ExitRule::OnlyOfTheOneThatEnds,
        empty,
        renamed: names.renamed(),
        namespaces: selections.words(),
    };
    Ok(Imported { document, root: options.project_dir.clone(), loss: report.loss, attached })
}

struct Source<'a> {
    options: &'a ImportOptions,
    read: &'a ReadText<'a>,
    names: &'a Names,
    selections: &'a Selections,
}

fn document(project: &Project, processes: Processes<'_>, source: &Source<'_>, report: &mut Report) -> Value {
    let selections = source.selections;
    let mut fields = Fields::new("", &project.fields);
    let mut out = Object::new();
    let name = fields.text("name", report);
    out.insert("name".to_owned(), json!(stack_name(name.as_deref(), &source.options.project_dir)));
    let variables = command_variables(&mut fields, report);
    if !variables.is_empty() {
        out.insert("variables".to_owned(), Value::Object(variables));
    }
    let environ = Environ::new(&mut fields, &project.dotenv, source.options, source.read, report);
    let no_vars = Map::new();
    let tui_disabled = fields.flag("is_tui_disabled", report);
    let (shell, elevated) = shell(&mut fields, source.options, tui_disabled, report);
    let shared = Shared {
        shell,
        elevated,
        vars: fields.map("vars", report).unwrap_or(&no_vars),
        environ: &environ,
        log_file: log_file(&mut fields, report),
        awaited: awaited(&processes),
        names: source.names,
        groups: &selections.groups,
    };
    project_losses(&mut fields, report);
    fields.finish(report);
    let mut services = Object::new();
    for (name, process) in processes {
        services.insert(source.names.of(&name), service(&name, process, &shared, report));
    }
    out.insert("services".to_owned(), Value::Object(services));
    if !selections.profiles.is_empty() {
        let profiles = selections.profiles.values().map(|(word, members)| (word.clone(), json!(members)));
        out.insert("profiles".to_owned(), Value::Object(profiles.collect()));
    }
    Value::Object(out)
}

/// Words by namespace.
#[derive(Default)]
struct Selections {
    groups: IndexMap<String, String>,
    /// With the services in them.
    profiles: IndexMap<String, (String, Vec<String>)>,
}

impl Selections {
    /// For each namespace the word that selects all its services.
    fn words(&self) -> IndexMap<String, String> {
        let mut words = self.groups.clone();
        words.extend(self.profiles.iter().map(|(namespace, (word, _))| (namespace.clone(), word.clone())));
        words
    }
}

/// Processes whose end somebody waits for: they should finish.
fn awaited(processes: &Processes<'_>) -> BTreeSet<String> {
    let ends = |condition: Condition| match condition {
        Condition::Completed | Condition::Succeeded => true,
        Condition::Healthy | Condition::Started | Condition::LogReady => false,
    };
    let needs = processes.values().flat_map(|process| process.needs.iter());
    needs.filter(|(_, condition)| ends(**condition)).map(|(name, _)| name.clone()).collect()
}

/// The words that select the processes of each namespace. A service has one group: that of its first namespace. A
/// namespace that is somebody's second is a profile. Words that would name something else as well get an ending.
fn selections(processes: &Processes<'_>, names: &Names, report: &mut Report) -> Selections {
    let mut out = Selections::default();
    let mut used: BTreeSet<String> = processes.keys().map(|name| names.of(name)).chain(["all".to_owned()]).collect();
    let mut word = |namespace: &str, ending: &str, report: &mut Report| {
        let mut word = namespace.to_owned();
        while !used.insert(word.clone()) {
            word.push_str(ending);
        }
        if word != namespace {
            let reason = format!("`{namespace}` also names something else");
            report.loss.push(&format!("namespace {namespace}"), &reason, &format!("it is selected by `{word}`"));
        }
        word
    };
    for namespace in processes.values().flat_map(|process| process.namespaces.iter().skip(1)) {
        if out.profiles.contains_key(namespace) {
            continue;
        }
        let members = processes.iter().filter(|(_, process)| process.namespaces.contains(namespace));
        let members: Vec<String> = members.map(|(name, _)| names.of(name)).collect();
        out.profiles.insert(namespace.clone(), (word(namespace, "-namespace", report), members));
    }
    for process in processes.values() {
        let namespace = &process.namespaces[0];
        if namespace != DEFAULT_NAMESPACE && !out.groups.contains_key(namespace) {
            out.groups.insert(namespace.clone(), word(namespace, "-group", report));
        }
    }
    out
}

fn shell(
    fields: &mut Fields<'_>,
    options: &ImportOptions,
    tui_disabled: bool,
    report: &mut Report,
) -> (Shell, [String; 2]) {
    let default = options.env.get("COMPOSE_SHELL").cloned().unwrap_or_else(|| "bash".to_owned());
    let mut shell = Shell { program: default, argument: "-c".to_owned() };
    let mut elevated = ["sudo".to_owned(), "-S".to_owned()];
    if let Some(map) = fields.map("shell", report) {
        let mut given = Fields::new(fields.at("shell"), map);
        // a shell that is given at all is taken as it is given
        shell.program = given.text("shell_command", report).unwrap_or_default();
        shell.argument = given.text("shell_argument", report).unwrap_or_default();
        let (program, argument) =
            (given.text("elevated_shell_command", report), given.text("elevated_shell_argument", report));
        if let (Some(program), Some(argument)) = (program, argument) {
            elevated = [program, argument];
        }
        if shell.program.is_empty() {
            report.invalid(&given.at("shell_command"), "a shell must be named");
        }
        given.finish(report);
    }
    if tui_disabled {
        elevated[1].clear();
    }
    (shell, elevated)
}

fn log_file(fields: &mut Fields<'_>, report: &mut Report) -> Option<String> {
    let level = fields.text("log_level", report).unwrap_or_default();
    if !LOG_LEVELS.contains(&level.to_ascii_lowercase().as_str()) && level.parse::<i8>().is_err() {
        report.complain("log_level", &format!("`{level}` is not a level"), "it is left out, as there");
    }
    fields.text("log_location", report).map(|file| escape(&file))
}

fn project_losses(fields: &mut Fields<'_>, report: &mut Report) {
    let left = "it is left out";
    let _language = fields.node("version");
    let _done_at_loading = fields.flag("disable_env_expansion", report);
    let _read_before = fields.flag("is_strict", report);
    report.loss.push(
        "exit code",
        "process-compose ends with 0 when processes failed or were skipped",
        "`muster up` ends with 1, unless a process ends the whole: then with that one's code, as there",
    );
    if !fields.flag("ordered_shutdown", report) {
        report.loss.push(
            "ordered_shutdown",
            "it is not set, so all would be stopped at once",
            "dependents are stopped first, always",
        );
    }
    fields.lose(
        &[
            ("log_level", "it is for process-compose's own messages", left),
            ("log_length", "lines are not counted", "logs are kept up to a size"),
            (
                "log_configuration",
                "log files are not rotated or formatted",
                "lines stand there as JSON, without a time",
            ),
            ("log_format", "log files are not formatted", "lines stand there as JSON, without a time"),
            ("mcp_server", "there is no such server in a stack", left),
            ("file_names", "a field of process-compose itself", left),
            ("env_file_names", "a field of process-compose itself", left),
            ("dot_env_vars", "a field of process-compose itself", left),
        ],
        report,
    );
}
