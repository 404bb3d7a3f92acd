//! What a shim answers and tells.

use super::Version;
use super::request::{get_version, put_version};
use crate::wire::{Get, Put, RawFrame, WireError};
use muster_logs::Stream;

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

/// A frame from shim to client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Answers the client's hello.
    Hello {
        /// What the shim speaks.
        version: Version,
        /// The run it supervises.
        run: String,
    },
    /// The request was done.
    Done {
        /// The request.
        seq: u32,
    },
    /// The request was not done.
    Refused {
        /// The request.
        seq: u32,
        /// Why.
        reason: Refusal,
        /// The system's error, or 0.
        errno: i32,
    },
    /// Answers [`Request::Status`](super::Request::Status).
    Status {
        /// The request.
        seq: u32,
        /// The answer.
        status: Box<Status>,
    },
    /// Answers [`Request::Tail`](super::Request::Tail).
    Tail {
        /// The request.
        seq: u32,
        /// Offset of the first byte.
        offset: u64,
        /// The lines' bytes.
        bytes: Vec<u8>,
    },
    /// Answers [`Request::GiveFds`](super::Request::GiveFds); the descriptors come with the frame's first byte, in this
    /// order.
    Fds {
        /// The request.
        seq: u32,
        /// What each descriptor carries.
        streams: Vec<Stream>,
    },
    /// The program was executed.
    Started {
        /// The main process.
        pid: u32,
        /// Its start time (proc(5) stat field 22).
        start_time: u64,
    },
    /// The start failed; the shim ends.
    StartFailed {
        /// How far it came.
        step: Step,
        /// Why.
        errno: i32,
    },
    /// The log grew to this offset. Told at most every few milliseconds.
    LogGrew {
        /// The log's end.
        offset: u64,
    },
    /// The service sent this to its notify socket.
    Notify {
        /// As it came: lines of `KEY=value`.
        text: String,
    },
    /// The main process ended.
    Exited(Exited),
    /// The tree is empty, the log complete, `exit` written: a successor may start.
    Ended {
        /// The log's end.
        log_end: u64,
        /// Bytes that could not be kept.
        log_lost: u64,
    },
    /// Output of the exec or the attached service.
    Stdout(Vec<u8>),
    /// Error output of the exec or the attached service.
    Stderr(Vec<u8>),
    /// The exec ended, all its output was sent; nothing follows.
    ExecExited(ExitCause),
    /// An attached client was too slow: this many bytes were not sent (they are in the log).
    Lagged {
        /// How many.
        bytes: u64,
    },
    /// The exec could not be started; nothing follows.
    ExecFailed {
        /// How far it came.
        step: Step,
        /// Why.
        errno: i32,
    },
    /// A kind that this build does not know.
    Unknown {
        /// The kind.
        kind: u8,
    },
}

const HELLO: u8 = 129;
const DONE: u8 = 130;
const REFUSED: u8 = 131;
const STATUS: u8 = 132;
const TAIL: u8 = 133;
const FDS: u8 = 134;
const STARTED: u8 = 135;
const START_FAILED: u8 = 136;
const LOG_GREW: u8 = 137;
const NOTIFY: u8 = 138;
const EXITED: u8 = 139;
const ENDED: u8 = 140;
const STDOUT: u8 = 141;
const STDERR: u8 = 142;
const EXEC_EXITED: u8 = 143;
const LAGGED: u8 = 144;
const EXEC_FAILED: u8 = 145;
/// Kinds below belong to requests.
const FIRST_MESSAGE: u8 = 128;

