//! Where texts come from: everything outside is behind [`Files`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A file and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it was read: absolute, but of what an importer was given.
    pub path: PathBuf,
    /// What is in it, as UTF-8.
    pub text: String,
}

/// What there is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file, or something that can be read as one.
    File,
    /// A folder.
    Folder,
}

/// What loading asks of the machine.
pub trait Files {
    /// The bytes of a file; `-` is the standard input.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What is at a path; nothing when it is not there or cannot be seen.
    fn find(&self, path: &Path) -> Option<Found>;

    /// An absolute path with the first symbolic link on its way resolved.
    fn follow(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes)?;
            return Ok(bytes);
        }
        std::fs::read(path)
    }

    fn find(&self, path: &Path) -> Option<Found> {
        let about = std::fs::metadata(path).ok()?;
        Some(if about.is_dir() { Found::Folder } else { Found::File })
    }

    fn follow(&self, path: &Path) -> PathBuf {
        let is_link = |path: &&Path| std::fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
        let Some(link) = path.ancestors().collect::<Vec<_>>().into_iter().rev().find(is_link) else {
            return path.to_path_buf();
        };
        match (std::fs::canonicalize(link), path.strip_prefix(link)) {
            (Ok(target), Ok(rest)) if rest.as_os_str().is_empty() => target,
            (Ok(target), Ok(rest)) => target.join(rest),
            (_, _) => path.to_path_buf(),
        }
    }
}

/// Files in memory, for tests and previews; a folder is what a file lies under, `-` the standard input.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Bytes by absolute path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Memory {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(&clean(path)).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn find(&self, path: &Path) -> Option<Found> {
        let path = clean(path);
        if self.files.contains_key(&path) {
            return Some(Found::File);
        }
        self.files.keys().any(|file| file.starts_with(&path)).then_some(Found::Folder)
    }
}

/// Removes `.` and `..` without asking the system; nothing is left of `.` alone but `.` itself.
#[must_use]
pub fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => {
                    out.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                Some(Component::ParentDir | Component::CurDir) | None => out.push(".."),
            },
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => out.push(part),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

/// The path itself if it is absolute, else below a folder; cleaned.
#[must_use]
pub fn join(folder: &Path, path: &str) -> PathBuf {
    clean(&folder.join(path))
}
