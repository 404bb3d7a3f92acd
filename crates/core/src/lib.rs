//! Everything that decides, and nothing else: no I/O, no clock, no randomness.
//!
//! ```text
//!             Event                                   Effect
//!  command ─┐                                     ┌─ Save      journal first: the state after this step
//!  runtime ─┼─► Machine::step(context, event) ────┼─ Start / Stop / Kill / Recover / Probe ...
//!  probe   ─┤        one per environment          └─ Reply     to the command's sender
//!  tick    ─┘        next_deadline() says when the next tick is due
//! ```
//!
//! [`Machine`] holds what is wanted and what is, per instance, and never mixes the two. `graph` orders, `plan` compares,
//! `restart` and `schedule` are the policies, `why` explains from what was recorded.
#![forbid(unsafe_code)]

mod contract;
pub mod graph;
mod machine;
mod mutant;
pub mod outcome;
pub mod plan;
pub mod restart;
pub mod schedule;
pub mod why;
pub mod words;

pub use contract::{
    Accepted, Cause, Chance, Command, Context, Denial, Effect, Event, Exit, Found, Reply, RequestId, State, Time,
    Transition, View, Wanted,
};
pub use machine::{Header, InstanceRow, Machine, Saved};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
