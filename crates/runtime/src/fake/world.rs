//! The machine of the fake: what runs there lives on when a daemon dies.

use super::log::Log;
use super::script::{Act, Given, Script, StartScript, StopScript};
use crate::contract::{ExitRecord, Found, FoundRun, Handle, Inspect, Known, LogChunk, RuntimeError, Usage};
use crate::progress::{Failure, Phase, Progress};
use muster_spec::{EnvironmentId, InstanceSpec, RunId, RuntimeKind, Signal};
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The first process id that is given.
const FIRST_PID: u32 = 1000;

/// A scripted machine, shared by the runtimes of a daemon and of its successor.
#[derive(Debug)]
pub struct World {
    born: Instant,
    kind: RuntimeKind,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, Vec<Script>>,
    started: HashMap<String, usize>,
    runs: BTreeMap<RunId, Arc<FakeRun>>,
    doubles: Vec<String>,
    history: Vec<String>,
}

/// One run of the world.
#[derive(Debug)]
pub(super) struct FakeRun {
    pub(super) id: RunId,
    pub(super) script: Script,
    pub(super) progress: watch::Sender<Progress>,
    pid: u32,
    spec: InstanceSpec,
    begun_ns: u64,
    is_step: bool,
    log: Mutex<Log>,
    unverifiable: Mutex<Option<String>>,
}

impl FakeRun {
    pub(super) fn phase(&self) -> Phase {
        self.progress.borrow().phase.clone()
    }

