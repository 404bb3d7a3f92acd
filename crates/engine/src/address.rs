//! The way from who asks to who answers: one table for the nine pairs of places.
//!
//! ```text
//!  asks \ answers  process             container             on host B
//!  process         127.0.0.1:port      127.0.0.1:published   127.0.0.1:near end
//!  container       this machine:port   alias:container port  this machine:near end
//!  on host A       127.0.0.1:far end   127.0.0.1:far end     A = B: 127.0.0.1:port, else 127.0.0.1:far end
//! ```
//!
//! A *near end* listens on this machine and leads to a host (`ssh -L`); a *far end* listens on a host and leads to this
//! machine (`ssh -R`). Each has a number of its own from the environment's block, because the host may be this machine.
//! A container in the machine's own network counts as a process here.

use crate::ports::{End, PortTable};
use muster_spec::{
    Address, ContainerSpec, HOST_NAME, Location, NetworkMode, PortName, RuntimeKind, ServiceName, ServiceSpec, Stack,
};

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

/// How a consumer reaches a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// What the consumer is told.
    pub(crate) address: Address,
    /// What happens on the way, one sentence each.
    pub(crate) steps: Vec<String>,
}

/// The container that a service runs as.
pub(crate) fn container(service: &ServiceSpec) -> Option<&ContainerSpec> {
    service.variants.container.as_ref().filter(|_| service.runtime == RuntimeKind::Container)
}

/// Where a service's instances are.
#[must_use]
pub(crate) fn location(service: &ServiceSpec) -> Location {
    match service.runtime {
        RuntimeKind::Process | RuntimeKind::Mock | RuntimeKind::External => Location::Host,
        RuntimeKind::Container => match container(service).map(|container| &container.options.network) {
            Some(NetworkMode::Host) => Location::Host,
            Some(NetworkMode::Environment | NetworkMode::None) | None => Location::Container,
        },
        RuntimeKind::Remote => {
            let host = service.variants.remote.as_ref().map(|remote| remote.host.clone());
            Location::Remote(host.unwrap_or_default())
        }
    }
}

/// The number of a port where its service runs: in a container its own, elsewhere that of the table.
pub(crate) fn inside(service: &ServiceSpec, port: &PortName, number: u16) -> u16 {
    match location(service) {
        Location::Container => service.ports.get(port).and_then(|spec| spec.container).unwrap_or(number),
        Location::Host | Location::Remote(_) => number,
    }
}

