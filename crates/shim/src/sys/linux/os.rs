//! The system calls of the shim's one thread, each as a safe function.

use super::process::last_error;
use crate::launch::TtySize;
use crate::protocol::{ExitCause, Usage};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes a descriptor that was inherited.
///
/// # Errors
/// Where it is not open.
pub(crate) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD on any number is safe and fails for one that is not open
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open, and nothing else in this process knows of it
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) {
    // SAFETY: called before anything was opened, so that nobody loses a descriptor it owns
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Lets SIGABRT do nothing. A fork that aborts aims it at the thread id that its C library remembers, which is its
/// forker's; it ends all the same, by the instruction that follows.
pub(crate) fn ignore_abort() {
    // SAFETY: ignoring a signal installs no handler
    unsafe { libc::signal(libc::SIGABRT, libc::SIG_IGN) };
}

/// Forks a sibling: a child of our own parent. 0 in the child, its process id here.
///
/// # Errors
/// The system's.
pub(super) fn fork_sibling() -> io::Result<i32> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is a fork, the child has its own copy of everything; the process has one thread, so
    // that no lock is held in the child
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(pid).map_err(io::Error::other) }
}

/// Forks a child whose parent is whoever takes orphans here: a fork of a fork. 0 in the child, its process id here.
///
/// An emulator of programs of another architecture (qemu-user) knows no `CLONE_PARENT`.
///
/// # Errors
/// The system's.
pub(super) fn fork_orphan() -> io::Result<i32> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both are new and ours
    let (from, to) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    // SAFETY: the process has one thread, so that no lock is held in the child
    let between = check(unsafe { libc::fork() })?;
    if between == 0 {
        // SAFETY: as above
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            return Ok(0);
        }
        let answer = if pid < 0 { -last_error() } else { pid };
        let written = File::from(to).write_all(&answer.to_le_bytes());
        // SAFETY: ends this process without running its parent's exit handlers
        unsafe { libc::_exit(i32::from(written.is_err())) };
    }
    drop(to);
    let mut answer = [0; 4];
    let read = File::from(from).read_exact(&mut answer);
    // SAFETY: waits for our own child, which is ending; the status is not wanted
    unsafe { libc::waitpid(between, std::ptr::null_mut(), 0) };
    read?;
    match i32::from_le_bytes(answer) {
        pid if pid > 0 => Ok(pid),
        failure => Err(io::Error::from_raw_os_error(-failure)),
    }
}

/// Two ends that keep messages apart.
///
/// # Errors
/// The system's.
pub(super) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the array has room for two descriptors
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: both are new and ours
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Kills and collects a child.
pub(super) fn end_child(pidfd: &OwnedFd) {
    // SAFETY: the descriptor is open, no siginfo is passed, and the place for the answer is valid
    unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, std::ptr::null::<u8>(), 0);
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let id = libc::id_t::from(pidfd.as_raw_fd().unsigned_abs());
        libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED);
    }
}

/// Makes the process a session's leader that inherits the orphans of its tree.
///
/// # Errors
/// The system's. Being a session's leader already is none; neither is an emulator of programs of another architecture
/// (qemu-user) that does not know orphans: there what has forked away is not found, and whoever brought us there says so.
pub(crate) fn lead() -> io::Result<()> {
    // SAFETY: takes nothing; fails only for the leader of a process group, which then has its session already
    unsafe { libc::setsid() };
    // SAFETY: the option takes one integer
    match check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINVAL) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Sets the file mode mask and gives the old one back.
pub(crate) fn umask(mask: u32) -> u32 {
    // SAFETY: umask cannot fail
    unsafe { libc::umask(mask) }
}

/// The effective user id.
pub(crate) fn user() -> u32 {
    // SAFETY: geteuid cannot fail
    unsafe { libc::geteuid() }
}

/// Locks the folder for this process alone; the lock ends with the descriptor.
///
/// # Errors
/// `WouldBlock` where another has it.
pub(crate) fn lock(folder: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open
    check(unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })?;
    Ok(())
}

/// Ignores what must not end a supervisor, and makes the rest readable from a descriptor that does not block.
///
/// # Errors
/// The system's.
pub(crate) fn take_signals() -> io::Result<OwnedFd> {
    for signal in
        [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE, libc::SIGTTOU, libc::SIGTTIN, libc::SIGXFSZ]
    {
        // SAFETY: ignoring a signal installs no handler
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: the set is initialised by sigemptyset before it is used; the default disposition is no handler
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGUSR1] {
            // one that was ignored by whoever spawned us would never be seen
            libc::signal(signal, libc::SIG_DFL);
            libc::sigaddset(&raw mut set, signal);
        }
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The next signal, if one came.
pub(crate) fn next_signal(signals: BorrowedFd<'_>) -> Option<i32> {
    // SAFETY: an all-zero signalfd_siginfo is valid and large enough for one record
    unsafe {
        let mut info: libc::signalfd_siginfo = std::mem::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        let count = libc::read(signals.as_raw_fd(), (&raw mut info).cast(), size);
        (usize::try_from(count) == Ok(size)).then_some(())?;
        i32::try_from(info.ssi_signo).ok()
    }
}

/// Waits until one of the descriptors is ready or the time is over; `None` waits for ever.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) {
    let timeout = timeout.map(|span| libc::timespec {
        // a wake-up a day is nothing
        tv_sec: span.as_secs().min(86_400).try_into().unwrap_or(86_400),
        tv_nsec: span.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(0);
    // SAFETY: the array is valid for `count` entries, the timeout null or valid
    let ready = unsafe { libc::ppoll(fds.as_mut_ptr(), count, timeout, std::ptr::null()) };
    if ready < 0 {
        // interrupted: nothing is ready
        fds.iter_mut().for_each(|fd| fd.revents = 0);
    }
}

/// A pipe, both ends close-on-exec: reading end, writing end.
///
/// # Errors
/// The system's.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both are new and ours
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Makes reads and writes return instead of waiting.
///
/// # Errors
/// The system's.
pub(crate) fn nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open; the flags replace only the file status flags, of which nonblock is the one set
    check(unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)
    })?;
    Ok(())
}

