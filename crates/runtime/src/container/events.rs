//! The engine's event stream: one for all runs, opened with the first, opened again when it breaks.
//!
//! ```text
//!  connect ──► look at every run (what was missed) ──► die, destroy, health_status ... ──► broke
//!     ▲                                                                                      │
//!     └──────────── later and later, every run is `lost` while nobody answers ◄──────────────┘
//! ```

use super::api;
use super::driver::Driver;
use super::engine::Client;
use super::raw::Body;
use super::records::{self, Ending, Standing, standing};
use super::run::{Phase, Run};
use super::trouble::Trouble;
use bollard::models::{ContainerInspectResponse, EventMessage, HealthStatusEnum};
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use muster_spec::EngineHealth;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// `{"type":["container"]}`
const PATH: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D";
/// An engine that is away is looked for after this, and later and later.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_LATEST: Duration = Duration::from_secs(2);
/// A start waits for the stream for as long as this: without it nothing would be told.
const READY: Duration = Duration::from_secs(30);
/// Podman cleans up behind a container within this time.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_LOOK: Duration = Duration::from_millis(10);
/// Runs that are looked at at the same time after a gap.
const LOOK_AT_ONCE: usize = 8;

/// The stream as others see it.
#[derive(Debug)]
pub(super) struct Events {
    /// Whether the stream is open, and what was wrong last.
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Idle,
    Connecting,
    Open,
    Broken(String),
}

impl Events {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::new(State::Idle) }
    }

    /// Opens the stream where that was not done, and waits until it is open.
    pub(super) async fn ready(&self, driver: &Arc<Driver>) -> Result<(), Trouble> {
        self.begin(driver);
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| matches!(state, State::Open | State::Broken(_)));
        match timeout(READY, settled).await.map(|state| state.map(|state| state.clone())) {
            Ok(Ok(State::Open)) => Ok(()),
            Ok(Ok(State::Broken(reason))) => Err(Trouble::Unreachable(reason)),
            Ok(Ok(State::Idle | State::Connecting) | Err(_)) | Err(_) => {
                Err(Trouble::Unreachable("the engine's event stream does not open".to_owned()))
            }
        }
    }

    /// Opens the stream where that was not done.
    pub(super) fn begin(&self, driver: &Arc<Driver>) {
        let first = self.state.send_if_modified(|state| {
            let idle = *state == State::Idle;
            if idle {
                *state = State::Connecting;
            }
            idle
        });
        if first {
            tokio::spawn(listen(Arc::downgrade(driver)));
        }
    }
}

