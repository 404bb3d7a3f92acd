//! How a run ends: signals, the main process, the rest of its tree, the record.

use super::connection::Mode;
use super::shim::{Ending, Shim};
use crate::launch::Target;
use crate::protocol::{ExitCause, Exited, Message, Phase, Usage};
use crate::record::ExitRecord;
use crate::sys;
use crate::sys::os::Reaped;
use std::io;
use std::time::Duration;

/// First pause between two passes of a kill; it doubles,
const FIRST_PASS_NS: u64 = 2_000_000;
/// up to this: what does not die then hangs in the kernel.
const LAST_PASS_NS: u64 = 100_000_000;

impl Shim {
    /// Takes all signals that came; tells whether everything is over.
    pub(super) fn take_signals(&mut self, now: u64) -> bool {
        let mut children = false;
        while let Some(signal) = sys::os::next_signal(std::os::fd::AsFd::as_fd(&self.signals)) {
            match signal {
                libc::SIGCHLD => children = true,
                libc::SIGTERM => {
                    let grace = self.spec.stop_grace;
                    // an answer is owed to nobody; a service that cannot be signalled is killed after the grace
                    let _ = self.stop(Some(grace), now);
                }
                libc::SIGUSR1 => self.bind_again(),
                _ => {}
            }
        }
        children && self.reap_all(now)
    }

    /// Collects whoever ended; tells whether the tree is empty and the main process with it.
    fn reap_all(&mut self, now: u64) -> bool {
        let had_main = self.exited.is_none();
        let empty = loop {
            match sys::os::reap() {
                Reaped::Child { pid, cause, usage } if pid == self.pid && self.exited.is_none() => {
                    self.main_ended(cause, usage);
                }
                Reaped::Child { pid, cause, .. } => self.other_ended(pid, cause),
                Reaped::NothingNow => break false,
                Reaped::NoChildren => break true,
            }
        };
        if self.exited.is_some() && !empty {
            if had_main {
                self.end_rest(now);
            } else if let Ending::Killing { .. } = self.ending {
                // whoever was adopted meanwhile
                self.kill_pass(now);
            }
        }
        self.exited.is_some() && empty
    }

    fn main_ended(&mut self, cause: ExitCause, usage: Usage) {
        let exited = Exited { cause, at_ns: sys::realtime_ns(), usage };
        self.exited = Some(exited);
        self.tell_subscribers(&Message::Exited(exited));
        // whoever decides about a restart should not wait for our bookkeeping
        self.flush_all();
    }

    fn other_ended(&mut self, pid: u32, cause: ExitCause) {
        for connection in &mut self.connections {
            if let Mode::Exec(exec) = &connection.mode
                && exec.pid == pid
            {
                connection.end_exec(cause);
            }
        }
    }

    /// The main process is gone and others are left: after a stop they are killed, else asked first.
    fn end_rest(&mut self, now: u64) {
        let asked = self.phase == Phase::Stopping || matches!(self.ending, Ending::Killing { .. });
        self.phase = Phase::Draining;
        for connection in &self.connections {
            if let Mode::Exec(exec) = &connection.mode {
                exec.kill();
            }
        }
        // what is known of the exit is kept whatever happens to us before the end
        let _ = self.exit_record(0).write(&self.folder);
        if asked || self.spec.leftover_grace.is_zero() {
            self.kill_all(now);
        } else {
            for process in sys::descendants(std::process::id()) {
                process.signal(libc::SIGTERM);
            }
            self.ending = Ending::Asked { kill_at: later(now, self.spec.leftover_grace) };
        }
    }

    /// Sends the stop signal; after `grace` everything is killed.
    pub(super) fn stop(&mut self, grace: Option<Duration>, now: u64) -> io::Result<()> {
        if self.exited.is_some() {
            self.kill_all(now);
            return Ok(());
        }
        self.phase = Phase::Stopping;
        let sent = self.signal(self.spec.stop_signal, self.spec.stop_to);
        if let Some(grace) = grace
            && !matches!(self.ending, Ending::Killing { .. })
        {
            self.ending = Ending::Asked { kill_at: later(now, grace) };
        }
        sent
    }

    /// Signals the main process or its group.
    pub(super) fn signal(&self, signal: i32, to: Target) -> io::Result<()> {
        if self.exited.is_some() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        sys::os::signal_child(self.pid, signal, to == Target::Group)
    }

    /// Begins to kill everything below.
    pub(super) fn kill_all(&mut self, now: u64) {
        if !matches!(self.ending, Ending::Killing { .. }) {
            self.ending = Ending::Killing { next: now, pause: FIRST_PASS_NS };
        }
        if self.exited.is_none() {
            self.phase = Phase::Stopping;
        }
        self.kill_pass(now);
    }

    /// Kills at once what was started, before anybody supervises it.
    pub(super) fn kill_service(&self) {
        sys::kill_tree(std::process::id(), Duration::from_secs(1));
        let _ = sys::os::signal_child(self.pid, libc::SIGKILL, true);
    }

    fn kill_pass(&mut self, now: u64) {
        if let Some(cgroup) = &self.spec.cgroup {
            // a kernel without this file leaves it to the loop
            let _ = std::fs::write(cgroup.join("cgroup.kill"), "1");
        }
        for process in sys::descendants(std::process::id()) {
            process.signal(libc::SIGKILL);
        }
        let pause = match self.ending {
            Ending::Killing { pause, .. } => (pause * 2).min(LAST_PASS_NS),
            Ending::No | Ending::Asked { .. } => FIRST_PASS_NS,
        };
        self.ending = Ending::Killing { next: now + pause, pause };
    }

    /// Does what is due by the clock.
    pub(super) fn end_due(&mut self, now: u64) {
        match self.ending {
            Ending::Asked { kill_at } if kill_at <= now => self.kill_all(now),
            Ending::Killing { next, .. } if next <= now => self.kill_pass(now),
            Ending::No | Ending::Asked { .. } | Ending::Killing { .. } => {}
        }
    }

    fn exit_record(&self, ended_ns: u64) -> ExitRecord {
        let exited = self.exited.unwrap_or(Exited { cause: ExitCause::Unknown, at_ns: 0, usage: Usage::default() });
        let writer = &self.outputs.writer;
        ExitRecord {
            cause: exited.cause,
            exited_ns: exited.at_ns,
            ended_ns,
            usage: exited.usage,
            log_end: writer.offset(),
            log_lost: writer.lost(),
            log_gaps: writer.gaps(),
        }
    }

    /// The tree is empty: completes log and record and tells it.
    pub(super) fn finish(&mut self) {
        self.drain_outputs();
        // on a full disk the message below is all there is
        let _ = self.exit_record(sys::realtime_ns()).write(&self.folder);
        self.phase = Phase::Ended;
        let (log_end, log_lost) = (self.outputs.writer.offset(), self.outputs.writer.lost());
        // the address must be free for a successor before it is told that it may start
        self.listener = None;
        let _ = std::fs::remove_file(&self.socket);
        self.notify = None;
        self.tell_subscribers(&Message::Ended { log_end, log_lost });
        self.say_goodbye();
    }

    fn bind_again(&mut self) {
        match super::setup::bind(&self.socket) {
            Ok(listener) => self.listener = Some(listener),
            // the folder may come back later, with another signal
            Err(_) => self.listener = None,
        }
    }
}

fn later(now: u64, span: Duration) -> u64 {
    now.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}
