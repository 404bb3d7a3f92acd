//! One change as SQL.

use crate::write::Write;
use crate::{EnvironmentRow, InstanceRow, PortRow, RunRow, StoreError, SuccessRow, Transition};
use muster_spec::{EnvironmentId, InstanceId};
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Writes one change after another into the open transaction.
pub(crate) struct Apply<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) path: &'a Path,
}

/// SQLite has no unsigned 64 bits; a count that does not fit is one that nobody reaches.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Apply<'_> {
    /// Writes a change; the number of a transition is returned.
    pub(crate) fn write(&self, write: &Write) -> Result<Option<i64>, StoreError> {
        match write {
            Write::PutEnvironment(row) => self.put_environment(row)?,
            Write::RemoveEnvironment(id) => self.remove_environment(id)?,
            Write::PutPorts { environment, ports } => self.put_ports(environment, ports)?,
            Write::PutInstance(row) => self.put_instance(row)?,
            Write::RemoveInstance { environment, instance } => self.execute(
                "DELETE FROM instance WHERE environment = ? AND instance = ?",
                params![environment.to_string(), instance.to_string()],
            )?,
            Write::PutRun(row) => self.put_run(row)?,
            Write::EndRun { environment, instance, number, ended_at, exit_json } => {
                self.end_run((environment, instance, *number), *ended_at, exit_json)?;
            }
            Write::Transition(transition) => return self.transition(transition).map(Some),
            Write::PutSuccess(row) => self.put_success(row)?,
            Write::RemoveSuccess { environment, job } => self.execute(
                "DELETE FROM success WHERE environment = ? AND job = ?",
                params![environment.to_string(), job],
            )?,
            Write::PutFact { environment, key, value } => self.execute(
                "INSERT INTO fact (environment, key, value) VALUES (?, ?, ?)
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                params![fact_owner(environment.as_ref()), key, value],
            )?,
            Write::RemoveFact { environment, key } => self.execute(
                "DELETE FROM fact WHERE environment = ? AND key = ?",
                params![fact_owner(environment.as_ref()), key],
            )?,
        }
        Ok(None)
    }

    /// Drops what is older than the last `kept` transitions of an environment.
    pub(crate) fn prune_transitions(&self, environment: &EnvironmentId, kept: u64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM transition WHERE environment = ?1 AND seq <=
             (SELECT seq FROM transition WHERE environment = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
            params![environment.to_string(), int(kept)],
        )
    }

    /// Drops ended runs before the last `kept` of an instance.
    pub(crate) fn prune_runs(&self, row: &RunRow, kept: u64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM run WHERE environment = ? AND instance = ? AND number <= ? AND ended_at IS NOT NULL",
            params![row.environment.to_string(), row.instance.to_string(), int(row.number) - int(kept)],
        )
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute(params);
        run().map(drop).map_err(|error| StoreError::sqlite(self.path, error))
    }

    fn put_environment(&self, row: &EnvironmentRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO environment
             (id, root, stack_name, generation, stack_json, port_base, port_block, created_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET root = excluded.root, stack_name = excluded.stack_name,
             generation = excluded.generation, stack_json = excluded.stack_json, port_base = excluded.port_base,
             port_block = excluded.port_block, updated_at = excluded.updated_at",
            params![
                row.id.to_string(),
                row.root.as_os_str().as_bytes(),
                row.stack_name.as_str(),
                int(row.generation),
                row.stack_json,
                row.port_base,
                row.port_block,
                row.created_at,
                row.updated_at
            ],
        )
    }

    fn remove_environment(&self, id: &EnvironmentId) -> Result<(), StoreError> {
        self.execute("DELETE FROM environment WHERE id = ?", params![id.to_string()])?;
        for sql in [
            "DELETE FROM port WHERE environment = ?",
            "DELETE FROM instance WHERE environment = ?",
            "DELETE FROM run WHERE environment = ?",
            "DELETE FROM transition WHERE environment = ?",
            "DELETE FROM success WHERE environment = ?",
            "DELETE FROM fact WHERE environment = ?",
        ] {
            self.execute(sql, params![id.to_string()])?;
        }
        Ok(())
    }

    fn put_ports(&self, environment: &EnvironmentId, ports: &[PortRow]) -> Result<(), StoreError> {
        self.execute("DELETE FROM port WHERE environment = ?", params![environment.to_string()])?;
        for (index, port) in ports.iter().enumerate() {
            let twice = ports.iter().take(index).any(|earlier| {
                earlier.number == port.number
                    || (&earlier.service, earlier.replica, &earlier.name) == (&port.service, port.replica, &port.name)
            });
            if twice || port.environment != *environment {
                return Err(StoreError::PortMixed { port: port.clone() });
            }
            if let Some(holder) = self.holder(port.number)? {
                return Err(StoreError::PortTaken { holder });
            }
            self.execute(
                "INSERT INTO port (number, environment, service, replica, name) VALUES (?, ?, ?, ?, ?)",
                params![port.number, environment.to_string(), port.service.as_str(), port.replica, port.name.as_str()],
            )?;
        }
        Ok(())
    }

    fn holder(&self, number: u16) -> Result<Option<PortRow>, StoreError> {
        let find = || {
            self.connection
                .prepare_cached("SELECT number, environment, service, replica, name FROM port WHERE number = ?")?
                .query_row(params![number], |row| Ok(crate::read::port(row)))
                .optional()
        };
        find().map_err(|error| StoreError::sqlite(self.path, error))?.transpose()
    }

    fn put_instance(&self, row: &InstanceRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO instance (environment, instance, state_json, run_number, updated_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET state_json = excluded.state_json, run_number = excluded.run_number,
             updated_at = excluded.updated_at",
            params![
                row.environment.to_string(),
                row.instance.to_string(),
                row.state_json,
                int(row.run_number),
                row.updated_at
            ],
        )
    }

    fn put_run(&self, row: &RunRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO run (environment, instance, number, handle_json, started_at, ended_at, exit_json)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET handle_json = excluded.handle_json, started_at = excluded.started_at,
             ended_at = excluded.ended_at, exit_json = excluded.exit_json",
            params![
                row.environment.to_string(),
                row.instance.to_string(),
                int(row.number),
                row.handle_json,
                row.started_at,
                row.ended_at,
                row.exit_json
            ],
        )
    }

    fn end_run(
        &self,
        (environment, instance, number): (&EnvironmentId, &InstanceId, u64),
        ended_at: i64,
        exit_json: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO run (environment, instance, number, started_at, ended_at, exit_json)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5)
             ON CONFLICT DO UPDATE SET ended_at = excluded.ended_at, exit_json = excluded.exit_json",
            params![environment.to_string(), instance.to_string(), int(number), ended_at, exit_json],
        )
    }

    fn transition(&self, transition: &Transition) -> Result<i64, StoreError> {
        self.execute(
            "INSERT INTO transition (at_ns, environment, instance, run, from_state, to_state, cause_json)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                transition.at_ns,
                transition.environment.to_string(),
                transition.instance.to_string(),
                int(transition.run),
                transition.from_state,
                transition.to_state,
                transition.cause_json
            ],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    fn put_success(&self, row: &SuccessRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO success (environment, job, spec_hash, inputs_hash, at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET spec_hash = excluded.spec_hash, inputs_hash = excluded.inputs_hash,
             at = excluded.at",
            params![row.environment.to_string(), row.job, row.spec_hash, row.inputs_hash, row.at],
        )
    }
}

/// Facts of the daemon itself stand under the empty name, which no environment can have.
pub(crate) fn fact_owner(environment: Option<&EnvironmentId>) -> String {
    environment.map(ToString::to_string).unwrap_or_default()
}
