//! What a run's tree is and uses, from /proc.

use crate::contract::{Inspect, Usage};
use crate::sys;
use muster_shim::Meta;

/// Walks the tree below the supervisor; the main process comes first.
pub(super) fn inspect(meta: &Meta, status_text: Option<String>) -> Inspect {
    let mut pids = sys::descendants(meta.shim_pid);
    if let Some(at) = pids.iter().position(|pid| *pid == meta.main_pid) {
        pids.swap(0, at);
    }
    let mut usage = Usage::default();
    for used in pids.iter().filter_map(|pid| sys::process_use(*pid)) {
        let sys::ProcessUse { cpu_ns, memory_bytes } = used;
        usage.cpu_ns += cpu_ns;
        usage.memory_bytes += memory_bytes;
        usage.processes += 1;
    }
    let traced_by = pids.iter().find_map(|pid| sys::tracer(*pid));
    Inspect {
        started_at_ns: meta.started_ns,
        hash: meta.spec_hash.clone(),
        usage: Some(usage),
        traced_by,
        status_text,
        image: None,
        pids,
    }
}
