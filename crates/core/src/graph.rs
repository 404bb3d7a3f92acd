//! The graph of needs: what comes along, in which order, and what depends on what.

use indexmap::IndexMap;
use muster_spec::{InstanceId, ServiceName, Stack};
use std::collections::{BTreeMap, BTreeSet};

/// How far a walk has come with a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// On the path that is being walked.
    Open,
    /// No cycle goes through it.
    Closed,
}

/// The first cycle of needs, from a service back to itself: `[a, b, a]`.
#[must_use]
pub fn find_cycle(stack: &Stack) -> Option<Vec<ServiceName>> {
    let mut marks: BTreeMap<&ServiceName, Mark> = BTreeMap::new();
    for start in stack.services.keys() {
        if marks.contains_key(start) {
            continue;
        }
        // an explicit path instead of recursion: a chain may be as long as the stack
        let mut path: Vec<(&ServiceName, usize)> = vec![(start, 0)];
        marks.insert(start, Mark::Open);
        while let Some((name, next)) = path.last_mut() {
            let needs = stack.services.get(*name).map_or(&[][..], |service| service.needs.as_slice());
            let Some(need) = needs.get(*next) else {
                marks.insert(name, Mark::Closed);
                path.pop();
                continue;
            };
            *next += 1;
            match marks.get(&need.service) {
                Some(Mark::Closed) => {}
                Some(Mark::Open) => {
                    let from = path.iter().position(|(name, _)| **name == need.service).unwrap_or(0);
                    let mut cycle: Vec<ServiceName> = path[from..].iter().map(|(name, _)| (*name).clone()).collect();
                    cycle.push(need.service.clone());
                    return Some(cycle);
                }
                None => {
                    marks.insert(&need.service, Mark::Open);
                    path.push((&need.service, 0));
                }
            }
        }
    }
    None
}

/// These instances and everything that they need, directly or not.
#[must_use]
pub fn closure(stack: &Stack, targets: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
    let mut all = targets.clone();
    let mut seen: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut open: Vec<&ServiceName> = Vec::new();
    let needs_of = |name: &ServiceName| stack.services.get(name).map_or(&[][..], |service| service.needs.as_slice());
    let services: BTreeSet<&ServiceName> = targets.iter().map(|target| &target.service).collect();
    for name in services {
        open.extend(needs_of(name).iter().map(|need| &need.service));
    }
    while let Some(name) = open.pop() {
        if !seen.insert(name) {
            continue;
        }
        if let Some(service) = stack.services.get(name) {
            all.extend(stack.instances_of(service));
        }
        open.extend(needs_of(name).iter().map(|need| &need.service));
    }
    all
}

/// The services in layers: each needs only services of earlier layers. Services on a cycle are left out.
#[must_use]
pub fn layers(stack: &Stack) -> Vec<Vec<ServiceName>> {
    let reverse = dependants(stack);
    let mut open: IndexMap<&ServiceName, usize> = stack
        .services
        .values()
        .map(|service| {
            let distinct: BTreeSet<&ServiceName> =
                service.needs.iter().map(|n| &n.service).filter(|n| stack.services.contains_key(*n)).collect();
            (&service.name, distinct.len())
        })
        .collect();
    let mut layers = Vec::new();
    let mut layer: Vec<&ServiceName> = open.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
    while !layer.is_empty() {
        let mut next = Vec::new();
        for name in &layer {
            for dependant in reverse.get(*name).into_iter().flatten() {
                if let Some(left) = open.get_mut(dependant) {
                    *left -= 1;
                    if *left == 0 {
                        next.push(dependant);
                    }
                }
            }
        }
        next.sort_by_key(|name| stack.services.get_index_of(*name));
        layers.push(layer.into_iter().cloned().collect());
        layer = next;
    }
    layers
}

/// Who needs whom, directly: service to the services that need it, in order of declaration.
#[must_use]
pub fn dependants(stack: &Stack) -> BTreeMap<ServiceName, Vec<ServiceName>> {
    let mut reverse: BTreeMap<ServiceName, Vec<ServiceName>> = BTreeMap::new();
    for service in stack.services.values() {
        for need in &service.needs {
            let names = reverse.entry(need.service.clone()).or_default();
            if !names.contains(&service.name) {
                names.push(service.name.clone());
            }
        }
    }
    reverse
}
