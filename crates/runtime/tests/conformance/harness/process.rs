//! The process driver under test, over the real `muster-shim`.

use futures::future::{BoxFuture, FutureExt as _};
use muster_runtime::conformance::{Harness, Miss, Program, Verdict};
use muster_runtime::{Config, ProcessRuntime, Runtime, become_subreaper};
use muster_shim::{META_FILE, Meta};
use muster_spec::{EnvironmentId, ResolvedCommand, RunId, SecretText};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use tempfile::TempDir;

/// In the environment of a service that is this test's executable: what it shall do.
pub(crate) const HELPER: &str = "MUSTER_TEST_HELPER";

/// A home with shims in it.
pub(crate) struct ProcessHarness {
    home: TempDir,
    runtime: Arc<ProcessRuntime>,
}

impl ProcessHarness {
    /// An empty home.
    pub(crate) fn new() -> Self {
        become_subreaper().expect("the surroundings of the test");
        let home = TempDir::new().expect("the surroundings of the test");
        let runtime = Arc::new(runtime(home.path()));
        Self { home, runtime }
    }
}

/// A runtime over a home.
pub(crate) fn runtime(home: &Path) -> ProcessRuntime {
    let config = Config {
        shim: shim().to_owned(),
        state_dir: home.join("state"),
        runtime_dir: home.join("run"),
        original_nofile: None,
    };
    ProcessRuntime::new(config).expect("the surroundings of the test")
}

/// The shim's binary beside this test's executable.
pub(crate) fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| built("muster-shim", &["shim", "logs"]))
}

/// The agent's binary beside this test's executable.
pub(crate) fn agent() -> &'static Path {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    AGENT.get_or_init(|| built("muster-agent", &["agent", "runtime", "shim", "logs", "spec"]))
}

/// A binary of this workspace, built where it is missing or older than its crates' sources.
fn built(package: &str, of: &[&str]) -> PathBuf {
    let test = std::env::current_exe().expect("the surroundings of the test");
    let profile = test.parent().and_then(Path::parent).expect("the surroundings of the test");
    let binary = profile.join(package);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the surroundings of the test");
    let sources = of.iter().map(|name| newest(&crates.join(name).join("src")));
    let built = fs::metadata(&binary).and_then(|metadata| metadata.modified()).ok();
    if built < sources.max() {
        let name = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "-q", "-p", package, "--profile", name, "--target-dir"]);
        build.arg(profile.parent().expect("the surroundings of the test")).current_dir(crates);
        assert!(build.status().expect("the surroundings of the test").success(), "{package} does not build");
    }
    binary
}

