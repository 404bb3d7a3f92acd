//! What a client asks of a shim.

use super::Version;
use crate::launch::{ExecSpec, LaunchSpec, Target, TtySize, get_size, get_target, put_size, put_target};
use crate::wire::{Get, Put, RawFrame, WireError};
use std::time::Duration;

/// What an attached client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachRole {
    /// Sees the output.
    Reader,
    /// Sees the output, types and resizes; there is one at a time.
    Writer,
}

/// A frame from client to shim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first frame of a connection.
    Hello {
        /// What the client speaks.
        version: Version,
    },
    /// What to run; only on the inherited connection, once.
    Launch(Box<LaunchSpec>),
    /// Answered by [`Message::Status`](super::Message::Status).
    Status {
        /// Repeated in the answer.
        seq: u32,
    },
    /// Sends the stop signal; what is left when the main process has ended is killed.
    Stop {
        /// Repeated in the answer, which comes when the signal was sent.
        seq: u32,
        /// After this the tree is killed; `None`: the client keeps the deadline itself.
        grace: Option<Duration>,
    },
    /// Kills the whole tree until nothing is left.
    Kill {
        /// Repeated in the answer, which comes when the killing has begun; `Ended` tells the end.
        seq: u32,
    },
    /// The log's last lines; answered by [`Message::Tail`](super::Message::Tail).
    Tail {
        /// Repeated in the answer.
        seq: u32,
        /// At most this many lines.
        lines: u32,
        /// At most this many bytes.
        max_bytes: u32,
    },
    /// Duplicates of the reading ends of the service's output and of the holds; answered by [`Message::Fds`](super::Message::Fds).
    GiveFds {
        /// Repeated in the answer.
        seq: u32,
    },
    /// Sends any signal; changes no state.
    Signal {
        /// Repeated in the answer.
        seq: u32,
        /// The signal's number.
        signal: i32,
        /// Whom it goes to.
        to: Target,
    },
    /// From now on state events are sent, with `logs` also [`Message::LogGrew`](super::Message::LogGrew).
    Subscribe {
        /// Repeated in the answer.
        seq: u32,
        /// Whether the log's growth is told.
        logs: bool,
    },
    /// Runs a command beside the service; takes the connection over.
    Exec {
        /// Repeated in the answer.
        seq: u32,
        /// The command.
        spec: Box<ExecSpec>,
    },
    /// Shows the output from now on; takes the connection over.
    Attach {
        /// Repeated in the answer.
        seq: u32,
        /// Reading or writing.
        role: AttachRole,
        /// The writer's terminal size.
        size: Option<TtySize>,
    },
    /// Input for the exec or the attached terminal.
    Stdin(Vec<u8>),
    /// The input's end (an exec over pipes closes the child's stdin).
    StdinClosed,
    /// The client's terminal has a new size.
    Resize(TtySize),
    /// A kind that this build does not know.
    Unknown {
        /// The kind.
        kind: u8,
        /// The number every numbered request starts with, to refuse it by.
        seq: u32,
    },
}

const HELLO: u8 = 1;
const LAUNCH: u8 = 2;
const STATUS: u8 = 3;
const STOP: u8 = 4;
const KILL: u8 = 5;
const TAIL: u8 = 6;
const GIVE_FDS: u8 = 7;
const SIGNAL: u8 = 8;
const SUBSCRIBE: u8 = 9;
const EXEC: u8 = 10;
const ATTACH: u8 = 11;
const STDIN: u8 = 12;
const STDIN_CLOSED: u8 = 13;
const RESIZE: u8 = 14;
/// Kinds from here on belong to messages.
const FIRST_MESSAGE: u8 = 128;

