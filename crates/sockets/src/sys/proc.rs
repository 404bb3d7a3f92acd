//! Processes and their descriptors, from /proc (proc(5)).

use crate::{Holder, Owner};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A process and all its descendants, parents first. Empty when it does not exist.
#[must_use]
pub fn process_tree(root: u32) -> Vec<u32> {
    if !fs::exists(format!("/proc/{root}")).unwrap_or(false) {
        return Vec::new();
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&pid) = tree.get(next) {
        next += 1;
        for child in children(pid) {
            if !tree.contains(&child) {
                tree.push(child);
            }
        }
    }
    tree
}

/// Children are listed by the thread that made them.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// Looks through the trees first, then through everybody.
pub(crate) fn holder(sockets: &[u64], roots: &[u32]) -> Holder {
    let mut hidden = false;
    for pid in roots.iter().flat_map(|root| process_tree(*root)) {
        match held(pid) {
            Ok(held) => {
                if let Some(inode) = sockets.iter().find(|inode| held.contains(inode)) {
                    return Holder::Tree(*inode);
                }
            }
            // Gone in the meantime is not hidden.
            Err(error) => hidden |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    match owners(sockets).into_values().next() {
        Some(owner) => Holder::Other(Some(owner)),
        None if hidden => Holder::Hidden,
        None => Holder::Other(None),
    }
}

/// The owners of sockets, as far as they can be seen.
pub(crate) fn owners(sockets: &[u64]) -> HashMap<u64, Owner> {
    let mut found = HashMap::new();
    let Ok(processes) = fs::read_dir("/proc") else { return found };
    for pid in processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if found.len() == sockets.len() {
            break;
        }
        let Ok(held) = held(pid) else { continue };
        for inode in sockets.iter().filter(|inode| held.contains(inode)) {
            found.entry(*inode).or_insert_with(|| Owner { pid, command: command(pid) });
        }
    }
    found
}

/// The sockets that a process has open: links of the form `socket:[123]`.
fn held(pid: u32) -> io::Result<HashSet<u64>> {
    let mut inodes = HashSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let inode: Option<u64> =
            link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inodes.extend(inode);
    }
    Ok(inodes)
}

fn command(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// The sockets in LISTEN, of one port or of all, from /proc/net/tcp and tcp6.
pub(super) fn listening(port: Option<u16>) -> io::Result<Vec<(SocketAddr, u64)>> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => found.extend(
                text.lines().skip(1).filter_map(line).filter(|(at, _)| port.is_none_or(|port| at.port() == port)),
            ),
            // A kernel without IPv6 has no tcp6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`; LISTEN is `0A`.
fn line(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_whitespace();
    let (local, state, inode) = (fields.nth(1)?, fields.nth(1)?, fields.nth(5)?);
    if state != "0A" {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some((SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?), inode.parse().ok()?))
}

/// Words of 32 bits in the machine's own order.
fn ip(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for start in (0..hex.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(hex.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn both_sources_name_the_same_sockets() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0");
        for listener in [Some(v4), v6.ok()].into_iter().flatten() {
            let address = listener.local_addr().unwrap();
            let from_proc = listening(Some(address.port())).unwrap();
            assert!(from_proc.iter().any(|(at, _)| *at == address), "{from_proc:?}");
            if let Ok(from_netlink) = crate::sys::sock_diag::listening(Some(address.port())) {
                assert_eq!(from_proc, from_netlink);
            }
        }
    }

    #[test]
    fn a_connected_socket_does_not_listen() {
        assert_eq!(line("0: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 1000 0 4242 1"), None);
        let listens = line("0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 1000 0 4242 1").unwrap();
        assert_eq!(listens, ("127.0.0.1:8080".parse().unwrap(), 4242));
    }
}
