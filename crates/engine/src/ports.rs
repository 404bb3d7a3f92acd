//! Ports: named, allocated per environment in blocks that stay the same from day to day, unique per user.
//!
//! [`allocate`] is pure: what the stack asks for, what is taken, and a question whether a port is free come in; numbers
//! come out. Explicit numbers are taken as they are, offsets lie in the environment's block, `auto` fills the block's rest.
//!
//! Every port has a number, whether its service is wanted or not: addresses that others are given must not change when it
//! comes. It is *held*, against all other environments, only once its service was wanted; before that it is only *told*.

use muster_spec::{PortAt, PortName, ServiceName, Stack};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// First port of automatic blocks: they lie below the ephemeral range (32,768 on Linux).
pub(crate) const AUTOMATIC_FIRST: u16 = 20_000;
/// First port after automatic blocks.
pub(crate) const AUTOMATIC_END: u16 = 32_000;
/// Ports of a block when the file does not say.
pub(crate) const DEFAULT_BLOCK: u16 = 10;

/// Service, replica and name: what a port belongs to.
pub(crate) type PortKey = (ServiceName, u16, PortName);

/// What a tunnel's listening end belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// On this machine: it leads to a port of a service on a host.
    Near {
        /// The service.
        service: ServiceName,
        /// Which copy.
        replica: u16,
        /// Its port.
        port: PortName,
    },
    /// On a host: it leads to a port of a service elsewhere.
    Far {
        /// The host.
        host: String,
        /// The service.
        service: ServiceName,
        /// Its port.
        port: PortName,
    },
}

/// What a stack needs beside the ports of its services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Ends of tunnels.
    pub ends: BTreeSet<End>,
    /// Ports of this machine that containers ask for.
    pub reached: BTreeSet<(ServiceName, PortName)>,
    /// Services whose ports are to be held; none: all.
    pub holds: Option<BTreeSet<ServiceName>>,
}

/// An environment's ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PortTable {
    /// First port of the block, when there is one.
    pub base: Option<u16>,
    /// Ports in the block.
    pub block: u16,
    /// The number of each.
    pub numbers: BTreeMap<PortKey, u16>,
    /// Those whose number is only told: another environment may hold it.
    pub told: BTreeSet<PortKey>,
    /// The number of each end of a tunnel.
    pub ends: BTreeMap<End, u16>,
    /// Ports of this machine that containers ask for.
    pub reached: BTreeSet<(ServiceName, PortName)>,
    /// This machine as the environment's containers reach it.
    pub gateway: Option<IpAddr>,
}

/// What of a table is no service's port: kept beside the rows of those.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beside {
    ends: Vec<(End, u16)>,
    /// Ports whose number is another port's of the other protocol.
    #[serde(default)]
    twins: Vec<(PortKey, u16)>,
    reached: BTreeSet<(ServiceName, PortName)>,
    gateway: Option<IpAddr>,
    /// Ports that the environment does not hold.
    #[serde(default)]
    told: Vec<(PortKey, u16)>,
}

impl PortTable {
    /// The number of a port.
    #[must_use]
    pub(crate) fn get(&self, service: &ServiceName, replica: u16, name: &PortName) -> Option<u16> {
        self.numbers.get(&(service.clone(), replica, name.clone())).copied()
    }

