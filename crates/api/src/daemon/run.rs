//! The daemon's life.

use super::start::open_lock;
use super::{
    DaemonError, EmbeddedHost, GUARD, ORIGINAL_NOFILE, Paths, READY, ShimSource, TAKEOVER, build_of, find_hosts,
    find_shim, handover,
};
use crate::server::{App, Bound, CONTROL_QUEUE, Control, Serving, serve};
use muster_engine::{Engine, EngineConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long nothing may run and nobody ask before the daemon ends. `MUSTER_IDLE_S` overrides it.
const IDLE: Duration = Duration::from_secs(60);

/// How long answers that are under way may take when the daemon ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How this daemon runs.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Version of the binary.
    pub version: String,
    /// Leave the session and folder of the starter, and tell it over standard output when all is ready.
    pub detached: bool,
    /// Where the supervisor's binary comes from.
    pub shim: ShimSource,
    /// What is brought to other hosts, where this binary carries it.
    pub hosts: &'static [EmbeddedHost],
}

/// Serves until it is idle, told to end, or replaced. Services run on in every case.
///
/// # Errors
/// [`DaemonError`] when it could not begin; its starter was told the same over the pipe.
pub async fn run(options: RunOptions) -> Result<(), DaemonError> {
    let mut starter = options.detached.then(detach).flatten();
    let begun = begin(&options).await;
    let said = match &begun {
        Ok(_) => format!("{READY}\n"),
        Err(error) => format!("{}\n", serde_json::to_string(&error.document()).unwrap_or_default()),
    };
    if let Some(pipe) = &mut starter {
        // a starter that has gone need not know
        let _ = pipe.write_all(said.as_bytes());
    }
    drop(starter);
    let daemon = begun?;
    reap_guard();
    daemon.live().await;
    Ok(())
}

/// Leaves the starter's session and folder. What comes back is the pipe to it.
fn detach() -> Option<File> {
    // refused for the leader of a group, which then has a session of its own or no need of one
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let pipe = std::io::stdout().as_fd().try_clone_to_owned().ok()?;
    // from here on whoever prints writes to the log
    let _ = rustix::stdio::dup2_stdout(std::io::stderr().as_fd());
    Some(File::from(pipe))
}

