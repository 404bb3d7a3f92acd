//! Trees of processes: find everything below one, and end it.

use super::process::{Stat, signal_process, stat};
use crate::marks::Marks;
use crate::record::Meta;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Between two passes of a kill: long enough for a killed process to be gone, short against what a user notices.
const BETWEEN_PASSES: Duration = Duration::from_millis(1);

/// One descendant as it was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descendant {
    /// Its process id.
    pub(crate) pid: u32,
    /// Its state when it was found.
    pub(crate) stat: Stat,
}

impl Descendant {
    /// Sends a signal unless the id meanwhile belongs to another process.
    pub(crate) fn signal(&self, signal: i32) -> bool {
        signal_process(self.pid, signal, |now| now.start == self.stat.start)
    }
}

/// Everything alive below `root`, without it and without zombies.
pub(crate) fn descendants(root: u32) -> Vec<Descendant> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for pid in children(parent) {
            let Some(stat) = stat(pid) else { continue };
            // a zombie's threads may still have children
            parents.push(pid);
            if !matches!(stat.state, b'Z' | b'X') {
                found.push(Descendant { pid, stat });
            }
        }
    }
    found
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let mut pids = Vec::new();
    for thread in threads.flatten() {
        let Ok(text) = fs::read_to_string(thread.path().join("children")) else { continue };
        pids.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    pids
}

/// Kills everything below `root` (not `root`) until nothing is left or `patience` is over; tells whether nothing is
/// left. Works for descendants that fork meanwhile as long as they stay below `root`: make `root` a subreaper.
pub fn kill_tree(root: u32, patience: Duration) -> bool {
    repeat(patience, || descendants(root))
}

/// Kills every process that carries the marks of the run of this id in this folder; tells whether none is left.
pub fn kill_marked(run: &str, folder: &Path, patience: Duration) -> bool {
    let marks = Marks { run, folder };
    repeat(patience, || every_process(|pid, _| is_marked(pid, marks)))
}

/// Ends what a killed shim left behind, of which only its record is left: everything in the recorded session, in the
/// cgroup, and everything that carries the run's marks. Tells whether nothing of it is left. Does nothing in another
/// boot.
pub fn end_leftovers(meta: &Meta, folder: &Path, patience: Duration) -> bool {
    if super::boot_id().is_ok_and(|boot| boot != meta.boot_id) {
        return true;
    }
    if !meta.cgroup.is_empty() {
        // the loop below ends what a kernel without cgroup.kill leaves
        let _ = fs::write(Path::new(&meta.cgroup).join("cgroup.kill"), "1");
    }
    let marks = Marks { run: &meta.run, folder };
    repeat(patience, || {
        every_process(|pid, stat| {
            // processes older than the shim cannot be its own: the session's number was used again
            (stat.session == meta.session && stat.start >= meta.shim_start) || is_marked(pid, marks)
        })
    })
}

fn repeat(patience: Duration, find: impl Fn() -> Vec<Descendant>) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let found = find();
        if found.is_empty() {
            return true;
        }
        for process in &found {
            process.signal(libc::SIGKILL);
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(BETWEEN_PASSES);
    }
}

fn is_marked(pid: u32, marks: Marks<'_>) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| marks.stand_in(&environ))
}

fn every_process(wanted: impl Fn(u32, &Stat) -> bool) -> Vec<Descendant> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let me = std::process::id();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != me)
        .filter_map(|pid| Some(Descendant { pid, stat: stat(pid)? }))
        .filter(|found| !matches!(found.stat.state, b'Z' | b'X') && wanted(found.pid, &found.stat))
        .collect()
}
