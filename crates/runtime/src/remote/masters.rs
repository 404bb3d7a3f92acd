//! All masters of a daemon: who wants which, and the end of those that nobody does.
//!
//! ```text
//!  a host's link is wanted ──► claim ──► the master, made or taken over ──► let go ──► it ends with the last claim
//!                                          │ the daemon is killed
//!                                          ▼
//!  sweep: when a daemon has started or is about to end, and when an environment is left
//!     every master in the folder that nobody claims and on whose host no run of ours is left ──► it ends
//! ```
//!
//! A master outlives its daemon on purpose, because tunnels do. That it does not outlive its use is no matter of who was
//! killed when: whatever there is lies in the folder, the folder is this home's alone, and what is needed is read from the
//! folders of runs.

use super::master;
use super::record::Placed;
use crate::process::{Layout, runs};
use muster_spec::EnvironmentId;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The ssh masters of one home. A cheap clone; all drivers of hosts in a daemon share one.
#[derive(Debug, Clone)]
pub struct Masters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state_dir: PathBuf,
    runtime_dir: PathBuf,
    claims: Mutex<Claims>,
}

#[derive(Debug, Default)]
struct Claims {
    /// How many hosts want the master of a control socket.
    wanted: HashMap<PathBuf, usize>,
    /// The daemon is about to end: none is made any more.
    closed: bool,
}

impl Masters {
    /// Those whose control sockets lie in `runtime_dir`, for the runs below `state_dir`.
    #[must_use]
    pub fn new(state_dir: &Path, runtime_dir: &Path) -> Self {
        let (state_dir, runtime_dir) = (state_dir.to_owned(), runtime_dir.to_owned());
        Self { shared: Arc::new(Shared { state_dir, runtime_dir, claims: Mutex::default() }) }
    }

    /// Where control sockets lie.
    pub(super) fn folder(&self) -> &Path {
        &self.shared.runtime_dir
    }

    /// From now on somebody wants this master, which may be there or not. False where the daemon is about to end.
    pub(super) async fn claim(&self, control: &Path) -> bool {
        let mut claims = self.shared.claims.lock().await;
        if !claims.closed {
            *claims.wanted.entry(control.to_owned()).or_default() += 1;
        }
        !claims.closed
    }

    /// Who wanted it does not any more; it ends with the last.
    pub(super) async fn release(&self, control: &Path) {
        let mut claims = self.shared.claims.lock().await;
        let Some(count) = claims.wanted.get_mut(control) else { return };
        *count -= 1;
        if *count == 0 {
            claims.wanted.remove(control);
            master::end(control).await;
        }
    }

    /// Ends what nobody wants: left by a daemon that was killed, or of a way of logging in that is no more. `leaving` is an
    /// environment whose runs have all ended. Comes back when they are gone.
    pub async fn sweep(&self, leaving: Option<&EnvironmentId>) {
        // while it is held nobody takes over what is about to end
        let claims = self.shared.claims.lock().await;
        self.end_unneeded(|control| claims.wanted.contains_key(control), leaving).await;
    }

    /// The daemon is about to end: what no run needs ends before it, whoever wanted it, and none is made any more.
    pub async fn close(&self) {
        let mut claims = self.shared.claims.lock().await;
        claims.closed = true;
        self.end_unneeded(|_| false, None).await;
    }

    async fn end_unneeded(&self, wanted: impl Fn(&Path) -> bool, leaving: Option<&EnvironmentId>) {
        let mut unwanted = master::controls(self.folder());
        unwanted.retain(|control| !wanted(control));
        if unwanted.is_empty() {
            return;
        }
        let (state, leaving) = (self.shared.state_dir.clone(), leaving.cloned());
        let used = tokio::task::spawn_blocking(move || used(&state, leaving.as_ref())).await;
        // an error means that the process is ending
        let Ok(used) = used else { return };
        let unneeded = unwanted.into_iter().filter(|control| match master::host(control) {
            Some(host) => !used.contains(&host),
            // before its first word: only without any run it is clear that nobody needs it
            None => used.is_empty(),
        });
        let ends = unneeded.map(|control| async move {
            if master::end(&control).await {
                tracing::info!(control = %control.display(), "ended a link that nobody needed");
            }
        });
        futures::future::join_all(ends).await;
    }
}

/// Hosts with a run that is not removed yet.
fn used(state: &Path, leaving: Option<&EnvironmentId>) -> HashSet<String> {
    let layout = Layout::new(state, Path::new(""));
    let folders = fs::read_dir(state).into_iter().flatten().flatten();
    let environments = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<EnvironmentId>().ok());
    let there = environments.filter(|environment| Some(environment) != leaving);
    // what cannot be listed cannot be told from what is there
    let runs = there.flat_map(|environment| runs(&layout, &environment).unwrap_or_default());
    runs.filter_map(|run| Some(Placed::read(&layout.run(&run))?.host)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    /// The files of a master that has ended without anybody who saw it.
    fn left(masters: &Masters, host: &str) -> PathBuf {
        let control = master::control(masters.folder(), host, 12);
        let lock = master::try_lock(&control).unwrap().unwrap();
        master::note(&lock, host).unwrap();
        fs::write(&control, "").unwrap();
        control
    }

    #[tokio::test]
    async fn what_nobody_needs_goes() {
        let home = tempfile::TempDir::new().unwrap();
        let (state, runtime) = (home.path().join("state"), home.path().join("run"));
        fs::create_dir_all(&runtime).unwrap();
        let masters = Masters::new(&state, &runtime);
        let run: muster_spec::RunId = "local-0000002a/api#1/7".parse().unwrap();
        let placed = Placed { host: "used".into(), tunnels: Vec::new(), keep: 7 };
        placed.write(&Layout::new(&state, &runtime).run(&run)).unwrap();
        let [wanted, used, _nobodys] = ["wanted", "used", "nobodys"].map(|host| left(&masters, host));
        assert!(masters.claim(&wanted).await && masters.claim(&wanted).await);
        masters.sweep(None).await;
        assert_eq!((files(&runtime), wanted.exists(), used.exists()), (4, true, true));
        // its environment is down: a daemon that was killed had no time to remove the run
        masters.sweep(Some(&run.environment)).await;
        assert_eq!((files(&runtime), wanted.exists()), (2, true));
        masters.release(&wanted).await;
        assert!(wanted.exists(), "another one wants it");
        masters.release(&wanted).await;
        assert_eq!(files(&runtime), 0);
        assert!(masters.claim(&wanted).await);
        left(&masters, "wanted");
        masters.close().await;
        assert_eq!(files(&runtime), 0, "whoever wanted it");
        assert!(!masters.claim(&wanted).await);
    }
}