    /// Each number once, with the port that holds it for the environment.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&PortKey, u16)> {
        let mut seen = BTreeSet::new();
        let own = self.numbers.iter().filter(|(key, _)| !self.told.contains(key));
        own.filter(move |(_, number)| seen.insert(**number)).map(|(key, number)| (key, *number))
    }

    /// The same with the ports of some more services held.
    ///
    /// # Errors
    /// One of them belongs to another environment.
    pub(crate) fn holding(&self, more: &BTreeSet<&ServiceName>, reserved: &Reserved) -> Result<Self, PortError> {
        let mut table = self.clone();
        table.told.retain(|(service, ..)| !more.contains(service));
        for key in self.told.difference(&table.told) {
            let number = self.numbers.get(key).copied().unwrap_or_default();
            if let Some(owner) = reserved.owner(number) {
                let (service, name) = (key.0.clone(), key.2.clone());
                return Err(PortError::Taken { number, service, name, owner: owner.clone() });
            }
        }
        Ok(table)
    }

    /// What of it is no service's port, or has its number only beside another one.
    #[must_use]
    pub(crate) fn beside(&self) -> Beside {
        let ends = self.ends.iter().map(|(end, number)| (end.clone(), *number)).collect();
        let holders: BTreeSet<&PortKey> = self.held().map(|(key, _)| key).collect();
        let others = self.numbers.iter().filter(|(key, _)| !holders.contains(key));
        let others = others.map(|(key, number)| (key.clone(), *number));
        let (told, twins) = others.partition(|(key, _)| self.told.contains(key));
        Beside { ends, twins, reached: self.reached.clone(), gateway: self.gateway, told }
    }

    /// Takes that back.
    pub(crate) fn put_beside(&mut self, beside: Beside) {
        self.ends = beside.ends.into_iter().collect();
        self.numbers.extend(beside.twins);
        self.told = beside.told.iter().map(|(key, _)| key.clone()).collect();
        self.numbers.extend(beside.told);
        (self.reached, self.gateway) = (beside.reached, beside.gateway);
    }
}

/// Why ports cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PortError {
    /// Another environment has it.
    #[error("port {number} of `{service}` ({name}) belongs to environment `{owner}`")]
    Taken {
        /// The port.
        number: u16,
        /// The service that wants it.
        service: ServiceName,
        /// Its name there.
        name: PortName,
        /// The environment that has it.
        owner: String,
    },
    /// Two ports of one protocol.
    #[error("port {number} of `{service}` ({name}) is given to another port of the stack as well")]
    Twice {
        /// The port.
        number: u16,
        /// The second service that wants it.
        service: ServiceName,
        /// Its name there.
        name: PortName,
    },
    /// The block is too small.
    #[error("the ports do not fit into a block of {block}: {wanted} are needed")]
    TooMany {
        /// Ports in the block.
        block: u16,
        /// Ports asked for.
        wanted: u32,
    },
    /// Past 65,535.
    #[error("port {base} + {offset} of `{service}` ({name}) is past 65535")]
    Range {
        /// First port of the block.
        base: u16,
        /// The offset asked for.
        offset: u16,
        /// The service.
        service: ServiceName,
        /// Its name there.
        name: PortName,
    },
    /// Every automatic block is taken.
    #[error("no free block of {0} ports between {AUTOMATIC_FIRST} and {AUTOMATIC_END}")]
    Full(u16),
}

/// What all other environments have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reserved {
    /// Single ports and whose they are.
    pub ports: BTreeMap<u16, String>,
    /// Blocks `(base, ports)` and whose they are.
    pub blocks: Vec<(u16, u16, String)>,
}

impl Reserved {
    fn owner(&self, port: u16) -> Option<&String> {
        self.ports.get(&port).or_else(|| {
            let inside = |(base, size, _): &&(u16, u16, String)| {
                port >= *base && u32::from(port) < u32::from(*base) + u32::from(*size)
            };
            self.blocks.iter().find(inside).map(|(_, _, owner)| owner)
        })
    }
}

struct Wish {
    key: PortKey,
    at: PortAt,
    udp: bool,
}

fn wishes(stack: &Stack) -> Vec<Wish> {
    let mut all = Vec::new();
    for service in stack.services.values() {
        for (name, port) in &service.ports {
            for replica in 1..=service.replicas {
                let step = port.stride.unwrap_or(0).saturating_mul(replica - 1);
                let at = match port.at {
                    PortAt::Fixed(number) => PortAt::Fixed(number.saturating_add(step)),
                    PortAt::Offset(offset) => PortAt::Offset(offset.saturating_add(step)),
                    PortAt::Auto => PortAt::Auto,
                };
                all.push(Wish { key: (service.name.clone(), replica, name.clone()), at, udp: port.udp });
            }
        }
    }
    all
}

