//! What goes into the machine and what comes out: the only words that the engine and the core share.

mod effect;
mod event;
mod state;

pub use effect::{Denial, Effect, Reply};
pub use event::{Command, Event};
pub use state::{Cause, State, Transition, View, Wanted};

use muster_spec::{InstanceId, Stack};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A point on the monotonic clock of this boot, in nanoseconds (`CLOCK_MONOTONIC`: stands still in a suspend, so that
/// no deadline fires because a laptop slept).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// This point and a duration later.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it is since `earlier`; zero when that is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What a step may know of the world.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Now.
    pub now: Time,
    /// Fresh randomness, for jitter.
    pub random: u64,
}

/// A stack that was accepted, with what the engine computed about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The stack.
    pub stack: Arc<Stack>,
    /// Per instance: changes when anything that matters for the running instance does.
    pub hashes: BTreeMap<InstanceId, String>,
    /// Jobs whose last success had this spec and these inputs: they need not run again.
    pub satisfied: BTreeSet<InstanceId>,
}

/// A number that the sender of a command chose, to find its reply.
pub type RequestId = u64;

/// Whether trying again can help a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chance {
    /// It can: the process table was full, a port was taken.
    Again,
    /// It cannot.
    Never {
        /// What a shell would answer, where the program is the reason: 126 not executable, 127 not found.
        code: Option<i32>,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself, with a code from 0 to 255.
    Code(i32),
    /// A signal ended it, by number.
    Signal(i32),
    /// Its supervisor was killed; the tree was ended.
    SupervisorKilled,
    /// Somebody else removed it: a wish of a person, so nothing is due.
    Removed,
    /// It is gone and nobody saw how.
    Unknown,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match muster_spec::Signal::from_number(*number) {
                Ok(signal) => write!(f, "signal {signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
            Self::SupervisorKilled => f.write_str("supervisor killed"),
            Self::Removed => f.write_str("its removal by someone else"),
            Self::Unknown => f.write_str("exit unknown"),
        }
    }
}

/// What became of a run that was known before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It is alive and verified to be ours.
    Running,
    /// It ended meanwhile.
    Exited(Exit),
    /// It never came to be.
    Absent,
    /// It cannot be told: hands off.
    Unverifiable(String),
}
