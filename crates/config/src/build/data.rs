//! Databases, tests, synchronised things and profiles.

use super::command::{self, Place};
use super::needs;
use super::read::{Cx, entries};
use crate::problem::{Code, nearest};
use crate::tree::Node;
use indexmap::IndexMap;
use muster_spec::{
    CleanTarget, DatabaseSpec, Engine, EnvSync, Need, ProtoSync, Selector, ServiceKind, ServiceName, ServiceSpec,
    Stack, StubDir, SyncSpec, TestSpec, Until,
};
use std::collections::BTreeMap;

type Services = IndexMap<ServiceName, ServiceSpec>;

pub(super) fn databases(
    cx: &mut Cx<'_>,
    node: Option<&Node>,
    names: &BTreeMap<String, ServiceName>,
) -> IndexMap<String, DatabaseSpec> {
    let mut out = IndexMap::new();
    for (name, span, value) in entries(node) {
        let file = value.get("file").and_then(|file| cx.path_template(file));
        let url = cx.template_at(value, "url");
        let service = value.get("service").and_then(|service| {
            let text = cx.text(service)?;
            let found = names.get(&text).cloned();
            if found.is_none() {
                let near = nearest(&text, names.keys().map(String::as_str)).map(str::to_owned);
                let message = format!("there is no service `{text}`");
                let item = cx.report.error(Code::UnknownService, service.span, message);
                if let Some(near) = near {
                    item.help(format!("did you mean `{near}`?"));
                }
            }
            found
        });
        let engines = [("postgres", Engine::Postgres), ("sqlite", Engine::Sqlite)];
        let guess = if file.is_some() { Engine::Sqlite } else { Engine::Postgres };
        let engine = cx.word(value, "engine", &engines).unwrap_or(guess);
        let given = ["service", "url", "file"].iter().filter(|key| value.get(key).is_some()).count();
        if given != 1 && value.as_map().is_some() {
            let item = cx.report.error(Code::MissingKey, span, format!("the database `{name}` is somewhere"));
            item.help("give it one of `service`, `url` and `file`");
        }
        let clean = entries(value.get("clean")).map(|(target, _, tables)| {
            let tables = tables.one_or_many().iter().filter_map(|table| cx.text(table)).collect();
            (target.to_owned(), CleanTarget { tables })
        });
        let clean = clean.collect();
        let database = DatabaseSpec {
            engine,
            service,
            url,
            name: cx.text_at(value, "name").unwrap_or_else(|| name.to_owned()),
            file,
            migrations: cx.path_at(value, "migrations"),
            clean,
            seed: cx.path_at(value, "seed"),
        };
        out.insert(name.to_owned(), database);
    }
    out
}

pub(super) fn tests(
    cx: &mut Cx<'_>,
    node: Option<&Node>,
    services: &Services,
    names: &BTreeMap<String, ServiceName>,
) -> IndexMap<String, TestSpec> {
    let mut out = IndexMap::new();
    for (name, span, value) in entries(node) {
        let command = match value.as_map() {
            Some(_) => command::of_map(cx, value, Place::Here),
            None => command::slot(cx, value, Place::Here),
        };
        let told = value.as_map().is_none() || value.get("command").is_some() || value.get("shell").is_some();
        if command.is_none() && !told {
            cx.missing(span, &format!("the test `{name}` needs a `command`"));
        }
        let needs = match value.get("needs") {
            Some(needs) => test_needs(cx, needs, services, names),
            None => everything(services),
        };
        out.extend(command.map(|command| (name.to_owned(), TestSpec { command, needs })));
    }
    out
}

/// `all` stands for everything that starts by itself, each at its own target; the rest is as for services.
fn test_needs(cx: &mut Cx<'_>, node: &Node, services: &Services, names: &BTreeMap<String, ServiceName>) -> Vec<Need> {
    let mut rest = node.clone();
    let all = match &mut rest.kind {
        crate::tree::Kind::Map(map) => map.shift_remove("all").is_some(),
        crate::tree::Kind::List(list) => {
            let before = list.len();
            list.retain(|item| item.as_scalar().is_none_or(|scalar| scalar.text != "all"));
            list.len() < before
        }
        crate::tree::Kind::Scalar(scalar) if scalar.text == "all" => return everything(services),
        crate::tree::Kind::Scalar(_) => false,
    };
    let mut needs = needs::needs(cx, Some(&rest), services, names);
    if all {
        let more = everything(services).into_iter().filter(|need| !needs.iter().any(|n| n.service == need.service));
        let more: Vec<Need> = more.collect();
        needs.extend(more);
    }
    needs
}

