//! A whole stack, resolved for one environment.

use crate::{CommandSpec, EnvironmentName, InstanceId, Need, Selector, ServiceName, ServiceSpec, StackName, Template};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where an environment's ports lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortPlan {
    /// First port of this environment's block, when the file names it.
    pub base: Option<u16>,
    /// Ports per environment.
    pub block: Option<u16>,
}

/// A declared input of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableSpec {
    /// One line for people.
    pub description: Option<String>,
    /// What it is when nothing gives it; never kept for a secret.
    pub default: Option<String>,
    /// Masked everywhere.
    pub secret: bool,
    /// Where its value came from: `environment`, a file, `command`, `default`.
    pub origin: String,
}

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// SQLite, in a file.
    Sqlite,
}

/// What `muster clean` empties under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanTarget {
    /// Tables in the order in which they are emptied.
    pub tables: Vec<String>,
}

/// A database of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSpec {
    /// The engine.
    pub engine: Engine,
    /// The service that serves it.
    pub service: Option<ServiceName>,
    /// Where it is, when no service of the stack serves it.
    pub url: Option<Template>,
    /// Name of the database on its server.
    pub name: String,
    /// SQLite's file.
    pub file: Option<Template>,
    /// Folder of migrations.
    pub migrations: Option<PathBuf>,
    /// What `clean` knows.
    pub clean: IndexMap<String, CleanTarget>,
    /// Statements that `seed` runs.
    pub seed: Option<PathBuf>,
}

/// A test of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSpec {
    /// What is run; `${args}` stands for what the caller adds.
    pub command: CommandSpec,
    /// What must be there before.
    pub needs: Vec<Need>,
}

/// A folder of code generated from protocol files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StubDir {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// The language it is in.
    pub lang: String,
}

/// Protocol files that must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtoSync {
    /// The folder that is right.
    pub canonical: PathBuf,
    /// Folders that must hold the same.
    pub copies: Vec<PathBuf>,
    /// Code made from it.
    pub stubs: Vec<StubDir>,
}

/// Environment files that must have what a template has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvSync {
    /// The documented file.
    pub template: PathBuf,
    /// The files people have.
    pub files: Vec<PathBuf>,
}

/// What `sync-check` holds to be equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSpec {
    /// Protocol files, copies and stubs.
    pub protos: Vec<ProtoSync>,
    /// Databases whose applied migrations must be those in the folder.
    pub migrations: Vec<String>,
    /// Images must be those that were built.
    pub images: bool,
    /// Environment files.
    pub env: Vec<EnvSync>,
}

/// What is wanted in one environment: the unit that is accepted or refused as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// Its name.
    pub name: StackName,
    /// The environment it was resolved for.
    pub environment: EnvironmentName,
    /// The folder of the first file, canonical: with the environment's name, the identity.
    pub root: PathBuf,
    /// The files it was read from, in order.
    pub files: Vec<PathBuf>,
    /// Where its ports lie.
    pub ports: PortPlan,
    /// Services and jobs in order of declaration.
    pub services: IndexMap<ServiceName, ServiceSpec>,
    /// Databases.
    pub databases: IndexMap<String, DatabaseSpec>,
    /// Tests.
    pub tests: IndexMap<String, TestSpec>,
    /// Named selections.
    pub profiles: IndexMap<String, Selector>,
    /// What `sync-check` compares.
    pub sync: SyncSpec,
    /// Declared inputs, for people.
    pub variables: IndexMap<String, VariableSpec>,
    /// PATH, HOME and so on of the caller: what every service gets.
    pub base_env: BTreeMap<String, String>,
    /// What the caller's environment says about where engines and hosts are: `DOCKER_HOST`, `SSH_AUTH_SOCK` and the like.
    #[serde(default)]
    pub runtime_env: BTreeMap<String, String>,
    /// The caller's whole environment, when a service has `inherit: true`.
    pub inherited_env: BTreeMap<String, String>,
}

impl Stack {
    /// These services and nothing else, in environment `local` of the folder `root`.
    #[must_use]
    pub fn of(name: StackName, root: impl Into<PathBuf>, services: impl IntoIterator<Item = ServiceSpec>) -> Self {
        Self {
            name,
            environment: EnvironmentName::new("local").expect("invariant: `local` is a name"),
            root: root.into(),
            files: Vec::new(),
            ports: PortPlan::default(),
            services: services.into_iter().map(|service| (service.name.clone(), service)).collect(),
            databases: IndexMap::new(),
            tests: IndexMap::new(),
            profiles: IndexMap::new(),
            sync: SyncSpec::default(),
            variables: IndexMap::new(),
            base_env: BTreeMap::new(),
            runtime_env: BTreeMap::new(),
            inherited_env: BTreeMap::new(),
        }
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.get(name)
    }

    /// The instances that `service` should have, from replica 1.
    pub fn instances_of<'a>(&self, service: &'a ServiceSpec) -> impl Iterator<Item = InstanceId> + 'a {
        (1..=service.replicas).map(|replica| InstanceId { service: service.name.clone(), replica })
    }

    /// Every instance that the stack should have.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.services.values().flat_map(|service| self.instances_of(service))
    }
}
