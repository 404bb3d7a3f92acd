//! What is saved, and what becomes of it after a daemon start.

use super::node::{Kept, Node};
use super::phase::{Phase, Trouble};
use super::{KILL_AGAIN, Machine};
use crate::{Accepted, Context, Effect};
use muster_spec::InstanceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is saved of an environment as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Counts commands.
    pub generation: u64,
    /// Last run numbers of instances that are gone: a number is used once.
    pub retired: BTreeMap<InstanceId, u64>,
}

/// What is saved of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// Whose.
    pub instance: InstanceId,
    /// The row is to be removed.
    pub removed: bool,
    pub(crate) kept: Kept,
}

impl InstanceRow {
    /// A row for a run that was found on disk although nothing was saved of it: what lives is wanted up and is verified
    /// like a start that nobody heard of; what ended only keeps its number from being used again.
    #[must_use]
    pub fn found(instance: InstanceId, run: u64, alive: bool, run_hash: Option<String>, generation: u64) -> Self {
        let mut kept = Kept::new(crate::Time::default());
        kept.generation = generation;
        kept.run = run;
        kept.run_hash = run_hash;
        kept.run_generation = generation;
        if alive {
            kept.wish = super::node::Wish::Up;
            kept.begun = true;
            kept.phase = Phase::Spawning;
            kept.cause = crate::Cause::Adopted;
        }
        Self { instance, removed: false, kept }
    }
}

/// Everything that was saved: what [`Machine::restore`] takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The environment.
    pub header: Header,
    /// The last accepted stack.
    pub accepted: Option<Arc<Accepted>>,
    /// The last row of every instance; removed ones may be among them.
    pub rows: Vec<InstanceRow>,
}

impl Machine {
    /// The machine as it was saved, after a daemon start.
    ///
    /// Every instance whose run may live gets an [`Effect::Recover`]; it is neither trusted nor signalled until that is
    /// answered. `same_boot: false` drops deadlines and times: they mean nothing in this boot.
    pub fn restore(saved: Saved, context: Context, same_boot: bool, effects: &mut Vec<Effect>) -> Self {
        let mut machine = Self::new();
        machine.header = saved.header;
        machine.accepted = saved.accepted;
        for row in saved.rows.into_iter().filter(|row| !row.removed) {
            let mut kept = row.kept;
            if !same_boot {
                rebase(&mut kept, context);
            }
            kept.phase.forget_counts();
            let mut node = Node::new(row.instance, kept);
            node.dirty = !same_boot;
            node.verifying = node.kept.phase.live();
            machine.nodes.push(node);
        }
        machine.rebuild(context.now);
        for node in &machine.nodes {
            if node.verifying {
                effects.push(Effect::Recover { instance: node.id.clone(), run: node.kept.run });
            }
        }
        for index in 0..machine.nodes.len() {
            machine.enqueue(index);
        }
        machine.finish(context, effects);
        machine
    }

    /// What changed since the last call, to be saved before the effects of the step are executed.
    pub fn take_dirty(&mut self) -> Vec<InstanceRow> {
        let mut rows: Vec<InstanceRow> = std::mem::take(&mut self.removed);
        for index in std::mem::take(&mut self.dirty) {
            let node = &mut self.nodes[index];
            if !node.gone && std::mem::take(&mut node.dirty) {
                rows.push(InstanceRow { instance: node.id.clone(), removed: false, kept: node.kept.clone() });
            }
        }
        rows
    }
}

/// Drops what was measured on another boot's clock.
fn rebase(kept: &mut Kept, context: Context) {
    kept.since = context.now;
    kept.restarts.forget_times();
    rebase_phase(&mut kept.phase, context);
}

fn rebase_phase(phase: &mut Phase, context: Context) {
    match phase {
        Phase::Backoff { until } => *until = context.now,
        Phase::Startup { started, by, .. } | Phase::Running { started, by, .. } => {
            *started = context.now;
            *by = None;
        }
        Phase::Stopping { deadline, .. } => *deadline = context.now.after(KILL_AGAIN),
        Phase::Lost { was, .. } => rebase_phase(was, context),
        Phase::Stopped
        | Phase::Waiting { .. }
        | Phase::Spawning
        | Phase::Exited
        | Phase::Done
        | Phase::Failed { .. } => {}
    }
}

impl Trouble {
    /// In words.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unhealthy(reason) => format!("liveness failed: {reason}"),
            Self::TooLate(role, reason) => format!("{role} probe did not pass in time: {reason}"),
        }
    }
}
