//! A stack, ports, folders and secrets in; what a runtime is given out. Nothing is left to decide afterwards.

mod consumed;
mod probing;
mod variants;

pub(crate) use consumed::wanted;

use crate::address::{self, NoWay};
use crate::paths::Paths;
use crate::ports::PortTable;
use muster_spec::{
    Address, Check, CommandSpec, EnvironmentId, InstanceSpec, Location, PortName, Reference, ResolvedCommand, RunId,
    RunMode, RuntimeKind, SecretText, ServiceName, ServiceSpec, Stack, Streams, Template,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

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
    /// Nothing has a number yet: what is asked for is only noted here.
    pub(crate) asked: Option<&'a Mutex<BTreeSet<consumed::Asked>>>,
}

/// Who asks: where it is, and what it knows of the instance itself.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// Where.
    pub(crate) location: Location,
    /// It is the instance itself; else somebody who looks at it from this machine.
    itself: bool,
    /// The instance's own address, where it has one that this machine reaches.
    address: Option<IpAddr>,
}

impl Asker {
    /// The instance itself.
    pub(crate) fn of(service: &ServiceSpec) -> Self {
        Self { location: address::location(service), itself: true, address: None }
    }

    /// This machine.
    pub(crate) fn here(address: Option<IpAddr>) -> Self {
        Self { location: Location::Host, itself: false, address }
    }
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
        if self.asked.is_some() {
            return Ok(1);
        }
        self.ports.get(service, replica, name).ok_or_else(|| ResolveError::Unknown(from.clone()))
    }

    /// A port of the instance itself, as somebody reaches it.
    fn own(&self, name: &PortName, run: &RunId, asker: &Asker, from: &Reference) -> Result<Address, ResolveError> {
        let (service, replica) = (self.service(run)?, run.instance.replica);
        let number = self.port(&service.name, replica, name, from)?;
        let inside = address::inside(service, name, number);
        if asker.itself {
            return Ok(Address { host: "127.0.0.1".to_owned(), port: inside });
        }
        if let Some(address) = asker.address {
            return Ok(Address { host: address.to_string(), port: inside });
        }
        let port = address::from_here(self.ports, service, replica, name)?;
        Ok(Address { host: "127.0.0.1".to_owned(), port })
    }

    /// The address to listen on, so that everybody who asks for a port reaches it.
    fn bind(&self, port: Option<&PortName>, run: &RunId) -> Result<&'static str, ResolveError> {
        let service = self.service(run)?;
        let everybody = match address::location(service) {
            Location::Container => true,
            Location::Remote(_) => false,
            Location::Host => service
                .ports
                .keys()
                .filter(|name| port.is_none_or(|port| port == *name))
                .any(|name| self.ports.reached.contains(&(service.name.clone(), name.clone()))),
        };
        Ok(if everybody { "0.0.0.0" } else { "127.0.0.1" })
    }

    /// Fills in one reference for a consumer.
    fn reference(&self, reference: &Reference, run: &RunId, asker: &Asker) -> Result<String, ResolveError> {
        let own = &run.instance;
        Ok(match reference {
            Reference::OwnPort(name) if asker.itself => self.own(name, run, asker, reference)?.port.to_string(),
            // an address of its own belongs to its own number; a bare number is asked for on this machine
            Reference::OwnPort(name) => self.own(name, run, &Asker::here(None), reference)?.port.to_string(),
            Reference::OwnAddress(name) => self.own(name, run, asker, reference)?.to_string(),
            Reference::Bind(port) => match self.declared_address(port.as_ref(), run)? {
                Some(address) => address.to_string(),
                None => self.bind(port.as_ref(), run)?.to_owned(),
            },
            Reference::DataDir | Reference::RunDir | Reference::LogDir => {
                self.folder(self.folder_of(reference, run, asker))
            }
            Reference::EnvironmentName => self.id.name.to_string(),
            Reference::Replica => own.replica.to_string(),
            Reference::ReplicaFromZero => (own.replica - 1).to_string(),
            Reference::Port { service, port } => self.provided(service, port, reference, asker)?.port.to_string(),
            Reference::Address { service, port } => self.provided(service, port, reference, asker)?.to_string(),
            Reference::ExternalUrl(service) => {
                let spec = self.stack.services.get(service).and_then(|s| s.variants.external.as_ref());
                let spec = spec.ok_or_else(|| ResolveError::Unknown(reference.clone()))?;
                self.template(&spec.url, run, asker)?
            }
            Reference::DatabaseUrl(name) => self.database_url(name, reference, run, asker)?,
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
        asker: &Asker,
    ) -> Result<Address, ResolveError> {
        if let Some(asked) = self.asked {
            asked.lock().unwrap_or_else(PoisonError::into_inner).insert((
                asker.location.clone(),
                service.clone(),
                port.clone(),
            ));
            return Ok(Address { host: "127.0.0.1".to_owned(), port: 1 });
        }
        let known = self.stack.services.get(service).is_some_and(|spec| spec.ports.contains_key(port));
        if !known {
            return Err(ResolveError::Unknown(from.clone()));
        }
        Ok(address::way(self.stack, self.ports, &asker.location, service, port)?.address)
    }

    fn database_url(&self, name: &str, from: &Reference, run: &RunId, asker: &Asker) -> Result<String, ResolveError> {
        let unknown = || ResolveError::Unknown(from.clone());
        let database = self.stack.databases.get(name).ok_or_else(unknown)?;
        if let Some(url) = &database.url {
            return self.template(url, run, asker);
        }
        match database.engine {
            muster_spec::Engine::Sqlite => {
                let file = database.file.as_ref().ok_or_else(unknown)?;
                Ok(format!("sqlite:{}", self.template(file, run, asker)?))
            }
            muster_spec::Engine::Postgres => {
                let service = database.service.as_ref().ok_or_else(unknown)?;
                let spec = self.stack.services.get(service).ok_or_else(unknown)?;
                let port = spec.ports.keys().next().ok_or_else(unknown)?;
                let address = self.provided(service, port, from, asker)?;
                Ok(format!("postgres://postgres@{address}/{}", database.name))
            }
        }
    }

    /// Fills in a text for an instance.
    ///
    /// # Errors
    /// [`ResolveError`] for the first reference that cannot be filled in.
    pub(crate) fn template(&self, template: &Template, run: &RunId, asker: &Asker) -> Result<String, ResolveError> {
        template.resolve(|reference| self.reference(reference, run, asker))
    }

    pub(crate) fn argv(&self, command: &CommandSpec, run: &RunId, at: &Asker) -> Result<Vec<String>, ResolveError> {
        match command {
            CommandSpec::Exec(words) => words.iter().map(|word| self.template(word, run, at)).collect(),
            CommandSpec::Shell { shell, script } => {
                let mut argv = shell.clone();
                argv.push(self.template(script, run, at)?);
                Ok(argv)
            }
        }
    }

    /// The whole environment of a service, sorted: the caller's base where it runs on this machine, then what the file
    /// declares, then the environment's name.
    fn env(&self, service: &ServiceSpec, run: &RunId, at: &Asker) -> Result<Vec<(String, SecretText)>, ResolveError> {
        let nothing = BTreeMap::new();
        let base = match service.runtime {
            RuntimeKind::Container | RuntimeKind::Remote if at.itself => &nothing,
            _ if service.inherit => &self.stack.inherited_env,
            _ => &self.stack.base_env,
        };
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
        let commands = self.own_commands(service);
        let words = commands.into_iter().flat_map(CommandSpec::templates).chain(variants::contents(service));
        let named = service.env.values().chain(words).flat_map(Template::references);
        let names = named.filter_map(|r| if let Reference::Secret(name) = r { Some(name) } else { None });
        let mut texts: Vec<SecretText> = names.filter_map(|name| self.secrets.get(name).cloned()).collect();
        texts.retain(|text| !text.expose().is_empty());
        texts.sort();
        texts.dedup();
        texts
    }

    /// A command of a service with its environment and folder, as the service itself would run it.
    ///
    /// # Errors
    /// [`ResolveError`] for the first reference that cannot be filled in.
    pub(crate) fn command(&self, command: &CommandSpec, run: &RunId) -> Result<ResolvedCommand, ResolveError> {
        let service = self.service(run)?;
        let at = Asker::of(service);
        let cwd = match (service.runtime, &service.variants.remote) {
            (RuntimeKind::Remote, Some(remote)) => remote.cwd.as_ref(),
            (RuntimeKind::Container, _) => None,
            (_, _) => Some(&service.cwd),
        };
        Ok(ResolvedCommand {
            argv: self.argv(command, run, &at)?,
            env: self.env(service, run, &at)?,
            cwd: cwd.map_or(Ok(String::new()), |cwd| self.template(cwd, run, &at))?.into(),
        })
    }

    /// What a command needs that runs on this machine in a service's place.
    ///
    /// # Errors
    /// As [`Resolver::command`].
    pub(crate) fn context(&self, run: &RunId) -> Result<ResolvedCommand, ResolveError> {
        let service = self.service(run)?;
        let at = Asker::here(None);
        let cwd = self.template(&service.cwd, run, &at)?.into();
        Ok(ResolvedCommand { argv: Vec::new(), env: self.env(service, run, &at)?, cwd })
    }

    /// What the runtime is given for a run.
    ///
    /// # Errors
    /// [`ResolveError`] for the first reference that cannot be filled in.
    pub(crate) fn spec(&self, run: &RunId) -> Result<InstanceSpec, ResolveError> {
        let service = self.service(run)?;
        let made = self.variant(service, run)?;
        let replica = run.instance.replica;
        let ports = service.ports.iter().filter(|(_, port)| !port.udp);
        let mut spec = InstanceSpec {
            runtime: service.runtime,
            mode: RunMode::Service,
            command: made.command,
            user: made.user,
            umask: made.umask,
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
            container: made.container,
            remote: made.remote,
            hash: String::new(),
        };
        spec.hash = variants::hash(&spec);
        Ok(spec)
    }

    /// What the runtime is given for a step of a run: `before-N`, `stop`. It runs where the service runs.
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
        if let Some(container) = &mut spec.container {
            variants::one_off(container, &spec.command.argv);
        }
        Ok(spec)
    }

    /// As [`Resolver::step`], for one that runs on this machine wherever its service does: `build`.
    ///
    /// # Errors
    /// As [`Resolver::step`].
    pub(crate) fn local_step(&self, command: &CommandSpec, run: &RunId) -> Result<InstanceSpec, ResolveError> {
        let mut spec = self.step(command, run)?;
        let context = self.context(run)?;
        let argv = self.argv(command, run, &Asker::here(None))?;
        spec.command = ResolvedCommand { argv, ..context };
        (spec.runtime, spec.container, spec.remote) = (RuntimeKind::Process, None, None);
        Ok(spec)
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
