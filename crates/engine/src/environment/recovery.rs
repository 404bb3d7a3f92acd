//! After a daemon start: what was known is looked for, what is found is taken back, what cannot be verified is left alone.

use super::actor::{Actor, Leaving, Seed, Turn};
use super::commands::{BESIDE, environment_rows};
use super::effects::exit;
use super::live::Live;
use super::message::{Handle, Message};
use super::record::{EnvironmentRecord, read_secrets};
use crate::clock::wall_ns;
use crate::shared::Shared;
use futures::stream::{self, BoxStream, StreamExt};
use muster_core::{Accepted, Context, Effect, Event, Found, InstanceRow, Machine, Saved};
use muster_runtime::{Found as RuntimeFound, RuntimeEvent};
use muster_spec::{EnvironmentId, InstanceId, RunId, RuntimeKind, SecretText};
use muster_store::{EnvironmentRow, RunRow, StoreError, Write};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at a run that cannot be verified and of which its runtime tells nothing, at first and at most.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LAST: Duration = Duration::from_secs(15);
/// Runs of an instance that recovery looks at: the current one.
const LAST: u32 = 1;

/// Takes back an environment that the journal knows.
pub(crate) fn known(shared: &Arc<Shared>, row: EnvironmentRow) -> Result<Handle, StoreError> {
    let (id, generation) = (row.id, row.generation);
    let accepted: Option<Arc<Accepted>> = serde_json::from_str(&row.stack_json).ok();
    let record = EnvironmentRecord::read(&shared.paths.record(&id)).ok();
    let accepted = accepted.or_else(|| record.as_ref().map(|record| Arc::clone(&record.accepted)));
    let mut ports = record.map(|record| record.table()).unwrap_or_default();
    ports.base = row.port_base;
    ports.block = row.port_block.unwrap_or(ports.block);
    for port in shared.store.ports_of(&id)? {
        ports.numbers.insert((port.service, port.replica, port.name), port.number);
    }
    if let Some(text) = shared.store.fact(Some(&id), BESIDE)? {
        ports.put_beside(serde_json::from_str(&text).unwrap_or_default());
    }
    if let Some(accepted) = &accepted {
        shared.runtimes.settle(&id, &accepted.stack.runtime_env);
    }
    let mut rows: Vec<InstanceRow> = Vec::new();
    let mut handles = Vec::new();
    for row in shared.store.instances(&id)? {
        match serde_json::from_str(&row.state_json) {
            Ok(saved) => rows.push(saved),
            Err(error) => {
                tracing::error!(environment = %id, instance = %row.instance, %error, "cannot read a saved state");
            }
        }
    }
    handles.extend(shared.store.open_runs(&id)?.into_iter().filter_map(handle_of));
    let saved_boot = shared.store.fact(Some(&id), "boot")?;
    let same_boot = saved_boot.as_deref() == Some(shared.boot.as_str());
    let mut header = muster_core::Header { generation, ..Default::default() };
    if let Some(text) = shared.store.fact(Some(&id), "header")? {
        header = serde_json::from_str(&text).unwrap_or(header);
    }
    let (machine, effects) = restored(shared, Saved { header, accepted, rows }, same_boot);
    let leaving = Leaving::of_fact(shared.store.fact(Some(&id), Leaving::FACT)?.as_deref());
    let secrets = read_secrets(&shared.paths, &id);
    let seq = shared.store.last_transitions(&id, None, 1)?.last().map_or(0, |row| row.seq.unsigned_abs());
    Ok(Actor::spawn(id, Arc::clone(shared), Seed { machine, effects, ports, secrets, handles, seq, leaving }))
}

fn handle_of(run: RunRow) -> Option<muster_runtime::Handle> {
    serde_json::from_str(&run.handle_json?).ok()
}

