//! Policies: when to restart, how to stop, what may be used.

use crate::{ByteSize, CommandSpec, HumanDuration};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a need waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// It was spawned.
    Started,
    /// Its readiness checks passed.
    Ready,
    /// It is ready and its liveness checks pass.
    Healthy,
    /// A job that succeeded.
    Done,
    /// It ended, however, and nothing is due.
    Exited,
}

/// What a restart of the needed service does to the one that needs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRestart {
    /// What runs stays; what starts needs the new run.
    #[default]
    Wait,
    /// It is restarted as well.
    With,
    /// The need only counts for the first start.
    Ignore,
}

/// After which ends a service is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartOn {
    /// After every end.
    Always,
    /// After an end that is not a success.
    Failure,
    /// Never.
    Never,
}

/// The wait before a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// The first failure in a window restarts at once, then the wait doubles from `min` to `max`, with jitter.
    Exponential {
        /// First wait.
        min: HumanDuration,
        /// Longest wait.
        max: HumanDuration,
    },
    /// The same wait before every restart.
    Constant(HumanDuration),
}

/// So many restarts in so long a time, then the circuit opens and the service is `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartWindow {
    /// Restarts allowed within `per`; 0 opens the circuit at the first failure.
    pub count: u32,
    /// Length of the window.
    pub per: HumanDuration,
}

/// When and how a service that ended is started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// After which ends.
    pub on: RestartOn,
    /// How long to wait.
    pub backoff: Backoff,
    /// When to give up, by rate.
    pub limit: Option<RestartWindow>,
    /// When to stop restarting, by number in one generation: then nothing is due, and the last exit decides.
    pub max: Option<u32>,
}

impl Default for RestartPolicy {
    /// `{ on: failure, backoff: 200ms..30s, limit: 5 per 60s }`
    fn default() -> Self {
        Self {
            on: RestartOn::Failure,
            backoff: Backoff::Exponential { min: HumanDuration::from_millis(200), max: HumanDuration::from_secs(30) },
            limit: Some(RestartWindow { count: 5, per: HumanDuration::from_secs(60) }),
            max: None,
        }
    }
}

/// What failing liveness does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnhealthyPolicy {
    /// The service is stopped and started again, counted by the restart policy.
    #[default]
    Restart,
    /// It is only shown.
    Ignore,
}

/// What the end of a service does to an attached `up`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnEnd {
    /// Nothing.
    #[default]
    Keep,
    /// The attached `up` ends with this service's code.
    End,
}

/// A POSIX signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signal(i32);

/// Not a name or number of a signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a signal: write `TERM`, `INT`, `HUP`, `QUIT`, `USR1`, `USR2`, `KILL` or a number from 1 to 31")]
pub struct UnknownSignal(pub String);

/// Names and numbers as on Linux for x86 and arm (signal(7)).
const SIGNALS: [(&str, i32); 20] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("WINCH", 28),
];

impl Signal {
    /// SIGTERM
    pub const TERM: Self = Self(15);
    /// SIGINT
    pub const INT: Self = Self(2);
    /// SIGHUP
    pub const HUP: Self = Self(1);
    /// SIGKILL
    pub const KILL: Self = Self(9);

    /// The number of the signal on this machine.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// A signal by number.
    ///
    /// # Errors
    /// [`UnknownSignal`] outside of 1 to 31.
    pub fn from_number(number: i32) -> Result<Self, UnknownSignal> {
        if (1..=31).contains(&number) { Ok(Self(number)) } else { Err(UnknownSignal(number.to_string())) }
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match SIGNALS.iter().find(|(_, n)| *n == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if let Ok(number) = text.parse() {
            return Self::from_number(number);
        }
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        SIGNALS
            .iter()
            .find(|(name, _)| *name == bare)
            .map(|(_, n)| Self(*n))
            .ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

impl TryFrom<String> for Signal {
    type Error = UnknownSignal;
    fn try_from(text: String) -> Result<Self, UnknownSignal> {
        text.parse()
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> String {
        signal.to_string()
    }
}

/// Who a signal goes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The service's process group.
    #[default]
    Group,
    /// The main process only.
    Main,
}

/// How a service is asked to stop, and when it is made to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSpec {
    /// The signal that asks.
    pub signal: Signal,
    /// Who it goes to.
    pub to: Target,
    /// How long until KILL for the whole tree.
    pub grace: HumanDuration,
    /// Runs instead of the signal; when it ends with a failure, KILL follows at once.
    pub command: Option<CommandSpec>,
}

impl Default for StopSpec {
    /// TERM to the group, 10 s.
    fn default() -> Self {
        Self { signal: Signal::TERM, to: Target::Group, grace: HumanDuration::from_secs(10), command: None }
    }
}

/// What an instance may use; what is not given is not limited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory: cgroup `memory.max` where delegated, else `RLIMIT_AS`.
    pub memory: Option<ByteSize>,
    /// Cores, as a fraction; needs a cgroup.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
}

/// What is kept of a service's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPolicy {
    /// Bytes kept on disk per run.
    pub keep: ByteSize,
    /// `json` lines are understood by `logs`; the bytes on disk are what was written.
    pub json: bool,
    /// A file that gets a copy of every line, as other tools' files ask for.
    pub copy_to: Option<std::path::PathBuf>,
}

impl Default for LogPolicy {
    /// 64 MiB
    fn default() -> Self {
        Self { keep: ByteSize::from_mib(64), json: false, copy_to: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(text.parse(), Ok(Signal::TERM));
        }
        assert_eq!(Signal::HUP.to_string(), "HUP");
        assert_eq!("31".parse::<Signal>().unwrap().to_string(), "31");
        assert!("NOPE".parse::<Signal>().is_err());
        assert!("64".parse::<Signal>().is_err());
    }
}
