//! Processes as /proc shows them: the observer's eyes.

use std::fs;
use std::path::Path;

/// A process: its id alone may be another one's tomorrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (proc(5), field 22).
    pub start: u64,
}

/// What `/proc/PID/stat` says, as far as it matters here.
struct Stat {
    state: char,
    parent: i32,
    start: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name may hold spaces and brackets
    let rest = &text[text.rfind(')')? + 2..];
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The states of all threads of a process.
fn threads(pid: i32) -> Vec<char> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let state = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("stat")).ok()?;
        text[text.rfind(')')? + 2..].chars().next()
    };
    entries.filter_map(|entry| state(entry.ok()?.path())).collect()
}

impl Process {
    /// The process that has this id now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, start: stat.start })
    }

    /// Whether it runs: a zombie does not, unless one of its threads is on its way out still and holds what it had open.
    #[must_use]
    pub fn alive(self) -> bool {
        let ended = |state: char| matches!(state, 'Z' | 'X');
        match stat(self.pid).filter(|stat| stat.start == self.start) {
            None => false,
            Some(stat) if !ended(stat.state) => true,
            Some(_) => threads(self.pid).into_iter().any(|state| !ended(state)),
        }
    }

    /// Its parent.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let stat = stat(self.pid).filter(|stat| stat.start == self.start)?;
        Self::of(stat.parent)
    }

    /// Its command line, arguments separated by spaces.
    #[must_use]
    pub fn command_line(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
    }

    /// Sends a signal, when it still is that process.
    pub fn signal(self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid).filter(|_| self.alive());
        if let Some(pid) = pid {
            // one that ended in between has got what it was to get
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.signal(rustix::process::Signal::KILL);
    }
}

/// Every process that runs now.
#[must_use]
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(Process::of).filter(|process| process.alive()).collect()
}

/// Every process that runs now and has `root` in its environment, its command line or as its folder.
#[must_use]
pub fn marked(root: &Path) -> Vec<Process> {
    let needle = root.as_os_str().as_encoded_bytes();
    let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let marked = |process: &Process| {
        let folder = format!("/proc/{}", process.pid);
        let read = |name: &str| fs::read(format!("{folder}/{name}")).unwrap_or_default();
        let within = fs::read_link(format!("{folder}/cwd")).is_ok_and(|cwd| cwd.starts_with(root));
        within || has(&read("cmdline")) || has(&read("environ"))
    };
    let own = rustix::process::getpid().as_raw_nonzero().get();
    all().into_iter().filter(|process| process.pid != own && marked(process)).collect()
}

/// Unix sockets below `root` on which somebody listens.
#[must_use]
pub fn listening_below(root: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let root = root.display().to_string();
    text.lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter(|path| path.starts_with(&root))
        .map(str::to_owned)
        .collect()
}
