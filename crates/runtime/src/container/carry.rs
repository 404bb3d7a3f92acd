//! A run's tasks from its start to its end: its log is copied, its supervisor watched, its end recorded and told.

use super::copier::Copier;
use super::driver::Driver;
use super::engine::Client;
use super::events;
use super::guard::{self, Supervision};
use super::health;
use super::records::{self, Ending, Started};
use super::run::{Phase, Run};
use crate::contract::{ExitRecord, Known};
use bollard::models::ContainerInspectResponse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Follows a container that runs, as the engine shows it.
pub(super) fn begin(
    driver: &Arc<Driver>,
    client: &Arc<Client>,
    run: &Arc<Run>,
    started: Started,
    found: &ContainerInspectResponse,
) {
    let Some(id) = records::id(&started.handle) else { return };
    let (handle, pid) = (started.handle.clone(), started.handle.pid);
    // nobody else sets it: a run begins once
    let _ = run.started.set(started);
    run.set_phase(Phase::Running(handle));
    // from here on the end is told: what happened between the start and now is what the engine shows
    events::seen(driver, run, found);
    health::begin(client, run, &id, found);
    if let Some(pid) = pid {
        supervise(client, run, &id, pid);
    }
    tokio::spawn(follow(Arc::clone(driver), Arc::clone(client), Arc::clone(run), id));
}

fn supervise(client: &Arc<Client>, run: &Arc<Run>, id: &str, pid: u32) {
    let (client, run, id) = (Arc::clone(client), Arc::clone(run), id.to_owned());
    match guard::look(pid, &id, client.is_podman) {
        Supervision::Guarded(guard) => {
            // nobody else sets it: a run is supervised once
            let _ = run.guard.set(Arc::clone(&guard));
            tokio::spawn(async move { guard.watch(client, run, id).await });
        }
        Supervision::Orphaned(main) => {
            tokio::spawn(async move { guard::end(&main, &client, &run, &id).await });
        }
        Supervision::Unseen => {}
    }
}

/// Copies the log until the end, then tells that.
async fn follow(driver: Arc<Driver>, client: Arc<Client>, run: Arc<Run>, id: String) {
    let Some(started) = run.started.get() else { return };
    let mut ending = run.ending.subscribe();
    let copied = async {
        match Copier::open(client, Arc::clone(&run), id, started).await {
            Ok(copier) => copier.run().await,
            Err(error) => {
                tracing::error!(run = %run.id, %error, "a log cannot be copied");
                0
            }
        }
    };
    let log_bytes = copied.await;
    // the sender lives as long as the run does, which we hold
    let ended = ending.wait_for(Option::is_some).await.map(|ending| ending.clone()).ok().flatten();
    if let Some(ended) = ended {
        record(&driver, &run, ended, log_bytes);
    }
}

/// Follows a container of a daemon before us once its engine answers.
pub(super) fn wait_for_engine(driver: &Arc<Driver>, run: &Arc<Run>, started: Started) {
    let Some(id) = records::id(&started.handle) else { return };
    let handle = started.handle.clone();
    let _ = run.started.set(started);
    run.set_phase(Phase::Running(handle));
    let (driver, run) = (Arc::clone(driver), Arc::clone(run));
    tokio::spawn(async move {
        // the event stream says that the engine is back, and looks at every run before it does
        let mut progress = run.progress.subscribe();
        let mut ending = run.ending.subscribe();
        tokio::select! {
            back = progress.wait_for(|now| now.lost.is_none()) => { back.ok(); }
            over = ending.wait_for(Option::is_some) => { over.ok(); }
        }
        let Ok(client) = driver.engine.client().await else { return };
        if let (Some(pid), None) = (run.started.get().and_then(|started| started.handle.pid), &*ending.borrow()) {
            supervise(&client, &run, &id, pid);
        }
        follow(driver, client, run, id).await;
    });
}

/// Completes the log of a container that ended while nobody looked, and records its end.
pub(super) async fn conclude(driver: &Arc<Driver>, run: &Arc<Run>, started: Started, ending: Ending) {
    let id = records::id(&started.handle);
    // what must not stand in the log was not told: then the rest of it stays at the engine
    let complete = !started.secrets || run.secrets.borrow().is_some();
    run.end(ending.clone());
    let mut log_bytes = muster_logs::Reader::new(&run.folder).end().unwrap_or(0);
    if let (true, Some(id), Ok(client)) = (complete, id, driver.engine.client().await)
        && let Ok(copier) = Copier::open(client, Arc::clone(run), id, &started).await
    {
        log_bytes = copier.run().await;
    }
    let _ = run.started.set(started);
    record(driver, run, ending, log_bytes);
}

fn record(driver: &Driver, run: &Run, ending: Ending, log_bytes: u64) {
    // an engine may tell an exit before the guard gets to tell why
    let bereft = run.guard.get().is_some_and(|guard| guard.is_bereft());
    let killed = bereft || run.supervisor_killed.load(Ordering::SeqCst);
    let exit = if killed { Known::SupervisorKilled } else { ending.exit };
    let record = ExitRecord { exit, at_ns: ending.at_ns, log_bytes, note: ending.note };
    if let Err(error) = records::write_exit(&run.folder, &record) {
        tracing::error!(run = %run.id, %error, "the end of a run could not be recorded");
    }
    run.progress.send_modify(|now| {
        now.log_end = log_bytes.max(now.log_end);
        now.lost = None;
        now.phase = Phase::Ended(record);
    });
    // watchers hold what they need; who comes later reads the record
    driver.forget(&run.id);
}
