//! What goes through the connection to another host: the runtime contract as frames.
//!
//! A frame is a length (u32, little-endian) and a MessagePack value: self-describing, because handles hold JSON, and compact,
//! because most of it is log. A *call* has one answer. A *channel* carries many items each way and ends once:
//!
//! ```text
//!  near                                   far
//!   Call {id, ask}          ────────────►        Answer {id, ..}    ◄─── once
//!   Open {id, ask}          ────────────►        Item {id, ..} ...  ◄─── at most WINDOW that were not taken
//!   Input {id, ..} ...      ────────────►        Taken {id, n}      ◄─── so many inputs were passed on
//!   Taken {id, n}           ────────────►        End {id}           ◄─── once
//!   Close {id}              ────────────►
//!   Ping                    ────────────►        Pong               ◄─── whoever hears nothing for long gives up
//! ```
//!
//! Nobody sends more on a channel than the other side has room for, so that neither side ever stops reading the
//! connection: one flood of log, or one command that does not read, holds up nobody else.
//!
//! Both ends are always of one build, because the far one is uploaded by its content: there is no skew to speak of.

use crate::contract::{
    Capability, Exec, ExecEvent, ExecInput, Handle, Inspect, Known, LogChunk, RuntimeError, RuntimeEvent, StartError,
    TerminalSize,
};
use muster_sockets::{Holder, Taken};
use muster_spec::{
    EngineHealth, EnvironmentId, InstanceId, InstanceSpec, RunId, RuntimeKind, SecretText, Signal, Target,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What the far side writes before its first frame: whatever a login script printed comes before it.
pub(crate) const GREETING: &[u8] = b"\nMUSTER-AGENT\n";
/// Items or inputs that may be under way on one channel.
pub(crate) const WINDOW: usize = 8;
/// Bytes of log, of a file or of a terminal in one frame.
pub(crate) const PIECE: usize = 64 << 10;
/// The near side says something at least this often,
pub(crate) const PING_SECONDS: u64 = 4;
/// it gives the link up when nothing came for this long,
pub(crate) const NEAR_PATIENCE_SECONDS: u64 = 12;
/// and the far side ends: its host may have been cut off for ever.
pub(crate) const FAR_PATIENCE_SECONDS: u64 = 30;
/// Longer frames are a mistake: a start's environment is the longest that is meant.
const MAX_FRAME: usize = 32 << 20;
/// Frames that wait to be written: each is a piece at most, so an answer waits behind few of them.
pub(crate) const FRAMES: usize = 8;

/// From here to the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToFar {
    Call { id: u32, ask: Box<Ask> },
    Open { id: u32, ask: Box<OpenAsk> },
    Input { id: u32, input: Input },
    Taken { id: u32, count: u32 },
    Close { id: u32 },
    Ping,
}

/// From the host to here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToNear {
    Hello(Hello),
    Answer { id: u32, answer: Result<Answer, Failure> },
    Item { id: u32, item: Item },
    Taken { id: u32, count: u32 },
    End { id: u32 },
    Pong,
}

/// What the far side says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Which boot of the host.
    pub(crate) boot_id: String,
    /// Whether orphans of services become the agent's children. Where not, what has forked away from a service whose
    /// supervisor was killed is not found.
    pub(crate) takes_orphans: bool,
}

/// What has one answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Start {
        run: RunId,
        spec: Box<InstanceSpec>,
    },
    Recover {
        run: RunId,
    },
    List {
        environment: EnvironmentId,
    },
    Signal {
        run: RunId,
        signal: Signal,
        to: Target,
    },
    Kill {
        run: RunId,
    },
    Inspect {
        run: RunId,
    },
    Destroy {
        run: RunId,
    },
    Retain {
        environment: EnvironmentId,
        instance: InstanceId,
        keep: u32,
    },
    /// With the folder for what its services had only while they ran.
    Leave {
        environment: EnvironmentId,
        top: PathBuf,
        run: PathBuf,
    },
    /// A folder of services, below one that is ours.
    Remove {
        top: PathBuf,
        folder: PathBuf,
    },
    /// All that runs of an environment left: their records and logs, and the folder for logs of its services.
    Forget {
        environment: EnvironmentId,
        top: PathBuf,
        logs: PathBuf,
    },
    Secrets {
        run: RunId,
        secrets: Vec<SecretText>,
    },
    /// Who has these ports, seen from a run.
    Holders {
        run: RunId,
        ports: Vec<u16>,
    },
    /// What of these is not there as it should be.
    Compare {
        root: String,
        entries: Vec<Entry>,
    },
    /// Files and folders below a root that are to be there no more.
    Erase {
        root: String,
        paths: Vec<String>,
    },
}

/// What becomes a channel.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum OpenAsk {
    Watch {
        run: RunId,
    },
    /// The log from here on, until the run has ended and all of it was told.
    Follow {
        run: RunId,
        from: u64,
    },
    Exec {
        run: RunId,
        exec: WireExec,
    },
    Attach {
        run: RunId,
    },
    /// Content of one file, then its end.
    Put {
        root: String,
        entry: Entry,
    },
}