/// Gives every port of a stack its number. `old` is what the environment had: a block and its automatic numbers stay.
///
/// # Errors
/// [`PortError`] when a number belongs to somebody else, or the ports do not fit.
pub(crate) fn allocate(
    stack: &Stack,
    wanted: Wanted,
    old: &PortTable,
    reserved: &Reserved,
    free: impl Fn(u16) -> bool,
) -> Result<PortTable, PortError> {
    let wishes = wishes(stack);
    let in_block = wishes.iter().filter(|w| !matches!(w.at, PortAt::Fixed(_))).count() + wanted.ends.len();
    let last_offset =
        wishes.iter().filter_map(|w| if let PortAt::Offset(o) = w.at { Some(u32::from(o) + 1) } else { None }).max();
    let needed = u32::try_from(in_block).unwrap_or(u32::MAX).max(last_offset.unwrap_or(0));
    let block = match stack.ports.block {
        Some(block) if needed > u32::from(block) => return Err(PortError::TooMany { block, wanted: needed }),
        Some(block) => block,
        None => u16::try_from(needed.next_multiple_of(u32::from(DEFAULT_BLOCK)).max(u32::from(DEFAULT_BLOCK)))
            .map_err(|_| PortError::TooMany { block: u16::MAX, wanted: needed })?,
    };
    let base = match stack.ports.base {
        Some(base) => Some(base),
        None if needed == 0 => None,
        None => Some(automatic_base(block, old, reserved, free)?),
    };
    let table = PortTable { base, block, gateway: old.gateway, reached: wanted.reached, ..PortTable::default() };
    let table = assign(&wishes, table, old, (reserved, wanted.holds.as_ref()))?;
    assign_ends(&wanted.ends, table, old)
}

/// Ends of tunnels take what the services' ports leave of the block, from its end, and keep what they had.
fn assign_ends(ends: &BTreeSet<End>, mut table: PortTable, old: &PortTable) -> Result<PortTable, PortError> {
    let base = table.base.unwrap_or(0);
    let block = base..base.saturating_add(table.block);
    let mut used: BTreeSet<u16> = table.numbers.values().copied().collect();
    let kept = |end: &End| old.ends.get(end).copied().filter(|number| block.contains(number));
    for end in ends {
        if let Some(number) = kept(end).filter(|number| used.insert(*number)) {
            table.ends.insert(end.clone(), number);
        }
    }
    for end in ends {
        if table.ends.contains_key(end) {
            continue;
        }
        let number = block.clone().rev().find(|number| !used.contains(number));
        let wanted = u32::try_from(table.numbers.len() + ends.len()).unwrap_or(u32::MAX);
        let number = number.ok_or(PortError::TooMany { block: table.block, wanted })?;
        used.insert(number);
        table.ends.insert(end.clone(), number);
    }
    Ok(table)
}

fn automatic_base(
    block: u16,
    old: &PortTable,
    reserved: &Reserved,
    free: impl Fn(u16) -> bool,
) -> Result<u16, PortError> {
    let kept = old.base.filter(|base| old.block >= block && *base >= AUTOMATIC_FIRST && *base < AUTOMATIC_END);
    if let Some(base) = kept {
        return Ok(base);
    }
    let candidates = (AUTOMATIC_FIRST..AUTOMATIC_END - block).step_by(usize::from(DEFAULT_BLOCK));
    candidates
        .into_iter()
        .find(|base| (*base..base + block).all(|port| reserved.owner(port).is_none() && free(port)))
        .ok_or(PortError::Full(block))
}

fn assign(
    wishes: &[Wish],
    mut table: PortTable,
    old: &PortTable,
    (reserved, holds): (&Reserved, Option<&BTreeSet<ServiceName>>),
) -> Result<PortTable, PortError> {
    let base = table.base.unwrap_or(0);
    let held = |key: &PortKey, number: u16| {
        let before = old.numbers.get(key) == Some(&number) && !old.told.contains(key);
        before || holds.is_none_or(|services| services.contains(&key.0))
    };
    let (mut used, mut spoken) = (BTreeSet::new(), BTreeSet::new());
    for wish in wishes {
        let (service, _, name) = &wish.key;
        let number = match wish.at {
            PortAt::Fixed(number) => number,
            PortAt::Offset(offset) => base.checked_add(offset).ok_or_else(|| PortError::Range {
                base,
                offset,
                service: service.clone(),
                name: name.clone(),
            })?,
            PortAt::Auto => continue,
        };
        // the block is the environment's as a whole
        let own = matches!(wish.at, PortAt::Offset(_)) && reserved.owner(number).is_none();
        if !own && !held(&wish.key, number) {
            table.told.insert(wish.key.clone());
        } else if let Some(owner) = reserved.owner(number) {
            let (service, name) = (service.clone(), name.clone());
            return Err(PortError::Taken { number, service, name, owner: owner.clone() });
        }
        if !spoken.insert((wish.udp, number)) {
            return Err(PortError::Twice { number, service: service.clone(), name: name.clone() });
        }
        used.insert(number);
        table.numbers.insert(wish.key.clone(), number);
    }
    let block = base..base.saturating_add(table.block);
    for wish in wishes.iter().filter(|w| matches!(w.at, PortAt::Auto)) {
        let kept = old.numbers.get(&wish.key).copied().filter(|n| block.contains(n) && !used.contains(n));
        let number = kept.or_else(|| block.clone().find(|n| !used.contains(n) && !old_owner(old, *n, &wish.key)));
        let number = number.or_else(|| block.clone().find(|n| !used.contains(n)));
        let wanted = u32::try_from(wishes.len()).unwrap_or(u32::MAX);
        let number = number.ok_or(PortError::TooMany { block: table.block, wanted })?;
        used.insert(number);
        table.numbers.insert(wish.key.clone(), number);
    }
    Ok(table)
}

