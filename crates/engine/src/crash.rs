//! Named points at which a development build of the daemon kills itself, for the tests of what a crash may not do.
//!
//! `MUSTER_CRASH_AT=journal.after:3` kills it with SIGKILL when it comes to that point for the third time. Release builds
//! have no such points.

/// Every point, in the order of a run's life.
pub const CRASH_POINTS: [&str; 8] = [
    "journal.before",
    "journal.after",
    "spawn.before",
    "spawn.after",
    "handle.before",
    "handle.after",
    "exit.before",
    "exit.after",
];

/// Dies here, when that was asked for.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static ASKED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let text = std::env::var("MUSTER_CRASH_AT").ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(count.parse().ok()?)))
    });
    if let Some((wanted, left)) = asked
        && wanted == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // It does not return: the signal cannot be caught.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Release builds do not die on demand.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
