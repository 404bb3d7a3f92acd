//! What can go wrong, and what to do about it.

use crate::PortRow;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the journal could not be opened, read or written.
///
/// Cloneable: one failed commit is the answer to every batch that was in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder cannot be opened, made or written.
    #[error("cannot write the journal `{}`: make its folder writable for this user, or set `MUSTER_HOME` to a folder that is", path.display())]
    Unwritable {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// No space left.
    #[error("no space left for the journal `{}`: free some space on this file system and try again; nothing was changed", path.display())]
    Full {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// Damaged while it was open.
    #[error("the journal `{}` is damaged: restart the daemon, it puts the file aside and starts a new one", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// Another program holds the lock.
    #[error("the journal `{}` is locked by another program: close what has it open", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// A port belongs to another environment.
    #[error("port {} belongs to port `{}` of `{}` in environment `{}`", holder.number, holder.name, holder.service, holder.environment)]
    PortTaken {
        /// Who has it.
        holder: PortRow,
    },
    /// The same port twice in one write, or a port of another environment in it.
    #[error("port {} of `{}` is given twice or for another environment", port.number, port.service)]
    PortMixed {
        /// The port.
        port: PortRow,
    },
    /// A row that this version did not write.
    #[error("the journal has a row of `{table}` that cannot be read: `{value}`")]
    Row {
        /// The table.
        table: &'static str,
        /// What stands there.
        value: String,
    },
    /// Anything else that SQLite says.
    #[error("the journal `{}` refused", path.display())]
    Sqlite {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The store was closed before the batch was written.
    #[error("the journal is closed")]
    Closed,
}

impl StoreError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unwritable { .. } => "store::unwritable",
            Self::Full { .. } => "store::full",
            Self::Damaged { .. } => "store::damaged",
            Self::Locked { .. } => "store::locked",
            Self::PortTaken { .. } => "store::port_taken",
            Self::PortMixed { .. } => "store::port_mixed",
            Self::Row { .. } => "store::row",
            Self::Sqlite { .. } => "store::sqlite",
            Self::Closed => "store::closed",
        }
    }

    pub(crate) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let code = error.sqlite_error_code();
        let source = Arc::new(error);
        match code {
            Some(ErrorCode::DiskFull) => Self::Full { path, source },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path, source },
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure
                | ErrorCode::AuthorizationForStatementDenied,
            ) => Self::Unwritable { path, source },
            Some(_) | None => Self::Sqlite { path, source },
        }
    }

    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), source: Arc::new(error) }
    }
}
