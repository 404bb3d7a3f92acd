//! What messages carry: how far a start came, what runs, how it ended.

use crate::wire::{Get, Put, WireError};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCause {
    /// It returned this code.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
    /// Its supervisor was killed, and the tree with it.
    SupervisorKilled,
    /// Nobody saw it end.
    Unknown,
}

/// What a process and its waited-for children used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time in user mode, microseconds.
    pub user_us: u64,
    /// Processor time in the kernel, microseconds.
    pub system_us: u64,
    /// Largest resident size, kilobytes.
    pub max_rss_kb: u64,
}

/// The main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    /// How.
    pub cause: ExitCause,
    /// When, nanoseconds of the real-time clock.
    pub at_ns: u64,
    /// What it used.
    pub usage: Usage,
}

/// How far a start came before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// The hand-over could not be read or is meaningless.
    Spec = 0,
    /// Another shim holds the run's folder.
    Lock = 1,
    /// The run was started before: its folder has records.
    Claimed = 2,
    /// Log files could not be made.
    Log = 3,
    /// The shim's own socket could not be bound.
    Socket = 4,
    /// The notify socket could not be bound.
    Notify = 5,
    /// Pipes or terminal could not be made.
    Output = 6,
    /// `meta` could not be written.
    Meta = 7,
    /// No process could be made.
    Fork = 8,
    /// Joining the cgroup failed.
    Cgroup = 9,
    /// Making session, process group or controlling terminal failed.
    Session = 10,
    /// A limit could not be set.
    Limit = 11,
    /// The groups could not be set.
    Groups = 12,
    /// The user or group id could not be set.
    User = 13,
    /// The shim died meanwhile, or the death signal could not be set.
    Guard = 14,
    /// The working folder could not be entered.
    Cwd = 15,
    /// Standard streams could not be put in place.
    Stdio = 16,
    /// The program could not be executed; ENOENT is "not found".
    Exec = 17,
}

impl Step {
    const ALL: [Self; 18] = [
        Self::Spec,
        Self::Lock,
        Self::Claimed,
        Self::Log,
        Self::Socket,
        Self::Notify,
        Self::Output,
        Self::Meta,
        Self::Fork,
        Self::Cgroup,
        Self::Session,
        Self::Limit,
        Self::Groups,
        Self::User,
        Self::Guard,
        Self::Cwd,
        Self::Stdio,
        Self::Exec,
    ];

    /// The step with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// What was being done, for "could not ...".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Spec => "read what to run",
            Self::Lock => "lock the run's folder",
            Self::Claimed => "start a run that was started before",
            Self::Log => "make the log",
            Self::Socket => "bind the supervisor's socket",
            Self::Notify => "bind the notify socket",
            Self::Output => "make pipes or terminal",
            Self::Meta => "write the run's record",
            Self::Fork => "make a process",
            Self::Cgroup => "join the cgroup",
            Self::Session => "make session or process group",
            Self::Limit => "set the limits",
            Self::Groups => "set the groups",
            Self::User => "change the user",
            Self::Guard => "tie the process to its supervisor",
            Self::Cwd => "enter the working folder",
            Self::Stdio => "put the standard streams in place",
            Self::Exec => "execute the program",
        }
    }
}

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// This shim does not know the request.
    Unsupported = 0,
    /// Not in this phase: nothing runs any more, or not yet.
    NotNow = 1,
    /// Somebody else is the writer.
    Busy = 2,
    /// The service has no terminal to write to.
    NoTerminal = 3,
    /// The system refused; `errno` says why.
    System = 4,
}

/// What a shim is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not executed yet.
    Starting = 0,
    /// The main process lives.
    Running = 1,
    /// The main process lives and was asked to end.
    Stopping = 2,
    /// The main process ended; descendants or the log's rest are left.
    Draining = 3,
    /// Everything is recorded; the shim is about to end.
    Ended = 4,
}

