//! One host: its link, which one task keeps, and what depends on it.
//!
//! ```text
//!  Idle ──wanted──► Connecting ──► Up(mux) ──lost──► Down ──backoff──► Up | Down ...
//!    ▲                                 │               │
//!    └───────────── nobody of ours is there any more ──┘
//! ```

use super::binaries::Kinds;
use super::masters::Masters;
use super::mux::Mux;
use super::ssh::Ssh;
use super::trouble::Trouble;
use super::tunnels::Tunnels;
use super::upload;
use super::wire::Ask;
use futures::FutureExt as _;
use muster_spec::{EnvironmentId, RunId};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::process::Child;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// The first pause after a link was lost.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest where the host may be back at any time,
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// and where a person has to do something first: whoever starts something does not wait for it.
const LASTING_PAUSE: Duration = Duration::from_secs(30);
/// Whoever asks waits this long for the first connection, uploads aside.
const FIRST_LINK: Duration = Duration::from_secs(45);

/// Between two attempts to open a tunnel over a link that is there.
const REOPEN: Duration = Duration::from_secs(1);
/// A link that nobody uses is gone within this time.
const LET_GO: Duration = Duration::from_secs(5);

/// Where the link stands.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// Nobody wants it.
    Idle,
    /// Nobody knows yet.
    Connecting,
    /// There.
    Up(Arc<Mux>),
    /// Not there; tried again until it is.
    Down(Trouble),
}

/// State of a link, and how many attempts have come out so far.
#[derive(Debug, Clone)]
struct Standing {
    link: Link,
    attempts: u64,
}

/// A host.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) ssh: Ssh,
    kinds: Arc<Kinds>,
    owner: String,
    standing: watch::Sender<Standing>,
    wanted: watch::Sender<bool>,
    now: Arc<Notify>,
    pub(super) tunnels: Tunnels,
    /// Runs of ours that are there.
    users: Mutex<HashSet<RunId>>,
    /// Environments that had runs there since they were left.
    environments: Mutex<HashSet<EnvironmentId>>,
    /// Ended runs that are removed there when the link is back.
    leftovers: Mutex<HashSet<RunId>>,
}

impl Host {
    /// Makes a host and the task that keeps its link when somebody wants it.
    pub(super) fn new(name: &str, ssh: Ssh, masters: Masters, kinds: Arc<Kinds>, owner: String) -> Arc<Self> {
        let host = Arc::new(Self {
            name: name.to_owned(),
            ssh,
            kinds,
            owner,
            standing: watch::Sender::new(Standing { link: Link::Idle, attempts: 0 }),
            wanted: watch::Sender::new(false),
            now: Arc::default(),
            tunnels: Tunnels::default(),
            users: Mutex::default(),
            environments: Mutex::default(),
            leftovers: Mutex::default(),
        });
        let keeper = Keeper {
            host: Arc::downgrade(&host),
            wanted: host.wanted.subscribe(),
            now: Arc::clone(&host.now),
            ssh: host.ssh.clone(),
            masters,
        };
        tokio::spawn(keeper.keep());
        host
    }

    /// The link, or why there is none now. Waits for the first attempt's outcome.
    pub(super) async fn mux(&self) -> Result<Arc<Mux>, Trouble> {
        self.wanted.send_replace(true);
        self.outcome(|_| true).await
    }

    /// The link, where it is there now and wanted: for what is not worth a connection.
    pub(super) fn there(&self) -> Option<Arc<Mux>> {
        match &self.standing.borrow().link {
            Link::Up(mux) if mux.reason().is_none() && *self.wanted.borrow() => Some(Arc::clone(mux)),
            Link::Up(_) | Link::Down(_) | Link::Idle | Link::Connecting => None,
        }
    }

    /// The same, but what is known to be down is tried once more first.
    pub(super) async fn tried(&self) -> Result<Arc<Mux>, Trouble> {
        let before = self.standing.borrow().attempts;
        self.wanted.send_replace(true);
        if self.trouble().is_some() {
            self.now.notify_one();
        }
        self.outcome(|standing| !matches!(standing.link, Link::Down(_)) || standing.attempts > before).await
    }

