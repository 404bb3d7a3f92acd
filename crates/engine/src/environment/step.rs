//! A step of a service's life that is a run of its own and ends: a build, what comes before a start, a stop command.

use crate::shared::Shared;
use futures::StreamExt;
use muster_runtime::{Handle, Heard, Known, Runtime, RuntimeEvent};
use muster_spec::{InstanceSpec, RunId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pieces of output that wait for who reads along.
pub(super) const AHEAD: usize = 64;

/// Who hears what a step says.
#[derive(Clone, Copy)]
pub(super) struct Ear<'a> {
    /// Told that a log grew.
    pub(super) log_grew: &'a watch::Sender<()>,
    /// Gets the output itself.
    pub(super) heard: Option<&'a Heard>,
}

impl Ear<'_> {
    /// Passes on what a run wrote since the last time.
    async fn hear(&self, runtime: &dyn Runtime, handle: &Handle, read: &mut u64) {
        self.log_grew.send_replace(());
        let Some(heard) = self.heard else { return };
        let chunks = match runtime.logs(handle, *read).await {
            Ok(chunks) => chunks,
            Err(error) => return tracing::debug!(run = %handle.run, %error, "what a step says cannot be read"),
        };
        for chunk in chunks {
            *read = chunk.offset + chunk.bytes.len() as u64;
            // an error means that nobody listens any more
            let _ = heard.send(chunk.bytes).await;
        }
    }
}

/// The identity of a step of a run.
pub(super) fn step_of(run: &RunId, step: String) -> RunId {
    RunId { step: Some(step), ..run.clone() }
}

/// Runs a step to its end. Its output is kept beside that of the run it belongs to.
pub(super) async fn step(
    shared: &Shared,
    run: &RunId,
    spec: &InstanceSpec,
    cancel: &CancellationToken,
    ear: Ear<'_>,
) -> Result<(), String> {
    let runtime = shared.runtimes.get(spec.runtime, &run.environment);
    let runtime = runtime.ok_or_else(|| format!("runtime `{}` is not available here", spec.runtime))?;
    let name = spec.command.argv.first().cloned().unwrap_or_default();
    let handle = runtime.start(run, spec).await.map_err(|error| error.to_string())?;
    let mut events = runtime.watch(&handle);
    let (mut told, mut read) = (false, 0);
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = cancel.cancelled(), if !told => {
                told = true;
                if let Err(error) = runtime.kill(&handle).await {
                    tracing::warn!(%run, %error, "cannot end a step");
                }
                continue;
            }
        };
        match event {
            Some(RuntimeEvent::Exited(record)) => {
                ear.hear(runtime.as_ref(), &handle, &mut read).await;
                if let Err(error) = runtime.destroy(run).await {
                    tracing::warn!(%run, %error, "cannot remove what is left of a step");
                }
                return match record.exit {
                    Known::Code(0) => Ok(()),
                    other => Err(format!("`{name}` ended with {}", super::effects::exit(&other))),
                };
            }
            Some(RuntimeEvent::LogGrew(_)) => ear.hear(runtime.as_ref(), &handle, &mut read).await,
            Some(
                RuntimeEvent::Notify(_) | RuntimeEvent::Health(_) | RuntimeEvent::LinkLost(_) | RuntimeEvent::LinkBack,
            ) => {}
            None => return Err(format!("`{name}` was lost sight of")),
        }
    }
}
