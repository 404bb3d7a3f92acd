//! What lies in a run's folder beside its log: `container` (what was started) and `exit` (how it ended), by write and
//! rename.

use super::names::Owner;
use crate::contract::{ExitRecord, Handle, Known};
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use jiff::Timestamp;
use muster_spec::{RunId, RuntimeKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// Layout version of [`Opaque`].
const HANDLE_VERSION: u32 = 1;
/// Digits of a container's id that people see.
const SHORT_ID: usize = 12;
const STARTED_FILE: &str = "container";
const ENDED_FILE: &str = "container-exit";
/// 128 and a signal's number is how engines tell of a signal; what is above is a code.
const SIGNALS: std::ops::RangeInclusive<i64> = 129..=159;
const SIGNAL_BASE: i64 = 128;

/// What a handle holds beside its public fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Opaque {
    id: String,
}

/// What was started, and what of its spec is needed to go on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) handle: Handle,
    /// Bytes of log that are kept.
    pub(super) keep: u64,
    /// Its streams are a terminal.
    pub(super) tty: bool,
    /// It has secrets: nothing is copied before they are known again.
    pub(super) secrets: bool,
    /// Its limit on memory, for who asks why it was ended.
    pub(super) memory: Option<u64>,
    /// The identity of its image.
    #[serde(default)]
    pub(super) image: Option<String>,
}

impl Started {
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        read(&folder.join(STARTED_FILE))
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        write(&folder.join(STARTED_FILE), self)
    }
}

/// The recorded end.
pub(super) fn read_exit(folder: &Path) -> io::Result<Option<ExitRecord>> {
    read(&folder.join(ENDED_FILE))
}

pub(super) fn write_exit(folder: &Path, record: &ExitRecord) -> io::Result<()> {
    write(&folder.join(ENDED_FILE), record)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, serde_json::to_vec(value)?)?;
    fs::rename(fresh, path)
}

/// The container's whole id.
pub(super) fn id(handle: &Handle) -> Option<String> {
    serde_json::from_value::<Opaque>(handle.opaque.clone()).ok().map(|opaque| opaque.id)
}

/// The handle of a container as the engine shows it.
pub(super) fn handle(run: &RunId, folder: &Path, found: &ContainerInspectResponse, network: &str) -> Option<Handle> {
    let id = found.id.clone()?;
    let pid = found.state.as_ref().and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
    let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let endpoint = networks.and_then(|networks| networks.get(network));
    Some(Handle {
        runtime: RuntimeKind::Container,
        version: HANDLE_VERSION,
        run: run.clone(),
        identity: id.chars().take(SHORT_ID).collect(),
        // an engine in a machine of its own tells the numbers of that machine
        pid: pid.filter(|pid| super::guard::is_of(*pid, &id)),
        far: None,
        address: endpoint.and_then(|endpoint| endpoint.ip_address.as_ref()?.parse().ok()),
        log_dir: Some(folder.to_owned()),
        opaque: serde_json::json!(Opaque { id }),
    })
}

/// How a container stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// It was made and never started.
    Created,
    /// It runs, paused or not.
    Alive,
    /// Somebody is removing it.
    Removing,
    /// It ended.
    Over(Ending),
}

/// A container's end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub(super) exit: Known,
    /// Nanoseconds of the wall clock; 0 when nobody knows.
    pub(super) at_ns: u64,
    pub(super) note: Option<String>,
}

impl Ending {
    /// It is not there any more, and we did not remove it.
    pub(super) fn removed() -> Self {
        let note = Some("removed by someone else".to_owned());
        Self { exit: Known::Removed, at_ns: muster_shim::realtime_ns(), note }
    }
}

