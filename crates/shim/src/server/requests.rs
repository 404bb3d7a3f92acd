//! What clients ask for.

use super::connection::{Connection, Mode};
use super::exec::Exec;
use super::shim::Shim;
use crate::launch::{Output, TtySize};
use crate::protocol::{AttachRole, Message, Refusal, Request, Status};
use crate::sys;
use muster_logs::{Item, Reader, Stream};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

/// No tail is longer, whatever was asked for.
const MAX_TAIL: u32 = 4 << 20;

impl Shim {
    /// Takes every complete request that was received, also those that had to wait for their turn.
    pub(super) fn serve_waiting(&mut self, now: u64) {
        for at in 0..self.connections.len() {
            if self.connections[at].has_waiting() {
                self.serve_connection(at, now);
            }
        }
    }

    /// Takes every complete request of one connection.
    pub(super) fn serve_connection(&mut self, at: usize, now: u64) {
        loop {
            if self.connections[at].closing || self.input_is_full(at) {
                return;
            }
            match self.connections[at].next_request() {
                Ok(Some(request)) => self.answer(at, request, now),
                Ok(None) => return,
                // what cannot be understood cannot be skipped either
                Err(_) => {
                    self.connections[at].dead = true;
                    return;
                }
            }
        }
    }

    /// Whether this client has to wait until what it sent was taken.
    pub(super) fn input_is_full(&self, at: usize) -> bool {
        match &self.connections[at].mode {
            Mode::Control => false,
            Mode::Attached { .. } => self.input.is_full(),
            Mode::Exec(exec) => exec.input.is_full(),
        }
    }

    fn answer(&mut self, at: usize, request: Request, now: u64) {
        match request {
            Request::Hello { .. } => {
                let run = self.spec.run.clone();
                self.connections[at].greet(&run);
            }
            Request::Launch(_) => self.connections[at].dead = true,
            Request::Status { seq } => {
                let status = Box::new(self.status());
                self.connections[at].tell(&Message::Status { seq, status });
            }
            Request::Stop { seq, grace } => {
                let done = self.stop(grace, now);
                self.confirm(at, seq, done);
            }
            Request::Kill { seq } => {
                self.confirm(at, seq, Ok(()));
                self.kill_all(now);
            }
            Request::Tail { seq, lines, max_bytes } => self.answer_tail(at, seq, lines, max_bytes),
            Request::GiveFds { seq } => self.give_fds(at, seq),
            Request::Signal { seq, signal, to } => {
                let done = self.signal(signal, to);
                self.confirm(at, seq, done);
            }
            Request::Subscribe { seq, logs } => {
                self.connections[at].subscribed = true;
                self.connections[at].logs = logs;
                self.confirm(at, seq, Ok(()));
            }
            Request::Exec { seq, spec } => self.start_exec(at, seq, &spec),
            Request::Attach { seq, role, size } => self.attach(at, seq, role, size),
            Request::Stdin(bytes) => self.take_input(at, &bytes),
            Request::StdinClosed => {
                if let Mode::Exec(exec) = &mut self.connections[at].mode {
                    exec.end_input();
                }
            }
            Request::Resize(size) => self.resize(at, size),
            Request::Unknown { seq, .. } => self.refuse(at, seq, Refusal::Unsupported),
        }
    }

