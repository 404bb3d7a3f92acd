//! Linux: pidfds, /proc, subreaper.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Between two looks at orphans that were killed, or at a lock: long enough for one to be gone.
const BETWEEN_PASSES: Duration = Duration::from_millis(1);
/// Between two looks at a process where the system has no room for one more event.
const WITHOUT_EVENTS: Duration = Duration::from_millis(20);
/// What shims carry in their environment; a child with it is never an orphan.
const SHIM_MARK: &[u8] = muster_shim::RUN_MARK.as_bytes();

/// Makes orphans of our descendants our children, so that what a killed supervisor leaves behind can be found and
/// ended. Called once at the start of a daemon; from then on nothing in the process may wait for "any child".
///
/// # Errors
/// The system's.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Whether we may become another user.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The lock of a run's folder, held as long as the file is open; `None` where somebody keeps it for longer than
/// `patience`, or there is no folder.
pub(crate) fn lock_folder(folder: &Path, patience: Duration) -> Option<fs::File> {
    let folder = fs::File::open(folder).ok()?;
    let deadline = Instant::now() + patience;
    loop {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(folder),
            Err(_) if Instant::now() >= deadline => return None,
            Err(_) => std::thread::sleep(BETWEEN_PASSES),
        }
    }
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Pins a process, so that its number cannot be taken by another one unnoticed.
pub(crate) fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = pid_of(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until a pinned process has ended.
pub(crate) async fn ended(pidfd: &OwnedFd) {
    // SAFETY: the borrow keeps the descriptor open for as long as it is registered, and nobody replaces it
    let watched = unsafe { AsyncFd::register_with_interest(pidfd.as_fd(), Interest::READABLE) };
    let done = match &watched {
        Ok(watched) => watched.readable().await.is_ok(),
        Err(_) => false,
    };
    while !done && !has_ended(pidfd) {
        tokio::time::sleep(WITHOUT_EVENTS).await;
    }
}

/// Whether a pinned process has ended.
pub(crate) fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Sends a signal to a pinned process.
pub(crate) fn signal_pidfd(pidfd: &OwnedFd, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_send_signal(pidfd, signal)?)
}

/// Signals every process of this user whose command line has all of these words; says how many those were.
pub(crate) fn signal_programs(words: &[Vec<u8>], signal: i32) -> usize {
    use std::os::unix::fs::MetadataExt as _;
    let ours = rustix::process::geteuid().as_raw();
    let has_words = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.iter().all(|word| line.split(|byte| *byte == 0).any(|found| found == word))
    };
    let mut count = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if !entry.metadata().is_ok_and(|metadata| metadata.uid() == ours) || !has_words(pid) {
            continue;
        }
        // the one that is pinned is the one that is looked at: the number may be another's since
        if let Ok(pinned) = open_pidfd(pid)
            && has_words(pid)
            && signal_pidfd(&pinned, signal).is_ok()
        {
            count += 1;
        }
    }
    count
}

/// Takes the status of a child that ended; nothing happens where it is not our child or lives.
pub(crate) fn reap(pidfd: &OwnedFd) {
    // an error says that it is somebody else's child: then somebody else reaps it
    let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

/// What /proc/PID/stat tells (proc(5)).
struct Stat {
    state: u8,
    /// 0 for a session of another pid namespace.
    session: u32,
    ticks: u64,
    start: u64,
    pages: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    // an emulator of programs of another architecture makes up that of its own process, but not that of its first thread
    let own = if pid == std::process::id() { format!("task/{pid}/stat") } else { "stat".to_owned() };
    let text = fs::read(format!("/proc/{pid}/{own}")).ok()?;
    // the command may hold blanks and parentheses: the fields begin behind the last one
    let at = text.iter().rposition(|byte| *byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(text.get(at + 2..)?).ok()?.split(' ').collect();
    // the first of `fields` is field 3 of the page
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        state: *fields.first()?.as_bytes().first()?,
        session: u32::try_from(number(6)?).ok()?,
        // its own time and that of children it waited for
        ticks: number(14)? + number(15)? + number(16)? + number(17)?,
        start: number(22)?,
        pages: number(24)?,
    })
}

fn children(pid: &str) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut pids = Vec::new();
    for thread in threads.flatten() {
        let Ok(text) = fs::read_to_string(thread.path().join("children")) else { continue };
        pids.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    pids
}

/// Everything alive below a process, without it; parents come before their children.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = children(&root.to_string());
    while !next.is_empty() {
        let below: Vec<u32> = next.iter().flat_map(|pid| children(&pid.to_string())).collect();
        found.append(&mut next);
        next = below;
    }
    found.retain(|pid| stat(*pid).is_some_and(|stat| !matches!(stat.state, b'Z' | b'X')));
    found
}

/// What one process uses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessUse {
    /// CPU time in nanoseconds, that of reaped children included.
    pub(crate) cpu_ns: u64,
    /// Resident memory in bytes.
    pub(crate) memory_bytes: u64,
}

/// What a process uses; `None` where it is gone.
pub(crate) fn process_use(pid: u32) -> Option<ProcessUse> {
    let stat = stat(pid)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(ProcessUse {
        cpu_ns: stat.ticks * (1_000_000_000 / per_second),
        memory_bytes: stat.pages * rustix::param::page_size() as u64,
    })
}

/// The process that traces this one: a debugger.
pub(crate) fn tracer(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok().filter(|pid| *pid != 0)
}

/// Kills and reaps the orphans that killed supervisors left to us, until none is left or `patience` is over.
///
/// An orphan is a child that is no supervisor, lives in another session than ours and started at `since` (clock ticks
/// after boot) or later: what we start ourselves stays in our session, and what a service starts can never enter it.
pub(crate) fn end_orphans(since: u64, patience: Duration) {
    // 0 where the session's leader is outside of our pid namespace: all that is started from there has the same 0
    let Some(ours) = stat(std::process::id()).map(|stat| stat.session) else { return };
    let deadline = Instant::now() + patience;
    let mut seen: Vec<u32> = Vec::new();
    loop {
        for pid in children("self") {
            let Some(stat) = stat(pid) else { continue };
            if stat.session == ours || stat.start < since || is_shim(pid) {
                continue;
            }
            // an unreaped child keeps its number: this cannot hit a stranger
            if !matches!(stat.state, b'Z' | b'X')
                && let Some(pid) = pid_of(pid)
            {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            } else if was_orphan(&seen, pid, ours, &stat) {
                reap_pid(pid);
                continue;
            }
            if !seen.contains(&pid) {
                seen.push(pid);
            }
        }
        seen.retain(|pid| stat(*pid).is_some());
        if seen.is_empty() || Instant::now() >= deadline {
            return;
        }
        for pid in &seen {
            reap_pid(*pid);
        }
        std::thread::sleep(BETWEEN_PASSES);
    }
}

/// A zombie has no environment any more, so a supervisor that just ended looks like an orphan. It leads its own
/// session; an orphan is one that we killed, or that never led one.
fn was_orphan(seen: &[u32], pid: u32, ours: u32, stat: &Stat) -> bool {
    seen.contains(&pid) || (stat.session != pid && stat.session != ours)
}

fn reap_pid(pid: u32) {
    if let Some(pid) = pid_of(pid) {
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

fn is_shim(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|env| env.split(|byte| *byte == 0).any(|word| word.starts_with(SHIM_MARK)))
}
