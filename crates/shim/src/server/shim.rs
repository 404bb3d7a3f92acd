//! The loop: wait for whatever is first, do it, wait again. A silent service costs nothing.

use super::connection::{Connection, Mode};
use super::exec::{Input, MAX_AHEAD};
use super::notify::{NotifySocket, Told};
use super::output::Outputs;
use crate::launch::LaunchSpec;
use crate::protocol::{Exited, Message, Phase};
use crate::sys;
use muster_logs::Stream;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// More clients at once are turned away.
const MAX_CONNECTIONS: usize = 64;
/// The log's growth is told at most this often.
const GREW_NS: u64 = 5_000_000;
/// After this long without output its buffer is given back.
const COOL_NS: u64 = 500_000_000;
/// How long the end waits for clients to take the last messages.
const GOODBYE: Duration = Duration::from_millis(500);

/// How far the end of the tree has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nobody wants it.
    No,
    /// Asked to end; killed at this time.
    Asked {
        /// Monotonic nanoseconds.
        kill_at: u64,
    },
    /// Being killed, again and again until nothing is left.
    Killing {
        /// When the next pass is due.
        next: u64,
        /// The pause before it.
        pause: u64,
    },
}

/// One run and everything known of it.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) folder: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) spec: LaunchSpec,
    pub(super) umask: u32,
    pub(super) pid: u32,
    pub(super) start_time: u64,
    pub(super) phase: Phase,
    pub(super) exited: Option<Exited>,
    pub(super) ending: Ending,
    pub(super) outputs: Outputs,
    pub(super) told: Told,
    pub(super) notify: Option<NotifySocket>,
    pub(super) listener: Option<UnixListener>,
    pub(super) signals: OwnedFd,
    pub(super) connections: Vec<Connection>,
    /// What the attached writer typed.
    pub(super) input: Input,
    /// Which log end was told, and when.
    pub(super) grew_told: (u64, u64),
    pub(super) cool_at: Option<u64>,
    pub(super) _lock: File,
}

/// What a descriptor in the poll set belongs to.
#[derive(Debug, Clone, Copy)]
enum Token {
    Signals,
    Listener,
    Notify,
    Output(usize),
    Connection(usize),
    ExecOutput(usize, usize),
    ExecInput(usize),
}

impl Shim {
    /// Supervises until everything is over.
    pub(super) fn serve(&mut self) {
        let mut fds = Vec::new();
        let mut tokens = Vec::new();
        loop {
            let now = sys::monotonic_ns();
            self.serve_waiting(now);
            self.flush_all();
            self.forget_dead();
            self.collect(now, &mut fds, &mut tokens);
            let timeout = self.deadline(now).map(|at| Duration::from_nanos(at.saturating_sub(now)));
            sys::os::poll(&mut fds, timeout);
            let now = sys::monotonic_ns();
            for (fd, token) in fds.iter().zip(&tokens) {
                if fd.revents != 0 && self.dispatch(*token, fd.revents, now) {
                    self.finish();
                    return;
                }
            }
            self.do_due(now);
        }
    }

    fn collect(&self, now: u64, fds: &mut Vec<libc::pollfd>, tokens: &mut Vec<Token>) {
        fds.clear();
        tokens.clear();
        let mut add = |fd: RawFd, events: i16, token| {
            if events != 0 {
                fds.push(libc::pollfd { fd, events, revents: 0 });
                tokens.push(token);
            }
        };
        add(self.signals.as_raw_fd(), libc::POLLIN, Token::Signals);
        for (at, source) in self.outputs.sources.iter().enumerate() {
            let read = if self.outputs.wants(at, now) { libc::POLLIN } else { 0 };
            let write = if at == 0 && read != 0 && self.input.waits() { libc::POLLOUT } else { 0 };
            add(source.file.as_raw_fd(), read | write, Token::Output(at));
        }
        for (at, connection) in self.connections.iter().enumerate() {
            let read = if connection.closing || self.input_is_full(at) { 0 } else { libc::POLLIN };
            let write = if connection.pending() > 0 { libc::POLLOUT } else { 0 };
            add(connection.stream.as_raw_fd(), read | write, Token::Connection(at));
            let Mode::Exec(exec) = &connection.mode else { continue };
            if connection.pending() < MAX_AHEAD {
                for (place, (_, file)) in exec.outputs.iter().enumerate() {
                    add(file.as_raw_fd(), libc::POLLIN, Token::ExecOutput(at, place));
                }
            }
            if let Some(stdin) = exec.stdin.as_ref().filter(|_| exec.input.waits()) {
                add(stdin.as_raw_fd(), libc::POLLOUT, Token::ExecInput(at));
            }
        }
        if let Some(notify) = &self.notify {
            add(notify.socket.as_raw_fd(), libc::POLLIN, Token::Notify);
        }
        if let Some(listener) = &self.listener {
            add(listener.as_raw_fd(), libc::POLLIN, Token::Listener);
        }
    }

