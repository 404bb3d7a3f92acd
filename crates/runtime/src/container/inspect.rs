//! What is known of a container that runs.

use super::api::inspect as show;
use super::engine::Client;
use super::names;
use super::records::{Standing, nanos, standing};
use super::trouble::Trouble;
use crate::contract::{Inspect, Usage};
use crate::sys;
use bollard::models::{ContainerInspectResponse, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::{StatsOptions, TopOptions};
use futures::StreamExt as _;

/// Page cache that the kernel takes back at once is not use, as docker-stats(1) counts it: cgroup v1 and v2 names.
const RECLAIMABLE: [&str; 2] = ["total_inactive_file", "inactive_file"];

/// None where it does not run.
pub(super) async fn inspect(client: &Client, id: &str, pid: Option<u32>) -> Result<Option<Inspect>, Trouble> {
    let found = show(client, id).await?;
    if standing(&found, None) != Standing::Alive {
        return Ok(None);
    }
    let stats = client.docker.stats(id, Some(StatsOptions { stream: false, one_shot: true })).next().await;
    let stats = stats.transpose()?;
    let pids = pids(client, id, pid).await?;
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    Ok(Some(Inspect {
        started_at_ns: nanos(found.state.as_ref().and_then(|state| state.started_at.as_deref())),
        hash: labels.and_then(|labels| labels.get(names::HASH).cloned()).unwrap_or_default(),
        usage: stats.as_ref().map(|stats| usage(stats, pids.len())),
        traced_by: pid.and_then(sys::tracer),
        status_text: None,
        image: image(&found),
        pids,
    }))
}

fn image(found: &ContainerInspectResponse) -> Option<String> {
    found.config.as_ref().and_then(|config| config.image.clone())
}

/// Of this machine where they can be seen, else as the engine tells them.
async fn pids(client: &Client, id: &str, main: Option<u32>) -> Result<Vec<u32>, Trouble> {
    if let Some(main) = main {
        let mut pids = vec![main];
        pids.extend(sys::descendants(main).into_iter().filter(|pid| *pid != main));
        return Ok(pids);
    }
    let top = client.docker.top_processes(id, None::<TopOptions>).await?;
    let column = top.titles.unwrap_or_default().iter().position(|title| title == "PID").unwrap_or(1);
    let rows = top.processes.unwrap_or_default();
    Ok(rows.iter().filter_map(|row| row.get(column)?.parse().ok()).collect())
}

fn usage(stats: &ContainerStatsResponse, processes: usize) -> Usage {
    let cpu_ns = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage).unwrap_or(0);
    let counted = stats.pids_stats.as_ref().and_then(|pids| pids.current).filter(|count| *count > 0);
    let processes = counted.and_then(|count| u32::try_from(count).ok()).or_else(|| u32::try_from(processes).ok());
    Usage { cpu_ns, memory_bytes: stats.memory_stats.as_ref().map_or(0, memory), processes: processes.unwrap_or(0) }
}

fn memory(stats: &ContainerMemoryStats) -> u64 {
    let reclaimable = stats.stats.as_ref().and_then(|all| RECLAIMABLE.iter().find_map(|name| all.get(*name)));
    stats.usage.unwrap_or(0).saturating_sub(reclaimable.copied().unwrap_or(0))
}
