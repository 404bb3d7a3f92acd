//! A command beside the service: child of the shim, tied to one connection.

use super::connection::Connection;
use crate::launch::{ExecSpec, LaunchSpec, TtySize};
use crate::marks::Marks;
use crate::protocol::{ExitCause, Message, Step};
use crate::sys;
use crate::sys::child::{Failure, Plan, Streams, failed, start};
use muster_logs::Stream;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// Output is read only while the client has less than this to take.
pub(super) const MAX_AHEAD: usize = 256 << 10;
/// Input is taken from the client only while the command has less than this to read.
pub(super) const MAX_INPUT: usize = 64 << 10;
const READ: usize = 16 << 10;

/// Input on its way to a pipe or a terminal.
#[derive(Debug, Default)]
pub(super) struct Input {
    pending: Vec<u8>,
    ends: bool,
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.ends {
            self.pending.extend_from_slice(bytes);
        }
    }

    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_INPUT
    }

    /// Writes what is taken now; tells whether the other side is still worth writing to.
    pub(super) fn drain(&mut self, mut to: &File) -> bool {
        while !self.pending.is_empty() {
            match to.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => {
                    self.pending = Vec::new();
                    return false;
                }
            }
        }
        self.pending = Vec::new();
        !self.ends
    }
}

/// A running command.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) pid: u32,
    pub(super) outputs: Vec<(Stream, File)>,
    /// Where input goes: a pipe, or the terminal.
    pub(super) stdin: Option<File>,
    pub(super) input: Input,
    terminal: bool,
}

impl Exec {
    /// Starts the command as the service's user, with the service's limits.
    pub(super) fn start(spec: &ExecSpec, service: &LaunchSpec, folder: &Path, umask: u32) -> Result<Self, Failure> {
        let mut env = spec.env.clone();
        Marks { run: &service.run, folder }.set(&mut env);
        let plan = |streams| Plan {
            argv: &spec.argv,
            env: &env,
            cwd: spec.cwd.as_deref().unwrap_or(&service.cwd),
            identity: service.identity.as_ref(),
            umask,
            limits: &service.limits,
            cgroup: service.cgroup.as_deref(),
            streams,
        };
        let fault = failed(Step::Output);
        if let Some(size) = spec.tty {
            let (master, slave) = sys::os::open_pty(size).map_err(&fault)?;
            if let Some(identity) = &service.identity {
                sys::os::give(slave.as_fd(), identity.uid, identity.gid);
            }
            let pid = start(&plan(Streams::Terminal(slave.as_fd())))?;
            let stdin = master.try_clone().map_err(&fault)?;
            return Ok(Self::new(pid, vec![(Stream::Tty, master)], stdin, true));
        }
        let (stdin, feed) = sys::os::pipe().map_err(&fault)?;
        let (out, stdout) = sys::os::pipe().map_err(&fault)?;
        let (err, stderr) = sys::os::pipe().map_err(&fault)?;
        let pid = start(&plan(Streams::Pipes {
            stdin: Some(stdin.as_fd()),
            stdout: stdout.as_fd(),
            stderr: stderr.as_fd(),
        }))?;
        Ok(Self::new(pid, vec![(Stream::Stdout, out), (Stream::Stderr, err)], feed, false))
    }

    fn new(pid: u32, outputs: Vec<(Stream, OwnedFd)>, stdin: OwnedFd, terminal: bool) -> Self {
        for (_, fd) in &outputs {
            // a descriptor that is open takes this flag
            let _ = sys::os::nonblocking(fd.as_fd());
        }
        let _ = sys::os::nonblocking(stdin.as_fd());
        let outputs = outputs.into_iter().map(|(stream, fd)| (stream, File::from(fd))).collect();
        Self { pid, outputs, stdin: Some(File::from(stdin)), input: Input::default(), terminal }
    }

    /// Ends the command and everything below it.
    pub(super) fn kill(&self) {
        for process in sys::descendants(self.pid) {
            process.signal(libc::SIGKILL);
        }
        // the command may have ended meanwhile; its exit was not collected, so the id is still its own
        let _ = sys::os::signal_child(self.pid, libc::SIGKILL, true);
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
        self.drain_input();
    }

    pub(super) fn end_input(&mut self) {
        if self.terminal {
            // a terminal has no end; this is how a person types it
            self.feed(&[4]);
            return;
        }
        self.input.end();
        self.drain_input();
    }

    pub(super) fn drain_input(&mut self) {
        if let Some(stdin) = &self.stdin
            && !self.input.drain(stdin)
        {
            self.stdin = None;
        }
    }

    pub(super) fn resize(&self, size: TtySize) {
        if self.terminal
            && let Some((_, master)) = self.outputs.first()
        {
            sys::os::resize(master.as_fd(), size);
        }
    }
}

impl Connection {
    /// Moves the command's output to the client: from one place, or (`None`) what is left of all.
    pub(super) fn pump_exec(&mut self, at: usize) -> bool {
        let super::connection::Mode::Exec(exec) = &mut self.mode else { return false };
        let Some((stream, file)) = exec.outputs.get_mut(at) else { return false };
        let stream = *stream;
        let mut buffer = [0; READ];
        match file.read(&mut buffer) {
            Ok(count) if count > 0 => {
                let message = match stream {
                    Stream::Stdout | Stream::Tty => Message::Stdout(buffer[..count].to_vec()),
                    Stream::Stderr => Message::Stderr(buffer[..count].to_vec()),
                };
                self.tell(&message);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => false,
            Ok(_) | Err(_) => {
                exec.outputs.remove(at);
                false
            }
        }
    }

    /// The command ended: sends the rest and its exit, and closes.
    pub(super) fn end_exec(&mut self, cause: ExitCause) {
        let super::connection::Mode::Exec(exec) = &self.mode else { return };
        for at in (0..exec.outputs.len()).rev() {
            while self.pump_exec(at) {}
        }
        self.tell(&Message::ExecExited(cause));
        self.closing = true;
        self.mode = super::connection::Mode::Control;
    }
}
