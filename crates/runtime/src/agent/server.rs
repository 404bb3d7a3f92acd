//! The serving: one task reads frames, one writes them, each call and each channel is a task of its own.

use super::channels::{Outlet, carry};
use super::place::{Place, remove_below};
use crate::contract::{Found, FoundRun, Handle, Runtime};
use crate::process::ProcessRuntime;
use crate::remote::wire::{
    self, Answer, Ask, FAR_PATIENCE_SECONDS, FRAMES, Failure, GREETING, Hello, Input, OpenAsk, ToFar, ToNear, WINDOW,
};
use muster_spec::{EnvironmentId, InstanceSpec, RunId, RuntimeKind};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Whether this process is a subreaper ([`crate::become_subreaper`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// Orphans of its descendants become its children.
    Taken,
    /// They become those of the host's first process.
    Left,
}

/// A channel from outside.
struct Line {
    room: Arc<Semaphore>,
    inputs: mpsc::Sender<Input>,
    task: AbortHandle,
}

/// Serves a runtime until the connection is over, or nothing was heard for so long that it must be.
///
/// # Errors
/// Where the connection fails; its end is none.
pub async fn serve<R, W>(runtime: ProcessRuntime, place: Place, orphans: Orphans, from: R, to: W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (out, frames) = mpsc::channel(FRAMES);
    let boot_id = muster_shim::boot_id()?;
    let hello = Hello { boot_id, takes_orphans: orphans == Orphans::Taken };
    let writer = tokio::spawn(write_frames(to, hello, frames));
    let mut server = Server { runtime: Arc::new(runtime), place: Arc::new(place), out, channels: HashMap::new() };
    let read = async {
        let mut from = BufReader::with_capacity(wire::PIECE, from);
        let patience = Duration::from_secs(FAR_PATIENCE_SECONDS);
        loop {
            match timeout(patience, wire::read::<ToFar>(&mut from)).await {
                Ok(Ok(Some(frame))) => server.take(frame).await,
                Ok(Ok(None)) | Err(_) => return Ok(()),
                Ok(Err(error)) => return Err(error),
            }
        }
    };
    tokio::select! {
        done = read => done,
        written = writer => written.map_err(io::Error::other).flatten(),
    }
}

async fn write_frames(to: impl AsyncWrite + Unpin, hello: Hello, mut frames: mpsc::Receiver<ToNear>) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(wire::PIECE, to);
    to.write_all(GREETING).await?;
    wire::write(&mut to, &ToNear::Hello(hello)).await?;
    loop {
        let frame = match frames.try_recv() {
            Ok(frame) => frame,
            Err(_) => {
                to.flush().await?;
                match frames.recv().await {
                    Some(frame) => frame,
                    None => return Ok(()),
                }
            }
        };
        wire::write(&mut to, &frame).await?;
    }
}

struct Server {
    runtime: Arc<ProcessRuntime>,
    place: Arc<Place>,
    out: mpsc::Sender<ToNear>,
    channels: HashMap<u32, Line>,
}

impl Server {
    async fn take(&mut self, frame: ToFar) {
        match frame {
            ToFar::Call { id, ask } => {
                let (runtime, place, out) = (Arc::clone(&self.runtime), Arc::clone(&self.place), self.out.clone());
                tokio::spawn(async move {
                    let answer = answer(&runtime, &place, *ask).await;
                    // an error means that the connection is over
                    let _ = out.send(ToNear::Answer { id, answer }).await;
                });
            }
            ToFar::Open { id, ask } => self.open(id, *ask),
            ToFar::Input { id, input } => {
                if let Some(line) = self.channels.get(&id) {
                    // there is room, or the other side broke the rules; an ended channel takes nothing
                    let _ = line.inputs.try_send(input);
                }
            }
            ToFar::Taken { id, count } => {
                if let Some(line) = self.channels.get(&id) {
                    line.room.add_permits(count as usize);
                }
            }
            ToFar::Close { id } => {
                if let Some(line) = self.channels.remove(&id) {
                    line.task.abort();
                }
            }
            ToFar::Ping => {
                // answers that wait are a sign of life as well
                let _ = self.out.try_send(ToNear::Pong);
            }
        }
    }

    fn open(&mut self, id: u32, ask: OpenAsk) {
        self.channels.retain(|_, line| !line.task.is_finished());
        let room = Arc::new(Semaphore::new(WINDOW));
        let (inputs, given) = mpsc::channel(WINDOW);
        let outlet = Outlet { id, out: self.out.clone(), room: Arc::clone(&room) };
        let task =
            tokio::spawn(carry(Arc::clone(&self.runtime), Arc::clone(&self.place), ask, outlet, given)).abort_handle();
        self.channels.insert(id, Line { room, inputs, task });
    }
}

