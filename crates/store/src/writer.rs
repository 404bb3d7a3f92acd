//! The one thread that writes.

use crate::apply::Apply;
use crate::open::suspect_mark;
use crate::write::{Batch, Committed, Reply, Write};
use crate::{RunRow, StoreError};
use muster_spec::EnvironmentId;
use rusqlite::Connection;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

/// Batches that wait to be written; more than an environment of a thousand services has in flight at once. A full
/// queue makes the caller wait.
pub const QUEUE_LIMIT: usize = 1024;

/// How many transitions of an environment are kept.
pub const TRANSITIONS_KEPT: u64 = 10_000;

/// How many ended runs of an instance are kept.
pub const RUNS_KEPT: u64 = 100;

/// Pruning is amortised over this many new transitions of an environment.
const PRUNE_EVERY: u64 = 500;

/// What the thread is told.
pub(crate) enum Message {
    /// Write this and answer.
    Write(Batch, Reply),
    /// Answer what was sent before, then end.
    Close,
}

/// The writer's state.
pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    durable: bool,
    /// New transitions since the last pruning. An environment that is not in it yet is pruned with its first one.
    since_pruned: HashMap<EnvironmentId, u64>,
}

impl Writer {
    pub(crate) fn new(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path, durable: false, since_pruned: HashMap::new() }
    }

    /// Runs until it is told to close or nobody is left who could send.
    pub(crate) fn run(mut self, queue: &Receiver<Message>) {
        let mut open = true;
        while open {
            let Ok(first) = queue.recv() else { return };
            let mut group = Vec::new();
            for message in std::iter::once(first).chain(queue.try_iter()).take(QUEUE_LIMIT) {
                match message {
                    Message::Write(batch, reply) => group.push((batch, reply)),
                    Message::Close => {
                        open = false;
                        break;
                    }
                }
            }
            if !group.is_empty() {
                self.commit(group);
            }
        }
    }

    /// Commits a group in one transaction and answers everybody in it.
    fn commit(&mut self, group: Vec<(Batch, Reply)>) {
        let mut done = Vec::with_capacity(group.len());
        let outcome = self.transaction(&group, &mut done);
        if let Err(StoreError::Damaged { .. }) = outcome {
            // The next start checks every page and puts the file aside.
            let _ = std::fs::write(suspect_mark(&self.path), b"");
        }
        let mut done = done.into_iter();
        for (_, reply) in group {
            reply(match &outcome {
                Ok(()) => done.next().unwrap_or(Err(StoreError::Closed)),
                Err(error) => Err(error.clone()),
            });
        }
    }

    fn transaction(
        &mut self,
        group: &[(Batch, Reply)],
        done: &mut Vec<Result<Committed, StoreError>>,
    ) -> Result<(), StoreError> {
        self.set_durable(group.iter().any(|(batch, _)| batch.is_durable()))?;
        self.sql("BEGIN IMMEDIATE")?;
        let outcome = self.batches(group, done).and_then(|()| self.sql("COMMIT"));
        if outcome.is_err() && !self.connection.is_autocommit() {
            // The first error is the one that counts; SQLite has rolled back by itself in most cases.
            let _ = self.sql("ROLLBACK");
        }
        outcome
    }

    fn batches(
        &mut self,
        group: &[(Batch, Reply)],
        done: &mut Vec<Result<Committed, StoreError>>,
    ) -> Result<(), StoreError> {
        for (batch, _) in group {
            self.sql("SAVEPOINT batch")?;
            let outcome = self.batch(batch);
            if let Err(error) = &outcome {
                if self.connection.is_autocommit() {
                    // The whole transaction is gone (no space, damage): nobody's batch was written.
                    return Err(error.clone());
                }
                self.sql("ROLLBACK TO batch")?;
            }
            self.sql("RELEASE batch")?;
            done.push(outcome);
        }
        Ok(())
    }

    fn batch(&mut self, batch: &Batch) -> Result<Committed, StoreError> {
        let mut committed = Committed::default();
        for write in &batch.writes {
            let seq = Apply { connection: &self.connection, path: &self.path }.write(write)?;
            committed.seqs.extend(seq);
            self.prune(write)?;
        }
        Ok(committed)
    }

    fn prune(&mut self, write: &Write) -> Result<(), StoreError> {
        let apply = Apply { connection: &self.connection, path: &self.path };
        match write {
            Write::Transition(transition) => {
                let count = self.since_pruned.entry(transition.environment.clone()).or_insert(PRUNE_EVERY);
                *count += 1;
                if *count < PRUNE_EVERY {
                    return Ok(());
                }
                *count = 0;
                apply.prune_transitions(&transition.environment, TRANSITIONS_KEPT)
            }
            Write::PutRun(row @ RunRow { number, handle_json: None, .. }) if *number > RUNS_KEPT => {
                apply.prune_runs(row, RUNS_KEPT)
            }
            Write::RemoveEnvironment(id) => {
                self.since_pruned.remove(id);
                Ok(())
            }
            Write::PutEnvironment(_)
            | Write::PutPorts { .. }
            | Write::PutInstance(_)
            | Write::RemoveInstance { .. }
            | Write::PutRun(_)
            | Write::EndRun { .. }
            | Write::PutSuccess(_)
            | Write::RemoveSuccess { .. }
            | Write::PutFact { .. }
            | Write::RemoveFact { .. } => Ok(()),
        }
    }

    /// `synchronous` cannot change within a transaction.
    fn set_durable(&mut self, durable: bool) -> Result<(), StoreError> {
        if self.durable != durable {
            self.sql(if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
            self.durable = durable;
        }
        Ok(())
    }

    fn sql(&self, sql: &str) -> Result<(), StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute([]);
        run().map(drop).map_err(|error| StoreError::sqlite(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_full_disk_is_an_answer_and_the_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let connection = crate::open::prepare(&path).unwrap().connection;
        connection.pragma_update_and_check(None, "max_page_count", 40, |_| Ok(())).unwrap();
        let mut writer = Writer::new(connection, path);
        let mut put = |size: usize| {
            let (answer, answered) = channel();
            let fact = Write::PutFact { environment: None, key: "k".to_owned(), value: "x".repeat(size) };
            writer.commit(vec![(fact.into(), Box::new(move |outcome| answer.send(outcome).unwrap()))]);
            answered.recv().unwrap()
        };
        let refused = put(1 << 20).unwrap_err();
        assert_eq!(refused.code(), "store::full");
        assert!(refused.to_string().contains("free some space"), "{refused}");
        put(10).unwrap();
    }
}
