//! A run whose supervisor is gone: end what it left, keep its last bytes, record its end.

use super::records::exit_record;
use crate::contract::ExitRecord;
use crate::sys;
use muster_shim::{ExitCause, Meta, Pipes, Salvage, end_leftovers, kill_marked, salvage};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How long the killing goes on; a process in an uninterruptible wait outlives it.
const PATIENCE: Duration = Duration::from_millis(700);
/// Processes that lost their parent become our children within this time or never.
const ORPHAN_PATIENCE: Duration = Duration::from_millis(100);

/// What is known of the dead.
pub(super) struct Remains {
    pub(super) run: String,
    pub(super) folder: PathBuf,
    /// What keeps its last bytes.
    pub(super) pipes: Pipes,
    pub(super) secrets: Vec<Vec<u8>>,
    pub(super) cause: ExitCause,
}

/// Ends the tree and writes the record. Blocks for as long as the killing takes.
pub(super) fn bury(remains: Remains) -> io::Result<ExitRecord> {
    let Remains { run, folder, pipes, secrets, cause } = remains;
    // the supervisor's own lock went with it: whoever comes second finds the first one's record
    let lock = sys::lock_folder(&folder, PATIENCE);
    if let Ok(Some(record)) = muster_shim::ExitRecord::read(&folder)
        && record.is_complete()
    {
        return Ok(exit_record(&record));
    }
    let meta = Meta::read(&folder).ok().flatten();
    let gone = match &meta {
        Some(meta) => {
            sys::end_orphans(meta.shim_start, ORPHAN_PATIENCE);
            let gone = end_leftovers(meta, &folder, PATIENCE);
            sys::end_orphans(meta.shim_start, ORPHAN_PATIENCE);
            gone
        }
        None => kill_marked(&run, &folder, PATIENCE),
    };
    if !gone {
        tracing::warn!(run, "some processes outlived their supervisor and the attempt to end them");
    }
    let keep = meta.map_or(muster_logs::DEFAULT_KEEP, |meta| meta.log_keep);
    let record =
        salvage(Salvage { folder: &folder, pipes, secrets: &secrets, keep, cause }).map_err(io::Error::other)?;
    drop(lock);
    Ok(exit_record(&record))
}
