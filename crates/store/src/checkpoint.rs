//! Checkpoints, away from the writer: inline they stall it for 8 ms.

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The WAL is moved into the database from this many pages (of 4 KiB) on: 4 MiB.
const PAGES: i32 = 1024;

/// So long without a write is a pause.
const CALM: Duration = Duration::from_secs(1);
/// A pause that does not come is not waited for any longer.
const LONGEST: Duration = Duration::from_secs(30);

/// One is enough: a request that waits covers all that come after it.
const REQUESTS: usize = 1;

/// Starts the thread; ends when the hook, and with it the writer's connection, is gone.
pub(crate) fn start(writer: &mut Connection, own: Connection) -> std::io::Result<rusqlite::Result<JoinHandle<()>>> {
    let (ask, asked) = sync_channel(REQUESTS);
    let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || run(&own, &asked))?;
    Ok(hook(writer, ask).map(|()| thread))
}

fn hook(writer: &mut Connection, ask: SyncSender<()>) -> rusqlite::Result<()> {
    writer.wal_hook(Some(move |_: &mut Wal, pages| {
        if pages >= PAGES {
            // A full queue means that one is due already.
            let _ = ask.try_send(());
        }
        Ok(())
    }))
}

/// Waits for a pause in the writing: a checkpoint flushes to the disk, and whoever makes a file meanwhile waits for that.
fn pause(asked: &Receiver<()>) {
    let end = Instant::now() + LONGEST;
    while Instant::now() < end && asked.recv_timeout(CALM).is_ok() {}
}

fn run(connection: &Connection, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        pause(asked);
        // PASSIVE waits for nobody: what a reader still needs is moved the next time.
        let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
        if let Err(error) = done {
            tracing::warn!(%error, "the journal's checkpoint failed; it is tried again after the next write");
        }
    }
}
