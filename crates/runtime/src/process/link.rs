//! The task that keeps one run's connection: fans events out, carries requests, and notices the supervisor's death.

use super::adopt::{Alive, reopen};
use super::bury::{Remains, bury};
use super::connection::Connection;
use super::failure::{Attempt, Failure, describe, errno_text};
use super::records::{handle, known};
use super::run::{Ask, Phase, Run};
use super::spawner::Spawn;
use crate::contract::{Capability, ExitRecord, RuntimeError};
use crate::sys;
use muster_shim::{ExitCause, Exited, Message, Pipes, Refusal, Request, Status, Step};
use muster_spec::RuntimeKind;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A supervisor whose connection ended is dead after this time, or it lives and the connection was at fault.
const DYING: Duration = Duration::from_millis(300);
/// Between two attempts to reach a supervisor that lives.
const RETRY: Duration = Duration::from_millis(250);

type Reply = oneshot::Sender<Result<(), RuntimeError>>;

/// One run's connection and everything that depends on it.
pub(super) struct Link {
    run: Arc<Run>,
    connection: Connection,
    pidfd: OwnedFd,
    asks: mpsc::Receiver<Ask>,
    waiting: HashMap<u32, Reply>,
    pipes: Pipes,
    exited: Option<Exited>,
    backlog: Vec<Message>,
}

/// How a start came out.
pub(super) enum Started {
    Yes,
    /// Somebody started this run before: its records tell the rest. The inbox is given back.
    Before(mpsc::Receiver<Ask>),
    No(Failure),
}

/// Why the carrying stopped.
enum Over {
    Ended(ExitRecord),
    Broken(String),
}

impl Link {
    /// Takes a fresh shim and waits for the start's outcome.
    pub(super) async fn spawned(
        run: Arc<Run>,
        asks: mpsc::Receiver<Ask>,
        spawn: Spawn,
        boot_id: &str,
    ) -> (Option<Self>, Started) {
        let Spawn { stream, rest, shim, attempt } = spawn;
        let connection = match Connection::over(stream) {
            Ok(connection) => connection,
            Err(error) => return (None, Started::No(Failure::transient(format!("could not use a socket: {error}")))),
        };
        let (waiting, pipes, backlog) = (HashMap::new(), Pipes::default(), Vec::new());
        let mut link = Self { run, connection, pidfd: shim.pidfd, asks, waiting, pipes, exited: None, backlog };
        let outcome = link.outcome(&rest, &attempt).await;
        match outcome {
            Ok((pid, start_time)) => {
                let handle = handle(&link.run.id, &link.run.folder, pid, start_time, boot_id);
                link.run.set_phase(Phase::Running(handle));
                if let Err(error) = link.ask_for_pipes().await {
                    tracing::debug!(%error, "supervisor gone right after the start");
                }
                (Some(link), Started::Yes)
            }
            Err(failed) => {
                link.reap().await;
                match failed {
                    Some(failure) => (None, Started::No(failure)),
                    None => (None, Started::Before(link.asks)),
                }
            }
        }
    }

    /// Takes a supervisor that was found.
    pub(super) async fn adopted(run: Arc<Run>, asks: mpsc::Receiver<Ask>, alive: Alive) -> Self {
        let Alive { connection, pidfd, handle, status, backlog, .. } = alive;
        let mut link = Self {
            run,
            connection,
            pidfd,
            asks,
            waiting: HashMap::new(),
            pipes: Pipes::default(),
            exited: None,
            backlog,
        };
        link.take_status(&status);
        link.run.set_phase(Phase::Running(handle));
        if let Err(error) = link.ask_for_pipes().await {
            tracing::debug!(%error, "supervisor gone right after its adoption");
        }
        link
    }

