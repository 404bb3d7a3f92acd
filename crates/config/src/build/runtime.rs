//! Which variant of a service is used.

use super::read::Cx;
use crate::language::{listed, unknown_word};
use crate::problem::Code;
use crate::tree::{Map, Node, Span};
use muster_spec::{RuntimeKind, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Who may choose, in order of precedence.
pub(super) struct Choice<'a> {
    /// `--runtime S=V`, per service.
    pub(super) command: &'a BTreeMap<ServiceName, RuntimeKind>,
    /// `runtime` of services in the environment's overlays.
    pub(super) overlay: &'a Map,
    /// `runtime` of the environment.
    pub(super) environment: Option<&'a Node>,
    /// What this machine has; none: everything.
    pub(super) available: Option<&'a BTreeSet<RuntimeKind>>,
}

/// Why the choice is not a good one; only of interest when the service is selected.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) service: ServiceName,
    pub(super) span: Span,
    code: Code,
    message: String,
    help: String,
    /// An environment's `runtime` is a preference: what does not offer it runs as it can, and that is said.
    preference: bool,
}

impl Doubt {
    pub(super) fn report(self, cx: &mut Cx<'_>, selected: bool) {
        let item = if selected && !self.preference {
            cx.report.error(self.code, self.span, self.message)
        } else {
            cx.report.warn(self.code, self.span, self.message)
        };
        item.help(self.help);
    }
}

/// Runtimes that a node names, wrong words reported.
fn kinds(cx: &mut Cx<'_>, node: &Node) -> Vec<RuntimeKind> {
    let mut out = Vec::new();
    for item in node.one_or_many() {
        let Some(text) = cx.text(item) else { continue };
        match RuntimeKind::ALL.into_iter().find(|kind| kind.as_str() == text) {
            Some(kind) => out.push(kind),
            None => unknown_word(item, &text, &RuntimeKind::ALL.map(RuntimeKind::as_str), cx.report),
        }
    }
    out
}

/// The runtime of a service with these variants.
pub(super) fn choose(
    cx: &mut Cx<'_>,
    name: &ServiceName,
    place: (&Node, Span),
    offered: &[RuntimeKind],
    choice: &Choice<'_>,
) -> (RuntimeKind, Option<Doubt>) {
    let (node, key_span) = place;
    let usable = |kind: &RuntimeKind| {
        *kind == RuntimeKind::External || choice.available.is_none_or(|available| available.contains(kind))
    };
    let Some(first) = offered.iter().find(|kind| usable(kind)).or(offered.first()).copied() else {
        return (RuntimeKind::Process, None);
    };
    let own = node.get("runtime");
    let over = choice.overlay.get(name.as_str()).map(|entry| &entry.value);
    let mut preference = false;
    let (wanted, span) = if let Some(kind) = choice.command.get(name) {
        (vec![*kind], key_span)
    } else if let Some(over) = over {
        // The merged node carries the overlay's value with its variables filled in.
        let node = own.unwrap_or(over);
        (kinds(cx, node), node.span)
    } else {
        let own_kinds = own.map(|node| kinds(cx, node)).unwrap_or_default();
        let general = choice.environment.map(|node| kinds(cx, node)).unwrap_or_default();
        let suits = general.iter().any(|kind| offered.contains(kind));
        if suits || (own.is_none() && !general.is_empty()) {
            preference = true;
            (general, key_span)
        } else {
            (own_kinds, own.map_or(key_span, |node| node.span))
        }
    };
    let fits = |kind: &RuntimeKind| offered.contains(kind);
    let found = wanted.iter().find(|kind| fits(kind) && usable(kind)).or_else(|| wanted.iter().find(|kind| fits(kind)));
    let only_external = offered == [RuntimeKind::External];
    match found {
        Some(kind) => (*kind, unavailable(name, *kind, span, offered, &usable)),
        None if wanted.is_empty() || only_external => (first, unavailable(name, first, span, offered, &usable)),
        None => {
            let wanted = listed(wanted.iter().map(|kind| kind.as_str()));
            let end = if preference { format!(": it runs as `{first}`") } else { String::new() };
            let message = format!("`{name}` has no variant {wanted}{end}");
            let offers = listed(offered.iter().map(|kind| kind.as_str()));
            let help = format!("it offers {offers}; add the variant, or write `runtime: {first}` for it");
            let code = Code::RuntimeNotOffered;
            (first, Some(Doubt { service: name.clone(), span, code, message, help, preference }))
        }
    }
}

fn unavailable(
    name: &ServiceName,
    kind: RuntimeKind,
    span: Span,
    offered: &[RuntimeKind],
    usable: &dyn Fn(&RuntimeKind) -> bool,
) -> Option<Doubt> {
    if usable(&kind) {
        return None;
    }
    let others: Vec<&str> = offered.iter().filter(|kind| usable(kind)).map(|kind| kind.as_str()).collect();
    let help = if others.is_empty() {
        format!("this file offers no other way to run `{name}`; `muster doctor` says what this machine lacks")
    } else {
        format!("this file also offers {}: `--runtime {name}={}`", listed(others.iter().copied()), others[0])
    };
    let message = format!("`{name}` runs as `{kind}`, which is not available on this machine");
    let code = Code::RuntimeUnavailable;
    Some(Doubt { service: name.clone(), span, code, message, help, preference: false })
}
