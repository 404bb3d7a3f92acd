//! The server: the table of routes over an engine, on a unix socket.
//!
//! A connection is accepted from our own uid or root and from nobody else; `Host` and `Origin` mean nothing here because
//! no browser can open a unix socket. Every error is an [`ErrorDocument`] with a fitting HTTP status.

mod failure;
mod handlers;
mod listen;
mod metrics;
mod streams;
mod terminal;

pub use listen::{Bound, Serving, serve};

use muster_engine::Engine;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// How many wishes about the daemon itself may wait: the second of them finds it ending already.
pub const CONTROL_QUEUE: usize = 4;

/// A wish about the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// End; services were dealt with already.
    Stop,
    /// Go on as this binary.
    Upgrade(PathBuf),
}

/// What handlers share.
#[derive(Clone)]
pub struct App {
    /// Everything that is asked goes here.
    pub engine: Engine,
    /// Wishes about the daemon itself.
    pub control: mpsc::Sender<Control>,
    /// Version of the binary, for the OpenAPI document.
    pub version: String,
}
