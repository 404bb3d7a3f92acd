//! What workers noted about themselves: a file per name, a line per event.

use crate::proc::Process;
use std::path::Path;

/// One event of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// `start`, `term`, `done`, `overlap`, ...
    pub event: String,
    /// Who.
    pub process: Process,
    /// Nanoseconds of the monotonic clock.
    pub at_ns: u64,
}

/// The events of the worker `name`, in order.
#[must_use]
pub fn read(folder: &Path, name: &str) -> Vec<Mark> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// The names of all workers that noted something.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| Path::new(name).extension().is_none_or(|extension| extension != "lock"));
    names.sort_unstable();
    names
}

fn parse(line: &str) -> Option<Mark> {
    let mut words = line.split(' ');
    let event = words.next()?.to_owned();
    let process = Process { pid: words.next()?.parse().ok()?, start: words.next()?.parse().ok()? };
    Some(Mark { event, process, at_ns: words.next()?.parse().ok()? })
}
