//! Finding out what became of a run: from its records, and from its supervisor where that lives.

use super::bury::{Remains, bury};
use super::connection::Connection;
use super::records::{exit_record, handle_of};
use crate::contract::{Found, Handle};
use crate::sys;
use muster_shim::{ExitCause, Message, Meta, Pipes, Request, Status, VERSION};
use muster_spec::RunId;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A supervisor that lives answers within this time, also on a machine that is very busy.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks for a socket that a supervisor was asked to bind again, or a record that is being written.
const AGAIN: Duration = Duration::from_millis(5);
/// How long a start that was under way when the daemon died may take to leave a record.
const START_UNDER_WAY: Duration = Duration::from_secs(2);
/// A supervisor may end while we look: then its record says so at the next look.
const LOOKS: usize = 3;

/// A supervisor that lives and was verified.
pub(super) struct Alive {
    pub(super) connection: Connection,
    pub(super) pidfd: OwnedFd,
    pub(super) handle: Handle,
    pub(super) socket: PathBuf,
    pub(super) status: Box<Status>,
    /// Events that came before the status did.
    pub(super) backlog: Vec<Message>,
}

/// What became of a run.
pub(super) enum Recovery {
    Alive(Box<Alive>),
    Over(Box<Found>),
}

impl Recovery {
    fn over(found: Found) -> Self {
        Self::Over(Box::new(found))
    }
}

/// Why a supervisor that should live could not be talked to.
enum Contact {
    /// The connection ended: it is about to die, the records tell more.
    Closed,
    /// It does not answer, or not as ours would.
    Wrong(String),
}

/// Looks at the records, then at the supervisor. Ends what a supervisor that died unseen left behind.
pub(super) async fn find(run: &RunId, folder: &Path, boot_id: &str) -> Recovery {
    let mut reason = String::new();
    for _ in 0..LOOKS {
        match look(run, folder, boot_id).await {
            Ok(recovery) => return recovery,
            Err(Contact::Wrong(reason)) => return Recovery::over(Found::Unverifiable(reason)),
            Err(Contact::Closed) => "its supervisor closes every connection".clone_into(&mut reason),
        }
        sleep(AGAIN).await;
    }
    Recovery::over(Found::Unverifiable(reason))
}

async fn look(run: &RunId, folder: &Path, boot_id: &str) -> Result<Recovery, Contact> {
    match muster_shim::ExitRecord::read(folder) {
        Ok(Some(record)) if record.is_complete() => {
            return Ok(Recovery::over(Found::Exited(exit_record(&record))));
        }
        Ok(_) => {}
        Err(error) => return Err(Contact::Wrong(error.to_string())),
    }
    let Some(meta) = meta_of(folder).await.map_err(|error| Contact::Wrong(error.to_string()))? else {
        return Ok(Recovery::over(Found::Absent));
    };
    if meta.run != run.to_string() {
        return Err(Contact::Wrong(format!("its folder belongs to run `{}`", meta.run)));
    }
    let same_boot = meta.boot_id == boot_id;
    let pidfd = same_boot.then(|| sys::open_pidfd(meta.shim_pid).ok()).flatten();
    // pinned first, compared then: the number cannot change its owner in between
    match pidfd.filter(|_| muster_shim::is_alive(meta.shim_pid, meta.shim_start)) {
        Some(pidfd) => contact(run, folder, &meta, pidfd).await.map(|alive| Recovery::Alive(Box::new(alive))),
        None => Ok(Recovery::over(unseen_death(run, folder).await)),
    }
}

/// The record; waits for it where a start is under way. Asking for the folder's lock instead could make that start fail.
async fn meta_of(folder: &Path) -> Result<Option<Meta>, muster_shim::RecordError> {
    loop {
        match Meta::read(folder)? {
            None if is_fresh(folder) => sleep(AGAIN).await,
            found => return Ok(found),
        }
    }
}

fn is_fresh(folder: &Path) -> bool {
    let changed = std::fs::metadata(folder).and_then(|metadata| metadata.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age < START_UNDER_WAY))
}

