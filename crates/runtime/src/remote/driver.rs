//! The registry of hosts and runs, and what is asked of them.

use super::RemoteConfig;
use super::binaries::Kinds;
use super::folders::{self, Kept};
use super::host::Host;
use super::mux::Mux;
use super::record::{Placed, owner};
use super::run::Run;
use super::ssh::Ssh;
use super::trouble::Trouble;
use super::wire::{Answer, Ask, Failure, WireFound};
use crate::contract::{Found, FoundRun, Handle, RuntimeError};
use crate::process::{self, Layout};
use crate::progress::{Phase, settled};
use muster_spec::{EnvironmentId, InstanceSpec, RunId, RuntimeKind};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// An agent that lives answers within this time, also on a host that is very busy.
const ANSWER: Duration = Duration::from_secs(20);
/// The rest of an ended run's log is waited for this long before its end is told all the same.
const REST_OF_LOG: Duration = Duration::from_secs(15);

/// What all clones of the runtime share.
pub(super) struct Driver {
    pub(super) layout: Layout,
    config: RemoteConfig,
    kinds: Arc<Kinds>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    runs: Mutex<HashMap<RunId, Arc<Run>>>,
}

impl Driver {
    pub(super) fn new(config: RemoteConfig) -> Self {
        let layout = Layout::new(&config.state_dir, config.masters.folder());
        let kinds = Arc::new(Kinds::new(config.binaries.clone()));
        Self { layout, config, kinds, hosts: Mutex::default(), runs: Mutex::default() }
    }

