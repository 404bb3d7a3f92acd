//! What every command has at hand: options, folders, the environment it means, the daemon.

use crate::cli::Global;
use crate::failure::Failure;
use crate::term::Terminal;
use muster_api::daemon::{self, Paths};
use muster_api::{Client, exit};
use muster_config::{Disk, Host};
use muster_engine::documents::ErrorDocument;
use muster_spec::{EnvironmentId, EnvironmentName};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct Context {
    /// Options of every command.
    pub(crate) global: Global,
    /// What the terminal can do.
    pub(crate) terminal: Terminal,
}

impl Context {
    /// Standard output, locked.
    pub(crate) fn out(&self) -> std::io::StdoutLock<'static> {
        std::io::stdout().lock()
    }

    /// Writes a text that ends with a newline.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.out();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') && !text.is_empty() {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// One JSON document.
    pub(crate) fn print_json(&self, document: &impl Serialize) -> Result<(), Failure> {
        let mut out = self.out();
        serde_json::to_writer(&mut out, document).map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// The document with `--json`, else the text.
    pub(crate) fn answer<T: Serialize>(&self, document: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.global.json { self.print_json(document) } else { self.print(&text(document)) }
    }

    /// A note on standard error, unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.global.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// What went wrong, on standard error, also with `--quiet`.
    pub(crate) fn complain(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// The folder that the command was called in.
    pub(crate) fn cwd(&self) -> Result<PathBuf, Failure> {
        std::env::current_dir().map_err(|error| Failure::io("the current folder cannot be used", &error))
    }

    /// The stack's first file: the one given, else found upward.
    pub(crate) fn first_file(&self) -> Result<PathBuf, Failure> {
        let cwd = self.cwd()?;
        if let Some(file) = self.global.files.first() {
            return Ok(Disk.canonical(&cwd.join(file)));
        }
        let compose = || crate::compose::discover(&self.global.compose, &cwd).into_iter().next();
        let found = muster_config::discover(&cwd, &Disk).or_else(compose).ok_or_else(|| {
            let message = format!("no `muster.yaml` and no compose file in `{}` or above it", cwd.display());
            let help = "`muster init` writes a first one from what is found here; `--file FILE` names another";
            Failure::new("config::no_file", exit::CONFIG, message, help)
        })?;
        Ok(Disk.canonical(&found))
    }

    /// Whether the stack's first file is a compose project's: by its name or what stands in it, or because it was found as
    /// one.
    pub(crate) fn is_compose(&self, first: &Path) -> bool {
        let ours = first.file_name().is_some_and(|name| muster_config::FILE_NAMES.iter().any(|ours| name == *ours));
        !ours && (self.global.files.is_empty() || crate::files::is_docker_compose(first))
    }

    /// The environment's name that was chosen: `--env`, `MUSTER_ENV`, a compose project's name that the caller gives, or the
    /// worktree's.
    pub(crate) fn chosen_environment(&self, root: &Path, compose: bool) -> Result<Option<EnvironmentName>, Failure> {
        let project = || compose.then(|| self.global.compose.environment()).flatten();
        let Some(text) = self.global.env.clone().filter(|text| !text.is_empty()).or_else(project) else {
            return Ok(muster_config::worktree_name(root, |path| std::fs::read_to_string(path).ok()));
        };
        let wrong = |error| Failure::usage(format!("--env: {error}"), "`muster env list` shows the environments");
        EnvironmentName::new(&text).map(Some).map_err(wrong)
    }

    /// The environment that this command means. Does not read the whole stack, so that it works while a file is wrong, and
    /// where no file has a stack's name it is the one that `up --file` brought up here.
    pub(crate) fn environment(&self) -> Result<EnvironmentId, Failure> {
        let file = match self.first_file() {
            Ok(file) => file,
            Err(missing) => return self.brought_up_here()?.ok_or(missing),
        };
        let root = file.parent().unwrap_or(Path::new("/"));
        let root = if crate::files::is_foreign(&file) { Disk.canonical(&self.cwd()?) } else { root.to_owned() };
        let compose = self.is_compose(&file);
        let name = match self.chosen_environment(&root, compose)? {
            Some(name) => name,
            None if compose => default_environment(Path::new(""))?,
            None => default_environment(&file)?,
        };
        Ok(muster_config::environment_id(&root, &name))
    }

    /// What was brought up in this folder, or in the nearest one above it.
    fn brought_up_here(&self) -> Result<Option<EnvironmentId>, Failure> {
        let paths = Paths::open()?;
        let layout = muster_engine::Paths::new(paths.home, paths.runtime);
        for root in Disk.canonical(&self.cwd()?).ancestors() {
            let name = self.chosen_environment(root, true)?.map_or_else(|| default_environment(Path::new("")), Ok)?;
            let id = muster_config::environment_id(root, &name);
            if layout.record(&id).is_file() {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// A client of the daemon; starts one when none runs.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(daemon::connect(&Paths::open()?, &own_binary()?)?)
    }

    /// Prints a warning to standard error.
    pub(crate) fn warn(&self, document: &ErrorDocument) {
        let word = self.terminal.err_style("warning:", anstyle::AnsiColor::Yellow);
        let help = document.help.as_ref().map(|help| format!("\n  {help}")).unwrap_or_default();
        self.note(&format!("{word} {}{help}", document.message));
    }
}

/// The binary that runs.
pub(crate) fn own_binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::io("the path of this binary is not known", &error))
}

/// `default_environment:` of the file's first level, else `local`.
fn default_environment(file: &Path) -> Result<EnvironmentName, Failure> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("default_environment:"));
    let named = named.map(|rest| rest.split(" #").next().unwrap_or(rest).trim().trim_matches(['"', '\'']));
    let name = named.filter(|name| !name.is_empty()).unwrap_or("local");
    EnvironmentName::new(name).map_err(|error| {
        Failure::new("config::bad_name", exit::CONFIG, format!("default_environment: {error}"), "give it another name")
    })
}
