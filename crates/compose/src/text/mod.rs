//! What stands inside a text: durations, sizes, command lines.
//!
//! Each follows what Docker Compose reads and prints to the letter, its oddities too: that is the point of these modules.

mod bytes;
mod duration;
mod float;
mod words;

pub(crate) use bytes::parse_bytes;
pub use duration::Duration;
pub(crate) use duration::parse_duration;
pub(crate) use float::json_float;
pub(crate) use words::split;
