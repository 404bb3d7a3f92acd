//! The engine: environments by identity, and everything that can be asked of them.

use crate::documents::{
    AcceptedDocument, CommandContext, EnvironmentDocument, ErrorDocument, InfoDocument, PlanDocument, SelectRequest,
    UpRequest,
};
use crate::drivers;
use crate::environment::{self, Actor, EnvironmentRecord, Handle, Message, Seed};
use crate::errors;
use crate::paths::{Paths, environment_id};
use crate::runtimes::Runtimes;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use muster_core::{Command, Wanted};
use muster_runtime::{Config, HostBinaries, Masters, ProcessRuntime, RuntimeError, release_memory};
use muster_spec::{EnvironmentId, InstanceId, RunId, Selector, Stack};
use muster_store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A burst of work is over when nothing happened for so long.
const CALM: Duration = Duration::from_secs(1);
/// A burst that does not end is taken for one after so long.
const LONG: Duration = Duration::from_secs(30);

/// Where a daemon keeps things, and what it is.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// State lives here.
    pub home: PathBuf,
    /// Sockets and secrets live here; gone at logout.
    pub runtime_dir: PathBuf,
    /// The supervisor's binary.
    pub shim: PathBuf,
    /// What is brought to other hosts, by kind of machine.
    pub hosts: Vec<HostBinaries>,
    /// Version of the binary.
    pub version: String,
    /// Hash of the binary.
    pub build: String,
    /// The limit on open files (soft, hard) that services get: what the daemon had before it raised its own.
    pub original_nofile: Option<(u64, u64)>,
}

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal can neither be read nor made anew.
    #[error(transparent)]
    Journal(#[from] StoreError),
    /// The driver of processes cannot be made.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A folder cannot be made.
    #[error("cannot make `{path}`")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Everything that one daemon runs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    config: EngineConfig,
    quarantined: Option<PathBuf>,
    environments: RwLock<BTreeMap<EnvironmentId, Handle>>,
    begun: Instant,
}

impl Engine {
    /// Opens the journal and takes back every environment: what was known is looked for in the background.
    ///
    /// # Errors
    /// [`OpenError`] when the folders or the journal cannot be made.
    pub async fn open(config: EngineConfig) -> Result<Self, OpenError> {
        let paths = Paths::new(config.home.clone(), config.runtime_dir.clone());
        let state_dir = paths.state();
        let process = ProcessRuntime::new(Config {
            shim: config.shim.clone(),
            state_dir: state_dir.clone(),
            runtime_dir: config.runtime_dir.clone(),
            original_nofile: config.original_nofile,
        })?;
        let masters = Masters::new(&state_dir, &config.runtime_dir);
        let factory = drivers::factory(state_dir, masters.clone(), paths.remote(), config.hosts.clone());
        Self::open_with(config, Runtimes::with(Arc::new(process), factory).and_masters(masters)).await
    }

