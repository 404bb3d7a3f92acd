//! "Its own process tree listens": asked of the kernel per port, the owner looked up once. Where it runs on another machine,
//! that one is asked.

use crate::ProbeContext;
use futures::future::BoxFuture;
use muster_sockets::{Holder, Owner, holder_of, listening_on};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long the name of a stranger is good: a look at all processes takes milliseconds.
const STRANGER: Duration = Duration::from_secs(1);

/// Asks another machine who has these ports there, seen from the run's own processes: an answer for each, in this order.
pub type HeldThere = Arc<dyn Fn(Vec<u16>) -> BoxFuture<'static, Result<Vec<Holder>, String>> + Send + Sync>;

/// Another machine, and how it is asked.
#[derive(Clone)]
pub(crate) struct There {
    pub(crate) host: String,
    pub(crate) held: HeldThere,
}

/// Whose listening counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Only the run's own.
    Own,
    /// Whoever listens, as a connection finds whoever accepts it.
    Anybodys,
}

/// What was found out about sockets, by inode.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The run's own listening sockets, by port.
    own: HashMap<u16, u64>,
    /// The last answer about a port that somebody else holds.
    strangers: HashMap<u16, (Instant, String)>,
}

impl Known {
    /// Why the port is somebody else's, where that was found out just now.
    fn stranger(&self, port: u16) -> Option<String> {
        let (at, reason) = self.strangers.get(&port)?;
        (at.elapsed() < STRANGER).then(|| reason.clone())
    }

    /// Takes an answer in. `at` says where the port is; empty for this machine.
    fn take(&mut self, port: u16, at: &str, holder: Holder) -> Result<(), String> {
        match holder {
            Holder::Nobody => {
                self.own.remove(&port);
                Err(format!("nothing listens on port {port}{at}"))
            }
            Holder::Tree(inode) => {
                self.own.insert(port, inode);
                self.strangers.remove(&port);
                Ok(())
            }
            // Its descriptors are hidden from us, nobody else's are the ones: it is taken for its own.
            Holder::Hidden => Ok(()),
            Holder::Other(owner) => {
                let reason = strange(port, at, owner.as_ref());
                self.strangers.insert(port, (Instant::now(), reason.clone()));
                Err(reason)
            }
        }
    }
}

fn strange(port: u16, at: &str, owner: Option<&Owner>) -> String {
    match owner {
        Some(owner) => format!("port {port}{at} is held by {owner}, not by this service"),
        None => format!("port {port}{at} is held by a process that cannot be seen, not by this service"),
    }
}

/// Passes when the tree holds a listening socket on each port.
pub(crate) async fn check(ports: &[u16], context: &ProbeContext) -> Result<(), String> {
    let mut reasons = Vec::new();
    for port in ports {
        if let Err(reason) = one(*port, context).await {
            reasons.push(reason);
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
}

async fn one(port: u16, context: &ProbeContext) -> Result<(), String> {
    let sockets = listening_on(port).map_err(|error| format!("port {port} cannot be asked for: {error}"))?;
    if sockets.is_empty() {
        return context.known().take(port, "", Holder::Nobody);
    }
    {
        let known = context.known();
        if known.own.get(&port).is_some_and(|inode| sockets.contains(inode)) {
            return Ok(());
        }
        if let Some(reason) = known.stranger(port) {
            return Err(reason);
        }
    }
    let roots = context.pids();
    // Reading /proc of a large tree is not for the thread that all probes share.
    let found = tokio::task::spawn_blocking(move || holder_of(&sockets, &roots)).await;
    context.known().take(port, "", found.map_err(|error| error.to_string())?)
}

/// The same on another machine: a tunnel's own end accepts whoever listens. One question for all ports.
pub(crate) async fn there(ports: &[u16], whose: Whose, context: &ProbeContext) -> Result<(), String> {
    let There { host, held } = context.there().ok_or("it cannot be asked there")?;
    let at = format!(" on host `{host}`");
    let holders = held(ports.to_vec()).await?;
    if holders.len() != ports.len() {
        return Err(format!("host `{host}` answered for {} of {} ports", holders.len(), ports.len()));
    }
    let mut known = context.known();
    let outcome = |(port, holder): (&u16, Holder)| match (whose, &holder) {
        (Whose::Anybodys, Holder::Other(_)) => Ok(()),
        (Whose::Own | Whose::Anybodys, _) => known.take(*port, &at, holder),
    };
    let reasons: Vec<String> = ports.iter().zip(holders).map(outcome).filter_map(Result::err).collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
}
