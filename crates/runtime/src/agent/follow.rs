//! A run's log as it grows, piece by piece, never more than the other side has room for.

use super::channels::Outlet;
use super::server::handle;
use crate::contract::{LogChunk, Runtime as _, RuntimeEvent};
use crate::process::ProcessRuntime;
use crate::remote::wire::{Failure, Item, PIECE, Piece};
use futures::StreamExt as _;
use muster_logs::{Item as LogItem, Reader, Stream};
use muster_spec::RunId;

/// Sends the log from `from` on, until the run has ended and all of it was sent.
pub(super) async fn follow(runtime: &ProcessRuntime, run: &RunId, from: u64, outlet: &Outlet) {
    outlet.send(Item::Opened).await;
    let mut reader = Reader::new(&runtime.run_dir(run));
    let mut events = runtime.watch(&handle(run));
    let (mut cursor, mut over) = (from, false);
    loop {
        // from the page cache, a piece at a time: quicker than asking another thread for it
        match reader.read(cursor, PIECE) {
            Ok(batch) if batch.next > cursor => {
                cursor = batch.next;
                outlet.send(Item::Log(pieces(batch.items))).await;
                continue;
            }
            Ok(_) => {}
            Err(error) => return outlet.send(Item::Failed(Failure::io(error.to_string(), &error.source))).await,
        }
        if over {
            return;
        }
        match events.next().await {
            Some(RuntimeEvent::Exited(_)) | None => over = true,
            Some(
                RuntimeEvent::LogGrew(_)
                | RuntimeEvent::Notify(_)
                | RuntimeEvent::Health(_)
                | RuntimeEvent::LinkLost(_)
                | RuntimeEvent::LinkBack,
            ) => {}
        }
    }
}

/// Gaps need no piece of their own: the next piece's offset tells of them.
fn pieces(items: Vec<LogItem>) -> Vec<Piece> {
    let mut gap = 0;
    let mut pieces = Vec::with_capacity(items.len());
    for item in items {
        match item {
            LogItem::Gap(missing) => gap += missing.bytes,
            LogItem::Chunk(chunk) => pieces.push(
                LogChunk {
                    offset: chunk.offset,
                    time_ns: chunk.time_ns,
                    stderr: chunk.stream == Stream::Stderr,
                    bytes: chunk.bytes,
                    gap: std::mem::take(&mut gap),
                }
                .into(),
            ),
        }
    }
    pieces
}
