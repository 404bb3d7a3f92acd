//! The registry of runs, and what finds and ends them.

use super::ContainerConfig;
use super::bring;
use super::engine::{Client, Engine};
use super::events::Events;
use super::names::Owner;
use super::network::{self, Networks};
use super::records::{self, Standing, Started, standing};
use super::run::{Phase, Run};
use super::trouble::Trouble;
use super::{api, carry, mounts, only, start};
use crate::contract::{ExitRecord, Found, FoundRun, Handle, RuntimeError, RuntimeEvent, StartError};
use crate::process::{Layout, is_destroyed, mark_destroyed};
use crate::progress;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions};
use futures::future::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};
use muster_spec::{EnvironmentId, InstanceSpec, RunId, RuntimeKind, SecretText};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::{Duration, timeout};

/// In an environment's folder: it has things at the engine. Others are not asked about at an engine that may not exist.
const MARK: &str = "containers";
/// How long the end of a container that we found ended takes to be recorded: its log is copied first.
const RECORDED: Duration = Duration::from_secs(60);

/// What all clones of the runtime share.
pub(super) struct Driver {
    pub(super) engine: Engine,
    pub(super) owner: Owner,
    pub(super) layout: Layout,
    pub(super) networks: Networks,
    pub(super) events: Events,
    runs: Mutex<HashMap<RunId, Arc<Run>>>,
    /// Told before the run was found.
    secrets: Mutex<HashMap<RunId, Vec<SecretText>>>,
    /// Runs whose image is there, and which were not started yet.
    prepared: Mutex<HashSet<RunId>>,
}

impl Driver {
    pub(super) fn new(config: ContainerConfig) -> Self {
        Self {
            owner: Owner::new(&config.state_dir),
            layout: Layout::new(&config.state_dir, Path::new("")),
            engine: Engine::new(config),
            networks: Networks::default(),
            events: Events::new(),
            runs: Mutex::default(),
            secrets: Mutex::default(),
            prepared: Mutex::default(),
        }
    }

    pub(super) fn set_prepared(&self, run: &RunId) {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(run.clone());
    }

