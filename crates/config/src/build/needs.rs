//! Edges between services: names, defaults, cycles.

use super::read::{Cx, entries};
use crate::problem::{Code, nearest};
use crate::tree::{Node, Span};
use indexmap::IndexMap;
use muster_spec::{Need, OnRestart, ServiceKind, ServiceName, ServiceSpec, Until};
use std::collections::{BTreeMap, BTreeSet};

const UNTIL: [(&str, Until); 5] = [
    ("started", Until::Started),
    ("ready", Until::Ready),
    ("healthy", Until::Healthy),
    ("done", Until::Done),
    ("exited", Until::Exited),
];
const ON_RESTART: [(&str, OnRestart); 3] =
    [("with", OnRestart::With), ("wait", OnRestart::Wait), ("ignore", OnRestart::Ignore)];

type Services = IndexMap<ServiceName, ServiceSpec>;

/// Names by which services are found: their own and their aliases.
pub(super) fn names(services: &Services) -> BTreeMap<String, ServiceName> {
    let mut names: BTreeMap<String, ServiceName> = BTreeMap::new();
    for service in services.values() {
        for alias in &service.aliases {
            names.insert(alias.clone(), service.name.clone());
        }
    }
    names.extend(services.keys().map(|name| (name.to_string(), name.clone())));
    names
}

/// Reads `needs:` of a service or test.
pub(super) fn needs(
    cx: &mut Cx<'_>,
    node: Option<&Node>,
    services: &Services,
    names: &BTreeMap<String, ServiceName>,
) -> Vec<Need> {
    let Some(value) = node else { return Vec::new() };
    let mut needs: Vec<Need> = Vec::new();
    let listed = if value.as_map().is_none() { value.one_or_many() } else { &[] };
    let short: Vec<(String, Span)> =
        listed.iter().filter_map(|item| cx.text(item).map(|text| (text, item.span))).collect();
    for (word, span) in short {
        needs.extend(resolve(cx, &word, span, names).and_then(|name| need(cx, name, span, None, services)));
    }
    for (word, span, value) in entries(Some(value)) {
        needs.extend(resolve(cx, word, span, names).and_then(|name| need(cx, name, span, Some(value), services)));
    }
    // One edge per service, also when it was named twice by different names: the last one counts.
    let mut seen = BTreeSet::new();
    needs.reverse();
    needs.retain(|need| seen.insert(need.service.clone()));
    needs.reverse();
    needs
}

fn resolve(cx: &mut Cx<'_>, word: &str, span: Span, names: &BTreeMap<String, ServiceName>) -> Option<ServiceName> {
    if let Some(name) = names.get(word) {
        return Some(name.clone());
    }
    let item = cx.report.error(Code::UnknownService, span, format!("there is no service `{word}`"));
    if let Some(near) = nearest(word, names.keys().map(String::as_str)) {
        item.help(format!("did you mean `{near}`?"));
    }
    None
}

fn need(cx: &mut Cx<'_>, name: ServiceName, span: Span, value: Option<&Node>, services: &Services) -> Option<Need> {
    let target = services.get(name.as_str())?;
    let job = target.kind == ServiceKind::Job;
    let mut need = Need {
        until: if job { Until::Done } else { Until::Ready },
        restart: OnRestart::default(),
        optional: target.optional,
        service: name,
    };
    let Some(value) = value.filter(|value| !value.is_null()) else { return Some(need) };
    let mut until = value;
    if value.as_map().is_some() {
        need.restart = cx.word(value, "restart", &ON_RESTART).unwrap_or_default();
        need.optional = cx.flag(value, "optional").unwrap_or(need.optional);
        match value.get("until") {
            Some(node) => until = node,
            None => return Some(need),
        }
    }
    need.until = cx.word_of(until, &UNTIL).unwrap_or(need.until);
    if need.until == Until::Done && !job {
        let message = format!("`{}` is not a job: it is never `done`", need.service);
        let item = cx.report.error(Code::NotAJob, until.span, message);
        item.help(format!("wait for `ready`, or give `{}` the key `job: true`", need.service));
    }
    if job && target.probes.ready.is_none() && matches!(need.until, Until::Ready | Until::Healthy) {
        let message = format!("`{}` is a job without a `ready` probe: it is never `ready`", need.service);
        cx.report.error(Code::NotAJob, span, message).help("wait for `done`, `exited` or `started`");
    }
    Some(need)
}

/// Every circle of needs, once, with its members in order.
pub(super) fn cycles(services: &Services) -> Vec<Vec<ServiceName>> {
    let index: BTreeMap<&str, usize> = services.keys().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let edges: Vec<Vec<usize>> = services
        .values()
        .map(|service| service.needs.iter().filter_map(|need| index.get(need.service.as_str()).copied()).collect())
        .collect();
    let mut state = vec![0_u8; edges.len()];
    let mut found = Vec::new();
    let mut seen: BTreeSet<Vec<usize>> = BTreeSet::new();
    for start in 0..edges.len() {
        if state[start] != 0 {
            continue;
        }
        // The path from the start, each with the next edge to look at: no recursion, stacks can be long chains.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        state[start] = 1;
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let Some(&to) = edges[at].get(*next) else {
                state[at] = 2;
                path.pop();
                continue;
            };
            *next += 1;
            match state[to] {
                0 => {
                    state[to] = 1;
                    path.push((to, 0));
                }
                1 => {
                    let from = path.iter().position(|(node, _)| *node == to).unwrap_or(0);
                    let circle: Vec<usize> = path[from..].iter().map(|(node, _)| *node).collect();
                    let mut key = circle.clone();
                    key.sort_unstable();
                    if seen.insert(key) {
                        found.push(circle);
                    }
                }
                _ => {}
            }
        }
    }
    let name = |at: usize| services.get_index(at).map(|(name, _)| name.clone());
    found.into_iter().map(|circle| circle.into_iter().filter_map(name).collect()).collect()
}
