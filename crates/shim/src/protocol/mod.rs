//! What daemon and shim say to each other.
//!
//! A connection starts with a [`Request::Hello`] from the client; the shim answers with [`Message::Hello`]. After that
//! requests carry a number (`seq`) and their answers repeat it; events come unasked to connections that subscribed. The
//! connection over which the [`LaunchSpec`](crate::LaunchSpec) came is subscribed from the start.
//!
//! | frozen for ever | kinds |
//! |---|---|
//! | requests | hello 1, status 3, stop 4, kill 5, tail 6, give-fds 7 |
//! | messages | hello 129, done 130, refused 131, status 132, tail 133, fds 134 |
//!
//! An exec or an attach takes its connection over: from then on it carries only the stream (stdin, resize one way;
//! stdout, stderr, exit the other), and losing it ends the exec.
//!
//! Fields are only ever appended, a kind is never used again for something else, and an unknown request is refused by
//! its number instead of ending the connection.

mod message;
mod request;

pub use message::{ExitCause, Exited, Message, Phase, Refusal, Status, Step, Usage};
pub use request::{AttachRole, Request};

/// Version of the protocol: a client of major N speaks N and N-1; minors only add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes when something other than the frozen core changes its meaning.
    pub major: u16,
    /// Rises when something is added.
    pub minor: u16,
}

/// What this build speaks.
pub const VERSION: Version = Version { major: 1, minor: 1 };

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
