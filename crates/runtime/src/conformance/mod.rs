//! What every runtime must do, as clauses that any driver can be held against.
//!
//! A [`Harness`] supplies a runtime, a second one over the same world (the daemon that comes after ours died), programs
//! for it, and an observer that looks past the runtime. [`check`] runs all [`CLAUSES`] and gives a [`Report`], which
//! prints as a table. A clause that needs a capability the runtime does not declare does not apply to it; neither does
//! one for which the harness says why.

mod beside;
mod harness;
mod kit;
mod life;
mod output;
mod report;
mod survival;

pub use harness::{Harness, Miss, Program, Verdict};
pub use report::{Outcome, Report, check, table};

use crate::contract::Capability;
use futures::future::{BoxFuture, FutureExt as _};

/// One promise of the contract.
#[derive(Clone, Copy)]
pub struct Clause {
    /// What it is called in the table.
    pub name: &'static str,
    /// Without this capability it does not apply.
    pub needs: Option<Capability>,
    /// Holds a runtime against it.
    pub run: for<'a> fn(&'a dyn Harness) -> BoxFuture<'a, Verdict>,
}

macro_rules! clauses {
    ($($name:literal, $needs:expr, $run:path;)*) => {
        /// All clauses, in the order of the table.
        pub const CLAUSES: &[Clause] = &[$(Clause { name: $name, needs: $needs, run: |harness| $run(harness).boxed() }),*];
    };
}

clauses! {
    "start", None, life::start;
    "early-exit", None, life::early_exit;
    "exit-code", None, life::exit_code;
    "signal-death", None, life::signal_death;
    "program-not-found", None, life::not_found;
    "stop-obeyed", None, life::stop_obeyed;
    "stop-escalated", None, life::stop_escalated;
    "stop-tree", None, life::stop_tree;
    "escapees-end", Some(Capability::EndsEscapees), life::escapees_end;
    "signal", Some(Capability::Signals), life::signal;
    "fifty-at-once", None, life::fifty_at_once;
    "port-conflict", None, life::port_conflict;
    "notify", Some(Capability::Notify), life::notify;
    "logs-from-a-cursor", None, output::logs_from_a_cursor;
    "streams-apart", Some(Capability::SeparateStreams), output::streams_apart;
    "log-rotation-gap", None, output::rotation_gap;
    "secrets-redacted", None, output::secrets_redacted;
    "environment-exact", None, output::environment_exact;
    "working-directory", None, output::working_directory;
    "user", Some(Capability::User), output::user;
    "limit-files", Some(Capability::LimitFiles), output::limit_files;
    "exec", Some(Capability::Exec), beside::exec;
    "exec-codes", Some(Capability::Exec), beside::exec_codes;
    "exec-dies-with-client", Some(Capability::Exec), beside::exec_dies_with_client;
    "attach", Some(Capability::Attach), beside::attach;
    "inspect", Some(Capability::Usage), beside::inspect;
    "start-twice", None, survival::start_twice;
    "start-cancelled", None, survival::start_cancelled;
    "recover-running", None, survival::recover_running;
    "recover-ended", None, survival::recover_ended;
    "absent", None, survival::absent;
    "unverifiable", None, survival::unverifiable;
    "list", None, survival::list;
    "destroy-twice", None, survival::destroy_twice;
    "supervisor-killed", None, survival::supervisor_killed;
}
