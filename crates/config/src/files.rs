//! Where texts come from: everything outside is behind [`Host`].

pub use muster_compose::SourceFile;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What the library asks of the machine.
pub trait Host {
    /// The bytes of a file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The standard output of a shell command, for `from: {command: ...}`.
    ///
    /// # Errors
    /// Why there is none, in one line.
    fn run(&self, command: &str, cwd: &Path) -> Result<String, String>;

    /// The path without symbolic links, as far as it exists.
    fn canonical(&self, path: &Path) -> PathBuf {
        normal(path)
    }

    /// Whether there is a file.
    fn is_file(&self, path: &Path) -> bool {
        self.read(path).is_ok()
    }
}

/// The file system and `sh`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Host for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn run(&self, command: &str, cwd: &Path) -> Result<String, String> {
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .current_dir(cwd)
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            return Err(format!("{} {line}", output.status).trim().to_owned());
        }
        String::from_utf8(output.stdout).map_err(|_| "its output is not UTF-8".to_owned())
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| normal(path))
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
}

/// Files and command outputs in memory, for tests and previews.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Bytes by absolute path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Outputs by command; any other command fails.
    pub commands: BTreeMap<String, String>,
}

impl Memory {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Host for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn run(&self, command: &str, _cwd: &Path) -> Result<String, String> {
        self.commands.get(command).cloned().ok_or_else(|| "no such command".to_owned())
    }
}

/// The files that were read, by number.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> u32 {
        self.files.push(SourceFile { path, text });
        u32::try_from(self.files.len() - 1).expect("invariant: fewer files than u32::MAX")
    }

    pub(crate) fn get(&self, id: u32) -> Option<&SourceFile> {
        self.files.get(id as usize)
    }

    pub(crate) fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The folder that a file's relative paths start at.
    pub(crate) fn folder(&self, id: u32) -> &Path {
        self.get(id).and_then(|file| file.path.parent()).unwrap_or(Path::new("/"))
    }
}

/// Removes `.` and `..` without asking the system.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => out.push(part),
        }
    }
    out
}

/// Names of stack files, the first that is there wins.
pub const FILE_NAMES: [&str; 2] = ["muster.yaml", "muster.yml"];

/// The stack file in `cwd` or the nearest folder above it.
#[must_use]
pub fn discover(cwd: &Path, host: &dyn Host) -> Option<PathBuf> {
    cwd.ancestors().find_map(|folder| FILE_NAMES.iter().map(|name| folder.join(name)).find(|path| host.is_file(path)))
}
