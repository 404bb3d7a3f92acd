//! What only the system knows: sockets in LISTEN, and the descriptors and children of processes.
//!
//! The portable meaning: [`listening`] are the TCP sockets in LISTEN of this machine, by address and number;
//! [`process_tree`] is a process with all its descendants; [`owners`] are those who have a socket open.

mod proc;
mod sock_diag;

pub use proc::process_tree;
pub(crate) use proc::{holder, owners};

use std::io;
use std::net::SocketAddr;

/// sock_diag answers for one port in microseconds; where it is not allowed (some sandboxes), /proc/net is read.
pub(crate) fn listening(port: Option<u16>) -> io::Result<Vec<(SocketAddr, u64)>> {
    sock_diag::listening(port).or_else(|_| proc::listening(port))
}
