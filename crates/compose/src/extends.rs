//! `extends`: a service and what it is made of (compose-spec, 05-services).
//!
//! A base in the same file is taken as it is written; one of another file in its long form with its paths absolute, for
//! they start at that file's folder. Bases extend further ones. Nothing of a base's file but the service comes along.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::files::{Found, join};
use crate::loader::{Loader, Scope, not_a_map};
use crate::merge;
use crate::path::Path as TreePath;
use crate::paths::{self, Base};
use crate::problem::Code;
use crate::reset::Resets;
use crate::tree::{Map, Node, Span, Value};

/// A file that services extend.
#[derive(Debug)]
pub(crate) struct Extended {
    services: Map,
    resets: Resets,
}

/// A chain of services, each of which extends the next.
type Chain = Vec<(String, String)>;

/// What `extends` says.
struct Reference {
    span: Span,
    service: String,
    file: Option<String>,
}

/// Replaces every service that extends another by what the two make.
pub(crate) fn apply(
    loader: &mut Loader<'_>,
    root: &mut Node,
    file: &Path,
    resets: &Resets,
    scope: &Scope,
) -> Option<()> {
    let Some(services) = root.get_mut("services") else { return Some(()) };
    let Value::Map(map) = &mut services.value else {
        not_a_map(&TreePath::ROOT.next("services"), services, &mut loader.report);
        return None;
    };
    let mut resolver = Resolver { loader, file: file.to_string_lossy().into_owned(), scope };
    let names: Vec<String> = map.keys().map(ToString::to_string).collect();
    let mut complete = Some(());
    for name in names {
        if resolver.service(&name, map, resets, &Chain::new()).is_none() {
            complete = None;
        }
    }
    complete
}

struct Resolver<'r, 'l> {
    loader: &'r mut Loader<'l>,
    /// The compose file whose services are resolved, as circles know it.
    file: String,
    scope: &'r Scope,
}

impl Resolver<'_, '_> {
    /// A service with all that it extends; the result is put in its place in `services` too.
    fn service(&mut self, name: &str, services: &mut Map, resets: &Resets, chain: &Chain) -> Option<Node> {
        let service = services.get(name)?;
        if service.is_null() {
            return Some(service.clone());
        }
        if service.as_map().is_none() {
            let path = TreePath::ROOT.next("services");
            not_a_map(&path.next(name), service, &mut self.loader.report);
            return None;
        }
        let Some(extends) = service.get("extends") else { return Some(service.clone()) };
        let mut over = service.clone();
        let reference = self.reference(name, extends)?;
        let label = reference.file.clone().unwrap_or_else(|| self.file.clone());
        let chain = self.longer(chain, label, name, reference.span)?;
        let base = match &reference.file {
            Some(path) => {
                let extended = self.file(path, &reference)?;
                let mut others = extended.services.clone();
                self.known(&others, &reference)?;
                self.service(&reference.service, &mut others, &extended.resets, &chain)?
            }
            None => {
                self.known(services, &reference)?;
                self.service(&reference.service, services, &Resets::default(), &chain)?
            }
        };
        if base.is_null() {
            return Some(over);
        }
        let mut base = base;
        resets.apply_to_service(name, &mut base);
        over.remove("extends");
        let mut merged = merge::services(base, over, &mut self.loader.report)?;
        merged.remove("extends");
        services.insert(crate::tree::Key::new(name, merged.span), merged.clone());
        Some(merged)
    }

    fn reference(&mut self, name: &str, extends: &Node) -> Option<Reference> {
        let span = extends.span;
        let (service, file) = match &extends.value {
            Value::String(service) => (Some(service.clone()), None),
            Value::Map(map) => {
                let service = map.get("service").and_then(Node::as_str).map(str::to_owned);
                (service, map.get("file").filter(|file| !file.is_null()))
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Seq(_) => {
                (None, None)
            }
        };
        let Some(service) = service else {
            let message = format!("`services.{name}.extends` names no `service`");
            self.loader.report.error(Code::Extends, span, message);
            return None;
        };
        match file.map(|file| (file.as_str(), file.span)) {
            None => Some(Reference { span, service, file: None }),
            Some((Some(path), _)) => Some(Reference { span, service, file: Some(path.to_owned()) }),
            Some((None, span)) => {
                let message = format!("`services.{name}.extends.file` must be a text");
                self.loader.report.error(Code::WrongType, span, message);
                None
            }
        }
    }

    /// The chain with one more, unless that closes a circle.
    fn longer(&mut self, chain: &Chain, file: String, name: &str, span: Span) -> Option<Chain> {
        let mut longer = chain.clone();
        longer.push((file, name.to_owned()));
        if chain.contains(&longer[chain.len()]) {
            let names: Vec<_> = longer.iter().map(|(file, name)| format!("`{name}` in `{file}`")).collect();
            let message = format!("services extend each other in a circle: {}", names.join(", then "));
            self.loader.report.error(Code::Extends, span, message);
            return None;
        }
        Some(longer)
    }

    fn known(&mut self, services: &Map, reference: &Reference) -> Option<()> {
        if services.contains_key(reference.service.as_str()) {
            return Some(());
        }
        let place = reference.file.as_ref().map_or("this file".to_owned(), |file| format!("`{file}`"));
        let message = format!("extends `{}`, a service that {place} does not have", reference.service);
        self.loader.report.error(Code::Extends, reference.span, message);
        None
    }

    /// The services of another file, each in its long form.
    fn file(&mut self, path: &str, reference: &Reference) -> Option<Rc<Extended>> {
        let path: PathBuf = join(&self.scope.lookup, path);
        let key = (self.scope.number, path.clone());
        if let Some(known) = self.loader.extended.get(&key) {
            return known.clone();
        }
        let loaded = self.load(&path, reference).map(Rc::new);
        self.loader.extended.insert(key, loaded.clone());
        loaded
    }

    fn load(&mut self, path: &Path, reference: &Reference) -> Option<Extended> {
        if self.loader.files.find(path) != Some(Found::File) {
            let message = format!("extends a service of `{}`, which is no file", path.display());
            self.loader.report.error(Code::Extends, reference.span, message);
            return None;
        }
        let (mut root, resets) = self.loader.base_file(path, &self.scope.environment)?;
        let folder = path.parent().unwrap_or(path);
        let home = self.scope.environment.get("HOME").map(String::as_str);
        let base = Base { folder, home, files: self.loader.files };
        self.loader.pass(|report| paths::resolve(&mut root, base, report))?;
        match root.remove("services").map(|services| (services.span, services.value)) {
            Some((_, Value::Map(services))) => Some(Extended { services, resets }),
            Some((span, _)) => {
                self.loader.report.error(Code::WrongType, span, "`services` must be a map");
                None
            }
            None => {
                let message = format!("`{}` has no services to extend", path.display());
                self.loader.report.error(Code::Extends, reference.span, message);
                None
            }
        }
    }
}
