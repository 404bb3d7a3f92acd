//! A program that goes on after whoever started it: found again by pid and start time, ended by TERM and then KILL.

use crate::{Result, Trouble};
use rustix::process::{Pid, Signal};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long TERM may take before KILL follows.
const GRACE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A program in the background; `NAME.log` and `NAME.pid` lie in its folder.
#[derive(Debug, Clone)]
pub struct Background {
    folder: PathBuf,
    name: &'static str,
}

impl Background {
    /// The one of that name in a folder, whether it runs or not.
    #[must_use]
    pub fn of(folder: &Path, name: &'static str) -> Self {
        Self { folder: folder.to_owned(), name }
    }

    /// Starts it in a process group of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, command: &mut Command) -> Result<()> {
        let program = command.get_program().to_string_lossy().into_owned();
        let log = fs::File::create(self.log()).map_err(Trouble::at(self.log().display()))?;
        let errors = log.try_clone().map_err(Trouble::at(self.log().display()))?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0).spawn();
        let mut child = child.map_err(Trouble::at(format_args!("starting `{program}`")))?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let record = format!("{pid} {}\n", start_time(pid).unwrap_or_default());
        fs::write(self.record(), record).map_err(Trouble::at(self.record().display()))?;
        // whoever starts it may live on: its end is to be taken notice of
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// Its pid, when it runs.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.record()).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        let pid: i32 = pid.parse().ok()?;
        (start_time(pid)? == start).then(|| Pid::from_raw(pid)).flatten()
    }

    /// Ends it, when it runs, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go.
    pub fn stop(&self) -> Result<()> {
        for signal in [Signal::TERM, Signal::KILL] {
            let Some(pid) = self.pid() else { return Ok(()) };
            // one that ended in between is what we want
            let _ = rustix::process::kill_process(pid, signal);
            let begun = Instant::now();
            while self.pid().is_some() && begun.elapsed() < GRACE {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        match self.pid() {
            None => Ok(()),
            Some(pid) => Err(Trouble::new(format!("`{}` (pid {pid}) does not end", self.name))),
        }
    }

    /// Waits until it is ready; when it ends before, or takes too long, its last words are the reason.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub fn wait_ready(&self, within: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !ready() {
            let ended = self.pid().is_none();
            if ended || begun.elapsed() > within {
                let what = if ended { "ended".to_owned() } else { format!("is not ready after {within:?}") };
                return Err(Trouble::new(format!("`{}` {what}: {}", self.name, self.last_words())));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Where it writes.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn record(&self) -> PathBuf {
        self.folder.join(format!("{}.pid", self.name))
    }

    fn last_words(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join(" | ")
    }
}

/// When a process started, in ticks since the machine did; none for a zombie.
fn start_time(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name may hold spaces and brackets
    let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    (!matches!(*fields.first()?, "Z" | "X")).then(|| fields.get(19).map(|start| (*start).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_by_another_and_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Background::of(folder.path(), "sleep");
        assert!(one.pid().is_none());
        one.start(Command::new("sleep").arg("1000")).expect("it starts");
        let other = Background::of(folder.path(), "sleep");
        assert!(other.pid().is_some());
        other.stop().expect("it ends");
        assert!(one.pid().is_none());
    }

    #[test]
    fn last_words_are_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Background::of(folder.path(), "sh");
        one.start(Command::new("sh").args(["-c", "echo no bridge; exit 1"])).expect("it starts");
        let error = one.wait_ready(Duration::from_secs(20), || false).expect_err("never ready");
        assert_eq!(error.to_string(), "`sh` ended: no bridge");
    }
}
