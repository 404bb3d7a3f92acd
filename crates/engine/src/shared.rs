//! What all environments of a daemon share.

use crate::clock::Clock;
use crate::documents::EventDocument;
use crate::paths::Paths;
use crate::ports::{PortTable, Reserved};
use crate::runtimes::Runtimes;
use muster_spec::EnvironmentId;
use muster_store::{Batch, Committed, Store, StoreError};
use std::collections::BTreeMap;
use tokio::sync::{Mutex, broadcast, oneshot, watch};

/// Events that a slow reader may be behind before it reads the journal instead.
const EVENTS_KEPT: usize = 4096;

/// What all environments share.
pub(crate) struct Shared {
    /// Folders.
    pub(crate) paths: Paths,
    /// The journal.
    pub(crate) store: Store,
    /// Drivers.
    pub(crate) runtimes: Runtimes,
    /// Clocks.
    pub(crate) clock: Clock,
    /// Ports of every environment: allocation is one at a time.
    pub(crate) ports: Mutex<BTreeMap<EnvironmentId, PortTable>>,
    /// Identity of this boot.
    pub(crate) boot: String,
    /// Every journal entry, as it is committed.
    pub(crate) events: broadcast::Sender<EventDocument>,
    /// Counts requests and changes: what the daemon's idleness is measured by.
    pub(crate) activity: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(paths: Paths, store: Store, runtimes: Runtimes, boot: String) -> Self {
        Self {
            paths,
            store,
            runtimes,
            clock: Clock::new(),
            ports: Mutex::default(),
            boot,
            events: broadcast::Sender::new(EVENTS_KEPT),
            activity: watch::Sender::new(0),
        }
    }

    /// Commits a batch; waits without blocking the thread.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let reply = Box::new(move |outcome| {
            // An error means that the waiting task was dropped: nobody wants to know.
            let _ = sender.send(outcome);
        });
        self.store.submit(batch, reply);
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Something was asked for or has changed.
    pub(crate) fn touch(&self) {
        self.activity.send_modify(|n| *n += 1);
    }
}

/// What every environment but `own` has.
pub(crate) fn reserved(all: &BTreeMap<EnvironmentId, PortTable>, own: &EnvironmentId) -> Reserved {
    let mut reserved = Reserved::default();
    for (id, table) in all.iter().filter(|(id, _)| *id != own) {
        let numbers = table.held().map(|(_, number)| number).chain(table.ends.values().copied());
        reserved.ports.extend(numbers.map(|number| (number, id.to_string())));
        reserved.blocks.extend(table.base.map(|base| (base, table.block, id.to_string())));
    }
    reserved
}