    /// The main process' id and start time, the failure, or `None` for a run that was started before.
    async fn outcome(&mut self, rest: &[u8], attempt: &Attempt) -> Result<(u32, u64), Option<Failure>> {
        // a shim that does not read to the end says why itself
        let _ = self.connection.send_bytes(rest).await;
        loop {
            match self.connection.receive().await {
                Ok(Some(Message::Started { pid, start_time })) => return Ok((pid, start_time)),
                Ok(Some(Message::StartFailed { step: Step::Lock | Step::Claimed, .. })) => return Err(None),
                Ok(Some(Message::StartFailed { step, errno })) => return Err(Some(describe(step, errno, attempt))),
                Ok(Some(message)) => self.backlog.push(message),
                Ok(None) => {
                    self.run_bury(ExitCause::SupervisorKilled).await;
                    return Err(Some(Failure::transient("the supervisor ended before it told of the start")));
                }
                Err(error) => return Err(Some(Failure::transient(error.to_string()))),
            }
        }
    }

    /// Asks for the log's growth, and for the pipes: the last bytes of a run whose supervisor is killed are in them.
    async fn ask_for_pipes(&mut self) -> io::Result<()> {
        let mut bytes = Request::Subscribe { seq: self.connection.next_seq(), logs: true }.to_bytes();
        Request::GiveFds { seq: self.connection.next_seq() }.encode(&mut bytes);
        self.connection.send_bytes(&bytes).await
    }

    /// Carries until the run's end.
    pub(super) async fn carry(mut self) {
        loop {
            match self.carry_connection().await {
                Over::Ended(record) => {
                    self.finish(record);
                    break;
                }
                Over::Broken(reason) => {
                    self.waiting.clear();
                    if !self.reconnect(reason).await {
                        self.died().await;
                        break;
                    }
                }
            }
        }
        drop(std::mem::take(&mut self.pipes));
        self.reap().await;
    }

