//! The merged and interpolated tree to a [`Stack`].
//!
//! ```text
//!  services ──► runtime ─► what its variant says ─► everything else     references are only noted
//!  then: names clash? needs, cycles, ports, databases, tests, profiles, references   everybody is known
//! ```

mod command;
mod container;
mod data;
mod fits;
mod image;
mod mount;
mod needs;
mod policy;
mod ports;
mod probe;
mod read;
mod runtime;
mod service;
mod variant;
mod verify;
mod words;

pub(crate) use probe::{default_live, default_ready};
pub(crate) use variant::own;

use crate::environment::fitting;
use crate::include::Reader;
use crate::problem::Code;
use crate::tree::{Map, Node, Span};
use crate::variables::Values;
use indexmap::IndexMap;
use muster_spec::{EnvironmentName, RuntimeKind, ServiceName, ServiceSpec, Stack, StackName};
use read::{Cx, entries};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use variant::Laid;

/// What the caller chose.
pub(crate) struct Chosen<'a> {
    pub(crate) environment: EnvironmentName,
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) runtimes: &'a [(String, RuntimeKind)],
    pub(crate) overlay_runtimes: &'a Map,
    pub(crate) environment_runtime: Option<&'a Node>,
    pub(crate) available: Option<&'a BTreeSet<RuntimeKind>>,
    pub(crate) only: Option<&'a muster_spec::Selector>,
    pub(crate) env: &'a BTreeMap<String, String>,
}

/// Builds the stack; problems are in the reader's report. In the tree, what the variants that are used say for
/// themselves then stands in their services.
pub(crate) fn build(tree: &mut Node, chosen: &Chosen<'_>, values: &Values<'_>, reader: &mut Reader<'_>) -> Stack {
    let laid = variant::lay_all(&mut Cx::new(reader, chosen), tree, chosen);
    let file_env = file_envs(tree, reader);
    let cx = &mut Cx::new(reader, chosen);
    let name = stack_name(cx, tree, chosen);
    let nodes = service_nodes(cx, tree);
    let mut services = read_services(cx, &nodes, &laid, file_env, values);
    let inherit = services.values().any(|service| service.inherit);
    let names = needs::names(&services);
    read_needs(cx, (&nodes, &laid), &names, &mut services);
    let databases = data::databases(cx, tree.get("databases"), &names);
    let tests = data::tests(cx, tree.get("tests"), &services, &names);
    let stack = Stack {
        name,
        environment: chosen.environment.clone(),
        root: chosen.root.clone(),
        files: chosen.files.clone(),
        ports: ports::plan(cx, tree.get("ports")),
        sync: data::sync(cx, tree.get("sync"), &databases),
        profiles: data::profiles(cx, tree.get("profiles")),
        services,
        databases,
        tests,
        variables: values.specs(),
        base_env: base_env(chosen.env),
        runtime_env: runtime_env(chosen.env),
        inherited_env: if inherit { chosen.env.clone() } else { BTreeMap::new() },
    };
    verify::verify(cx, tree, &nodes, &stack);
    let selected = selected(cx, chosen, &stack);
    for doubt in laid.into_values().filter_map(|laid| laid.doubt) {
        let concerns = selected.contains(&doubt.service);
        doubt.report(cx, concerns);
    }
    stack
}

type Nodes<'a> = IndexMap<ServiceName, (Span, &'a Node)>;

type FileEnvs = BTreeMap<String, Vec<(String, String)>>;

/// Every service as its variant has it, without its needs; of the others it is only looked whether they are right.
fn read_services(
    cx: &mut Cx<'_>,
    nodes: &Nodes<'_>,
    laid: &BTreeMap<ServiceName, Laid>,
    mut file_env: FileEnvs,
    values: &Values<'_>,
) -> IndexMap<ServiceName, ServiceSpec> {
    let mut services: IndexMap<ServiceName, ServiceSpec> = IndexMap::with_capacity(nodes.len());
    for (name, (key_span, node)) in nodes {
        let Some(laid) = laid.get(name) else { continue };
        cx.service = Some(name.clone());
        let variants = service::variants(cx, node);
        no_variant(cx, name, node, *key_span);
        let file_env = file_env.remove(name.as_str()).unwrap_or_default();
        let given =
            service::Given { name: name.clone(), key_span: *key_span, runtime: laid.runtime, variants, file_env };
        for (kind, other) in &laid.others {
            cx.variant = Some(*kind);
            let given = service::Given { runtime: *kind, file_env: Vec::new(), ..given.clone() };
            let spec = service::build(cx, other, given, values);
            cx.ports.insert((name.clone(), *kind), spec.ports.into_keys().collect());
            cx.variant = None;
        }
        services.insert(name.clone(), service::build(cx, node, given, values));
        cx.service = None;
    }
    services
}

fn service_nodes<'a>(cx: &mut Cx<'_>, tree: &'a Node) -> Nodes<'a> {
    let mut nodes = IndexMap::new();
    for (key, span, node) in entries(tree.get("services")) {
        let name = cx.name::<ServiceName, _>(key, span);
        nodes.extend(name.map(|name| (name, (span, node))));
    }
    nodes
}

