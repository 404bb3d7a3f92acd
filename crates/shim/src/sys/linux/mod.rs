//! Linux: /proc, pidfds, `SCM_RIGHTS`, `posix_spawn`.

pub(crate) mod child;
mod clock;
mod fds;
mod forks;
pub(crate) mod os;
pub(crate) mod pipes;
mod process;
mod spawn;
mod title;
mod tree;

pub use clock::{monotonic_ns, realtime_ns};
pub use fds::{recv_with_fds, send_with_fds};
pub use forks::ForkServer;
pub(crate) use forks::serve;
pub(crate) use process::stat;
pub use process::{boot_id, is_alive, proc_start_time};
pub use spawn::Spawned;
pub(crate) use tree::descendants;
pub use tree::{end_leftovers, kill_marked, kill_tree};
