//! Health checks that nobody runs: Podman leaves them to timers of systemd, and where there is no systemd a container
//! stays `starting` for ever. There they are run from here, as often as the container says.

use super::engine::Client;
use super::run::{Phase, Run};
use super::trouble::Trouble;
use bollard::models::ContainerInspectResponse;
use muster_spec::EngineHealth;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// As the engine does it where nothing else is said (podman-run(1), `--health-interval`).
const INTERVAL: Duration = Duration::from_secs(30);
/// While it is not healthy yet, it is asked at least this often: readiness waits for it.
const WHILE_STARTING: Duration = Duration::from_secs(1);
/// Systemd is there (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// Runs a container's health check, where it has one and nobody else does.
pub(super) fn begin(client: &Arc<Client>, run: &Arc<Run>, id: &str, found: &ContainerInspectResponse) {
    if !client.is_podman || Path::new(SYSTEMD).exists() {
        return;
    }
    let check = found.config.as_ref().and_then(|config| config.healthcheck.as_ref());
    let has_one = check
        .and_then(|check| check.test.as_ref())
        .is_some_and(|test| test.first().is_some_and(|word| word != "NONE") && !test.is_empty());
    if !has_one {
        return;
    }
    let interval = check.and_then(|check| u64::try_from(check.interval?).ok()).filter(|nanos| *nanos > 0);
    let interval = interval.map_or(INTERVAL, Duration::from_nanos);
    tokio::spawn(ask(Arc::clone(client), Arc::clone(run), id.to_owned(), interval));
}

async fn ask(client: Arc<Client>, run: Arc<Run>, id: String, interval: Duration) {
    let mut progress = run.progress.subscribe();
    loop {
        let healthy = match once(&client, &id).await {
            Ok(Some(health)) => {
                run.set_health(health);
                health == EngineHealth::Healthy
            }
            Ok(None) => false,
            Err(trouble) => {
                tracing::debug!(run = %run.id, %trouble, "a health check could not be run");
                false
            }
        };
        let wait = if healthy { interval } else { interval.min(WHILE_STARTING) };
        let over = progress.wait_for(|now| !matches!(now.phase, Phase::Running(_)));
        if timeout(wait, over).await.is_ok() {
            return;
        }
    }
}

/// One check; nothing while its outcome does not count yet.
async fn once(client: &Client, id: &str) -> Result<Option<EngineHealth>, Trouble> {
    let mut body = client.raw.get_own(&format!("/v4.0.0/libpod/containers/{id}/healthcheck")).await?;
    let mut text = Vec::new();
    while let Some(bytes) = body.next().await? {
        text.extend_from_slice(&bytes);
    }
    let json: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let status = json.as_ref().and_then(|json| json.get("Status")).and_then(|status| status.as_str());
    Ok(match status {
        Some("healthy") => Some(EngineHealth::Healthy),
        Some("unhealthy") => Some(EngineHealth::Unhealthy),
        Some(_) | None => None,
    })
}
