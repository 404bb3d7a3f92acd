//! A fresh copy of the files, a home of its own, and the built command in it.

use super::expected::{Case, RAN_AT, data};
use super::recorder::Recorder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take that should happen.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How often a fact is asked for again.
const AGAIN: Duration = Duration::from_millis(25);

/// Where one case runs.
#[derive(Debug)]
pub struct World {
    /// The services' own marks.
    pub recorder: Recorder,
    binary: PathBuf,
    copy: PathBuf,
    cwd: PathBuf,
    files: Vec<String>,
    env: BTreeMap<String, String>,
    // removed last, after the daemon has ended
    _home: tempfile::TempDir,
}

/// An attached `up`.
#[derive(Debug)]
pub struct Up {
    child: Child,
    said: PathBuf,
}

/// What a command that ended has said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; nothing for a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Asks until there is an answer; nothing when that takes too long.
pub fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        sleep(AGAIN);
    }
}

impl World {
    /// A fresh copy for a case.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(case: &Case, binary: &Path) -> io::Result<Self> {
        let home = tempfile::TempDir::new()?;
        let root = home.path().canonicalize()?;
        let copy = root.join(RAN_AT.trim_start_matches('/')).join("process-compose");
        copy_tree(&data(), &copy)?;
        let cwd = copy.join(&case.cwd);
        for folder in [&cwd, &root.join("muster"), &root.join("run")] {
            std::fs::create_dir_all(folder)?;
        }
        if let Some(pattern) = &case.drop {
            for file in &case.files {
                drop_lines(&cwd.join(file), pattern)?;
            }
        }
        let recorder = Recorder::new(&root.join("recorder"))?;
        let mut world = Self {
            recorder,
            binary: binary.to_owned(),
            copy,
            cwd,
            files: case.files.clone(),
            env: BTreeMap::new(),
            _home: home,
        };
        world.env = world.environment(&root, case);
        Ok(world)
    }

    /// PATH and HOME, where Muster keeps what it has, and what the case adds.
    fn environment(&self, root: &Path, case: &Case) -> BTreeMap<String, String> {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.recorder.bin().display());
        let folder = |name: &str| root.join(name).display().to_string();
        let ours = [
            ("PATH", path),
            ("HOME", root.display().to_string()),
            ("MUSTER_HOME", folder("muster")),
            ("XDG_RUNTIME_DIR", folder("run")),
        ];
        let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
        ours.chain(case.env.iter().map(|(name, value)| (name.clone(), self.here(value)))).collect()
    }

    /// The environment of the caller.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// A path of the reference as it is here.
    #[must_use]
    pub fn here(&self, path: &str) -> String {
        let root = self.copy.parent().expect("invariant: the copy lies in a folder");
        match path.strip_prefix(RAN_AT) {
            Some(rest) => format!("{}{rest}", root.display()),
            None => path.to_owned(),
        }
    }

    /// The text of a file in the copy.
    #[must_use]
    pub fn text(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.copy.join(file)).ok()
    }

    /// Changes the first file of the case.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn edit(&self, change: impl FnOnce(&str) -> String) -> io::Result<()> {
        let path = self.cwd.join(&self.files[0]);
        std::fs::write(&path, change(&std::fs::read_to_string(&path)?))
    }

    fn command(&self, before: &[&str], after: &[String]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(before);
        for file in &self.files {
            command.args(["--file", file]);
        }
        command.args(after).current_dir(&self.cwd).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    /// `muster COMMAND --file F... ARGS` to its end.
    ///
    /// # Errors
    /// It cannot be run, or takes too long.
    pub fn run(&self, before: &[&str], after: &[String]) -> io::Result<Said> {
        let said = tempfile::TempDir::new()?;
        let (out, err) = (said.path().join("out"), said.path().join("err"));
        let mut command = self.command(before, after);
        let mut child = command.stdout(File::create(&out)?).stderr(File::create(&err)?).spawn()?;
        let status = ended(&mut child)?;
        let read = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Said { code: status.code(), out: read(&out)?, err: read(&err)? })
    }

    /// Starts an attached `up`.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn up(&self, args: &[String]) -> io::Result<Up> {
        let said = self.recorder.bin().with_file_name("up");
        let (out, err) = (File::create(said.with_extension("out"))?, File::create(said.with_extension("err"))?);
        let child = self.command(&["up"], args).stdout(out).stderr(err).spawn()?;
        Ok(Up { child, said })
    }

    /// `status` of everything, an instance per entry.
    ///
    /// # Errors
    /// The command cannot be run, or its answer is not understood.
    pub fn status(&self) -> io::Result<Vec<Value>> {
        let said = self.run(&["status", "--json"], &[])?;
        if said.code == Some(4) {
            return Ok(Vec::new());
        }
        let document: Value = serde_json::from_str(&said.out)
            .map_err(|error| io::Error::other(format!("status: {error}: {}{}", said.out, said.err)))?;
        Ok(document["services"].as_array().cloned().unwrap_or_default())
    }

    /// All lines, by instance.
    ///
    /// # Errors
    /// The command cannot be run, or its answer is not understood.
    pub fn logs(&self) -> io::Result<BTreeMap<String, Vec<String>>> {
        let said = self.run(&["logs", "--json"], &["-n".to_owned(), "1000".to_owned()])?;
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in said.out.lines() {
            let line: Value = serde_json::from_str(line)?;
            let text = line["text"].as_str().unwrap_or_default().to_owned();
            lines.entry(line["instance"].as_str().unwrap_or_default().to_owned()).or_default().push(text);
        }
        Ok(lines)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // An error means that there was no daemon.
        let _ = self.run(&["daemon", "stop", "--all"], &[]);
    }
}

impl Up {
    /// Waits for its end.
    ///
    /// # Errors
    /// It takes too long.
    pub fn end(&mut self) -> io::Result<Said> {
        let status = ended(&mut self.child)?;
        let read = |end: &str| std::fs::read_to_string(self.said.with_extension(end));
        Ok(Said { code: status.code(), out: read("out")?, err: read("err")? })
    }

    /// Whether it still follows.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn runs(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends a signal by its name.
    ///
    /// # Errors
    /// It has ended, or the name is not known.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let signal = match name {
            "SIGTERM" => rustix::process::Signal::TERM,
            "SIGINT" => rustix::process::Signal::INT,
            other => return Err(io::Error::other(format!("{other} is not sent by any case"))),
        };
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("not a process id"))?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It has ended, unless the case failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(child: &mut Child) -> io::Result<ExitStatus> {
    let mut failed = None;
    let status = until(|| match child.try_wait() {
        Ok(status) => status,
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    status.ok_or_else(|| failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "a command did not end")))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let target = to.join(path.file_name().unwrap_or_default());
        if kind.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            std::fs::write(target, std::fs::read(&path)?)?;
        }
    }
    Ok(())
}

fn drop_lines(file: &Path, pattern: &str) -> io::Result<()> {
    let regex = regex::Regex::new(pattern).map_err(io::Error::other)?;
    let text = std::fs::read_to_string(file)?;
    std::fs::write(file, text.split_inclusive('\n').filter(|line| !regex.is_match(line)).collect::<String>())
}
