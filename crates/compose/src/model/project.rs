//! The project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::decode::Decoder;
use super::{Config, Model, NamedVolume, Network, Secret, Service};
use crate::extensions;
use crate::files::SourceFile;
use crate::problem::{Problem, Report};
use crate::tree::{Node, Span};

/// A project: the services that are active and what they use.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Its folder, absolute.
    pub working_dir: PathBuf,
    /// Services whose profile is on.
    pub services: BTreeMap<String, Service>,
    /// Services whose profile is off.
    pub disabled: BTreeMap<String, Service>,
    /// Networks that are used.
    pub networks: BTreeMap<String, Network>,
    /// Named volumes that are used.
    pub volumes: BTreeMap<String, NamedVolume>,
    /// Secrets that are used.
    pub secrets: BTreeMap<String, Secret>,
    /// Configs that are used.
    pub configs: BTreeMap<String, Config>,
    /// Language models that are used.
    pub models: BTreeMap<String, Model>,
    /// `x-...` at the top.
    pub extensions: BTreeMap<String, Node>,
    /// All of it as a tree, for the place of any attribute: see [`Project::span`].
    pub tree: Node,
    /// Every file that was read, by the number in a [`Span`].
    pub sources: Vec<SourceFile>,
    /// The compose files in the order they were merged.
    pub files: Vec<PathBuf>,
    /// The files that variables were looked up in.
    pub env_files: Vec<PathBuf>,
    /// What variables mean.
    pub environment: BTreeMap<String, String>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// What was noticed and is no error.
    pub warnings: Vec<Problem>,
}

impl Project {
    /// Where an attribute stands: `["services", "web", "image"]`. Nothing for what stands nowhere.
    #[must_use]
    pub fn span(&self, path: &[&str]) -> Option<Span> {
        self.tree.at(path).map(|node| node.span).filter(|span| span.line > 0)
    }

    /// An active service or one whose profile is off.
    #[must_use]
    pub fn any_service(&self, name: &str) -> Option<&Service> {
        self.services.get(name).or_else(|| self.disabled.get(name))
    }

    /// Leaves out networks, volumes, secrets, configs and models that no active service uses.
    pub(crate) fn prune(&mut self) {
        let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for service in self.services.values() {
            let build_secrets = service.build.iter().flat_map(|build| &build.secrets);
            let sources = |grants: &[super::Grant]| grants.iter().map(|grant| grant.source.clone()).collect::<Vec<_>>();
            let volumes = service.volumes.iter().filter(|mount| mount.r#type == "volume" && !mount.source.is_empty());
            used.entry("networks").or_default().extend(service.networks.keys().cloned());
            used.entry("volumes").or_default().extend(volumes.map(|mount| mount.source.clone()));
            used.entry("secrets").or_default().extend(sources(&service.secrets));
            used.entry("secrets").or_default().extend(build_secrets.map(|grant| grant.source.clone()));
            used.entry("configs").or_default().extend(sources(&service.configs));
            used.entry("models").or_default().extend(service.models.keys().cloned());
        }
        let is_used = |kind: &str, name: &str| used.get(kind).is_some_and(|names| names.contains(name));
        self.networks.retain(|name, _| is_used("networks", name));
        self.volumes.retain(|name, _| is_used("volumes", name));
        self.secrets.retain(|name, _| is_used("secrets", name));
        self.configs.retain(|name, _| is_used("configs", name));
        self.models.retain(|name, _| is_used("models", name));
    }
}

/// Everything of a tree, before profiles are looked at.
pub(crate) struct Decoded {
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) volumes: BTreeMap<String, NamedVolume>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) configs: BTreeMap<String, Config>,
    pub(crate) models: BTreeMap<String, Model>,
    pub(crate) extensions: BTreeMap<String, Node>,
}

impl Decoded {
    /// Reads a normalised tree.
    pub(crate) fn read(root: &Node, report: &mut Report) -> Self {
        let mut at = Decoder::new(report);
        let extensions = root.as_map().into_iter().flatten().filter(|(key, _)| extensions::is_extension(key));
        Self {
            services: at.field(root, "services"),
            networks: at.field(root, "networks"),
            volumes: at.field(root, "volumes"),
            secrets: at.field(root, "secrets"),
            configs: at.field(root, "configs"),
            models: at.field(root, "models"),
            extensions: extensions.map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect(),
        }
    }
}
