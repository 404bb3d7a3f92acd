//! Opening: what cannot be read is put aside.

use crate::schema::{self, Found, SCHEMA_VERSION};
use crate::{Store, StoreError};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Up to this size every page is checked at the start (10 ms); a larger file only after damage was seen in it.
const CHECKED_SIZE: u64 = 16 << 20;

/// How long a lock of another program (a backup, a shell) is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// An open store, and what had to be done for it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where the old database lies now, when it could not be used.
    pub quarantined: Option<PathBuf>,
    /// Why it could not be used.
    pub reason: Option<String>,
}

/// A database that is ready to be written to.
pub(crate) struct Prepared {
    pub(crate) connection: Connection,
    pub(crate) quarantined: Option<PathBuf>,
    pub(crate) reason: Option<String>,
}

/// Opens, checks and migrates; puts aside what cannot be used.
pub(crate) fn prepare(path: &Path) -> Result<Prepared, StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::io(path, error))?;
    }
    let reason = match attempt(path)? {
        Attempt::Ready(connection) => return Ok(Prepared { connection, quarantined: None, reason: None }),
        Attempt::Unusable(reason) => reason,
    };
    let aside = quarantine(path)?;
    match attempt(path)? {
        Attempt::Ready(connection) => Ok(Prepared { connection, quarantined: Some(aside), reason: Some(reason) }),
        Attempt::Unusable(reason) => Err(StoreError::io(path, std::io::Error::other(reason))),
    }
}

enum Attempt {
    Ready(Connection),
    Unusable(String),
}

fn attempt(path: &Path) -> Result<Attempt, StoreError> {
    match open(path) {
        Ok(attempt) => Ok(attempt),
        Err(error) if is_damage(&error) => Ok(Attempt::Unusable(format!("it is damaged: {error}"))),
        Err(error) => Err(StoreError::sqlite(path, error)),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn open(path: &Path) -> rusqlite::Result<Attempt> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let version = match schema::inspect(&connection)? {
        Found::New => 0,
        Found::Ours(version) => version,
        Found::Newer(version) => {
            return Ok(Attempt::Unusable(format!(
                "it was written by a newer version (schema {version}, this one knows {SCHEMA_VERSION})"
            )));
        }
        Found::Foreign => return Ok(Attempt::Unusable("it is the database of another program".to_owned())),
    };
    if let Some(damage) = damage(&connection, path)? {
        return Ok(Attempt::Unusable(format!("it is damaged: {damage}")));
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    schema::migrate(&mut connection, version)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(Attempt::Ready(connection))
}

fn damage(connection: &Connection, path: &Path) -> rusqlite::Result<Option<String>> {
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    let suspect = suspect_mark(path);
    if size > CHECKED_SIZE && !suspect.exists() {
        return Ok(None);
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // Without the mark the next start is quick again; if it cannot be removed, that start is only slower.
    let _ = std::fs::remove_file(suspect);
    Ok((found != "ok").then_some(found))
}

/// A file beside the database: damage was seen, the next start checks every page.
pub(crate) fn suspect_mark(path: &Path) -> PathBuf {
    with_suffix(path, ".suspect")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames the database with its `-wal` and `-shm`, so that it can still be opened by hand.
fn quarantine(path: &Path) -> Result<PathBuf, StoreError> {
    let aside = (1_u32..)
        .map(|n| with_suffix(path, &format!(".quarantine-{n}")))
        .find(|candidate| !candidate.exists())
        .expect("invariant: there are fewer quarantined files than numbers");
    for suffix in ["-wal", "-shm", ""] {
        match std::fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(path, error)),
        }
    }
    Ok(aside)
}

/// A connection that can only read.
pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    open().map_err(|error| StoreError::sqlite(path, error))
}
