//! A stack, ports, folders and secrets in; what a runtime is given out. Nothing is left to decide afterwards.

use crate::address::{self, NoWay};
use crate::paths::Paths;
use crate::ports::PortTable;
use muster_spec::{
    Check, CommandSpec, EnvironmentId, InstanceSpec, Location, PortName, Reference, ResolvedCommand, RunId, RunMode,
    RuntimeKind, Scope, SecretText, ServiceName, ServiceSpec, Stack, Streams, Template,
};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Why a reference cannot be filled in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// The stack does not have it.
    #[error("`${{{0}}}` names nothing in this stack")]
    Unknown(Reference),
    /// The value of a secret is gone: it lives in the runtime folder only.
    #[error("the value of secret `{0}` is not known any more: run `muster up` again")]
    Secret(String),
    /// Nothing connects the two.
    #[error(transparent)]
    NoWay(#[from] NoWay),
    /// The service cannot run this way.
    #[error("service `{service}` has no variant `{runtime}`")]
    Variant {
        /// The service.
        service: ServiceName,
        /// How it should run.
        runtime: RuntimeKind,
    },
}

/// Everything that references are filled in from.
pub(crate) struct Resolver<'a> {
    /// The environment.
    pub id: &'a EnvironmentId,
    /// The stack.
    pub stack: &'a Stack,
    /// Its ports.
    pub ports: &'a PortTable,
    /// Its secrets.
    pub secrets: &'a BTreeMap<String, SecretText>,
    /// Folders that were named so far: a start makes them when they are missing.
    pub(crate) folders: RefCell<BTreeSet<PathBuf>>,
    /// Its folders.
    pub paths: &'a Paths,
}

