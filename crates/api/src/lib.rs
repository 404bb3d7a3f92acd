//! HTTP/JSON and server-sent events over a unix socket, OpenAPI, and the typed client.
//!
//! ```text
//!  command ──► Client ──► unix socket 0600 ──► server ──► Engine
//!     │          one connection per call         │ peer uid checked, errors are ErrorDocuments
//!     └─ daemon::connect: starts one on demand,  │ streams: NDJSON or SSE; exec and attach: frames after an upgrade
//!        under a lock, told by a pipe            └ daemon::run: opens the engine, serves, ends when idle
//! ```
//!
//! [`routes`] is the one table of what can be asked; [`openapi`] is made from it. [`daemon`] knows where everything lies,
//! how a daemon is started, ended and replaced. [`exit`] holds the exit codes.
#![forbid(unsafe_code)]

pub mod client;
pub mod daemon;
pub mod documents;
pub mod exit;
pub mod frames;
pub mod openapi;
pub mod routes;
pub mod server;

pub use client::{Client, ClientError};
