//! process-compose files, run as they are, against what process-compose itself did with them.
//!
//! ```text
//!  expected.json ─► Case ─► World: fresh copy, home, recorder ─► run: up, steps, down ─► compare ─► Row ─► table
//! ```
//! Order comes from the services' own marks ([`recorder`]), states from `status`, lines from `logs`. A difference is
//! either a [`Deviation`] with its reason or fails the test.

pub mod compare;
pub mod deviation;
pub mod expected;
pub mod recorder;
pub mod run;
pub mod steps;
pub mod table;
pub mod world;

pub use compare::Row;
pub use deviation::Deviation;
pub use expected::{Case, Cases, cases, data};
pub use run::run;
pub use table::document;
