//! Commands beside a run, and its own terminal: one framed stream each, on a connection of its own.

use super::connection::{Connection, ConnectionError};
use super::failure::{Attempt, NOT_EXECUTABLE, describe};
use super::link::refused;
use super::records::known;
use super::run::{Phase, Run};
use crate::contract::{Exec, ExecEvent, ExecInput, Known, RuntimeError, TERMINAL_QUEUE, Terminal, TerminalSize};
use futures::stream::{self, StreamExt as _};
use muster_shim::{AttachRole, ExecSpec, Message, Refusal, Request, Step, TtySize};
use muster_spec::RuntimeKind;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// A supervisor that lives takes a command over within this time.
const TAKE_OVER: Duration = Duration::from_secs(5);
/// What was executed has an environment within this time; a program that has erased its own, and one that ended, never.
const EXECUTED: Duration = Duration::from_millis(200);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

fn size(size: TerminalSize) -> TtySize {
    TtySize { rows: size.rows, cols: size.columns }
}

/// Runs a command beside the run.
pub(super) async fn exec(run: &Run, main_pid: u32, exec: &Exec) -> Result<Terminal, RuntimeError> {
    let attempt = Attempt {
        program: exec.argv.first().cloned().unwrap_or_default(),
        cwd: exec.cwd.as_ref().map_or_else(|| "that of the service".to_owned(), |cwd| cwd.display().to_string()),
        user: None,
    };
    let spec = ExecSpec {
        argv: exec.argv.iter().map(Into::into).collect(),
        env: environment(run, main_pid, exec).await,
        cwd: exec.cwd.clone(),
        tty: exec.terminal.map(size),
    };
    let connection = match open(run, |seq| Request::Exec { seq, spec: Box::new(spec) }).await? {
        Opening::Taken(connection) => connection,
        Opening::Refused(reason, errno) => return Err(refused(run, reason, errno)),
        Opening::Failed(step, errno) => return Ok(over(failed(step, errno, &attempt))),
    };
    let on_terminal = exec.terminal.is_some();
    Ok(terminal(Pump { connection, attempt, on_terminal, attached: None, out: Vec::new() }))
}

/// Attaches as the writer, or as a reader where somebody writes already or there is no terminal.
pub(super) async fn attach(run: &Arc<Run>) -> Result<Terminal, RuntimeError> {
    let role = |role| move |seq| Request::Attach { seq, role, size: None };
    let opening = match open(run, role(AttachRole::Writer)).await? {
        Opening::Refused(Refusal::Busy | Refusal::NoTerminal, _) => open(run, role(AttachRole::Reader)).await?,
        opening => opening,
    };
    let attempt = Attempt { program: String::new(), cwd: String::new(), user: None };
    let connection = match opening {
        Opening::Taken(connection) => connection,
        Opening::Refused(reason, errno) => return Err(refused(run, reason, errno)),
        Opening::Failed(step, errno) => return Ok(over(failed(step, errno, &attempt))),
    };
    let attached = Some(Arc::clone(run));
    Ok(terminal(Pump { connection, attempt, on_terminal: true, attached, out: Vec::new() }))
}