impl Resolver<'_> {
    fn service(&self, run: &RunId) -> Result<&ServiceSpec, ResolveError> {
        let name = &run.instance.service;
        let unknown = || ResolveError::Variant { service: name.clone(), runtime: RuntimeKind::Process };
        self.stack.services.get(name).ok_or_else(unknown)
    }

    fn port(
        &self,
        service: &ServiceName,
        replica: u16,
        name: &PortName,
        from: &Reference,
    ) -> Result<u16, ResolveError> {
        self.ports.get(service, replica, name).ok_or_else(|| ResolveError::Unknown(from.clone()))
    }

    /// Fills in one reference for a consumer.
    fn reference(&self, reference: &Reference, run: &RunId, consumer: &Location) -> Result<String, ResolveError> {
        let own = &run.instance;
        Ok(match reference {
            Reference::OwnPort(name) => self.port(&own.service, own.replica, name, reference)?.to_string(),
            Reference::OwnAddress(name) => {
                let port = self.port(&own.service, own.replica, name, reference)?;
                let scope = Scope { consumer: consumer.clone(), provider: consumer.clone() };
                address::reach(&scope, port)?.to_string()
            }
            Reference::Bind(_) => "127.0.0.1".to_owned(),
            Reference::DataDir => self.folder(self.paths.service_data(self.id, &own.service)),
            Reference::RunDir => self.folder(self.paths.instance_run(self.id, own)),
            Reference::LogDir => self.paths.instance(self.id, own).display().to_string(),
            Reference::EnvironmentName => self.id.name.to_string(),
            Reference::Replica => own.replica.to_string(),
            Reference::ReplicaFromZero => (own.replica - 1).to_string(),
            Reference::Port { service, port } => self.provided(service, port, reference, consumer)?.port.to_string(),
            Reference::Address { service, port } => self.provided(service, port, reference, consumer)?.to_string(),
            Reference::ExternalUrl(service) => {
                let spec = self.stack.services.get(service).and_then(|s| s.variants.external.as_ref());
                let spec = spec.ok_or_else(|| ResolveError::Unknown(reference.clone()))?;
                self.template(&spec.url, run, consumer)?
            }
            Reference::DatabaseUrl(name) => self.database_url(name, reference, run, consumer)?,
            Reference::Secret(name) => self.secret(name)?.to_owned(),
        })
    }

    fn folder(&self, folder: PathBuf) -> String {
        let text = folder.display().to_string();
        self.folders.borrow_mut().insert(folder);
        text
    }

    fn secret(&self, name: &str) -> Result<&str, ResolveError> {
        self.secrets.get(name).map(SecretText::expose).ok_or_else(|| ResolveError::Secret(name.to_owned()))
    }

    fn provided(
        &self,
        service: &ServiceName,
        port: &PortName,
        from: &Reference,
        consumer: &Location,
    ) -> Result<muster_spec::Address, ResolveError> {
        let spec = self.stack.services.get(service).ok_or_else(|| ResolveError::Unknown(from.clone()))?;
        let number = self.port(service, 1, port, from)?;
        let scope = Scope { consumer: consumer.clone(), provider: address::location(spec) };
        Ok(address::reach(&scope, number)?)
    }

    fn database_url(
        &self,
        name: &str,
        from: &Reference,
        run: &RunId,
        consumer: &Location,
    ) -> Result<String, ResolveError> {
        let unknown = || ResolveError::Unknown(from.clone());
        let database = self.stack.databases.get(name).ok_or_else(unknown)?;
        if let Some(url) = &database.url {
            return self.template(url, run, consumer);
        }
        match database.engine {
            muster_spec::Engine::Sqlite => {
                let file = database.file.as_ref().ok_or_else(unknown)?;
                Ok(format!("sqlite:{}", self.template(file, run, consumer)?))
            }
            muster_spec::Engine::Postgres => {
                let service = database.service.as_ref().ok_or_else(unknown)?;
                let spec = self.stack.services.get(service).ok_or_else(unknown)?;
                let port = spec.ports.keys().next().ok_or_else(unknown)?;
                let address = self.provided(service, port, from, consumer)?;
                Ok(format!("postgres://postgres@{address}/{}", database.name))
            }
        }
    }

    /// Fills in a text for an instance.
    ///
    /// # Errors
    /// [`ResolveError`] for the first reference that cannot be filled in.
    pub(crate) fn template(
        &self,
        template: &Template,
        run: &RunId,
        consumer: &Location,
    ) -> Result<String, ResolveError> {
        template.resolve(|reference| self.reference(reference, run, consumer))
    }

    fn argv(&self, command: &CommandSpec, run: &RunId, at: &Location) -> Result<Vec<String>, ResolveError> {
        match command {
            CommandSpec::Exec(words) => words.iter().map(|word| self.template(word, run, at)).collect(),
            CommandSpec::Shell { shell, script } => {
                let mut argv = shell.clone();
                argv.push(self.template(script, run, at)?);
                Ok(argv)
            }
        }
    }

    /// The whole environment of a service, sorted: the caller's base, then what the file declares, then the environment's name.
    fn env(
        &self,
        service: &ServiceSpec,
        run: &RunId,
        at: &Location,
    ) -> Result<Vec<(String, SecretText)>, ResolveError> {
        let base = if service.inherit { &self.stack.inherited_env } else { &self.stack.base_env };
        let mut env: BTreeMap<String, SecretText> =
            base.iter().map(|(name, value)| (name.clone(), SecretText::new(value.clone()))).collect();
        env.insert("MUSTER_ENV".to_owned(), SecretText::new(self.id.name.to_string()));
        for (name, template) in &service.env {
            env.insert(name.clone(), SecretText::new(self.template(template, run, at)?));
        }
        Ok(env.into_iter().collect())
    }

    /// Texts that must not stand in this service's log: the secrets that its command or environment names.
    fn secrets_of(&self, service: &ServiceSpec) -> Vec<SecretText> {
        let process = service.variants.process.as_ref();
        let words = process.iter().flat_map(|p| p.command.templates());
        let named = service.env.values().chain(words).flat_map(Template::references);
        let names = named.filter_map(|r| if let Reference::Secret(name) = r { Some(name) } else { None });
        let mut texts: Vec<SecretText> = names.filter_map(|name| self.secrets.get(name).cloned()).collect();
        texts.retain(|text| !text.expose().is_empty());
        texts.sort();
        texts.dedup();
        texts
    }

    /// A command of a service with its environment and folder.
    ///
    /// # Errors
    /// [`ResolveError`] for the first reference that cannot be filled in.
    pub(crate) fn command(&self, command: &CommandSpec, run: &RunId) -> Result<ResolvedCommand, ResolveError> {
        let service = self.service(run)?;
        let at = address::location(service);
        Ok(ResolvedCommand {
            argv: self.argv(command, run, &at)?,
            env: self.env(service, run, &at)?,
            cwd: PathBuf::from(self.template(&service.cwd, run, &at)?),
        })
    }

    /// What the runtime is given for a run.
    ///
    /// # Errors
    /// [`ResolveError`] for the first reference that cannot be filled in.
    pub(crate) fn spec(&self, run: &RunId) -> Result<InstanceSpec, ResolveError> {
        let service = self.service(run)?;
        let (command, user, umask) = match service.runtime {
            RuntimeKind::Process => {
                let missing = || ResolveError::Variant { service: service.name.clone(), runtime: service.runtime };
                let process = service.variants.process.as_ref().ok_or_else(missing)?;
                (self.command(&process.command, run)?, process.user.clone(), process.umask)
            }
            RuntimeKind::External => {
                (ResolvedCommand { argv: Vec::new(), env: Vec::new(), cwd: "/".into() }, None, None)
            }
            RuntimeKind::Container | RuntimeKind::Remote | RuntimeKind::Mock => {
                return Err(ResolveError::Variant { service: service.name.clone(), runtime: service.runtime });
            }
        };
        let replica = run.instance.replica;
        let ports = service.ports.iter().filter(|(_, port)| !port.udp);
        let mut spec = InstanceSpec {
            runtime: service.runtime,
            mode: RunMode::Service,
            command,
            user,
            umask,
            streams: streams(service),
            limits: service.limits.clone(),
            logs: service.logs.clone(),
            stop_signal: service.stop.signal,
            stop_to: service.stop.to,
            grace: service.stop.grace.get(),
            notify: service.probes.roles().any(|role| service.probes.get(role).is_some_and(|p| has_notify(&p.check))),
            secrets: self.secrets_of(service),
            ports: ports
                .filter_map(|(name, _)| Some((name.to_string(), self.ports.get(&service.name, replica, name)?)))
                .collect(),
            container: None,
            remote: None,
            hash: String::new(),
        };
        spec.hash = hash(&spec);
        Ok(spec)
    }

    /// What the runtime is given for a step of a run: `build`, `before-N`, `stop`.
    ///
    /// # Errors
    /// As [`Resolver::spec`].
    pub(crate) fn step(&self, command: &CommandSpec, run: &RunId) -> Result<InstanceSpec, ResolveError> {
        let mut spec = self.spec(run)?;
        spec.command = self.command(command, run)?;
        spec.mode = RunMode::Step;
        spec.notify = false;
        spec.ports.clear();
        spec.streams = Streams::Merged;
        Ok(spec)
    }

    /// Fills in what probes of a run ask; they are asked from this machine.
    #[must_use]
    pub(crate) fn probing<'r>(&'r self, run: &'r RunId) -> Probing<'r> {
        Probing { resolver: self, run }
    }
}