fn newest(folder: &Path) -> SystemTime {
    let times = fs::read_dir(folder).expect("the surroundings of the test").map(|entry| {
        let path = entry.expect("the surroundings of the test").path();
        if path.is_dir() {
            newest(&path)
        } else {
            fs::metadata(&path).expect("the surroundings of the test").modified().expect("the surroundings of the test")
        }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn helper() -> Vec<String> {
    let test = std::env::current_exe().expect("the surroundings of the test");
    words(&[test.to_str().expect("the surroundings of the test"), "--exact", "helper", "--nocapture"])
}

/// A program as an argument list.
pub(crate) fn argv(program: &Program) -> Vec<String> {
    let sh = |script: String| words(&["/bin/sh", "-c", &script]);
    match program {
        Program::Forever => words(&["/bin/sleep", "86400"]),
        Program::Marked(mark) => words(&["/bin/sleep", mark]),
        Program::Exits(ms, code) => sh(format!("sleep {}.{:03}; exit {code}", ms / 1000, ms % 1000)),
        Program::DiesBySignal(signal) => sh(format!("kill -{signal} $$")),
        Program::OnTerm(code) => sh(format!("trap 'exit {code}' TERM; sleep 86400 & echo up; wait")),
        Program::IgnoresTerm => sh("trap '' TERM; echo up; while :; do sleep 86400; done".into()),
        Program::Tree(mark) => sh(format!("/bin/sleep {mark} & echo up; wait")),
        // without the run's mark in its environment, in a session of its own, its parent gone
        Program::Escapes(mark) => sh(format!(
            "setsid env -i /bin/sh -c 'setsid /bin/sleep {mark} & exit 0' </dev/null >/dev/null 2>&1; echo up; \
             exec /bin/sleep 86400"
        )),
        Program::SaysUsr1 => sh("trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done".into()),
        Program::Lines(count) => sh(format!("n=0; while [ $n -lt {count} ]; do echo \"line $n\"; n=$((n + 1)); done")),
        Program::Kibibytes(count) => sh(format!("yes {} | head -c {}", "x".repeat(63), count * 1024)),
        Program::BothStreams => sh("echo out; echo err >&2".into()),
        Program::Says(text) => words(&["/bin/echo", text]),
        Program::SaysEnvironment => words(&["/usr/bin/env"]),
        Program::SaysDirectory => words(&["/bin/pwd"]),
        Program::SaysUser => words(&["/usr/bin/id", "-u"]),
        Program::SaysFileLimit => sh("ulimit -n".into()),
        Program::Notifies(_) | Program::Listens(_) => helper(),
        Program::Echoes => sh("while read -r line; do echo \"got $line\"; done".into()),
        Program::NotThere => words(&["/no/such/program"]),
    }
}

/// How many processes of this machine carry a mark among their arguments.
pub(crate) fn marked(mark: &str) -> Result<usize, Miss> {
    let processes = fs::read_dir("/proc").map_err(|error| error.to_string())?;
    let marked = processes.flatten().filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
    });
    Ok(marked.count())
}

/// A program as a command of this machine, or of a host that is this machine.
pub(crate) fn command(program: &Program) -> ResolvedCommand {
    let mut env = vec![("PATH".to_owned(), SecretText::new("/usr/bin:/bin".into()))];
    let task = match program {
        Program::Notifies(text) => Some(format!("notify {text}")),
        Program::Listens(port) => Some(format!("listen {port}")),
        _ => None,
    };
    env.extend(task.map(|task| (HELPER.to_owned(), SecretText::new(task))));
    ResolvedCommand { argv: argv(program), env, cwd: "/".into() }
}

/// Kills the shim that has a run's folder.
pub(crate) fn kill_shim(folder: &Path) -> Verdict {
    let meta = Meta::read(folder).map_err(|error| error.to_string())?;
    let pid = meta.ok_or_else(|| "no record".to_owned())?.shim_pid;
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    killed.map(|_| ()).map_err(|error| error.to_string().into())
}

/// Makes a run's record unreadable, or as it was.
pub(crate) fn tear_meta(folder: &Path, torn: bool) -> Verdict {
    let meta = folder.join(META_FILE);
    let kept = meta.with_extension("kept");
    let change = || -> io::Result<()> {
        if torn {
            fs::rename(&meta, &kept)?;
            fs::write(&meta, "torn")
        } else {
            fs::rename(&kept, &meta)
        }
    };
    change().map_err(|error| error.to_string().into())
}

impl Harness for ProcessHarness {
    fn name(&self) -> &'static str {
        "process"
    }

    fn environment(&self) -> EnvironmentId {
        "test-0000002a".parse().expect("the surroundings of the test")
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.runtime) as Arc<dyn Runtime>
    }

    fn successor(&self) -> Result<Arc<dyn Runtime>, String> {
        Ok(Arc::new(runtime(self.home.path())))
    }

    fn command(&self, _run: &RunId, program: &Program) -> Result<ResolvedCommand, Miss> {
        Ok(command(program))
    }

    fn observe(&self, mark: &str) -> Result<usize, Miss> {
        marked(mark)
    }

    fn kill_supervisor<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Verdict> {
        async move { kill_shim(&self.runtime.run_dir(run)) }.boxed()
    }

    fn doubt<'a>(&'a self, run: &'a RunId, doubt: bool) -> BoxFuture<'a, Verdict> {
        async move { tear_meta(&self.runtime.run_dir(run), doubt) }.boxed()
    }
}
