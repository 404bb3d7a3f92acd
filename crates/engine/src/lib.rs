//! The tokio shell around the core: one actor per environment.
//!
//! ```text
//!  api ──► Engine ──► environment::Handle ──► actor: machine.step ─► store (journal first) ─► runtimes, probes, timers
//!             │                                 │
//!             └── queries ◄── snapshot ─────────┘     reads never wait behind writes
//! ```
//! [`Engine`] finds the environment, the actor alone changes it, `queries` answer from the last snapshot, the journal and
//! the log segments.
#![forbid(unsafe_code)]

mod address;
mod builds;
mod clock;
mod crash;
pub mod documents;
mod drivers;
mod engine;
mod environment;
mod errors;
mod external;
mod inputs;
mod paths;
mod ports;
mod queries;
mod removal;
mod resolve;
mod runtimes;
mod shared;
mod snapshot;
#[cfg(test)]
mod test_support;
mod words;

pub use address::NoWay;
pub use crash::CRASH_POINTS;
pub use engine::{Engine, EngineConfig, OpenError};
pub use errors::CODES;
pub use paths::{Paths, environment_id};
pub use queries::Sample;
pub use runtimes::{Factory, Runtimes, Settings};
pub use words::ended;

/// Major version of the API: a client of another one must not go on.
pub const API_MAJOR: u32 = 1;
