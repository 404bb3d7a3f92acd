//! One actor per environment: it alone changes anything, one turn after the other.
//!
//! ```text
//!  mailbox ──► turn: machine.step for everything that is queued ──► one commit ──► effects ──► snapshot
//!     ▲                                                                              │
//!     └── spawned, exited, probed, recovered ── tasks per run (launch, watch, prober) ┘
//! ```
//! Nothing that a turn decided is done before its commit: a daemon that dies in between finds the intent in the journal.

mod actor;
mod build;
mod commands;
mod copy;
mod effects;
mod inside;
mod journal;
mod launch;
mod live;
mod message;
mod prober;
mod record;
mod recovery;
mod step;

pub(crate) use actor::{Actor, Seed};
pub(crate) use build::Job;
pub(crate) use effects::exit;
pub(crate) use journal::{event_document, recorded};
pub(crate) use message::{Handle, Message};
pub(crate) use prober::Examined;
pub(crate) use record::{EnvironmentRecord, private_dir};
pub(crate) use recovery::{known, unknown};
