//! Other people's files as a document in the language of `muster.yaml`.
//!
//! A compose project (`compose`), a process-compose file (as of 1.122) or a `Procfile` is read as its own tool reads it, translated, and handed back as
//! a document with a [`LossReport`]: whatever the document cannot say stands there with the reason and what is done
//! instead. What the other tool itself refuses is an [`ImportProblem`]. `version` of a process-compose file is the one
//! field that is neither kept nor reported: it names the language, which has been read by then.
//!
//! Every text of the document is escaped (`$$`), so that nothing is interpolated a second time. Relative paths in it
//! start at [`Imported::root`].
//!
//! # Where a run differs from process-compose
//! | process-compose | here | why |
//! |---|---|---|
//! | `process1-0`, `process1-1` | `process1#1`, `process1#2` | one name for replicas everywhere; PC_REPLICA_NUM still counts from 0 |
//! | ends with 0 when processes failed or were skipped | `up` ends with 1 | exit codes tell the truth |
//! | waits for ever when nothing is selected | ends with 0 | a command that hangs helps nobody |
//! | lines of log files have a time | they have none | it stands in `muster logs` |
//! | without `ordered_shutdown` all are stopped at once | always dependents first | one order that is safe for both |
//! | no KILL without `timeout_seconds` | KILL after 10 s | a stop that never ends helps nobody |
//! | a failing readiness probe stops the process | it is shown as not ready | a probe does not decide about life here; `live` does |
//! | `process start X` starts X alone when its needs are disabled | its needs come along | selecting selects what is needed; the command line can say otherwise |
//! | `--no-deps` with an unknown name disables everything | `import::no_such_process` | as without `--no-deps` |
//! | a later file's `environment` loses entries with a second `=` | they are kept | it is an error of the merge there |
//! | `${X:?text}` and `${X:+text}` mean `${X:-text}` | the same | the file was written against that |
//! | the dependent of an unprobed `process_healthy` is skipped | it waits until that is alive | reported; strict mode refuses both |
//! | a namespace may be named like a process | its group or profile gets an ending | one word selects one thing; `Attached::namespaces` tells |
//! | `environment` must be a list | a map is read as well | harmless |

mod compose;
mod document;
mod dotenv;
mod environ;
mod expand;
mod fields;
mod gotemplate;
mod loss;
mod merge;
mod probes;
mod problem;
mod procfile;
mod project;
mod select;
mod translate;
mod write;
mod yaml;

#[cfg(test)]
mod expected_tests;
#[cfg(test)]
mod translate_tests;

pub use crate::files::SourceFile;
pub use compose::{import_compose, is_compose};
pub use document::import_process_compose;
pub use loss::{Loss, LossReport};
pub use problem::ImportProblem;
pub use procfile::import_procfile;
pub use write::to_yaml;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Whose language a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// process-compose: a map with `processes`.
    ProcessCompose,
    /// A Procfile, by its name: `Procfile`, `Procfile.dev`.
    Procfile,
}

impl Foreign {
    /// Whose file this is; none if it is in neither language.
    #[must_use]
    pub fn of(file: &SourceFile) -> Option<Self> {
        let name = file.path.file_name()?.to_str()?;
        if name == "Procfile" || name.starts_with("Procfile.") {
            return Some(Self::Procfile);
        }
        let processes = |line: &str| {
            line.trim_end().strip_suffix(':').is_some_and(|key| key.trim_matches(['"', '\'']) == "processes")
        };
        let only_extends = || name.starts_with("process-compose");
        (file.text.lines().any(|line| processes(line) || line.starts_with("processes:")) || only_extends())
            .then_some(Self::ProcessCompose)
    }
}

/// Reads further files: `.env`, `env_file`, `extends`. Gets absolute paths if `project_dir` is absolute.
pub type ReadText<'a> = dyn Fn(&Path) -> std::io::Result<String> + 'a;

/// How and what is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// The folder in which the other tool would run: relative paths count from here.
    pub project_dir: PathBuf,
    /// `-n`: only processes in one of these namespaces; none means all.
    pub namespaces: Vec<String>,
    /// Only these processes and what they need are started; none means all.
    pub processes: Vec<String>,
    /// The named processes are started without what they need.
    pub no_deps: bool,
    /// The caller's environment.
    pub env: BTreeMap<String, String>,
    /// Files of variables, relative to `project_dir`; one that is missing ends the list.
    pub env_files: Vec<PathBuf>,
    /// What the other tool only complains of is a problem.
    pub strict: bool,
}

