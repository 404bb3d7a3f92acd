//! Frames of an upgraded stream: what goes into a command and what comes out of it.
//!
//! A frame is a kind (u8), a length (u32, big endian) and a payload. The stream begins after the answer `101` to the
//! request whose body was the [`ExecRequest`](muster_engine::documents::ExecRequest).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use muster_runtime::{Known, TerminalSize};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The protocol's name in the `Upgrade` header.
pub const PROTOCOL: &str = "muster-stream";

/// Longest payload: pieces are 64 KiB, so that more is a stranger.
const MAX_PAYLOAD: usize = 1 << 20;
const HEADER: usize = 5;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// For the command's standard input.
    Stdin(Bytes),
    /// Standard input ends.
    Eof,
    /// The caller's terminal has another size now.
    Resize(TerminalSize),
    /// A signal for the command's group, by number.
    Signal(i32),
    /// From standard output, or the terminal.
    Stdout(Bytes),
    /// From standard error.
    Stderr(Bytes),
    /// It ended: the last frame.
    Exited(Known),
    /// It could not be started: the last frame.
    Failed(ExecFailure),
}

/// Why a command could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecFailure {
    /// What and why, in one line.
    pub reason: String,
    /// 126 or 127.
    pub code: i32,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A payload that no one of ours sends.
    #[error("a frame of {0} bytes is longer than {MAX_PAYLOAD}")]
    TooLong(usize),
    /// A kind of another version.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// A payload that does not fit its kind.
    #[error("malformed frame of kind {0}")]
    Malformed(u8),
    /// The stream broke.
    #[error("the stream broke")]
    Io(#[source] std::io::Error),
}

impl Frame {
    fn parts(&self) -> (u8, Bytes) {
        match self {
            Self::Stdin(bytes) => (0, bytes.clone()),
            Self::Eof => (1, Bytes::new()),
            Self::Resize(size) => {
                let mut payload = BytesMut::with_capacity(4);
                payload.put_u16(size.rows);
                payload.put_u16(size.columns);
                (2, payload.freeze())
            }
            Self::Signal(number) => (3, Bytes::copy_from_slice(&number.to_be_bytes())),
            Self::Stdout(bytes) => (16, bytes.clone()),
            Self::Stderr(bytes) => (17, bytes.clone()),
            Self::Exited(known) => (18, json(known)),
            Self::Failed(failure) => (19, json(failure)),
        }
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let (kind, payload) = self.parts();
        out.reserve(HEADER + payload.len());
        out.put_u8(kind);
        out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        out.put_slice(&payload);
    }

    /// Takes the first frame out of `buffer`, or nothing while it is not complete.
    ///
    /// # Errors
    /// [`FrameError`] for anything that no one of ours sends; the stream is of no use then.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some((header, _)) = buffer.split_at_checked(HEADER) else { return Ok(None) };
        let kind = header[0];
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length > MAX_PAYLOAD {
            return Err(FrameError::TooLong(length));
        }
        if buffer.len() < HEADER + length {
            return Ok(None);
        }
        buffer.advance(HEADER);
        let payload = buffer.split_to(length).freeze();
        Self::from_parts(kind, payload).map(Some)
    }

    fn from_parts(kind: u8, mut payload: Bytes) -> Result<Self, FrameError> {
        let malformed = || FrameError::Malformed(kind);
        Ok(match kind {
            0 => Self::Stdin(payload),
            1 => Self::Eof,
            2 => {
                let rows = payload.try_get_u16().map_err(|_| malformed())?;
                let columns = payload.try_get_u16().map_err(|_| malformed())?;
                Self::Resize(TerminalSize { rows, columns })
            }
            3 => Self::Signal(payload.try_get_i32().map_err(|_| malformed())?),
            16 => Self::Stdout(payload),
            17 => Self::Stderr(payload),
            18 => Self::Exited(serde_json::from_slice(&payload).map_err(|_| malformed())?),
            19 => Self::Failed(serde_json::from_slice(&payload).map_err(|_| malformed())?),
            other => return Err(FrameError::UnknownKind(other)),
        })
    }
}

fn json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}

/// Frames out of a byte stream. `next` can be cancelled without losing anything.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from `stream`.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(8 * 1024) }
    }

    /// The next frame; nothing when the other side has gone.
    ///
    /// # Errors
    /// [`FrameError`] when the stream broke or is not ours.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            if self.stream.read_buf(&mut self.buffer).await.map_err(FrameError::Io)? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_from_any_split() {
        let frames = [
            Frame::Stdin(Bytes::from_static(b"hello")),
            Frame::Eof,
            Frame::Resize(TerminalSize { rows: 24, columns: 80 }),
            Frame::Signal(2),
            Frame::Stdout(Bytes::from_static(b"\x00\xff")),
            Frame::Stderr(Bytes::new()),
            Frame::Exited(Known::Code(3)),
            Frame::Failed(ExecFailure { reason: "no such file".into(), code: 127 }),
        ];
        let mut all = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut all);
        }
        let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
        for byte in all {
            buffer.put_u8(byte);
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
        }
        assert_eq!(seen, frames);
    }

    #[test]
    fn strangers_are_refused() {
        assert!(matches!(Frame::decode(&mut BytesMut::from(&b"GET / HTTP/1.1"[..])), Err(FrameError::TooLong(_))));
        assert!(matches!(Frame::decode(&mut BytesMut::from(&[9, 0, 0, 0, 0][..])), Err(FrameError::UnknownKind(9))));
        assert!(matches!(Frame::decode(&mut BytesMut::from(&[2, 0, 0, 0, 1, 7][..])), Err(FrameError::Malformed(2))));
    }
}
