//! Why there is no daemon.

use crate::exit;
use muster_engine::documents::ErrorDocument;
use std::error::Error as _;
use std::path::PathBuf;

/// Code of [`DaemonError::Running`].
pub(super) const RUNNING: &str = "daemon::running";

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Neither `MUSTER_HOME` nor a home folder is known.
    #[error("there is no folder for the state: neither `MUSTER_HOME`, `XDG_STATE_HOME` nor `HOME` is set")]
    NoHome,
    /// A folder cannot be made or used.
    #[error("the state folder `{}` cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Every folder for sockets has a name that is too long.
    #[error("no folder for sockets is short enough: `{}` leaves no room within the 107 bytes of a socket's name", path.display())]
    TooLong {
        /// The last that was tried.
        path: PathBuf,
    },
    /// A file of the daemon's own cannot be used.
    #[error("`{}` cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another one runs already.
    #[error("a daemon runs already behind `{}`", socket.display())]
    Running {
        /// Its socket.
        socket: PathBuf,
    },
    /// It could not be started at all.
    #[error("the daemon could not be started from `{}`", binary.display())]
    Spawn {
        /// The binary.
        binary: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It ended before it answered.
    #[error("the daemon ended before it answered{}{last}", if last.is_empty() { "" } else { ": " })]
    Died {
        /// The last line that it wrote.
        last: String,
        /// Where it writes.
        log: PathBuf,
    },
    /// It did not get ready in time.
    #[error("the daemon did not answer within {seconds} s")]
    Silent {
        /// How long was waited.
        seconds: u64,
        /// Where it writes.
        log: PathBuf,
    },
    /// It said why it does not start.
    #[error("{0}")]
    Said(Box<ErrorDocument>),
    /// The supervisor's binary is not there.
    #[error("`muster-shim` was not found beside `{}`", beside.display())]
    NoShim {
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// The state cannot be opened.
    #[error("the state in `{}` cannot be opened: {reason}", home.display())]
    Engine {
        /// The state folder.
        home: PathBuf,
        /// Why, with its causes.
        reason: String,
    },
}

impl DaemonError {
    /// For people and scripts.
    #[must_use]
    pub fn document(&self) -> ErrorDocument {
        let mut message = self.to_string();
        if let Some(source) = self.source() {
            message = format!("{message}: {source}");
        }
        let (code, help) = match self {
            Self::Said(document) => return (**document).clone(),
            Self::NoHome => ("daemon::no_home", "set `MUSTER_HOME` to a folder that you can write".to_owned()),
            Self::Folder { .. } => {
                ("daemon::state_folder", "make it writable, or set `MUSTER_HOME` to a folder that is".to_owned())
            }
            Self::TooLong { .. } => {
                ("daemon::path_too_long", "set `MUSTER_HOME` or `XDG_RUNTIME_DIR` to a shorter path".to_owned())
            }
            Self::File { .. } => ("daemon::state_file", "`muster doctor` says what this machine lacks".to_owned()),
            Self::Running { .. } => (RUNNING, "`muster daemon status` shows it".to_owned()),
            Self::Spawn { .. } => ("daemon::spawn", "`muster doctor` says what this machine lacks".to_owned()),
            Self::Died { log, .. } => ("daemon::died", format!("it writes to {}", log.display())),
            Self::Silent { log, .. } => ("daemon::silent", format!("it writes to {}", log.display())),
            Self::NoShim { .. } => (
                "daemon::no_shim",
                "build it with `cargo build -p muster-shim`, or set `MUSTER_SHIM` to its path".to_owned(),
            ),
            Self::Engine { .. } => ("daemon::state", "`muster doctor` says what this machine lacks".to_owned()),
        };
        ErrorDocument::new(code, exit::DAEMON, message).help(help)
    }
}
