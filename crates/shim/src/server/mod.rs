//! The shim itself: one thread, one poll loop.
//!
//! ```text
//!  Starting ──► Running ──► Stopping ──► Draining ──► Ended
//!      │           └────────────────────────▲
//!      └── StartFailed, ends                  main ended; Draining ends the rest of the tree
//! ```
//! `setup` comes as far as the running service, `shim` is the loop, `life` decides how the tree ends, `output` carries
//! bytes, `connection`, `requests` and `exec` talk.

mod connection;
mod exec;
mod hold;
mod life;
mod notify;
mod output;
mod requests;
mod setup;
mod shim;

use std::process::ExitCode;

/// Runs as a fork server with the process' arguments, and in each fork as the shim of one run. Its connection carries
/// hello and launch; if it ends before, nothing is started.
pub fn main() -> ExitCode {
    let Some(mut shim) = setup::begin() else { return ExitCode::FAILURE };
    shim.serve();
    ExitCode::SUCCESS
}
