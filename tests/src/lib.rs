//! The harness of the end-to-end tests: a hermetic home, the built binaries, and an observer who does not ask Muster.
//!
//! ```text
//!  test ──► Home: folders of its own ──► muster ──► daemon ──► muster-shim ──► e2e-worker
//!   │                                                                             │ marks: pid, start time, event, time
//!   └──► observer: /proc and the marks ◄──────────────────────────────────────────┘
//! ```
//!
//! When a [`Home`] is dropped everything is brought down, and /proc is asked whether that is true.
#![forbid(unsafe_code)]

pub mod binaries;
pub mod flood;
pub mod home;
pub mod marks;
pub mod output;
pub mod pc;
pub mod ports;
pub mod proc;
pub mod random;
pub mod site;
pub mod wait;

pub use muster_testkit as kit;
pub use muster_testkit::skip;

pub use home::{Home, Running};
pub use output::Output;
pub use ports::{free_port, free_ports};
pub use proc::Process;
pub use random::Random;
pub use site::Site;
pub use wait::{PATIENCE, wait_for, wait_until};

/// Whether everything is to be tested, however long that takes: `MUSTER_TEST_FULL=1`.
#[must_use]
pub fn full() -> bool {
    std::env::var("MUSTER_TEST_FULL").is_ok_and(|value| value == "1")
}
