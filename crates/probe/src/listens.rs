//! "Its own process tree listens": asked of the kernel per port, the owner looked up once.

use crate::{ProbeContext, sys};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// For how long the name of a stranger is good: a look at all processes takes milliseconds.
const STRANGER: Duration = Duration::from_secs(1);

/// What was found out about sockets, by inode.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The run's own listening sockets, by port.
    own: HashMap<u16, u64>,
    /// The last answer about a port that somebody else holds.
    strangers: HashMap<u16, (Instant, String)>,
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
    let sockets = sys::listening_inodes(port).map_err(|error| format!("port {port} cannot be asked for: {error}"))?;
    if sockets.is_empty() {
        context.known().own.remove(&port);
        return Err(format!("nothing listens on port {port}"));
    }
    {
        let known = context.known();
        if known.own.get(&port).is_some_and(|inode| sockets.contains(inode)) {
            return Ok(());
        }
        if let Some((at, reason)) = known.strangers.get(&port)
            && at.elapsed() < STRANGER
        {
            return Err(reason.clone());
        }
    }
    let roots = context.pids();
    let searched = sockets.clone();
    // Reading /proc of a large tree is not for the thread that all probes share.
    let found = tokio::task::spawn_blocking(move || sys::holder(&searched, &roots)).await;
    let mut known = context.known();
    match found.map_err(|error| error.to_string())? {
        sys::Holder::Tree(inode) => {
            known.own.insert(port, inode);
            known.strangers.remove(&port);
            Ok(())
        }
        // Its descriptors are hidden from us, nobody else's are the ones: it is taken for its own.
        sys::Holder::Hidden => Ok(()),
        sys::Holder::Other(owner) => {
            let reason = match owner {
                Some(owner) => {
                    format!("port {port} is held by pid {} ({}), not by this service", owner.pid, owner.command)
                }
                None => format!("port {port} is held by a process that cannot be seen, not by this service"),
            };
            known.strangers.insert(port, (Instant::now(), reason.clone()));
            Err(reason)
        }
    }
}
