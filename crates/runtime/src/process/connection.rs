//! An asynchronous connection to a shim.

use muster_shim::{FrameBuffer, Message, Request, VERSION, WireError, recv_with_fds};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

/// How much is read at once; lives on the stack only while a read is done.
const READ_SIZE: usize = 16 * 1024;

/// Why a connection cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// The connection broke.
    #[error("connection to the supervisor failed")]
    Io(#[from] io::Error),
    /// What came is not the protocol.
    #[error("supervisor sent something that is not the protocol")]
    Wire(#[from] WireError),
}

/// A connection to a shim.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    frames: FrameBuffer,
    fds: VecDeque<OwnedFd>,
    seq: u32,
}

impl Connection {
    /// Takes the daemon's end of the inherited pair.
    pub(super) fn over(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::new(UnixStream::from_std(stream)?))
    }

    /// Connects to a shim's socket and says hello; the answer is still to come.
    pub(super) async fn connect(socket: &Path) -> io::Result<Self> {
        let mut connection = Self::new(UnixStream::connect(socket).await?);
        connection.send(&Request::Hello { version: VERSION }).await?;
        Ok(connection)
    }

    fn new(stream: UnixStream) -> Self {
        Self { stream, frames: FrameBuffer::default(), fds: VecDeque::new(), seq: 0 }
    }

    /// The number for the next request.
    pub(super) fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, request: &Request) -> io::Result<()> {
        self.send_bytes(&request.to_bytes()).await
    }

    /// Sends encoded requests.
    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message if it is here already.
    pub(super) fn try_receive(&mut self) -> Result<Option<Message>, ConnectionError> {
        match self.frames.next_frame()? {
            Some(frame) => Ok(Some(Message::decode(frame)?)),
            None => Ok(None),
        }
    }

    /// Waits until something was read; false at the end. Can be cancelled without losing anything.
    pub(super) async fn fill(&mut self) -> Result<bool, ConnectionError> {
        loop {
            self.stream.readable().await?;
            match self.read_once() {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until something was read or a part of `out` was sent; false at the end. Can be cancelled without losing
    /// anything.
    pub(super) async fn exchange(&mut self, out: &mut Vec<u8>) -> Result<bool, ConnectionError> {
        let interest = if out.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = self.stream.ready(interest).await?;
        if ready.is_writable() && !out.is_empty() {
            match self.stream.try_write(out) {
                Ok(sent) => drop(out.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // what it still said before it closed comes first
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => out.clear(),
                Err(error) => return Err(error.into()),
            }
        }
        if !ready.is_readable() {
            return Ok(true);
        }
        match self.read_once() {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The next message, `None` at the end. Can be cancelled without losing anything.
    pub(super) async fn receive(&mut self) -> Result<Option<Message>, ConnectionError> {
        loop {
            if let Some(message) = self.try_receive()? {
                return Ok(Some(message));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    // not in the future above: the buffer would be part of every task that waits
    fn read_once(&mut self) -> io::Result<usize> {
        let mut buffer = [0; READ_SIZE];
        let (count, fds) =
            self.stream.try_io(Interest::READABLE, || recv_with_fds(self.stream.as_fd(), &mut buffer))?;
        self.fds.extend(fds);
        self.frames.extend(&buffer[..count]);
        Ok(count)
    }

    /// Descriptors that came with messages so far.
    pub(super) fn take_fds(&mut self) -> Vec<OwnedFd> {
        self.fds.drain(..).collect()
    }
}
