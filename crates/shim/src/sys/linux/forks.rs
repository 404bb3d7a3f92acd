//! The fork server: a shim that starts no service but other shims, each by a fork of itself.
//!
//! A fork of this small process costs a fraction of what executing the binary anew does, and nothing of it grows with
//! the descriptors of the daemon. The new shim is not the fork server's child but the daemon's (`CLONE_PARENT`): who
//! waits for it, and what happens when either dies, is as if the daemon had forked it itself.

use super::fds::{recv_with_fds, send_with_fds};
use super::process::open_pidfd;
use super::spawn::{Spawned, execute};
use super::title::Title;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Most bytes of one order: three texts, two of them paths.
const MAX_ORDER: usize = 3 * 4096;
/// Room for what a shim shows of itself in the process table, twice: as its arguments and in its environment.
const TITLE: usize = 640;

/// A running fork server; dropping it ends it, and none of the shims it made.
#[derive(Debug)]
pub struct ForkServer {
    control: OwnedFd,
    process: Spawned,
}

impl ForkServer {
    /// Executes the shim's binary as a fork server.
    ///
    /// # Errors
    /// The system's, also for a binary that cannot be executed.
    pub fn start(shim: &Path) -> io::Result<Self> {
        let (ours, theirs) = super::os::packet_pair()?;
        let room = " ".repeat(TITLE);
        let mark = format!("{}{room}", crate::RUN_MARK);
        let process = execute(shim, &[crate::FORK_SERVER, &room], &mark, theirs.as_fd())?;
        Ok(Self { control: ours, process })
    }

    /// Orders a shim for a run, which takes `connection` as its own. Answers come in the order of the orders, by
    /// [`ForkServer::born`]; a few may be under way at once.
    ///
    /// # Errors
    /// The system's: the fork server is gone.
    pub fn order(&self, run: &str, folder: &Path, socket: &Path, connection: BorrowedFd<'_>) -> io::Result<()> {
        let words = [run.as_bytes(), folder.as_os_str().as_bytes(), socket.as_os_str().as_bytes()];
        let order = words.join(&0);
        if order.len() > MAX_ORDER || words.iter().any(|word| word.contains(&0)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        send_with_fds(self.control.as_fd(), &order, &[connection]).map(|_whole| ())
    }

    /// The shim of the oldest order that was not answered. It is a child of the caller, who waits for it.
    ///
    /// # Errors
    /// The outer one is the fork server's: it is gone. The inner one is this order's alone.
    pub fn born(&self) -> io::Result<io::Result<Spawned>> {
        let mut answer = [0; 4];
        let (count, _) = recv_with_fds(self.control.as_fd(), &mut answer)?;
        if count != answer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = i32::from_le_bytes(answer);
        let Ok(pid) = u32::try_from(number) else { return Ok(Err(io::Error::from_raw_os_error(-number))) };
        // our own child: the number is its own until we wait for it
        Ok(open_pidfd(pid).map(|pidfd| Spawned { pid, pidfd }))
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        super::os::end_child(&self.process.pidfd);
    }
}

/// What a new shim was ordered for.
pub(crate) struct Birth {
    pub(crate) folder: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) connection: OwnedFd,
}

/// Serves orders; returns in each new shim with what it is for, and in the fork server with nothing when nobody orders
/// any more.
pub(crate) fn serve(control: &OwnedFd) -> Option<Birth> {
    let title = Title::find();
    let mut order = vec![0; MAX_ORDER];
    loop {
        let (count, mut fds) = recv_with_fds(control.as_fd(), &mut order).ok().filter(|(count, _)| *count > 0)?;
        let mut words = order.get(..count)?.splitn(3, |byte| *byte == 0);
        let (run, folder, socket) = (words.next()?, words.next()?, words.next()?);
        let connection = fds.pop()?;
        let forked = match super::os::fork_sibling() {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => super::os::fork_orphan(),
            forked => forked,
        };
        match forked {
            Ok(0) => {
                if let Some(title) = title {
                    title.set(&[b"muster-shim", folder, socket], &[crate::RUN_MARK.as_bytes(), run].concat());
                }
                let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
                return Some(Birth { folder: path(folder), socket: path(socket), connection });
            }
            Ok(pid) => answer(control, pid)?,
            Err(error) => answer(control, -error.raw_os_error().unwrap_or(libc::EAGAIN))?,
        }
    }
}

fn answer(control: &OwnedFd, number: i32) -> Option<()> {
    send_with_fds(control.as_fd(), &number.to_le_bytes(), &[]).ok().map(|_whole| ())
}