/// A pseudo terminal: our side, and the service's.
///
/// # Errors
/// The system's.
pub(crate) fn open_pty(size: TtySize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string
    let master = check(unsafe { libc::open(c"/dev/ptmx".as_ptr(), flags) })?;
    // SAFETY: the descriptor is new and ours
    let master = unsafe { OwnedFd::from_raw_fd(master) };
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) })?;
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor
    let slave = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, flags) })?;
    // SAFETY: the descriptor is new and ours
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    resize(master.as_fd(), size);
    Ok((master, slave))
}

/// Tells a pseudo terminal its size.
pub(crate) fn resize(master: BorrowedFd<'_>, size: TtySize) {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize; a terminal that is gone has no size
    unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

/// Gives the service's side of a terminal to the service's user.
pub(crate) fn give(fd: BorrowedFd<'_>, uid: u32, gid: u32) {
    // SAFETY: the descriptor is open; a refusal leaves the terminal as it is, which mostly works
    unsafe { libc::fchown(fd.as_raw_fd(), uid, gid) };
}

/// What a look for ended children found.
#[derive(Debug)]
pub(crate) enum Reaped {
    /// This one ended.
    Child {
        /// Its process id.
        pid: u32,
        /// How.
        cause: ExitCause,
        /// What it used.
        usage: Usage,
    },
    /// All that are left live.
    NothingNow,
    /// None is left: for a subreaper, the tree is empty.
    NoChildren,
}

/// Collects one ended child.
pub(crate) fn reap() -> Reaped {
    let mut status = 0;
    // SAFETY: both places are valid for writing
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage), usage)
    };
    match u32::try_from(pid) {
        Ok(0) => Reaped::NothingNow,
        Ok(pid) => Reaped::Child { pid, cause: cause(status), usage: usage_of(&usage) },
        Err(_) if last_error() == libc::ECHILD => Reaped::NoChildren,
        Err(_) => Reaped::NothingNow,
    }
}

fn cause(status: i32) -> ExitCause {
    if libc::WIFEXITED(status) {
        ExitCause::Code(libc::WEXITSTATUS(status))
    } else {
        ExitCause::Signal { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    }
}

fn usage_of(usage: &libc::rusage) -> Usage {
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Usage {
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        max_rss_kb: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}

/// Signals a child that was not collected yet, or (`group`) its process group.
///
/// # Errors
/// The system's.
pub(crate) fn signal_child(pid: u32, signal: i32, group: bool) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: kill takes two integers; the id cannot have been used again while the child is not collected
    check(unsafe { libc::kill(if group { -pid } else { pid }, signal) })?;
    Ok(())
}

/// Who is at the other end of a unix stream socket: the user id.
///
/// # Errors
/// The system's.
pub(crate) fn peer_user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: the option writes at most `size` bytes to `peer`
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut size)
    })?;
    Ok(peer.uid)
}

/// Makes a datagram socket tell who sent.
///
/// # Errors
/// The system's.
pub(crate) fn tell_senders(socket: &UnixDatagram) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(0);
    // SAFETY: the option reads one int
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, (&raw const on).cast(), size)
    })?;
    Ok(())
}

/// A datagram and its sender's process and user id. Descriptors that come along are closed.
///
/// # Errors
/// `WouldBlock` where there is none.
pub(crate) fn receive_datagram(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<(usize, u32, u32)> {
    let mut control = [0_u64; 32];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: an all-zero msghdr is valid; the buffers outlive the call, and the macros stay inside msg_controllen
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let count = libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags);
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let mut sender = (0, u32::MAX);
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_CREDENTIALS {
                let who = data.cast::<libc::ucred>().read_unaligned();
                sender = (u32::try_from(who.pid).unwrap_or(0), who.uid);
            } else if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                for at in 0..bytes / size_of::<RawFd>() {
                    libc::close(data.cast::<RawFd>().add(at).read_unaligned());
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
        Ok((count, sender.0, sender.1))
    }
}

/// Makes a file the property of a user.
///
/// # Errors
/// The system's.
pub(crate) fn change_owner(path: &CStr, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: the path is a C string
    check(unsafe { libc::chown(path.as_ptr(), uid, gid) })?;
    Ok(())
}
