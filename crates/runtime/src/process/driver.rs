//! The registry of runs and what starts, finds and ends them.

use super::adopt::{self, Alive, Recovery};
use super::bury::{Remains, bury};
use super::cgroup::Cgroups;
use super::failure::Failure;
use super::link::{Link, Started};
use super::paths::{DESTROYED_FILE, Layout};
use super::records::{exit_record, handle_of};
use super::retention;
use super::run::{Ask, Phase, Run, What};
use super::spawner::{Order, Spawner};
use super::{Config, io_error};
use crate::contract::{Capabilities, Found, Handle, Inspect, LogChunk, RuntimeError, StartError};
use muster_logs::{Item, Reader, Stream};
use muster_shim::{EXIT_FILE, ExitCause, Meta};
use muster_spec::{InstanceSpec, RunId, RuntimeKind};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A supervisor that lives answers a request within this time.
const ANSWER: Duration = Duration::from_secs(5);
/// A log is read in pieces of this size.
const READ_AT_ONCE: usize = 4 << 20;

/// What all clones of the runtime share.
pub(super) struct Driver {
    pub(super) layout: Layout,
    pub(super) capabilities: Capabilities,
    boot_id: String,
    runs: Mutex<HashMap<RunId, Arc<Run>>>,
    orders: mpsc::Sender<Order>,
}

impl Driver {
    pub(super) fn new(config: Config) -> Result<Self, RuntimeError> {
        let layout = Layout::new(&config.state_dir, &config.runtime_dir);
        if !layout.fits() {
            return Err(unavailable(format!(
                "`{}` is too long for sockets: set XDG_RUNTIME_DIR to a shorter folder",
                config.runtime_dir.display()
            )));
        }
        let boot_id = muster_shim::boot_id().map_err(|error| io_error("could not read the boot id", error))?;
        let cgroups = Cgroups::find();
        let capabilities = super::validate::capabilities(&cgroups);
        let spawner = Spawner { shim: config.shim, layout: layout.clone(), nofile: config.original_nofile, cgroups };
        let orders = spawner.start().map_err(|error| io_error("could not start the spawner's thread", error))?;
        Ok(Self { layout, capabilities, boot_id, runs: Mutex::default(), orders })
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self, run: &RunId) -> Option<Arc<Run>> {
        self.runs().get(run).cloned()
    }

    fn forget(&self, run: &RunId) {
        self.runs().remove(run);
    }

    /// Starts or joins a start. The work is a task of its own: whoever asked may stop waiting.
    pub(super) async fn start(self: Arc<Self>, run: &RunId, spec: &InstanceSpec) -> Result<Handle, StartError> {
        let run = {
            let mut runs = self.runs();
            match runs.get(run) {
                Some(known) => Arc::clone(known),
                None => {
                    let (folder, socket) = (self.layout.run(run), self.layout.socket(run));
                    let (fresh, inbox) = Run::new(run.clone(), folder, socket, Phase::Starting);
                    let fresh = Arc::new(fresh);
                    runs.insert(run.clone(), Arc::clone(&fresh));
                    tokio::spawn(Arc::clone(&self).carry_start(Arc::clone(&fresh), inbox, Box::new(spec.clone())));
                    fresh
                }
            }
        };
        match run.settled().await {
            Phase::Running(handle) => Ok(handle),
            Phase::Failed(failure) => Err(failure.into()),
            Phase::Ended(_) => match Meta::read(&run.folder) {
                Ok(Some(meta)) => Ok(handle_of(&run.id, &run.folder, &meta)),
                Ok(None) | Err(_) => Err(StartError::Transient(format!("the records of run `{}` are gone", run.id))),
            },
            Phase::Starting => Err(StartError::Transient(format!("the start of run `{}` was given up", run.id))),
        }
    }

