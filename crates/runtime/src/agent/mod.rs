//! The far side of `remote`: the process driver of a host, served over standard input and output.
//!
//! `muster-agent` is all there is on a host, with `muster-shim` beside it. It starts with the connection and ends with it;
//! shims and services do not notice, exactly as they do not notice the end of a daemon, and the next agent takes them back
//! with the same code. What it keeps is the process driver's: a folder per run with its records and its log, below
//! `~/.local/state/muster-remote/OWNER`, where an owner is one home of Muster on one machine.
//!
//! Frames and their flow are told in the wire's own words (`remote/wire.rs`).

mod channels;
mod follow;
mod place;
mod server;

pub use place::{Place, sha256_of};
#[cfg(test)]
pub(crate) use server::handle as handle_of;
pub use server::{Orphans, serve};
