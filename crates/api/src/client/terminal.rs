//! The two halves of an upgraded stream.

use crate::frames::{Frame, FrameError, FrameReader};
use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

type Stream = TokioIo<Upgraded>;

/// A command that runs in a service's context, or an attached terminal. Dropping it ends the command and leaves an
/// attached service alone.
#[derive(Debug)]
pub struct Session {
    /// What goes in.
    pub input: SessionInput,
    /// What comes out.
    pub output: SessionOutput,
}

/// What goes into a session.
#[derive(Debug)]
pub struct SessionInput {
    stream: WriteHalf<Stream>,
    buffer: BytesMut,
}

/// What comes out of a session.
#[derive(Debug)]
pub struct SessionOutput {
    frames: FrameReader<ReadHalf<Stream>>,
}

pub(crate) fn split(upgraded: Upgraded) -> Session {
    let (read, write) = tokio::io::split(TokioIo::new(upgraded));
    Session {
        input: SessionInput { stream: write, buffer: BytesMut::new() },
        output: SessionOutput { frames: FrameReader::new(read) },
    }
}

impl SessionInput {
    /// Sends one frame.
    ///
    /// # Errors
    /// [`FrameError::Io`] when the stream broke.
    pub async fn send(&mut self, frame: &Frame) -> Result<(), FrameError> {
        self.buffer.clear();
        frame.encode(&mut self.buffer);
        self.stream.write_all(&self.buffer).await.map_err(FrameError::Io)?;
        self.stream.flush().await.map_err(FrameError::Io)
    }
}

impl SessionOutput {
    /// The next frame; nothing when the daemon has gone. Can be cancelled.
    ///
    /// # Errors
    /// [`FrameError`] when the stream broke.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        self.frames.next().await
    }
}