/// What stands in /proc of a process's environment. A program that has only just been executed has none there yet: the kernel
/// lets its parent go on first (`begin_new_exec` before `create_elf_tables`), and nothing tells when it is there.
async fn given(pid: u32) -> Vec<u8> {
    let look = || std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let there = async {
        loop {
            let bytes = look();
            if !bytes.is_empty() {
                return bytes;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(EXECUTED, there).await.unwrap_or_default()
}

/// The environment that the main process was given, with what the command adds.
async fn environment(run: &Run, main_pid: u32, exec: &Exec) -> Vec<(OsString, OsString)> {
    let bytes = given(main_pid).await;
    let mut env: Vec<(OsString, OsString)> = bytes
        .split(|byte| *byte == 0)
        .filter_map(|word| {
            let at = word.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
            Some((OsStr::from_bytes(&word[..at]).into(), OsStr::from_bytes(&word[at + 1..]).into()))
        })
        .collect();
    // a program may write its title over its environment: then better nothing than half of it
    let mark = run.id.to_string();
    if !env.iter().any(|(name, value)| name == muster_shim::RUN && value == mark.as_str()) {
        env.clear();
        env.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
    }
    env.retain(|(name, _)| name != "NOTIFY_SOCKET" && !exec.env.iter().any(|(added, _)| name == added.as_str()));
    env.extend(exec.env.iter().map(|(name, value)| (name.into(), value.into())));
    env
}

/// What came of asking for a stream.
enum Opening {
    Taken(Connection),
    Refused(Refusal, i32),
    Failed(Step, i32),
}

/// Connects, asks, and waits until the connection was taken over.
async fn open(run: &Run, request: impl FnOnce(u32) -> Request) -> Result<Opening, RuntimeError> {
    let unavailable = |reason: String| RuntimeError::Unavailable { runtime: RuntimeKind::Process, reason };
    let gone = || RuntimeError::Gone(run.id.clone());
    let talk = async {
        let mut connection = Connection::connect(&run.socket).await.map_err(|_| gone())?;
        let asked = connection.next_seq();
        connection.send(&request(asked)).await.map_err(|_| gone())?;
        loop {
            match connection.receive().await {
                Ok(Some(Message::Done { seq })) if seq == asked => return Ok(Opening::Taken(connection)),
                Ok(Some(Message::Refused { seq, reason, errno })) if seq == asked => {
                    return Ok(Opening::Refused(reason, errno));
                }
                Ok(Some(Message::ExecFailed { step, errno })) => return Ok(Opening::Failed(step, errno)),
                Ok(Some(_)) => {}
                Ok(None) => return Err(gone()),
                Err(error) => return Err(unavailable(error.to_string())),
            }
        }
    };
    timeout(TAKE_OVER, talk).await.unwrap_or_else(|_| Err(unavailable("its supervisor does not answer".into())))
}

fn failed(step: Step, errno: i32, attempt: &Attempt) -> ExecEvent {
    let failure = describe(step, errno, attempt);
    ExecEvent::Failed { reason: failure.reason, code: failure.code.unwrap_or(NOT_EXECUTABLE) }
}

/// A terminal that has nothing to tell but its end.
fn over(last: ExecEvent) -> Terminal {
    let (input, _) = mpsc::channel(TERMINAL_QUEUE);
    Terminal { input, events: stream::iter([last]).boxed() }
}

fn terminal(pump: Pump) -> Terminal {
    let (input, inputs) = mpsc::channel(TERMINAL_QUEUE);
    let (sender, events) = mpsc::channel(TERMINAL_QUEUE);
    tokio::spawn(pump.run(inputs, sender));
    let events = stream::unfold(events, |mut events| async move { Some((events.recv().await?, events)) }).boxed();
    Terminal { input, events }
}

/// Carries both directions; neither waits for the other.
struct Pump {
    connection: Connection,
    attempt: Attempt,
    on_terminal: bool,
    /// The service, where it is its own terminal.
    attached: Option<Arc<Run>>,
    out: Vec<u8>,
}

impl Pump {
    async fn run(mut self, mut inputs: mpsc::Receiver<ExecInput>, events: mpsc::Sender<ExecEvent>) {
        let last = loop {
            match self.deliver(&events).await {
                Ok(None) => {}
                Ok(Some(last)) => break last,
                Err(_) => break ExecEvent::Exited(Known::Unknown),
            }
            let may_take = self.out.is_empty();
            tokio::select! {
                // dropped: the connection ends with this task, and with it the command
                () = events.closed() => return,
                open = self.connection.exchange(&mut self.out) => {
                    if !open.unwrap_or(false) {
                        break ExecEvent::Exited(self.end().await);
                    }
                }
                Some(input) = inputs.recv(), if may_take => {
                    if let Some(last) = self.take(input) {
                        break last;
                    }
                }
            }
        };
        // nobody may be there to hear it
        let _ = events.send(last).await;
    }

    /// How it ended when the connection only closed: an attached service's end is told elsewhere.
    async fn end(&self) -> Known {
        let Some(run) = &self.attached else { return Known::Unknown };
        let mut progress = run.progress.subscribe();
        let ended = progress.wait_for(|now| matches!(now.phase, Phase::Ended(_)));
        match timeout(TAKE_OVER, ended).await.map(|now| now.map(|now| now.phase.clone())) {
            Ok(Ok(Phase::Ended(record))) => record.exit,
            Ok(Ok(Phase::Starting | Phase::Running(_) | Phase::Failed(_)) | Err(_)) | Err(_) => Known::Unknown,
        }
    }

    /// Gives out what came; the last event when it was that.
    async fn deliver(&mut self, events: &mpsc::Sender<ExecEvent>) -> Result<Option<ExecEvent>, ConnectionError> {
        while let Some(message) = self.connection.try_receive()? {
            let event = match message {
                Message::Stdout(bytes) => ExecEvent::Stdout(bytes),
                Message::Stderr(bytes) => ExecEvent::Stderr(bytes),
                Message::ExecExited(cause) => return Ok(Some(ExecEvent::Exited(known(cause)))),
                Message::Exited(exited) => return Ok(Some(ExecEvent::Exited(known(exited.cause)))),
                Message::ExecFailed { step, errno } => return Ok(Some(failed(step, errno, &self.attempt))),
                // the log has what was too much for this connection; the rest is nothing of a command
                Message::Lagged { .. }
                | Message::Hello { .. }
                | Message::Done { .. }
                | Message::Refused { .. }
                | Message::Status { .. }
                | Message::Tail { .. }
                | Message::Fds { .. }
                | Message::Started { .. }
                | Message::StartFailed { .. }
                | Message::LogGrew { .. }
                | Message::Notify { .. }
                | Message::Ended { .. }
                | Message::Unknown { .. } => continue,
            };
            if events.send(event).await.is_err() {
                break;
            }
        }
        Ok(None)
    }

    /// Queues an input; the end where it ends the command.
    fn take(&mut self, input: ExecInput) -> Option<ExecEvent> {
        let request = match input {
            ExecInput::Bytes(bytes) => Request::Stdin(bytes),
            ExecInput::Eof => Request::StdinClosed,
            ExecInput::Resize(new) => Request::Resize(size(new)),
            ExecInput::Signal(signal) => match (self.on_terminal, signal.number()) {
                // as a terminal does it (termios(3): VINTR, VQUIT, VSUSP)
                (true, libc::SIGINT) => Request::Stdin(vec![0x03]),
                (true, libc::SIGQUIT) => Request::Stdin(vec![0x1c]),
                (true, libc::SIGTSTP) => Request::Stdin(vec![0x1a]),
                // the command dies with its connection; what only informs is not carried
                (_, libc::SIGINT | libc::SIGQUIT | libc::SIGTERM | libc::SIGHUP | libc::SIGKILL) => {
                    return Some(ExecEvent::Exited(Known::Signal(signal.number())));
                }
                (true | false, _) => return None,
            },
        };
        request.encode(&mut self.out);
        None
    }
}
