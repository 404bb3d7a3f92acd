//! Where everything lies.

use super::DaemonError;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Longest name of a socket: `sun_path` holds 108 bytes with the final zero (unix(7)).
pub const SUN_PATH: usize = 107;

/// `/`, eight digits, `/`, twelve digits and `.s`: what a supervisor's socket adds to the folder's name.
const SOCKET_NAME: usize = 24;

/// The folders of one user's Muster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `MUSTER_HOME`: state, logs, journal. Canonical.
    pub home: PathBuf,
    /// Sockets.
    pub runtime: PathBuf,
}

impl Paths {
    /// Finds the folders from the environment of this process and makes them.
    ///
    /// # Errors
    /// [`DaemonError`] when there is no folder, it cannot be made, or its name is too long for sockets.
    pub fn open() -> Result<Self, DaemonError> {
        Self::open_with(|name| std::env::var_os(name).filter(|v| !v.is_empty()))
    }

    /// Finds the folders from `variable` and makes them. Without any variable root's state lies in `/var/lib/muster` (FHS 3.0
    /// section 5.8), another user's in `~/.local/state/muster`.
    ///
    /// The folder for sockets that the last daemon used is used again while it is there: two commands with different
    /// `XDG_RUNTIME_DIR` must meet at one daemon.
    ///
    /// # Errors
    /// As [`Paths::open`].
    pub fn open_with(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, DaemonError> {
        let home = home_of(&variable, rustix::process::geteuid().is_root())?;
        make(&home)?;
        let home = home.canonicalize().map_err(|source| DaemonError::Folder { path: home.clone(), source })?;
        let runtime = runtime_folder(&home, variable("XDG_RUNTIME_DIR").map(PathBuf::from))?;
        Ok(Self { home, runtime })
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("daemon.s")
    }

    /// What the daemon writes about itself.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home.join("daemon.log")
    }

    /// Held by whoever starts a daemon.
    #[must_use]
    pub fn start_lock(&self) -> PathBuf {
        self.home.join("start.lock")
    }

    /// Held by the daemon while it lives.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.home.join("daemon.lock")
    }

    /// Notes the folder for sockets for those who come later.
    ///
    /// # Errors
    /// [`DaemonError::File`] when the note cannot be written.
    pub fn record_runtime(&self) -> Result<(), DaemonError> {
        let (note, fresh) = (self.home.join(NOTE), self.home.join("daemon.runtime.new"));
        let fail = |source| DaemonError::File { path: note.clone(), source };
        std::fs::write(&fresh, self.runtime.as_os_str().as_bytes()).map_err(fail)?;
        std::fs::rename(&fresh, &note).map_err(fail)
    }
}

/// The state folder that the environment names, or this user's usual one.
fn home_of(variable: &impl Fn(&str) -> Option<OsString>, root: bool) -> Result<PathBuf, DaemonError> {
    match (variable("MUSTER_HOME"), variable("XDG_STATE_HOME"), variable("HOME")) {
        (Some(home), _, _) => Ok(PathBuf::from(home)),
        (None, Some(state), _) => Ok(Path::new(&state).join("muster")),
        // services of root may become other users, who cannot enter root's home
        (None, None, _) if root => Ok(PathBuf::from("/var/lib/muster")),
        (None, None, Some(home)) => Ok(Path::new(&home).join(".local/state/muster")),
        (None, None, None) => Err(DaemonError::NoHome),
    }
}

/// Holds the path of the folder for sockets that the last daemon used.
const NOTE: &str = "daemon.runtime";

fn make(path: &Path) -> Result<(), DaemonError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| DaemonError::Folder { path: path.to_owned(), source })
}

fn runtime_folder(home: &Path, xdg: Option<PathBuf>) -> Result<PathBuf, DaemonError> {
    let noted = std::fs::read(home.join(NOTE)).ok().map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes)));
    if let Some(noted) = noted.filter(|path| fits(path) && ours(path)) {
        return Ok(noted);
    }
    let digits = hex::encode(&Sha256::digest(home.as_os_str().as_bytes())[..4]);
    let root = rustix::process::geteuid().is_root();
    let xdg = xdg.filter(|path| ours(path)).map(|path| path.join("muster").join(&digits));
    let run = root.then(|| Path::new("/run/muster").join(&digits));
    let last = home.join("run");
    // a folder that cannot be made is no reason to stop while another can
    for candidate in xdg.into_iter().chain(run).filter(|path| fits(path)) {
        if make(&candidate).is_ok() && ours(&candidate) {
            return Ok(candidate);
        }
    }
    if !fits(&last) {
        return Err(DaemonError::TooLong { path: last });
    }
    make(&last)?;
    Ok(last)
}

fn fits(folder: &Path) -> bool {
    folder.as_os_str().len() + SOCKET_NAME <= SUN_PATH
}

fn ours(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(pairs: &[(&str, &Path)]) -> Result<Paths, DaemonError> {
        Paths::open_with(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_os_str().to_owned()))
    }

    #[test]
    fn sockets_lie_in_the_runtime_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (home, xdg) = (folder.path().join("home"), folder.path().join("xdg"));
        std::fs::create_dir(&xdg).unwrap();
        let paths = open(&[("MUSTER_HOME", &home), ("XDG_RUNTIME_DIR", &xdg)]).unwrap();
        assert!(paths.runtime.starts_with(xdg.join("muster")));
        assert_eq!(std::fs::metadata(&paths.runtime).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn who_comes_with_another_runtime_folder_meets_the_same_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let (home, xdg) = (folder.path().join("home"), folder.path().join("xdg"));
        std::fs::create_dir(&xdg).unwrap();
        let first = open(&[("MUSTER_HOME", &home), ("XDG_RUNTIME_DIR", &xdg)]).unwrap();
        first.record_runtime().unwrap();
        assert_eq!(open(&[("MUSTER_HOME", &home)]).unwrap(), first);
    }

    #[test]
    fn a_long_runtime_folder_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (home, xdg) = (folder.path().join("h"), folder.path().join("x".repeat(90)));
        std::fs::create_dir(&xdg).unwrap();
        let paths = open(&[("MUSTER_HOME", &home), ("XDG_RUNTIME_DIR", &xdg)]).unwrap();
        assert!(!paths.runtime.starts_with(&xdg));
        assert!(fits(&paths.runtime));
    }

    #[test]
    fn no_home_is_said() {
        let home =
            |value: Option<&str>, root| home_of(&|name| value.filter(|_| name == "HOME").map(OsString::from), root);
        assert!(matches!(home(None, false), Err(DaemonError::NoHome)));
        assert_eq!(home(Some("/h"), false).unwrap(), Path::new("/h/.local/state/muster"));
        assert_eq!(home(Some("/h"), true).unwrap(), Path::new("/var/lib/muster"));
        let error = open(&[("MUSTER_HOME", Path::new("/dev/null/x"))]).unwrap_err().document();
        assert_eq!(error.code, "daemon::state_folder");
    }
}