/// How it stands, from the engine's answer.
pub(super) fn standing(found: &ContainerInspectResponse, memory: Option<u64>) -> Standing {
    let Some(state) = &found.state else { return Standing::Created };
    let status = state.status.unwrap_or(ContainerStateStatusEnum::EMPTY);
    match status {
        ContainerStateStatusEnum::CREATED => Standing::Created,
        ContainerStateStatusEnum::REMOVING => Standing::Removing,
        ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD => Standing::Over(ending(state, memory)),
        ContainerStateStatusEnum::RUNNING
        | ContainerStateStatusEnum::PAUSED
        | ContainerStateStatusEnum::RESTARTING
        | ContainerStateStatusEnum::STOPPING => Standing::Alive,
        // Podman says `stopped` of one that ended and is not cleaned up yet, `initialized` of one that never ran
        ContainerStateStatusEnum::EMPTY if state.running == Some(true) => Standing::Alive,
        ContainerStateStatusEnum::EMPTY if nanos(state.finished_at.as_deref()) > 0 => {
            Standing::Over(ending(state, memory))
        }
        ContainerStateStatusEnum::EMPTY => Standing::Created,
    }
}

/// Whether a container ended and Podman has neither cleaned up behind it nor removed it: `stopped`.
pub(super) fn is_unsettled(found: &ContainerInspectResponse) -> bool {
    let Some(state) = &found.state else { return false };
    let stopped = state.status.unwrap_or(ContainerStateStatusEnum::EMPTY) == ContainerStateStatusEnum::EMPTY;
    stopped && state.running != Some(true) && nanos(state.finished_at.as_deref()) > 0
}

fn ending(state: &ContainerState, memory: Option<u64>) -> Ending {
    let code = state.exit_code.unwrap_or(-1);
    let note = (state.oom_killed == Some(true)).then(|| match memory {
        Some(limit) => format!("it ran out of memory: its limit is {} MiB", limit >> 20),
        None => "it ran out of memory".to_owned(),
    });
    Ending { exit: exit(code), at_ns: nanos(state.finished_at.as_deref()), note }
}

/// An engine's exit code in the contract's words.
pub(super) fn exit(code: i64) -> Known {
    if SIGNALS.contains(&code) {
        return i32::try_from(code - SIGNAL_BASE).map_or(Known::Unknown, Known::Signal);
    }
    i32::try_from(code).ok().filter(|code| (0..=255).contains(code)).map_or(Known::Unknown, Known::Code)
}

/// A time of the engine in nanoseconds of the wall clock; 0 for the year 1, which stands for never.
pub(super) fn nanos(text: Option<&str>) -> u64 {
    let parsed = text.and_then(|text| text.parse::<Timestamp>().ok());
    parsed.and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or(0)
}

/// The run that a container belongs to, which must be this one.
pub(super) fn verify(owner: &Owner, run: &RunId, found: &ContainerInspectResponse) -> Result<(), String> {
    let name = found.name.as_deref().unwrap_or_default().trim_start_matches('/');
    match owner.run_of(found) {
        Some(theirs) if theirs == *run => Ok(()),
        Some(theirs) => Err(format!("container `{name}` belongs to run `{theirs}`")),
        None => Err(format!("container `{name}` is not ours")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_signals() {
        let wanted = [(0, Known::Code(0)), (128, Known::Code(128)), (137, Known::Signal(9)), (143, Known::Signal(15))];
        for (code, known) in wanted.into_iter().chain([(255, Known::Code(255)), (-1, Known::Unknown)]) {
            assert_eq!(exit(code), known);
        }
        assert_eq!(nanos(Some("0001-01-01T00:00:00Z")), 0);
        assert_eq!(nanos(Some("1970-01-01T00:00:01.5Z")), 1_500_000_000);
    }

    #[test]
    fn what_is_written_is_read() {
        let home = tempfile::TempDir::new().unwrap();
        assert_eq!(read_exit(home.path()).unwrap(), None);
        let record = ExitRecord { exit: Known::Removed, at_ns: 1, log_bytes: 2, note: Some("why".into()) };
        write_exit(home.path(), &record).unwrap();
        assert_eq!(read_exit(home.path()).unwrap(), Some(record));
    }
}