    /// Whether the run's image was seen to; told once.
    pub(super) fn take_prepared(&self, run: &RunId) -> bool {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).remove(run)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self, run: &RunId) -> Option<Arc<Run>> {
        self.runs().get(run).cloned()
    }

    pub(super) fn forget(&self, run: &RunId) {
        self.take_prepared(run);
        self.runs().remove(run);
    }

    /// Runs that have a container and no end.
    pub(super) fn alive(&self) -> Vec<Arc<Run>> {
        let alive = |run: &&Arc<Run>| matches!(run.phase(), Phase::Running(_));
        self.runs().values().filter(alive).cloned().collect()
    }

    pub(super) fn of_container(&self, id: &str) -> Option<Arc<Run>> {
        self.runs().values().find(|run| run.container().as_deref() == Some(id)).cloned()
    }

    /// The run, and whether nobody had it before.
    fn enter(&self, id: &RunId) -> (Arc<Run>, bool) {
        let mut runs = self.runs();
        if let Some(known) = runs.get(id) {
            return (Arc::clone(known), false);
        }
        let fresh = Arc::new(Run::new(id.clone(), self.layout.run(id)));
        if let Some(secrets) = self.told_secrets().remove(id) {
            fresh.set_secrets(&secrets);
        }
        runs.insert(id.clone(), Arc::clone(&fresh));
        (fresh, true)
    }

    /// Starts or joins a start. The work is a task of its own: whoever asked may stop waiting.
    pub(super) async fn start(self: &Arc<Self>, id: &RunId, spec: &InstanceSpec) -> Result<Handle, StartError> {
        let (run, fresh) = self.enter(id);
        if fresh {
            tokio::spawn(start::carry(Arc::clone(self), Arc::clone(&run), Box::new(spec.clone())));
        }
        match run.settled().await {
            Phase::Running(handle) => Ok(handle),
            Phase::Failed(failure) => Err(failure.into()),
            Phase::Ended(_) => match run.started.get() {
                Some(started) => Ok(started.handle.clone()),
                None => Err(StartError::Transient(format!("run `{id}` was started before and has ended"))),
            },
            Phase::Starting => Err(StartError::Transient(format!("the start of run `{id}` was given up"))),
        }
    }

    /// What became of a run; a living one is followed from then on.
    pub(super) async fn recover(self: &Arc<Self>, id: &RunId) -> Found {
        if let Some(known) = self.known(id) {
            match known.settled().await {
                Phase::Running(handle) => {
                    let lost = known.progress.borrow().lost.clone();
                    return lost.map_or(Found::Running(handle), Found::Unverifiable);
                }
                Phase::Ended(record) => return Found::Exited(record),
                Phase::Failed(_) | Phase::Starting => {}
            }
        }
        let folder = self.layout.run(id);
        match records::read_exit(&folder) {
            Ok(Some(record)) => return Found::Exited(record),
            Ok(None) => {}
            Err(error) => return Found::Unverifiable(format!("its record cannot be read: {error}")),
        }
        match self.find(id).await {
            Ok(Some((client, found))) => self.adopt(client, id, &found).await,
            Ok(None) => match Started::read(&folder) {
                // it was there, and nobody of us removed it
                Ok(Some(started)) => self.ended_unseen(id, started, &records::Ending::removed()).await,
                Ok(None) => Found::Absent,
                Err(error) => Found::Unverifiable(format!("its record cannot be read: {error}")),
            },
            Err(Trouble::Unreachable(reason)) => Found::Unverifiable(reason),
            Err(Trouble::Refused { message, .. }) => Found::Unverifiable(message),
        }
    }

    /// The container of a run, by its label.
    pub(super) async fn find(&self, id: &RunId) -> Result<Option<(Arc<Client>, ContainerInspectResponse)>, Trouble> {
        let client = self.engine.client().await?;
        for container in api::list(&client, &self.owner.run_filter(id)).await? {
            match api::inspect(&client, &container.id).await {
                Ok(found) if records::verify(&self.owner, id, &found).is_ok() => return Ok(Some((client, found))),
                Ok(_) => {}
                // removed between the list and the look
                Err(trouble) if trouble.is_missing() => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    /// Takes a container over that a daemon before us started.
    async fn adopt(self: &Arc<Self>, client: Arc<Client>, id: &RunId, found: &ContainerInspectResponse) -> Found {
        let folder = self.layout.run(id);
        let started = match Started::read(&folder) {
            Ok(Some(started)) => started,
            // we died between the start and the record
            Ok(None) => match start::started_of(id, &folder, found) {
                Some(started) => started,
                None => return Found::Unverifiable("the engine does not tell its id".to_owned()),
            },
            Err(error) => return Found::Unverifiable(format!("its record cannot be read: {error}")),
        };
        match standing(found, started.memory) {
            Standing::Created => Found::Absent,
            Standing::Alive => {
                let handle = started.handle.clone();
                if let Err(error) = started.write(&folder) {
                    return Found::Unverifiable(format!("it cannot be recorded: {error}"));
                }
                let (run, fresh) = self.enter(id);
                if fresh {
                    self.events.begin(self);
                    carry::begin(self, &client, &run, started, found);
                }
                Found::Running(handle)
            }
            Standing::Removing => self.ended_unseen(id, started, &records::Ending::removed()).await,
            Standing::Over(ending) => self.ended_unseen(id, started, &ending).await,
        }
    }

    /// It ended while nobody looked: its log is completed, then its end is recorded.
    async fn ended_unseen(self: &Arc<Self>, id: &RunId, started: Started, ending: &records::Ending) -> Found {
        let (run, fresh) = self.enter(id);
        if fresh {
            let (driver, run, ending) = (Arc::clone(self), Arc::clone(&run), ending.clone());
            tokio::spawn(async move { carry::conclude(&driver, &run, started, ending).await });
        }
        let ended = async {
            let mut progress = run.progress.subscribe();
            let ended = progress.wait_for(|now| matches!(now.phase, Phase::Ended(_))).await;
            ended.map(|now| now.phase.clone()).ok()
        };
        match timeout(RECORDED, ended).await {
            Ok(Some(Phase::Ended(record))) => Found::Exited(record),
            Ok(_) | Err(_) => Found::Unverifiable("its end could not be recorded".to_owned()),
        }
    }

    /// Everything of ours that is there: at the engine, or recorded and not destroyed.
    pub(super) async fn list(self: &Arc<Self>, environment: &EnvironmentId) -> Result<Vec<FoundRun>, RuntimeError> {
        if !self.is_marked(environment) {
            return Ok(Vec::new());
        }
        let client = self.engine.client().await?;
        let containers = api::list(&client, &self.owner.filter(environment)).await?;
        let labels = containers.into_iter().filter_map(|container| container.labels);
        let mut runs: BTreeSet<RunId> =
            labels.filter_map(|labels| labels.get(super::names::RUN)?.parse().ok()).collect();
        let recorded = crate::process::runs(&self.layout, environment)
            .map_err(|error| io_error(format!("could not list the runs of `{environment}`"), error))?;
        runs.extend(recorded.into_iter().filter(|run| {
            let folder = self.layout.run(run);
            matches!(Started::read(&folder), Ok(Some(_)) | Err(_))
        }));
        let mut found = Vec::new();
        for run in runs {
            let what = self.recover(&run).await;
            if what != Found::Absent {
                found.push(FoundRun { run, found: what });
            }
        }
        Ok(found)
    }

    /// The run as it is followed, where a daemon before us started it too.
    pub(super) async fn linked(self: &Arc<Self>, id: &RunId) -> Result<Arc<Run>, RuntimeError> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        match self.recover(id).await {
            Found::Running(_) => self.known(id).ok_or_else(|| RuntimeError::Gone(id.clone())),
            Found::Exited(_) | Found::Absent => Err(RuntimeError::Gone(id.clone())),
            Found::Unverifiable(reason) => Err(RuntimeError::Unverifiable { run: id.clone(), reason }),
        }
    }

    /// Sends a signal to the container's first process.
    pub(super) async fn signal(self: &Arc<Self>, handle: &Handle, signal: i32) -> Result<(), RuntimeError> {
        let run = self.linked(&handle.run).await?;
        let (Phase::Running(_), Some(id)) = (run.phase(), run.container()) else {
            return Err(RuntimeError::Gone(handle.run.clone()));
        };
        let client = self.engine.client().await?;
        let options = Some(KillContainerOptions { signal: signal.to_string() });
        let sent = client.docker.kill_container(&id, options).await.map_err(Trouble::from);
        sent.map_err(|trouble| trouble.about(&handle.run))
    }

    /// Removes the container and its anonymous volumes; refuses while the run is alive.
    pub(super) async fn destroy(self: &Arc<Self>, id: &RunId) -> Result<(), RuntimeError> {
        let folder = self.layout.run(id);
        if is_destroyed(&folder) {
            self.forget(id);
            return Ok(());
        }
        match self.recover(id).await {
            Found::Exited(_) | Found::Absent => {}
            Found::Running(handle) => {
                let reason = format!("run `{id}` is alive (container {}): end it first", handle.identity);
                return Err(RuntimeError::Unavailable { runtime: RuntimeKind::Container, reason });
            }
            Found::Unverifiable(reason) => return Err(RuntimeError::Unverifiable { run: id.clone(), reason }),
        }
        let recorded = Started::read(&folder).ok().flatten().and_then(|started| records::id(&started.handle));
        if let Some(container) = recorded {
            let client = self.engine.client().await?;
            remove(&client, &container).await?;
        } else if self.is_marked(&id.environment)
            && let Some((client, found)) = self.find(id).await?
        {
            remove(&client, &found.id.unwrap_or_default()).await?;
        }
        self.forget(id);
        if folder.exists() {
            mounts::clear(&folder);
            if fs::remove_dir(&folder).is_err() {
                mark_destroyed(&folder).map_err(|error| io_error("could not mark a run as destroyed", error))?;
            }
        }
        Ok(())
    }

    /// Removes what an environment had only while it ran.
    pub(super) async fn leave(&self, environment: &EnvironmentId) -> Result<(), RuntimeError> {
        if !self.is_marked(environment) {
            return Ok(());
        }
        self.networks.forget(environment).await;
        let forgotten = bring::forget(self, environment).await;
        forgotten.map_err(|error| io_error("what was brought into containers cannot be forgotten", error))?;
        let client = self.engine.client().await?;
        network::leave(&client, &self.owner, environment).await?;
        Ok(())
    }

    pub(super) async fn remove_data(&self, environment: &EnvironmentId) -> Result<(), RuntimeError> {
        if !self.is_marked(environment) {
            return Ok(());
        }
        let client = self.engine.client().await?;
        network::remove_volumes(&client, &self.owner, environment).await?;
        match fs::remove_file(self.mark(environment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(format!("could not forget the containers of `{environment}`"), error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What happens to a run from now on.
    pub(super) fn watch(self: Arc<Self>, handle: Handle) -> BoxStream<'static, RuntimeEvent> {
        if let Some(run) = self.known(&handle.run) {
            return progress::events(&run.progress);
        }
        // not followed yet: a daemon before us started it, or it ended
        let events = async move {
            match self.recover(&handle.run).await {
                Found::Running(_) => match self.known(&handle.run) {
                    Some(run) => progress::events(&run.progress),
                    None => stream::iter(self.recorded(&handle.run).map(RuntimeEvent::Exited)).boxed(),
                },
                Found::Exited(record) => only(RuntimeEvent::Exited(record)),
                Found::Absent => only(RuntimeEvent::LinkLost("nothing is left of it".into())),
                Found::Unverifiable(reason) => self.watch_lost(&handle, &reason),
            }
        };
        events.flatten_stream().boxed()
    }

    /// The engine is away: what is recorded is followed from when it is back.
    fn watch_lost(self: &Arc<Self>, handle: &Handle, reason: &str) -> BoxStream<'static, RuntimeEvent> {
        let Ok(Some(started)) = Started::read(&self.layout.run(&handle.run)) else {
            return only(RuntimeEvent::LinkLost(reason.to_owned()));
        };
        let (run, fresh) = self.enter(&handle.run);
        if fresh {
            run.set_lost(Some(reason));
            carry::wait_for_engine(self, &run, started);
            self.events.begin(self);
        }
        progress::events(&run.progress)
    }

    /// Whether the engine answers now, whatever was known of it.
    pub(super) async fn answers(&self) -> Result<(), Trouble> {
        self.engine.client().await?.raw.get("/_ping").await.map(drop)
    }

    pub(super) async fn gateway(&self, environment: &EnvironmentId) -> Result<Option<IpAddr>, Trouble> {
        let client = self.engine.client().await?;
        let folder = self.layout.environment(environment);
        let marked = fs::create_dir_all(&folder).and_then(|()| self.set_mark(environment));
        marked
            .map_err(|error| Trouble::Refused { status: 500, message: format!("`{}`: {error}", folder.display()) })?;
        Ok(self.networks.ensure(&client, &self.owner, environment).await?.gateway)
    }

    /// What must not stand in the log of a run that was taken back.
    pub(super) fn remember_secrets(&self, id: &RunId, secrets: &[SecretText]) {
        match self.known(id) {
            Some(run) => run.set_secrets(secrets),
            None => {
                self.told_secrets().insert(id.clone(), secrets.to_vec());
            }
        }
    }

    fn told_secrets(&self) -> MutexGuard<'_, HashMap<RunId, Vec<SecretText>>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, environment: &EnvironmentId) -> PathBuf {
        self.layout.environment(environment).join(MARK)
    }

    fn is_marked(&self, environment: &EnvironmentId) -> bool {
        self.mark(environment).exists()
    }

    /// From now on the environment may have things at the engine.
    pub(super) fn set_mark(&self, environment: &EnvironmentId) -> io::Result<()> {
        let mark = self.mark(environment);
        if mark.exists() { Ok(()) } else { fs::write(mark, "") }
    }

    /// The recorded end, where there is one.
    pub(super) fn recorded(&self, id: &RunId) -> Option<ExitRecord> {
        records::read_exit(&self.layout.run(id)).ok().flatten()
    }
}

/// Removes a container that ended, with its anonymous volumes. By force: where its end is recorded and it runs all the
/// same, somebody started it again past us, and it is still ours.
pub(super) async fn remove(client: &Client, id: &str) -> Result<(), Trouble> {
    let options = RemoveContainerOptions { v: true, force: true, link: false };
    match client.docker.remove_container(id, Some(options)).await.map_err(Trouble::from) {
        Ok(()) => Ok(()),
        // gone, or somebody is at it
        Err(trouble) if trouble.is_missing() || trouble.is_conflict() => Ok(()),
        Err(trouble) => Err(trouble),
    }
}

pub(super) fn io_error(context: impl Into<String>, source: io::Error) -> RuntimeError {
    RuntimeError::Io { context: context.into(), source }
}
