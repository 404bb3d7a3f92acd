//! A daemon on demand: whoever comes first starts it, the others wait for the same one.

use super::error::RUNNING;
use super::{DaemonError, Paths, READY};
use crate::Client;
use muster_engine::documents::ErrorDocument;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a daemon may take until it answers: it opens a journal, adoption goes on behind it.
const START_WITHIN: Duration = Duration::from_secs(30);

/// From here on the daemon's own log begins anew; the one before is kept as `.old`.
const LOG_LIMIT: u64 = 4 << 20;

/// What a daemon is given of its starter's environment; services get theirs with the stack.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "DOCKER_HOST",
    "RUST_BACKTRACE",
];

/// A client of the daemon that runs, if one does.
#[must_use]
pub fn running(paths: &Paths) -> Option<Client> {
    reach(paths).map(|connection| Client::connected(paths.socket(), connection))
}

/// A client of the daemon; starts one from `binary` when none runs, and again when that one dies under a request.
///
/// # Errors
/// [`DaemonError`] when none could be started, with what it said.
pub fn connect(paths: &Paths, binary: &Path) -> Result<Client, DaemonError> {
    let first = reach_or_start(paths, binary)?;
    let (next_paths, next_binary) = (paths.clone(), binary.to_owned());
    let next = move || reach_or_start(&next_paths, &next_binary);
    Ok(Client::connected(paths.socket(), first).succeeded_by(next))
}

fn reach(paths: &Paths) -> Option<UnixStream> {
    UnixStream::connect(paths.socket()).ok()
}

fn reach_or_start(paths: &Paths, binary: &Path) -> Result<UnixStream, DaemonError> {
    if let Some(connection) = reach(paths) {
        return Ok(connection);
    }
    let lock = open_lock(&paths.start_lock())?;
    lock.lock().map_err(|source| DaemonError::File { path: paths.start_lock(), source })?;
    // another one may have started it while we waited for the lock
    if let Some(connection) = reach(paths) {
        return Ok(connection);
    }
    match start(paths, binary) {
        Ok(()) => {}
        // its starter was killed before it answered, and the lock was free for us: the one that we want is there
        Err(DaemonError::Said(document)) if document.code == RUNNING => {}
        Err(error) => return Err(error),
    }
    reach(paths).ok_or_else(|| died(paths))
}

/// Waits until the daemon has ended: it holds its lock as long as it lives.
///
/// # Errors
/// [`DaemonError::File`] when the lock cannot be used.
pub fn wait_until_gone(paths: &Paths) -> Result<(), DaemonError> {
    let path = paths.daemon_lock();
    open_lock(&path)?.lock().map_err(|source| DaemonError::File { path, source })
}

pub(super) fn open_lock(path: &Path) -> Result<File, DaemonError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| DaemonError::File { path: path.to_owned(), source })
}

fn start(paths: &Paths, binary: &Path) -> Result<(), DaemonError> {
    let log = open_log(paths)?;
    let mut command = Command::new(binary);
    command.args(["daemon", "run", "--detached"]).env_clear().envs(passed());
    command.env("MUSTER_HOME", &paths.home).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::from(log));
    let mut child = command.spawn().map_err(|source| DaemonError::Spawn { binary: binary.to_owned(), source })?;
    let Some(pipe) = child.stdout.take() else { return Err(died(paths)) };
    wait_until_ready(paths, pipe)
}

/// Variables that the daemon needs, and all of its own.
fn passed() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|n| PASSED.contains(&n) || n.starts_with("MUSTER_") || n.starts_with("LC_"))
    })
}

fn open_log(paths: &Paths) -> Result<File, DaemonError> {
    let path = paths.log();
    if std::fs::metadata(&path).is_ok_and(|m| m.len() > LOG_LIMIT) {
        let _ = std::fs::rename(&path, path.with_extension("log.old"));
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| DaemonError::File { path, source })
}

fn wait_until_ready(paths: &Paths, mut pipe: ChildStdout) -> Result<(), DaemonError> {
    let deadline = Instant::now() + START_WITHIN;
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if !readable(&pipe, left) {
            return Err(DaemonError::Silent { seconds: START_WITHIN.as_secs(), log: paths.log() });
        }
        let mut buffer = [0; 4096];
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => said.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        if said.ends_with(b"\n") {
            break;
        }
    }
    let text = String::from_utf8_lossy(&said);
    if text.trim() == READY {
        return Ok(());
    }
    match serde_json::from_str::<ErrorDocument>(text.trim()) {
        Ok(document) => Err(DaemonError::Said(Box::new(document))),
        Err(_) => Err(died(paths)),
    }
}

/// Waits until something can be read, or the other end is closed.
pub(super) fn readable(pipe: &impl std::os::fd::AsFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
        match poll(&mut fds, Some(&left)) {
            Ok(n) => return n > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn died(paths: &Paths) -> DaemonError {
    let text = std::fs::read(paths.log()).unwrap_or_default();
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let last = tail.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
    DaemonError::Died { last, log: paths.log() }
}
