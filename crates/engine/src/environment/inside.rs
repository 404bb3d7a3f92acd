//! Commands inside of a run that is not a process of this machine: probes and stop commands of containers and hosts; and
//! who has its ports there.

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use muster_probe::{HeldThere, Inside, Ran};
use muster_runtime::{Exec, ExecEvent, Handle, Known, Runtime};
use muster_sockets::Holder;
use muster_spec::{ResolvedCommand, RuntimeKind};
use std::path::PathBuf;
use std::sync::Arc;

/// Of each stream, so much is kept.
const KEPT: usize = 256 * 1024;

/// How probes of a run run their commands; none where that is this machine itself.
pub(super) fn inside(runtime: &Arc<dyn Runtime>, handle: &Arc<Handle>) -> Option<Inside> {
    match handle.runtime {
        RuntimeKind::Process | RuntimeKind::Mock | RuntimeKind::External => return None,
        RuntimeKind::Container | RuntimeKind::Remote => {}
    }
    let (runtime, handle) = (Arc::clone(runtime), Arc::clone(handle));
    Some(Arc::new(move |command: ResolvedCommand| -> BoxFuture<'static, Result<Ran, String>> {
        let (runtime, handle) = (Arc::clone(&runtime), Arc::clone(&handle));
        async move { run(runtime.as_ref(), &handle, command).await }.boxed()
    }))
}

/// How probes of a run ask for its ports; none where those are this machine's, or an address of its own.
pub(super) fn there(runtime: &Arc<dyn Runtime>, handle: &Arc<Handle>) -> Option<(String, HeldThere)> {
    let host = handle.far.as_ref()?.host.clone();
    let (runtime, handle) = (Arc::clone(runtime), Arc::clone(handle));
    let held = move |ports: Vec<u16>| -> BoxFuture<'static, Result<Vec<Holder>, String>> {
        let (runtime, handle) = (Arc::clone(&runtime), Arc::clone(&handle));
        async move { runtime.holders(&handle, &ports).await.map_err(|error| error.to_string()) }.boxed()
    };
    Some((host, Arc::new(held)))
}

/// Runs a command to its end. The environment is the run's own. Dropping the future ends the command.
pub(super) async fn run(runtime: &dyn Runtime, handle: &Handle, command: ResolvedCommand) -> Result<Ran, String> {
    let cwd = Some(command.cwd).filter(|cwd| *cwd != PathBuf::new());
    let exec = Exec { argv: command.argv, env: Vec::new(), cwd, terminal: None };
    let mut terminal = runtime.exec(handle, &exec).await.map_err(|error| error.to_string())?;
    let mut ran = Ran::default();
    while let Some(event) = terminal.events.next().await {
        match event {
            ExecEvent::Stdout(bytes) => keep(&mut ran.stdout, &bytes),
            ExecEvent::Stderr(bytes) => keep(&mut ran.stderr, &bytes),
            ExecEvent::Exited(Known::Code(code)) => {
                ran.code = Some(code);
                return Ok(ran);
            }
            ExecEvent::Exited(Known::Signal(number)) => return Err(format!("was ended by signal {number}")),
            ExecEvent::Exited(Known::SupervisorKilled | Known::Removed | Known::Unknown) => {
                return Err("ended in an unknown way".to_owned());
            }
            ExecEvent::Failed { reason, .. } => return Err(reason),
        }
    }
    Err("was lost sight of".to_owned())
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
