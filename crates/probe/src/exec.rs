//! A command as a check: its own process group, which ends with the attempt.

use crate::{net, sys};
use muster_spec::ResolvedCommand;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// How much of the end of a stream is kept for the reason.
const TAIL: usize = 4096;

/// How long output is waited for that something outside of the group holds open.
const DRAIN: Duration = Duration::from_millis(100);

/// Passes when it ends with 0.
pub(crate) async fn check(command: &ResolvedCommand) -> Result<(), String> {
    let (program, arguments) = command.argv.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, value.expose())))
        .current_dir(&command.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| cannot_run(program, command, &error))?;
    let mut group = Group::of(&child);
    let (out, err) = output(&mut child, &group).await.map_err(|error| cannot_wait(program, &error))?;
    group.kill();
    let status = child.wait().await.map_err(|error| cannot_wait(program, &error))?;
    group.leader = Leader::Reaped;
    if status.success() {
        return Ok(());
    }
    let how = how(status);
    match last_line(&err).or_else(|| last_line(&out)) {
        Some(line) => Err(format!("{how}: {line}")),
        None => Err(how),
    }
}

/// Waits for the end, without reaping, and gives the ends of both streams. What the command leaves behind in its group is
/// killed, so that the streams end too.
async fn output(child: &mut Child, group: &Group) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let streams = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(tail(streams.0), tail(streams.1)) };
    tokio::pin!(reading);
    let ended = sys::ended(child);
    tokio::pin!(ended);
    tokio::select! {
        texts = &mut reading => ended.await.map(|()| texts),
        waited = &mut ended => {
            waited?;
            group.kill();
            Ok(tokio::time::timeout(DRAIN, &mut reading).await.unwrap_or_default())
        }
    }
}

fn cannot_wait(program: &str, error: &io::Error) -> String {
    format!("`{program}` cannot be waited for: {error}")
}

fn cannot_run(program: &str, command: &ResolvedCommand, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound && !command.cwd.is_dir() {
        return format!("`{program}` cannot be run: its folder `{}` does not exist", command.cwd.display());
    }
    format!("`{program}` cannot be run: {}", net::said(error))
}

/// Whether the group's number can still mean nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leader {
    Held,
    Reaped,
}

/// The command's process group. Killed when dropped: nothing of a check outlives its attempt.
struct Group {
    id: Option<u32>,
    leader: Leader,
}

impl Group {
    fn of(child: &Child) -> Self {
        Self { id: child.id(), leader: Leader::Held }
    }

    /// Only while the leader is not reaped: then the number cannot mean another group.
    fn kill(&self) {
        if let (Some(id), Leader::Held) = (self.id, self.leader) {
            sys::kill_group(id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        if let Some(id) = self.id {
            sys::reap_group(id);
        }
    }
}

/// Reads to the end and keeps the last bytes.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = [0_u8; TAIL];
    // An error is an end: the exit status decides.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
    kept
}

pub(crate) fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}
