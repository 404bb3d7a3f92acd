//! The way from who asks to who answers.
//!
//! One table decides for every pair of places; a runtime that is added adds rows here and nowhere else.

use muster_spec::{Address, Location, RuntimeKind, Scope, ServiceSpec};

/// There is no way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way from {consumer} to {provider}: {reason}")]
pub struct NoWay {
    /// Who asks.
    pub consumer: String,
    /// Who is asked for.
    pub provider: String,
    /// What is missing.
    pub reason: String,
}

/// Where a service's instances are.
#[must_use]
pub(crate) fn location(service: &ServiceSpec) -> Location {
    match service.runtime {
        RuntimeKind::Process | RuntimeKind::Mock | RuntimeKind::External => Location::Host,
        RuntimeKind::Container => Location::Container,
        RuntimeKind::Remote => {
            let host = service.variants.remote.as_ref().map(|remote| remote.host.clone());
            Location::Remote(host.unwrap_or_default())
        }
    }
}

/// The address of a port for one consumer. `port` is the number on this machine.
///
/// # Errors
/// [`NoWay`] for a pair of places that nothing connects here.
pub(crate) fn reach(scope: &Scope, port: u16) -> Result<Address, NoWay> {
    match (&scope.consumer, &scope.provider) {
        (Location::Host, Location::Host) => Ok(Address { host: "127.0.0.1".to_owned(), port }),
        (Location::Host | Location::Container | Location::Remote(_), Location::Container | Location::Remote(_))
        | (Location::Container | Location::Remote(_), Location::Host) => Err(NoWay {
            consumer: words(&scope.consumer),
            provider: words(&scope.provider),
            reason: "this build runs processes of this machine only".to_owned(),
        }),
    }
}

fn words(location: &Location) -> String {
    match location {
        Location::Host => "a process of this machine".to_owned(),
        Location::Container => "a container".to_owned(),
        Location::Remote(host) => format!("host `{host}`"),
    }
}
