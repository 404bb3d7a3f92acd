//! What an environment leaves on disk beside the journal: enough to build a lost journal's rows again.

use crate::paths::Paths;
use crate::ports::{Beside, PortTable};
use muster_core::Accepted;
use muster_spec::{EnvironmentId, PortName, SecretText, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// The accepted stack and its ports. Holds no secret.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct EnvironmentRecord {
    /// The stack.
    pub(crate) accepted: Arc<Accepted>,
    /// The generation in which it was accepted.
    pub(crate) generation: u64,
    /// First port of its block.
    pub(crate) port_base: Option<u16>,
    /// Ports of its block.
    pub(crate) port_block: u16,
    /// Its ports.
    pub(crate) ports: Vec<(ServiceName, u16, PortName, u16)>,
    /// What of its ports is no service's.
    #[serde(default)]
    pub(crate) beside: Beside,
}

impl EnvironmentRecord {
    pub(crate) fn new(accepted: &Arc<Accepted>, generation: u64, table: &PortTable) -> Self {
        let entry = |((s, r, n), number): (&(ServiceName, u16, PortName), &u16)| (s.clone(), *r, n.clone(), *number);
        Self {
            accepted: Arc::clone(accepted),
            generation,
            port_base: table.base,
            port_block: table.block,
            ports: table.numbers.iter().map(entry).collect(),
            beside: table.beside(),
        }
    }

    /// Its ports as a table.
    pub(crate) fn table(&self) -> PortTable {
        let numbers = self.ports.iter().map(|(s, r, n, number)| ((s.clone(), *r, n.clone()), *number)).collect();
        let mut table = PortTable { base: self.port_base, block: self.port_block, numbers, ..PortTable::default() };
        table.put_beside(self.beside.clone());
        table
    }

    /// Reads it.
    ///
    /// # Errors
    /// What the system said, or that the text is not a record.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Writes it, readable by its owner only.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn write(&self, paths: &Paths, id: &EnvironmentId) -> io::Result<()> {
        write_private(&paths.record(id), &serde_json::to_vec(self)?)
    }
}

/// Writes the values of an environment's secrets into its volatile folder; without any, removes the file.
///
/// # Errors
/// What the system said.
pub(crate) fn write_secrets(
    paths: &Paths,
    id: &EnvironmentId,
    secrets: &BTreeMap<String, SecretText>,
) -> io::Result<()> {
    let path = paths.secrets(id);
    if !secrets.is_empty() {
        return write_private(&path, &serde_json::to_vec(secrets)?);
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The values of an environment's secrets, as far as they are still known.
pub(crate) fn read_secrets(paths: &Paths, id: &EnvironmentId) -> BTreeMap<String, SecretText> {
    let read = std::fs::read(paths.secrets(id)).ok();
    read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Makes a folder that only its owner may enter, and those above it.
///
/// # Errors
/// What the system said.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// By write and rename: a reader sees the old text or the new one.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        private_dir(parent)?;
    }
    let beside = path.with_extension("new");
    // one that was left by a crash may belong to another mode
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    drop(file);
    std::fs::rename(&beside, path)
}
