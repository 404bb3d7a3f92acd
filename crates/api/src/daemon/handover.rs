//! One daemon becomes another: the new binary is executed in place, a guard of the old one watches.

use super::start::{open_lock, readable};
use super::{DaemonError, GUARD, ORIGINAL_NOFILE, Paths, READY, TAKEOVER};
use crate::exit;
use muster_engine::documents::ErrorDocument;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the new binary may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long a binary may take to say its version.
const PROBE_WITHIN: Duration = Duration::from_secs(10);

/// Set for a guard: the process that it watches.
const GUARDED: &str = "MUSTER_GUARDED";

/// Checks that `binary` runs here and is a Muster, before anything is given up for it.
///
/// # Errors
/// A document that says what is wrong with it.
pub async fn probe_binary(binary: &Path) -> Result<(), ErrorDocument> {
    let refuse = |why: String| {
        let text = format!("`{}` cannot take over: {why}", binary.display());
        ErrorDocument::new("daemon::upgrade", exit::DAEMON, text).help("the running daemon goes on unchanged")
    };
    if !binary.is_absolute() {
        return Err(refuse("the path is not absolute".into()));
    }
    let mut command = tokio::process::Command::new(binary);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PROBE_WITHIN, command.output()).await;
    let output = output.map_err(|_| refuse("it does not say its version".into()))?;
    let output = output.map_err(|error| refuse(error.to_string()))?;
    match output.stdout.starts_with(b"muster ") && output.status.success() {
        true => Ok(()),
        false => Err(refuse("it is not a muster binary".into())),
    }
}

/// This binary, also when its file was replaced.
fn own_binary() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    if link.exists() { link.to_owned() } else { std::env::current_exe().unwrap_or_else(|_| link.to_owned()) }
}

/// Executes `binary` in place of this process with the listening socket as its standard input. Comes back only when
/// that failed; the daemon goes on then.
pub(super) fn hand_over(listener: impl AsFd, binary: &Path, original: Option<(u64, u64)>) -> std::io::Error {
    match prepare(listener.as_fd(), binary, original) {
        Ok((mut command, mut guard)) => {
            let error = command.exec();
            // without us as its charge it has nothing to guard
            let _ = guard.kill();
            let _ = guard.wait();
            error
        }
        Err(error) => error,
    }
}

fn prepare(
    listener: std::os::fd::BorrowedFd<'_>,
    binary: &Path,
    original: Option<(u64, u64)>,
) -> std::io::Result<(Command, std::process::Child)> {
    let (told, tells) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut guard = Command::new(own_binary());
    guard.args(["daemon", "guard"]).env(GUARDED, std::process::id().to_string());
    guard.stdin(Stdio::from(told)).stdout(Stdio::from(listener.try_clone_to_owned()?));
    if let Some((soft, hard)) = original {
        guard.env(ORIGINAL_NOFILE, format!("{soft}:{hard}"));
    }
    let guard = guard.spawn()?;
    let mut command = Command::new(binary);
    command.args(["daemon", "run", "--detached"]).env(TAKEOVER, "1").env(GUARD, guard.id().to_string());
    command.stdin(Stdio::from(listener.try_clone_to_owned()?)).stdout(Stdio::from(tells));
    if let Some((soft, hard)) = original {
        command.env(ORIGINAL_NOFILE, format!("{soft}:{hard}"));
    }
    Ok((command, guard))
}

/// The guard: standard input tells when the new daemon answers, standard output is the listening socket. When the new
/// one does not get there, it is ended and this binary serves the socket again. Comes back when all is well.
///
/// # Errors
/// [`DaemonError`] when this binary cannot take over either.
pub fn guard() -> Result<(), DaemonError> {
    if new_one_is_ready() {
        return Ok(());
    }
    let guarded = std::env::var(GUARDED).ok().and_then(|text| text.parse::<i32>().ok());
    // only our parent: a process id alone could be somebody else's by now
    let parent = rustix::process::getppid().filter(|parent| Some(parent.as_raw_nonzero().get()) == guarded);
    if let Some(parent) = parent {
        let _ = rustix::process::kill_process(parent, rustix::process::Signal::KILL);
    }
    let paths = Paths::open()?;
    // held until it is gone
    let lock = open_lock(&paths.daemon_lock())?;
    lock.lock().map_err(|source| DaemonError::File { path: paths.daemon_lock(), source })?;
    drop(lock);
    let binary = own_binary();
    let failed = |source| DaemonError::Spawn { binary: own_binary(), source };
    let listener: OwnedFd = std::io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut command = Command::new(&binary);
    command.args(["daemon", "run", "--detached"]).env(TAKEOVER, "1").env_remove(GUARD).env_remove(GUARDED);
    let error = command.stdin(Stdio::from(listener)).stdout(Stdio::null()).exec();
    Err(failed(error))
}

fn new_one_is_ready() -> bool {
    let mut pipe = std::io::stdin();
    let mut said = Vec::new();
    while readable(&pipe, READY_WITHIN) {
        let mut buffer = [0; 256];
        match pipe.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => said.extend_from_slice(&buffer[..n]),
        }
        if said.ends_with(b"\n") {
            return said.trim_ascii() == READY.as_bytes();
        }
    }
    false
}