    fn confirm(&mut self, at: usize, seq: u32, done: io::Result<()>) {
        let message = match done {
            Ok(()) => Message::Done { seq },
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                Message::Refused { seq, reason: Refusal::NotNow, errno: libc::ESRCH }
            }
            Err(error) => {
                Message::Refused { seq, reason: Refusal::System, errno: error.raw_os_error().unwrap_or(libc::EIO) }
            }
        };
        self.connections[at].tell(&message);
    }

    fn refuse(&mut self, at: usize, seq: u32, reason: Refusal) {
        self.connections[at].tell(&Message::Refused { seq, reason, errno: 0 });
    }

    fn status(&self) -> Status {
        Status {
            run: self.spec.run.clone(),
            phase: self.phase,
            pid: self.pid,
            start_time: self.start_time,
            exited: self.exited,
            log_end: self.outputs.writer.offset(),
            log_lost: self.outputs.writer.lost(),
            notify_ready: self.told.ready,
            notify_stopping: self.told.stopping,
            notify_status: self.told.status.clone(),
            watchdog_ns: self.told.watchdog_ns,
        }
    }

    fn answer_tail(&mut self, at: usize, seq: u32, lines: u32, max_bytes: u32) {
        let end = self.outputs.writer.offset();
        let most = max_bytes.min(MAX_TAIL);
        let mut reader = Reader::new(&self.folder);
        let from = reader.last_lines(lines as usize).unwrap_or(end).max(end.saturating_sub(most.into()));
        let mut bytes = Vec::new();
        if let Ok(batch) = reader.read(from, most as usize) {
            for item in batch.items {
                if let Item::Chunk(chunk) = item {
                    bytes.extend_from_slice(&chunk.bytes);
                }
            }
        }
        self.connections[at].tell(&Message::Tail { seq, offset: from, bytes });
    }

    /// The descriptors travel with the first byte of the answer, so nothing may be in its way.
    fn give_fds(&mut self, at: usize, seq: u32) {
        self.connections[at].flush();
        if self.connections[at].pending() > 0 {
            self.refuse(at, seq, Refusal::Busy);
            return;
        }
        let sources = &self.outputs.sources;
        let streams: Vec<Stream> = sources.iter().map(|source| source.stream).collect();
        let holds = self.outputs.holds.ends();
        let count = u8::try_from(holds.len()).unwrap_or(0);
        let fds: Vec<BorrowedFd<'_>> = sources.iter().map(|source| source.file.as_fd()).chain(holds).collect();
        let answer = Message::Fds { seq, streams, holds: count }.to_bytes();
        match sys::send_with_fds(self.connections[at].stream.as_fd(), &answer, &fds) {
            Ok(sent) if sent == answer.len() => {}
            // some thirty bytes go whole or not at all
            Ok(_) | Err(_) => self.refuse(at, seq, Refusal::Busy),
        }
    }

    fn start_exec(&mut self, at: usize, seq: u32, spec: &crate::ExecSpec) {
        if self.exited.is_some() {
            self.refuse(at, seq, Refusal::NotNow);
            return;
        }
        match Exec::start(spec, &self.spec, &self.folder, self.umask) {
            Ok(exec) => {
                let connection = &mut self.connections[at];
                connection.tell(&Message::Done { seq });
                connection.subscribed = false;
                connection.mode = Mode::Exec(Box::new(exec));
            }
            Err((step, errno)) => {
                self.connections[at].tell(&Message::ExecFailed { step, errno });
                self.connections[at].closing = true;
            }
        }
    }

    fn attach(&mut self, at: usize, seq: u32, role: AttachRole, size: Option<TtySize>) {
        let writer = role == AttachRole::Writer;
        if self.exited.is_some() {
            return self.refuse(at, seq, Refusal::NotNow);
        }
        if writer && !matches!(self.spec.output, Output::Tty(_)) {
            return self.refuse(at, seq, Refusal::NoTerminal);
        }
        let is_writer = |other: &Connection| matches!(other.mode, Mode::Attached { writer: true }) && !other.dead;
        if writer && self.connections.iter().any(is_writer) {
            return self.refuse(at, seq, Refusal::Busy);
        }
        let connection = &mut self.connections[at];
        connection.tell(&Message::Done { seq });
        connection.mode = Mode::Attached { writer };
        if let Some(size) = size {
            self.resize(at, size);
        }
    }

    fn take_input(&mut self, at: usize, bytes: &[u8]) {
        match &mut self.connections[at].mode {
            Mode::Exec(exec) => exec.feed(bytes),
            Mode::Attached { writer: true } => {
                self.input.push(bytes);
                self.drain_input();
            }
            // input without a place to go
            Mode::Attached { writer: false } | Mode::Control => {}
        }
    }

    /// Types into the service's terminal what it takes now.
    pub(super) fn drain_input(&mut self) {
        if let Some(source) = self.outputs.sources.first() {
            self.input.drain(&source.file);
        }
    }

    fn resize(&mut self, at: usize, size: TtySize) {
        match &self.connections[at].mode {
            Mode::Exec(exec) => exec.resize(size),
            Mode::Attached { writer: true } => {
                if let Some(source) = self.outputs.sources.first() {
                    sys::os::resize(source.file.as_fd(), size);
                }
            }
            Mode::Attached { writer: false } | Mode::Control => {}
        }
    }
}
