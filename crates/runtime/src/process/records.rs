//! The shim's records in the contract's words.

use crate::contract::{ExitRecord, Handle, Known};
use muster_shim::{ExitCause, Meta};
use muster_spec::{RunId, RuntimeKind};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Layout version of [`Opaque`].
pub(super) const HANDLE_VERSION: u32 = 1;

/// What a handle holds beside its public fields: enough to know a process again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Opaque {
    start_time: u64,
    boot_id: String,
}

/// The same handle from the start's answer and from the record.
pub(super) fn handle(run: &RunId, folder: &Path, pid: u32, start_time: u64, boot_id: &str) -> Handle {
    Handle {
        runtime: RuntimeKind::Process,
        version: HANDLE_VERSION,
        run: run.clone(),
        identity: format!("pid {pid}"),
        pid: Some(pid),
        far: None,
        address: None,
        log_dir: Some(folder.to_owned()),
        opaque: serde_json::json!(Opaque { start_time, boot_id: boot_id.to_owned() }),
    }
}

pub(super) fn handle_of(run: &RunId, folder: &Path, meta: &Meta) -> Handle {
    handle(run, folder, meta.main_pid, meta.main_start, &meta.boot_id)
}

pub(super) fn known(cause: ExitCause) -> Known {
    match cause {
        ExitCause::Code(code) => Known::Code(code),
        ExitCause::Signal { signal, .. } => Known::Signal(signal),
        ExitCause::SupervisorKilled => Known::SupervisorKilled,
        ExitCause::Unknown => Known::Unknown,
    }
}

pub(super) fn exit_record(record: &muster_shim::ExitRecord) -> ExitRecord {
    ExitRecord { exit: known(record.cause), at_ns: record.exited_ns, log_bytes: record.log_end, note: None }
}
