//! Single processes: who is it, is it still the same, signal it without hitting a stranger.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// The running boot's id.
///
/// # Errors
/// Where /proc is not mounted.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// What /proc/PID/stat tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// One letter; `Z` is a zombie.
    pub(crate) state: u8,
    /// Its parent.
    pub(crate) parent: u32,
    /// Its session.
    pub(crate) session: u32,
    /// When it was started, in clock ticks since boot.
    pub(crate) start: u64,
}

/// Reads a process' stat; `None` where there is no such process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    // of its first thread: an emulator of programs of another architecture makes up the other one of its own process
    let text = fs::read(format!("/proc/{pid}/task/{pid}/stat")).ok()?;
    // the command may hold blanks and parentheses: the fields begin behind the last one
    let at = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(at + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    // the state is field 3, the session field 6, the start time field 22
    let start = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, parent, session, start })
}

/// When the process was started, in clock ticks since boot (proc(5) stat field 22): with the pid and the boot id it
/// names a process for ever.
///
/// # Errors
/// `NotFound` where there is no such process.
pub fn proc_start_time(pid: u32) -> io::Result<u64> {
    stat(pid).map(|stat| stat.start).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether the process with this id and start time lives (a zombie does not).
pub fn is_alive(pid: u32, start: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.start == start && !matches!(stat.state, b'Z' | b'X'))
}

/// The calling thread's last system error.
pub(crate) fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub(super) fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::other("descriptor out of range"))?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and ours
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Signals the process only if `same` still says, after it was pinned by a pidfd, that it is the one that was meant.
pub(crate) fn signal_process(pid: u32, signal: i32, same: impl Fn(&Stat) -> bool) -> bool {
    let Ok(pidfd) = open_pidfd(pid) else { return false };
    if !stat(pid).is_some_and(|stat| same(&stat)) {
        return false;
    }
    // SAFETY: the descriptor is open for the duration of the call; no siginfo is passed
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    done == 0
}
