//! One master as others see it: its lock, its process, its end.
//!
//! A master has the lock of its control socket as its standard input from its birth on. The lock file is made before it and
//! removed after it: whatever master there is has one, also one whose daemon was killed while it logged in, and no two
//! have the same. What is written in it is the host.

use super::trouble::Trouble;
use crate::sys;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A master that was told to ends within this time; after that it is killed.
const GONE: Duration = Duration::from_secs(2);
/// What was killed is gone within this time, also where it waits for a disk.
const KILLED: Duration = Duration::from_secs(4);
/// Between two looks at a lock.
const LOOK: Duration = Duration::from_millis(5);
/// What a control socket's name begins with, before letters of [`LETTERS`].
const PREFIX: char = 's';
/// Of which the names of control sockets are.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The lock's file beside a control socket.
pub(super) const LOCK: &str = "master";

/// A control socket's name: it tells this from others in so many letters.
pub(super) fn control(folder: &Path, of: &str, letters: usize) -> PathBuf {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(of);
    let name = digest.iter().take(letters).map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    folder.join(std::iter::once(PREFIX).chain(name).collect::<String>())
}

/// The control sockets of all masters that were made in a folder and not seen to end.
pub(super) fn controls(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_ours = |name: &str| {
        let name = name.strip_suffix(LOCK)?.strip_suffix('.')?;
        let letters = name.strip_prefix(PREFIX)?;
        letters.bytes().all(|letter| LETTERS.contains(&letter)).then(|| folder.join(name))
    };
    entries.filter_map(|entry| of_ours(entry.file_name().to_str()?)).collect()
}

/// The host of a master; none where it is not known.
pub(super) fn host(control: &Path) -> Option<String> {
    fs::read_to_string(control.with_extension(LOCK)).ok().filter(|host| !host.is_empty())
}

/// The lock that a master has; none where somebody has it.
pub(super) fn try_lock(control: &Path) -> Result<Option<fs::File>, Trouble> {
    use std::os::unix::fs::MetadataExt as _;
    let path = control.with_extension(LOCK);
    let locked = || -> io::Result<Option<fs::File>> {
        // what stands in it is whoever has it
        let file = fs::File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // removed between the two calls: whoever comes next locks another file of that name
        let same = fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|ours| ours.ino() == there.ino()));
        Ok(same.then_some(file))
    };
    locked().map_err(|error| Trouble::passing(format!("could not lock `{}`: {error}", path.display())))
}

/// Writes down whose master has this lock from now on.
pub(super) fn note(mut lock: &fs::File, host: &str) -> Result<(), Trouble> {
    let mut noted = || -> io::Result<()> {
        let mut old = String::new();
        lock.read_to_string(&mut old)?;
        if old != host {
            lock.set_len(0)?;
            io::Seek::rewind(&mut lock)?;
            lock.write_all(host.as_bytes())?;
        }
        Ok(())
    };
    noted().map_err(|error| Trouble::passing(format!("could not write down what host a link is to: {error}")))
}

/// Ends a master, wherever it stands, and with it everything that goes through it; comes back when it is gone. False where
/// it is not.
pub(super) async fn end(control: &Path) -> bool {
    let (told, killed) = (Instant::now() + GONE, Instant::now() + GONE + KILLED);
    let mut asked = false;
    let lock = loop {
        match try_lock(control) {
            Ok(Some(lock)) => break lock,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(control = %control.display(), %error, "cannot end a link");
                return false;
            }
        }
        let now = Instant::now();
        if now >= killed {
            tracing::warn!(control = %control.display(), "a link does not end");
            return false;
        }
        // one that was only just forked is not found yet
        if !asked || now >= told {
            asked = sys::signal_programs(&words(control), if now < told { libc::SIGTERM } else { libc::SIGKILL }) > 0;
        }
        sleep(LOOK).await;
    };
    let _ = fs::remove_file(control);
    let _ = fs::remove_file(control.with_extension(LOCK));
    drop(lock);
    true
}

/// What a master's command line has and nobody else's: the socket lies in a folder that only we may enter.
pub(super) fn words(control: &Path) -> [Vec<u8>; 3] {
    use std::os::unix::ffi::OsStrExt as _;
    [b"-S".to_vec(), control.as_os_str().as_bytes().to_vec(), b"-M".to_vec()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// A program that has the words and the lock of a master; deaf to TERM where it says so.
    fn master(control: &Path, deaf: bool) -> std::process::Child {
        let lock = try_lock(control).unwrap().unwrap();
        note(&lock, "db1").unwrap();
        let trap = if deaf { "trap '' TERM; " } else { "" };
        let script = format!("{trap}echo >&2; while :; do sleep 0.1; done");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg("-S").arg(control).arg("-M").stdin(lock);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = [0];
        child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
        child
    }

    #[tokio::test]
    async fn it_ends_also_without_a_socket_and_against_its_will() {
        let home = tempfile::TempDir::new().unwrap();
        for deaf in [false, true] {
            let control = control(home.path(), &format!("{deaf}"), 12);
            let mut child = master(&control, deaf);
            assert!(try_lock(&control).unwrap().is_none());
            assert_eq!((controls(home.path()), host(&control).as_deref()), (vec![control.clone()], Some("db1")));
            let reaped = tokio::task::spawn_blocking(move || child.wait());
            assert!(end(&control).await);
            assert!(!reaped.await.unwrap().unwrap().success());
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing of it is left");
        }
    }

    #[test]
    fn what_else_lies_in_the_folder_is_no_master() {
        let home = tempfile::TempDir::new().unwrap();
        for name in ["daemon.s", "start.lock", "sUPPER.master", "sabc"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        assert_eq!(controls(home.path()), Vec::<PathBuf>::new());
    }
}
