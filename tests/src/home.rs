//! A hermetic home: folders of its own, and an end at which nothing may be left.

use crate::binaries::{Binaries, binaries};
use crate::marks::{self, Mark};
use crate::output::Output;
use crate::proc::{self, Process};
use crate::wait::{PATIENCE, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long what was told to end may take before the test counts it as left behind.
const LAST_LOOK: Duration = Duration::from_secs(15);

/// A home with one project in it.
#[derive(Debug)]
pub struct Home {
    root: TempDir,
    variables: Vec<(String, String)>,
    commands: AtomicUsize,
    program: Option<PathBuf>,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An empty one.
    ///
    /// # Panics
    /// When its folders cannot be made.
    #[must_use]
    pub fn new() -> Self {
        // short: sockets lie below it
        let root = tempfile::Builder::new().prefix("me-").tempdir_in(muster_testkit::base()).expect("a folder");
        let home = Self { root, variables: Vec::new(), commands: AtomicUsize::new(0), program: None };
        for name in ["h", "x", "m", "p", "u", "o"] {
            fs::DirBuilder::new().mode(0o700).create(home.root().join(name)).expect("a folder");
        }
        home
    }

    /// Sets a variable of every command, and of the daemon that the first one starts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs another `muster` from now on, which finds by itself what belongs to it.
    pub fn runs(&mut self, muster: &Path) {
        self.program = Some(muster.to_owned());
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// `MUSTER_HOME`.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root().join("h")
    }

    /// The folder of the stack file.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.root().join("p")
    }

    /// Where workers note events.
    #[must_use]
    pub fn marks_dir(&self) -> PathBuf {
        self.root().join("m")
    }

    /// The programs under test.
    #[must_use]
    pub fn binaries(&self) -> &'static Binaries {
        binaries()
    }

    /// Writes the stack file; `WORKER` in it becomes the helper program and its folder of marks, `PORT` a free port.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn stack(&self, text: &str) {
        self.write("muster.yaml", text);
    }

    /// Writes a file of the project, with the same replacement.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.project().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(
            path,
            text.replace("WORKER", &self.worker_line()).replace("http: PORT", &format!("http: {}", crate::free_port())),
        )
        .expect("a file");
    }

    /// The beginning of a worker's command line.
    #[must_use]
    pub fn worker_line(&self) -> String {
        format!("{} {}", binaries().worker.display(), self.marks_dir().display())
    }

    /// A worker that Muster knows nothing of.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn stranger(&self, words: &[&str]) -> Stranger {
        let mut command = Command::new(&binaries().worker);
        command.arg(self.marks_dir()).args(words).stdin(Stdio::null());
        Stranger(command.spawn().expect("a worker"))
    }

    /// A command that has nothing of this test's environment, in the project's folder.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.program {
            Some(other) => Command::new(other),
            None => Command::new(&binaries().muster),
        };
        command.args(args).env_clear().current_dir(self.project()).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        command.env("HOME", self.root().join("u")).env("MUSTER_HOME", self.state());
        command.env("XDG_RUNTIME_DIR", self.root().join("x"));
        if self.program.is_none() {
            command.env("MUSTER_SHIM", &binaries().shim);
        }
        command.env("LANG", "C.UTF-8").env("MUSTER_LOG", "debug");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    #[must_use]
    pub fn muster(&self, args: &[&str]) -> Output {
        self.start(self.command(args)).wait()
    }

    /// Runs a command to its end, with more in its environment.
    #[must_use]
    pub fn muster_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        self.start(command).wait()
    }

    /// Starts a command and comes back.
    #[must_use]
    pub fn spawn(&self, args: &[&str]) -> Running {
        self.start(self.command(args))
    }

    /// Starts a prepared command.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self, mut command: Command) -> Running {
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let path = |name: &str| self.root().join("o").join(format!("{number}.{name}"));
        let (out, err) = (path("out"), path("err"));
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        let line = format!("muster {}", words.collect::<Vec<_>>().join(" "));
        command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
        let child = command.spawn().expect("the muster binary can be run");
        Running { child, line, out, err, ended: None }
    }

    /// The status of everything, or of what is selected.
    #[must_use]
    pub fn status(&self, select: &[&str]) -> Vec<Value> {
        let words: Vec<&str> = ["status", "--json"].into_iter().chain(select.iter().copied()).collect();
        let document = self.muster(&words).expect_code(0).json();
        document["services"].as_array().cloned().unwrap_or_default()
    }

    /// The status of one service.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Value {
        self.status(&[name]).into_iter().next().unwrap_or_else(|| panic!("no service `{name}`"))
    }

    /// Waits until a service's status is as wanted.
    pub fn wait_service(&self, name: &str, fact: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_for_quietly(|| {
            // before the first command was taken in there is nothing to show
            let answer = self.muster(&["status", "--json", name]);
            last = if answer.code == 0 { answer.json()["services"][0].clone() } else { Value::Null };
            wanted(&last)
        });
        assert!(found, "`{name}` is not {fact}: {last}");
        last
    }

    /// Waits until a service is in a state.
    pub fn wait_state(&self, name: &str, state: &str) -> Value {
        self.wait_service(name, state, |service| service["state"] == state)
    }

    /// Its main process.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<Process> {
        let pid = self.service(name)["pid"].as_i64()?;
        Process::of(i32::try_from(pid).ok()?)
    }

    /// The events that a worker noted.
    #[must_use]
    pub fn marks(&self, name: &str) -> Vec<Mark> {
        marks::read(&self.marks_dir(), name)
    }

    /// Events of one kind that a worker noted.
    #[must_use]
    pub fn events(&self, name: &str, event: &str) -> Vec<Mark> {
        self.marks(name).into_iter().filter(|mark| mark.event == event).collect()
    }

    /// Waits until a worker noted an event for the `count`th time.
    pub fn wait_event(&self, name: &str, event: &str, count: usize) -> Mark {
        let fact = format!("`{name}` notes `{event}` {count} times");
        wait_for(&fact, PATIENCE, || self.events(name, event).into_iter().nth(count - 1))
    }

    /// Workers that noted their start and run now, by name.
    #[must_use]
    pub fn workers_alive(&self) -> Vec<(String, Process)> {
        let alive = |name: String| {
            let starts = self.events(&name, "start");
            starts
                .into_iter()
                .map(|mark| mark.process)
                .filter(|process| process.alive())
                .map(move |p| (name.clone(), p))
                .collect::<Vec<_>>()
        };
        marks::names(&self.marks_dir()).into_iter().flat_map(alive).collect()
    }

    /// Workers that found another of their name alive when they started: there must never be one.
    #[must_use]
    pub fn overlaps(&self) -> Vec<(String, Mark)> {
        let of = |name: String| {
            self.events(&name, "overlap").into_iter().map(move |mark| (name.clone(), mark)).collect::<Vec<_>>()
        };
        marks::names(&self.marks_dir()).into_iter().flat_map(of).collect()
    }

    /// The daemon's process, found without asking it.
    #[must_use]
    pub fn daemon(&self) -> Option<Process> {
        let state = self.state();
        let needle = format!("MUSTER_HOME={}", state.display());
        let is_daemon = |process: &Process| {
            let environ = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == needle.as_bytes())
                && process.command_line().contains(" daemon run")
        };
        proc::all().into_iter().find(is_daemon)
    }

    /// Every process that belongs to this home.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        proc::marked(self.root())
    }

    /// Everything comes down; what is left then.
    fn bring_down(&self) -> Vec<Process> {
        if !self.processes().is_empty() {
            // where the daemon was killed, the next one finds what it left
            let _ = self.spawn(&["env", "list"]).wait_within(PATIENCE);
            let _ = self.spawn(&["daemon", "stop", "--all"]).wait_within(PATIENCE);
        }
        let begun = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || begun.elapsed() > LAST_LOOK {
                return left;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// For whoever has to find out why a test failed.
    fn tell(&self) {
        let text = fs::read_to_string(self.state().join("daemon.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("the daemon's last words:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
    }
}

fn wait_for_quietly(mut ask: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !ask() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

impl Drop for Home {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            self.tell();
        }
        let left: Vec<(Process, String)> =
            self.bring_down().into_iter().map(|process| (process, process.command_line())).collect();
        for (process, _) in &left {
            process.kill();
        }
        if !failed && !left.is_empty() {
            self.tell();
        }
        let overlaps = self.overlaps();
        let listening = proc::listening_below(self.root());
        if failed {
            eprintln!("left behind: {left:?}");
            return;
        }
        assert!(left.is_empty(), "left behind after everything was told to end: {left:?}");
        assert!(overlaps.is_empty(), "two copies of one worker were alive at once: {overlaps:?}");
        assert!(listening.is_empty(), "somebody listens still: {listening:?}");
    }
}

/// A process of the test's own; ends with it.
#[derive(Debug)]
pub struct Stranger(Child);

impl Stranger {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    out: PathBuf,
    err: PathBuf,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let (None, Some(pid)) = (self.ended, rustix::process::Pid::from_raw(self.pid())) {
            // our child that was not waited for: the number is its own
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// What it wrote so far.
    #[must_use]
    pub fn so_far(&self) -> Output {
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let code = self.ended.map_or(-1, |status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        Output { line: self.line.clone(), code, stdout: read(&self.out), stderr: read(&self.err) }
    }

    /// Whether it ended.
    pub fn ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When that does not come within twice the usual patience.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let limit = PATIENCE * 2;
        let ended = self.ends_within(limit);
        assert!(ended, "not ended within {limit:?}: {:?}", self.so_far());
        self.so_far()
    }

    /// Waits for its end for a time; `None` when that did not come.
    #[must_use]
    pub fn wait_within(mut self, limit: Duration) -> Option<Output> {
        self.ends_within(limit).then(|| self.so_far())
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        while !self.ended() {
            if begun.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
