//! Why a call failed, and the exit code that it means.

use crate::documents::API_MAJOR;
use crate::exit;
use muster_engine::documents::ErrorDocument;
use std::error::Error as _;
use std::path::PathBuf;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon said no, and why.
    #[error("{0}")]
    Refused(Box<ErrorDocument>),
    /// Nobody listens.
    #[error("the daemon cannot be reached at `{}`", socket.display())]
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The connection ended before the answer did.
    #[error("the daemon at `{}` ended the connection", socket.display())]
    Broken {
        /// Where.
        socket: PathBuf,
        /// What the connection said.
        #[source]
        source: hyper::Error,
    },
    /// It speaks another major version.
    #[error("the daemon speaks version {theirs} of the API, this command version {API_MAJOR}")]
    Skew {
        /// The daemon's.
        theirs: u32,
    },
    /// What answers is no daemon of ours.
    #[error("what answers is not a muster daemon (HTTP status {status})")]
    NotOurs {
        /// HTTP status of its answer.
        status: u16,
    },
    /// An answer of a shape that this version does not know.
    #[error("the daemon's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// A request that cannot be written.
    #[error("the request cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// A request that is none.
    #[error("the request is not one")]
    BadRequest(#[source] http::Error),
}

impl ClientError {
    /// Whether nobody listens: a daemon may be started then.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// The connection ended in the middle: a daemon that ends or is replaced.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }

    /// For people and scripts, with the exit code that it means.
    #[must_use]
    pub fn into_document(self) -> ErrorDocument {
        let mut message = self.to_string();
        if let Some(source) = self.source() {
            message = format!("{message}: {source}");
        }
        match self {
            Self::Refused(document) => *document,
            Self::Unreachable { .. } => ErrorDocument::new("daemon::unreachable", exit::DAEMON, message)
                .help("`muster daemon status` shows what is there; any command that needs the daemon starts it"),
            Self::Broken { .. } => ErrorDocument::new("daemon::connection_lost", exit::DAEMON, message)
                .help("the services run on; run the command again, and look into `muster daemon status` if it repeats"),
            Self::Skew { .. } => ErrorDocument::new("daemon::version", exit::DAEMON, message)
                .help("run `muster daemon upgrade`: the services run on while the daemon is replaced"),
            Self::NotOurs { .. } | Self::Unreadable(_) => {
                ErrorDocument::new("daemon::not_understood", exit::DAEMON, message)
                    .help("run `muster daemon upgrade` so that the daemon and this command are of one version")
            }
            Self::Unwritable(_) | Self::BadRequest(_) => ErrorDocument::new("client::request", exit::USAGE, message),
        }
    }
}
