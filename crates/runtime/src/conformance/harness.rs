//! What a driver brings to be held against the clauses.

use crate::contract::Runtime;
use futures::future::BoxFuture;
use muster_spec::{EnvironmentId, InstanceSpec, ResolvedCommand, RunId};
use std::sync::Arc;

/// Why a clause was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// It does not apply, for this reason.
    NotApplicable(String),
    /// The runtime broke it.
    Broken(String),
}

impl From<String> for Miss {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

/// The outcome of one clause.
pub type Verdict = Result<(), Miss>;

/// A service program, for the harness to write in whatever its runtime runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Runs until a signal ends it.
    Forever,
    /// Runs until a signal ends it; one process that the observer finds by the mark.
    Marked(String),
    /// Ends with a code after so many milliseconds.
    Exits(u64, i32),
    /// Sends itself a signal.
    DiesBySignal(i32),
    /// Says `up`, then ends with this code when it gets TERM.
    OnTerm(i32),
    /// Says `up`, then ignores TERM.
    IgnoresTerm,
    /// Says `up` when a child with the mark runs; both stay in the group.
    Tree(String),
    /// Says `up` when a descendant with the mark has left the session and its parent is gone.
    Escapes(String),
    /// Says `up`, then `usr1` when it gets USR1.
    SaysUsr1,
    /// Writes `line 0` to `line n-1` and ends with 0.
    Lines(usize),
    /// Writes so many KiB in lines of 64 bytes and ends with 0.
    Kibibytes(usize),
    /// Writes `out` to standard output, `err` to standard error, and ends with 0.
    BothStreams,
    /// Writes a text and ends with 0.
    Says(String),
    /// Writes its environment, `NAME=value` lines, and ends with 0.
    SaysEnvironment,
    /// Writes its working directory and ends with 0.
    SaysDirectory,
    /// Writes its numeric user id and ends with 0.
    SaysUser,
    /// Writes its limit on open files and ends with 0.
    SaysFileLimit,
    /// Sends a text to its notify socket, then runs until a signal ends it.
    Notifies(String),
    /// Listens on a TCP port of this machine and says `up`; ends with 9 when the port is taken.
    Listens(u16),
    /// Repeats every line that comes, behind `got `.
    Echoes,
    /// A file that is not there.
    NotThere,
}

/// A runtime under test and its surroundings.
pub trait Harness: Send + Sync {
    /// For the table.
    fn name(&self) -> &'static str;

    /// The environment that all runs of the test belong to.
    fn environment(&self) -> EnvironmentId;

    /// The runtime of the daemon that lives now.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// A new runtime over the same world, which knows nothing: that of the daemon after ours died.
    ///
    /// # Errors
    /// Where none can be made.
    fn successor(&self) -> Result<Arc<dyn Runtime>, String>;

    /// Writes a program for a run.
    ///
    /// # Errors
    /// [`Miss::NotApplicable`] where this runtime cannot run such a program.
    fn command(&self, run: &RunId, program: &Program) -> Result<ResolvedCommand, Miss>;

    /// A spec as this runtime takes it: what stands elsewhere for it, a container's user for example, is put there.
    fn adapt(&self, spec: InstanceSpec) -> InstanceSpec {
        spec
    }

    /// Variables that a program finds beside those that it was given, because its surroundings have them.
    fn surroundings(&self) -> &'static [&'static str] {
        &[]
    }

    /// How many processes carry a mark, seen past the runtime.
    ///
    /// # Errors
    /// [`Miss::NotApplicable`] where nothing can be seen.
    fn observe(&self, mark: &str) -> Result<usize, Miss>;

    /// Kills what supervises a run, and nothing else.
    fn kill_supervisor<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Verdict>;

    /// Makes a run unverifiable, or verifiable again.
    fn doubt<'a>(&'a self, run: &'a RunId, doubt: bool) -> BoxFuture<'a, Verdict>;
}