impl Default for ImportOptions {
    /// The current folder, everything, `.env`.
    fn default() -> Self {
        Self {
            project_dir: PathBuf::from("."),
            namespaces: Vec::new(),
            processes: Vec::new(),
            no_deps: false,
            env: BTreeMap::new(),
            env_files: vec![PathBuf::from(".env")],
            strict: false,
        }
    }
}

/// What the exit code of an attached run of the imported file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitRule {
    /// That of the service with `on_failure: end` or `on_exit: end` that ended the run, or 0 if its end counts as
    /// success. Where none ended it, no service's code is passed on: 1 if something failed, else 0.
    OnlyOfTheOneThatEnds,
}

/// Facts about the source that no document can carry but a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The source asked for strictness, or the caller did.
    pub strict: bool,
    /// What the run's exit code is.
    pub exit: ExitRule,
    /// Nothing is left to run after the selection: the other tool then waits until it is told to end.
    pub empty: bool,
    /// Names that could not be kept: old to new.
    pub renamed: IndexMap<String, String>,
    /// For each namespace the group or profile of the document that selects its services.
    pub namespaces: IndexMap<String, String>,
}

/// An imported file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// In the language of `muster.yaml`, maps in order.
    pub document: serde_json::Value,
    /// The folder from which relative paths in the document count.
    pub root: PathBuf,
    /// What was not kept.
    pub loss: LossReport,
    /// Facts for the run.
    pub attached: Attached,
}

/// Names in the document for names in the source.
#[derive(Debug, Default)]
pub(crate) struct Names(IndexMap<String, String>);

impl Names {
    /// Finds a name for each; those that cannot be kept are reported.
    fn new<'a>(kind: &str, names: impl Iterator<Item = &'a str>, loss: &mut LossReport) -> Self {
        let mut map: IndexMap<String, String> = IndexMap::new();
        for name in names {
            let mut new = valid_name(name);
            let mut number = 2;
            while map.values().any(|other| *other == new) {
                new = format!("{}-{number}", valid_name(name));
                number += 1;
            }
            if new != name {
                loss.push(&format!("{kind}.{name}"), "the name cannot be kept", &format!("it is named `{new}`"));
            }
            map.insert(name.to_owned(), new);
        }
        Self(map)
    }

    /// The name in the document.
    fn of(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn renamed(&self) -> IndexMap<String, String> {
        self.0.iter().filter(|(old, new)| old != new).map(|(old, new)| (old.clone(), new.clone())).collect()
    }
}

/// The longest part of a changed name that is kept, so that a number still fits.
const MAX_CHANGED: usize = 56;

fn valid_name(name: &str) -> String {
    if muster_spec::ServiceName::new(name).is_ok() {
        return name.to_owned();
    }
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let safe: String = name.chars().map(safe).take(MAX_CHANGED).collect();
    let starts_well = safe.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && safe != "all" { safe } else { format!("p-{safe}") }
}

/// The name of a stack: the one given, else the folder's.
fn stack_name(given: Option<&str>, folder: &Path) -> String {
    let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = given.map_or(folder, str::to_owned);
    if name.is_empty() { "stack".to_owned() } else { valid_name(&name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let of = |path: &str, text: &str| Foreign::of(&SourceFile { path: path.into(), text: text.into() });
        assert_eq!(of("a/Procfile.dev", ""), Some(Foreign::Procfile));
        assert_eq!(of("x.yaml", "version: '1'\nprocesses:\n  a: {}\n"), Some(Foreign::ProcessCompose));
        assert_eq!(of("x.yaml", "services:\n  processes:\n"), None);
        assert_eq!(of("process-compose.dev.yaml", "extends: x.yaml\n"), Some(Foreign::ProcessCompose));
    }

    #[test]
    fn names_stay_apart() {
        let mut loss = LossReport::default();
        let names = Names::new("processes", ["a b", "a-b", "all", "_x", "ok"].into_iter(), &mut loss);
        let found: Vec<_> = ["a b", "a-b", "all", "_x", "ok"].map(|name| names.of(name)).into();
        assert_eq!(found, ["a-b", "a-b-2", "p-all", "p-_x", "ok"]);
        assert_eq!(loss.entries.len(), 4);
        assert_eq!(stack_name(None, Path::new("/")), "stack");
    }
}
