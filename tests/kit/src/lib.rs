//! Real components for tests: container engines, sshd, and hosts that are network namespaces.
//!
//! ```text
//!  cargo xtask test / services up ──► Services: dockerd, podman's service, images ──► MUSTER_TEST_* variables
//!                                                                                          │
//!  a test ──► components::docker("suite") ─────────────────────────────────────────────────┘
//!         └─► Engine: asks the engine itself, past Muster          None: a line `SKIPPED suite: reason`
//! ```
//!
//! Nothing comes from a registry: the images are made from Debian's `busybox-static` ([`images`]). What is started lies
//! below one folder, and is found again by pid and start time, so that engines may stay up between runs of the tests
//! ([`services`]).
#![forbid(unsafe_code)]

pub mod background;
pub mod components;
pub mod docker;
pub mod engine;
pub mod host;
pub mod http;
pub mod images;
pub mod namespace;
mod number;
pub mod podman;
pub mod postgres;
pub mod services;

pub use components::{shown, skip};
pub use engine::Engine;
use std::path::PathBuf;

/// Where tests make their folders: short, since sockets lie below, and on a real disk, as users' are. `MUSTER_TEST_BASE` names
/// another place, like one in memory, where a measurement is to be without the disk's share.
#[must_use]
pub fn base() -> PathBuf {
    let named = std::env::var_os("MUSTER_TEST_BASE").filter(|value| !value.is_empty());
    named.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

/// Why a component cannot be had, in words.
#[derive(Debug)]
pub struct Trouble(String);

/// What the kit's functions give.
pub type Result<T> = std::result::Result<T, Trouble>;

impl Trouble {
    /// One with these words.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// Puts what was being done in front of what went wrong.
    pub fn at(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}
