//! What the journal is told of a turn, and its entries as others see them.

use super::actor::{Actor, Leaving, Turn};
use crate::clock::{rfc3339, wall_ns};
use crate::documents::EventDocument;
use muster_core::why::RecordedTransition;
use muster_core::words::cause;
use muster_core::{Effect, State, Transition};
use muster_store::{InstanceRow, TransitionRow, Write};

impl Actor {
    /// The environment's own facts, when they changed: with the boot that its times belong to.
    fn header(&mut self) -> Vec<Write> {
        let fact = |key: &str, value: String| Write::PutFact {
            environment: Some(self.id.clone()),
            key: key.to_owned(),
            value,
        };
        let mut facts = Vec::new();
        let header = self.machine.header();
        if header != self.saved_header {
            facts.push(fact("header", serde_json::to_string(&header).unwrap_or_default()));
            facts.push(fact("boot", self.shared.boot.clone()));
        }
        if self.leaving.fact() != self.saved_leaving.fact() {
            facts.push(fact(Leaving::FACT, self.leaving.fact().to_owned()));
        }
        (self.saved_header, self.saved_leaving) = (header, self.leaving);
        facts
    }

    /// Turns what the core recorded and changed into rows.
    pub(super) fn writes(&mut self, turn: &mut Turn) -> Vec<Transition> {
        let at_ns = i64::try_from(wall_ns()).unwrap_or(i64::MAX);
        let mut transitions = Vec::new();
        for effect in &turn.effects {
            match effect {
                Effect::Record(transition) => {
                    turn.touched.insert(transition.instance.clone());
                    transitions.push(transition.clone());
                }
                Effect::Start { instance, run } => turn.writes.push(self.begun(instance, *run)),
                Effect::Succeeded { instance, .. } => turn.writes.extend(self.success(instance)),
                Effect::Stop { .. }
                | Effect::Kill { .. }
                | Effect::Recover { .. }
                | Effect::Probe { .. }
                | Effect::Forget { .. }
                | Effect::Reply { .. } => {}
            }
        }
        let header = self.header();
        turn.writes.extend(header);
        for row in self.machine.take_dirty() {
            turn.touched.insert(row.instance.clone());
            turn.writes.push(self.row(row, at_ns));
        }
        turn.writes.extend(transitions.iter().map(|transition| {
            Write::Transition(muster_store::Transition {
                at_ns,
                environment: self.id.clone(),
                instance: transition.instance.clone(),
                run: transition.run,
                from_state: transition.from.to_string(),
                to_state: transition.to.to_string(),
                cause_json: serde_json::to_string(&transition.cause).unwrap_or_default(),
            })
        }));
        transitions
    }

    fn row(&self, row: muster_core::InstanceRow, updated_at: i64) -> Write {
        if row.removed {
            return Write::RemoveInstance { environment: self.id.clone(), instance: row.instance };
        }
        let run_number = self.machine.view(&row.instance).map_or(0, |view| view.run);
        let state_json = serde_json::to_string(&row).unwrap_or_default();
        Write::PutInstance(InstanceRow {
            environment: self.id.clone(),
            instance: row.instance,
            state_json,
            run_number,
            updated_at,
        })
    }

    pub(super) fn publish_events(&mut self, seqs: &[i64], transitions: Vec<Transition>) {
        let at = rfc3339(wall_ns());
        for (seq, transition) in seqs.iter().zip(transitions) {
            self.seq = seq.unsigned_abs();
            // An error means that nobody listens.
            let _ = self.shared.events.send(EventDocument {
                schema: "muster.event.v1".to_owned(),
                seq: self.seq,
                at: at.clone(),
                environment: self.id.to_string(),
                instance: transition.instance.to_string(),
                run: transition.run,
                from: transition.from.to_string(),
                to: transition.to.to_string(),
                cause: cause(&transition.cause),
            });
        }
    }
}

/// An event of the journal as it is shown.
pub(crate) fn event_document(row: &TransitionRow) -> EventDocument {
    let transition = &row.transition;
    let told = serde_json::from_str(&transition.cause_json).map(|told| cause(&told));
    EventDocument {
        schema: "muster.event.v1".to_owned(),
        seq: row.seq.unsigned_abs(),
        at: rfc3339(transition.at_ns.unsigned_abs()),
        environment: transition.environment.to_string(),
        instance: transition.instance.to_string(),
        run: transition.run,
        from: transition.from_state.clone(),
        to: transition.to_state.clone(),
        cause: told.unwrap_or_default(),
    }
}

/// An entry of the journal as the core wrote it; `None` when it cannot be read.
pub(crate) fn recorded(row: &TransitionRow) -> Option<RecordedTransition> {
    let transition = &row.transition;
    let state = |text: &str| State::ALL.into_iter().find(|state| state.as_str() == text);
    let (from, to) = (state(&transition.from_state)?, state(&transition.to_state)?);
    let cause = serde_json::from_str(&transition.cause_json).ok()?;
    let (instance, run) = (transition.instance.clone(), transition.run);
    let transition = Transition { instance, run, from, to, cause };
    Some(RecordedTransition { seq: row.seq.unsigned_abs(), at_ns: row.transition.at_ns, transition })
}
