//! A terminal, or pipes, connected to a command somewhere else.

use crate::failure::{Failure, Outcome};
use bytes::Bytes;
use muster_api::client::{Session, SessionInput};
use muster_api::exit;
use muster_api::frames::Frame;
use muster_runtime::{Known, TerminalSize};
use std::io::{IsTerminal, Read, Write};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How many pieces of input may wait: what is pasted into a terminal.
const INPUT_QUEUE: usize = 16;

/// ctrl-P ctrl-Q, as other tools have it.
const DETACH: [u8; 2] = [0x10, 0x11];

/// How a session treats this terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Bytes go through as they are typed.
    Raw,
    /// The same, and ctrl-P ctrl-Q leaves.
    RawDetachable,
    /// Pipes.
    Plain,
    /// Only what comes out: nothing is typed into it, and ctrl-C leaves.
    Listening,
}

impl Mode {
    /// Whether keys go through as they are.
    fn is_raw(self) -> bool {
        match self {
            Self::Raw | Self::RawDetachable => true,
            Self::Plain | Self::Listening => false,
        }
    }
}

/// The size of this terminal, when standard input and output are one.
pub(crate) fn size_of_terminal() -> Option<(u16, u16)> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return None;
    }
    let (columns, rows) = crossterm::terminal::size().ok()?;
    Some((rows, columns))
}

/// Puts the terminal back, whatever happens.
struct RawMode;

impl RawMode {
    fn enter() -> Result<Self, Failure> {
        crossterm::terminal::enable_raw_mode().map_err(|error| Failure::io("the terminal cannot be used", &error))?;
        Ok(Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Standard input in pieces; a thread reads it because a terminal cannot be waited for otherwise.
fn standard_input() -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(INPUT_QUEUE);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        let mut input = std::io::stdin();
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    if send.blocking_send(buffer[..n].to_vec()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receive
}

/// Carries both directions until the command ends; the exit code is the command's.
pub(crate) async fn converse(session: Session, mode: Mode) -> Outcome {
    let raw = mode.is_raw().then(RawMode::enter).transpose()?;
    let code = carry(session, mode).await;
    drop(raw);
    code
}

async fn carry(session: Session, mode: Mode) -> Outcome {
    let Session { mut input, mut output } = session;
    let on = |kind| signal(kind).map_err(|error| Failure::io("signals cannot be received", &error));
    let (mut resized, mut interrupt) = (on(SignalKind::window_change())?, on(SignalKind::interrupt())?);
    let (mut open, mut armed) = (mode != Mode::Listening, false);
    let mut typed = if open { standard_input() } else { mpsc::channel(1).1 };
    loop {
        tokio::select! {
            frame = output.next() => match frame {
                Ok(Some(frame)) => if let Some(code) = show(frame)? { return Ok(code) },
                Ok(None) => return Err(lost("the daemon ended the connection")),
                Err(error) => return Err(lost(&error.to_string())),
            },
            piece = typed.recv(), if open => match piece {
                Some(bytes) => {
                    if mode == Mode::RawDetachable && leaves(&bytes, armed) {
                        return Ok(exit::OK);
                    }
                    armed = bytes.last() == Some(&DETACH[0]);
                    open = send(&mut input, Frame::Stdin(Bytes::from(bytes))).await;
                }
                None => {
                    open = false;
                    send(&mut input, Frame::Eof).await;
                }
            },
            _ = resized.recv(), if mode.is_raw() => {
                if let Some((rows, columns)) = size_of_terminal() {
                    send(&mut input, Frame::Resize(TerminalSize { rows, columns })).await;
                }
            },
            _ = interrupt.recv() => {
                if mode == Mode::Listening {
                    return Ok(exit::OK);
                }
                send(&mut input, Frame::Signal(2)).await;
            }
        }
    }
}

/// Whether the two keys are in what was typed; the first of them may have come before.
fn leaves(bytes: &[u8], armed: bool) -> bool {
    (armed && bytes.first() == Some(&DETACH[1])) || bytes.windows(2).any(|pair| pair == DETACH)
}

/// False when nothing can be sent any more; what comes out is still to be shown.
async fn send(input: &mut SessionInput, frame: Frame) -> bool {
    input.send(&frame).await.is_ok()
}

/// Shows a frame; the last one gives the exit code.
fn show(frame: Frame) -> Result<Option<i32>, Failure> {
    match frame {
        Frame::Stdout(bytes) => {
            let mut out = std::io::stdout().lock();
            out.write_all(&bytes)?;
            out.flush()?;
            Ok(None)
        }
        Frame::Stderr(bytes) => {
            let _ = std::io::stderr().lock().write_all(&bytes);
            Ok(None)
        }
        Frame::Exited(known) => Ok(Some(code_of(&known))),
        Frame::Failed(failure) => {
            let help = "check the name and the service's PATH";
            let message = failure.reason;
            Err(Failure::new("exec::failed", failure.code, message, help))
        }
        Frame::Stdin(_) | Frame::Eof | Frame::Resize(_) | Frame::Signal(_) => Ok(None),
    }
}

/// As a shell says it: 128 and the signal's number.
fn code_of(known: &Known) -> i32 {
    match known {
        Known::Code(code) => *code,
        Known::Signal(number) => 128 + number,
        Known::SupervisorKilled | Known::Removed => 128 + 9,
        Known::Unknown => exit::OURS,
    }
}

fn lost(why: &str) -> Failure {
    Failure::new(
        "exec::failed",
        exit::OURS,
        format!("the stream ended early: {why}"),
        "`muster daemon status` shows the daemon",
    )
}

/// Muster's own failure is 125, so that it is not taken for the command's.
pub(crate) fn ours(outcome: Outcome, context: &crate::context::Context) -> Outcome {
    match outcome {
        Err(failure @ (Failure::Document(_) | Failure::Problems(_) | Failure::Compose(_))) => {
            let code = failure.report(&context.terminal, context.global.json);
            let kept = matches!(code, exit::NOT_EXECUTABLE | exit::COMMAND_NOT_FOUND);
            Ok(if kept { code } else { exit::OURS })
        }
        other => other,
    }
}