    /// Serves one descriptor; tells whether everything is over.
    fn dispatch(&mut self, token: Token, events: i16, now: u64) -> bool {
        match token {
            Token::Signals => return self.take_signals(now),
            Token::Listener => self.accept(),
            Token::Notify => self.take_notify(),
            Token::Output(at) => {
                if events & libc::POLLOUT != 0 {
                    self.drain_input();
                }
                if events & !libc::POLLOUT != 0 {
                    self.pump(at, now);
                }
            }
            Token::Connection(at) => {
                if events & libc::POLLOUT != 0 {
                    self.connections[at].flush();
                }
                if events & !libc::POLLOUT != 0 {
                    self.connections[at].fill();
                    self.serve_connection(at, now);
                }
            }
            Token::ExecOutput(at, place) => {
                self.connections[at].pump_exec(place);
            }
            Token::ExecInput(at) => {
                if let Mode::Exec(exec) = &mut self.connections[at].mode {
                    exec.drain_input();
                }
            }
        }
        false
    }

    fn deadline(&self, now: u64) -> Option<u64> {
        let ending = match self.ending {
            Ending::No => None,
            Ending::Asked { kill_at } => Some(kill_at),
            Ending::Killing { next, .. } => Some(next),
        };
        let grew = self.has_grown().then_some(self.grew_told.1 + GREW_NS);
        [ending, grew, self.cool_at, self.outputs.deadline(now)].into_iter().flatten().min()
    }

    fn do_due(&mut self, now: u64) {
        self.end_due(now);
        let (outputs, connections) = (&mut self.outputs, &mut self.connections);
        outputs.release_due(now, &mut |stream, bytes| show(connections, stream, bytes));
        if self.has_grown() && now >= self.grew_told.1 + GREW_NS {
            let offset = self.outputs.writer.offset();
            self.grew_told = (offset, now);
            for connection in &mut self.connections {
                // a client that is behind asks the log anyway
                if connection.logs && connection.pending() == 0 {
                    connection.tell(&Message::LogGrew { offset });
                }
            }
        }
        if self.cool_at.is_some_and(|at| at <= now) {
            self.cool_at = None;
            self.outputs.cool();
        }
    }

    fn has_grown(&self) -> bool {
        self.outputs.writer.offset() != self.grew_told.0 && self.connections.iter().any(|connection| connection.logs)
    }

    fn pump(&mut self, at: usize, now: u64) {
        let (outputs, connections) = (&mut self.outputs, &mut self.connections);
        outputs.pump(at, now, &mut |stream, bytes| show(connections, stream, bytes));
        if self.outputs.is_warm() {
            self.cool_at = Some(now + COOL_NS);
        }
    }

    /// Reads what is left when nobody can write any more.
    pub(super) fn drain_outputs(&mut self) {
        let (outputs, connections) = (&mut self.outputs, &mut self.connections);
        outputs.finish(&mut |stream, bytes| show(connections, stream, bytes));
    }

    fn take_notify(&mut self) {
        while let Some(text) = self.notify.as_ref().and_then(NotifySocket::next) {
            self.told.take(&text);
            self.tell_subscribers(&Message::Notify { text });
        }
    }

    fn accept(&mut self) {
        while let Some((stream, _)) = self.listener.as_ref().and_then(|listener| listener.accept().ok()) {
            let user = sys::os::peer_user(std::os::fd::AsFd::as_fd(&stream));
            let allowed = user.is_ok_and(|user| user == 0 || user == sys::os::user());
            if allowed
                && self.connections.len() < MAX_CONNECTIONS
                && let Ok(connection) = Connection::new(stream)
            {
                self.connections.push(connection);
            }
        }
    }

    /// Queues an event for whoever subscribed.
    pub(super) fn tell_subscribers(&mut self, message: &Message) {
        for connection in self.connections.iter_mut().filter(|connection| connection.subscribed) {
            connection.tell(message);
        }
    }

    pub(super) fn flush_all(&mut self) {
        self.connections.iter_mut().for_each(Connection::flush);
    }

    fn forget_dead(&mut self) {
        self.connections.retain(|connection| {
            if connection.dead
                && let Mode::Exec(exec) = &connection.mode
            {
                exec.kill();
            }
            !connection.dead
        });
    }

    /// Sends the last messages, for a while.
    pub(super) fn say_goodbye(&mut self) {
        let deadline = Instant::now() + GOODBYE;
        loop {
            self.flush_all();
            let mut fds: Vec<libc::pollfd> = self
                .connections
                .iter()
                .filter(|connection| connection.pending() > 0 && !connection.dead)
                .map(|connection| libc::pollfd { fd: connection.stream.as_raw_fd(), events: libc::POLLOUT, revents: 0 })
                .collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if fds.is_empty() || left.is_zero() {
                return;
            }
            sys::os::poll(&mut fds, Some(left));
        }
    }
}

fn show(connections: &mut [Connection], stream: Stream, bytes: &[u8]) {
    for connection in connections {
        if matches!(connection.mode, Mode::Attached { .. }) {
            connection.show(stream, bytes);
        }
    }
}
