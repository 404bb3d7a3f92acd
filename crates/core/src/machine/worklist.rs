//! Changes and who has to look again because of them.

use super::Machine;
use super::node::{Edge, Kept, Node, Wish};
use super::phase::Phase;
use super::saved::InstanceRow;
use crate::{Cause, Context, Effect, Time, Transition};
use muster_spec::{InstanceId, ServiceKind, ServiceName, ServiceSpec, Stack};
use std::collections::{BTreeMap, BTreeSet};

impl Machine {
    /// Moves an instance to another phase, records it, and lets its neighbours look again.
    pub(super) fn set_phase(&mut self, index: usize, phase: Phase, cause: Cause, now: Time) {
        let node = &mut self.nodes[index];
        let (from, held) = (node.state(), node.kept.phase.holds_needed());
        node.kept.phase = phase;
        let to = node.state();
        if !node.kept.phase.stoppable() && !matches!(node.kept.phase, Phase::Lost { .. }) {
            node.kept.ending = None;
        }
        if from != to {
            node.kept.since = now;
        }
        node.kept.cause = cause.clone();
        let transition = Transition { instance: node.id.clone(), run: node.kept.run, from, to, cause };
        self.records.push(Effect::Record(transition));
        let freed = held && !self.nodes[index].kept.phase.holds_needed();
        self.touched(index);
        if freed {
            self.release(index);
        }
    }

    /// Those that an instance needs may have waited for it to be gone.
    pub(super) fn release(&mut self, index: usize) {
        for position in 0..self.nodes[index].needs.len() {
            let other = self.nodes[index].needs[position];
            if self.nodes[other].kept.ending.is_some() {
                self.enqueue(other);
            }
        }
    }

    /// Something about an instance changed that others may wait for.
    pub(super) fn touched(&mut self, index: usize) {
        self.mark(index);
        self.enqueue(index);
        for position in 0..self.nodes[index].dependants.len() {
            let other = self.nodes[index].dependants[position];
            if matches!(self.nodes[other].kept.phase, Phase::Waiting { .. }) {
                self.enqueue(other);
            }
        }
    }

    /// Something about an instance is to be saved, and its deadline may be another.
    pub(super) fn mark(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !node.dirty {
            node.dirty = true;
            self.dirty.push(index);
        }
        let (old, new) = (node.timer, node.deadline());
        if old != new {
            node.timer = new;
            if let Some(time) = old {
                self.timers.remove(&(time, index));
            }
            if let Some(time) = new {
                self.timers.insert((time, index));
            }
        }
    }

    pub(super) fn enqueue(&mut self, index: usize) {
        if !std::mem::replace(&mut self.nodes[index].queued, true) {
            self.queue.push_back(index);
        }
    }

    /// Looks at everything on the worklist until nothing changes any more.
    pub(super) fn drain(&mut self, context: Context) {
        while let Some(index) = self.queue.pop_front() {
            self.nodes[index].queued = false;
            if self.nodes[index].gone {
                continue;
            }
            self.look_at_ending(context, index);
            self.look_at_needs(context, index);
        }
    }

    /// Ends a step: records first, then what is to be done, the answer last.
    pub(super) fn finish(&mut self, context: Context, effects: &mut Vec<Effect>) {
        self.drain(context);
        effects.append(&mut self.records);
        effects.append(&mut self.actions);
    }

