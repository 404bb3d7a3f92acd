//! From the specification's checks to checks without templates.

use crate::{Pattern, PatternError, ResolvedCheck, ResolvedDetails, ResolvedHttp, ResolvedMatcher};
use muster_spec::{Check, CommandSpec, DetailsSpec, HttpCheck, Matcher, PortName, ResolvedCommand, Template};

/// Fills templates for one instance.
pub trait Resolver {
    /// Why a reference has no value.
    type Error;

    /// A text.
    ///
    /// # Errors
    /// When a reference has no value.
    fn text(&self, template: &Template) -> Result<String, Self::Error>;

    /// A command with the service's environment and folder.
    ///
    /// # Errors
    /// When a reference has no value.
    fn command(&self, command: &CommandSpec) -> Result<ResolvedCommand, Self::Error>;

    /// The number of one of the service's own ports.
    ///
    /// # Errors
    /// When it has none.
    fn port(&self, name: &PortName) -> Result<u16, Self::Error>;
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
            Check::Tcp(target) => Self::Tcp(text(target)?),
            Check::Http(request) => Self::Http(Box::new(http(request, resolver)?)),
            Check::Grpc { target, service } => Self::Grpc { target: text(target)?, service: service.clone() },
            Check::Exec(command) => Self::Exec(resolver.command(command).map_err(ResolveError::Reference)?),
            Check::Log(pattern) => Self::Log(Pattern::new(pattern)?),
            Check::Notify => Self::Notify,
            Check::File(path) => Self::File(text(path)?.into()),
            Check::Healthcheck => Self::Healthcheck,
            Check::Listens(ports) => Self::Listens(
                ports
                    .iter()
                    .map(|port| resolver.port(port).map_err(ResolveError::Reference))
                    .collect::<Result<_, _>>()?,
            ),
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
