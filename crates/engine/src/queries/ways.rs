//! `why --address`: the way from one service to another, and what is missing on it.

use crate::address::{self, inside};
use crate::documents::{ErrorDocument, WayDocument, WayEntry};
use crate::engine::{Engine, one};
use crate::snapshot::{Snapshot, alive};
use muster_sockets::listeners;
use muster_spec::{EnvironmentId, InstanceId, Location, PortName, ServiceSpec};
use std::net::IpAddr;

impl Engine {
    /// How one service reaches the ports of another.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn way(&self, id: &EnvironmentId, from: &str, to: &str) -> Result<WayDocument, ErrorDocument> {
        let now = self.known(id)?.now();
        let (from, to) = (one(&now, from)?, one(&now, to)?);
        let Some(stack) = now.accepted.as_ref().map(|accepted| &accepted.stack) else {
            return Err(crate::errors::unknown_environment(id.name.as_str()));
        };
        let find = |instance: &InstanceId| stack.services.get(&instance.service);
        let (Some(consumer), Some(provider)) = (find(&from), find(&to)) else {
            return Err(crate::errors::unknown_environment(id.name.as_str()));
        };
        let at = address::location(consumer);
        let ways = provider.ports.keys().map(|port| {
            let found = address::way(stack, &now.ports, &at, &provider.name, port);
            let (address, steps, no_way) = match found {
                Ok(way) => (Some(way.address.to_string()), way.steps, None),
                Err(error) => (None, Vec::new(), Some(error.to_string())),
            };
            let missing = no_way.or_else(|| missing(&now, &at, provider, port));
            WayEntry { port: port.to_string(), address, steps, missing }
        });
        let ways = ways.collect();
        Ok(WayDocument { schema: "muster.way.v1".to_owned(), from: from.to_string(), to: to.to_string(), ways })
    }
}

/// What keeps the way from being gone now, as far as it can be seen from this machine.
fn missing(now: &Snapshot, consumer: &Location, provider: &ServiceSpec, port: &PortName) -> Option<String> {
    let instance = InstanceId::first(provider.name.clone());
    let name = &provider.name;
    if !now.instances.get(&instance).is_some_and(|info| alive(info.view.state)) {
        return Some(format!("`{name}` does not run: `muster start {name}`"));
    }
    if address::location(provider) != Location::Host || provider.ports.get(port).is_some_and(|spec| spec.udp) {
        return None;
    }
    let number = inside(provider, port, now.ports.get(name, 1, port)?);
    let all = listeners().ok()?;
    let on: Vec<IpAddr> = all.iter().filter(|l| l.address.port() == number).map(|l| l.address.ip()).collect();
    let gateway = now.ports.gateway;
    if on.is_empty() {
        return Some(format!("nothing listens on port {number} of this machine"));
    }
    let reached = |ip: &IpAddr| ip.is_unspecified() || Some(*ip) == gateway;
    if *consumer == Location::Container && !on.iter().any(reached) && on.iter().all(IpAddr::is_loopback) {
        return Some(format!(
            "`{name}` listens on {} only, which no container reaches: let it listen on `${{bind.{port}}}`",
            on.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
        ));
    }
    None
}
