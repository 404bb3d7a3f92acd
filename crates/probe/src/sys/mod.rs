//! What only the system knows: who listens, who is whose child, and the end of a process group.
//!
//! The portable meaning: [`listeners`] are the TCP sockets in LISTEN of this machine; [`process_tree`] is a process with
//! all its descendants; [`ended`] waits for the end of a child without taking its exit status.

mod linux;
mod proc;
mod sock_diag;

pub(crate) use linux::{ended, kill_group, reap_group};
pub(crate) use proc::{Holder, holder};
pub use proc::{Owner, process_tree};

use std::io;
use std::net::SocketAddr;

/// A TCP socket in LISTEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The socket's number.
    pub inode: u64,
    /// Who holds it, where that can be seen.
    pub owner: Option<Owner>,
}

/// Who listens on a port of this machine, or `None` when nobody does or the owner cannot be seen. Looks at all
/// processes: milliseconds, not for the thread that everybody shares.
#[must_use]
pub fn port_owner(port: u16) -> Option<Owner> {
    let sockets = listening_inodes(port).ok()?;
    proc::owners(&sockets).into_values().next()
}

/// All TCP sockets in LISTEN with their owners, by port.
///
/// # Errors
/// When the system does not tell.
pub fn listeners() -> io::Result<Vec<Listener>> {
    let mut sockets = listening(None)?;
    let inodes: Vec<u64> = sockets.iter().map(|(_, inode)| *inode).collect();
    let mut owners = proc::owners(&inodes);
    sockets.sort_unstable_by_key(|(address, _)| (address.port(), address.ip()));
    Ok(sockets.into_iter().map(|(address, inode)| Listener { address, inode, owner: owners.remove(&inode) }).collect())
}

/// The sockets in LISTEN on a port, in any address family.
pub(crate) fn listening_inodes(port: u16) -> io::Result<Vec<u64>> {
    Ok(listening(Some(port))?.into_iter().map(|(_, inode)| inode).collect())
}

/// sock_diag answers for one port in microseconds; where it is not allowed (some sandboxes), /proc/net is read.
fn listening(port: Option<u16>) -> io::Result<Vec<(SocketAddr, u64)>> {
    sock_diag::listening(port).or_else(|_| proc::listening(port))
}
