//! A simulator of histories with faults, and a judge that shares no decision with the machine.
//!
//! ```text
//!  seed ─► stacks   a random stack and its changes
//!       ─► world    runs that live, die, hang, answer late or twice; links that break
//!       ─► history  commands, deaths of the daemon between any two steps, the machine
//!                     └─ oracle   what must hold, from the stack, the commands and what was told
//! ```

mod coverage;
mod history;
mod look;
mod oracle;
mod rng;
mod stacks;
mod starts;
mod world;

pub(crate) use coverage::Coverage;
pub(crate) use history::{Outcome, Plan, play};