    pub(super) fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self, run: &RunId) -> Option<Arc<Run>> {
        self.runs().get(run).cloned()
    }

    pub(super) fn hosts(&self) -> Vec<Arc<Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The host of this name; nothing is done there yet.
    pub(super) fn host(&self, name: &str) -> Result<Arc<Host>, Trouble> {
        let owner = owner(&self.config.state_dir)
            .map_err(|error| Trouble::passing(format!("could not keep who we are on other hosts: {error}")))?;
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return Ok(Arc::clone(host));
        }
        let masters = self.config.masters.clone();
        let ssh = Ssh::new(self.config.ssh.clone(), name, masters.folder());
        let host = Host::new(name, ssh, masters, Arc::clone(&self.kinds), owner);
        hosts.insert(name.to_owned(), Arc::clone(&host));
        Ok(host)
    }

    /// Where a run is, as far as anybody wrote it down. Its ways may be others by now than when its handle was made.
    pub(super) fn placed(&self, run: &RunId, known: Option<&Handle>) -> Option<Placed> {
        Placed::read(&self.layout.run(run)).or_else(|| known.and_then(Placed::in_handle))
    }

    /// The run in the registry, put there in this phase where it was not.
    pub(super) fn register(&self, id: &RunId, placed: Placed, host: &Arc<Host>, phase: Phase) -> (Arc<Run>, bool) {
        let mut runs = self.runs();
        if let Some(run) = runs.get(id) {
            return (Arc::clone(run), false);
        }
        let run = Arc::new(Run::new(id.clone(), self.layout.run(id), placed, Arc::clone(host), phase));
        runs.insert(id.clone(), Arc::clone(&run));
        host.used(id);
        (run, true)
    }

    /// Takes a run out of the registry.
    pub(super) fn forget(&self, id: &RunId) {
        if let Some(run) = self.runs().remove(id) {
            run.host.unused(id);
        }
    }

    /// The link to a handle's host.
    pub(super) async fn link(&self, handle: &Handle) -> Result<Arc<Mux>, RuntimeError> {
        if let Some(Phase::Ended(_) | Phase::Failed(_)) = self.known(&handle.run).map(|run| run.phase()) {
            return Err(RuntimeError::Gone(handle.run.clone()));
        }
        let placed = self.placed(&handle.run, Some(handle)).ok_or_else(|| RuntimeError::Gone(handle.run.clone()))?;
        Ok(self.host(&placed.host)?.mux().await?)
    }

    /// Asks a handle's host.
    pub(super) async fn ask(&self, handle: &Handle, ask: Ask) -> Result<Answer, RuntimeError> {
        let mux = self.link(handle).await?;
        answered(&mux, ask).await?.map_err(Failure::into_error)
    }

    /// What became of a run; one that lives is listened to from then on.
    pub(super) async fn recover(&self, id: &RunId, known: Option<&Handle>) -> Found {
        if process::is_destroyed(&self.layout.run(id)) && self.known(id).is_none() {
            return Found::Absent;
        }
        if let Some(run) = self.known(id) {
            match self.outcome(&run).await {
                Ok(Phase::Ended(record)) => return Found::Exited(record),
                Ok(Phase::Running(_) | Phase::Failed(_) | Phase::Starting) => {}
                Err(trouble) => return Found::Unverifiable(trouble.text),
            }
        }
        let Some(placed) = self.placed(id, known) else { return Found::Absent };
        let answer = async {
            let host = self.host(&placed.host)?;
            host.entered(&id.environment);
            let mux = host.mux().await?;
            let answer = answered(&mux, Ask::Recover { run: id.clone() }).await?;
            Ok::<_, Trouble>((host, answer))
        };
        let (host, found) = match answer.await {
            Ok((host, Ok(Answer::Found(found)))) => (host, found),
            Ok((_, Ok(other))) => return Found::Unverifiable(format!("the host answered {other:?}")),
            Ok((_, Err(failure))) => return Found::Unverifiable(failure.text()),
            Err(trouble) => return Found::Unverifiable(trouble.text),
        };
        self.take(id, placed, &host, found).await
    }

    /// The outcome of a start that may be under way, unless the link is down.
    async fn outcome(&self, run: &Run) -> Result<Phase, Trouble> {
        let lost = async {
            loop {
                if let Some(trouble) = run.host.trouble() {
                    return trouble;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match run.phase() {
            Phase::Starting => {}
            phase @ (Phase::Running(_) | Phase::Failed(_) | Phase::Ended(_)) => return Ok(phase),
        }
        tokio::select! {
            phase = settled(&run.progress) => Ok(phase),
            trouble = lost => Err(trouble),
        }
    }

    /// Takes in what the host says of a run.
    async fn take(&self, id: &RunId, placed: Placed, host: &Arc<Host>, found: WireFound) -> Found {
        match found {
            WireFound::Running(there) => {
                let handle = placed.handle(id, &self.layout.run(id), &there);
                let (run, fresh) = self.register(id, placed.clone(), host, Phase::Running(handle.clone()));
                if fresh {
                    let _ = run.handle.set(handle.clone());
                    tokio::spawn(Arc::clone(&run).carry());
                }
                if let Err(trouble) = host.tunnels.open(&host.ssh, id, &placed.tunnels).await {
                    tracing::warn!(run = %id, %trouble, "a tunnel of a run that was taken back is not open");
                    host.tunnels.note(id, &placed.tunnels).await;
                }
                Found::Running(handle)
            }
            WireFound::Exited(record) => {
                let phase = Phase::Starting;
                let (run, fresh) = self.register(id, placed, host, phase);
                if fresh {
                    tokio::spawn(Arc::clone(&run).carry());
                }
                let mut progress = run.progress.subscribe();
                let over = progress.wait_for(|now| matches!(now.phase, Phase::Ended(_)));
                // a link that is lost meanwhile, or a full disk: the end is known all the same
                let _ = timeout(REST_OF_LOG, over).await;
                Found::Exited(record)
            }
            WireFound::Absent => Found::Absent,
            WireFound::Unverifiable(reason) => Found::Unverifiable(reason),
        }
    }

    /// Everything of ours for an environment: what was written down here, and what its hosts say.
    pub(super) async fn list(&self, environment: &EnvironmentId) -> Result<Vec<FoundRun>, RuntimeError> {
        let runs = process::runs(&self.layout, environment)
            .map_err(|source| RuntimeError::Io { context: "could not list runs".to_owned(), source })?;
        let mut by_host: BTreeMap<String, Vec<(RunId, Placed)>> = BTreeMap::new();
        for run in runs {
            if let Some(placed) = Placed::read(&self.layout.run(&run)) {
                by_host.entry(placed.host.clone()).or_default().push((run, placed));
            }
        }
        let mut listed = Vec::new();
        for (name, placed) in by_host {
            let host = self.host(&name)?;
            host.entered(environment);
            let asked = async {
                let mux = host.mux().await?;
                match answered(&mux, Ask::List { environment: environment.clone() }).await? {
                    Ok(Answer::Listed(found)) => Ok(found.into_iter().collect::<HashMap<_, _>>()),
                    Ok(other) => Err(Trouble::passing(format!("the host answered {other:?}"))),
                    Err(failure) => Err(Trouble::passing(failure.text())),
                }
            };
            let mut there = asked.await;
            for (run, placed) in placed {
                let found = match &mut there {
                    Ok(there) => match there.remove(&run) {
                        // nobody listens to what is only listed: it would keep the link of a host that is to be left
                        Some(WireFound::Running(there)) => {
                            Found::Running(placed.handle(&run, &self.layout.run(&run), &there))
                        }
                        Some(WireFound::Exited(record)) => Found::Exited(record),
                        Some(WireFound::Absent) => Found::Absent,
                        Some(WireFound::Unverifiable(reason)) => Found::Unverifiable(reason),
                        None => continue,
                    },
                    Err(trouble) => Found::Unverifiable(trouble.text.clone()),
                };
                listed.push(FoundRun { run, found });
            }
        }
        Ok(listed.into_iter().filter(|run| run.found != Found::Absent).collect())
    }

    /// Removes what is left of a run that ended: there, and here but its log.
    pub(super) async fn destroy(&self, id: &RunId) -> Result<(), RuntimeError> {
        let folder = self.layout.run(id);
        let known = self.known(id);
        let placed = known.as_ref().map(|run| run.placed.clone()).or_else(|| self.placed(id, None));
        let Some(placed) = placed.filter(|_| !process::is_destroyed(&folder)) else {
            self.forget(id);
            return Ok(());
        };
        let host = self.host(&placed.host)?;
        let ended = known.is_some_and(|run| matches!(run.phase(), Phase::Ended(_)));
        let asked = async {
            let mux = host.mux().await?;
            answered(&mux, Ask::Destroy { run: id.clone() }).await
        };
        match asked.await {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => return Err(failure.into_error()),
            Err(_) if ended => host.remove_later(id),
            Err(trouble) => return Err(trouble.into()),
        }
        host.tunnels.close(&host.ssh, id).await;
        let marked = process::mark_destroyed(&folder);
        self.forget(id);
        match marked {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(RuntimeError::Io { context: "could not mark a run as destroyed".to_owned(), source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What a host is told when an environment has no run there any more.
    pub(super) fn leaving(&self, environment: &EnvironmentId) -> Ask {
        let folders = &self.config.folders;
        Ask::Leave { environment: environment.clone(), top: folders.top().to_owned(), run: folders.run(environment) }
    }

    /// A run is about to be started on its host: what it leaves there stays beyond its end.
    pub(super) fn note_kept(&self, id: &RunId, host: &str, spec: &InstanceSpec) -> io::Result<()> {
        folders::note(&self.layout, &id.environment, Kept::Logs, host)?;
        match self.config.folders.makes_data(&id.environment, spec) {
            true => folders::note(&self.layout, &id.environment, Kept::Data, host),
            false => Ok(()),
        }
    }

    /// Removes an environment's data from all hosts that have some.
    pub(super) async fn remove_data(&self, environment: &EnvironmentId) -> Result<Vec<String>, RuntimeError> {
        let folders = &self.config.folders;
        let ask = || Ask::Remove { top: folders.top().to_owned(), folder: folders.data(environment) };
        self.remove_kept(environment, Kept::Data, ask).await
    }

    /// Removes an environment's logs, and the records of its runs, from all hosts that have some.
    pub(super) async fn remove_logs(&self, environment: &EnvironmentId) -> Result<(), RuntimeError> {
        let folders = &self.config.folders;
        let (top, logs) = (folders.top(), folders.logs(environment));
        let ask = || Ask::Forget { environment: environment.clone(), top: top.to_owned(), logs: logs.clone() };
        self.remove_kept(environment, Kept::Logs, ask).await.map(drop)
    }

    /// Asks all hosts for it that have some, and says which. What one host keeps us from holds up no other.
    async fn remove_kept(
        &self,
        environment: &EnvironmentId,
        kept: Kept,
        ask: impl Fn() -> Ask,
    ) -> Result<Vec<String>, RuntimeError> {
        let failed = |source| RuntimeError::Io { context: "could not note what hosts have".to_owned(), source };
        let mut left = folders::hosts(&self.layout, environment, kept).map_err(failed)?;
        let (mut removed, mut trouble) = (Vec::new(), None);
        for name in left.clone() {
            let host = self.host(&name)?;
            let asked = async {
                let mux = host.mux().await?;
                answered(&mux, ask()).await?.map_err(Failure::into_error)
            };
            match asked.await {
                Ok(_done) => {
                    left.remove(&name);
                    removed.push(name);
                }
                Err(error) => drop(trouble.get_or_insert(error)),
            }
            host.release().await;
        }
        folders::keep(&self.layout, environment, kept, &left).map_err(failed)?;
        trouble.map_or(Ok(removed), Err)
    }

    /// Tells a host, without waiting, where its link is there or comes.
    pub(super) fn tell(self: &Arc<Self>, host: Arc<Host>, ask: Ask) {
        background(async move {
            if host.trouble().is_none()
                && let Ok(mux) = host.mux().await
            {
                told(&mux, ask).await;
            }
        });
    }

    /// Tells the hosts of an environment whose links are there, without waiting. What was let go is not connected again.
    pub(super) fn tell_there(&self, of: &EnvironmentId, ask: impl Fn() -> Ask) {
        for mux in self.hosts().into_iter().filter(|host| host.serves(of)).filter_map(|host| host.there()) {
            let ask = ask();
            background(async move { told(&mux, ask).await });
        }
    }
}

fn background(work: impl Future<Output = ()> + Send + 'static) {
    // called from threads that are not the runtime's own as well; without one the process is ending
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

async fn told(mux: &Mux, ask: Ask) {
    if let Ok(Err(failure)) = answered(mux, ask).await {
        tracing::debug!(reason = failure.text(), "a host refused");
    }
}

/// Asks over a link; a link that is lost meanwhile, or an agent that does not answer, is a trouble.
pub(super) async fn answered(mux: &Mux, ask: Ask) -> Result<Result<Answer, Failure>, Trouble> {
    match timeout(ANSWER, mux.call(ask)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(cut)) => Err(Trouble::passing(format!("the link was lost: {cut}"))),
        Err(_) => Err(Trouble::passing("the host does not answer")),
    }
}

/// A host that answers something else than it was asked.
pub(super) fn confused(answer: &Answer) -> RuntimeError {
    RuntimeError::Unavailable { runtime: RuntimeKind::Remote, reason: format!("the host answered {answer:?}") }
}
