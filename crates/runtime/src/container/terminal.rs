//! Commands beside a container's own, and its own terminal.
//!
//! An engine lets a command live on when nobody listens any more; ours die with their client. So the command's process is
//! looked up and ended: on this machine directly, else by a `kill` in the container.

use super::driver::Driver;
use super::engine::Client;
use super::guard::is_of;
use super::run::{Phase, Run};
use super::trouble::Trouble;
use crate::contract::{Exec, ExecEvent, ExecInput, Known, RuntimeError, TERMINAL_QUEUE, Terminal, TerminalSize};
use crate::sys;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use bollard::query_parameters::{AttachContainerOptions, ResizeContainerTTYOptions, ResizeExecOptions};
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// An engine knows how a command ended this long after its output did.
const SETTLED: Duration = Duration::from_secs(5);
/// Between two looks at a command that is ending or beginning.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes read from the engine at once.
const READ: usize = 64 << 10;
/// An engine's own error is not longer.
const ERROR_BYTES: usize = 4 << 10;
const NOT_EXECUTABLE: i64 = 126;
const NOT_FOUND: i64 = 127;

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// Runs a command beside the container's own.
pub(super) async fn exec(driver: &Driver, run: &Run, exec: &Exec) -> Result<Terminal, RuntimeError> {
    let container = running(run)?;
    let client = driver.engine.client().await?;
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(exec.terminal.is_some()),
        env: Some(exec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: Some(exec.argv.clone()),
        working_dir: exec.cwd.as_ref().map(|cwd| cwd.display().to_string()),
        ..Default::default()
    };
    let made = client.docker.create_exec(&container, options).await.map_err(Trouble::from);
    let id = made.map_err(|trouble| trouble.about(&run.id))?.id;
    let options = StartExecOptions { detach: false, tty: exec.terminal.is_some(), output_capacity: Some(READ) };
    let started = client.docker.start_exec(&id, Some(options)).await.map_err(Trouble::from);
    let (output, input) = match started.map_err(|trouble| trouble.about(&run.id))? {
        StartExecResults::Attached { output, input } => (output, input),
        StartExecResults::Detached => return Err(RuntimeError::Gone(run.id.clone())),
    };
    let command = Command { client, id, container, asked: exec.clone(), on_terminal: exec.terminal.is_some() };
    if let Some(size) = exec.terminal {
        command.resize(size).await;
    }
    let (sender, inputs) = mpsc::channel(TERMINAL_QUEUE);
    let (events, receiver) = mpsc::channel(TERMINAL_QUEUE);
    tokio::spawn(command.carry(output, input, inputs, events));
    Ok(Terminal { input: sender, events: stream_of(receiver) })
}

pub(super) fn running(run: &Run) -> Result<String, RuntimeError> {
    match (run.phase(), run.container()) {
        (Phase::Running(_), Some(id)) => Ok(id),
        (Phase::Running(_) | Phase::Starting | Phase::Failed(_) | Phase::Ended(_), _) => {
            Err(RuntimeError::Gone(run.id.clone()))
        }
    }
}

fn stream_of(receiver: mpsc::Receiver<ExecEvent>) -> BoxStream<'static, ExecEvent> {
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}

fn event_of(output: LogOutput) -> Option<ExecEvent> {
    match output {
        LogOutput::StdErr { message } => Some(ExecEvent::Stderr(message.to_vec())),
        LogOutput::StdOut { message } | LogOutput::Console { message } => Some(ExecEvent::Stdout(message.to_vec())),
        LogOutput::StdIn { .. } => None,
    }
}

/// A command that runs in a container.
struct Command {
    client: Arc<Client>,
    id: String,
    container: String,
    asked: Exec,
    on_terminal: bool,
}

impl Command {
    async fn carry(
        self,
        mut output: Output,
        input: Input,
        inputs: mpsc::Receiver<ExecInput>,
        events: mpsc::Sender<ExecEvent>,
    ) {
        let this = Arc::new(self);
        let (ended_by, mut told) = oneshot::channel();
        let feeding = tokio::spawn(Arc::clone(&this).feed(input, inputs, ended_by));
        // until it is clear that it is not the engine's own error
        let (mut held, mut is_open) = (Vec::new(), true);
        let mut signalled = None;
        loop {
            tokio::select! {
                () = events.closed() => {
                    this.end().await;
                    break;
                }
                // an error says that nothing more goes in: its output still counts
                signal = &mut told, if is_open => {
                    is_open = false;
                    signalled = signal.ok();
                    if signalled.is_some() {
                        this.end().await;
                    }
                }
                piece = output.next() => {
                    let Some(Ok(piece)) = piece else { break };
                    let Some(event) = event_of(piece) else { continue };
                    if held.is_empty() && !is_error(&event) || held.len() > 1 {
                        for event in held.drain(..).chain([event]) {
                            if events.send(event).await.is_err() {
                                break;
                            }
                        }
                        // nothing of it was an error
                        continue;
                    }
                    held.push(event);
                }
            }
        }
        if !events.is_closed() {
            this.tell_end(held, signalled, &events).await;
        }
        feeding.abort();
    }

