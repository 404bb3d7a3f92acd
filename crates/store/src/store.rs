//! The handle.

use crate::open::{Opened, prepare, reader};
use crate::write::{Batch, Committed, Reply};
use crate::writer::{Message, QUEUE_LIMIT, Writer};
use crate::{StoreError, checkpoint};
use rusqlite::Connection;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Idle read-only connections that are kept; more readers at once open their own.
const READERS_KEPT: usize = 4;

/// A cheap handle to the journal. The last one that is dropped writes what is queued and closes the file.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    queue: SyncSender<Message>,
    readers: Mutex<Vec<Connection>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the journal at a path and makes its folder if need be. What cannot be read, or was written by a newer
    /// version, is renamed to `journal.db.quarantine-<n>` and a new one is started.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`], [`StoreError::Full`] or [`StoreError::Locked`] when not even a new one can be made.
    pub fn open(path: &Path) -> Result<Opened, StoreError> {
        let prepared = prepare(path)?;
        let mut connection = prepared.connection;
        let sqlite = |error| StoreError::sqlite(path, error);
        let own = Connection::open(path).map_err(sqlite)?;
        let checkpoint =
            checkpoint::start(&mut connection, own).map_err(|error| StoreError::io(path, error))?.map_err(sqlite)?;
        let readers = Mutex::new(vec![reader(path)?]);
        let (queue, queued) = sync_channel(QUEUE_LIMIT);
        let writer = Writer::new(connection, path.to_owned());
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&queued))
            .map_err(|error| StoreError::io(path, error))?;
        let threads = Mutex::new(vec![writer, checkpoint]);
        let inner = Arc::new(Inner { path: path.to_owned(), queue, readers, threads });
        Ok(Opened { store: Self { inner }, quarantined: prepared.quarantined, reason: prepared.reason })
    }

    /// The journal's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Queues a batch. The reply comes after its commit, in the order of the queue; all batches that are queued at the
    /// time are one transaction. Waits only while [`QUEUE_LIMIT`](crate::QUEUE_LIMIT) batches are queued.
    pub fn submit(&self, batch: Batch, reply: Reply) {
        if let Err(refused) = self.inner.queue.send(Message::Write(batch, reply)) {
            match refused.0 {
                Message::Write(_, reply) => reply(Err(StoreError::Closed)),
                Message::Close => {}
            }
        }
    }

    /// Writes a batch and waits until it is committed.
    ///
    /// # Errors
    /// Any [`StoreError`]; then nothing of the batch was written.
    pub fn commit(&self, batch: impl Into<Batch>) -> Result<Committed, StoreError> {
        let (answer, answered) = sync_channel(1);
        let reply = Box::new(move |outcome| {
            // Nobody waits any more only if the waiting thread is gone.
            let _ = answer.send(outcome);
        });
        self.submit(batch.into(), reply);
        answered.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Reads on a connection of its own.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let idle = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => reader(&self.inner.path)?,
        };
        let outcome = work(&connection).map_err(|error| StoreError::sqlite(&self.inner.path, error));
        let mut readers = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_KEPT {
            readers.push(connection);
        }
        outcome?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.readers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        let own = std::thread::current().id();
        // A reply may hold the last handle: the writer does not wait for itself, the end of the queue ends it.
        if threads.iter().all(|thread| thread.thread().id() != own) {
            // Refused only when the thread has ended already.
            let _ = self.queue.send(Message::Close);
            for thread in threads {
                // A panic of the thread was reported when it happened.
                let _ = thread.join();
            }
        }
    }
}