impl Message {
    /// Appends the message as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { version, run } => Put::frame(out, HELLO, |out| {
                put_version(out, *version);
                out.text(run);
            }),
            Self::Done { seq } => Put::frame(out, DONE, |out| out.u32(*seq)),
            Self::Refused { seq, reason, errno } => Put::frame(out, REFUSED, |out| {
                out.u32(*seq);
                out.u8(*reason as u8);
                out.i32(*errno);
            }),
            Self::Status { seq, status } => Put::frame(out, STATUS, |out| {
                out.u32(*seq);
                put_status(out, status);
            }),
            Self::Tail { seq, offset, bytes } => Put::frame(out, TAIL, |out| {
                out.u32(*seq);
                out.u64(*offset);
                out.bytes(bytes);
            }),
            Self::Fds { seq, streams } => Put::frame(out, FDS, |out| {
                out.u32(*seq);
                out.list(streams, |out, stream| out.u8(stream.number()));
            }),
            Self::Started { pid, start_time } => Put::frame(out, STARTED, |out| {
                out.u32(*pid);
                out.u64(*start_time);
            }),
            Self::StartFailed { step, errno } => Put::frame(out, START_FAILED, |out| put_failure(out, *step, *errno)),
            Self::LogGrew { offset } => Put::frame(out, LOG_GREW, |out| out.u64(*offset)),
            Self::Notify { text } => Put::frame(out, NOTIFY, |out| out.text(text)),
            Self::Exited(exited) => Put::frame(out, EXITED, |out| put_exited(out, exited)),
            Self::Ended { log_end, log_lost } => Put::frame(out, ENDED, |out| {
                out.u64(*log_end);
                out.u64(*log_lost);
            }),
            Self::Stdout(bytes) => Self::encode_output(out, Stream::Stdout, bytes),
            Self::Stderr(bytes) => Self::encode_output(out, Stream::Stderr, bytes),
            Self::ExecExited(cause) => Put::frame(out, EXEC_EXITED, |out| put_cause(out, *cause)),
            Self::Lagged { bytes } => Put::frame(out, LAGGED, |out| out.u64(*bytes)),
            Self::ExecFailed { step, errno } => Put::frame(out, EXEC_FAILED, |out| put_failure(out, *step, *errno)),
            Self::Unknown { kind } => Put::frame(out, *kind, |_| ()),
        }
    }

    /// Appends output as one frame without owning it; a terminal's output counts as stdout.
    pub fn encode_output(out: &mut Vec<u8>, stream: Stream, bytes: &[u8]) {
        let kind = match stream {
            Stream::Stdout | Stream::Tty => STDOUT,
            Stream::Stderr => STDERR,
        };
        Put::frame(out, kind, |out| out.0.extend_from_slice(bytes));
    }

    /// The message as one frame of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Where the body does not fit the kind, or the kind is a request's.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, WireError> {
        let mut from = Get(frame.body);
        let from = &mut from;
        Ok(match frame.kind {
            HELLO => Self::Hello { version: get_version(from)?, run: from.text("run")? },
            DONE => Self::Done { seq: from.u32("seq")? },
            REFUSED => Self::Refused { seq: from.u32("seq")?, reason: get_refusal(from)?, errno: from.i32("errno")? },
            STATUS => Self::Status { seq: from.u32("seq")?, status: Box::new(get_status(from)?) },
            TAIL => {
                Self::Tail { seq: from.u32("seq")?, offset: from.u64("offset")?, bytes: from.bytes("bytes")?.to_vec() }
            }
            FDS => Self::Fds { seq: from.u32("seq")?, streams: from.list("streams", get_stream)? },
            STARTED => Self::Started { pid: from.u32("pid")?, start_time: from.u64("start_time")? },
            START_FAILED => {
                let (step, errno) = get_failure(from)?;
                Self::StartFailed { step, errno }
            }
            LOG_GREW => Self::LogGrew { offset: from.u64("offset")? },
            NOTIFY => Self::Notify { text: from.text("text")? },
            EXITED => Self::Exited(get_exited(from)?),
            ENDED => Self::Ended { log_end: from.u64("log_end")?, log_lost: from.u64("log_lost")? },
            STDOUT => Self::Stdout(frame.body.to_vec()),
            STDERR => Self::Stderr(frame.body.to_vec()),
            EXEC_EXITED => Self::ExecExited(get_cause(from)?),
            LAGGED => Self::Lagged { bytes: from.u64("bytes")? },
            EXEC_FAILED => {
                let (step, errno) = get_failure(from)?;
                Self::ExecFailed { step, errno }
            }
            kind if kind < FIRST_MESSAGE => return Err(WireError::Unexpected { kind }),
            kind => Self::Unknown { kind },
        })
    }
}

fn put_failure(out: &mut Put<'_>, step: Step, errno: i32) {
    out.u8(step as u8);
    out.i32(errno);
}

fn get_failure(from: &mut Get<'_>) -> Result<(Step, i32), WireError> {
    let number = from.u8("step")?;
    let step = Step::from_number(number).ok_or(WireError::Value { field: "step", value: number.into() })?;
    Ok((step, from.i32("errno")?))
}

fn get_refusal(from: &mut Get<'_>) -> Result<Refusal, WireError> {
    match from.u8("reason")? {
        0 => Ok(Refusal::Unsupported),
        1 => Ok(Refusal::NotNow),
        2 => Ok(Refusal::Busy),
        3 => Ok(Refusal::NoTerminal),
        4 => Ok(Refusal::System),
        value => Err(WireError::Value { field: "reason", value: value.into() }),
    }
}

fn get_stream(from: &mut Get<'_>) -> Result<Stream, WireError> {
    let number = from.u8("stream")?;
    Stream::from_number(number).ok_or(WireError::Value { field: "stream", value: number.into() })
}

fn put_cause(out: &mut Put<'_>, cause: ExitCause) {
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

fn get_cause(from: &mut Get<'_>) -> Result<ExitCause, WireError> {
    let (kind, value, core) = (from.u8("cause")?, from.i32("cause")?, from.flag("core")?);
    match kind {
        0 => Ok(ExitCause::Code(value)),
        1 => Ok(ExitCause::Signal { signal: value, core }),
        2 => Ok(ExitCause::SupervisorKilled),
        3 => Ok(ExitCause::Unknown),
        value => Err(WireError::Value { field: "cause", value: value.into() }),
    }
}

fn put_exited(out: &mut Put<'_>, exited: &Exited) {
    put_cause(out, exited.cause);
    out.u64(exited.at_ns);
    out.u64(exited.usage.user_us);
    out.u64(exited.usage.system_us);
    out.u64(exited.usage.max_rss_kb);
}

fn get_exited(from: &mut Get<'_>) -> Result<Exited, WireError> {
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

fn put_status(out: &mut Put<'_>, status: &Status) {
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

fn get_status(from: &mut Get<'_>) -> Result<Status, WireError> {
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
