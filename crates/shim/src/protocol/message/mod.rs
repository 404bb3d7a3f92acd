//! What a shim answers and tells.

mod told;

pub use told::{ExitCause, Exited, Phase, Refusal, Status, Step, Usage};

use told::{
    get_cause, get_exited, get_failure, get_refusal, get_status, put_cause, put_exited, put_failure, put_status,
};

use super::Version;
use super::request::{get_version, put_version};
use crate::wire::{Get, Put, RawFrame, WireError};
use muster_logs::Stream;

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
    /// Answers [`Request::GiveFds`](super::Request::GiveFds); the descriptors come with the frame's first byte: first
    /// the outputs', then the holds'.
    Fds {
        /// The request.
        seq: u32,
        /// What each output's descriptor carries.
        streams: Vec<Stream>,
        /// How many holds there are; a shim that does not say has none.
        holds: u8,
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
            Self::Fds { seq, streams, holds } => Put::frame(out, FDS, |out| {
                out.u32(*seq);
                out.list(streams, |out, stream| out.u8(stream.number()));
                out.u8(*holds);
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
            FDS => Self::Fds {
                seq: from.u32("seq")?,
                streams: from.list("streams", get_stream)?,
                holds: from.u8("holds").unwrap_or(0),
            },
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

fn get_stream(from: &mut Get<'_>) -> Result<Stream, WireError> {
    let number = from.u8("stream")?;
    Stream::from_number(number).ok_or(WireError::Value { field: "stream", value: number.into() })
}
