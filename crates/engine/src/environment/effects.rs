//! What the core decided, done: every effect starts a task and comes back as a message.

use super::actor::{Actor, Leaving, Turn};
use super::copy::Copy;
use super::inside;
use super::launch::{self, Launch};
use super::live::Live;
use super::message::Message;
use super::prober;
use super::step::{Ear, step};
use crate::clock::wall_ns;
use crate::crash;
use crate::snapshot::alive;
use futures::StreamExt;
use muster_core::{Chance, Effect, Event, Exit, State};
use muster_probe::{LogWatch, ProbeContext};
use muster_runtime::{ExitRecord, Handle, KEEP_RUNS, Known, Runtime, RuntimeError, RuntimeEvent};
use muster_spec::{InstanceId, Role, RunId, RuntimeKind, Signal, Target};
use muster_store::{RunRow, SuccessRow, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a held run is left alone before its deadline is looked at again.
const HELD: u64 = 1_000;

/// The core's words for a runtime's exit.
pub(crate) fn exit(known: &Known) -> Exit {
    match known {
        Known::Code(code) => Exit::Code(*code),
        Known::Signal(number) => Exit::Signal(*number),
        Known::SupervisorKilled => Exit::SupervisorKilled,
        Known::Removed => Exit::Removed,
        Known::Unknown => Exit::Unknown,
    }
}

impl Actor {
    /// Does one effect; answers and records are the turn's own.
    pub(super) fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Start { instance, run } => self.start(instance, run),
            Effect::Stop { instance, run } => self.stop(&instance, run, false),
            Effect::Kill { instance, run } => self.stop(&instance, run, true),
            Effect::Recover { instance, run } => self.recover(instance, run),
            Effect::Probe { instance, run, roles } => self.probe(&instance, run, &roles),
            Effect::Forget { instance } => self.forget(&instance),
            Effect::Succeeded { .. } | Effect::Record(_) | Effect::Reply { .. } => {}
        }
    }

    pub(super) fn runtime_of(&self, instance: &InstanceId) -> Option<Arc<dyn Runtime>> {
        let live = self.live.get(instance);
        if let Some(runtime) = live.and_then(|live| live.runtime.as_ref()) {
            return Some(Arc::clone(runtime));
        }
        let kind = match live.and_then(|live| live.handle.as_ref()) {
            Some(handle) => handle.runtime,
            None => self.stack()?.services.get(&instance.service)?.runtime,
        };
        self.shared.runtimes.get(kind, &self.id)
    }

    /// The row of a run that is about to be: the intent, without a handle.
    pub(super) fn begun(&self, instance: &InstanceId, number: u64) -> Write {
        self.run_row(instance, number, None)
    }

    fn run_row(&self, instance: &InstanceId, number: u64, handle: Option<&Handle>) -> Write {
        Write::PutRun(RunRow {
            environment: self.id.clone(),
            instance: instance.clone(),
            number,
            handle_json: handle.and_then(|handle| serde_json::to_string(handle).ok()),
            started_at: i64::try_from(wall_ns()).unwrap_or(i64::MAX),
            ended_at: None,
            exit_json: None,
        })
    }

    /// The row that lets a job with the same spec and inputs be left out next time.
    pub(super) fn success(&self, instance: &InstanceId) -> Option<Write> {
        let spec_hash = self.machine.accepted()?.hashes.get(instance)?.clone();
        let inputs_hash = self.inputs.get(instance)?.clone();
        let (environment, at) = (self.id.clone(), i64::try_from(wall_ns()).unwrap_or(i64::MAX));
        Some(Write::PutSuccess(SuccessRow { environment, job: instance.to_string(), spec_hash, inputs_hash, at }))
    }

    fn start(&mut self, instance: InstanceId, number: u64) {
        let live = Live::new(number);
        let as_built = self.as_built.remove(&instance);
        let rebuild = !as_built && self.machine.view(&instance).is_none_or(|view| view.restarts == 0);
        let run = self.run_id(&instance, number);
        let launch = self.resolver(|resolver| Launch::prepare(resolver, &run, rebuild));
        let reason = match launch {
            Ok(Ok(launch)) => {
                let (shared, mailbox, cancel) = (Arc::clone(&self.shared), self.mailbox.clone(), live.cancel.clone());
                let log_grew = self.log_grew.clone();
                self.live.insert(instance.clone(), live);
                tokio::spawn(async move {
                    let outcome = launch::run(&shared, &launch, &cancel, &mailbox, &log_grew).await;
                    let message = match outcome {
                        Ok(handle) => Message::Spawned(instance, number, Box::new(handle)),
                        Err(failed) => Message::Event(Event::StartFailed {
                            instance,
                            run: number,
                            reason: failed.reason,
                            chance: failed.chance,
                        }),
                    };
                    // An error means that the daemon is ending: a run that was spawned is found by the next one.
                    let _ = mailbox.send(message).await;
                });
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.message,
        };
        self.live.insert(instance.clone(), live);
        self.tell(Message::Event(Event::StartFailed {
            instance,
            run: number,
            reason,
            chance: Chance::Never { code: None },
        }));
    }

    /// Puts a message into the own mailbox without waiting for room in it.
    fn tell(&self, message: Message) {
        let mailbox = self.mailbox.clone();
        tokio::spawn(async move {
            // An error means that the daemon is ending.
            let _ = mailbox.send(message).await;
        });
    }

    pub(super) fn spawned(&mut self, instance: &InstanceId, number: u64, handle: Handle, turn: &mut Turn) {
        crash::point("handle.before");
        turn.stage = Some("handle.after");
        turn.touched.insert(instance.clone());
        turn.writes.push(self.run_row(instance, number, Some(&handle)));
        self.watch(instance, number, handle, wall_ns());
        self.step(Event::Started { instance: instance.clone(), run: number }, turn);
        let early = self.live.get(instance).filter(|live| live.number == number).and_then(|live| live.stop_early);
        if let Some(kill) = early {
            self.stop(instance, number, kill);
        }
    }

    /// Takes a living run in: its handle, and a task that listens to it.
    pub(super) fn watch(&mut self, instance: &InstanceId, number: u64, handle: Handle, started_at_ns: u64) {
        let stop_early = self.live.get(instance).filter(|live| live.number == number).and_then(|live| live.stop_early);
        let mut live = Live::new(number);
        live.stop_early = stop_early;
        live.started_at_ns = Some(started_at_ns);
        let handle = Arc::new(handle);
        live.handle = Some(Arc::clone(&handle));
        let copy_to = self.stack().and_then(|stack| stack.services.get(&instance.service)?.logs.copy_to.clone());
        if let (Some(to), Some(run)) = (copy_to, handle.log_dir.clone()) {
            let copy = Copy { run, to, instance: instance.clone() };
            tokio::spawn(copy.run(self.log_grew.subscribe(), live.cancel.clone()));
        }
        if let Some(runtime) = self.shared.runtimes.get(handle.runtime, &self.id) {
            live.runtime = Some(Arc::clone(&runtime));
            if let Some(inside) = inside::inside(&runtime, &handle) {
                live.probe.set_inside(inside);
            }
            if let Some((host, held)) = inside::there(&runtime, &handle) {
                live.probe.set_there(&host, held);
            }
            let probed = self.stack().and_then(|stack| stack.services.get(&instance.service));
            if probed.is_some_and(|service| service.probes.roles().next().is_some()) {
                live.probe.set_pids(runtime.roots(&handle));
            }
            tokio::spawn(listen(runtime, handle, Ears::of(&live, self.log_grew.clone()), self.mailbox.clone()));
        }
        self.live.insert(instance.clone(), live);
    }

    pub(super) fn ended(&mut self, instance: &InstanceId, number: u64, record: &ExitRecord, turn: &mut Turn) {
        crash::point("exit.before");
        turn.stage = Some("exit.after");
        turn.touched.insert(instance.clone());
        turn.writes.push(Write::EndRun {
            environment: self.id.clone(),
            instance: instance.clone(),
            number,
            ended_at: i64::try_from(record.at_ns).unwrap_or(i64::MAX),
            exit_json: serde_json::to_string(record).unwrap_or_default(),
        });
        if let Some(live) = self.live.get(instance).filter(|live| live.number == number) {
            live.cancel.cancel();
        }
        self.destroy(self.run_id(instance, number), self.runtime_of(instance));
        self.step(Event::Exited { instance: instance.clone(), run: number, exit: exit(&record.exit) }, turn);
    }

    /// Removes what is left of a run that ended, except its log.
    pub(super) fn destroy(&mut self, run: RunId, runtime: Option<Arc<dyn Runtime>>) {
        let Some(runtime) = runtime else { return };
        self.destroying += 1;
        let mailbox = self.mailbox.clone();
        tokio::spawn(async move {
            if let Err(error) = runtime.destroy(&run).await {
                tracing::warn!(%run, %error, "cannot remove what is left of a run");
            }
            // An error means that the daemon is ending.
            let _ = mailbox.send(Message::Destroyed).await;
            let old = run.clone();
            let retained = move || runtime.retain(&old.environment, &old.instance, KEEP_RUNS);
            if let Ok(Err(error)) = tokio::task::spawn_blocking(retained).await {
                tracing::warn!(%run, %error, "cannot remove old runs");
            }
        });
    }

    fn forget(&mut self, instance: &InstanceId) {
        let runtime = self.runtime_of(instance);
        // what is lost is dropped without touching it
        let lost = self.shown(instance).is_some_and(|info| info.view.state == State::Lost);
        if let Some(live) = self.live.remove(instance)
            && !lost
        {
            self.destroy(self.run_id(instance, live.number), runtime);
        }
    }

    /// Asks a run to stop, or ends it.
    fn stop(&mut self, instance: &InstanceId, number: u64, kill: bool) {
        let runtime = self.runtime_of(instance);
        let stop = self.stack().and_then(|stack| stack.services.get(&instance.service)).map(|s| s.stop.clone());
        let stop = stop.unwrap_or_default();
        let Some(live) = self.live.get_mut(instance).filter(|live| live.number == number) else { return };
        let (Some(handle), Some(runtime)) = (live.handle.clone(), runtime) else {
            // not spawned yet: its steps end, and what is being spawned now is stopped when it reports
            live.stop_early = Some(kill || live.stop_early.unwrap_or(false));
            live.cancel.cancel();
            return;
        };
        if kill {
            self.ask_runtime(instance, number, async move { runtime.kill(&handle).await });
        } else if let Some(command) = &stop.command {
            self.stop_by_command(instance, number, command);
        } else {
            self.ask_runtime(instance, number, async move { runtime.signal(&handle, stop.signal, stop.to).await });
        }
    }

    /// Runs a stop command; when it fails, KILL follows at once.
    fn stop_by_command(&mut self, instance: &InstanceId, number: u64, command: &muster_spec::CommandSpec) {
        let mut run = self.run_id(instance, number);
        run.step = Some("stop".to_owned());
        let spec = self.resolver(|resolver| resolver.step(command, &run));
        let shared = Arc::clone(&self.shared);
        let runtime = self.runtime_of(instance);
        let Some(live) = self.live.get(instance) else { return };
        let (cancel, handle, log_grew) = (live.cancel.clone(), live.handle.clone(), self.log_grew.clone());
        tokio::spawn(async move {
            let outcome = match (spec, &runtime, &handle) {
                // where the service is, its command is run beside it
                (Ok(Ok(spec)), Some(runtime), Some(handle)) if spec.runtime != RuntimeKind::Process => {
                    let command = spec.command;
                    tokio::select! {
                        ran = inside::run(runtime.as_ref(), handle, command) => ran.and_then(|ran| ran.outcome()),
                        () = cancel.cancelled() => Ok(()),
                    }
                }
                (Ok(Ok(spec)), _, _) => {
                    step(&shared, &run, &spec, &cancel, Ear { log_grew: &log_grew, heard: None }).await
                }
                (Ok(Err(error)), _, _) => Err(error.to_string()),
                (Err(error), _, _) => Err(error.message),
            };
            if let (Err(reason), Some(runtime), Some(handle)) = (outcome, runtime, handle)
                && !cancel.is_cancelled()
            {
                tracing::info!(%run, reason, "the stop command failed: KILL follows");
                if let Err(error) = runtime.kill(&handle).await {
                    tracing::warn!(%run, %error, "cannot kill");
                }
            }
        });
    }

    /// Does something to a run; what cannot be verified becomes `lost`, what is gone will report by itself.
    fn ask_runtime(
        &self,
        instance: &InstanceId,
        run: u64,
        request: impl Future<Output = Result<(), RuntimeError>> + Send + 'static,
    ) {
        let (instance, mailbox) = (instance.clone(), self.mailbox.clone());
        tokio::spawn(async move {
            match request.await {
                Ok(()) | Err(RuntimeError::Gone(_)) => {}
                Err(RuntimeError::Unverifiable { reason, .. } | RuntimeError::Unavailable { reason, .. }) => {
                    // An error means that the daemon is ending.
                    let _ = mailbox.send(Message::Event(Event::LinkLost { instance, run, reason })).await;
                }
                Err(error @ (RuntimeError::Unsupported { .. } | RuntimeError::Io { .. })) => {
                    tracing::warn!(%instance, %error, "a runtime refused");
                }
            }
        });
    }

    /// Sends a signal to the main processes of these.
    pub(super) fn signal_now(&self, instance: &InstanceId, signal: Signal) -> bool {
        let live = self.live.get(instance).filter(|_| self.machine.view(instance).is_some_and(|v| alive(v.state)));
        let (Some(live), Some(runtime)) = (live, self.runtime_of(instance)) else { return false };
        let Some(handle) = live.handle.clone() else { return false };
        self.ask_runtime(instance, live.number, async move { runtime.signal(&handle, signal, Target::Main).await });
        true
    }

    /// Asks these probes from now on.
    fn probe(&mut self, instance: &InstanceId, number: u64, roles: &[Role]) {
        let run = self.run_id(instance, number);
        let service = self.stack().and_then(|stack| stack.services.get(&instance.service)).cloned();
        let Some(live) = self.live.get_mut(instance).filter(|live| live.number == number) else { return };
        live.probing.cancel();
        live.probing = live.cancel.child_token();
        let (context, probing, wake) = (live.probe.clone(), live.probing.clone(), Arc::clone(&live.wake));
        let log_dir = live.handle.as_ref().and_then(|handle| handle.log_dir.clone());
        let address = live.handle.as_ref().and_then(|handle| handle.address);
        let Some(service) = service else { return };
        let checks = self.resolver(|resolver| prober::resolve(&service, roles, resolver, &run, address));
        match checks {
            Ok(Ok(asked)) => {
                let patterns: Vec<_> = asked.iter().flat_map(|asked| asked.check.log_patterns()).collect();
                if let (false, Some(dir)) = (patterns.is_empty(), log_dir) {
                    context.set_log(LogWatch::new(Box::new(prober::RunLog::new(&dir)), patterns));
                }
                for asked in asked {
                    let teller =
                        prober::Teller { instance: instance.clone(), run: number, mailbox: self.mailbox.clone() };
                    tokio::spawn(prober::ask(asked, context.clone(), teller, probing.clone(), Arc::clone(&wake)));
                }
            }
            Ok(Err(reason)) => self.unanswerable(instance, number, roles, &reason),
            Err(error) => self.unanswerable(instance, number, roles, &error.message),
        }
    }

    /// A probe that cannot even be asked has failed, and says why.
    fn unanswerable(&self, instance: &InstanceId, run: u64, roles: &[Role], reason: &str) {
        for role in roles {
            let (instance, failure) = (instance.clone(), Some(reason.to_owned()));
            self.tell(Message::Event(Event::Probed { instance, run, role: *role, failure }));
        }
    }

    /// A deadline passed: runs that a debugger holds get more time.
    pub(super) async fn tick(&mut self, turn: &mut Turn) {
        let now = self.shared.clock.now();
        let due: Vec<_> =
            self.machine.views().filter(|v| alive(v.state) && v.deadline.is_some_and(|d| d <= now)).collect();
        for view in due {
            let handle = self.live.get(&view.instance).and_then(|live| live.handle.clone());
            if let (Some(handle), Some(runtime)) = (handle, self.runtime_of(&view.instance))
                && handle.runtime == RuntimeKind::Process
                && runtime.inspect(&handle).await.is_ok_and(|found| found.traced_by.is_some())
            {
                self.step(Event::Held { instance: view.instance, run: view.run, millis: HELD }, turn);
            }
        }
        self.step(Event::Tick, turn);
    }

    /// Everything is down: what the environment had only while it ran goes.
    pub(super) fn clean_up(&mut self) {
        self.leaving = Leaving::Going;
        self.live.clear();
        // counted as something that is being removed: until then the environment is not down
        self.destroying += 1;
        let (id, mailbox) = (self.id.clone(), self.mailbox.clone());
        let chosen = |kind| self.stack().is_some_and(|stack| stack.services.values().any(|s| s.runtime == kind));
        let of = |kind| match chosen(kind) {
            true => self.shared.runtimes.get(kind, &self.id),
            // what no service is meant to run as, but once was
            false => self.shared.runtimes.made(kind, &self.id),
        };
        // each leaves only what the environment had of it
        let others = self.shared.runtimes.of_hosts();
        let own = RuntimeKind::ALL.into_iter().filter(|kind| *kind != RuntimeKind::Remote).filter_map(of);
        let runtimes: Vec<_> = own.chain(others).collect();
        let masters = self.shared.runtimes.masters().cloned();
        tokio::spawn(async move {
            for runtime in runtimes {
                if let Err(error) = runtime.leave(&id).await {
                    tracing::warn!(environment = %id, runtime = %runtime.kind(), %error, "cannot leave an environment");
                }
            }
            if let Some(masters) = masters {
                masters.sweep(Some(&id)).await;
            }
            // An error means that the daemon is ending.
            let _ = mailbox.send(Message::Left).await;
        });
        let folder = self.shared.paths.volatile(&self.id);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove a runtime folder");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// What a watching task passes on besides messages.
struct Ears {
    number: u64,
    cancel: tokio_util::sync::CancellationToken,
    log_grew: tokio::sync::watch::Sender<()>,
    probe: ProbeContext,
    wake: Arc<tokio::sync::Notify>,
}

impl Ears {
    fn of(live: &Live, log_grew: tokio::sync::watch::Sender<()>) -> Self {
        Self {
            number: live.number,
            cancel: live.cancel.clone(),
            log_grew,
            probe: live.probe.clone(),
            wake: Arc::clone(&live.wake),
        }
    }
}

/// Listens to a run until it ends.
async fn listen(
    runtime: Arc<dyn Runtime>,
    handle: Arc<Handle>,
    ears: Ears,
    mailbox: tokio::sync::mpsc::Sender<Message>,
) {
    let instance = handle.run.instance.clone();
    let mut events = runtime.watch(&handle);
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = ears.cancel.cancelled() => return,
        };
        let message = match event {
            None => return,
            Some(RuntimeEvent::Exited(record)) => Message::Ended(instance.clone(), ears.number, record),
            Some(RuntimeEvent::LogGrew(_)) => {
                ears.log_grew.send_replace(());
                ears.wake.notify_waiters();
                continue;
            }
            Some(RuntimeEvent::Notify(text)) => {
                notified(&ears.probe, &text);
                ears.wake.notify_waiters();
                continue;
            }
            Some(RuntimeEvent::Health(health)) => {
                ears.probe.engine_says(health);
                ears.wake.notify_waiters();
                continue;
            }
            Some(RuntimeEvent::LinkLost(reason)) => {
                Message::Event(Event::LinkLost { instance: instance.clone(), run: ears.number, reason })
            }
            Some(RuntimeEvent::LinkBack) => {
                let found = runtime.recover(&handle.run, Some(&handle)).await;
                Message::Found(instance.clone(), ears.number, Box::new(found))
            }
        };
        if mailbox.send(message).await.is_err() {
            return;
        }
    }
}

/// How long a service may be silent after `WATCHDOG=1`, when it did not say `WATCHDOG_USEC`.
const WATCHDOG: Duration = Duration::from_secs(30);

/// Takes in what a service said over its notify socket (sd_notify(3)).
fn notified(probe: &ProbeContext, text: &str) {
    let promised = text.lines().find_map(|line| line.strip_prefix("WATCHDOG_USEC=")).and_then(|n| n.parse().ok());
    for line in text.lines() {
        match line {
            "READY=1" => probe.notified_ready(),
            "WATCHDOG=1" => {
                probe.notified_watchdog(promised.map_or(WATCHDOG, Duration::from_micros), Instant::now());
            }
            _status_or_other => {}
        }
    }
}
