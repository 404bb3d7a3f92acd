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
//! What is ending is marked so, and whoever wants the same one waits for that; nobody waits for another one's end, which
//! takes seconds where a host is gone.
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
use tokio::sync::watch;

/// The ssh masters of one home. A cheap clone; all drivers of hosts in a daemon share one.
#[derive(Debug, Clone)]
pub struct Masters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state_dir: PathBuf,
    runtime_dir: PathBuf,
    /// Changed at once or not at all: an end takes seconds where a master does not obey.
    claims: watch::Sender<Claims>,
}

#[derive(Debug, Default)]
struct Claims {
    /// How many hosts want the master of a control socket.
    wanted: HashMap<PathBuf, usize>,
    /// Those that somebody ends, or thinks about it: whoever wants one of them waits until that is over.
    ending: HashSet<PathBuf>,
    /// The daemon is about to end: none is made any more.
    closed: bool,
}

/// Who may be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those that nobody wants.
    Unwanted,
    /// All of them.
    Any,
}

/// Masters that are ours to end, until this is dropped.
struct Reserved<'a> {
    claims: &'a watch::Sender<Claims>,
    controls: Vec<PathBuf>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.claims.send_modify(|claims| claims.ending.retain(|control| !self.controls.contains(control)));
    }
}

impl Masters {
    /// Those whose control sockets lie in `runtime_dir`, for the runs below `state_dir`.
    #[must_use]
    pub fn new(state_dir: &Path, runtime_dir: &Path) -> Self {
        let (state_dir, runtime_dir) = (state_dir.to_owned(), runtime_dir.to_owned());
        Self { shared: Arc::new(Shared { state_dir, runtime_dir, claims: watch::Sender::default() }) }
    }

    /// Where control sockets lie.
    pub(super) fn folder(&self) -> &Path {
        &self.shared.runtime_dir
    }

    /// From now on somebody wants this master, which may be there or not. Waits where it is ending, and for no other one's
    /// end. False where the daemon is about to end.
    pub(super) async fn claim(&self, control: &Path) -> bool {
        let mut changes = self.shared.claims.subscribe();
        loop {
            let mut claimed = None;
            self.shared.claims.send_if_modified(|claims| {
                if claims.closed {
                    claimed = Some(false);
                } else if !claims.ending.contains(control) {
                    *claims.wanted.entry(control.to_owned()).or_default() += 1;
                    claimed = Some(true);
                }
                false
            });
            if let Some(claimed) = claimed {
                return claimed;
            }
            let over = changes.wait_for(|claims| claims.closed || !claims.ending.contains(control)).await;
            over.expect("invariant: the sender is ours");
        }
    }

    /// Who wanted it does not any more; it ends with the last. Comes back when it is gone.
    pub(super) async fn release(&self, control: &Path) {
        let mut last = false;
        self.shared.claims.send_if_modified(|claims| {
            let Some(count) = claims.wanted.get_mut(control) else { return false };
            *count -= 1;
            last = *count == 0;
            if last {
                claims.wanted.remove(control);
                claims.ending.insert(control.to_owned());
            }
            last
        });
        if last {
            let _until_it_is_gone = Reserved { claims: &self.shared.claims, controls: vec![control.to_owned()] };
            master::end(control).await;
        }
    }

    /// Ends what nobody wants: left by a daemon that was killed, or of a way of logging in that is no more. `leaving` is an
    /// environment whose runs have all ended. Comes back when they are gone, whoever ends them.
    pub async fn sweep(&self, leaving: Option<&EnvironmentId>) {
        self.end_unneeded(Which::Unwanted, leaving).await;
    }

    /// The daemon is about to end: what no run needs ends before it, whoever wanted it, and none is made any more.
    pub async fn close(&self) {
        self.shared.claims.send_modify(|claims| claims.closed = true);
        self.end_unneeded(Which::Any, None).await;
    }

    async fn end_unneeded(&self, which: Which, leaving: Option<&EnvironmentId>) {
        // one that is made after this look is wanted
        let mut left = master::controls(self.folder());
        let mut changes = self.shared.claims.subscribe();
        while !left.is_empty() {
            let (ours, others) = self.reserve(left, which);
            self.end_unused(&ours.controls, leaving).await;
            drop(ours);
            let over = changes.wait_for(|claims| others.iter().all(|control| !claims.ending.contains(control))).await;
            over.expect("invariant: the sender is ours");
            // whoever had them may have let them be
            left = others.into_iter().filter(|control| control.with_extension(master::LOCK).exists()).collect();
        }
    }