/// Takes back an environment that the journal does not know any more: from its record and what its runtimes find.
///
/// `None` when its runs cannot be listed: nothing is written over what another daemon may still read.
pub(crate) async fn unknown(shared: &Arc<Shared>, id: EnvironmentId, record: EnvironmentRecord) -> Option<Handle> {
    let mut rows = Vec::new();
    let mut last: std::collections::BTreeMap<InstanceId, (u64, bool)> = std::collections::BTreeMap::new();
    let stack = &record.accepted.stack;
    shared.runtimes.settle(&id, &stack.runtime_env);
    let mut kinds: std::collections::BTreeSet<_> = stack.services.values().map(|service| service.runtime).collect();
    kinds.insert(RuntimeKind::Process);
    for runtime in kinds.into_iter().filter_map(|kind| shared.runtimes.get(kind, &id)) {
        match runtime.list(&id).await {
            Ok(found) => {
                for run in found.into_iter().filter(|run| run.run.step.is_none()) {
                    let alive = !matches!(run.found, RuntimeFound::Exited(_) | RuntimeFound::Absent);
                    let entry = last.entry(run.run.instance.clone()).or_default();
                    *entry = (*entry).max((run.run.number, alive));
                }
            }
            Err(error) => {
                tracing::error!(environment = %id, %error, "cannot look for runs: the environment is left alone");
                return None;
            }
        }
    }
    for (instance, (number, alive)) in last {
        let hash = record.accepted.hashes.get(&instance).cloned();
        rows.push(InstanceRow::found(instance, number, alive, hash, record.generation));
    }
    let header = muster_core::Header { generation: record.generation, ..Default::default() };
    let saved = Saved { header, accepted: Some(Arc::clone(&record.accepted)), rows };
    let (machine, effects) = restored(shared, saved, true);
    let (ports, secrets) = (record.table(), read_secrets(&shared.paths, &id));
    if let Err(error) = shared.commit(environment_rows(&id, &record.accepted, record.generation, &ports)).await {
        tracing::error!(environment = %id, %error, "cannot write the journal");
    }
    let seed = Seed { machine, effects, ports, secrets, handles: Vec::new(), seq: 0, leaving: Leaving::No };
    Some(Actor::spawn(id, Arc::clone(shared), seed))
}

fn restored(shared: &Shared, saved: Saved, same_boot: bool) -> (Machine, Vec<Effect>) {
    let mut effects = Vec::new();
    let context = Context { now: shared.clock.now(), random: wall_ns() };
    let machine = Machine::restore(saved, context, same_boot, &mut effects);
    (machine, effects)
}