/// The guard that watched this binary take over ends now; it is our child.
fn reap_guard() {
    let guard = std::env::var(GUARD).ok().and_then(|text| text.parse().ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(guard) = guard {
        tokio::task::spawn_blocking(move || {
            let _ = rustix::process::waitpid(Some(guard), rustix::process::WaitOptions::empty());
        });
    }
}

struct Daemon {
    engine: Engine,
    paths: Paths,
    bound: Bound,
    serving: Serving,
    control: mpsc::Receiver<Control>,
    terminate: Signal,
    interrupt: Signal,
    original_nofile: Option<(u64, u64)>,
}

async fn begin(options: &RunOptions) -> Result<Daemon, DaemonError> {
    let paths = Paths::open()?;
    // set once: there is one daemon in a process
    let _ = HELD.set(lock(&paths)?);
    let original_nofile = raise_nofile();
    let _ = muster_runtime::become_subreaper();
    let binary = std::env::current_exe().unwrap_or_default();
    let shim = find_shim(options.shim, &paths.home, &binary)?;
    let socket = paths.socket();
    let bound = bind(&socket).map_err(|source| DaemonError::File { path: socket.clone(), source })?;
    let config = EngineConfig {
        home: paths.home.clone(),
        runtime_dir: paths.runtime.clone(),
        hosts: find_hosts(options.hosts, &binary, &shim),
        shim,
        version: options.version.clone(),
        build: build_of(&binary),
        original_nofile,
    };
    let engine = Engine::open(config)
        .await
        .map_err(|error| DaemonError::Engine { home: paths.home.clone(), reason: causes(&error) })?;
    tokio::spawn(engine.clone().stay_lean());
    paths.record_runtime()?;
    let (tell, control) = mpsc::channel(CONTROL_QUEUE);
    let serving = serve(App { engine: engine.clone(), control: tell, version: options.version.clone() });
    let on = |kind| signal(kind).map_err(|source| DaemonError::File { path: socket.clone(), source });
    let (terminate, interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    Ok(Daemon { engine, paths, bound, serving, control, terminate, interrupt, original_nofile })
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The lock, held until the process is gone: whoever waits for that waits for the journal to be closed, too.
static HELD: OnceLock<File> = OnceLock::new();

/// One daemon per state folder. One that is about to end is waited for; one that answers is not disturbed.
fn lock(paths: &Paths) -> Result<File, DaemonError> {
    let file = open_lock(&paths.daemon_lock())?;
    if file.try_lock().is_err() {
        if std::env::var_os(TAKEOVER).is_none() && super::running(paths).is_some() {
            return Err(DaemonError::Running { socket: paths.socket() });
        }
        file.lock().map_err(|source| DaemonError::File { path: paths.daemon_lock(), source })?;
    }
    Ok(file)
}

/// The socket of the daemon before, when it was handed over as standard input; else a new one.
fn bind(path: &Path) -> std::io::Result<Bound> {
    if std::env::var_os(TAKEOVER).is_none() {
        return Bound::bind(path);
    }
    let listener = UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Bound::adopt(path, listener)
}

/// Raises the limit of open files to what is allowed, and says what it was: services get that.
fn raise_nofile() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    let now = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let inherited = std::env::var(ORIGINAL_NOFILE).ok().and_then(|text| {
        let (soft, hard) = text.split_once(':')?;
        Some((soft.parse().ok()?, hard.parse().ok()?))
    });
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    Some(inherited.unwrap_or(now))
}

/// Why the daemon stops accepting.
enum End {
    Asked(Control),
    Signalled,
    Idle,
}

impl Daemon {
    async fn live(mut self) {
        tracing::info!(socket = %self.bound.path.display(), "serving");
        loop {
            match self.until_end().await {
                End::Asked(Control::Upgrade(binary)) => self.hand_over(&binary).await,
                End::Asked(Control::Stop) | End::Signalled => return self.end().await,
                End::Idle => {
                    if self.end_idle().await {
                        return;
                    }
                }
            }
        }
    }

    async fn until_end(&mut self) -> End {
        let idle =
            std::env::var("MUSTER_IDLE_S").ok().and_then(|s| s.parse().ok()).map_or(IDLE, Duration::from_secs_f64);
        let quiet = async {
            loop {
                self.engine.idle(idle).await;
                if self.serving.open() == 0 {
                    return;
                }
                // somebody follows a stream
                self.serving.one_ended().await;
            }
        };
        tokio::select! {
            () = self.serving.accept(&self.bound) => End::Signalled,
            Some(control) = self.control.recv() => End::Asked(control),
            _ = self.terminate.recv() => End::Signalled,
            _ = self.interrupt.recv() => End::Signalled,
            () = quiet => End::Idle,
        }
    }

    async fn last_answers(&self) {
        let all = async {
            while self.serving.open() > 0 {
                self.serving.one_ended().await;
            }
        };
        let _ = tokio::time::timeout(LAST_ANSWERS, all).await;
    }

    async fn end(self) {
        let _ = std::fs::remove_file(&self.bound.path);
        self.last_answers().await;
        let _ = tokio::time::timeout(LAST_ANSWERS, self.engine.close_all()).await;
        tracing::info!("ended; services run on");
    }

    /// Ends unless somebody connected in the meantime: they were promised an answer.
    async fn end_idle(&mut self) -> bool {
        let _ = std::fs::remove_file(&self.bound.path);
        if self.serving.drain(&self.bound).await == 0 {
            let _ = tokio::time::timeout(LAST_ANSWERS, self.engine.close_all()).await;
            tracing::info!("ended: nothing runs");
            return true;
        }
        match Bound::bind(&self.paths.socket()) {
            Ok(bound) => {
                self.bound = bound;
                false
            }
            Err(error) => {
                tracing::error!(%error, "the socket is gone");
                self.last_answers().await;
                true
            }
        }
    }

    /// Comes back only when the new binary could not be executed.
    async fn hand_over(&self, binary: &Path) {
        self.last_answers().await;
        let error = handover::hand_over(&self.bound.listener, binary, self.original_nofile);
        tracing::error!(%error, binary = %binary.display(), "the upgrade failed; this binary goes on");
    }
}
