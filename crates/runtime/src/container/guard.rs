//! Watches what supervises a container: `containerd-shim` of Docker, `conmon` of Podman.
//!
//! Where it is killed, Docker ends the container and tells an exit by KILL; Podman lets it run on without anybody who
//! would see its end. Both are the same to us: the tree is ended, and the exit says why. Only where the engine runs on
//! this machine, in our pid namespace.

use super::engine::Client;
use super::records::Ending;
use super::run::Run;
use crate::contract::Known;
use crate::sys::{self, FirstToEnd};
use bollard::query_parameters::KillContainerOptions;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

/// What is killed is gone within this time.
const GONE: Duration = Duration::from_secs(5);

/// A container's main process and who supervises it, both pinned.
#[derive(Debug)]
pub(super) struct Guard {
    main: OwnedFd,
    first: FirstToEnd,
}

/// Its place in [`Guard::first`], after the main process.
const SUPERVISOR: u64 = 1;

/// Whether a process of this machine belongs to a container: its cgroup is named by the container's id.
pub(super) fn is_of(pid: u32, id: &str) -> bool {
    pid > 0 && fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(id))
}

/// Who looks after a container.
pub(super) enum Supervision {
    /// Its supervisor, which is watched.
    Guarded(Arc<Guard>),
    /// Nobody: its supervisor was killed while we did not look.
    Orphaned(OwnedFd),
    /// It cannot be seen from here.
    Unseen,
}

/// Pins a container's main process and its supervisor, where they can be seen.
pub(super) fn look(pid: u32, id: &str, is_podman: bool) -> Supervision {
    let (Ok(main), Some(parent)) = (sys::open_pidfd(pid), parent(pid)) else { return Supervision::Unseen };
    if !is_of(pid, id) {
        return Supervision::Unseen;
    }
    if is_podman && name(parent).is_some_and(|name| name != "conmon") {
        return Supervision::Orphaned(main);
    }
    // pinned first, compared then: neither number can have changed its owner in between
    let guard = || {
        let (again, supervisor) = (main.try_clone()?, sys::open_pidfd(parent)?);
        if parent <= 1 || !parent_is(pid, parent) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok::<_, io::Error>(Guard { first: FirstToEnd::of(vec![again, supervisor])?, main })
    };
    guard().map_or(Supervision::Unseen, |guard| Supervision::Guarded(Arc::new(guard)))
}

impl Guard {
    /// Whether the supervisor ended before the main process did, as far as any of both has.
    pub(super) fn is_bereft(&self) -> bool {
        self.first.known() == Some(SUPERVISOR)
    }

    /// Waits until one of both is gone. Where that is the supervisor it ends the main process, and tells it.
    pub(super) async fn watch(&self, client: Arc<Client>, run: Arc<Run>, id: String) {
        match self.first.which().await {
            Ok(SUPERVISOR) => end(&self.main, &client, &run, &id).await,
            // as it should be: first the container, then who supervised it
            Ok(_) => {}
            Err(error) => tracing::warn!(run = %run.id, %error, "who supervises a container is not watched"),
        }
    }
}

/// Ends a container that nobody supervises, and tells it when it is gone.
pub(super) async fn end(main: &OwnedFd, client: &Client, run: &Run, id: &str) {
    let at_ns = muster_shim::realtime_ns();
    // the engine may tell an exit by KILL, its own or ours, before we get to tell why
    run.supervisor_killed.store(true, Ordering::SeqCst);
    let kill = KillContainerOptions { signal: "SIGKILL".to_owned() };
    // an engine that did it by itself says that it does not run
    let _ = client.docker.kill_container(id, Some(kill)).await;
    if timeout(GONE, sys::ended(main)).await.is_err() {
        tracing::error!(run = %run.id, "a container whose supervisor was killed is still there");
    }
    run.end(Ending { exit: Known::SupervisorKilled, at_ns, note: None });
}

fn name(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name in parentheses may hold anything (proc(5)): the fields go on behind the last one
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn parent_is(pid: u32, wanted: u32) -> bool {
    parent(pid) == Some(wanted)
}
