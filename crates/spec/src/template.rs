//! Text with typed references in it.

use crate::{PortName, ServiceName};
use serde::{Deserialize, Serialize};

/// Something that only the daemon knows, or that must stay out of files: named in the stack, filled in at each start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// `${port.x}`: the port that this instance listens on.
    OwnPort(PortName),
    /// `${addr.x}`: host and port of this instance, as it reaches itself.
    OwnAddress(PortName),
    /// `${bind}`, `${bind.x}`: the address to listen on, for all ports or one, so that everybody who needs it reaches it.
    Bind(Option<PortName>),
    /// `${dir.data}`: a folder of the service that stays until the environment's data is removed.
    DataDir,
    /// `${dir.run}`: a short path for sockets, gone after `down`.
    RunDir,
    /// `${dir.logs}`: the folder in which the logs of the instance's runs lie.
    LogDir,
    /// `${env.name}`: the environment.
    EnvironmentName,
    /// `${replica}`: this instance's number, from 1.
    Replica,
    /// `${replica0}`: this instance's number, from 0.
    ReplicaFromZero,
    /// `${services.S.port.x}`.
    Port {
        /// The service asked for.
        service: ServiceName,
        /// Its port.
        port: PortName,
    },
    /// `${services.S.addr.x}`: as the consumer reaches it.
    Address {
        /// The service asked for.
        service: ServiceName,
        /// Its port.
        port: PortName,
    },
    /// `${services.S.url}`: the URL of an external service.
    ExternalUrl(ServiceName),
    /// `${databases.D.url}`: as the consumer reaches it.
    DatabaseUrl(String),
    /// A variable with `secret: true`; its value travels apart from the stack.
    Secret(String),
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// To be filled in.
    Ref(Reference),
}

/// Text in which references are still open.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Vec<Part>);

impl Template {
    /// A template without references.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// The text, when nothing is open.
    #[must_use]
    pub fn as_literal(&self) -> Option<String> {
        self.0.iter().map(|part| if let Part::Text(t) = part { Some(t.as_str()) } else { None }).collect()
    }

    /// The references in it, in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|part| if let Part::Ref(r) = part { Some(r) } else { None })
    }

    /// Fills every reference in.
    ///
    /// # Errors
    /// The first error of `fill`.
    pub fn resolve<E>(&self, mut fill: impl FnMut(&Reference) -> Result<String, E>) -> Result<String, E> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Ref(reference) => out.push_str(&fill(reference)?),
            }
        }
        Ok(out)
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        Self::literal(text)
    }
}

/// The template as it would be written in a file; a secret's value never stands in one.
impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(&text.replace('$', "$$"))?,
                Part::Ref(reference) => write!(f, "${{{reference}}}")?,
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OwnPort(port) => write!(f, "port.{port}"),
            Self::OwnAddress(port) => write!(f, "addr.{port}"),
            Self::Bind(None) => f.write_str("bind"),
            Self::Bind(Some(port)) => write!(f, "bind.{port}"),
            Self::DataDir => f.write_str("dir.data"),
            Self::RunDir => f.write_str("dir.run"),
            Self::LogDir => f.write_str("dir.logs"),
            Self::EnvironmentName => f.write_str("env.name"),
            Self::Replica => f.write_str("replica"),
            Self::ReplicaFromZero => f.write_str("replica0"),
            Self::Port { service, port } => write!(f, "services.{service}.port.{port}"),
            Self::Address { service, port } => write!(f, "services.{service}.addr.{port}"),
            Self::ExternalUrl(service) => write!(f, "services.{service}.url"),
            Self::DatabaseUrl(name) => write!(f, "databases.{name}.url"),
            Self::Secret(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_in_order() {
        let port = PortName::new("grpc").unwrap();
        let t = Template(vec![Part::Text("a$".into()), Part::Ref(Reference::OwnPort(port)), Part::Text("b".into())]);
        assert_eq!(t.resolve::<()>(|_| Ok("50051".into())), Ok("a$50051b".into()));
        assert_eq!(t.as_literal(), None);
        assert_eq!(t.to_string(), "a$$${port.grpc}b");
        assert_eq!(Template::from("x").as_literal().as_deref(), Some("x"));
    }
}
