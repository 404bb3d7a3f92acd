//! Children and process groups.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpgid};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

/// How often, and how many times, killed orphans are looked for.
const REAP: (Duration, u32) = (Duration::from_millis(5), 200);

/// Waits for a child's end and leaves its exit status where it is: until it is taken, its number means nothing else.
pub(crate) async fn ended(child: &mut Child) -> io::Result<()> {
    let Some(pid) = child.id().and_then(pid) else { return Ok(()) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => {
            watched(pidfd)?.readable().await?.retain_ready();
            Ok(())
        }
        // A kernel without pidfds (before 5.3): the status is taken a moment early.
        Err(Errno::NOSYS) => child.wait().await.map(drop),
        Err(error) => Err(error.into()),
    }
}

#[expect(deprecated, reason = "its replacement is unsafe, and an `OwnedFd` keeps what that asks for")]
fn watched(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

/// Ends a process group.
pub(crate) fn kill_group(id: u32) {
    if let Some(pid) = pid(id) {
        // The only error is that nobody is left.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// As a subreaper we inherit what the group's leader leaves behind: takes the exits of that group only, in the
/// background, never those of anybody else's children.
pub(crate) fn reap_group(id: u32) {
    let (Some(pid), Ok(runtime)) = (pid(id), tokio::runtime::Handle::try_current()) else { return };
    runtime.spawn(async move {
        for _ in 0..REAP.1 {
            match waitpgid(pid, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => tokio::time::sleep(REAP.0).await,
                // Nobody is left.
                Err(_) => return,
            }
        }
    });
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}
