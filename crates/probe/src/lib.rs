//! Probes: one attempt of a check, and a service's own health details.
//!
//! ```text
//!  spec::Check ── ResolvedCheck::resolve(check, resolver) ──► ResolvedCheck      templates are gone
//!                                                               │
//!  ProbeContext (one per run: pids, log, notify) ───────────────┤
//!                                                               ▼
//!                                       attempt(check, context, timeout) ──► Pass | Fail(reason)
//! ```
//!
//! *When* an attempt is made and what its answer means is decided elsewhere. An attempt holds nothing after it ended:
//! no connection, no process. Dropping its future ends it, and the process group of an `exec` with it.
//!
//! Reasons are written to be shown: short, with the address, the status or the last line that says why.
#![forbid(unsafe_code)]

mod attempt;
mod check;
mod context;
mod details;
mod exec;
mod grpc;
mod http;
mod inside;
mod listens;
mod log;
mod net;
mod pattern;
mod resolve;
mod sys;
mod tls;

pub use attempt::{Outcome, attempt};
pub use check::{ResolvedCheck, ResolvedHttp, ResolvedMatcher};
pub use context::ProbeContext;
pub use details::{DetailsError, ResolvedDetails, details, grpc_call};
pub use inside::{Inside, Ran};
pub use listens::HeldThere;
pub use log::{LogSource, LogWatch};
pub use pattern::{Pattern, PatternError};
pub use resolve::{Place, ResolveError, Resolver};