/// Waits for its runtime to tell that a run can be seen again, or that it ended; for ever where nothing is told.
async fn seen_again(events: &mut BoxStream<'_, RuntimeEvent>) {
    while let Some(event) = events.next().await {
        if matches!(event, RuntimeEvent::LinkBack | RuntimeEvent::Exited(_)) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

impl Actor {
    /// Asks the runtime what became of a run.
    pub(super) fn recover(&mut self, instance: InstanceId, number: u64) {
        let run = self.run_id(&instance, number);
        let known = self.adopting.remove(&instance).filter(|handle| handle.run.number == number);
        let kind = known.as_ref().map(|handle| handle.runtime);
        let kind = kind.or_else(|| Some(self.stack()?.services.get(&instance.service)?.runtime));
        let runtime = kind.and_then(|kind| self.shared.runtimes.get(kind, &self.id));
        let mut live = Live::new(number);
        live.known = known.clone().map(Arc::new);
        live.runtime.clone_from(&runtime);
        self.live.insert(instance.clone(), live);
        let mailbox = self.mailbox.clone();
        // a log that is copied from elsewhere goes on at once, also that of a run which ended meanwhile
        let secrets = self.secrets_of(&run);
        tokio::spawn(async move {
            let found = match &runtime {
                Some(runtime) => {
                    if let Some(secrets) = &secrets {
                        runtime.remember_secrets(&run, secrets);
                    }
                    runtime.recover(&run, known.as_ref()).await
                }
                None => RuntimeFound::Unverifiable("its runtime is not available here".to_owned()),
            };
            // An error means that the daemon is ending.
            let _ = mailbox.send(Message::Found(instance, number, Box::new(found))).await;
        });
    }

    /// Takes the answer in.
    pub(super) fn found(&mut self, instance: &InstanceId, number: u64, found: RuntimeFound, turn: &mut Turn) {
        turn.touched.insert(instance.clone());
        self.unverified.remove(instance);
        let found = match found {
            RuntimeFound::Running(handle) => {
                let known = self.live.get(instance).and_then(|live| live.started_at_ns);
                let started = known.or_else(|| self.started_at(instance, number)).unwrap_or_else(wall_ns);
                self.remind(&handle);
                self.watch(instance, number, handle, started);
                Found::Running
            }
            RuntimeFound::Exited(record) => {
                turn.writes.push(Write::EndRun {
                    environment: self.id.clone(),
                    instance: instance.clone(),
                    number,
                    ended_at: i64::try_from(record.at_ns).unwrap_or(i64::MAX),
                    exit_json: serde_json::to_string(&record).unwrap_or_default(),
                });
                // nobody was there to do it when it ended
                self.destroy(self.run_id(instance, number), self.runtime_of(instance));
                Found::Exited(exit(&record.exit))
            }
            RuntimeFound::Absent => Found::Absent,
            RuntimeFound::Unverifiable(reason) => {
                self.look_again(instance, number);
                Found::Unverifiable(reason)
            }
        };
        self.step(Event::Recovered { instance: instance.clone(), run: number, found }, turn);
    }

    /// What cannot be verified now is looked at again when its runtime tells of it, and from time to time.
    fn look_again(&self, instance: &InstanceId, number: u64) {
        let (Some(live), Some(runtime)) = (self.live.get(instance), self.runtime_of(instance)) else { return };
        let (run, known, cancel) = (self.run_id(instance, number), live.known.clone(), live.cancel.clone());
        let (instance, mailbox) = (instance.clone(), self.mailbox.clone());
        let look = async move {
            let mut events = known.as_deref().map_or_else(|| stream::empty().boxed(), |handle| runtime.watch(handle));
            let mut wait = AGAIN_FIRST;
            loop {
                // an error means that the time is over
                let _ = tokio::time::timeout(wait, seen_again(&mut events)).await;
                wait = (wait * 2).min(AGAIN_LAST);
                match runtime.recover(&run, known.as_deref()).await {
                    RuntimeFound::Unverifiable(_) => {}
                    found @ (RuntimeFound::Running(_) | RuntimeFound::Exited(_) | RuntimeFound::Absent) => {
                        return found;
                    }
                }
            }
        };
        tokio::spawn(async move {
            let found = tokio::select! {
                found = look => found,
                () = cancel.cancelled() => return,
            };
            // An error means that the daemon is ending.
            let _ = mailbox.send(Message::Found(instance, number, Box::new(found))).await;
        });
    }

    /// A run that was taken back has secrets that its runtime has forgotten.
    fn remind(&self, handle: &muster_runtime::Handle) {
        let runtime = self.shared.runtimes.get(handle.runtime, &self.id);
        if let (Some(secrets), Some(runtime)) = (self.secrets_of(&handle.run), runtime) {
            runtime.remember_secrets(&handle.run, &secrets);
        }
    }

    /// None where they are not known: which is not the same as that there are none.
    fn secrets_of(&self, run: &RunId) -> Option<Vec<SecretText>> {
        match self.resolver(|resolver| resolver.spec(run)) {
            Ok(Ok(spec)) => Some(spec.secrets),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn started_at(&self, instance: &InstanceId, number: u64) -> Option<u64> {
        let rows = self.shared.store.runs(&self.id, instance, LAST).ok()?;
        rows.into_iter().find(|row| row.number == number).map(|row| row.started_at.unsigned_abs())
    }
}