    async fn carry_start(self: Arc<Self>, run: Arc<Run>, inbox: mpsc::Receiver<Ask>, spec: Box<InstanceSpec>) {
        let (reply, answer) = oneshot::channel();
        let spawned = match self.orders.send(Order { run: Arc::clone(&run), spec, reply }).await {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(Failure::transient("the spawner's thread is gone"))),
            Err(_) => Err(Failure::transient("the spawner's thread is gone")),
        };
        let spawn = match spawned {
            Ok(spawn) => spawn,
            Err(failure) => return self.fail(&run, failure),
        };
        match Link::spawned(Arc::clone(&run), inbox, spawn, &self.boot_id).await {
            (Some(link), _) => link.carry().await,
            (None, Started::Before(inbox)) => self.join_earlier(run, inbox).await,
            (None, Started::No(failure)) => self.fail(&run, failure),
            (None, Started::Yes) => self.fail(&run, Failure::transient("the start has no outcome")),
        }
    }

    fn fail(&self, run: &Run, failure: Failure) {
        self.forget(&run.id);
        if !retention::was_started(&run.folder) {
            // nothing ran: nothing is kept. What cannot be removed is an empty folder
            let _ = fs::remove_dir_all(&run.folder);
            let _ = fs::remove_file(&run.socket);
        }
        run.set_phase(Phase::Failed(failure));
    }

    /// The run was started by a daemon that is gone: its handle is the answer.
    async fn join_earlier(self: Arc<Self>, run: Arc<Run>, inbox: mpsc::Receiver<Ask>) {
        match adopt::find(&run.id, &run.folder, &self.boot_id).await {
            Recovery::Alive(alive) => Link::adopted(run, inbox, *alive).await.carry().await,
            Recovery::Over(found) => {
                let reason = match *found {
                    Found::Exited(record) => return run.set_phase(Phase::Ended(record)),
                    Found::Unverifiable(reason) => {
                        format!("the run was started before and cannot be verified: {reason}")
                    }
                    Found::Absent | Found::Running(_) => {
                        "the run's folder is taken, by nobody who left a record".to_owned()
                    }
                };
                self.forget(&run.id);
                run.set_phase(Phase::Failed(Failure::transient(reason)));
            }
        }
    }

    /// What became of a run; a living one is linked from then on.
    pub(super) async fn recover(&self, run: &RunId) -> Found {
        if let Some(known) = self.known(run) {
            match known.settled().await {
                Phase::Running(handle) => return Found::Running(handle),
                Phase::Ended(record) => return Found::Exited(record),
                Phase::Failed(_) | Phase::Starting => {}
            }
        }
        match adopt::find(run, &self.layout.run(run), &self.boot_id).await {
            Recovery::Over(found) => *found,
            Recovery::Alive(alive) => self.link(run, *alive).await,
        }
    }

    async fn link(&self, run: &RunId, alive: Alive) -> Found {
        let handle = alive.handle.clone();
        let phase = Phase::Running(handle.clone());
        let (fresh, inbox) = Run::new(run.clone(), self.layout.run(run), alive.socket.clone(), phase);
        let fresh = Arc::new(fresh);
        {
            let mut runs = self.runs();
            // two looked at the same time: the first link stays
            if runs.contains_key(run) {
                return Found::Running(handle);
            }
            runs.insert(run.clone(), Arc::clone(&fresh));
        }
        let link = Link::adopted(fresh, inbox, alive).await;
        tokio::spawn(link.carry());
        Found::Running(handle)
    }

    /// The link of a run, made where a daemon before us started it.
    pub(super) async fn linked(&self, run: &RunId) -> Result<Arc<Run>, RuntimeError> {
        if let Some(known) = self.known(run) {
            return Ok(known);
        }
        match self.recover(run).await {
            Found::Running(_) => self.known(run).ok_or_else(|| RuntimeError::Gone(run.clone())),
            Found::Exited(_) | Found::Absent => Err(RuntimeError::Gone(run.clone())),
            Found::Unverifiable(reason) => Err(RuntimeError::Unverifiable { run: run.clone(), reason }),
        }
    }

    pub(super) async fn ask(&self, handle: &Handle, what: What) -> Result<(), RuntimeError> {
        let run = self.linked(&handle.run).await?;
        if let Phase::Ended(_) | Phase::Failed(_) = run.phase() {
            return Err(RuntimeError::Gone(handle.run.clone()));
        }
        let (reply, answer) = oneshot::channel();
        let gone = || RuntimeError::Gone(handle.run.clone());
        let talk = async {
            run.asks.send(Ask { what, reply }).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        timeout(ANSWER, talk)
            .await
            .unwrap_or_else(|_| Err(unavailable(format!("the supervisor of `{}` does not answer", handle.run))))
    }

    pub(super) async fn inspect(&self, handle: &Handle) -> Result<Inspect, RuntimeError> {
        let run = self.linked(&handle.run).await?;
        let Phase::Running(_) = run.settled().await else { return Err(RuntimeError::Gone(handle.run.clone())) };
        let meta = Meta::read(&run.folder)
            .map_err(|error| RuntimeError::Unverifiable { run: run.id.clone(), reason: error.to_string() })?
            .ok_or_else(|| RuntimeError::Gone(run.id.clone()))?;
        let status_text = run.progress.borrow().status_text.clone();
        Ok(super::inspect::inspect(&meta, status_text))
    }

    /// Removes everything but records and log; refuses while the run is alive.
    pub(super) async fn destroy(&self, run: &RunId) -> Result<(), RuntimeError> {
        let folder = self.layout.run(run);
        if !folder.exists() || retention::is_destroyed(&folder) {
            self.forget(run);
            return Ok(());
        }
        match self.recover(run).await {
            Found::Exited(_) | Found::Absent => {}
            Found::Running(handle) => {
                return Err(unavailable(format!("run `{run}` is alive ({}): end it first", handle.identity)));
            }
            Found::Unverifiable(reason) => return Err(RuntimeError::Unverifiable { run: run.clone(), reason }),
        }
        let meta = Meta::read(&folder).ok().flatten();
        let socket = meta.as_ref().map_or_else(|| self.layout.socket(run), |meta| (&meta.socket).into());
        for socket in [socket.clone(), socket.with_extension("n")] {
            match fs::remove_file(&socket) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error(format!("could not remove `{}`", socket.display()), error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        if let Some(meta) = meta.filter(|meta| !meta.cgroup.is_empty()) {
            // the tree is gone; a cgroup that cannot be removed is empty
            let _ = fs::remove_dir(meta.cgroup);
        }
        self.forget(run);
        mark_destroyed(&folder).map_err(|error| io_error("could not mark a run as destroyed", error))
    }

    /// Ends what cannot be verified after all: for `--forget`, when the user says so.
    pub(super) async fn end_unverified(&self, run: &RunId) -> Result<(), RuntimeError> {
        if let Ok(Some(meta)) = Meta::read(&self.layout.run(run))
            && let Ok(pidfd) = crate::sys::open_pidfd(meta.shim_pid)
            && meta.shim_alive()
        {
            // it lives and is ours, it only does not answer; the rest of the tree is ended below
            crate::sys::signal_pidfd(&pidfd, libc::SIGKILL)
                .map_err(|error| io_error(format!("could not end the supervisor of `{run}`"), error))?;
        }
        let remains = Remains {
            run: run.to_string(),
            folder: self.layout.run(run),
            pipes: muster_shim::Pipes::default(),
            secrets: Vec::new(),
            cause: ExitCause::Unknown,
        };
        let done = tokio::task::spawn_blocking(move || bury(remains)).await;
        done.map_err(io::Error::other)
            .flatten()
            .map(|_| ())
            .map_err(|error| io_error(format!("could not end run `{run}`"), error))
    }

    /// The recorded end, where there is one.
    pub(super) fn recorded(&self, run: &RunId) -> Option<crate::contract::ExitRecord> {
        let record = muster_shim::ExitRecord::read(&self.layout.run(run)).ok().flatten()?;
        record.is_complete().then(|| exit_record(&record))
    }
}

pub(super) fn unavailable(reason: String) -> RuntimeError {
    RuntimeError::Unavailable { runtime: RuntimeKind::Process, reason }
}

/// Reads a log from an offset to its end.
pub(crate) fn read_log(folder: &Path, from: u64) -> Result<Vec<LogChunk>, RuntimeError> {
    let mut reader = Reader::new(folder);
    let (mut chunks, mut cursor, mut gap) = (Vec::new(), from, 0);
    loop {
        let batch = reader.read(cursor, READ_AT_ONCE).map_err(|error| {
            let context = error.to_string();
            RuntimeError::Io { context, source: error.source }
        })?;
        if batch.next == cursor {
            break;
        }
        cursor = batch.next;
        for item in batch.items {
            match item {
                Item::Gap(missing) => gap += missing.bytes,
                Item::Chunk(chunk) => chunks.push(LogChunk {
                    offset: chunk.offset,
                    time_ns: chunk.time_ns,
                    stderr: chunk.stream == Stream::Stderr,
                    bytes: chunk.bytes,
                    gap: std::mem::take(&mut gap),
                }),
            }
        }
    }
    if gap > 0 {
        // lost at the very end: an empty piece tells of it
        chunks.push(LogChunk { offset: cursor, time_ns: 0, stderr: false, bytes: Vec::new(), gap });
    }
    Ok(chunks)
}

/// A further name of the exit record is the mark: a new file would cost an inode, and a thousand runs may end at once.
pub(crate) fn mark_destroyed(folder: &Path) -> io::Result<()> {
    let mark = folder.join(DESTROYED_FILE);
    match fs::hard_link(folder.join(EXIT_FILE), &mark) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // it never came to an exit, or links are not to be had here
        Err(_) => fs::write(&mark, ""),
        Ok(()) => Ok(()),
    }
}