/// A shim's answer to [`Request::Status`](super::Request::Status).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The run's id.
    pub run: String,
    /// What it is doing.
    pub phase: Phase,
    /// The main process, 0 where it never was.
    pub pid: u32,
    /// The main process' start time (proc(5) stat field 22).
    pub start_time: u64,
    /// How the main process ended, once it has.
    pub exited: Option<Exited>,
    /// The log's end: bytes the service has written.
    pub log_end: u64,
    /// Bytes that could not be kept.
    pub log_lost: u64,
    /// Whether the service sent `READY=1`.
    pub notify_ready: bool,
    /// Whether the service sent `STOPPING=1`.
    pub notify_stopping: bool,
    /// The last `STATUS=`.
    pub notify_status: String,
    /// When the last `WATCHDOG=1` came, nanoseconds of the real-time clock; 0: never.
    pub watchdog_ns: u64,
}

pub(super) fn put_failure(out: &mut Put<'_>, step: Step, errno: i32) {
    out.u8(step as u8);
    out.i32(errno);
}

pub(super) fn get_failure(from: &mut Get<'_>) -> Result<(Step, i32), WireError> {
    let number = from.u8("step")?;
    let step = Step::from_number(number).ok_or(WireError::Value { field: "step", value: number.into() })?;
    Ok((step, from.i32("errno")?))
}

pub(super) fn get_refusal(from: &mut Get<'_>) -> Result<Refusal, WireError> {
    match from.u8("reason")? {
        0 => Ok(Refusal::Unsupported),
        1 => Ok(Refusal::NotNow),
        2 => Ok(Refusal::Busy),
        3 => Ok(Refusal::NoTerminal),
        4 => Ok(Refusal::System),
        value => Err(WireError::Value { field: "reason", value: value.into() }),
    }
}

pub(super) fn put_cause(out: &mut Put<'_>, cause: ExitCause) {
    let (kind, value, core) = match cause {
        ExitCause::Code(code) => (0, code, false),
        ExitCause::Signal { signal, core } => (1, signal, core),
        ExitCause::SupervisorKilled => (2, 0, false),
        ExitCause::Unknown => (3, 0, false),
    };
    out.u8(kind);
    out.i32(value);
    out.flag(core);
}

pub(super) fn get_cause(from: &mut Get<'_>) -> Result<ExitCause, WireError> {
    let (kind, value, core) = (from.u8("cause")?, from.i32("cause")?, from.flag("core")?);
    match kind {
        0 => Ok(ExitCause::Code(value)),
        1 => Ok(ExitCause::Signal { signal: value, core }),
        2 => Ok(ExitCause::SupervisorKilled),
        3 => Ok(ExitCause::Unknown),
        value => Err(WireError::Value { field: "cause", value: value.into() }),
    }
}

pub(super) fn put_exited(out: &mut Put<'_>, exited: &Exited) {
    put_cause(out, exited.cause);
    out.u64(exited.at_ns);
    out.u64(exited.usage.user_us);
    out.u64(exited.usage.system_us);
    out.u64(exited.usage.max_rss_kb);
}

pub(super) fn get_exited(from: &mut Get<'_>) -> Result<Exited, WireError> {
    Ok(Exited {
        cause: get_cause(from)?,
        at_ns: from.u64("at_ns")?,
        usage: Usage {
            user_us: from.u64("user_us")?,
            system_us: from.u64("system_us")?,
            max_rss_kb: from.u64("max_rss_kb")?,
        },
    })
}

pub(super) fn put_status(out: &mut Put<'_>, status: &Status) {
    out.text(&status.run);
    out.u8(status.phase as u8);
    out.u32(status.pid);
    out.u64(status.start_time);
    out.option(status.exited.as_ref(), put_exited);
    out.u64(status.log_end);
    out.u64(status.log_lost);
    out.flag(status.notify_ready);
    out.flag(status.notify_stopping);
    out.text(&status.notify_status);
    out.u64(status.watchdog_ns);
}

pub(super) fn get_status(from: &mut Get<'_>) -> Result<Status, WireError> {
    Ok(Status {
        run: from.text("run")?,
        phase: match from.u8("phase")? {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Stopping,
            3 => Phase::Draining,
            4 => Phase::Ended,
            value => return Err(WireError::Value { field: "phase", value: value.into() }),
        },
        pid: from.u32("pid")?,
        start_time: from.u64("start_time")?,
        exited: from.option("exited", get_exited)?,
        log_end: from.u64("log_end")?,
        log_lost: from.u64("log_lost")?,
        notify_ready: from.flag("notify_ready")?,
        notify_stopping: from.flag("notify_stopping")?,
        notify_status: from.text("notify_status")?,
        watchdog_ns: from.u64("watchdog_ns")?,
    })
}
