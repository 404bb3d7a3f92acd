//! What goes wrong between us and an engine.

use crate::contract::{RuntimeError, StartError};
use bollard::errors::Error;
use muster_spec::{RunId, RuntimeKind};

/// Trying again does not help, and no program is to blame: as docker itself ends (docker-run(1), exit status 125).
pub(super) const ENGINE_REFUSED: i32 = 125;

/// An engine's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// It does not answer: the same request may go well later.
    #[error("{0}")]
    Unreachable(String),
    /// It answered, and said no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
}

impl Trouble {
    /// What was asked about does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// It is not in a state for this: the name is taken, it does not run, it is being removed.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// The engine could not write.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("no space left on device"))
    }

    /// For a request about a run that was alive.
    pub(super) fn about(self, run: &RunId) -> RuntimeError {
        match self {
            Self::Refused { status: 404 | 409, .. } => RuntimeError::Gone(run.clone()),
            // Podman answers 500 where a container ended between its two looks
            Self::Refused { message, .. } if message.contains("container state improper") => {
                RuntimeError::Gone(run.clone())
            }
            other => other.into(),
        }
    }

    /// For a start that cannot go on, where no better reason is known.
    pub(super) fn start(self) -> StartError {
        if self.is_disk_full() {
            // what takes the space may go
            return StartError::Transient(format!(
                "no space left on the engine's disk: `docker system df` shows what takes it, `docker system prune` \
                 removes what nobody uses ({self})"
            ));
        }
        match self {
            Self::Unreachable(reason) => StartError::Transient(reason),
            // the engine's own trouble may pass, what is wrong with the request does not
            Self::Refused { status, message } if status >= 500 => StartError::Transient(message),
            Self::Refused { message, .. } => StartError::Permanent { reason: message, code: ENGINE_REFUSED },
        }
    }
}

impl From<Trouble> for RuntimeError {
    fn from(trouble: Trouble) -> Self {
        Self::Unavailable { runtime: RuntimeKind::Container, reason: trouble.to_string() }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message: message.trim().to_owned() }
            }
            Error::DockerStreamError { error } => Self::Refused { status: 400, message: error.trim().to_owned() },
            Error::JsonDataError { message, .. } => {
                Self::Refused { status: 500, message: format!("the engine's answer is not understood: {message}") }
            }
            other => Self::Unreachable(format!("the engine does not answer: {}", root(&other))),
        }
    }
}

/// The innermost cause: what wraps it says nothing more.
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_ended_in_between_is_gone_on_either_engine() {
        let said = [
            (409, "Container 0a1b is not running"),
            (500, "can only kill running containers. 0a1b is in state exited: container state improper"),
            (404, "No such container: 0a1b"),
        ];
        let run: RunId = "local-0000002a/api#1/7".parse().expect("a run");
        for (status_code, message) in said {
            let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
            assert!(matches!(Trouble::from(error).about(&run), RuntimeError::Gone(_)), "{message}");
        }
        let error = Error::DockerResponseServerError { status_code: 500, message: "out of memory".to_owned() };
        assert!(matches!(Trouble::from(error).about(&run), RuntimeError::Unavailable { .. }));
    }
}
