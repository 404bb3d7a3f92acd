//! Log segments: format, rotation, follow, merge by time, search.
//!
//! A run's folder holds segments. `log.NNNNNN` has the bytes exactly as the service wrote them, so `tail -f` and `grep`
//! work on it; `index.NNNNNN` says where they belong: a header with the *offset* of the segment's first byte, then an
//! entry for each change of stream, each 64 KiB and each 10 ms.
//!
//! Offsets count every byte the service wrote since the run began, also those that could not be kept. So
//! a cursor (`run:offset`) stays true across rotation, and a hole is simply a segment that begins later than the one
//! before it ended: readers are told of it as a [`Gap`].
//!
//! - [`Writer`] is the shim's side: it never fails and never waits; what cannot be kept is counted.
//! - [`Redactor`] stars out secrets before they come near a disk.
//! - [`Reader`] gives chunks from a cursor on, without locks; call it again to follow.
//! - [`LineSplitter`], [`Merger`] and [`search`] make lines of chunks.
#![forbid(unsafe_code)]

mod format;
mod lines;
mod merge;
mod reader;
mod redact;
mod search;
mod segment;
mod writer;

pub use format::Stream;
pub use lines::{Line, LineEnd, LineSplitter, MAX_LINE};
pub use merge::{Entry, Merger};
pub use reader::{Batch, Chunk, Gap, GapCause, Item, LogError, Reader};
pub use redact::Redactor;
pub use search::{Search, search};
pub use writer::{DEFAULT_KEEP, MIN_KEEP, Writer};
