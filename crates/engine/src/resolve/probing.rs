//! Filling in what probes ask: sockets from this machine, commands inside of the instance.

use super::{Asker, ResolveError, Resolver};
use muster_probe::Place;
use muster_spec::{CommandSpec, Location, PortName, Reference, ResolvedCommand, RunId, Template};
use std::net::IpAddr;
use std::path::Path;

impl Resolver<'_> {
    /// Fills in what probes of a run ask. `address` is the instance's own, where it has one that this machine reaches.
    #[must_use]
    pub(crate) fn probing<'r>(&'r self, run: &'r RunId, address: Option<IpAddr>) -> Probing<'r> {
        Probing { resolver: self, run, asker: Asker::here(address) }
    }
}

/// A resolver for the probes of one run.
pub(crate) struct Probing<'a> {
    resolver: &'a Resolver<'a>,
    run: &'a RunId,
    asker: Asker,
}

impl muster_probe::Resolver for Probing<'_> {
    type Error = ResolveError;

    fn text(&self, template: &Template) -> Result<String, ResolveError> {
        self.resolver.template(template, self.run, &self.asker)
    }

    fn path(&self, template: &Template) -> Result<String, ResolveError> {
        let service = self.resolver.service(self.run)?;
        self.resolver.template(template, self.run, &Asker::of(service))
    }

    fn command(&self, command: &CommandSpec) -> Result<ResolvedCommand, ResolveError> {
        self.resolver.command(command, self.run)
    }

    fn is_here(&self, path: &Path) -> bool {
        let service = self.resolver.service(self.run).map(crate::address::location);
        match service {
            Ok(Location::Host) | Err(_) => true,
            // our own folders are seen at the same path
            Ok(Location::Container) => self.resolver.paths.holds(path),
            Ok(Location::Remote(_)) => false,
        }
    }

    fn port(&self, name: &PortName) -> Result<Place, ResolveError> {
        let from = Reference::OwnPort(name.clone());
        let service = self.resolver.service(self.run)?;
        Ok(match crate::address::location(service) {
            Location::Host => Place::Here(self.resolver.port(&service.name, self.run.instance.replica, name, &from)?),
            Location::Container => Place::At(self.resolver.own(name, self.run, &self.asker, &from)?.to_string()),
            Location::Remote(_) => {
                Place::There(self.resolver.port(&service.name, self.run.instance.replica, name, &from)?)
            }
        })
    }
}
