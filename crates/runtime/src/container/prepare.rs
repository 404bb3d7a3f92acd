//! What comes before a start and can be given up: the image. It is done before the start so that a `down` in the middle of
//! a long build ends the build; the start itself is never left half done.

use super::driver::Driver;
use super::image::Images;
use super::lines::Lines;
use super::run::Run;
use super::trouble::Trouble;
use crate::contract::{Built, Heard, StartError};
use crate::process::mark_destroyed;
use muster_spec::{InstanceSpec, RunId};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pulls or builds the image of a run.
pub(super) async fn prepare(
    driver: &Arc<Driver>,
    id: &RunId,
    spec: &InstanceSpec,
    heard: Option<Heard>,
) -> Result<Built, StartError> {
    let Some(container) = &spec.container else { return Ok(Built::Nothing) };
    let folder = driver.layout.run(id);
    let told = |error: io::Error| StartError::Transient(format!("cannot write `{}`: {error}", folder.display()));
    let client = driver.engine.client().await.map_err(Trouble::start)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(told)?;
    let attempt = Attempt(Some(folder.clone()));
    let run = Arc::new(Run::new(id.clone(), folder));
    let lines = Lines::open(&run, spec);
    let mut lines = if let Some(heard) = heard { lines.heard_by(heard) } else { lines };
    let built = Images { client: &client, container }.ensure_before(&mut lines).await?;
    attempt.succeeded();
    driver.set_prepared(id);
    Ok(built)
}

/// A run that may never be: then nothing of it is kept but what was said.
struct Attempt(Option<PathBuf>);

impl Attempt {
    fn succeeded(mut self) {
        self.0 = None;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            given_up(folder);
        }
    }
}

/// Nothing ran: the folder goes, except where a pull or a build said something.
pub(super) fn given_up(folder: &Path) {
    if fs::remove_dir(folder).is_err()
        && folder.exists()
        && let Err(error) = mark_destroyed(folder)
    {
        tracing::warn!(folder = %folder.display(), %error, "the folder of a failed start stays");
    }
}