    /// The same over other drivers.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_with(config: EngineConfig, runtimes: Runtimes) -> Result<Self, OpenError> {
        let paths = Paths::new(config.home.clone(), config.runtime_dir.clone());
        for path in [config.home.clone(), paths.state(), config.runtime_dir.clone()] {
            environment::private_dir(&path).map_err(|source| OpenError::Folder { path, source })?;
        }
        let opened = Store::open(&config.home.join("journal.db"))?;
        if let Some(path) = &opened.quarantined {
            tracing::error!(path = %path.display(), reason = ?opened.reason, "the journal could not be read and was put aside");
        }
        let boot = muster_shim::boot_id().unwrap_or_default();
        let shared = Arc::new(Shared::new(paths, opened.store, runtimes, boot));
        let inner = Inner {
            shared,
            config,
            quarantined: opened.quarantined,
            environments: RwLock::default(),
            begun: Instant::now(),
        };
        let engine = Self { inner: Arc::new(inner) };
        engine.take_back().await?;
        if let Some(masters) = engine.inner.shared.runtimes.masters().cloned() {
            // of daemons that were killed
            tokio::spawn(async move { masters.sweep(None).await });
        }
        Ok(engine)
    }

    /// Environments of the journal, and those that only left their record on disk.
    async fn take_back(&self) -> Result<(), OpenError> {
        let shared = &self.inner.shared;
        for row in shared.store.environments()? {
            let handle = environment::known(shared, row)?;
            self.register(handle).await;
        }
        let folders = std::fs::read_dir(shared.paths.state()).into_iter().flatten().filter_map(Result::ok);
        for folder in folders {
            let id = folder.file_name().to_str().and_then(|name| name.parse::<EnvironmentId>().ok());
            let Some(id) = id.filter(|id| self.handle(id).is_none()) else { continue };
            let Ok(record) = EnvironmentRecord::read(&shared.paths.record(&id)) else { continue };
            if let Some(handle) = environment::unknown(shared, id, record).await {
                self.register(handle).await;
            }
        }
        Ok(())
    }

    async fn register(&self, handle: Handle) {
        let ports = handle.now().ports.as_ref().clone();
        self.inner.shared.ports.lock().await.insert(handle.id.clone(), ports);
        self.inner.environments.write().unwrap_or_else(PoisonError::into_inner).insert(handle.id.clone(), handle);
    }

    pub(crate) fn handle(&self, id: &EnvironmentId) -> Option<Handle> {
        self.inner.environments.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.inner.environments.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn known(&self, id: &EnvironmentId) -> Result<Handle, ErrorDocument> {
        self.inner.shared.touch();
        self.handle(id).ok_or_else(|| errors::unknown_environment(id.name.as_str()))
    }

    /// Who answers.
    #[must_use]
    pub fn info(&self) -> InfoDocument {
        let handles = self.handles();
        InfoDocument {
            schema: "muster.info.v1".to_owned(),
            version: self.inner.config.version.clone(),
            api: crate::API_MAJOR,
            pid: std::process::id(),
            uptime_s: self.inner.begun.elapsed().as_secs_f64(),
            build: self.inner.config.build.clone(),
            environments: handles.len(),
            running: handles.iter().map(|handle| handle.now().running()).sum(),
            quarantined: self.inner.quarantined.as_ref().map(|path| path.display().to_string()),
        }
    }

    /// The environments of this user.
    #[must_use]
    pub fn environments(&self) -> Vec<EnvironmentDocument> {
        self.handles().iter().map(|handle| environment_document(&handle.id, &handle.now())).collect()
    }

    /// The handle for a request's environment: made when it is new.
    pub(crate) async fn of_request(&self, request: &UpRequest) -> Handle {
        self.inner.shared.touch();
        let id = environment_id(&request.stack);
        if let Some(handle) = self.handle(&id) {
            return handle;
        }
        let mut environments = self.inner.environments.write().unwrap_or_else(PoisonError::into_inner);
        let made = || Actor::spawn(id.clone(), Arc::clone(&self.inner.shared), Seed::default());
        environments.entry(id.clone()).or_insert_with(made).clone()
    }

    /// Makes it so.
    ///
    /// # Errors
    /// The stack is refused as a whole; then nothing changed.
    pub async fn up(&self, request: UpRequest) -> Result<AcceptedDocument, ErrorDocument> {
        let handle = self.of_request(&request).await;
        let id = handle.id.clone();
        let answer = handle.ask(|answer| Message::Up(Box::new(request), answer)).await;
        if answer.is_err() && handle.now().accepted.is_none() {
            self.close(&id).await;
        }
        answer
    }

    /// What [`Engine::up`] would do.
    ///
    /// # Errors
    /// As [`Engine::up`].
    pub async fn plan(&self, request: UpRequest) -> Result<PlanDocument, ErrorDocument> {
        let handle = self.of_request(&request).await;
        let id = handle.id.clone();
        let answer = handle.ask(|answer| Message::Plan(Box::new(request), answer)).await;
        if handle.now().accepted.is_none() {
            self.close(&id).await;
        }
        answer
    }

    /// Stops everything selected in reverse order and forgets it. With `data` it waits until all is down, then removes data.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn down(&self, id: &EnvironmentId, request: SelectRequest) -> Result<AcceptedDocument, ErrorDocument> {
        let handle = self.known(id)?;
        let targets = match &request.select {
            Some(text) => Some(select(&handle.now(), Some(text))?),
            None => None,
        };
        let all = targets.is_none();
        let mut accepted = handle.ask(|answer| Message::Command(Command::Down { targets }, answer)).await?;
        if request.data && all {
            let mut snapshot = handle.snapshot.clone();
            // An error means that the actor is gone, and with it everything that could be waited for.
            let _ = snapshot.wait_for(|now| now.running() == 0 && !now.ending).await;
            accepted.data_removed_on = self.remove_data(id).await?;
        }
        Ok(accepted)
    }

    /// Starts what is selected with what it needs; what had given up tries again.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn start(&self, id: &EnvironmentId, request: SelectRequest) -> Result<AcceptedDocument, ErrorDocument> {
        let no_deps = request.no_deps;
        self.on_targets(id, &request, |targets| Command::Start { targets, no_deps }).await
    }

    /// Stops what is selected.
    ///
    /// # Errors
    /// No such environment or service, or something that runs needs it.
    pub async fn stop(&self, id: &EnvironmentId, request: SelectRequest) -> Result<AcceptedDocument, ErrorDocument> {
        let (force, kill) = (request.force, request.kill);
        self.on_targets(id, &request, |targets| Command::Stop { targets, force, kill }).await
    }

    /// Stops and starts what is selected.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn restart(&self, id: &EnvironmentId, request: SelectRequest) -> Result<AcceptedDocument, ErrorDocument> {
        if request.as_built {
            let handle = self.known(id)?;
            let targets = select(&handle.now(), request.select.as_deref())?;
            // an error means that the actor is gone, which the command tells
            let _ = handle.mailbox.send(Message::AsBuilt(targets)).await;
        }
        self.on_targets(id, &request, |targets| Command::Restart { targets }).await
    }

    /// Drops what is `lost` without touching it.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn forget(&self, id: &EnvironmentId, request: SelectRequest) -> Result<AcceptedDocument, ErrorDocument> {
        self.on_targets(id, &request, |targets| Command::Forget { targets }).await
    }

    async fn on_targets(
        &self,
        id: &EnvironmentId,
        request: &SelectRequest,
        command: impl FnOnce(BTreeSet<InstanceId>) -> Command,
    ) -> Result<AcceptedDocument, ErrorDocument> {
        let handle = self.known(id)?;
        let targets = select(&handle.now(), request.select.as_deref())?;
        let command = command(targets);
        handle.ask(|answer| Message::Command(command, answer)).await
    }

    /// Sends a signal to the main processes of what is selected.
    ///
    /// # Errors
    /// No such environment or service, not a signal, or nothing of it runs.
    pub async fn signal(&self, id: &EnvironmentId, request: SelectRequest) -> Result<AcceptedDocument, ErrorDocument> {
        let handle = self.known(id)?;
        let targets = select(&handle.now(), request.select.as_deref())?;
        let text = request.signal.unwrap_or_default();
        let signal = text
            .parse()
            .map_err(|error: muster_spec::UnknownSignal| ErrorDocument::new("command::signal", 2, error.to_string()))?;
        handle.ask(|answer| Message::Signal(targets, signal, answer)).await
    }

    /// Variables and folder of one service, for a command that runs in its place.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn context(&self, id: &EnvironmentId, text: &str) -> Result<CommandContext, ErrorDocument> {
        let handle = self.known(id)?;
        let now = handle.now();
        let instance = one(&now, text)?;
        let number = now.instances.get(&instance).map_or(0, |info| info.view.run);
        let run = RunId { environment: id.clone(), instance, number, step: None };
        let command = handle.ask(|answer| Message::Context(run, answer)).await?;
        Ok(CommandContext { env: command.env, cwd: command.cwd.display().to_string() })
    }

    /// The stack last accepted.
    ///
    /// # Errors
    /// No such environment.
    pub async fn stack(&self, id: &EnvironmentId) -> Result<Stack, ErrorDocument> {
        let now = self.known(id)?.now();
        let accepted = now.accepted.as_ref().ok_or_else(|| errors::unknown_environment(id.name.as_str()))?;
        Ok(Stack::clone(&accepted.stack))
    }

    pub(crate) async fn close(&self, id: &EnvironmentId) {
        let handle = self.inner.environments.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(handle) = handle {
            let (sender, receiver) = oneshot::channel();
            if handle.mailbox.send(Message::Close(sender)).await.is_ok() {
                // An error means that it is gone already.
                let _ = receiver.await;
            }
        }
    }

    /// Ends every actor after what it is doing, and the links to hosts where nothing runs; what runs stays.
    pub async fn close_all(&self) {
        for handle in self.handles() {
            self.close(&handle.id).await;
        }
        if let Some(masters) = self.inner.shared.runtimes.masters() {
            masters.close().await;
        }
    }

    /// Takes every environment down and waits.
    ///
    /// # Errors
    /// The first environment that cannot be taken down.
    pub async fn stop_all(&self) -> Result<(), ErrorDocument> {
        for handle in self.handles() {
            self.down(&handle.id, SelectRequest::default()).await?;
        }
        for handle in self.handles() {
            let mut snapshot = handle.snapshot.clone();
            // An error means that the actor is gone.
            let _ = snapshot.wait_for(|now| now.running() == 0 && !now.ending).await;
        }
        Ok(())
    }

    /// Gives memory back after each burst of work, for ever.
    pub async fn stay_lean(self) {
        let mut activity = self.inner.shared.activity.subscribe();
        loop {
            let burst = async { while let Ok(Ok(())) = tokio::time::timeout(CALM, activity.changed()).await {} };
            // An error means that it goes on and on: then from time to time.
            let _ = tokio::time::timeout(LONG, burst).await;
            release_memory();
            if activity.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until nothing has run and nothing was asked for so long.
    pub async fn idle(&self, quiet: Duration) {
        let mut activity = self.inner.shared.activity.subscribe();
        loop {
            let changed = tokio::time::timeout(quiet, activity.changed()).await;
            let busy = self.handles().iter().any(|handle| {
                let now = handle.now();
                now.running() > 0 || now.instances.values().any(|i| i.view.wanted == Wanted::Up && !i.view.settled)
            });
            if changed.is_err() && !busy {
                return;
            }
        }
    }
}

fn environment_document(id: &EnvironmentId, now: &Snapshot) -> EnvironmentDocument {
    let stack = now.accepted.as_ref().map(|accepted| &accepted.stack);
    EnvironmentDocument {
        id: id.to_string(),
        name: id.name.to_string(),
        stack: stack.map(|stack| stack.name.to_string()).unwrap_or_default(),
        root: stack.map(|stack| stack.root.display().to_string()).unwrap_or_default(),
        port_base: now.ports.base,
        port_block: now.ports.base.map(|_| now.ports.block),
        running: now.running(),
        wanted: now.instances.values().filter(|info| info.view.wanted == Wanted::Up).count(),
    }
}

/// The instances that a text chooses; everything known when there is none.
pub(crate) fn select(now: &Snapshot, text: Option<&str>) -> Result<BTreeSet<InstanceId>, ErrorDocument> {
    let Some(text) = text else { return Ok(now.instances.keys().cloned().collect()) };
    let selector: Selector = text.parse().map_err(|error| errors::selector(&error))?;
    let Some(accepted) = &now.accepted else { return Ok(BTreeSet::new()) };
    selector.instances(&accepted.stack).map_err(|error| errors::selector(&error))
}

/// The one instance that a text chooses: `name` means its first copy.
pub(crate) fn one(now: &Snapshot, text: &str) -> Result<InstanceId, ErrorDocument> {
    let chosen = select(now, Some(text))?;
    let services: BTreeSet<_> = chosen.iter().map(|instance| &instance.service).collect();
    match (services.len(), chosen.first()) {
        (1, Some(first)) => Ok(first.clone()),
        (count, _) => {
            let text = format!("`{text}` chooses {count} services, this takes one");
            Err(ErrorDocument::new("selector::one", 2, text).help("name one service, or `name#2`"))
        }
    }
}