/// The answer to an [`Ask`], in the same order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Started(Handle),
    Found(WireFound),
    Listed(Vec<(RunId, WireFound)>),
    Inspected(Box<Inspect>),
    /// Of each port that was asked for.
    Holders(Vec<Holder>),
    /// Places in the list that was sent.
    Missing(Vec<u32>),
    Done,
}

/// What a channel tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Item {
    /// The channel could not be opened; the end follows.
    Failed(Failure),
    /// It could.
    Opened,
    Event(WireEvent),
    Log(Vec<Piece>),
    Stdout(#[serde(with = "serde_bytes")] Vec<u8>),
    Stderr(#[serde(with = "serde_bytes")] Vec<u8>),
    Exited(Known),
    NotExecuted {
        reason: String,
        code: i32,
    },
    /// What was put is in its place.
    Placed,
    /// What came is not what was announced: it changed while it was read. Nothing is in its place.
    Torn,
}

/// What goes into a channel.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Input {
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    Eof,
    Resize(TerminalSize),
    Signal(Signal),
}

/// A piece of log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece(u64, u64, bool, u64, #[serde(with = "serde_bytes")] Vec<u8>);

impl From<LogChunk> for Piece {
    fn from(chunk: LogChunk) -> Self {
        Self(chunk.offset, chunk.time_ns, chunk.stderr, chunk.gap, chunk.bytes)
    }
}

impl From<Piece> for LogChunk {
    fn from(Piece(offset, time_ns, stderr, gap, bytes): Piece) -> Self {
        Self { offset, time_ns, stderr, bytes, gap }
    }
}

/// Something that is to be on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Below the root, or empty for the root itself.
    pub(crate) path: String,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) kind: EntryKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntryKind {
    Folder,
    /// SHA-256 and length of its content.
    File {
        sha256: String,
        len: u64,
    },
    /// Where it points to.
    Link(String),
}

/// [`crate::Found`] on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum WireFound {
    Running(Handle),
    Exited(crate::ExitRecord),
    Absent,
    Unverifiable(String),
}

impl From<crate::Found> for WireFound {
    fn from(found: crate::Found) -> Self {
        match found {
            crate::Found::Running(handle) => Self::Running(handle),
            crate::Found::Exited(record) => Self::Exited(record),
            crate::Found::Absent => Self::Absent,
            crate::Found::Unverifiable(reason) => Self::Unverifiable(reason),
        }
    }
}

/// [`RuntimeEvent`] on the way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum WireEvent {
    Exited(crate::ExitRecord),
    LogGrew(u64),
    Notify(String),
    Health(EngineHealth),
    LinkLost(String),
    LinkBack,
}

impl From<RuntimeEvent> for WireEvent {
    fn from(event: RuntimeEvent) -> Self {
        match event {
            RuntimeEvent::Exited(record) => Self::Exited(record),
            RuntimeEvent::LogGrew(offset) => Self::LogGrew(offset),
            RuntimeEvent::Notify(text) => Self::Notify(text),
            RuntimeEvent::Health(health) => Self::Health(health),
            RuntimeEvent::LinkLost(reason) => Self::LinkLost(reason),
            RuntimeEvent::LinkBack => Self::LinkBack,
        }
    }
}

/// [`Exec`] on the way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireExec {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    cwd: Option<PathBuf>,
    terminal: Option<TerminalSize>,
}

impl From<&Exec> for WireExec {
    fn from(exec: &Exec) -> Self {
        let Exec { argv, env, cwd, terminal } = exec.clone();
        Self { argv, env, cwd, terminal }
    }
}

impl From<WireExec> for Exec {
    fn from(WireExec { argv, env, cwd, terminal }: WireExec) -> Self {
        Self { argv, env, cwd, terminal }
    }
}