impl Request {
    /// Appends the request as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { version } => Put::frame(out, HELLO, |out| put_version(out, *version)),
            Self::Launch(spec) => Put::frame(out, LAUNCH, |out| spec.put(out)),
            Self::Status { seq } => Put::frame(out, STATUS, |out| out.u32(*seq)),
            Self::Stop { seq, grace } => Put::frame(out, STOP, |out| {
                out.u32(*seq);
                out.option(*grace, Put::span);
            }),
            Self::Kill { seq } => Put::frame(out, KILL, |out| out.u32(*seq)),
            Self::Tail { seq, lines, max_bytes } => Put::frame(out, TAIL, |out| {
                out.u32(*seq);
                out.u32(*lines);
                out.u32(*max_bytes);
            }),
            Self::GiveFds { seq } => Put::frame(out, GIVE_FDS, |out| out.u32(*seq)),
            Self::Signal { seq, signal, to } => Put::frame(out, SIGNAL, |out| {
                out.u32(*seq);
                out.i32(*signal);
                put_target(out, *to);
            }),
            Self::Subscribe { seq, logs } => Put::frame(out, SUBSCRIBE, |out| {
                out.u32(*seq);
                out.flag(*logs);
            }),
            Self::Exec { seq, spec } => Put::frame(out, EXEC, |out| {
                out.u32(*seq);
                spec.put(out);
            }),
            Self::Attach { seq, role, size } => Put::frame(out, ATTACH, |out| {
                out.u32(*seq);
                out.flag(*role == AttachRole::Writer);
                out.option(*size, put_size);
            }),
            Self::Stdin(bytes) => Put::frame(out, STDIN, |out| out.0.extend_from_slice(bytes)),
            Self::StdinClosed => Put::frame(out, STDIN_CLOSED, |_| ()),
            Self::Resize(size) => Put::frame(out, RESIZE, |out| put_size(out, *size)),
            Self::Unknown { kind, seq } => Put::frame(out, *kind, |out| out.u32(*seq)),
        }
    }

    /// The request as one frame of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Where the body does not fit the kind, or the kind is a message's.
    pub fn decode(frame: RawFrame<'_>) -> Result<Self, WireError> {
        let mut from = Get(frame.body);
        let from = &mut from;
        Ok(match frame.kind {
            HELLO => Self::Hello { version: get_version(from)? },
            LAUNCH => Self::Launch(Box::new(LaunchSpec::get(from)?)),
            STATUS => Self::Status { seq: from.u32("seq")? },
            STOP => Self::Stop { seq: from.u32("seq")?, grace: from.option("grace", |from| from.span("grace"))? },
            KILL => Self::Kill { seq: from.u32("seq")? },
            TAIL => Self::Tail { seq: from.u32("seq")?, lines: from.u32("lines")?, max_bytes: from.u32("max_bytes")? },
            GIVE_FDS => Self::GiveFds { seq: from.u32("seq")? },
            SIGNAL => Self::Signal { seq: from.u32("seq")?, signal: from.i32("signal")?, to: get_target(from)? },
            SUBSCRIBE => Self::Subscribe { seq: from.u32("seq")?, logs: from.flag("logs")? },
            EXEC => Self::Exec { seq: from.u32("seq")?, spec: Box::new(ExecSpec::get(from)?) },
            ATTACH => Self::Attach {
                seq: from.u32("seq")?,
                role: if from.flag("role")? { AttachRole::Writer } else { AttachRole::Reader },
                size: from.option("size", get_size)?,
            },
            STDIN => Self::Stdin(frame.body.to_vec()),
            STDIN_CLOSED => Self::StdinClosed,
            RESIZE => Self::Resize(get_size(from)?),
            kind if kind >= FIRST_MESSAGE => return Err(WireError::Unexpected { kind }),
            kind => Self::Unknown { kind, seq: from.u32("seq").unwrap_or(0) },
        })
    }
}

pub(super) fn put_version(out: &mut Put<'_>, version: Version) {
    out.u16(version.major);
    out.u16(version.minor);
}

pub(super) fn get_version(from: &mut Get<'_>) -> Result<Version, WireError> {
    Ok(Version { major: from.u16("major")?, minor: from.u16("minor")? })
}
