//! Port numbers that no other test has: not another thread of this process, and not another run on this machine.
//!
//! Homes know nothing of each other, so what their stacks name must not meet, also while nobody listens there. The range
//! is cut into shares. Who can bind the first port of a share has all of it, until the process ends: the kernel gives
//! that port to one process only, and takes it back from a dead one.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below what Muster (from 20,000) and the system (from 32,768) give away by themselves.
const FIRST: u16 = 10_000;
/// First port after the range.
const END: u16 = 19_000;
/// Ports of a share, with the one that is bound.
const SHARE: u16 = 100;

/// What this process has.
#[derive(Debug)]
struct Held {
    /// Bound for as long as this process lives.
    guards: Vec<TcpListener>,
    /// The part of the newest share that was not given away.
    rest: std::ops::Range<u16>,
}

static HELD: Mutex<Held> = Mutex::new(Held { guards: Vec::new(), rest: 0..0 });

/// `count` ports in a row on which nobody listens, given to nobody else while this process lives; the first of them.
///
/// # Panics
/// When there are none, or so many are never to be had.
#[must_use]
pub fn free_ports(count: u16) -> u16 {
    assert!(count < SHARE, "at most {} ports in a row", SHARE - 1);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        while held.rest.len() >= usize::from(count) {
            let first = held.rest.start;
            let taken = (first..first + count).rev().find(|port| !can_bind(*port));
            // a stranger listens in between: what lies behind it may do
            held.rest.start = taken.map_or(first + count, |port| port + 1);
            if taken.is_none() {
                return first;
            }
        }
        let (first, guard) = next_share();
        held.guards.push(guard);
        held.rest = first + 1..first + SHARE;
    }
}

/// A port on which nobody listens, and that is given to nobody else while this process lives.
#[must_use]
pub fn free_port() -> u16 {
    free_ports(1)
}

fn next_share() -> (u16, TcpListener) {
    let shares = (FIRST..END).step_by(usize::from(SHARE));
    shares
        .into_iter()
        .find_map(|first| Some((first, TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?)))
        .expect("a share of the ports for tests")
}

fn can_bind(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nobody_gets_what_somebody_has_or_listens_on() {
        let of_a_thread = || (0..20).map(|_| free_ports(9)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(of_a_thread)).collect();
        let firsts: Vec<u16> = threads.into_iter().flat_map(|thread| thread.join().expect("ports")).collect();
        let all: BTreeSet<u16> = firsts.iter().flat_map(|first| *first..first + 9).collect();
        assert_eq!(all.len(), firsts.len() * 9);

        let first = free_ports(3);
        // the next ones are not given yet, and somebody takes them
        let _strangers: Vec<_> = (first + 3..first + 6).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        let next = free_ports(10);
        assert!((next..next + 10).all(can_bind), "{next}");
    }
}
