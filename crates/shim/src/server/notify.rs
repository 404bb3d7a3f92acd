//! The socket on which a service says that it is ready (`sd_notify(3)`).

use crate::launch::Identity;
use crate::sys;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// The longest message that is taken.
const MAX_MESSAGE: usize = 4096;
/// How far up a sender's ancestors are followed.
const MAX_DEPTH: usize = 64;

/// What a service told of itself.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) ready: bool,
    pub(super) stopping: bool,
    pub(super) status: String,
    pub(super) watchdog_ns: u64,
}

impl Told {
    /// Takes a message's lines in.
    pub(super) fn take(&mut self, text: &str) {
        for line in text.lines() {
            match line.split_once('=') {
                Some(("READY", "1")) => self.ready = true,
                Some(("RELOADING", "1")) => self.ready = false,
                Some(("STOPPING", "1")) => self.stopping = true,
                Some(("STATUS", status)) => status.clone_into(&mut self.status),
                Some(("WATCHDOG", "1")) => self.watchdog_ns = sys::realtime_ns(),
                // other keys are for whoever subscribed
                Some(_) | None => {}
            }
        }
    }
}

/// The bound socket.
#[derive(Debug)]
pub(super) struct NotifySocket {
    pub(super) socket: UnixDatagram,
    path: PathBuf,
    users: [u32; 2],
}

impl NotifySocket {
    /// Binds the socket so that the service's user can write to it.
    pub(super) fn bind(path: &Path, identity: Option<&Identity>) -> io::Result<Self> {
        let socket = match UnixDatagram::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                std::fs::remove_file(path)?;
                UnixDatagram::bind(path)?
            }
            other => other?,
        };
        sys::os::tell_senders(&socket)?;
        let me = sys::os::user();
        let service = identity.map_or(me, |identity| identity.uid);
        if let Some(identity) = identity.filter(|identity| identity.uid != me) {
            sys::os::change_owner(&CString::new(path.as_os_str().as_bytes())?, identity.uid, identity.gid)?;
        }
        Ok(Self { socket, path: path.to_owned(), users: [me, service] })
    }

    /// The next message of somebody who may send; `None`: none is there.
    pub(super) fn next(&self) -> Option<String> {
        let mut buffer = [0; MAX_MESSAGE];
        loop {
            let (count, pid, user) = sys::os::receive_datagram(&self.socket, &mut buffer).ok()?;
            if (self.users.contains(&user) || is_ours(pid))
                && let Ok(text) = std::str::from_utf8(&buffer[..count])
            {
                return Some(text.to_owned());
            }
        }
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // somebody may have cleaned up before
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the process descends from this one.
fn is_ours(pid: u32) -> bool {
    let me = std::process::id();
    let mut pid = pid;
    for _ in 0..MAX_DEPTH {
        match sys::stat(pid) {
            Some(stat) if stat.parent == me => return true,
            Some(stat) if stat.parent > 1 => pid = stat.parent,
            Some(_) | None => return false,
        }
    }
    false
}
