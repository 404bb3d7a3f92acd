//! Files to a validated stack: spans, includes, overlays, interpolation, every problem at once; importers.
//!
//! ```text
//!  files ─► tree ─► check ─► include, shorthand ─► merge ─► interpolate ─► build ─► Stack
//!            │        │                               │          │            │
//!          spans   one table of keys            !append !unset   Values     verify
//! ```
//!
//! Every pass reports into one list and keeps going, so that all problems of all files are said at once. Nothing is
//! taken from outside: files and commands come through a [`Host`], the environment and the folder in a [`Request`].
//!
//! Defaults that the language leaves open: probes run every 10 s with 1 s for an answer (`exec` 5 s), because a hundred
//! idle services must not be busy answering; `startup` has 60 s; a job is by default not restarted.
#![forbid(unsafe_code)]

mod build;
mod envfile;
mod environment;
mod files;
mod foreign;
pub mod import;
mod include;
mod interpolate;
mod language;
mod load;
mod merge;
mod origin;
mod print;
mod problem;
mod shorthand;
mod tree;
mod variables;

pub use environment::{environment_id, worktree_name};
pub use files::{Disk, FILE_NAMES, Host, Memory, SourceFile, discover};
pub use language::schema;
pub use load::{Loaded, Request, load, load_document};
pub use origin::Origin;
pub use print::{to_document, to_yaml};
pub use problem::{CODES, Code, Place, Problem, Problems, Said, Severity, render};
