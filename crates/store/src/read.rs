//! What can be read.

use crate::apply::fact_owner;
use crate::{EnvironmentRow, InstanceRow, PortRow, RunRow, Store, StoreError, SuccessRow, Transition, TransitionRow};
use muster_spec::{EnvironmentId, InstanceId};
use rusqlite::{OptionalExtension, Params, Row, params};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::str::FromStr;

/// A reader of one row: the outer error is SQLite's, the inner one says that the text is not what we write.
type Reads<T> = fn(&Row<'_>) -> Result<T, StoreError>;

impl Store {
    /// All environments, by identity.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        self.all(&format!("{ENVIRONMENT} ORDER BY id"), [], environment)
    }

    /// One environment.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn environment(&self, id: &EnvironmentId) -> Result<Option<EnvironmentRow>, StoreError> {
        self.one(&format!("{ENVIRONMENT} WHERE id = ?"), params![id.to_string()], environment)
    }

    /// The ports of an environment, by number.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn ports_of(&self, id: &EnvironmentId) -> Result<Vec<PortRow>, StoreError> {
        self.all(&format!("{PORT} WHERE environment = ? ORDER BY number"), params![id.to_string()], port)
    }

    /// The ports of all environments, by number.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn all_ports(&self) -> Result<Vec<PortRow>, StoreError> {
        self.all(&format!("{PORT} ORDER BY number"), [], port)
    }

    /// The instances of an environment, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn instances(&self, id: &EnvironmentId) -> Result<Vec<InstanceRow>, StoreError> {
        self.all(
            "SELECT environment, instance, state_json, run_number, updated_at FROM instance
             WHERE environment = ? ORDER BY instance",
            params![id.to_string()],
            instance,
        )
    }

    /// The last `limit` runs of an instance, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn runs(&self, id: &EnvironmentId, of: &InstanceId, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        self.all(
            &format!("{RUN} WHERE environment = ? AND instance = ? ORDER BY number DESC LIMIT ?"),
            params![id.to_string(), of.to_string(), limit],
            run,
        )
    }

    /// The runs of an environment that have not ended, by instance and number: what is adopted at a start.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn open_runs(&self, id: &EnvironmentId) -> Result<Vec<RunRow>, StoreError> {
        self.all(
            &format!("{RUN} WHERE environment = ? AND ended_at IS NULL ORDER BY instance, number"),
            params![id.to_string()],
            run,
        )
    }

    /// The highest run number of each instance, also of removed ones: the next start takes one more.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn last_runs(&self, id: &EnvironmentId) -> Result<Vec<(InstanceId, u64)>, StoreError> {
        self.all(
            "SELECT instance, max(number) FROM
             (SELECT instance, number FROM run WHERE environment = ?1
              UNION ALL SELECT instance, run_number FROM instance WHERE environment = ?1) GROUP BY instance",
            params![id.to_string()],
            |row| Ok((parse("run", row, 0)?, count("run", row, 1)?)),
        )
    }

    /// The first `limit` transitions after a number, the oldest first; of one instance or of all.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn transitions(
        &self,
        id: &EnvironmentId,
        after_seq: i64,
        of: Option<&InstanceId>,
        limit: u32,
    ) -> Result<Vec<TransitionRow>, StoreError> {
        let tail = "AND seq > ? ORDER BY seq LIMIT ?";
        match of {
            Some(of) => self.all(
                &format!("{TRANSITION} WHERE environment = ? AND instance = ? {tail}"),
                params![id.to_string(), of.to_string(), after_seq, limit],
                transition,
            ),
            None => self.all(
                &format!("{TRANSITION} WHERE environment = ? {tail}"),
                params![id.to_string(), after_seq, limit],
                transition,
            ),
        }
    }

    /// The last `limit` transitions, the oldest first; of one instance or of all.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn last_transitions(
        &self,
        id: &EnvironmentId,
        of: Option<&InstanceId>,
        limit: u32,
    ) -> Result<Vec<TransitionRow>, StoreError> {
        let tail = "ORDER BY seq DESC LIMIT ?";
        let mut rows = match of {
            Some(of) => self.all(
                &format!("{TRANSITION} WHERE environment = ? AND instance = ? {tail}"),
                params![id.to_string(), of.to_string(), limit],
                transition,
            ),
            None => self.all(
                &format!("{TRANSITION} WHERE environment = ? {tail}"),
                params![id.to_string(), limit],
                transition,
            ),
        }?;
        rows.reverse();
        Ok(rows)
    }

    /// The last success of a job or build.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn success(&self, id: &EnvironmentId, job: &str) -> Result<Option<SuccessRow>, StoreError> {
        self.one(
            "SELECT environment, job, spec_hash, inputs_hash, at FROM success WHERE environment = ? AND job = ?",
            params![id.to_string(), job],
            success,
        )
    }

    /// A fact of an environment, or of the daemon itself.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn fact(&self, id: Option<&EnvironmentId>, key: &str) -> Result<Option<String>, StoreError> {
        self.one("SELECT value FROM fact WHERE environment = ? AND key = ?", params![fact_owner(id), key], |row| {
            text("fact", row, 0)
        })
    }

    /// All facts of an environment, or of the daemon itself, by key.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn facts(&self, id: Option<&EnvironmentId>) -> Result<Vec<(String, String)>, StoreError> {
        self.all("SELECT key, value FROM fact WHERE environment = ? ORDER BY key", params![fact_owner(id)], |row| {
            Ok((text("fact", row, 0)?, text("fact", row, 1)?))
        })
    }

    fn all<T>(&self, sql: &str, params: impl Params, reads: Reads<T>) -> Result<Vec<T>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                match reads(row) {
                    Ok(row) => found.push(row),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(found))
        })
    }

    fn one<T>(&self, sql: &str, params: impl Params, reads: Reads<T>) -> Result<Option<T>, StoreError> {
        self.read(|connection| {
            let found = connection.prepare_cached(sql)?.query_row(params, |row| Ok(reads(row))).optional()?;
            Ok(found.transpose())
        })
    }
}

