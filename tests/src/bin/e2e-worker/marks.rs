//! Notes for the tests: one line per event, appended in one write.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where this process notes events.
#[derive(Debug)]
pub(crate) struct Marks {
    file: Option<File>,
    start: u64,
    /// The folder of all notes.
    pub(crate) folder: PathBuf,
    /// Our name.
    pub(crate) name: String,
    /// Held for as long as this process lives.
    _lock: Option<File>,
}

impl Marks {
    /// Opens the notes, and looks whether another of our name is alive.
    pub(crate) fn open(folder: &str, name: &str) -> Self {
        let folder = PathBuf::from(folder);
        let file = OpenOptions::new().create(true).append(true).open(folder.join(name)).ok();
        let lock = OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.lock"))).ok();
        let alone = lock.as_ref().is_none_or(|lock| lock.try_lock().is_ok());
        let marks = Self { file, start: own_start(), folder, name: name.to_owned(), _lock: lock };
        if !alone {
            marks.note("overlap");
        }
        marks
    }

    /// Notes an event with who and when.
    pub(crate) fn note(&self, event: &str) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let at = now.tv_sec * 1_000_000_000 + now.tv_nsec;
        let line = format!("{event} {} {} {at}\n", std::process::id(), self.start);
        if let Some(mut file) = self.file.as_ref() {
            // who cannot note goes on all the same: a full disk is one of the tests
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Start time of this process (proc(5) stat, field 22).
fn own_start() -> u64 {
    let text = std::fs::read_to_string(Path::new("/proc/self/stat")).unwrap_or_default();
    let rest = text.rfind(')').map_or("", |at| &text[at + 2..]);
    rest.split(' ').nth(19).and_then(|field| field.parse().ok()).unwrap_or(0)
}