/// A resolver for the probes of one run.
pub(crate) struct Probing<'a> {
    resolver: &'a Resolver<'a>,
    run: &'a RunId,
}

impl muster_probe::Resolver for Probing<'_> {
    type Error = ResolveError;

    fn text(&self, template: &Template) -> Result<String, ResolveError> {
        self.resolver.template(template, self.run, &Location::Host)
    }

    fn command(&self, command: &CommandSpec) -> Result<ResolvedCommand, ResolveError> {
        self.resolver.command(command, self.run)
    }

    fn port(&self, name: &PortName) -> Result<u16, ResolveError> {
        let own = &self.run.instance;
        self.resolver.port(&own.service, own.replica, name, &Reference::OwnPort(name.clone()))
    }
}

fn streams(service: &ServiceSpec) -> Streams {
    match (service.tty, service.merge) {
        (true, _) => Streams::Terminal,
        (false, true) => Streams::Merged,
        (false, false) => Streams::Separate,
    }
}

fn has_notify(check: &Check) -> bool {
    match check {
        Check::Notify => true,
        Check::All(checks) | Check::Any(checks) => checks.iter().any(has_notify),
        Check::Tcp(_)
        | Check::Http(_)
        | Check::Grpc { .. }
        | Check::Exec(_)
        | Check::Log(_)
        | Check::File(_)
        | Check::Healthcheck
        | Check::Listens(_) => false,
    }
}

/// How it is stopped and what is kept of its log can change while it runs; everything else is what runs.
fn hash(spec: &InstanceSpec) -> String {
    let what_runs =
        ((spec.runtime, &spec.command, &spec.user, spec.umask), (spec.streams, &spec.limits, spec.notify, &spec.ports));
    let bytes = serde_json::to_vec(&what_runs).expect("invariant: a spec is plain data");
    hex::encode(&Sha256::digest(bytes)[..8])
}