const ENVIRONMENT: &str = "SELECT id, root, stack_name, generation, stack_json, port_base, port_block, created_at, updated_at FROM environment";
const PORT: &str = "SELECT number, environment, service, replica, name FROM port";
const RUN: &str = "SELECT environment, instance, number, handle_json, started_at, ended_at, exit_json FROM run";
const TRANSITION: &str =
    "SELECT seq, at_ns, environment, instance, run, from_state, to_state, cause_json FROM transition";

fn environment(row: &Row<'_>) -> Result<EnvironmentRow, StoreError> {
    const T: &str = "environment";
    let root: Vec<u8> = get(T, row, 1)?;
    Ok(EnvironmentRow {
        id: parse(T, row, 0)?,
        root: OsString::from_vec(root).into(),
        stack_name: parse(T, row, 2)?,
        generation: count(T, row, 3)?,
        stack_json: text(T, row, 4)?,
        port_base: get(T, row, 5)?,
        port_block: get(T, row, 6)?,
        created_at: get(T, row, 7)?,
        updated_at: get(T, row, 8)?,
    })
}

pub(crate) fn port(row: &Row<'_>) -> Result<PortRow, StoreError> {
    const T: &str = "port";
    Ok(PortRow {
        number: get(T, row, 0)?,
        environment: parse(T, row, 1)?,
        service: parse(T, row, 2)?,
        replica: get(T, row, 3)?,
        name: parse(T, row, 4)?,
    })
}

fn instance(row: &Row<'_>) -> Result<InstanceRow, StoreError> {
    const T: &str = "instance";
    Ok(InstanceRow {
        environment: parse(T, row, 0)?,
        instance: parse(T, row, 1)?,
        state_json: text(T, row, 2)?,
        run_number: count(T, row, 3)?,
        updated_at: get(T, row, 4)?,
    })
}

fn run(row: &Row<'_>) -> Result<RunRow, StoreError> {
    const T: &str = "run";
    Ok(RunRow {
        environment: parse(T, row, 0)?,
        instance: parse(T, row, 1)?,
        number: count(T, row, 2)?,
        handle_json: get(T, row, 3)?,
        started_at: get(T, row, 4)?,
        ended_at: get(T, row, 5)?,
        exit_json: get(T, row, 6)?,
    })
}

fn transition(row: &Row<'_>) -> Result<TransitionRow, StoreError> {
    const T: &str = "transition";
    let transition = Transition {
        at_ns: get(T, row, 1)?,
        environment: parse(T, row, 2)?,
        instance: parse(T, row, 3)?,
        run: count(T, row, 4)?,
        from_state: text(T, row, 5)?,
        to_state: text(T, row, 6)?,
        cause_json: text(T, row, 7)?,
    };
    Ok(TransitionRow { seq: get(T, row, 0)?, transition })
}

fn success(row: &Row<'_>) -> Result<SuccessRow, StoreError> {
    const T: &str = "success";
    Ok(SuccessRow {
        environment: parse(T, row, 0)?,
        job: text(T, row, 1)?,
        spec_hash: text(T, row, 2)?,
        inputs_hash: text(T, row, 3)?,
        at: get(T, row, 4)?,
    })
}

fn get<T: rusqlite::types::FromSql>(table: &'static str, row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    row.get(column).map_err(|error| StoreError::Row { table, value: error.to_string() })
}

fn text(table: &'static str, row: &Row<'_>, column: usize) -> Result<String, StoreError> {
    get(table, row, column)
}

fn parse<T: FromStr>(table: &'static str, row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    let value = text(table, row, column)?;
    value.parse().map_err(|_| StoreError::Row { table, value })
}

fn count(table: &'static str, row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    let value: i64 = get(table, row, column)?;
    u64::try_from(value).map_err(|_| StoreError::Row { table, value: value.to_string() })
}
