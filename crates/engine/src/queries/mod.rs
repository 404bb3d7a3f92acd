//! Answers to questions: from the last snapshot, the journal and the log segments. None of it waits for the actor, but
//! for what only it can resolve.

mod events;
mod graph;
mod health;
mod logs;
mod state;
mod terminal;
mod unready;
mod wait;
mod ways;

pub(crate) use events::async_stream;
pub use state::Sample;
