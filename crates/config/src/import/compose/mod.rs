//! A compose project as a document in our language: each service a container, all of them in the environment's one network.
//!
//! Compose's words are ours wherever both have the thing, so most of a service is carried over as it is. What differs on
//! purpose, and is therefore in the report when a project asks for it:
//!
//! | compose | here | why |
//! |---|---|---|
//! | several networks | one per environment | services find each other by name; nothing else was asked of most networks |
//! | a volume's or network's own `name` | the environment's name is part of it | two environments never touch each other's data |
//! | services whose profile is off | left out | a profile that is on brings them back |
//! | `deploy` for a swarm | limits and replicas only | the rest says where in a cluster something runs |
//! | logging drivers | the log of the environment | one time-ordered stream of all services |
//!
//! A service without a health check is ready when it runs, as `docker compose up --wait` has it, also where nothing listens
//! on a port that it publishes.

mod build;
mod container;
mod known;
mod lost;
mod mounts;
mod ports;
mod service;
mod watch;

pub use known::is_compose;

use super::{Attached, ExitRule, Imported, LossReport, Names, stack_name};
use indexmap::IndexMap;
use muster_compose::Project;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Translates a project for a document that lies in `root`, absolute. What it cannot say stands in the report.
#[must_use]
pub fn import_compose(project: &Project, root: &Path) -> Imported {
    let mut loss = LossReport::default();
    let order = order(project);
    let names = Names::new("services", order.iter().copied(), &mut loss);
    let mut import = Import {
        project,
        root,
        names,
        loss,
        jobs: jobs(project),
        aliases: BTreeMap::new(),
        published: BTreeSet::new(),
        secrets: Map::new(),
    };
    import.links();
    lost::of_project(&mut import);
    let mut services = Map::new();
    for name in &order {
        if let Some(service) = project.services.get(*name)
            && let Some(body) = service::service(&mut import, name, service)
        {
            services.insert(import.names.of(name), body);
        }
    }
    let mut document = Map::new();
    document.insert("name".to_owned(), json!(stack_name(Some(&project.name), &project.working_dir)));
    if !import.secrets.is_empty() {
        // where the project's own variables stand
        let files = project.env_files.iter().map(|file| format!("{}?", import.path(&file.to_string_lossy())));
        document.insert("env_file".to_owned(), files.collect());
        document.insert("variables".to_owned(), Value::Object(import.secrets));
    }
    let empty = services.is_empty();
    document.insert("services".to_owned(), Value::Object(services));
    let attached = Attached {
        strict: false,
        exit: ExitRule::OnlyOfTheOneThatEnds,
        empty,
        renamed: import.names.renamed(),
        namespaces: IndexMap::new(),
    };
    Imported { document: Value::Object(document), root: root.to_owned(), loss: import.loss, attached }
}

/// What is at hand while a project is translated.
struct Import<'a> {
    project: &'a Project,
    /// Where the document lies.
    root: &'a Path,
    names: Names,
    loss: LossReport,
    /// Services that another one waits for until they are done.
    jobs: BTreeSet<&'a str>,
    /// Names that links give to a service.
    aliases: BTreeMap<String, Vec<String>>,
    /// Ports of this machine that are taken: UDP or not, and the number.
    published: BTreeSet<(bool, u16)>,
    /// Variables that hold secrets.
    secrets: Map<String, Value>,
}

impl Import<'_> {
    /// Says that an attribute of a service is not kept.
    fn lose(&mut self, service: &str, attribute: &str, reason: &str, instead: &str) {
        self.loss.push(&format!("services.{service}.{attribute}"), reason, instead);
    }

    /// A name that a link gives to a service is one for all.
    fn links(&mut self) {
        for (name, service) in &self.project.services {
            for link in &service.links {
                if let Some((target, alias)) = link.split_once(':').filter(|(target, alias)| target != alias) {
                    self.aliases.entry(target.to_owned()).or_default().push(alias.to_owned());
                    self.loss.push(
                        &format!("services.{name}.links"),
                        "a name is the same for all services",
                        &format!("every service finds `{target}` as `{alias}`"),
                    );
                }
            }
        }
    }

    /// A path below the document's folder is written from there.
    fn path(&self, path: &str) -> String {
        match Path::new(path).strip_prefix(self.root) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
            Ok(rest) => format!("./{}", rest.display()),
            Err(_) => path.to_owned(),
        }
    }
}

/// Names of services as they stand in the files.
fn order(project: &Project) -> Vec<&str> {
    let mut names: Vec<&str> = project.services.keys().map(String::as_str).collect();
    names.sort_by_key(|name| project.services.get(*name).map(|service| (service.span, *name)));
    names
}

fn jobs(project: &Project) -> BTreeSet<&str> {
    let needs = project.services.values().flat_map(|service| &service.depends_on);
    let done = needs.filter(|(_, need)| need.condition == "service_completed_successfully");
    done.map(|(name, _)| name.as_str()).collect()
}

/// A text in which nothing is interpolated.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// A map of which only what is set is kept.
#[derive(Debug, Default)]
struct Body(Map<String, Value>);

impl Body {
    fn put(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, Value::String(escaped(text)));
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.put(key, texts.iter().map(|text| escaped(text)).collect());
        }
    }

    fn pairs<'p>(&mut self, key: &str, pairs: impl IntoIterator<Item = (&'p String, &'p String)>) {
        let map: Map<String, Value> =
            pairs.into_iter().map(|(name, value)| (escaped(name), Value::String(escaped(value)))).collect();
        if !map.is_empty() {
            self.put(key, Value::Object(map));
        }
    }

    fn flag(&mut self, key: &str, flag: bool) {
        if flag {
            self.put(key, Value::Bool(true));
        }
    }

    fn body(&mut self, key: &str, body: Self) {
        if !body.0.is_empty() {
            self.put(key, Value::Object(body.0));
        }
    }
}

/// Bytes with the largest unit that keeps them whole.
fn size(bytes: i64) -> String {
    for (unit, power) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes != 0 && bytes % (1_i64 << power) == 0 {
            return format!("{}{unit}", bytes >> power);
        }
    }
    bytes.to_string()
}

/// A duration in whole seconds, else in smaller units. A negative one is none at all.
fn duration(duration: muster_compose::Duration) -> String {
    let nanos = duration.0.max(0);
    for (unit, size) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if nanos % size == 0 {
            return format!("{}{unit}", nanos / size);
        }
    }
    format!("{nanos}ns")
}

#[cfg(test)]
mod tests;