impl From<ExecInput> for Input {
    fn from(input: ExecInput) -> Self {
        match input {
            ExecInput::Bytes(bytes) => Self::Bytes(bytes),
            ExecInput::Eof => Self::Eof,
            ExecInput::Resize(size) => Self::Resize(size),
            ExecInput::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl From<Input> for ExecInput {
    fn from(input: Input) -> Self {
        match input {
            Input::Bytes(bytes) => Self::Bytes(bytes),
            Input::Eof => Self::Eof,
            Input::Resize(size) => Self::Resize(size),
            Input::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl From<ExecEvent> for Item {
    fn from(event: ExecEvent) -> Self {
        match event {
            ExecEvent::Stdout(bytes) => Self::Stdout(bytes),
            ExecEvent::Stderr(bytes) => Self::Stderr(bytes),
            ExecEvent::Exited(known) => Self::Exited(known),
            ExecEvent::Failed { reason, code } => Self::NotExecuted { reason, code },
        }
    }
}

/// Why the far side could not do it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// A start that fails again.
    Permanent {
        reason: String,
        code: i32,
    },
    /// A start that may not.
    Transient(String),
    /// One of the ports that the run is to listen on, by its name there, is somebody else's: nothing was started.
    PortTaken {
        name: String,
        taken: Taken,
    },
    /// The supervisor's binary is not there any more.
    NoShim,
    Gone(RunId),
    Unverifiable {
        run: RunId,
        reason: String,
    },
    Unsupported(Capability),
    Unavailable(String),
    Io {
        context: String,
        reason: String,
        errno: Option<i32>,
    },
}

impl Failure {
    pub(crate) fn io(context: impl Into<String>, error: &io::Error) -> Self {
        Self::Io { context: context.into(), reason: error.to_string(), errno: error.raw_os_error() }
    }

    /// In the contract's words.
    pub(crate) fn into_error(self) -> RuntimeError {
        let unavailable = |reason| RuntimeError::Unavailable { runtime: RuntimeKind::Remote, reason };
        match self {
            Self::Gone(run) => RuntimeError::Gone(run),
            Self::Unverifiable { run, reason } => RuntimeError::Unverifiable { run, reason },
            Self::Unsupported(capability) => RuntimeError::Unsupported { runtime: RuntimeKind::Remote, capability },
            Self::Io { context, reason, errno } => {
                let source = errno.map_or_else(|| io::Error::other(reason), io::Error::from_raw_os_error);
                RuntimeError::Io { context, source }
            }
            Self::Permanent { reason, .. } | Self::Transient(reason) | Self::Unavailable(reason) => unavailable(reason),
            Self::PortTaken { name, taken } => unavailable(port_taken("", &name, &taken)),
            Self::NoShim => unavailable("the supervisor's binary is not on the host any more".to_owned()),
        }
    }

    /// In a line.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Io { context, reason, .. } => format!("{context}: {reason}"),
            Self::Permanent { reason, .. } | Self::Transient(reason) | Self::Unavailable(reason) => reason,
            other @ (Self::NoShim
            | Self::PortTaken { .. }
            | Self::Gone(_)
            | Self::Unverifiable { .. }
            | Self::Unsupported(_)) => other.into_error().to_string(),
        }
    }
}

/// In the words that are used of a port of this machine; `at` says of which other one it is.
pub(crate) fn port_taken(at: &str, name: &str, taken: &Taken) -> String {
    format!("port {} ({name}){at} is taken by {taken}", taken.port)
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Gone(run) => Self::Gone(run),
            RuntimeError::Unverifiable { run, reason } => Self::Unverifiable { run, reason },
            RuntimeError::Unsupported { capability, .. } => Self::Unsupported(capability),
            RuntimeError::Unavailable { reason, .. } => Self::Unavailable(reason),
            RuntimeError::Io { context, source } => Self::io(context, &source),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Permanent { reason, code } => Self::Permanent { reason, code },
            StartError::Transient(reason) => Self::Transient(reason),
        }
    }
}

/// Writes one frame; the caller flushes.
pub(crate) async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    rmp_serde::encode::write_named(&mut bytes, message).map_err(io::Error::other)?;
    let len = bytes.len() - 4;
    if len > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message is too long"));
    }
    bytes[..4].copy_from_slice(&u32::try_from(len).map_err(io::Error::other)?.to_le_bytes());
    to.write_all(&bytes).await
}

/// Reads one frame; `None` at the end.
pub(crate) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut len = [0; 4];
    match from.read_exact(&mut len).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no frame"));
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes).await?;
    rmp_serde::from_slice(&bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read() {
        let handle = Handle {
            runtime: RuntimeKind::Process,
            version: 1,
            run: "local-0000002a/api#1/7".parse().unwrap(),
            identity: "pid 4".into(),
            pid: Some(4),
            far: None,
            log_dir: None,
            address: None,
            opaque: serde_json::json!({"start_time": u64::MAX, "nested": {"a": [1, null, "x"]}}),
        };
        let mut bytes = Vec::new();
        let answer = Ok(Answer::Started(handle.clone()));
        write(&mut bytes, &ToNear::Answer { id: 7, answer }).await.unwrap();
        let chunk = LogChunk { offset: 3, time_ns: 4, stderr: true, bytes: vec![0, 255, 10], gap: 9 };
        write(&mut bytes, &ToNear::Item { id: 8, item: Item::Log(vec![chunk.clone().into()]) }).await.unwrap();
        let mut from = &bytes[..];
        match read(&mut from).await.unwrap() {
            Some(ToNear::Answer { id: 7, answer: Ok(Answer::Started(read)) }) => assert_eq!(read, handle),
            other => panic!("{other:?}"),
        }
        match read(&mut from).await.unwrap() {
            Some(ToNear::Item { id: 8, item: Item::Log(mut pieces) }) => {
                assert_eq!(LogChunk::from(pieces.remove(0)), chunk);
            }
            other => panic!("{other:?}"),
        }
        assert!(read::<ToNear>(&mut from).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn noise_is_no_frame() {
        let noise = b"Last login: today from nowhere";
        assert!(read::<ToNear>(&mut &noise[..]).await.is_err());
        assert!(read::<ToNear>(&mut &[1, 0, 0, 0][..]).await.is_err());
    }
}