    async fn outcome(&self, counts: impl Fn(&Standing) -> bool) -> Result<Arc<Mux>, Trouble> {
        let mut standing = self.standing.subscribe();
        let settled = |now: &Standing| match &now.link {
            Link::Idle | Link::Connecting => false,
            Link::Up(mux) => mux.reason().is_none(),
            Link::Down(_) => counts(now),
        };
        let late = || Trouble::passing(format!("connecting to host `{}` takes too long", self.name));
        match timeout(FIRST_LINK, standing.wait_for(settled)).await {
            Ok(Ok(standing)) => match &standing.link {
                Link::Up(mux) => Ok(Arc::clone(mux)),
                Link::Down(trouble) => Err(trouble.clone()),
                Link::Idle | Link::Connecting => Err(late()),
            },
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    /// Waits for the link however long it takes; `lost` is told why there is none, each time that changes.
    pub(super) async fn back(&self, mut lost: impl FnMut(&str)) -> Arc<Mux> {
        self.wanted.send_replace(true);
        let mut standing = self.standing.subscribe();
        loop {
            {
                let now = standing.borrow_and_update();
                match &now.link {
                    Link::Up(mux) if mux.reason().is_none() => return Arc::clone(mux),
                    Link::Down(trouble) => lost(&trouble.text),
                    Link::Up(_) | Link::Idle | Link::Connecting => {}
                }
            }
            if standing.changed().await.is_err() {
                // the host itself is gone, and with it whoever could wait
                std::future::pending::<()>().await;
            }
        }
    }

    /// What keeps us from it now, if anything is known to.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match &self.standing.borrow().link {
            Link::Down(trouble) => Some(trouble.clone()),
            Link::Up(_) | Link::Idle | Link::Connecting => None,
        }
    }

    fn users(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn environments(&self) -> MutexGuard<'_, HashSet<EnvironmentId>> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leftovers(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An environment has something there, or had: it is to be left.
    pub(super) fn entered(&self, environment: &EnvironmentId) {
        self.environments().insert(environment.clone());
    }

    /// A run of ours is there.
    pub(super) fn used(&self, run: &RunId) {
        self.users().insert(run.clone());
        self.entered(&run.environment);
    }

    /// A run of ours is there no more.
    pub(super) fn unused(&self, run: &RunId) {
        self.users().remove(run);
    }

    /// An ended run is removed there when the link is back.
    pub(super) fn remove_later(&self, run: &RunId) {
        self.leftovers().insert(run.clone());
    }

    /// Whether an environment has or had runs there.
    pub(super) fn serves(&self, environment: &EnvironmentId) -> bool {
        self.environments().contains(environment)
    }

    /// An environment is left; whether it had runs there.
    pub(super) fn left(&self, environment: &EnvironmentId) -> bool {
        self.environments().remove(environment)
    }

    /// Lets the link go unless something of ours is there, and waits until it is gone.
    pub(super) async fn release(&self) {
        if !self.users().is_empty() || !self.environments().is_empty() || !*self.wanted.borrow() {
            tracing::debug!(host = self.name, runs = ?self.users(), "the link is kept");
            return;
        }
        self.wanted.send_replace(false);
        let mut standing = self.standing.subscribe();
        let gone = standing.wait_for(|now| matches!(now.link, Link::Idle) || *self.wanted.borrow());
        // what takes longer is a connection that does not end, and ends by itself
        let _ = timeout(LET_GO, gone).await;
    }

    /// Brings the agent and the supervisor there again: one of them was removed.
    pub(super) async fn bring_again(&self) -> Result<(), Trouble> {
        upload::bring_again(&self.ssh, &self.name, &self.kinds).await
    }

    fn set(&self, link: Link) {
        self.standing.send_modify(|standing| {
            let counts = matches!(link, Link::Up(_) | Link::Down(_));
            standing.attempts += u64::from(counts);
            standing.link = link;
        });
    }

    async fn connect(&self) -> Result<(Arc<Mux>, Child), Trouble> {
        let fresh = self.ssh.ensure_master().await?;
        let (mux, child) = upload::agent(&self.ssh, &self.name, &self.kinds, &self.owner).await?;
        // ours of before a lost link, too
        if let Err(trouble) = self.tunnels.open_all(&self.ssh, fresh).await {
            tracing::warn!(host = self.name, %trouble, "a tunnel could not be opened again");
        }
        Ok((mux, child))
    }

    async fn remove_leftovers(&self, mux: &Mux) {
        let runs: Vec<RunId> = self.leftovers().iter().cloned().collect();
        for run in runs {
            match mux.call(Ask::Destroy { run: run.clone() }).await {
                Ok(Ok(_)) => drop(self.leftovers().remove(&run)),
                Ok(Err(failure)) => {
                    tracing::warn!(%run, reason = failure.text(), "cannot remove what is left of a run");
                    self.leftovers().remove(&run);
                }
                Err(_) => return,
            }
        }
    }
}

/// The task behind a host; ends with it, and then leaves the master to whoever comes next.
struct Keeper {
    host: Weak<Host>,
    wanted: watch::Receiver<bool>,
    now: Arc<Notify>,
    ssh: Ssh,
    masters: Masters,
}

/// What ended a wait.
enum Woken {
    /// What was waited for.
    Due,
    /// Nobody wants the link any more.
    LetGo,
    /// The host is gone: its daemon is ending.
    Gone,
}

impl Keeper {
    async fn keep(mut self) {
        let (mut failures, mut claimed) = (0, false);
        loop {
            if self.wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            if !claimed {
                claimed = self.masters.claim(self.ssh.control_path()).await;
            }
            let Some(host) = self.host.upgrade().filter(|_| claimed) else { return };
            if matches!(host.standing.borrow().link, Link::Idle) {
                host.set(Link::Connecting);
            }
            // whoever asked for an attempt gets this one
            let _ = self.now.notified().now_or_never();
            let woken = match host.connect().await {
                Ok((mux, child)) => {
                    tracing::info!(host = host.name, boot = mux.hello.boot_id, "link up");
                    if !mux.hello.takes_orphans {
                        tracing::warn!(host = host.name, "what forks away from a killed supervisor is not found there");
                    }
                    failures = 0;
                    self.carry(host, mux, child).await
                }
                Err(trouble) => {
                    failures += 1;
                    if failures == 1 {
                        tracing::info!(host = host.name, %trouble, "no link");
                    }
                    let pause = pause(failures, trouble.lasting);
                    host.set(Link::Down(trouble));
                    drop(host);
                    self.rest(pause).await
                }
            };
            match woken {
                Woken::Due => {}
                Woken::LetGo => {
                    (failures, claimed) = (0, false);
                    self.masters.release(self.ssh.control_path()).await;
                    if let Some(host) = self.host.upgrade() {
                        host.set(Link::Idle);
                    }
                }
                Woken::Gone => return,
            }
        }
    }