fn file_envs(tree: &Node, reader: &mut Reader<'_>) -> FileEnvs {
    let mut out = BTreeMap::new();
    for (key, _, node) in entries(tree.get("services")) {
        if node.get("env_file").is_some() {
            out.insert(key.to_owned(), service::file_env(node, reader));
        }
    }
    out
}

fn stack_name(cx: &mut Cx<'_>, tree: &Node, chosen: &Chosen<'_>) -> StackName {
    if let Some(node) = tree.get("name")
        && let Some(name) = cx.text(node).and_then(|text| cx.name(&text, node.span))
    {
        return name;
    }
    let folder = chosen.root.file_name().and_then(|name| name.to_str()).unwrap_or("stack");
    StackName::new(&fitting(folder)).expect("invariant: a fitting text is a name")
}

/// `--runtime S=V`: S is a service or a group.
fn commanded(cx: &mut Cx<'_>, chosen: &Chosen<'_>, tree: &Node) -> BTreeMap<ServiceName, RuntimeKind> {
    let mut out = BTreeMap::new();
    for (word, kind) in chosen.runtimes {
        let mut found = false;
        for (name, _, node) in entries(tree.get("services")) {
            let Ok(name) = name.parse::<ServiceName>() else { continue };
            let group = node.get("group").and_then(Node::as_scalar).is_some_and(|group| group.text == *word);
            let alias = node.get("aliases").map(Node::one_or_many).unwrap_or_default();
            let alias = alias.iter().any(|node| node.as_scalar().is_some_and(|scalar| scalar.text == *word));
            if name == *word.as_str() || word == "all" || group || alias {
                out.insert(name, *kind);
                found = true;
            }
        }
        if !found {
            cx.report.general(Code::UnknownService, format!("there is no service `{word}` to run as `{kind}`"));
        }
    }
    out
}

fn no_variant(cx: &mut Cx<'_>, name: &ServiceName, node: &Node, span: Span) {
    let offers = RuntimeKind::ALL.iter().any(|kind| node.get(kind.as_str()).is_some());
    // what is neither a map nor nothing was told as such
    if !offers && (node.is_null() || node.as_map().is_some()) {
        let item = cx.report.error(Code::NoVariant, span, format!("`{name}` says no way to run it"));
        item.help("add `process: {command: ...}`, `container: {image: ...}`, `remote`, `mock` or `external`");
    }
}

fn read_needs(
    cx: &mut Cx<'_>,
    (nodes, laid): (&Nodes<'_>, &BTreeMap<ServiceName, Laid>),
    names: &BTreeMap<String, ServiceName>,
    services: &mut IndexMap<ServiceName, ServiceSpec>,
) {
    let mut all = Vec::with_capacity(nodes.len());
    for (name, (_, node)) in nodes {
        all.push(needs::needs(cx, node.get("needs"), services, names));
        for (_, other) in laid.get(name).into_iter().flat_map(|laid| &laid.others) {
            needs::needs(cx, other.get("needs"), services, names);
        }
    }
    for (service, needs) in services.values_mut().zip(all) {
        service.needs = needs;
    }
}

/// What the selector chooses, with everything that it needs.
fn selected(cx: &mut Cx<'_>, chosen: &Chosen<'_>, stack: &Stack) -> BTreeSet<ServiceName> {
    let Some(only) = chosen.only else { return stack.services.keys().cloned().collect() };
    let mut open = match only.services(stack) {
        Ok(services) => services,
        Err(error) => {
            cx.report.general(Code::UnknownSelection, format!("{error}"));
            return BTreeSet::new();
        }
    };
    let mut closed = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(service) = stack.services.get(&name) {
            open.extend(service.needs.iter().map(|need| need.service.clone()).filter(|next| !closed.contains(next)));
        }
        closed.insert(name);
    }
    closed
}

/// Variables that every service gets.
const BASE: [&str; 8] = ["PATH", "HOME", "USER", "SHELL", "LANG", "TZ", "TMPDIR", "SSH_AUTH_SOCK"];

/// Variables that say where engines and hosts are.
const RUNTIME: [&str; 10] = [
    "HOME",
    "PATH",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "CONTAINER_HOST",
    "SSH_AUTH_SOCK",
    "MUSTER_SSH",
    "MUSTER_SSH_CONFIG",
];

fn runtime_env(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let known = |name: &str| Some((name.to_owned(), env.get(name).filter(|value| !value.is_empty())?.clone()));
    RUNTIME.into_iter().filter_map(known).collect()
}

fn base_env(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let base = |name: &str| BASE.contains(&name) || name.starts_with("LC_");
    env.iter().filter(|(name, _)| base(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Where a service's key stands, for problems that concern the whole of it.
fn span_of(nodes: &Nodes<'_>, name: &str) -> Span {
    nodes.get(name).map(|(span, _)| *span).unwrap_or_default()
}
