//! Where the workspace lies, what it consists of, and how commands are run in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The part of `cargo metadata --no-deps` that the tasks need.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    /// The members.
    pub(crate) packages: Vec<Package>,
    /// The folder of the root manifest.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Cargo's target folder, wherever it was put.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
}

/// A member of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as declared.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; none for a normal one.
    pub(crate) kind: Option<String>,
}

impl Workspace {
    /// Asks cargo for the workspace around the current folder.
    pub(crate) fn find() -> Result<Self> {
        let json = output(cargo_command().args(["metadata", "--format-version", "1", "--no-deps"]))?;
        serde_json::from_str(&json).context("`cargo metadata` printed something unexpected")
    }

    /// A cargo command that starts at the root.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo_command();
        command.current_dir(&self.root).arg(subcommand);
        command
    }

    /// A folder for what the tasks keep between runs.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        let folder = self.target.join("xtask");
        std::fs::create_dir_all(&folder).with_context(|| format!("creating `{}`", folder.display()))?;
        Ok(folder)
    }

    /// Every file that is or could be committed, relative to the root, in order.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut git = Command::new("git");
        git.current_dir(&self.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let mut files: Vec<PathBuf> = output(&mut git)?.split_terminator('\0').map(PathBuf::from).collect();
        files.retain(|file| self.root.join(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// The cargo that runs this program, without what `cargo run` adds to the environment: build scripts that watch those
/// variables would otherwise run again each time the caller changes.
fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// Runs a command with our terminal; an exit that is not success is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("starting `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output; standard error goes to our terminal.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("starting `{}`", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", shown(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print UTF-8", shown(command)))
}

/// True where the command can be started and succeeds; silent.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Whether nobody watches: what is missing is installed, and nothing may be skipped.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// The first executable of that name on PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Puts a copy of a program in place in one step. Writing into the old file would change whatever cargo has hard-linked
/// to it, and fails while it runs.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file has a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating `{}`", folder.display()))?;
    let temporary = to.with_extension(format!("new-{}", std::process::id()));
    std::fs::copy(from, &temporary)
        .and_then(|_| std::fs::rename(&temporary, to))
        .with_context(|| format!("copying `{}` to `{}`", from.display(), to.display()))
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}
