//! One client.

use super::exec::Exec;
use crate::protocol::{Message, Request, VERSION};
use crate::wire::{FrameBuffer, WireError};
use muster_logs::Stream;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

/// A client that takes no messages is dropped at this much: a daemon that hangs must not grow its shims.
const MAX_PENDING: usize = 4 << 20;
/// An attached client is not sent more output than this ahead of what it reads; it is told how much it missed.
const MAX_AHEAD: usize = 1 << 20;
const READ: usize = 16 << 10;
/// Reads in a row before others get their turn.
const BURST: usize = 8;

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Mode {
    /// Requests and events.
    Control,
    /// Sees the service's output; the writer also types.
    Attached {
        /// Whether it may type.
        writer: bool,
    },
    /// Is the other end of a command.
    Exec(Box<Exec>),
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) mode: Mode,
    pub(super) greeted: bool,
    pub(super) subscribed: bool,
    pub(super) logs: bool,
    /// Nothing more is read; it goes when everything is sent.
    pub(super) closing: bool,
    /// It is gone.
    pub(super) dead: bool,
    frames: FrameBuffer,
    out: Vec<u8>,
    sent: usize,
    lagged: u64,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            mode: Mode::Control,
            greeted: false,
            subscribed: false,
            logs: false,
            closing: false,
            dead: false,
            frames: FrameBuffer::default(),
            out: Vec::new(),
            sent: 0,
            lagged: 0,
        })
    }

    /// Bytes that wait to be sent.
    pub(super) fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Queues a message.
    pub(super) fn tell(&mut self, message: &Message) {
        if self.dead {
            return;
        }
        message.encode(&mut self.out);
        if self.pending() > MAX_PENDING {
            self.dead = true;
        }
    }

    /// Answers the first frame.
    pub(super) fn greet(&mut self, run: &str) {
        self.greeted = true;
        self.tell(&Message::Hello { version: VERSION, run: run.to_owned() });
    }

    /// Queues output for an attached client, or counts it where the client is too slow.
    pub(super) fn show(&mut self, stream: Stream, bytes: &[u8]) {
        if self.dead {
            return;
        }
        if self.pending() + bytes.len() > MAX_AHEAD {
            self.lagged += bytes.len() as u64;
            return;
        }
        if self.lagged > 0 {
            let bytes = std::mem::take(&mut self.lagged);
            self.tell(&Message::Lagged { bytes });
        }
        Message::encode_output(&mut self.out, stream, bytes);
    }

    /// Sends what the socket takes now.
    pub(super) fn flush(&mut self) {
        while !self.dead && self.pending() > 0 {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.dead = true,
            }
        }
        if self.pending() == 0 {
            self.out = Vec::new();
            self.sent = 0;
            self.dead |= self.closing;
        }
    }

    /// Whether something was received that was not taken yet.
    pub(super) fn has_waiting(&self) -> bool {
        self.frames.pending() > 0
    }

    /// Takes in what came; marks the connection dead at its end.
    pub(super) fn fill(&mut self) {
        let mut buffer = [0; READ];
        for _ in 0..BURST {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.dead = true,
                Ok(count) => {
                    self.frames.extend(&buffer[..count]);
                    if count == buffer.len() {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.dead = true,
            }
            return;
        }
    }

    /// The next complete request.
    pub(super) fn next_request(&mut self) -> Result<Option<Request>, WireError> {
        match self.frames.next_frame()? {
            Some(frame) => Request::decode(frame).map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the launch; `None`: the connection ended, or something else came.
    pub(super) fn wait_for_launch(&mut self) -> Option<Box<crate::LaunchSpec>> {
        self.stream.set_nonblocking(false).ok()?;
        loop {
            match self.next_request() {
                Ok(Some(Request::Hello { .. })) => self.greeted = true,
                Ok(Some(Request::Launch(spec))) => {
                    self.stream.set_nonblocking(true).ok()?;
                    return Some(spec);
                }
                Ok(None) if self.dead => return None,
                Ok(None) => self.receive_one(),
                Ok(Some(_)) | Err(_) => return None,
            }
        }
    }

    fn receive_one(&mut self) {
        let mut buffer = [0; READ];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.dead = true,
            Ok(count) => self.frames.extend(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.dead = true,
        }
    }
}
