//! What only the operating system can tell or do.
//!
//! Portable meaning: a process is pinned by a descriptor, reaped by that descriptor and never by "any child"; a tree is
//! everything that descends from a process; orphans of our descendants become our children. Another system is another
//! file beside `linux`.

#[cfg(all(target_os = "linux", feature = "container"))]
mod first_to_end;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(all(target_os = "linux", feature = "container"))]
pub(crate) use first_to_end::FirstToEnd;
#[cfg(target_os = "linux")]
pub use linux::become_subreaper;
#[cfg(target_os = "linux")]
pub(crate) use linux::{
    ProcessUse, descendants, end_orphans, ended, has_ended, is_root, lock_folder, open_pidfd, process_use, reap,
    signal_pidfd, signal_programs, tracer,
};
#[cfg(target_os = "linux")]
pub use memory::release_memory;