    /// Until the link is over and the time for the next attempt has come, or nobody wants it.
    async fn carry(&mut self, host: Arc<Host>, mux: Arc<Mux>, mut child: Child) -> Woken {
        host.set(Link::Up(Arc::clone(&mux)));
        host.remove_leftovers(&mux).await;
        let (name, shut) = (host.name.clone(), host.tunnels.shut());
        // whoever is the last to use it ends it
        drop(host);
        let over = tokio::select! {
            reason = mux.ended() => Ok(reason),
            let_go = self.wanted.wait_for(|wanted| !*wanted) => {
                Err(if let_go.is_ok() { Woken::LetGo } else { Woken::Gone })
            }
            () = reopen(&self.host, &self.ssh, shut) => Err(Woken::Gone),
        };
        mux.close("nothing of ours is there any more");
        // the session, and with it the agent; a dead one is not waited for
        let _ = child.start_kill();
        tokio::spawn(async move { child.wait().await });
        match over {
            Ok(reason) => {
                tracing::info!(host = name, reason, "link lost");
                let Some(host) = self.host.upgrade() else { return Woken::Gone };
                host.set(Link::Down(Trouble::passing(format!("link to host `{name}` lost: {reason}"))));
                drop(host);
                self.rest(pause(1, false)).await
            }
            Err(woken) => woken,
        }
    }

    /// Waits for the next attempt.
    async fn rest(&mut self, pause: Duration) -> Woken {
        tokio::select! {
            () = sleep(pause) => Woken::Due,
            () = self.now.notified() => Woken::Due,
            let_go = self.wanted.wait_for(|wanted| !*wanted) => {
                if let_go.is_ok() { Woken::LetGo } else { Woken::Gone }
            }
        }
    }
}

/// Opens what is shut, until the host is gone.
async fn reopen(host: &Weak<Host>, ssh: &Ssh, mut shut: watch::Receiver<usize>) {
    while shut.wait_for(|count| *count > 0).await.is_ok() {
        sleep(REOPEN).await;
        let Some(host) = host.upgrade() else { return };
        match host.tunnels.retry(ssh).await {
            Ok(()) => tracing::info!(host = host.name, "all tunnels are open again"),
            Err(trouble) => tracing::debug!(host = host.name, %trouble, "a tunnel is shut still"),
        }
    }
}

/// Doubles up to its cap, and is up to a fifth shorter, so that many who lost one host do not come back together.
fn pause(failures: u32, lasting: bool) -> Duration {
    let cap = if lasting { LASTING_PAUSE } else { LONGEST_PAUSE };
    let grown = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(cap);
    let grown = if lasting { cap } else { grown };
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    grown - grown.mul_f64(f64::from(nanos % 1000) / 5000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_cap() {
        let within = |pause: Duration, to: Duration| pause <= to && pause >= to.mul_f64(0.8);
        assert!(within(pause(1, false), FIRST_PAUSE));
        assert!(within(pause(3, false), FIRST_PAUSE * 4));
        assert!(within(pause(99, false), LONGEST_PAUSE));
        assert!(within(pause(1, true), LASTING_PAUSE));
    }
}