/// Listens until the driver is gone.
async fn listen(driver: Weak<Driver>) {
    let (mut wait, mut since) = (RETRY, None);
    loop {
        let Some(alive) = driver.upgrade() else { return };
        match open(&alive).await {
            Ok((client, body)) => {
                (wait, since) = (RETRY, None);
                let looked = alive.clone();
                alive.events.state.send_replace(State::Open);
                // the stream is open: what happens from here on is told, what happened before is looked up
                tokio::spawn(async move { look_at_all(&looked, &client).await });
                drop(alive);
                read(&driver, body).await;
                let Some(alive) = driver.upgrade() else { return };
                alive.events.state.send_replace(State::Connecting);
            }
            Err(trouble) => {
                let since = since.get_or_insert_with(now);
                let reason = format!("engine unreachable since {since}: {trouble}");
                for run in alive.alive() {
                    run.set_lost(Some(&reason));
                }
                alive.events.state.send_replace(State::Broken(trouble.to_string()));
                drop(alive);
                sleep(wait).await;
                wait = RETRY_LATEST.min(wait * 2);
            }
        }
    }
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

async fn open(driver: &Driver) -> Result<(Arc<Client>, Body), Trouble> {
    let client = driver.engine.client().await?;
    let body = client.raw.get(PATH).await?;
    Ok((client, body))
}

/// Reads the stream to its end.
async fn read(driver: &Weak<Driver>, mut body: Body) {
    let mut line = Vec::new();
    while let Ok(Some(bytes)) = body.next().await {
        for byte in bytes {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let Some(driver) = driver.upgrade() else { return };
            match serde_json::from_slice(&line) {
                Ok(event) => take(&driver, &event),
                Err(error) => tracing::debug!(%error, "an event of the engine is not understood"),
            }
            line.clear();
        }
    }
}

fn take(driver: &Arc<Driver>, event: &EventMessage) {
    let Some(actor) = &event.actor else { return };
    let Some(run) = actor.id.as_deref().and_then(|id| driver.of_container(id)) else { return };
    let action = event.action.as_deref().unwrap_or_default();
    let attribute = |name: &str| actor.attributes.as_ref().and_then(|all| all.get(name)).map(String::as_str);
    match action.split_once(": ").map_or((action, None), |(action, rest)| (action, Some(rest))) {
        // Podman's own word beside docker's
        ("die" | "died", _) => {
            let driver = Arc::clone(driver);
            tokio::spawn(async move { died(&driver, &run).await });
        }
        ("destroy" | "remove", _) => run.end(Ending::removed()),
        ("health_status", status) => match status.or_else(|| attribute("health_status")) {
            Some("healthy") => run.set_health(EngineHealth::Healthy),
            Some("unhealthy") => run.set_health(EngineHealth::Unhealthy),
            Some(_) | None => {}
        },
        _other => {}
    }
}

/// A container ended: the engine knows how, unless somebody is removing it.
async fn died(driver: &Driver, run: &Run) {
    let Ok(client) = driver.engine.client().await else { return };
    if client.is_podman {
        settled(&client, run).await;
    }
    if let Err(trouble) = look(&client, driver, run).await {
        // the stream breaks with the engine, and all is looked at when it is back
        tracing::debug!(run = %run.id, %trouble, "a container that ended could not be looked at");
    }
}

/// Waits until Podman has cleaned up behind a container, or removed it: only then it can be told which of the two.
async fn settled(client: &Client, run: &Run) {
    let Some(id) = run.container() else { return };
    let gone = async {
        while api::inspect(client, &id).await.is_ok_and(|found| records::is_unsettled(&found)) {
            sleep(SETTLE_LOOK).await;
        }
    };
    // where nobody cleans up, it is as it is
    let _ = timeout(SETTLE, gone).await;
}

async fn look_at_all(driver: &Arc<Driver>, client: &Client) {
    let looks = driver.alive().into_iter().map(|run| async move {
        match look(client, driver, &run).await {
            Ok(()) => run.set_lost(None),
            Err(trouble) => tracing::debug!(run = %run.id, %trouble, "a container could not be looked at"),
        }
    });
    stream::iter(looks).buffer_unordered(LOOK_AT_ONCE).for_each(|()| std::future::ready(())).await;
}

/// Finds out how a run that should be alive stands.
pub(super) async fn look(client: &Client, driver: &Driver, run: &Run) -> Result<(), Trouble> {
    let (Phase::Running(_), Some(id)) = (run.phase(), run.container()) else { return Ok(()) };
    match api::inspect(client, &id).await {
        Ok(found) => seen(driver, run, &found),
        Err(trouble) if trouble.is_missing() => run.end(Ending::removed()),
        Err(trouble) => return Err(trouble),
    }
    Ok(())
}

/// Takes in what the engine shows of a run.
pub(super) fn seen(driver: &Driver, run: &Run, found: &ContainerInspectResponse) {
    if records::verify(&driver.owner, &run.id, found).is_err() {
        return;
    }
    match standing(found, run.started.get().and_then(|started| started.memory)) {
        Standing::Over(ending) => run.end(ending),
        Standing::Removing => run.end(Ending::removed()),
        Standing::Alive | Standing::Created => {
            let health = found.state.as_ref().and_then(|state| state.health.as_ref()?.status);
            match health.unwrap_or(HealthStatusEnum::NONE) {
                HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => run.set_health(EngineHealth::Unchecked),
                HealthStatusEnum::HEALTHY => run.set_health(EngineHealth::Healthy),
                HealthStatusEnum::UNHEALTHY => run.set_health(EngineHealth::Unhealthy),
                HealthStatusEnum::STARTING => {}
            }
        }
    }
}
