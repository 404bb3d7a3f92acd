//! What changed while a service runs, on its way to its host.
//!
//! Nothing is kept here for the next run: what is on a host stays there, and what `remote.sync` names is looked at again
//! with every start. A link that is lost on the way has brought some files, each whole; who asks again brings the rest.

use super::driver::Driver;
use super::sync::{self, SyncError};
use crate::contract::{BroughtTo, Changes, Handle, RuntimeError};
use crate::progress::Phase;
use muster_spec::RuntimeKind;
use std::io;

/// Brings changes to the host of a run, whether that goes on or ended.
pub(super) async fn bring(driver: &Driver, handle: &Handle, changes: &Changes) -> Result<BroughtTo, RuntimeError> {
    let placed = driver.placed(&handle.run, Some(handle)).ok_or_else(|| RuntimeError::Gone(handle.run.clone()))?;
    let host = driver.host(&placed.host)?;
    // whoever leaves the environment lets the link go
    host.entered(&handle.run.environment);
    let mux = host.mux().await?;
    sync::bring(&mux, changes).await.map_err(|error| told(&placed.host, error))?;
    match driver.known(&handle.run).map(|run| run.phase()) {
        Some(Phase::Running(_) | Phase::Starting) => Ok(BroughtTo::Running),
        Some(Phase::Ended(_) | Phase::Failed(_)) | None => Ok(BroughtTo::Next),
    }
}

/// A lost link passes by itself. What a disk or a folder refuses does not.
fn told(host: &str, error: SyncError) -> RuntimeError {
    match error {
        SyncError::Cut(cut) => {
            let reason = format!("the link to host `{host}` was lost while files were brought: {cut}");
            RuntimeError::Unavailable { runtime: RuntimeKind::Remote, reason }
        }
        SyncError::Failed(reason) => RuntimeError::Io {
            context: format!("could not bring files to host `{host}`"),
            source: io::Error::other(reason),
        },
    }
}