/// Daemon and supervisor both died, or the machine was started anew: the tree is ended, how it ended nobody knows.
async fn unseen_death(run: &RunId, folder: &Path) -> Found {
    let remains = Remains {
        run: run.to_string(),
        folder: folder.to_owned(),
        pipes: Pipes::default(),
        secrets: Vec::new(),
        cause: ExitCause::Unknown,
    };
    match tokio::task::spawn_blocking(move || bury(remains)).await {
        Ok(Ok(record)) => Found::Exited(record),
        Ok(Err(error)) => Found::Unverifiable(format!("its end could not be recorded: {error}")),
        Err(error) => Found::Unverifiable(error.to_string()),
    }
}

async fn contact(run: &RunId, folder: &Path, meta: &Meta, pidfd: OwnedFd) -> Result<Alive, Contact> {
    let socket = PathBuf::from(&meta.socket);
    let connection = match Connection::connect(&socket).await {
        Ok(connection) => connection,
        Err(_) => rebind(&socket, &pidfd).await?,
    };
    let (connection, status, backlog) = greet(connection, run).await?;
    Ok(Alive { connection, pidfd, handle: handle_of(run, folder, meta), socket, status, backlog })
}

/// The runtime folder vanished, at a logout for example: the supervisor binds its socket again when it is told.
async fn rebind(socket: &Path, pidfd: &OwnedFd) -> Result<Connection, Contact> {
    if let Some(parent) = socket.parent() {
        // the connect below says it where this fails
        let _ = std::fs::create_dir_all(parent);
    }
    sys::signal_pidfd(pidfd, libc::SIGUSR1).map_err(|_| Contact::Closed)?;
    let deadline = Instant::now() + ANSWER;
    loop {
        match Connection::connect(socket).await {
            Ok(connection) => return Ok(connection),
            Err(_) if sys::has_ended(pidfd) => return Err(Contact::Closed),
            Err(error) if Instant::now() >= deadline => {
                return Err(Contact::Wrong(format!("socket `{}` of its supervisor: {error}", socket.display())));
            }
            Err(_) => sleep(AGAIN).await,
        }
    }
}

/// Opens a connection to a supervisor that was verified before.
pub(super) async fn reopen(socket: &Path, run: &RunId) -> io::Result<(Connection, Box<Status>, Vec<Message>)> {
    let connection = Connection::connect(socket).await?;
    greet(connection, run).await.map_err(|contact| match contact {
        Contact::Closed => io::ErrorKind::ConnectionReset.into(),
        Contact::Wrong(reason) => io::Error::other(reason),
    })
}

/// Verifies who answers, subscribes and asks for the state.
async fn greet(mut connection: Connection, run: &RunId) -> Result<(Connection, Box<Status>, Vec<Message>), Contact> {
    let talk = async {
        match next(&mut connection).await? {
            Message::Hello { run: theirs, .. } if theirs != run.to_string() => {
                return Err(Contact::Wrong(format!("run `{theirs}` answers on its socket")));
            }
            Message::Hello { version, .. } if version.major != VERSION.major && version.major + 1 != VERSION.major => {
                return Err(Contact::Wrong(format!("its supervisor speaks version {version}, we speak {VERSION}")));
            }
            Message::Hello { .. } => {}
            other => return Err(Contact::Wrong(format!("its supervisor answers {other:?} to a hello"))),
        }
        let seq = connection.next_seq();
        connection.send(&Request::Subscribe { seq, logs: true }).await.map_err(|_| Contact::Closed)?;
        let asked = connection.next_seq();
        connection.send(&Request::Status { seq: asked }).await.map_err(|_| Contact::Closed)?;
        let mut backlog = Vec::new();
        loop {
            match next(&mut connection).await? {
                Message::Status { seq, status } if seq == asked => return Ok((status, backlog)),
                message => backlog.push(message),
            }
        }
    };
    match timeout(ANSWER, talk).await {
        Ok(Ok((status, backlog))) => Ok((connection, status, backlog)),
        Ok(Err(contact)) => Err(contact),
        Err(_) => Err(Contact::Wrong("its supervisor does not answer".into())),
    }
}

async fn next(connection: &mut Connection) -> Result<Message, Contact> {
    match connection.receive().await {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Contact::Closed),
        Err(error) => Err(Contact::Wrong(error.to_string())),
    }
}
