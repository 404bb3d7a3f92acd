//! Files on their way into a container: an archive by the Engine API, which can add and replace, and a `rm` in the
//! container for what is gone, which it cannot.

use super::api::inspect;
use super::context::streamed;
use super::driver::{Driver, io_error};
use super::engine::Client;
use super::overlay::{self, Overlay};
use super::records::Started;
use super::terminal::running;
use super::trouble::Trouble;
use crate::contract::{BroughtTo, Changes, RuntimeError};
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::UploadToContainerOptions;
use futures::StreamExt as _;
use muster_spec::RunId;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Removing files takes no longer.
const REMOVING: Duration = Duration::from_secs(60);
/// A command line is not longer (execve(2): a single argument list has room for much more).
const AT_ONCE: usize = 500;
const NOT_EXECUTABLE: i64 = 126;
const NOT_FOUND: i64 = 127;

/// Brings changes into a run's container, and keeps them for those that replace it. Into one that ended nothing can be
/// brought: who mends what made it end has it in the next.
pub(super) async fn bring(driver: &Arc<Driver>, id: &RunId, changes: &Changes) -> Result<BroughtTo, RuntimeError> {
    let cannot = |error| io_error("files cannot be brought into a container", error);
    overlay::check(changes).map_err(cannot)?;
    let started = Started::read(&driver.layout.run(id)).map_err(cannot)?;
    let image = started.and_then(|started| started.image).ok_or_else(|| RuntimeError::Gone(id.clone()))?;
    // first of all: a container that is made meanwhile has it
    let (overlay, kept) = (of(driver, id), changes.clone());
    blocking(move || overlay.keep(&image, &kept)).await.map_err(cannot)?;
    match into_running(driver, id, changes).await {
        Ok(()) => Ok(BroughtTo::Running),
        Err(RuntimeError::Gone(_)) => Ok(BroughtTo::Next),
        Err(error) => Err(error),
    }
}

async fn into_running(driver: &Arc<Driver>, id: &RunId, changes: &Changes) -> Result<(), RuntimeError> {
    let run = driver.linked(id).await?;
    let container = running(&run)?;
    let client = driver.engine.client().await?;
    add(&client, &container, changes).await.map_err(|trouble| trouble.about(id))?;
    remove(&client, &container, &changes.removed).await.map_err(|error| removed_by(error, id))
}

/// What a new container gets before it starts, and what must be removed afterwards.
pub(super) async fn into_new(driver: &Driver, client: &Client, run: &RunId, id: &str) -> Result<Vec<PathBuf>, Trouble> {
    let overlay = of(driver, run);
    if run.step.is_some() || !overlay.exists() {
        return Ok(Vec::new());
    }
    let image = inspect(client, id).await?.image.unwrap_or_default();
    let changes = blocking(move || overlay.changes(&image)).await.map_err(|error| Trouble::Refused {
        status: 500,
        message: format!("what was brought into an earlier container of `{}` cannot be read: {error}", run.instance),
    })?;
    add(client, id, &changes).await?;
    Ok(changes.removed)
}

/// Removes in a container that was just started what was removed in the one before.
pub(super) async fn after_start(client: &Client, run: &RunId, id: &str, paths: &[PathBuf]) {
    if let Err(error) = remove(client, id, paths).await {
        tracing::warn!(%run, %error, "files that were removed are there again in the new container");
    }
}

/// An environment is left: nothing is kept for its next containers.
pub(super) async fn forget(driver: &Driver, environment: &muster_spec::EnvironmentId) -> io::Result<()> {
    let folder = driver.layout.environment(environment);
    blocking(move || {
        for instance in std::fs::read_dir(folder)? {
            Overlay::of(&instance?.path()).clear().or_else(|error| match error.kind() {
                // a file beside the folders of instances
                io::ErrorKind::NotADirectory => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    })
    .await
}

fn of(driver: &Driver, run: &RunId) -> Overlay {
    Overlay::of(&driver.layout.instance(&run.environment, &run.instance))
}

async fn add(client: &Client, id: &str, changes: &Changes) -> Result<(), Trouble> {
    if changes.files.is_empty() {
        return Ok(());
    }
    let files = changes.files.clone();
    let body = bollard::body_try_stream(streamed(move |pieces| overlay::send(&files, pieces)));
    let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
    Ok(client.docker.upload_to_container(id, Some(options), body).await?)
}

/// Why files could not be removed.
#[derive(Debug, thiserror::Error)]
enum Removal {
    #[error(transparent)]
    Engine(#[from] Trouble),
    /// The image has no `rm`.
    #[error("the image has no `rm` that could remove files: `do: rebuild` replaces the container")]
    NoTool,
    /// `rm` says why not.
    #[error("{0}")]
    Refused(String),
}

fn removed_by(error: Removal, run: &RunId) -> RuntimeError {
    match error {
        Removal::Engine(trouble) => trouble.about(run),
        Removal::NoTool | Removal::Refused(_) => {
            io_error("files cannot be removed in a container", io::Error::other(error.to_string()))
        }
    }
}

async fn remove(client: &Client, id: &str, paths: &[PathBuf]) -> Result<(), Removal> {
    for some in paths.chunks(AT_ONCE) {
        let slow = || Removal::Refused("it takes too long".to_owned());
        timeout(REMOVING, remove_some(client, id, some)).await.map_err(|_| slow())??;
    }
    Ok(())
}

async fn remove_some(client: &Client, id: &str, paths: &[PathBuf]) -> Result<(), Removal> {
    let words = ["rm", "-rf", "--"].into_iter().map(str::to_owned);
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        // whoever the service runs as: the files are the image's
        user: Some("0".to_owned()),
        cmd: Some(words.chain(paths.iter().map(|path| path.display().to_string())).collect()),
        ..Default::default()
    };
    let exec = client.docker.create_exec(id, options).await.map_err(Trouble::from)?.id;
    let mut said = Vec::new();
    match client.docker.start_exec(&exec, None).await.map_err(Trouble::from) {
        Ok(StartExecResults::Attached { mut output, .. }) => {
            while let Some(Ok(LogOutput::StdErr { message } | LogOutput::StdOut { message })) = output.next().await {
                said.extend_from_slice(&message);
            }
        }
        Ok(StartExecResults::Detached) => {}
        // Podman refuses a program that is not there at once
        Err(Trouble::Refused { message, .. }) if message.contains("not found") => return Err(Removal::NoTool),
        Err(trouble) => return Err(trouble.into()),
    }
    match client.docker.inspect_exec(&exec).await.map_err(Trouble::from)?.exit_code {
        Some(0) => Ok(()),
        Some(NOT_EXECUTABLE | NOT_FOUND) => Err(Removal::NoTool),
        Some(_) | None => Err(Removal::Refused(String::from_utf8_lossy(&said).trim().to_owned())),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
