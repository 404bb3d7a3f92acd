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
    /// Opens what a run needs and nobody had opened, and closes what it had beside that. An end that led elsewhere leads
    /// to the new place from now on, for whoever else uses it as well: there is one of each.
    pub(super) async fn open(&self, ssh: &Ssh, run: &RunId, tunnels: &[Tunnel]) -> Result<(), Trouble> {
        let mut users = self.users.lock().await;
        let unused = Self::unused(&mut users, run, tunnels);
        let fresh: Vec<Tunnel> = tunnels.iter().filter(|tunnel| !users.contains_key(tunnel)).cloned().collect();
        let (mut moved, mut old) = (Vec::new(), unused);
        for tunnel in &fresh {
            let same = |other: &&Tunnel| other.end == tunnel.end && other.listen == tunnel.listen;
            let before: Vec<Tunnel> = users.keys().filter(same).cloned().collect();
            for other in before {
                moved.extend(users.remove(&other).unwrap_or_default().into_iter().map(|run| (tunnel.clone(), run)));
                old.push(other);
            }
        }
        if !old.is_empty() {
            ssh.cancel(&old).await;
        }
        let opened = if fresh.is_empty() { Ok(()) } else { ssh.forward(&fresh).await };
        // also what could not be opened: the next link tries again
        for (tunnel, run) in moved {
            users.entry(tunnel).or_default().insert(run);
        }
        if opened.is_ok() {
            for tunnel in tunnels {
                users.entry(tunnel.clone()).or_default().insert(run.clone());
            }
        }
        opened
    }

    /// Takes a run from all but these, and gives what nobody uses then.
    fn unused(users: &mut BTreeMap<Tunnel, HashSet<RunId>>, run: &RunId, kept: &[Tunnel]) -> Vec<Tunnel> {
        let mut unused = Vec::new();
        users.retain(|tunnel, runs| {
            if !kept.contains(tunnel) && runs.remove(run) && runs.is_empty() {
                unused.push(tunnel.clone());
            }
            !runs.is_empty()
        });
        unused
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
        let unused = Self::unused(&mut users, run, &[]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use muster_spec::{Address, TunnelEnd};

    #[test]
    fn what_one_run_leaves_others_keep() {
        let [one, two]: [RunId; 2] = ["local-0000002a/a#1/1", "local-0000002a/b#1/1"].map(|text| text.parse().unwrap());
        let at = |port| Address { host: "127.0.0.1".to_owned(), port };
        let [kept, shared, own] = [1, 2, 3].map(|port| Tunnel { end: TunnelEnd::Far, listen: at(port), to: at(port) });
        let mut users = BTreeMap::from([
            (kept.clone(), HashSet::from([one.clone()])),
            (shared.clone(), HashSet::from([one.clone(), two.clone()])),
            (own.clone(), HashSet::from([one.clone()])),
        ]);
        assert_eq!(Tunnels::unused(&mut users, &one, std::slice::from_ref(&kept)), [own]);
        assert_eq!(users[&kept], HashSet::from([one]));
        assert_eq!(users[&shared], HashSet::from([two]));
    }
}
