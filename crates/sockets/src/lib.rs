//! Who listens on a port of this machine, and whose processes those are.
//!
//! The daemon asks it of its own machine, and `muster-agent` of the host that it runs on: both decide by the same code
//! whether a port is a service's own, and name whoever else has it.
#![forbid(unsafe_code)]

mod sys;

pub use sys::process_tree;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Who holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// The program's name, as `ps` shows it.
    pub command: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.pid, self.command)
    }
}

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

/// Who listens on a port, seen from a process tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// The tree, by the socket of this number.
    Tree(u64),
    /// Perhaps the tree: some of its descriptors cannot be seen, and nobody else has it.
    Hidden,
    /// Somebody else, by name where that can be seen.
    Other(Option<Owner>),
}

/// A port that cannot be had, and who has it where that can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// Who has it.
    pub owner: Option<Owner>,
}

/// By whom: for people.
impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => owner.fmt(f),
            None => f.write_str("a process of another user"),
        }
    }
}

/// Whether a port can be bound now. Asks for 127.0.0.1: that is where services are reached.
#[must_use]
pub fn can_bind(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Who has a port that cannot be bound now. Costs little where it can; else as [`port_owner`].
#[must_use]
pub fn taken(port: u16) -> Option<Taken> {
    (!can_bind(port)).then(|| Taken { port, owner: port_owner(port) })
}

/// Who listens on a port, or `None` when nobody does or the owner cannot be seen. Looks at all processes: milliseconds,
/// not for the thread that everybody shares.
#[must_use]
pub fn port_owner(port: u16) -> Option<Owner> {
    let sockets = listening_on(port).ok()?;
    sys::owners(&sockets).into_values().next()
}

/// All TCP sockets in LISTEN with their owners, by port.
///
/// # Errors
/// When the system does not tell.
pub fn listeners() -> io::Result<Vec<Listener>> {
    let mut sockets = sys::listening(None)?;
    let inodes: Vec<u64> = sockets.iter().map(|(_, inode)| *inode).collect();
    let mut owners = sys::owners(&inodes);
    sockets.sort_unstable_by_key(|(address, _)| (address.port(), address.ip()));
    Ok(sockets.into_iter().map(|(address, inode)| Listener { address, inode, owner: owners.remove(&inode) }).collect())
}

/// The numbers of the sockets in LISTEN on a port, in any address family: microseconds.
///
/// # Errors
/// When the system does not tell.
pub fn listening_on(port: u16) -> io::Result<Vec<u64>> {
    Ok(sys::listening(Some(port))?.into_iter().map(|(_, inode)| inode).collect())
}

/// Who of the trees below `roots`, or else of all processes, has one of these sockets, of which there is one at least.
/// Looks at all processes where the trees have none: not for the thread that everybody shares.
#[must_use]
pub fn holder_of(sockets: &[u64], roots: &[u32]) -> Holder {
    sys::holder(sockets, roots)
}

/// Who listens on a port, seen from the trees below `roots`. As [`holder_of`].
///
/// # Errors
/// When the system does not tell.
pub fn holder(port: u16, roots: &[u32]) -> io::Result<Holder> {
    let sockets = listening_on(port)?;
    Ok(if sockets.is_empty() { Holder::Nobody } else { sys::holder(&sockets, roots) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_its_holders() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let us = std::process::id();
        assert!(matches!(holder(port, &[us]).unwrap(), Holder::Tree(_)));
        let Holder::Other(Some(owner)) = holder(port, &[]).unwrap() else { panic!("it is somebody's") };
        assert_eq!(owner.pid, us);
        assert_eq!(taken(port), Some(Taken { port, owner: Some(owner.clone()) }));
        assert_eq!(taken(port).unwrap().to_string(), format!("pid {us} ({})", owner.command));
    }

    #[test]
    fn a_port_that_nobody_listens_on_may_be_taken() {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&bound, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = SocketAddr::try_from(getsockname(&bound).unwrap()).unwrap().port();
        assert_eq!(holder(port, &[]).unwrap(), Holder::Nobody);
        assert_eq!(taken(port).unwrap().to_string(), "a process of another user");
    }
}
