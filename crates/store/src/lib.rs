//! The journal and the environment registry.
//!
//! ```text
//!  engine ── submit(batch, reply) ──► bounded queue ──► writer thread ──► journal.db (WAL)
//!                                                        │ all queued batches = ONE transaction
//!                                                        │ each batch a savepoint: one that fails takes no other along
//!                                                        └► replies, in order, after the commit
//!         ◄── environments(), runs(), … ── pool of read-only connections: a read never waits behind a write
//!                                          checkpoint thread: moves a WAL that grew over 4 MiB, never inline
//! ```
//!
//! What must survive the death of a process needs no fsync: the page cache outlives a SIGKILL (`synchronous=NORMAL`).
//! What must survive a power cut (environments and their ports, and every batch that is marked
//! [`durable`](Batch::durable)) is committed with `synchronous=FULL`.
//!
//! A database that cannot be read is put aside, never deleted and never a reason not to start: what runs is known from
//! the runs' own folders, the journal explains and remembers what was wanted.
//!
//! Times are nanoseconds since 1970 (REALTIME). JSON columns are opaque texts: their shape belongs to who writes them.
#![forbid(unsafe_code)]

mod apply;
mod checkpoint;
mod error;
mod open;
mod read;
mod rows;
mod schema;
mod store;
mod write;
mod writer;

pub use error::StoreError;
pub use open::Opened;
pub use rows::{EnvironmentRow, InstanceRow, PortRow, RunRow, SuccessRow, Transition, TransitionRow};
pub use schema::SCHEMA_VERSION;
pub use store::Store;
pub use write::{Batch, Committed, Reply, Write};
pub use writer::{QUEUE_LIMIT, RUNS_KEPT, TRANSITIONS_KEPT};