/// Somebody else of this environment had it: left alone while there is room, so that numbers stay.
fn old_owner(old: &PortTable, number: u16, key: &PortKey) -> bool {
    old.numbers.iter().any(|(other, n)| *n == number && other != key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{port, service, stack};

    fn table(stack: &Stack, old: &PortTable, reserved: &Reserved) -> Result<PortTable, PortError> {
        allocate(stack, Wanted::default(), old, reserved, |_| true)
    }

    fn number(table: &PortTable, service: &str, name: &str) -> u16 {
        table.get(&ServiceName::new(service).unwrap(), 1, &PortName::new(name).unwrap()).unwrap()
    }

    #[test]
    fn blocks_do_not_touch_and_stay() {
        let mut api = service("api");
        api.ports.insert(PortName::new("http").unwrap(), port(PortAt::Offset(1)));
        api.ports.insert(PortName::new("admin").unwrap(), port(PortAt::Auto));
        let stack = stack([api]);
        let first = table(&stack, &PortTable::default(), &Reserved::default()).unwrap();
        assert_eq!((first.base, first.block), (Some(20_000), 10));
        assert_eq!((number(&first, "api", "http"), number(&first, "api", "admin")), (20_001, 20_000));
        let others = Reserved { blocks: vec![(20_000, 10, "a".into())], ..Reserved::default() };
        let second = table(&stack, &PortTable::default(), &others).unwrap();
        assert_eq!(second.base, Some(20_010));
        assert_eq!(table(&stack, &second, &Reserved::default()).unwrap(), second);
    }

    #[test]
    fn a_number_of_somebody_else_is_refused_with_the_owner() {
        let mut api = service("api");
        api.ports.insert(PortName::new("http").unwrap(), port(PortAt::Fixed(8080)));
        let stack = stack([api]);
        let others = Reserved { ports: [(8080, "other-0000002a".into())].into(), ..Reserved::default() };
        assert!(matches!(table(&stack, &PortTable::default(), &others), Err(PortError::Taken { number: 8080, .. })));
    }

    #[test]
    fn what_is_not_wanted_has_a_number_and_does_not_hold_it() {
        let (mut api, mut web) = (service("api"), service("web"));
        api.ports.insert(PortName::new("http").unwrap(), port(PortAt::Offset(1)));
        web.ports.insert(PortName::new("http").unwrap(), port(PortAt::Fixed(8080)));
        let stack = stack([api, web]);
        let others = Reserved { ports: [(8080, "other-0000002a".into())].into(), ..Reserved::default() };
        let name = |text: &str| ServiceName::new(text).unwrap();
        let of = |service: &str, old: &PortTable, reserved: &Reserved| {
            let wanted = Wanted { holds: Some([name(service)].into()), ..Wanted::default() };
            allocate(&stack, wanted, old, reserved, |_| true)
        };
        let first = of("api", &PortTable::default(), &others).unwrap();
        assert_eq!((number(&first, "web", "http"), first.held().count()), (8080, 1));
        let mut back = PortTable { numbers: first.numbers.clone(), ..PortTable::default() };
        back.put_beside(first.beside());
        assert_eq!((&back.numbers, &back.told), (&first.numbers, &first.told));
        // it is refused when it is wanted, and held from then on
        let web = name("web");
        assert!(matches!(of("web", &first, &others), Err(PortError::Taken { number: 8080, .. })));
        assert!(matches!(first.holding(&[&web].into(), &others), Err(PortError::Taken { number: 8080, .. })));
        let held = first.holding(&[&web].into(), &Reserved::default()).unwrap();
        assert_eq!(held.held().count(), 2);
        assert_eq!(of("api", &held, &Reserved::default()).unwrap().held().count(), 2);
    }

    #[test]
    fn tcp_and_udp_may_have_one_number() {
        let mut dns = service("dns");
        dns.ports.insert(PortName::new("tcp").unwrap(), port(PortAt::Fixed(5353)));
        let udp = muster_spec::PortSpec { udp: true, ..port(PortAt::Fixed(5353)) };
        dns.ports.insert(PortName::new("udp").unwrap(), udp);
        let given = table(&stack([dns.clone()]), &PortTable::default(), &Reserved::default()).unwrap();
        assert_eq!((number(&given, "dns", "tcp"), number(&given, "dns", "udp")), (5353, 5353));
        let rows: Vec<(PortKey, u16)> = given.held().map(|(key, number)| (key.clone(), number)).collect();
        assert_eq!(rows.len(), 1, "the journal has each number once");
        let mut back = PortTable { numbers: rows.into_iter().collect(), ..PortTable::default() };
        back.put_beside(given.beside());
        assert_eq!(back.numbers, given.numbers);
        dns.ports.insert(PortName::new("more").unwrap(), port(PortAt::Fixed(5353)));
        let twice = table(&stack([dns]), &PortTable::default(), &Reserved::default());
        assert!(matches!(twice, Err(PortError::Twice { number: 5353, .. })), "{twice:?}");
    }

    #[test]
    fn too_many_for_the_block() {
        let mut api = service("api");
        api.ports.insert(PortName::new("http").unwrap(), port(PortAt::Offset(12)));
        let mut stack = stack([api]);
        assert_eq!(table(&stack, &PortTable::default(), &Reserved::default()).unwrap().block, 20);
        stack.ports.block = Some(10);
        let error = table(&stack, &PortTable::default(), &Reserved::default());
        assert_eq!(error, Err(PortError::TooMany { block: 10, wanted: 13 }));
    }

    #[test]
    fn replicas_step_by_their_stride() {
        let mut api = service("api");
        api.replicas = 3;
        let spec = muster_spec::PortSpec { stride: Some(2), ..port(PortAt::Fixed(9000)) };
        api.ports.insert(PortName::new("http").unwrap(), spec);
        let table = table(&stack([api]), &PortTable::default(), &Reserved::default()).unwrap();
        assert_eq!(table.numbers.values().copied().collect::<Vec<_>>(), [9000, 9002, 9004]);
    }

    #[test]
    fn ends_of_tunnels_have_numbers_of_their_own_that_stay() {
        let mut api = service("api");
        api.ports.insert(PortName::new("http").unwrap(), port(PortAt::Offset(9)));
        let stack = stack([api]);
        let (service, port) = (ServiceName::new("api").unwrap(), PortName::new("http").unwrap());
        let near = End::Near { service: service.clone(), replica: 1, port: port.clone() };
        let far = |host: &str| End::Far { host: host.into(), service: service.clone(), port: port.clone() };
        let ends = |ends: Vec<End>| Wanted { ends: ends.into_iter().collect(), ..Wanted::default() };
        let of = |wanted, old: &PortTable| allocate(&stack, wanted, old, &Reserved::default(), |_| true).unwrap();
        let first = of(ends(vec![near.clone(), far("b")]), &PortTable::default());
        assert_eq!((first.ends[&near], first.ends[&far("b")]), (20_008, 20_007));
        // another end that sorts before it takes nothing away
        let second = of(ends(vec![near.clone(), far("a"), far("b")]), &first);
        assert_eq!((second.ends[&near], second.ends[&far("b")], second.ends[&far("a")]), (20_008, 20_007, 20_006));
        let mut back = PortTable::default();
        back.put_beside(second.beside());
        assert_eq!(back.ends, second.ends);
    }
}