async fn answer(runtime: &Arc<ProcessRuntime>, place: &Arc<Place>, ask: Ask) -> Result<Answer, Failure> {
    let done = |_: ()| Answer::Done;
    match ask {
        Ask::Start { run, spec } => start(runtime, place, &run, *spec).await.map(Answer::Started),
        Ask::Recover { run } => Ok(Answer::Found(runtime.recover(&run, None).await.into())),
        Ask::List { environment } => {
            let listed = runtime.list(&environment).await?;
            Ok(Answer::Listed(listed.into_iter().map(|one| (one.run, one.found.into())).collect()))
        }
        Ask::Signal { run, signal, to } => Ok(runtime.signal(&handle(&run), signal, to).await.map(done)?),
        Ask::Kill { run } => Ok(runtime.kill(&handle(&run)).await.map(done)?),
        Ask::Inspect { run } => Ok(Answer::Inspected(Box::new(runtime.inspect(&handle(&run)).await?))),
        Ask::Destroy { run } => Ok(runtime.destroy(&run).await.map(done)?),
        Ask::Retain { environment, instance, keep } => {
            runtime.retain(&environment, &instance, keep as usize)?;
            Ok(Answer::Done)
        }
        Ask::Leave { environment, top, run } => {
            runtime.leave(&environment).await?;
            remove(top, run).await
        }
        Ask::Remove { top, folder } => remove(top, folder).await,
        Ask::Forget { environment, top, logs } => {
            forget(runtime, place, &environment).await?;
            remove(top, logs).await
        }
        Ask::Secrets { run, secrets } => {
            runtime.remember_secrets(&run, &secrets);
            Ok(Answer::Done)
        }
        Ask::Holders { run, ports } => Ok(Answer::Holders(runtime.holders(&handle(&run), &ports).await?)),
        Ask::Compare { root, entries } => {
            let place = Arc::clone(place);
            let compared = tokio::task::spawn_blocking(move || {
                let mut missing = Vec::new();
                for (at, entry) in (0..).zip(&entries) {
                    let told = |error| Failure::io(format!("could not place `{root}/{}`", entry.path), &error);
                    if place.settle(&root, entry).map_err(told)? {
                        missing.push(at);
                    }
                }
                Ok(Answer::Missing(missing))
            });
            compared.await.unwrap_or_else(|error| Err(Failure::Unavailable(error.to_string())))
        }
        Ask::Erase { root, paths } => {
            let place = Arc::clone(place);
            let erased = tokio::task::spawn_blocking(move || {
                let mut done = Ok(());
                for path in &paths {
                    let shown = if path.is_empty() { root.clone() } else { format!("{root}/{path}") };
                    let told = |error| Failure::io(format!("could not remove `{shown}`"), &error);
                    // the first that stays is told, and the others go all the same
                    let erased = place.erase(&root, path).map_err(told);
                    done = done.and(erased);
                }
                done.map(|()| Answer::Done)
            });
            erased.await.unwrap_or_else(|error| Err(Failure::Unavailable(error.to_string())))
        }
    }
}

/// Removes the records of runs that all have ended.
async fn forget(runtime: &ProcessRuntime, place: &Place, environment: &EnvironmentId) -> Result<(), Failure> {
    let there = runtime.list(environment).await?;
    let stays = there.iter().find(|one| matches!(one.found, Found::Running(_) | Found::Unverifiable(_)));
    if let Some(FoundRun { run, .. }) = stays {
        return Err(Failure::Unavailable(format!("run `{run}` may go on there, and its records stay")));
    }
    let folder = place.runs(environment);
    let told = format!("could not remove `{}`", folder.display());
    let removed = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    });
    removed.await.map_err(io::Error::other).flatten().map_err(|error| Failure::io(told, &error))
}

async fn remove(top: PathBuf, folder: PathBuf) -> Result<Answer, Failure> {
    let told = format!("could not remove `{}`", folder.display());
    let removed = tokio::task::spawn_blocking(move || remove_below(&top, &folder)).await;
    let removed = removed.map_err(io::Error::other).flatten();
    removed.map(|()| Answer::Done).map_err(|error| Failure::io(told, &error))
}

async fn start(
    runtime: &ProcessRuntime,
    place: &Place,
    run: &RunId,
    mut spec: InstanceSpec,
) -> Result<Handle, Failure> {
    spec.runtime = RuntimeKind::Process;
    spec.remote = None;
    spec.command.cwd = place.resolve(&spec.command.cwd);
    check_ports(runtime, run, &spec.ports).await?;
    match runtime.start(run, &spec).await {
        Ok(handle) => Ok(handle),
        Err(error) => {
            let missing = !place.has_shim() && matches!(runtime.recover(run, None).await, Found::Absent);
            Err(if missing { Failure::NoShim } else { error.into() })
        }
    }
}

/// A port that somebody else holds is told with its owner, before the start. One that was asked for before, over a link that
/// was lost meanwhile, may hold its ports by now: it is joined, not refused.
async fn check_ports(runtime: &ProcessRuntime, run: &RunId, ports: &[(String, u16)]) -> Result<(), Failure> {
    let Some((name, port)) = ports.iter().find(|(_, port)| !muster_sockets::can_bind(*port)) else { return Ok(()) };
    let (name, port) = (name.clone(), *port);
    if !matches!(runtime.recover(run, None).await, Found::Absent) {
        return Ok(());
    }
    // given back meanwhile: then it is free
    let taken = tokio::task::spawn_blocking(move || muster_sockets::taken(port)).await.unwrap_or_default();
    taken.map_or(Ok(()), |taken| Err(Failure::PortTaken { name, taken }))
}

/// The process driver knows a run by its id: what else stands in a handle is for whoever holds it.
pub(crate) fn handle(run: &RunId) -> Handle {
    Handle {
        runtime: RuntimeKind::Process,
        version: 0,
        run: run.clone(),
        identity: String::new(),
        pid: None,
        far: None,
        address: None,
        log_dir: None,
        opaque: serde_json::Value::Null,
    }
}
