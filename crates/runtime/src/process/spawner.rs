//! The thread that spawns shims: everything of a start that may block, away from the tasks.

use super::cgroup::Cgroups;
use super::failure::{Attempt, Failure};
use super::launch;
use super::paths::Layout;
use super::run::Run;
use muster_shim::{Request, Spawned, VERSION, spawn_shim};
use muster_spec::InstanceSpec;
use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Starts that may wait for the thread: more would only wait elsewhere.
const ORDERS: usize = 1024;

/// One start.
pub(super) struct Order {
    pub(super) run: Arc<Run>,
    pub(super) spec: Box<InstanceSpec>,
    pub(super) reply: oneshot::Sender<Result<Spawn, Failure>>,
}

/// A shim that was spawned and is about to read what to run.
pub(super) struct Spawn {
    pub(super) stream: UnixStream,
    /// What of the hand-over did not fit into the socket.
    pub(super) rest: Vec<u8>,
    pub(super) shim: Spawned,
    pub(super) attempt: Attempt,
}

/// What the thread knows.
pub(super) struct Spawner {
    pub(super) shim: PathBuf,
    pub(super) layout: Layout,
    pub(super) nofile: Option<(u64, u64)>,
    pub(super) cgroups: Cgroups,
}

impl Spawner {
    /// Starts the thread; it ends when the last sender is gone.
    pub(super) fn start(self) -> io::Result<mpsc::Sender<Order>> {
        let (sender, mut orders) = mpsc::channel::<Order>(ORDERS);
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            let mut made = HashSet::new();
            while let Some(order) = orders.blocking_recv() {
                let done = self.spawn(&order, &mut made);
                // whoever asked may be gone: the run is there all the same, and is found by its id
                let _ = order.reply.send(done);
            }
        })?;
        Ok(sender)
    }

    fn spawn(&self, order: &Order, made: &mut HashSet<PathBuf>) -> Result<Spawn, Failure> {
        let (run, spec) = (&order.run, &*order.spec);
        let cgroup = launch::cgroup_for(&run.id, spec, &self.cgroups)?;
        let launch = launch::launch_spec(&run.id, spec, &self.layout, self.nofile, cgroup)?;
        run.set_secrets(launch.secrets.clone());
        let attempt = Attempt {
            program: spec.command.argv.first().cloned().unwrap_or_default(),
            cwd: spec.command.cwd.display().to_string(),
            user: spec.user.clone(),
        };
        self.make_folders(run, made)?;
        let io = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| Failure::transient(format!("could not {what}: {error}"))
        };
        let (mut ours, theirs) = UnixStream::pair().map_err(io("make a socket pair"))?;
        ours.set_nonblocking(true).map_err(io("make a socket pair"))?;
        let mut bytes = Request::Hello { version: VERSION }.to_bytes();
        Request::Launch(Box::new(launch)).encode(&mut bytes);
        // written ahead: when the shim comes to reading, everything is there
        let sent = match ours.write(&bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(io("hand over what to run")(error)),
        };
        let shim = spawn_shim(&self.shim, &run.id.to_string(), &run.folder, &run.socket, theirs.as_fd())
            .map_err(|error| Failure::transient(format!("could not start `{}`: {error}", self.shim.display())))?;
        bytes.drain(..sent);
        Ok(Spawn { stream: ours, rest: bytes, shim, attempt })
    }

    /// One folder per run; the ones above are made once and remembered.
    fn make_folders(&self, run: &Run, made: &mut HashSet<PathBuf>) -> Result<(), Failure> {
        let parent = run.folder.parent().unwrap_or(&run.folder);
        let sockets = self.layout.sockets(&run.id.environment);
        for folder in [parent, &sockets] {
            if !made.contains(folder) {
                private_folders(folder).map_err(|error| folder_failure(folder, &error))?;
                made.insert(folder.to_owned());
            }
        }
        match make_private(&run.folder) {
            // somebody removed an environment meanwhile
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_folders(&run.folder).map_err(|error| folder_failure(&run.folder, &error))
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(folder_failure(&run.folder, &error)),
            Ok(()) | Err(_) => {
                if fs::exists(&sockets).unwrap_or(false) {
                    return Ok(());
                }
                private_folders(&sockets).map_err(|error| folder_failure(&sockets, &error))
            }
        }
    }
}

fn folder_failure(folder: &Path, error: &io::Error) -> Failure {
    Failure::transient(format!("could not make folder `{}`: {error}", folder.display()))
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

fn private_folders(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
