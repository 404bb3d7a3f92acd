//! History, and what comes.

use crate::documents::{ErrorDocument, EventDocument};
use crate::engine::{Engine, select};
use crate::environment::event_document;
use futures::stream::{BoxStream, StreamExt};
use muster_spec::EnvironmentId;
use muster_store::Store;
use std::collections::BTreeSet;
use tokio::sync::broadcast::error::RecvError;

/// Entries read from the journal at once.
const PAGE: u32 = 1_000;
/// Entries of the history that are shown when nobody says after which.
const RECENT: u32 = 200;

impl Engine {
    /// Changes of everything selected after an entry of the journal, in order; with `follow` also what comes.
    ///
    /// # Errors
    /// No such environment or service.
    pub fn events(
        &self,
        id: &EnvironmentId,
        after: Option<u64>,
        follow: bool,
        text: Option<&str>,
    ) -> Result<BoxStream<'static, EventDocument>, ErrorDocument> {
        let now = self.known(id)?.now();
        let chosen: Option<BTreeSet<String>> = match text {
            Some(_) => Some(select(&now, text)?.iter().map(ToString::to_string).collect()),
            None => None,
        };
        let mut news = self.inner.shared.events.subscribe();
        let (id, store) = (id.clone(), self.inner.shared.store.clone());
        let environment = id.to_string();
        let all = async_stream(move |out| async move {
            let history = match after {
                Some(after) => page(&store, &id, after),
                None => recent(&store, &id),
            };
            let mut last = after.unwrap_or(0);
            let mut queue = history;
            loop {
                while !queue.is_empty() {
                    let full = queue.len() == PAGE as usize;
                    for event in queue.drain(..).filter(|event| event.seq > last).collect::<Vec<_>>() {
                        last = event.seq;
                        if out.send(event).await.is_err() {
                            return;
                        }
                    }
                    if full {
                        queue = page(&store, &id, last);
                    }
                }
                if !follow {
                    return;
                }
                match news.recv().await {
                    Ok(event) if event.environment == environment => queue.push(event),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => queue = page(&store, &id, last),
                    Err(RecvError::Closed) => return,
                }
            }
        });
        let wanted = move |event: &EventDocument| chosen.as_ref().is_none_or(|names| names.contains(&event.instance));
        Ok(all.filter(move |event| std::future::ready(wanted(event))).boxed())
    }
}

/// The journal's entries after one.
pub(super) fn page(store: &Store, id: &EnvironmentId, after: u64) -> Vec<EventDocument> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    store.transitions(id, after, None, PAGE).unwrap_or_default().iter().map(event_document).collect()
}

fn recent(store: &Store, id: &EnvironmentId) -> Vec<EventDocument> {
    store.last_transitions(id, None, RECENT).unwrap_or_default().iter().map(event_document).collect()
}

/// Items that may wait for a reader that is slower than what is told.
pub(super) const AHEAD: usize = 256;

/// A stream that a task feeds; the task ends when the reader is gone.
pub(crate) fn async_stream<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    feed: impl FnOnce(tokio::sync::mpsc::Sender<T>) -> F,
) -> BoxStream<'static, T> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(AHEAD);
    tokio::spawn(feed(sender));
    futures::stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
}