fn everything(services: &Services) -> Vec<Need> {
    let auto = services.values().filter(|service| service.autostart);
    auto.map(|service| Need {
        service: service.name.clone(),
        until: if service.kind == ServiceKind::Job { Until::Done } else { Until::Ready },
        restart: muster_spec::OnRestart::default(),
        optional: service.optional,
    })
    .collect()
}

pub(super) fn sync(cx: &mut Cx<'_>, node: Option<&Node>, databases: &IndexMap<String, DatabaseSpec>) -> SyncSpec {
    let Some(node) = node else { return SyncSpec::default() };
    let mut sync = SyncSpec { images: cx.flag(node, "images").unwrap_or(false), ..SyncSpec::default() };
    for proto in node.get("protos").and_then(Node::as_list).unwrap_or_default() {
        let Some(canonical) = cx.path_at(proto, "canonical") else {
            cx.missing(proto.span, "`protos` needs a `canonical` folder");
            continue;
        };
        let copies = cx.paths(proto, "copies");
        let mut stubs = Vec::new();
        for stub in proto.get("stubs").and_then(Node::as_list).unwrap_or_default() {
            match (cx.path_at(stub, "dir"), cx.text_at(stub, "lang")) {
                (Some(dir), Some(lang)) => stubs.push(StubDir { dir, lang }),
                (_, _) => cx.missing(stub.span, "a stub needs `dir` and `lang`"),
            }
        }
        sync.protos.push(ProtoSync { canonical, copies, stubs });
    }
    for item in node.get("migrations").map(Node::one_or_many).unwrap_or_default() {
        let Some(name) = cx.text(item) else { continue };
        if !databases.contains_key(&name) {
            let message = format!("there is no database `{name}`");
            let found = cx.report.error(Code::UnknownSelection, item.span, message);
            if let Some(near) = nearest(&name, databases.keys().map(String::as_str)) {
                found.help(format!("did you mean `{near}`?"));
            }
        }
        sync.migrations.push(name);
    }
    for item in node.get("env").and_then(Node::as_list).unwrap_or_default() {
        let files = cx.paths(item, "files");
        match cx.path_at(item, "template") {
            Some(template) => sync.env.push(EnvSync { template, files }),
            None => cx.missing(item.span, "`env` needs a `template`"),
        }
    }
    sync
}

pub(super) fn profiles(cx: &mut Cx<'_>, node: Option<&Node>) -> IndexMap<String, Selector> {
    let mut out = IndexMap::new();
    for (name, _, value) in entries(node) {
        let words: Vec<String> = value.one_or_many().iter().filter_map(|word| cx.text(word)).collect();
        match words.join(",").parse() {
            Ok(selector) => {
                out.insert(name.to_owned(), selector);
            }
            Err(error) => {
                cx.report.error(Code::UnknownSelection, value.span, format!("{error}"));
            }
        }
    }
    out
}

/// Profiles must choose something; asked when the stack is there.
pub(super) fn check_profiles(cx: &mut Cx<'_>, node: Option<&Node>, stack: &Stack) {
    for (name, _, value) in entries(node) {
        for word in value.one_or_many() {
            let Some(text) = cx.text(word) else { continue };
            let Ok(selector) = text.parse::<Selector>() else { continue };
            if let Err(error) = selector.instances(stack) {
                let near = match &error {
                    muster_spec::SelectorError::Unknown { word, known, .. } => {
                        nearest(word, known.iter().map(String::as_str)).map(str::to_owned)
                    }
                    muster_spec::SelectorError::Empty(_) | muster_spec::SelectorError::Replica(_) => None,
                };
                let message = format!("profile `{name}`: {error}");
                let item = cx.report.error(Code::UnknownSelection, word.span, message);
                if let Some(near) = near {
                    item.help(format!("did you mean `{near}`?"));
                }
            }
        }
    }
}
