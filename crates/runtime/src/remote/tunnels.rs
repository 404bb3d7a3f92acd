//! The tunnels of one host and the runs that need them: opened with the first, closed with the last.

use super::ssh::Ssh;
use super::trouble::Trouble;
use muster_spec::{RunId, Tunnel};
use std::collections::{BTreeMap, HashSet};
use tokio::sync::Mutex;

/// What is open, for whom.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    users: Mutex<BTreeMap<Tunnel, HashSet<RunId>>>,
}

impl Tunnels {
    /// Opens what a run needs and nobody had opened.
    pub(super) async fn open(&self, ssh: &Ssh, run: &RunId, tunnels: &[Tunnel]) -> Result<(), Trouble> {
        if tunnels.is_empty() {
            return Ok(());
        }
        let mut users = self.users.lock().await;
        let fresh: Vec<Tunnel> = tunnels.iter().filter(|tunnel| !users.contains_key(tunnel)).cloned().collect();
        ssh.forward(&fresh).await?;
        for tunnel in tunnels {
            users.entry(tunnel.clone()).or_default().insert(run.clone());
        }
        Ok(())
    }

    /// Takes note that a run needs these, whether or not they are open: they are opened with the next link.
    pub(super) async fn note(&self, run: &RunId, tunnels: &[Tunnel]) {
        let mut users = self.users.lock().await;
        for tunnel in tunnels {
            users.entry(tunnel.clone()).or_default().insert(run.clone());
        }
    }

    /// Closes what nobody needs after this run.
    pub(super) async fn close(&self, ssh: &Ssh, run: &RunId) {
        let mut users = self.users.lock().await;
        let mut unused = Vec::new();
        users.retain(|tunnel, runs| {
            if runs.remove(run) && runs.is_empty() {
                unused.push(tunnel.clone());
            }
            !runs.is_empty()
        });
        if !unused.is_empty() {
            ssh.cancel(&unused).await;
        }
    }

    /// Opens all of them, after the connection they went through is gone.
    pub(super) async fn open_all(&self, ssh: &Ssh, fresh: bool) -> Result<(), Trouble> {
        let users = self.users.lock().await;
        if !fresh {
            return Ok(());
        }
        // one by one: a port that was taken meanwhile keeps no other tunnel closed
        let mut trouble = Ok(());
        for tunnel in users.keys() {
            if let Err(error) = ssh.forward(std::slice::from_ref(tunnel)).await {
                trouble = Err(error);
            }
        }
        trouble
    }
}