    async fn carry_connection(&mut self) -> Over {
        for message in std::mem::take(&mut self.backlog) {
            if let Some(record) = self.take(message) {
                return Over::Ended(record);
            }
        }
        loop {
            loop {
                match self.connection.try_receive() {
                    Ok(Some(message)) => {
                        if let Some(record) = self.take(message) {
                            return Over::Ended(record);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return Over::Broken(error.to_string()),
                }
            }
            tokio::select! {
                filled = self.connection.fill() => match filled {
                    Ok(true) => {}
                    Ok(false) => return Over::Broken("its supervisor closed the connection".into()),
                    Err(error) => return Over::Broken(error.to_string()),
                },
                Some(ask) = self.asks.recv() => {
                    let seq = self.connection.next_seq();
                    if let Err(error) = self.connection.send(&ask.what.request(seq)).await {
                        return Over::Broken(error.to_string());
                    }
                    self.waiting.insert(seq, ask.reply);
                }
            }
        }
    }

    /// What a message does; the record when it was the last one.
    fn take(&mut self, message: Message) -> Option<ExitRecord> {
        match message {
            Message::Done { seq } => self.answer(seq, Ok(())),
            Message::Refused { seq, reason, errno } => {
                let error = self.refused(reason, errno);
                self.answer(seq, Err(error));
            }
            Message::Status { status, .. } => self.take_status(&status),
            Message::Fds { streams, .. } => {
                self.pipes = Pipes::of(streams, self.connection.take_fds());
            }
            Message::LogGrew { offset } => self.run.progress.send_modify(|now| now.log_end = offset.max(now.log_end)),
            Message::Notify { text } => self.run.progress.send_modify(|now| now.note(text)),
            Message::Exited(exited) => self.exited = Some(exited),
            Message::Ended { log_end, .. } => {
                let exit = self.exited.map_or(ExitCause::Unknown, |exited| exited.cause);
                let at_ns = self.exited.map_or(0, |exited| exited.at_ns);
                return Some(ExitRecord { exit: known(exit), at_ns, log_bytes: log_end, note: None });
            }
            // told once, before; or parts of streams that this connection never asked for
            Message::Hello { .. }
            | Message::Started { .. }
            | Message::StartFailed { .. }
            | Message::Tail { .. }
            | Message::Stdout(_)
            | Message::Stderr(_)
            | Message::ExecExited(_)
            | Message::ExecFailed { .. }
            | Message::Lagged { .. }
            | Message::Unknown { .. } => {}
        }
        None
    }

    fn take_status(&mut self, status: &Status) {
        self.exited = status.exited.or(self.exited);
        self.run.progress.send_modify(|now| {
            now.log_end = status.log_end.max(now.log_end);
            if status.notify_ready {
                now.note_once("READY=1");
            }
            if status.notify_stopping {
                now.note_once("STOPPING=1");
            }
            if !status.notify_status.is_empty() {
                now.status_text = Some(status.notify_status.clone());
            }
        });
    }

    fn answer(&mut self, seq: u32, answer: Result<(), RuntimeError>) {
        if let Some(reply) = self.waiting.remove(&seq) {
            // whoever asked may have given up
            let _ = reply.send(answer);
        }
    }

    fn refused(&self, reason: Refusal, errno: i32) -> RuntimeError {
        refused(&self.run, reason, errno)
    }

    fn finish(&self, record: ExitRecord) {
        self.run.progress.send_modify(|now| {
            now.log_end = record.log_bytes.max(now.log_end);
            now.lost = None;
            now.phase = Phase::Ended(record);
        });
    }

    /// True when the supervisor lives and answers again; false when it is dead.
    async fn reconnect(&mut self, reason: String) -> bool {
        if self.gone_within(DYING).await {
            return false;
        }
        self.run.progress.send_modify(|now| now.lost = Some(reason));
        loop {
            match reopen(&self.run.socket, &self.run.id).await {
                Ok((connection, status, backlog)) => {
                    (self.connection, self.backlog) = (connection, backlog);
                    self.take_status(&status);
                    self.run.progress.send_modify(|now| now.lost = None);
                    return true;
                }
                Err(error) => tracing::debug!(run = %self.run.id, %error, "supervisor cannot be reached"),
            }
            if self.gone_within(RETRY).await {
                return false;
            }
        }
    }

    async fn gone_within(&self, patience: Duration) -> bool {
        timeout(patience, sys::ended(&self.pidfd)).await.is_ok()
    }

    /// The supervisor was killed, or it ended and its last word was lost.
    async fn died(&mut self) {
        // reaped first: a zombie still holds its number, and the burial looks for the living
        sys::reap(&self.pidfd);
        let record = self.run_bury(ExitCause::SupervisorKilled).await;
        self.finish(record);
    }

    async fn run_bury(&mut self, cause: ExitCause) -> ExitRecord {
        let remains = Remains {
            run: self.run.id.to_string(),
            folder: self.run.folder.clone(),
            pipes: std::mem::take(&mut self.pipes),
            secrets: self.run.secrets(),
            cause,
        };
        let done = tokio::task::spawn_blocking(move || bury(remains)).await;
        match done {
            Ok(Ok(record)) => record,
            Ok(Err(error)) => {
                tracing::error!(run = %self.run.id, %error, "the end of a run could not be recorded");
                ExitRecord { exit: known(cause), at_ns: 0, log_bytes: self.run.progress.borrow().log_end, note: None }
            }
            Err(error) => {
                tracing::error!(run = %self.run.id, %error, "the end of a run could not be recorded");
                ExitRecord { exit: known(cause), at_ns: 0, log_bytes: 0, note: None }
            }
        }
    }

    /// Waits until the shim is gone and takes its status, where it is our child.
    async fn reap(&self) {
        sys::ended(&self.pidfd).await;
        sys::reap(&self.pidfd);
    }
}

/// A refusal in the contract's words.
pub(super) fn refused(run: &Run, reason: Refusal, errno: i32) -> RuntimeError {
    let unsupported = |capability| RuntimeError::Unsupported { runtime: RuntimeKind::Process, capability };
    match reason {
        Refusal::NotNow => RuntimeError::Gone(run.id.clone()),
        Refusal::NoTerminal => unsupported(Capability::Attach),
        Refusal::Unsupported => RuntimeError::Unavailable {
            runtime: RuntimeKind::Process,
            reason: format!("the supervisor of `{}` is older than this and cannot do it: restart the service", run.id),
        },
        Refusal::Busy => RuntimeError::Unavailable {
            runtime: RuntimeKind::Process,
            reason: format!("somebody else writes to `{}`", run.id),
        },
        Refusal::System if errno == libc::ESRCH => RuntimeError::Gone(run.id.clone()),
        Refusal::System => RuntimeError::Io {
            context: format!("the supervisor of `{}`: {}", run.id, errno_text(errno)),
            source: io::Error::from_raw_os_error(errno),
        },
    }
}
