//! The schema and its versions.

use rusqlite::Connection;

/// The version this code writes, as `user_version`.
pub const SCHEMA_VERSION: i64 = 1;

/// `application_id`: "MSTR". A database of another program is never taken for ours.
pub(crate) const APPLICATION_ID: i64 = 0x4d53_5452;

/// Step `n` brings version `n` to `n + 1`. A published step is never edited, only followed by another.
const STEPS: [&str; 1] = [r"
CREATE TABLE environment (
    id TEXT PRIMARY KEY,
    root BLOB NOT NULL,
    stack_name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    stack_json TEXT NOT NULL,
    port_base INTEGER,
    port_block INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE port (
    number INTEGER PRIMARY KEY,
    environment TEXT NOT NULL,
    service TEXT NOT NULL,
    replica INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (environment, service, replica, name)
);
CREATE TABLE instance (
    environment TEXT NOT NULL,
    instance TEXT NOT NULL,
    state_json TEXT NOT NULL,
    run_number INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (environment, instance)
) WITHOUT ROWID;
CREATE TABLE run (
    environment TEXT NOT NULL,
    instance TEXT NOT NULL,
    number INTEGER NOT NULL,
    handle_json TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    exit_json TEXT,
    PRIMARY KEY (environment, instance, number)
) WITHOUT ROWID;
CREATE TABLE transition (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    environment TEXT NOT NULL,
    instance TEXT NOT NULL,
    run INTEGER NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    cause_json TEXT NOT NULL
);
CREATE INDEX transition_by_instance ON transition (environment, instance, seq);
CREATE INDEX transition_by_environment ON transition (environment, seq);
CREATE TABLE success (
    environment TEXT NOT NULL,
    job TEXT NOT NULL,
    spec_hash TEXT NOT NULL,
    inputs_hash TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (environment, job)
) WITHOUT ROWID;
CREATE TABLE fact (
    environment TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, key)
) WITHOUT ROWID;
"];

/// What a database is, before anything is written to it.
pub(crate) enum Found {
    /// Empty: a new file.
    New,
    /// Ours, of this version or an older one.
    Ours(i64),
    /// Ours, but of a newer version.
    Newer(i64),
    /// Of another program.
    Foreign,
}

/// Looks at a database.
pub(crate) fn inspect(connection: &Connection) -> rusqlite::Result<Found> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version) {
        (0, 0) if tables == 0 => Found::New,
        (APPLICATION_ID, version) if version > SCHEMA_VERSION => Found::Newer(version),
        (APPLICATION_ID, version) if version >= 1 => Found::Ours(version),
        (_, _) => Found::Foreign,
    })
}

/// Brings a database from a version to [`SCHEMA_VERSION`], in one transaction.
pub(crate) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    if from >= SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}
