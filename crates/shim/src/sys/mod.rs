//! What only the operating system can tell or do.
//!
//! Portable meaning: processes are known by id and start time within one boot; a tree is everything that descends from
//! a process, found by asking the system; descriptors travel over unix sockets. Another system is another file beside
//! `linux`.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::{
    ForkServer, Spawned, boot_id, end_leftovers, is_alive, kill_marked, kill_tree, monotonic_ns, proc_start_time,
    realtime_ns, recv_with_fds, send_with_fds,
};
#[cfg(target_os = "linux")]
pub(crate) use linux::{child, descendants, os, pipes, serve, stat};
