//! Which variant each service runs as, and what that one says of what all of them share.
//!
//! ```text
//!  service    { ports, env, ready, container: { image, env } }
//!      └─ merge ◄── container: { env }            the chosen one: from here on this is the service
//!                   process:   { ports }          the others: merged into copies, only to be checked
//! ```
//!
//! Merging is that of overlays: a scalar replaces, a map merges, a list replaces, `!append` appends, `!unset` removes.
//! Every value keeps its place, so what is wrong with it is shown inside the variant.

use super::read::Cx;
use super::runtime::{Choice, Doubt, choose};
use super::{Chosen, commanded};
use crate::language::overrides;
use crate::merge::lay;
use crate::tree::{Map, Node};
use muster_spec::{RuntimeKind, ServiceName};
use std::collections::BTreeMap;

/// What was chosen for a service.
pub(super) struct Laid {
    pub(super) runtime: RuntimeKind,
    pub(super) doubt: Option<Doubt>,
    /// The service as it would be with each other variant that says something of its own.
    pub(super) others: Vec<(RuntimeKind, Node)>,
}

/// Chooses for every service, and lays what its variant says over it.
pub(super) fn lay_all(cx: &mut Cx<'_>, tree: &mut Node, chosen: &Chosen<'_>) -> BTreeMap<ServiceName, Laid> {
    let command = commanded(cx, chosen, tree);
    let choice = Choice {
        command: &command,
        overlay: chosen.overlay_runtimes,
        environment: chosen.environment_runtime,
        available: chosen.available,
    };
    let mut out = BTreeMap::new();
    let services = tree.as_map_mut().and_then(|map| map.get_mut("services"));
    for (key, entry) in services.and_then(|entry| entry.value.as_map_mut()).into_iter().flatten() {
        // A name that is none is told by whoever reads the services.
        let Ok(name) = key.parse::<ServiceName>() else { continue };
        let (runtime, doubt) = choose(cx, &name, (&entry.value, entry.key_span), &offered(&entry.value), &choice);
        let others = RuntimeKind::ALL.into_iter().filter(|kind| *kind != runtime);
        let others = others.filter_map(|kind| Some((kind, own(&entry.value, kind)?)));
        let others: Vec<_> = others.map(|(kind, over)| (kind, laid(cx, entry.value.clone(), over))).collect();
        if let Some(over) = own(&entry.value, runtime) {
            lay(&mut entry.value, over, cx.report);
        }
        out.insert(name, Laid { runtime, doubt, others });
    }
    out
}

fn laid(cx: &mut Cx<'_>, mut service: Node, over: Node) -> Node {
    lay(&mut service, over, cx.report);
    service
}

/// The variants that the service has.
fn offered(service: &Node) -> Vec<RuntimeKind> {
    RuntimeKind::ALL.into_iter().filter(|kind| service.get(kind.as_str()).is_some()).collect()
}

/// What a variant says of what all of them share.
pub(crate) fn own(service: &Node, kind: RuntimeKind) -> Option<Node> {
    let variant = service.get(kind.as_str())?;
    let own: Map = variant.as_map()?.iter().filter(|(key, _)| overrides(kind, key)).map(pair).collect();
    (!own.is_empty()).then(|| Node::new(variant.span, crate::tree::Kind::Map(own)))
}

fn pair((key, entry): (&String, &crate::tree::Entry)) -> (String, crate::tree::Entry) {
    (key.clone(), entry.clone())
}
