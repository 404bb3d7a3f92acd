//! The tunnels of one host and the runs that need them: opened with the first, closed with the last.
//!
//! One that cannot be opened while a link is there - the other end of a link that was cut may hold its port for a while -
//! is *shut*, and tried again until it is open or nobody needs it.

use super::ssh::Ssh;
use super::trouble::Trouble;
use muster_spec::{RunId, Tunnel};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tokio::sync::{Mutex, watch};

/// What is open, for whom.
#[derive(Debug)]
pub(super) struct Tunnels {
    table: Mutex<Table>,
    /// How many are shut.
    shut: watch::Sender<usize>,
}

type Users = BTreeMap<Tunnel, HashSet<RunId>>;

#[derive(Debug, Default)]
struct Table {
    users: Users,
    /// Of these, what is not open.
    shut: BTreeSet<Tunnel>,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self { table: Mutex::default(), shut: watch::Sender::new(0) }
    }
}

impl Tunnels {
    /// How many are to be open and are not.
    pub(super) fn shut(&self) -> watch::Receiver<usize> {
        self.shut.subscribe()
    }

    /// Opens what a run needs and nobody had opened, and closes what it had beside that. An end that led elsewhere leads
    /// to the new place from now on, for whoever else uses it as well: there is one of each.
    pub(super) async fn open(&self, ssh: &Ssh, run: &RunId, tunnels: &[Tunnel]) -> Result<(), Trouble> {
        let mut table = self.table.lock().await;
        let unused = Self::unused(&mut table.users, run, tunnels);
        let closed = |tunnel: &&Tunnel| !table.users.contains_key(tunnel) || table.shut.contains(tunnel);
        let fresh: Vec<Tunnel> = tunnels.iter().filter(closed).cloned().collect();
        let (mut moved, mut old) = (Vec::new(), unused);
        for tunnel in &fresh {
            let same = |other: &&Tunnel| *other != tunnel && other.end == tunnel.end && other.listen == tunnel.listen;
            let before: Vec<Tunnel> = table.users.keys().filter(same).cloned().collect();
            for other in before {
                let users = table.users.remove(&other).unwrap_or_default();
                moved.extend(users.into_iter().map(|run| (tunnel.clone(), run)));
                old.push(other);
            }
        }
        if !old.is_empty() {
            ssh.cancel(&old).await;
        }
        let opened = if fresh.is_empty() { Ok(()) } else { ssh.forward(&fresh).await };
        // also what could not be opened: it is tried again
        for (tunnel, run) in moved {
            table.users.entry(tunnel).or_default().insert(run);
        }
        if opened.is_ok() {
            for tunnel in tunnels {
                table.users.entry(tunnel.clone()).or_default().insert(run.clone());
            }
        }
        for tunnel in fresh {
            if opened.is_ok() {
                table.shut.remove(&tunnel)
            } else {
                table.shut.insert(tunnel)
            };
        }
        self.tell(&mut table);
        opened
    }

    /// Takes a run from all but these, and gives what nobody uses then.
    fn unused(users: &mut Users, run: &RunId, kept: &[Tunnel]) -> Vec<Tunnel> {
        let mut unused = Vec::new();
        users.retain(|tunnel, runs| {
            if !kept.contains(tunnel) && runs.remove(run) && runs.is_empty() {
                unused.push(tunnel.clone());
            }
            !runs.is_empty()
        });
        unused
    }

    /// Takes note that a run needs these, whether or not they are open.
    pub(super) async fn note(&self, run: &RunId, tunnels: &[Tunnel]) {
        let mut table = self.table.lock().await;
        for tunnel in tunnels {
            if !table.users.contains_key(tunnel) {
                table.shut.insert(tunnel.clone());
            }
            table.users.entry(tunnel.clone()).or_default().insert(run.clone());
        }
        self.tell(&mut table);
    }

    /// Closes what nobody needs after this run.
    pub(super) async fn close(&self, ssh: &Ssh, run: &RunId) {
        let mut table = self.table.lock().await;
        let unused = Self::unused(&mut table.users, run, &[]);
        if !unused.is_empty() {
            ssh.cancel(&unused).await;
        }
        self.tell(&mut table);
    }

    /// A link is there again: over a fresh one all of them are opened anew.
    pub(super) async fn open_all(&self, ssh: &Ssh, fresh: bool) -> Result<(), Trouble> {
        let mut table = self.table.lock().await;
        if fresh {
            table.shut = table.users.keys().cloned().collect();
        }
        self.open_shut(ssh, &mut table).await
    }

    /// Tries once more to open what is shut.
    pub(super) async fn retry(&self, ssh: &Ssh) -> Result<(), Trouble> {
        let mut table = self.table.lock().await;
        self.open_shut(ssh, &mut table).await
    }

    async fn open_shut(&self, ssh: &Ssh, table: &mut Table) -> Result<(), Trouble> {
        // one by one: a port that was taken meanwhile keeps no other tunnel closed
        let mut trouble = Ok(());
        for tunnel in table.shut.clone() {
            match ssh.forward(std::slice::from_ref(&tunnel)).await {
                Ok(()) => drop(table.shut.remove(&tunnel)),
                Err(error) => trouble = Err(error),
            }
        }
        self.tell(table);
        trouble
    }

    fn tell(&self, table: &mut Table) {
        let Table { users, shut } = table;
        shut.retain(|tunnel| users.contains_key(tunnel));
        let count = shut.len();
        self.shut.send_if_modified(|known| std::mem::replace(known, count) != count);
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
