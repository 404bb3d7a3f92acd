//! The shim as the daemon sees it: real processes, one run each.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod killed;
mod output;
mod protocol;
mod run;
mod talk;
mod tree;