fn here(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

/// Where this machine, by itself, reaches a port: its own number, the published one, or the near end.
///
/// # Errors
/// [`NoWay`] where the number that is needed was not given.
pub(crate) fn from_here(table: &PortTable, service: &ServiceSpec, replica: u16, port: &PortName) -> Result<u16, NoWay> {
    let number = match location(service) {
        Location::Host | Location::Container => table.get(&service.name, replica, port),
        Location::Remote(_) => {
            let end = End::Near { service: service.name.clone(), replica, port: port.clone() };
            table.ends.get(&end).copied()
        }
    };
    number.ok_or_else(|| missing(&Location::Host, &service.name, "its port has no number here: run `muster up` again"))
}

fn missing(consumer: &Location, provider: &ServiceName, reason: &str) -> NoWay {
    NoWay { consumer: words(consumer), provider: format!("`{provider}`"), reason: reason.to_owned() }
}

/// Tunnels are made for addresses that are used.
fn unreferred(service: &ServiceName, port: &PortName) -> String {
    format!(
        "nobody there uses it, so no tunnel leads there: write `${{services.{service}.addr.{port}}}` where it is needed, \
         and run `muster up`"
    )
}

/// How somebody at `consumer` reaches the first replica of a service.
///
/// # Errors
/// [`NoWay`] where nothing connects the two, or a number was not given.
pub(crate) fn way(
    stack: &Stack,
    table: &PortTable,
    consumer: &Location,
    service: &ServiceName,
    port: &PortName,
) -> Result<Way, NoWay> {
    let unknown = || missing(consumer, service, "the stack has no such service or port");
    let spec = stack.services.get(service).ok_or_else(unknown)?;
    let provider = location(spec);
    let number = table.get(service, 1, port).ok_or_else(unknown)?;
    let near = from_here(table, spec, 1, port);
    let last = last_step(spec, &provider, port, number);
    let at_near = format!("the tunnel's near end on this machine leads there through ssh to {}", words(&provider));
    let published = format!("the engine publishes {port} of `{service}` as port {number} of this machine");
    Ok(match (consumer, &provider) {
        (Location::Host, Location::Host) => Way { address: here(number), steps: vec![last] },
        (Location::Host, Location::Container) => Way { address: here(number), steps: vec![published, last] },
        (Location::Host, Location::Remote(_)) => Way { address: here(near?), steps: vec![at_near, last] },
        (Location::Container, Location::Container) => {
            let resolves = format!("the environment's network resolves `{service}`");
            let address = Address { host: service.to_string(), port: inside(spec, port, number) };
            Way { address, steps: vec![resolves, last] }
        }
        (Location::Container, Location::Host) => {
            Way { address: this_machine(number), steps: vec![gateway_step(table), last] }
        }
        (Location::Container, Location::Remote(_)) => {
            let address = this_machine(near?);
            Way { address, steps: vec![gateway_step(table), at_near, last] }
        }
        (Location::Remote(here_too), Location::Remote(there)) if here_too == there => {
            Way { address: here(number), steps: vec![last] }
        }
        (Location::Remote(host), Location::Host | Location::Container | Location::Remote(_)) => {
            let end = End::Far { host: host.clone(), service: service.clone(), port: port.clone() };
            let unopened = || missing(consumer, service, &unreferred(service, port));
            let far = table.ends.get(&end).copied().ok_or_else(unopened)?;
            let mut steps = vec![format!("the tunnel's far end on host `{host}` leads through ssh to this machine")];
            match provider {
                Location::Container => steps.push(published),
                Location::Remote(_) => steps.push(at_near),
                Location::Host => {}
            }
            steps.push(last);
            Way { address: here(far), steps }
        }
    })
}

fn this_machine(port: u16) -> Address {
    Address { host: HOST_NAME.to_owned(), port }
}

fn gateway_step(table: &PortTable) -> String {
    match table.gateway {
        Some(gateway) => format!("`{HOST_NAME}` is this machine at the network's gateway, {gateway}"),
        None => format!("`{HOST_NAME}` is this machine at the network's gateway"),
    }
}

fn last_step(spec: &ServiceSpec, at: &Location, port: &PortName, number: u16) -> String {
    let inside = inside(spec, port, number);
    match at {
        Location::Host => format!("`{}` listens on port {inside} of this machine", spec.name),
        Location::Container => format!("`{}` listens on port {inside} in its container", spec.name),
        Location::Remote(host) => format!("`{}` listens on 127.0.0.1:{inside} of host `{host}`", spec.name),
    }
}

/// A place in words.
pub(crate) fn words(location: &Location) -> String {
    match location {
        Location::Host => "a process of this machine".to_owned(),
        Location::Container => "a container".to_owned(),
        Location::Remote(host) => format!("host `{host}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{container, port, remote, service, stack};
    use muster_spec::PortAt;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    /// A stack with `p` (process), `c` (container), `r` (host `one`) and `s` (host `two`), and its ports.
    fn world() -> (Stack, PortTable) {
        let mut all = vec![service("p"), container("c"), remote("r", "one"), remote("s", "two")];
        for spec in &mut all {
            spec.ports.insert(PortName::new("x").unwrap(), port(PortAt::Auto));
        }
        all[1].ports[0].container = Some(80);
        let mut table = PortTable::default();
        for (n, text) in (1..).zip(["p", "c", "r", "s"]) {
            table.numbers.insert((name(text), 1, PortName::new("x").unwrap()), 100 + n);
        }
        let x = || PortName::new("x").unwrap();
        for (n, text) in (1..).zip(["r", "s"]) {
            table.ends.insert(End::Near { service: name(text), replica: 1, port: x() }, 200 + n);
        }
        for (n, text) in (1..).zip(["p", "c", "s"]) {
            table.ends.insert(End::Far { host: "one".into(), service: name(text), port: x() }, 300 + n);
        }
        (stack(all), table)
    }

    #[test]
    fn nine_pairs() {
        let (stack, table) = world();
        let cases = [
            (Location::Host, ["127.0.0.1:101", "127.0.0.1:102", "127.0.0.1:201"]),
            (Location::Container, ["host.muster.internal:101", "c:80", "host.muster.internal:201"]),
            (Location::Remote("one".into()), ["127.0.0.1:301", "127.0.0.1:302", "127.0.0.1:103"]),
        ];
        for (consumer, wanted) in cases {
            for (provider, wanted) in ["p", "c", "r"].into_iter().zip(wanted) {
                let way = way(&stack, &table, &consumer, &name(provider), &PortName::new("x").unwrap()).unwrap();
                assert_eq!(way.address.to_string(), wanted, "{consumer:?} to {provider}");
                assert!(way.steps.last().unwrap().contains("listens on"), "{way:?}");
            }
        }
        let far =
            way(&stack, &table, &Location::Remote("one".into()), &name("s"), &PortName::new("x").unwrap()).unwrap();
        assert_eq!((far.address.port, far.steps.len()), (303, 3));
    }

    #[test]
    fn what_was_not_given_is_no_way() {
        let (stack, mut table) = world();
        table.ends.clear();
        for consumer in [Location::Host, Location::Container, Location::Remote("two".into())] {
            let error = way(&stack, &table, &consumer, &name("r"), &PortName::new("x").unwrap()).unwrap_err();
            assert!(error.to_string().contains("muster up"), "{error}");
        }
        let far = Location::Remote("two".into());
        let error = way(&stack, &table, &far, &name("p"), &PortName::new("x").unwrap()).unwrap_err().to_string();
        assert!(error.contains("write `${services.p.addr.x}` where it is needed"), "{error}");
    }

    #[test]
    fn a_container_in_this_machine_s_network_is_a_process_here() {
        let mut spec = container("c");
        spec.variants.container.as_mut().unwrap().options.network = NetworkMode::Host;
        assert_eq!(location(&spec), Location::Host);
    }
}
