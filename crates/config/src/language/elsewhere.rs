//! A key that is unknown where it stands, and known in a variant or under another name.

use super::Key;
use super::keys_container::{CONTAINER_KEYS, REMOTE_KEYS};
use super::keys_service::{PROCESS_KEYS, SERVICE_KEYS};

/// Words of compose files for what is said otherwise here.
const TRANSLATED: [(&str, &str); 14] = [
    ("environment", "write `env`"),
    ("depends_on", "write `needs: { db: ready }`"),
    ("mem_limit", "write `limits: { memory: 512MiB }`"),
    ("cpus", "write `limits: { cpus: 1.5 }`"),
    ("pids_limit", "write `limits: { pids: 100 }`"),
    ("deploy", "write `limits` and `replicas`"),
    ("scale", "write `replicas`"),
    ("expose", "leave it out: every port is open to the other services of the stack"),
    ("links", "write `needs`: services find each other by name"),
    ("networks", "leave it out: all services of the stack are in one network"),
    ("stop_signal", "write `stop: { signal: INT }`"),
    ("stop_grace_period", "write `stop: { grace: 30s }`"),
    ("profiles", "write `profiles: { name: [service, ...] }` of the stack"),
    ("logging", "write `logs`"),
];

/// Where a key belongs that stands among the keys `own` of a service or a variant.
pub(super) fn elsewhere(name: &str, own: &[Key]) -> Option<String> {
    let variants = [("process", PROCESS_KEYS), ("container", CONTAINER_KEYS), ("remote", REMOTE_KEYS)];
    let here = |keys: &[Key]| std::ptr::eq(keys, own);
    if !here(SERVICE_KEYS) && !variants.iter().any(|(_, keys)| here(keys)) {
        return None;
    }
    match name {
        "cwd" if here(CONTAINER_KEYS) => return Some("write `working_dir`".to_owned()),
        "working_dir" if here(PROCESS_KEYS) || here(REMOTE_KEYS) => return Some("write `cwd`".to_owned()),
        _ => {}
    }
    match variants.iter().find(|(_, keys)| keys.iter().any(|key| key.name == name)) {
        Some((variant, _)) => Some(format!("`{name}` is a key of `{variant}`")),
        None => TRANSLATED.iter().find(|(word, _)| *word == name).map(|(_, instead)| (*instead).to_owned()),
    }
}