    /// Takes of these what may be ended, and gives beside it what somebody else has taken.
    fn reserve(&self, controls: Vec<PathBuf>, which: Which) -> (Reserved<'_>, Vec<PathBuf>) {
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        self.shared.claims.send_if_modified(|claims| {
            for control in controls {
                if which == Which::Unwanted && claims.wanted.contains_key(&control) {
                    continue;
                }
                let whose = if claims.ending.insert(control.clone()) { &mut ours } else { &mut others };
                whose.push(control);
            }
            !ours.is_empty()
        });
        (Reserved { claims: &self.shared.claims, controls: ours }, others)
    }

    /// Ends those of these that no run needs.
    async fn end_unused(&self, controls: &[PathBuf], leaving: Option<&EnvironmentId>) {
        if controls.is_empty() {
            return;
        }
        let (state, leaving) = (self.shared.state_dir.clone(), leaving.cloned());
        let used = tokio::task::spawn_blocking(move || used(&state, leaving.as_ref())).await;
        // an error means that the process is ending
        let Ok(used) = used else { return };
        let unneeded = controls.iter().filter(|control| match master::host(control) {
            Some(host) => !used.contains(&host),
            // before its first word: only without any run it is clear that nobody needs it
            None => used.is_empty(),
        });
        let ends = unneeded.map(|control| async move {
            if master::end(control).await {
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

    /// A master that is deaf to TERM: its end takes as long as one may.
    fn deaf(masters: &Masters, host: &str) -> (PathBuf, std::process::Child) {
        use std::io::Read as _;
        let control = master::control(masters.folder(), host, 12);
        let lock = master::try_lock(&control).unwrap().unwrap();
        master::note(&lock, host).unwrap();
        let script = "trap '' TERM; echo >&2; while :; do sleep 0.1; done";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, "sh"]).arg("-S").arg(&control).arg("-M").stdin(lock);
        let piped = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stderr.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        (control, child)
    }

    #[tokio::test]
    async fn nobody_waits_for_the_end_of_another_ones() {
        use futures::FutureExt as _;
        let home = tempfile::TempDir::new().unwrap();
        let runtime = home.path().join("run");
        fs::create_dir_all(&runtime).unwrap();
        let masters = Masters::new(&home.path().join("state"), &runtime);
        let (control, mut child) = deaf(&masters, "slow");
        assert!(masters.claim(&control).await);
        let release = masters.release(&control);
        tokio::pin!(release);
        assert_eq!(release.as_mut().now_or_never(), None, "it is asked to end");

        let other = left(&masters, "other");
        assert_eq!(masters.claim(&other).now_or_never(), Some(true), "another host's is had at once");
        let again = masters.claim(&control);
        tokio::pin!(again);
        assert_eq!(again.as_mut().now_or_never(), None, "what is ending is not had");
        let sweep = masters.sweep(None);
        tokio::pin!(sweep);
        let early = tokio::select! {
            biased;
            () = &mut sweep => "sweep",
            _claimed = &mut again => "claim",
            () = &mut release => "release",
        };
        assert_eq!((early, control.with_extension("master").exists()), ("release", false));
        // it is nobody's child but ours: not yet waited for
        assert!(!child.wait().unwrap().success());
        sweep.await;
        assert!(again.await && other.exists(), "what is wanted stays");
    }

    #[tokio::test]
    async fn what_is_given_up_halfway_can_be_had_again() {
        use futures::FutureExt as _;
        let home = tempfile::TempDir::new().unwrap();
        let runtime = home.path().join("run");
        fs::create_dir_all(&runtime).unwrap();
        let masters = Masters::new(&home.path().join("state"), &runtime);
        let (control, mut child) = deaf(&masters, "slow");
        assert!(masters.claim(&control).await);
        assert_eq!(masters.release(&control).now_or_never(), None, "nobody waits for it any more");
        assert_eq!(masters.claim(&control).now_or_never(), Some(true));
        child.kill().unwrap();
        child.wait().unwrap();
        masters.close().await;
        assert_eq!((files(&runtime), masters.claim(&control).await), (0, false));
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
