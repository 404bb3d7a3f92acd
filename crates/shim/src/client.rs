//! A blocking client, for tests, tools and code that is not asynchronous.

use crate::protocol::{Message, Request, VERSION};
use crate::sys;
use crate::wire::{FrameBuffer, WireError};
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Why talking to a shim failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection broke, or nothing came in time.
    #[error("connection to the supervisor failed")]
    Io(#[from] io::Error),
    /// What came is not the protocol.
    #[error("supervisor sent something that is not the protocol")]
    Wire(#[from] WireError),
    /// The shim closed the connection.
    #[error("supervisor closed the connection")]
    Closed,
}

/// A connection to a shim.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    frames: FrameBuffer,
    fds: VecDeque<OwnedFd>,
    seq: u32,
}

impl Client {
    /// Connects to a shim's socket and says hello; the answer is read by the first [`Client::receive`].
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        let mut client = Self::over(UnixStream::connect(socket)?);
        client.send(&Request::Hello { version: VERSION })?;
        Ok(client)
    }

    /// Takes a connection, for example the daemon's end of the inherited pair; says nothing.
    pub fn over(stream: UnixStream) -> Self {
        Self { stream, frames: FrameBuffer::default(), fds: VecDeque::new(), seq: 0 }
    }

    /// The number for the next request.
    pub fn next_seq(&mut self) -> u32 {
        self.seq += 1;
        self.seq
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        Ok(self.stream.write_all(&request.to_bytes())?)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`ClientError::Closed`] at the end; an I/O error of kind `WouldBlock` when nothing came within `patience`.
    pub fn receive(&mut self, patience: Duration) -> Result<Message, ClientError> {
        self.stream.set_read_timeout(Some(patience))?;
        loop {
            if let Some(frame) = self.frames.next_frame()? {
                return Ok(Message::decode(frame)?);
            }
            let mut buffer = [0; 16 * 1024];
            let (count, fds) = sys::recv_with_fds(self.stream.as_fd(), &mut buffer)?;
            self.fds.extend(fds);
            if count == 0 {
                return Err(ClientError::Closed);
            }
            self.frames.extend(&buffer[..count]);
        }
    }

    /// Descriptors that came with messages so far, in order.
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        self.fds.drain(..).collect()
    }

    /// The connection.
    pub fn into_stream(self) -> UnixStream {
        self.stream
    }
}