    /// Tells how it ended.
    async fn tell_end(&self, held: Vec<ExecEvent>, signalled: Option<i32>, events: &mpsc::Sender<ExecEvent>) {
        let code = self.code().await;
        let last = match (signalled, code) {
            (Some(signal), _) => ExecEvent::Exited(Known::Signal(signal)),
            (None, Some(code @ (NOT_EXECUTABLE | NOT_FOUND))) if !held.is_empty() => {
                // nobody may be there to hear it
                let _ = events.send(failed(&held, &self.asked, code)).await;
                return;
            }
            (None, Some(code)) => ExecEvent::Exited(super::records::exit(code)),
            (None, None) => ExecEvent::Exited(Known::Unknown),
        };
        for event in held.into_iter().chain([last]) {
            if events.send(event).await.is_err() {
                return;
            }
        }
    }

    async fn show(&self) -> Option<ExecInspectResponse> {
        self.client.docker.inspect_exec(&self.id).await.ok()
    }

    async fn code(&self) -> Option<i64> {
        let deadline = Instant::now() + SETTLED;
        loop {
            let found = self.show().await?;
            if found.running != Some(true) {
                return found.exit_code;
            }
            if Instant::now() > deadline {
                return None;
            }
            sleep(LOOK).await;
        }
    }

    async fn resize(&self, size: TerminalSize) {
        let options = ResizeExecOptions { h: i32::from(size.rows), w: i32::from(size.columns) };
        // one that ended has no size
        let _ = self.client.docker.resize_exec(&self.id, options).await;
    }

    /// Carries input until there is none; says so where a signal is to end it.
    async fn feed(
        self: Arc<Self>,
        mut input: Input,
        mut inputs: mpsc::Receiver<ExecInput>,
        ended_by: oneshot::Sender<i32>,
    ) {
        while let Some(piece) = inputs.recv().await {
            let bytes = match piece {
                ExecInput::Bytes(bytes) => bytes,
                ExecInput::Eof => {
                    let _ = input.shutdown().await;
                    continue;
                }
                ExecInput::Resize(size) => {
                    self.resize(size).await;
                    continue;
                }
                ExecInput::Signal(signal) => match (self.on_terminal, signal.number()) {
                    // as a terminal does it (termios(3): VINTR, VQUIT, VSUSP)
                    (true, libc::SIGINT) => vec![0x03],
                    (true, libc::SIGQUIT) => vec![0x1c],
                    (true, libc::SIGTSTP) => vec![0x1a],
                    (_, number @ (libc::SIGINT | libc::SIGQUIT | libc::SIGTERM | libc::SIGHUP | libc::SIGKILL)) => {
                        // nobody waits for it any more: then it ends anyway
                        let _ = ended_by.send(number);
                        return;
                    }
                    // what only informs is not carried
                    (true | false, _) => continue,
                },
            };
            if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
                break;
            }
        }
        // closing the input is not an end of file: it stays open until the command ends
        std::future::pending::<()>().await;
    }

    /// Ends the command and what it began.
    async fn end(&self) {
        let deadline = Instant::now() + SETTLED;
        while Instant::now() < deadline {
            let Some(found) = self.show().await else { return };
            let pid = found.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
            match (found.running, pid) {
                (Some(true), Some(pid)) => {
                    if !self.end_here(pid) {
                        return self.end_inside(pid).await;
                    }
                }
                // it is beginning
                (Some(true), None) => {}
                (Some(false) | None, _) => return,
            }
            sleep(LOOK).await;
        }
        tracing::warn!(exec = self.id, "a command in a container could not be ended");
    }

    /// Whether it could be ended from this machine's side.
    fn end_here(&self, pid: u32) -> bool {
        let mut tree = sys::descendants(pid);
        tree.push(pid);
        let mut all = true;
        for pid in tree {
            let Ok(pinned) = sys::open_pidfd(pid) else { continue };
            // pinned first, compared then
            if is_of(pid, &self.container) {
                all &= sys::signal_pidfd(&pinned, libc::SIGKILL).is_ok();
            }
        }
        all && is_of_or_gone(pid, &self.container)
    }

    /// By the container's own shell and its own number of the process.
    async fn end_inside(&self, pid: u32) {
        let Some(inner) = inner_pid(pid) else { return };
        let script = format!("kill -KILL -{inner} {inner}");
        let cmd = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        let options = CreateExecOptions { cmd: Some(cmd), user: Some("0".to_owned()), ..Default::default() };
        if let Ok(made) = self.client.docker.create_exec(&self.container, options).await {
            let detached = StartExecOptions { detach: true, tty: false, output_capacity: None };
            // where it has no shell the command goes on until the container ends
            let _ = self.client.docker.start_exec(&made.id, Some(detached)).await;
        }
    }
}

