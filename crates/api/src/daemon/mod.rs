//! The daemon itself: where it lies, how it is started, ended and replaced.
//!
//! ```text
//!  connect ──► socket answers? ── yes ─► Client
//!                  │ no: flock start.lock, look again, spawn `muster daemon run --detached`, wait for "ready" on a pipe
//!  run ──► flock daemon.lock ─► bind ─► Engine::open ─► serve ─► idle 60 s | SIGTERM | stop: end, services run on
//!                                                          └──► upgrade: exec the new binary with the listening socket
//!                                                               as its standard input; a guard of the old binary takes
//!                                                               the socket back when the new one does not get ready
//! ```
//!
//! `exec` keeps the process id: supervisors stay our children and the subreaper stays the subreaper.

mod error;
mod handover;
mod hosts;
mod paths;
mod run;
mod shim;
mod start;

pub use error::DaemonError;
pub use handover::{guard, probe_binary};
pub use hosts::{EmbeddedHost, find_hosts};
pub use paths::{Paths, SUN_PATH};
pub use run::{RunOptions, run};
pub use shim::{ShimSource, find_shim};
pub use start::{connect, running, wait_until_gone};

/// The word on the readiness pipe that says that the daemon answers.
const READY: &str = "ready";

/// Set for a daemon whose standard input is the listening socket of the one before.
const TAKEOVER: &str = "MUSTER_TAKEOVER";

/// The limit of open files from before the first daemon raised it, as `soft:hard`: services get it.
const ORIGINAL_NOFILE: &str = "MUSTER_ORIGINAL_NOFILE";

/// Process id of the guard that a replaced daemon left.
const GUARD: &str = "MUSTER_GUARD";

/// Identity of a binary: cheap to know, different after every build. Empty when the file cannot be read.
#[must_use]
pub fn build_of(binary: &std::path::Path) -> String {
    use sha2::{Digest, Sha256};
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = std::fs::metadata(binary) else { return String::new() };
    let text = format!("{} {} {}", meta.size(), meta.mtime(), meta.mtime_nsec());
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}
