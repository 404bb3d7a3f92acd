//! The thread that spawns shims: everything of a start that may block, away from the tasks.

use super::cgroup::Cgroups;
use super::failure::{Attempt, Failure};
use super::launch;
use super::paths::Layout;
use super::run::Run;
use muster_shim::{ForkServer, Request, Spawned, VERSION};
use muster_spec::InstanceSpec;
use std::collections::{HashSet, VecDeque};
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

/// A start whose shim is ordered.
struct Ordered {
    stream: UnixStream,
    launch: Vec<u8>,
    attempt: Attempt,
    reply: oneshot::Sender<Result<Spawn, Failure>>,
}

/// Orders that are ahead of their answers: the fork server works while the next start is prepared.
const AHEAD: usize = 4;

/// The thread.
struct Spawning {
    spawner: Spawner,
    /// There from the first start on; gone when it did not answer.
    forks: Option<ForkServer>,
    /// Folders that are there.
    made: HashSet<PathBuf>,
    ordered: VecDeque<Ordered>,
}

impl Spawner {
    /// Starts the thread; it ends when the last sender is gone.
    pub(super) fn start(self) -> io::Result<mpsc::Sender<Order>> {
        let (sender, mut orders) = mpsc::channel::<Order>(ORDERS);
        let mut spawning = Spawning { spawner: self, forks: None, made: HashSet::new(), ordered: VecDeque::new() };
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            while let Some(order) = orders.blocking_recv() {
                spawning.order(order);
                while let Ok(next) = orders.try_recv() {
                    spawning.order(next);
                }
                spawning.answer_until(0);
            }
        })?;
        Ok(sender)
    }
}

impl Spawning {
    /// Orders a shim for a start, or answers why not.
    fn order(&mut self, order: Order) {
        match self.prepare(&order) {
            Ok((stream, launch, attempt)) => {
                self.ordered.push_back(Ordered { stream, launch, attempt, reply: order.reply });
                self.answer_until(AHEAD);
            }
            // whoever asked may be gone: then nobody wants to know
            Err(failure) => drop(order.reply.send(Err(failure))),
        }
    }

    fn prepare(&mut self, order: &Order) -> Result<(UnixStream, Vec<u8>, Attempt), Failure> {
        let (run, spec) = (&order.run, &*order.spec);
        let cgroup = launch::cgroup_for(&run.id, spec, &self.spawner.cgroups)?;
        let launch = launch::launch_spec(&run.id, spec, &self.spawner.layout, self.spawner.nofile, cgroup)?;
        run.set_secrets(launch.secrets.clone());
        let attempt = Attempt {
            program: spec.command.argv.first().cloned().unwrap_or_default(),
            cwd: spec.command.cwd.display().to_string(),
            user: spec.user.clone(),
        };
        self.make_folders(run)?;
        let (ours, theirs) = UnixStream::pair().map_err(|error| failed("make a socket pair", &error))?;
        ours.set_nonblocking(true).map_err(|error| failed("make a socket pair", &error))?;
        self.order_shim(run, &theirs)?;
        let mut bytes = Request::Hello { version: VERSION }.to_bytes();
        Request::Launch(Box::new(launch)).encode(&mut bytes);
        Ok((ours, bytes, attempt))
    }

    /// A fork server that is gone is replaced once.
    fn order_shim(&mut self, run: &Run, connection: &UnixStream) -> Result<(), Failure> {
        let id = run.id.to_string();
        for last in [false, true] {
            let forks = match &mut self.forks {
                Some(forks) => forks,
                none => none.insert(ForkServer::start(&self.spawner.shim).map_err(|error| {
                    Failure::transient(format!("could not start `{}`: {error}", self.spawner.shim.display()))
                })?),
            };
            match forks.order(&id, &run.folder, &run.socket, connection.as_fd()) {
                Ok(()) => return Ok(()),
                Err(error) if last || error.kind() == io::ErrorKind::InvalidInput => {
                    return Err(failed("order a supervisor", &error));
                }
                Err(_gone) => {
                    self.answer_until(0);
                    self.forks = None;
                }
            }
        }
        Ok(())
    }

    /// Takes in answers until no more than `ahead` are missing, and hands over what to run. A shim whose answer does not
    /// come was not told what to run, and ends by itself.
    fn answer_until(&mut self, ahead: usize) {
        while self.ordered.len() > ahead
            && let Some(ordered) = self.ordered.pop_front()
        {
            let born = match self.forks.as_ref().map(ForkServer::born) {
                Some(Ok(born)) => born,
                Some(Err(gone)) => {
                    self.forks = None;
                    Err(gone)
                }
                None => Err(io::ErrorKind::ConnectionReset.into()),
            };
            let done = born.and_then(|shim| match hand_over(&ordered.stream, &ordered.launch) {
                Ok(sent) => Ok((shim, sent)),
                Err(error) => {
                    shim.end();
                    Err(error)
                }
            });
            let done = match done {
                Ok((shim, sent)) => {
                    let rest = ordered.launch[sent..].to_vec();
                    Ok(Spawn { stream: ordered.stream, rest, shim, attempt: ordered.attempt })
                }
                Err(error) => Err(failed("start a supervisor", &error)),
            };
            // whoever asked may be gone: the run is there all the same, and is found by its id
            let _ = ordered.reply.send(done);
        }
    }

    /// One folder per run; the ones above are made once and remembered.
    fn make_folders(&mut self, run: &Run) -> Result<(), Failure> {
        let parent = run.folder.parent().unwrap_or(&run.folder);
        let sockets = self.spawner.layout.sockets(&run.id.environment);
        for folder in [parent, &sockets] {
            if !self.made.contains(folder) {
                private_folders(folder).map_err(|error| folder_failure(folder, &error))?;
                self.made.insert(folder.to_owned());
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

/// What fits into the socket at once; the rest follows when there is room.
fn hand_over(mut stream: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::transient(format!("could not {what}: {error}"))
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
