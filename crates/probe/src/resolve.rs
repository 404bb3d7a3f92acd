//! From the specification's checks to checks without templates.

use crate::{Pattern, PatternError, ResolvedCheck, ResolvedDetails, ResolvedHttp, ResolvedMatcher};
use muster_spec::{
    Check, CommandSpec, DetailsSpec, HttpCheck, Matcher, Part, PortName, Reference, ResolvedCommand, Template,
};
use std::path::{Path, PathBuf};

/// Fills templates for one instance.
pub trait Resolver {
    /// Why a reference has no value.
    type Error;

    /// A text.
    ///
    /// # Errors
    /// When a reference has no value.
    fn text(&self, template: &Template) -> Result<String, Self::Error>;

    /// A path as the service sees it.
    ///
    /// # Errors
    /// When a reference has no value.
    fn path(&self, template: &Template) -> Result<String, Self::Error>;

    /// A command with the service's environment and folder.
    ///
    /// # Errors
    /// When a reference has no value.
    fn command(&self, command: &CommandSpec) -> Result<ResolvedCommand, Self::Error>;

    /// Where one of the service's own ports is listened on.
    ///
    /// # Errors
    /// When it has none.
    fn port(&self, name: &PortName) -> Result<Place, Self::Error>;

    /// Whether a path is one of this machine; else it is looked for where the service runs.
    fn is_here(&self, path: &Path) -> bool;
}

/// Where a service listens on one of its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this machine, by processes of its own.
    Here(u16),
    /// At an address of its own, where nobody else can listen: `host:port`.
    At(String),
    /// On another machine, which is asked.
    There(u16),
}

/// Why a check could not be resolved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError<E> {
    /// A reference has no value.
    #[error(transparent)]
    Reference(E),
    /// A regular expression is wrong.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl ResolvedCheck {
    /// Fills in what only the caller knows.
    ///
    /// # Errors
    /// The first reference without a value, or regular expression that is wrong.
    pub fn resolve<R: Resolver>(check: &Check, resolver: &R) -> Result<Self, ResolveError<R::Error>> {
        let text = |template: &Template| resolver.text(template).map_err(ResolveError::Reference);
        let many = |checks: &[Check]| -> Result<Vec<Self>, ResolveError<R::Error>> {
            checks.iter().map(|check| Self::resolve(check, resolver)).collect()
        };
        Ok(match check {
            Check::Tcp(target) => match own_port(target) {
                // a tunnel accepts before anybody listens at its other end
                Some(port) => match resolver.port(port).map_err(ResolveError::Reference)? {
                    Place::There(port) => Self::TcpThere(port),
                    Place::Here(_) | Place::At(_) => Self::Tcp(text(target)?),
                },
                None => Self::Tcp(text(target)?),
            },
            Check::Http(request) => Self::Http(Box::new(http(request, resolver)?)),
            Check::Grpc { target, service } => Self::Grpc { target: text(target)?, service: service.clone() },
            Check::Exec(command) => Self::Exec(resolver.command(command).map_err(ResolveError::Reference)?),
            Check::Log(pattern) => Self::Log(Pattern::new(pattern)?),
            Check::Notify => Self::Notify,
            Check::File(path) => {
                let path: PathBuf = resolver.path(path).map_err(ResolveError::Reference)?.into();
                if resolver.is_here(&path) { Self::File(path) } else { Self::FileThere(path) }
            }
            Check::Healthcheck => Self::Healthcheck,
            Check::Listens(ports) => listens(ports, resolver)?,
            Check::All(checks) => Self::All(many(checks)?),
            Check::Any(checks) => Self::Any(many(checks)?),
        })
    }
}

impl ResolvedDetails {
    /// Fills in what only the caller knows.
    ///
    /// # Errors
    /// The first reference without a value.
    pub fn resolve<R: Resolver>(details: &DetailsSpec, resolver: &R) -> Result<Self, R::Error> {
        Ok(match details {
            DetailsSpec::Grpc { target, method } => {
                Self::Grpc { target: resolver.text(target)?, method: method.clone() }
            }
            DetailsSpec::Http(url) => Self::Http(resolver.text(url)?),
        })
    }
}

/// The port that a target is, when it is nothing but one of the service's own.
fn own_port(target: &Template) -> Option<&PortName> {
    match &target.0[..] {
        [Part::Ref(Reference::OwnAddress(port))] => Some(port),
        _ => None,
    }
}

fn listens<R: Resolver>(ports: &[PortName], resolver: &R) -> Result<ResolvedCheck, ResolveError<R::Error>> {
    let (mut here, mut at, mut there) = (Vec::new(), Vec::new(), Vec::new());
    for port in ports {
        match resolver.port(port).map_err(ResolveError::Reference)? {
            Place::Here(port) => here.push(port),
            Place::At(target) => at.push(ResolvedCheck::Tcp(target)),
            Place::There(port) => there.push(port),
        }
    }
    if !there.is_empty() {
        at.push(ResolvedCheck::ListensThere(there));
    }
    if at.is_empty() || !here.is_empty() {
        at.push(ResolvedCheck::Listens(here));
    }
    Ok(if at.len() == 1 { at.remove(0) } else { ResolvedCheck::All(at) })
}

fn http<R: Resolver>(request: &HttpCheck, resolver: &R) -> Result<ResolvedHttp, ResolveError<R::Error>> {
    let text = |template: &Template| resolver.text(template).map_err(ResolveError::Reference);
    let mut headers = Vec::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        headers.push((name.clone(), text(value)?));
    }
    let mut header = Vec::with_capacity(request.header.len());
    for (name, wanted) in &request.header {
        header.push((name.clone(), matcher(wanted)?));
    }
    Ok(ResolvedHttp {
        url: text(&request.url)?,
        method: request.method.clone(),
        headers,
        status: request.status.clone(),
        header,
        body: request.body.as_ref().map(matcher).transpose()?,
        insecure: request.insecure,
    })
}

fn matcher(matcher: &Matcher) -> Result<ResolvedMatcher, PatternError> {
    Ok(match matcher {
        Matcher::Contains(part) => ResolvedMatcher::Contains(part.clone()),
        Matcher::Equals(whole) => ResolvedMatcher::Equals(whole.clone()),
        Matcher::Regex(text) => ResolvedMatcher::Regex(Pattern::new(text)?),
    })
}