fn is_of_or_gone(pid: u32, container: &str) -> bool {
    is_of(pid, container) || !std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// The last number is that of the innermost namespace (proc(5), `NSpid`).
fn inner_pid(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// Whether the engine may be telling why it could not execute a command: runc and crun, through docker and Podman.
fn is_error(event: &ExecEvent) -> bool {
    let (ExecEvent::Stdout(bytes) | ExecEvent::Stderr(bytes)) = event else { return false };
    bytes.len() < ERROR_BYTES && (bytes.starts_with(b"OCI runtime exec failed") || bytes.starts_with(b"Error: "))
}

fn failed(held: &[ExecEvent], asked: &Exec, code: i64) -> ExecEvent {
    let text = held.iter().filter_map(|event| match event {
        ExecEvent::Stdout(bytes) | ExecEvent::Stderr(bytes) => Some(String::from_utf8_lossy(bytes)),
        ExecEvent::Exited(_) | ExecEvent::Failed { .. } => None,
    });
    let said = text.collect::<String>().lines().next().unwrap_or_default().trim().to_owned();
    let (reason, code) = super::failure::of_exec(said, asked, i32::try_from(code).unwrap_or(1));
    ExecEvent::Failed { reason, code }
}

/// Attaches as the writer, or as a reader where somebody writes already.
pub(super) async fn attach(driver: &Driver, run: &Arc<Run>) -> Result<Terminal, RuntimeError> {
    let container = running(run)?;
    let client = driver.engine.client().await?;
    let writer = Arc::clone(&run.writer).try_acquire_owned().ok();
    let options = AttachContainerOptions {
        stream: true,
        stdin: writer.is_some(),
        stdout: true,
        stderr: true,
        ..Default::default()
    };
    let attached = client.docker.attach_container(&container, Some(options)).await.map_err(Trouble::from);
    let attached = attached.map_err(|trouble| trouble.about(&run.id))?;
    let (sender, inputs) = mpsc::channel(TERMINAL_QUEUE);
    let (events, receiver) = mpsc::channel(TERMINAL_QUEUE);
    let own = Own { client, run: Arc::clone(run), container, writer };
    tokio::spawn(own.carry(attached.output, attached.input, inputs, events));
    Ok(Terminal { input: sender, events: stream_of(receiver) })
}

/// A container's own terminal.
struct Own {
    client: Arc<Client>,
    run: Arc<Run>,
    container: String,
    writer: Option<OwnedSemaphorePermit>,
}

impl Own {
    async fn carry(
        self,
        mut output: Output,
        mut input: Input,
        mut inputs: mpsc::Receiver<ExecInput>,
        events: mpsc::Sender<ExecEvent>,
    ) {
        loop {
            tokio::select! {
                // dropped: the service is left alone
                () = events.closed() => return,
                piece = output.next() => {
                    let Some(Ok(piece)) = piece else { break };
                    if let Some(event) = event_of(piece)
                        && events.send(event).await.is_err()
                    {
                        return;
                    }
                }
                Some(piece) = inputs.recv(), if self.writer.is_some() => self.feed(&mut input, piece).await,
            }
        }
        let mut progress = self.run.progress.subscribe();
        let ended = progress.wait_for(|now| matches!(now.phase, Phase::Ended(_)));
        let exit = match timeout(SETTLED, ended).await.map(|now| now.map(|now| now.phase.clone())) {
            Ok(Ok(Phase::Ended(record))) => record.exit,
            Ok(Ok(Phase::Starting | Phase::Running(_) | Phase::Failed(_)) | Err(_)) | Err(_) => Known::Unknown,
        };
        // nobody may be there to hear it
        let _ = events.send(ExecEvent::Exited(exit)).await;
    }

    async fn feed(&self, input: &mut Input, piece: ExecInput) {
        match piece {
            ExecInput::Bytes(bytes) => {
                // a container that ended is told by its output
                let _ = input.write_all(&bytes).await;
                let _ = input.flush().await;
            }
            ExecInput::Resize(size) => {
                let options = ResizeContainerTTYOptions { h: i32::from(size.rows), w: i32::from(size.columns) };
                let _ = self.client.docker.resize_container_tty(&self.container, options).await;
            }
            // an end of file would end the service's input for all who come after us
            ExecInput::Eof | ExecInput::Signal(_) => {}
        }
    }
}