    fn is_alive(&self) -> bool {
        matches!(self.phase(), Phase::Running(_))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn chunks(&self, from: u64) -> Vec<LogChunk> {
        self.log().from(from)
    }

    /// What it was given, as it would find it.
    fn given(&self, what: Given) -> String {
        match what {
            Given::Environment => {
                let env = &self.spec.command.env;
                env.iter().map(|(name, value)| format!("{name}={}\n", value.expose())).collect()
            }
            Given::Directory => format!("{}\n", self.spec.command.cwd.display()),
            Given::User => {
                let user = self.spec.user.as_deref().and_then(nix_users::get_user_by_name);
                format!("{}\n", user.map_or(0, |user| user.uid()))
            }
            Given::FileLimit => format!("{}\n", self.spec.limits.files.unwrap_or_default()),
        }
    }

    fn doubt(&self) -> Option<String> {
        self.unverifiable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn inspect(&self) -> Inspect {
        Inspect {
            pids: vec![self.pid],
            started_at_ns: self.begun_ns,
            hash: self.spec.hash.clone(),
            usage: Some(Usage { cpu_ns: 0, memory_bytes: 0, processes: 1 }),
            traced_by: None,
            status_text: self.progress.borrow().status_text.clone(),
            image: None,
        }
    }
}

impl World {
    /// A machine where nothing runs, for a runtime of this kind.
    #[must_use]
    pub fn new(kind: RuntimeKind) -> Arc<Self> {
        Arc::new(Self { born: Instant::now(), kind, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kind(&self) -> RuntimeKind {
        self.kind
    }

    fn now_ns(&self) -> u64 {
        // never 0, which means "nobody knows"
        u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Every start of a service follows this script.
    pub fn script(&self, service: &str, script: Script) {
        self.script_starts(service, [script]);
    }

    /// The next starts of a service follow these scripts, one after the other; the last one goes on for ever. Steps
    /// have their own: the service's name, a dot, the step's name.
    pub fn script_starts(&self, service: &str, scripts: impl IntoIterator<Item = Script>) {
        let mut state = self.state();
        state.started.remove(service);
        state.scripts.insert(service.to_owned(), scripts.into_iter().collect());
    }

    /// What runs now.
    #[must_use]
    pub fn live(&self) -> Vec<RunId> {
        self.state().runs.values().filter(|run| run.is_alive()).map(|run| run.id.clone()).collect()
    }

    /// How many processes that live carry a mark.
    #[must_use]
    pub fn marked(&self, mark: &str) -> usize {
        self.state().runs.values().filter(|run| run.is_alive() && run.script.mark.as_deref() == Some(mark)).count()
    }

    /// How often a service was started since it was scripted last.
    #[must_use]
    pub fn starts(&self, service: &str) -> usize {
        self.state().started.get(service).copied().unwrap_or(0)
    }

    /// Every time when two runs of one instance were alive at once: must stay empty.
    #[must_use]
    pub fn doubles(&self) -> Vec<String> {
        self.state().doubles.clone()
    }

    /// What happened, in order: `start RUN`, `signal RUN TERM`, `kill RUN`, `end RUN code 1`, `destroy RUN`.
    #[must_use]
    pub fn history(&self) -> Vec<String> {
        self.state().history.clone()
    }

    pub(super) fn note(&self, what: String) {
        self.state().history.push(what);
    }

    pub(super) fn find(&self, run: &RunId) -> Option<Arc<FakeRun>> {
        self.state().runs.get(run).cloned()
    }

    /// The run with this id, begun now unless it is there.
    pub(super) fn begin(self: &Arc<Self>, id: &RunId, spec: &InstanceSpec) -> Arc<FakeRun> {
        let mut state = self.state();
        if let Some(known) = state.runs.get(id) {
            return Arc::clone(known);
        }
        let mut name = id.instance.service.to_string();
        if let Some(step) = &id.step {
            name = format!("{name}.{step}");
        }
        let count = state.started.entry(name.clone()).or_default();
        let at = *count;
        *count += 1;
        let scripts = state.scripts.get(&name);
        let script = scripts.and_then(|scripts| scripts.get(at).or(scripts.last())).cloned().unwrap_or_default();
        state.history.push(format!("start {id}"));
        let run = Arc::new(FakeRun {
            id: id.clone(),
            progress: watch::Sender::new(Progress::new(Phase::Starting)),
            pid: FIRST_PID + u32::try_from(state.runs.len()).unwrap_or(0),
            begun_ns: self.now_ns(),
            is_step: id.step.is_some(),
            log: Mutex::new(Log::new(spec.logs.keep.get(), &spec.secrets)),
            spec: spec.clone(),
            unverifiable: Mutex::new(script.unverifiable.clone()),
            script,
        });
        state.runs.insert(id.clone(), Arc::clone(&run));
        drop(state);
        tokio::spawn(live(Arc::clone(self), Arc::clone(&run)));
        run
    }

    fn run_now(&self, run: &FakeRun) {
        let handle = Handle {
            runtime: self.kind,
            version: 1,
            run: run.id.clone(),
            identity: format!("pid {}", run.pid),
            pid: Some(run.pid),
            far: None,
            address: None,
            log_dir: None,
            opaque: serde_json::Value::Null,
        };
        let mut state = self.state();
        let others = state.runs.values().filter(|other| {
            !run.is_step
                && !other.is_step
                && other.id != run.id
                && other.id.environment == run.id.environment
                && other.id.instance == run.id.instance
                && other.is_alive()
        });
        let doubles: Vec<String> = others.map(|other| format!("{} while {} was alive", run.id, other.id)).collect();
        state.doubles.extend(doubles);
        drop(state);
        run.progress.send_modify(|now| now.phase = Phase::Running(handle));
    }

    fn fail(&self, run: &FakeRun, failure: Failure) {
        self.state().runs.remove(&run.id);
        run.progress.send_modify(|now| now.phase = Phase::Failed(failure));
    }

    /// A run ends now.
    pub fn end(&self, run: &RunId, exit: Known) {
        let Some(run) = self.find(run) else { return };
        if !run.is_alive() {
            return;
        }
        let log_bytes = run.progress.borrow().log_end;
        let words = match &exit {
            Known::Code(code) => format!("code {code}"),
            Known::Signal(signal) => format!("signal {signal}"),
            Known::SupervisorKilled => "supervisor killed".to_owned(),
            Known::Removed => "removed".to_owned(),
            Known::Unknown => "unknown".to_owned(),
        };
        self.note(format!("end {} {words}", run.id));
        let record = ExitRecord { exit, at_ns: self.now_ns(), log_bytes, note: None };
        run.progress.send_modify(|now| now.phase = Phase::Ended(record));
    }

    /// From now on a run cannot be verified, for this reason; or it can again.
    pub fn doubt(&self, run: &RunId, reason: Option<&str>) {
        if let Some(run) = self.find(run) {
            *run.unverifiable.lock().unwrap_or_else(PoisonError::into_inner) = reason.map(str::to_owned);
        }
    }

    /// A run does something now.
    pub fn act(&self, run: &RunId, act: Act) {
        let Some(found) = self.find(run) else { return };
        let modify = |change: &dyn Fn(&mut Progress)| found.progress.send_modify(|now| change(now));
        match act {
            Act::Stdout(text) => self.write(&found, &text, false),
            Act::Stderr(text) => self.write(&found, &text, true),
            Act::Tell(what) => self.write(&found, &found.given(what), false),
            Act::Notify(text) => modify(&|now| now.note(text.clone())),
            Act::LinkLost(reason) => modify(&|now| now.lost = Some(reason.clone())),
            Act::LinkBack => modify(&|now| now.lost = None),
            Act::End(exit) => self.end(run, exit),
        }
    }

    fn write(&self, run: &FakeRun, text: &str, stderr: bool) {
        let end = run.log().write(text, stderr, self.now_ns());
        run.progress.send_modify(|now| now.log_end = end);
    }

    /// What became of a run.
    pub(super) async fn recover(&self, run: &RunId) -> Found {
        let Some(run) = self.find(run) else { return Found::Absent };
        if let Some(reason) = run.doubt() {
            return Found::Unverifiable(reason);
        }
        if run.script.start == StartScript::Hangs {
            return Found::Absent;
        }
        match crate::progress::settled(&run.progress).await {
            Phase::Running(handle) => Found::Running(handle),
            Phase::Ended(record) => Found::Exited(record),
            Phase::Failed(_) | Phase::Starting => Found::Absent,
        }
    }

    pub(super) async fn list(&self, environment: &EnvironmentId) -> Vec<FoundRun> {
        let runs: Vec<RunId> =
            self.state().runs.keys().filter(|run| run.environment == *environment).cloned().collect();
        let mut found = Vec::new();
        for run in runs {
            match self.recover(&run).await {
                Found::Absent => {}
                what => found.push(FoundRun { run, found: what }),
            }
        }
        found
    }

    /// The run if it is alive, can be seen, and can be verified.
    pub(super) fn reachable(&self, run: &RunId) -> Result<Arc<FakeRun>, RuntimeError> {
        let found = self.find(run).filter(|run| run.is_alive()).ok_or_else(|| RuntimeError::Gone(run.clone()))?;
        if let Some(reason) = found.doubt() {
            return Err(RuntimeError::Unverifiable { run: run.clone(), reason });
        }
        match found.progress.borrow().lost.clone() {
            Some(reason) => Err(RuntimeError::Unavailable { runtime: self.kind, reason }),
            None => Ok(Arc::clone(&found)),
        }
    }

    /// What a signal does, by script.
    pub(super) fn signal(self: &Arc<Self>, run: &Arc<FakeRun>, signal: Signal) {
        self.note(format!("signal {} {signal}", run.id));
        if let Some((_, line)) = run.script.answers.as_ref().filter(|(answered, _)| *answered == signal) {
            return self.write(run, line, false);
        }
        let asks = [Signal::TERM, Signal::INT, Signal::HUP].contains(&signal);
        let (after, exit) = match (&run.script.stop, signal) {
            (_, Signal::KILL) => return self.end(&run.id, Known::Signal(signal.number())),
            (StopScript::Obeys(after), _) if asks => (*after, Known::Signal(signal.number())),
            (StopScript::Exits(after, code), _) if asks => (*after, Known::Code(*code)),
            (StopScript::Obeys(_) | StopScript::Exits(..) | StopScript::Ignores, _) => return,
        };
        if after.is_zero() {
            return self.end(&run.id, exit);
        }
        let (world, id) = (Arc::clone(self), run.id.clone());
        tokio::spawn(async move {
            sleep(after).await;
            world.end(&id, exit);
        });
    }

    pub(super) fn destroy(&self, run: &RunId) -> Result<(), RuntimeError> {
        match self.find(run) {
            Some(found) if found.is_alive() => Err(RuntimeError::Unavailable {
                runtime: self.kind,
                reason: format!("run `{run}` is alive: end it first"),
            }),
            Some(_) => {
                self.note(format!("destroy {run}"));
                self.state().runs.remove(run);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A run's life by its script.
async fn live(world: Arc<World>, run: Arc<FakeRun>) {
    match run.script.start.clone() {
        StartScript::Works(after) => {
            pause(after).await;
            world.run_now(&run);
        }
        StartScript::Fails { after, reason, code } => {
            pause(after).await;
            return world.fail(&run, Failure { reason, code });
        }
        StartScript::Hangs => return,
    }
    let begun = Instant::now();
    let mut acts = run.script.acts.clone();
    acts.sort_by_key(|(after, _)| *after);
    for (after, act) in acts {
        if !after.is_zero() {
            sleep_until(begun + after).await;
        }
        if !run.is_alive() {
            return;
        }
        world.act(&run.id, act);
    }
}

/// No timer where nothing is to be waited for: paused clocks round up to a millisecond.
async fn pause(time: std::time::Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