    /// Lays the graph anew after the stack or the set of instances changed.
    pub(super) fn rebuild(&mut self, now: Time) {
        self.nodes.retain(|node| !node.gone);
        self.add_missing(now);
        self.index = self.nodes.iter().enumerate().map(|(i, node)| (node.id.clone(), i)).collect();
        let mut by_service: BTreeMap<ServiceName, Vec<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            by_service.entry(node.id.service.clone()).or_default().push(index);
        }
        for index in 0..self.nodes.len() {
            self.place(index, &by_service);
        }
        let pairs: Vec<(usize, usize)> =
            self.nodes.iter().enumerate().flat_map(|(i, n)| n.needs.iter().map(move |on| (*on, i))).collect();
        for (on, dependant) in pairs {
            self.nodes[on].dependants.push(dependant);
        }
        self.timers.clear();
        self.queue.clear();
        self.dirty.clear();
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            node.queued = false;
            node.timer = None;
            let dirty = std::mem::take(&mut node.dirty);
            if dirty {
                self.mark(index);
            } else if let Some(time) = node.deadline() {
                node.timer = Some(time);
                self.timers.insert((time, index));
            }
        }
    }

    fn add_missing(&mut self, now: Time) {
        let Some(accepted) = self.accepted.clone() else { return };
        let known: BTreeSet<InstanceId> = self.nodes.iter().map(|node| node.id.clone()).collect();
        for id in accepted.stack.instances().filter(|id| !known.contains(id)) {
            let mut kept = Kept::new(now);
            kept.run = self.header.retired.remove(&id).unwrap_or(0);
            self.nodes.push(Node::new(id, kept));
        }
    }

    /// Gives an instance its place in the stack and its edges; one that the stack has forgotten keeps the order of its stop.
    fn place(&mut self, index: usize, by_service: &BTreeMap<ServiceName, Vec<usize>>) {
        let all = |name: &ServiceName| by_service.get(name).map_or(&[][..], Vec::as_slice);
        let id = self.nodes[index].id.clone();
        let stack = self.accepted.as_ref().map(|accepted| accepted.stack.clone());
        let found = stack.as_ref().and_then(|stack| stack.services.get_full(&id.service));
        let mut edges = Vec::new();
        let mut place = None;
        if let Some((_, _, spec)) = found {
            // also for a copy that is too many: as long as the stack has the service, its order counts
            self.nodes[index].kept.needed = stack.as_ref().map(|stack| outlived(stack, spec)).unwrap_or_default();
        }
        if let Some((position, _, spec)) = found.filter(|(_, _, spec)| id.replica <= spec.replicas) {
            place = Some(position);
            for need in &spec.needs {
                let wanted = stack.as_ref().and_then(|s| s.services.get(&need.service)).map_or(0, |s| s.replicas);
                let on = all(&need.service).iter().copied().filter(|on| self.nodes[*on].id.replica <= wanted);
                edges.push(Edge {
                    on: on.collect(),
                    until: need.until,
                    restart: need.restart,
                    optional: need.optional,
                });
            }
        }
        let needs: BTreeSet<usize> =
            self.nodes[index].kept.needed.iter().flat_map(all).copied().filter(|on| *on != index).collect();
        let node = &mut self.nodes[index];
        node.place = place;
        node.edges = edges;
        node.needs = needs.into_iter().collect();
        node.dependants.clear();
    }

    /// Takes an instance out of the environment; its run numbers are never used again.
    pub(super) fn remove(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.gone = true;
        node.kept.wish = Wish::Gone;
        let last = node.kept.run.max(node.kept.reserved);
        if let Some(time) = node.timer.take() {
            self.timers.remove(&(time, index));
        }
        self.header.retired.insert(node.id.clone(), last);
        self.index.remove(&node.id);
        self.removed.push(InstanceRow { instance: node.id.clone(), removed: true, kept: node.kept.clone() });
    }
}

/// What is not stopped before a service: what it needs, and what the jobs among those needed. A job that has finished does
/// not hold what it worked on, but who waited for it may still use that.
fn outlived(stack: &Stack, spec: &ServiceSpec) -> Vec<ServiceName> {
    let mut open: Vec<&ServiceName> = spec.needs.iter().map(|need| &need.service).collect();
    let mut all = BTreeSet::new();
    while let Some(name) = open.pop() {
        if all.insert(name.clone())
            && let Some(job) = stack.services.get(name).filter(|needed| needed.kind == ServiceKind::Job)
        {
            open.extend(job.needs.iter().map(|need| &need.service));
        }
    }
    all.into_iter().collect()
}
