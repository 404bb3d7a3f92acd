//! What a process, a container and a process on another host are made of.

use super::{Asker, ResolveError, Resolver};
use crate::address;
use crate::ports::End;
use muster_spec::{
    Address, ContainerRun, ContainerSpec, HOST_GATEWAY, HOST_NAME, HealthCheck, InstanceSpec, Location, Mount,
    MountSource, NetworkMode, PortName, PublishedPort, Reference, RemoteRun, RemoteSpec, ResolvedCommand, RunId,
    RuntimeKind, ServiceSpec, Template, Tunnel, TunnelEnd,
};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What differs between the ways to run a service.
pub(super) struct Made {
    pub(super) command: ResolvedCommand,
    pub(super) user: Option<String>,
    pub(super) umask: Option<u32>,
    pub(super) container: Option<ContainerRun>,
    pub(super) remote: Option<RemoteRun>,
}

impl Made {
    fn command(command: ResolvedCommand) -> Self {
        Self { command, user: None, umask: None, container: None, remote: None }
    }
}

/// How it is stopped, what is kept of its log and which tunnels lead to it can change while it runs; everything else is what
/// runs. A tunnel that leads away from it is seen in the addresses that it is given.
pub(super) fn hash(spec: &InstanceSpec) -> String {
    let remote = spec.remote.as_ref().map(|remote| (&remote.host, &remote.sync));
    let what_runs =
        ((spec.runtime, &spec.command, &spec.user, spec.umask), (spec.streams, &spec.limits, spec.notify, &spec.ports));
    let bytes = match (&spec.container, remote) {
        (None, None) => serde_json::to_vec(&what_runs),
        (container, remote) => serde_json::to_vec(&(what_runs, container, remote)),
    };
    hex::encode(&Sha256::digest(bytes.expect("invariant: a spec is plain data"))[..8])
}

/// A container that runs one command and is reached by nobody.
pub(super) fn one_off(container: &mut ContainerRun, argv: &[String]) {
    container.entrypoint = Some(Vec::new());
    container.command = Some(argv.to_vec());
    container.publish.clear();
    container.aliases.clear();
    container.options.container_name = None;
    container.options.health = HealthCheck::Disabled;
}

/// Texts of files that a container is given.
pub(super) fn contents(service: &ServiceSpec) -> impl Iterator<Item = &Template> {
    address::container(service).into_iter().flat_map(|container| &container.mounts).filter_map(|mount| {
        match &mount.source {
            MountSource::Content { text, .. } => Some(text),
            MountSource::Bind { .. } | MountSource::Volume(_) | MountSource::Anonymous | MountSource::Tmpfs { .. } => {
                None
            }
        }
    })
}

impl Resolver<'_> {
    pub(super) fn variant(&self, service: &ServiceSpec, run: &RunId) -> Result<Made, ResolveError> {
        let missing = || ResolveError::Variant { service: service.name.clone(), runtime: service.runtime };
        match service.runtime {
            RuntimeKind::Process => {
                let process = service.variants.process.as_ref().ok_or_else(missing)?;
                let (user, umask) = (process.user.clone(), process.umask);
                Ok(Made { user, umask, ..Made::command(self.command(&process.command, run)?) })
            }
            RuntimeKind::External => {
                Ok(Made::command(ResolvedCommand { argv: Vec::new(), env: Vec::new(), cwd: "/".into() }))
            }
            RuntimeKind::Container => {
                let container = service.variants.container.as_ref().ok_or_else(missing)?;
                self.container(service, container, run)
            }
            RuntimeKind::Remote => {
                let remote = service.variants.remote.as_ref().ok_or_else(missing)?;
                let command = self.command(&remote.command, run)?;
                let made = RemoteRun {
                    host: remote.host.clone(),
                    sync: remote.sync.clone(),
                    tunnels: self.tunnels(service, remote, run),
                };
                Ok(Made { user: remote.user.clone(), remote: Some(made), ..Made::command(command) })
            }
            RuntimeKind::Mock => Err(missing()),
        }
    }

    fn container(&self, service: &ServiceSpec, spec: &ContainerSpec, run: &RunId) -> Result<Made, ResolveError> {
        let at = Asker::of(service);
        let image = match &spec.image {
            Some(image) => self.template(image, run, &at)?,
            None => self.built_image(service),
        };
        let mut mounts = Vec::with_capacity(spec.mounts.len());
        for mount in &spec.mounts {
            mounts.push(self.mount(mount, run, &at)?);
        }
        // folders that its environment and commands name are seen in it at the same path
        let named_before = self.folders.take();
        let words = |command: &Option<_>| command.as_ref().map(|command| self.argv(command, run, &at)).transpose();
        let (entrypoint, command) = (words(&spec.entrypoint)?, words(&spec.command)?);
        let env = self.env(service, run, &at)?;
        for step in &spec.before {
            self.argv(&step.command, run, &at)?;
        }
        let named = self.folders.replace(named_before);
        mounts.extend(named.iter().map(|folder| same_path(folder)));
        self.folders.borrow_mut().extend(named);
        let made = ContainerRun {
            image,
            build: spec.build.clone(),
            as_built: false,
            pull: spec.pull,
            entrypoint,
            command,
            mounts,
            publish: self.published(service, run, &spec.options.network),
            aliases: vec![format!("{}-{}", service.name, run.instance.replica)],
            hosts: match spec.options.network {
                NetworkMode::Environment => vec![(HOST_NAME.to_owned(), HOST_GATEWAY.to_owned())],
                NetworkMode::Host => vec![(HOST_NAME.to_owned(), "127.0.0.1".to_owned())],
                NetworkMode::None => Vec::new(),
            },
            options: spec.options.clone(),
        };
        let command = ResolvedCommand { argv: Vec::new(), env, cwd: PathBuf::new() };
        Ok(Made { container: Some(made), ..Made::command(command) })
    }

    /// The tag of an image that is built and has no name of its own: two environments have two.
    fn built_image(&self, service: &ServiceSpec) -> String {
        let fitting = |text: &str| -> String {
            let low = text.to_ascii_lowercase();
            let fits = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
            low.chars().map(fits).collect::<String>().split('-').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-")
        };
        format!("muster/{}-{}:{}", fitting(self.stack.name.as_str()), fitting(service.name.as_str()), self.id)
    }

    fn mount(&self, mount: &Mount<Template>, run: &RunId, at: &Asker) -> Result<Mount<String>, ResolveError> {
        let source = match &mount.source {
            MountSource::Bind { path, create, propagation } => MountSource::Bind {
                path: self.template(path, run, at)?,
                create: *create,
                propagation: propagation.clone(),
            },
            MountSource::Content { text, mode } => {
                MountSource::Content { text: self.template(text, run, at)?, mode: *mode }
            }
            MountSource::Volume(volume) => MountSource::Volume(volume.clone()),
            MountSource::Anonymous => MountSource::Anonymous,
            MountSource::Tmpfs { size, mode } => MountSource::Tmpfs { size: size.clone(), mode: *mode },
        };
        Ok(Mount { source, target: mount.target.clone(), read_only: mount.read_only })
    }

    /// Every port is reached at 127.0.0.1 of this machine, and at the address that the file says.
    fn published(&self, service: &ServiceSpec, run: &RunId, network: &NetworkMode) -> Vec<PublishedPort> {
        let mut out = Vec::new();
        if *network != NetworkMode::Environment {
            return out;
        }
        for (name, port) in &service.ports {
            let Some(host) = self.ports.get(&service.name, run.instance.replica, name) else { continue };
            let also = port.address.filter(|address| !address.is_loopback());
            let all_of_v4 = also.is_some_and(|address| address.is_unspecified() && address.is_ipv4());
            let mut addresses: Vec<String> = also.iter().map(ToString::to_string).collect();
            if !all_of_v4 {
                addresses.push("127.0.0.1".to_owned());
            }
            let container = port.container.unwrap_or(host);
            out.extend(addresses.into_iter().map(|address| PublishedPort {
                name: name.to_string(),
                container,
                host,
                address,
                udp: port.udp,
            }));
        }
        out
    }

    /// The address that the file says for a port, or for the only one that says any.
    pub(super) fn declared_address(
        &self,
        port: Option<&PortName>,
        run: &RunId,
    ) -> Result<Option<IpAddr>, ResolveError> {
        let service = self.service(run)?;
        if address::location(service) != Location::Host {
            return Ok(None);
        }
        let asked = service.ports.iter().filter(|(name, _)| port.is_none_or(|port| port == *name));
        Ok(asked.into_iter().find_map(|(_, spec)| spec.address))
    }

    /// The ways to and from a process on another host: those to its ports are open as long as it runs, those from it as well.
    fn tunnels(&self, service: &ServiceSpec, remote: &RemoteSpec, run: &RunId) -> Vec<Tunnel> {
        let here = |port: u16| Address { host: "127.0.0.1".to_owned(), port };
        let mut tunnels = Vec::new();
        for (name, _) in service.ports.iter().filter(|(_, port)| !port.udp) {
            let replica = run.instance.replica;
            let end = End::Near { service: service.name.clone(), replica, port: name.clone() };
            let numbers = self.ports.ends.get(&end).zip(self.ports.get(&service.name, replica, name));
            let Some((near, there)) = numbers else { continue };
            tunnels.push(Tunnel { end: TunnelEnd::Near, listen: here(*near), to: here(there) });
            let reached = self.ports.reached.contains(&(service.name.clone(), name.clone()));
            if let Some(gateway) = self.ports.gateway.filter(|_| reached) {
                let listen = Address { host: gateway.to_string(), port: *near };
                tunnels.push(Tunnel { end: TunnelEnd::Near, listen, to: here(there) });
            }
        }
        for (end, far) in &self.ports.ends {
            let End::Far { host, service: provider, port } = end else { continue };
            let Some(spec) = self.stack.services.get(provider).filter(|_| *host == remote.host) else { continue };
            if let Ok(number) = address::from_here(self.ports, spec, 1, port) {
                tunnels.push(Tunnel { end: TunnelEnd::Far, listen: here(*far), to: here(number) });
            }
        }
        tunnels
    }

    /// Where a folder of an instance lies: on the host that it runs on.
    pub(super) fn folder_of(&self, reference: &Reference, run: &RunId, asker: &Asker) -> PathBuf {
        let own = &run.instance;
        if let Location::Remote(_) = asker.location {
            let there = self.paths.remote();
            return match reference {
                Reference::RunDir => there.run(self.id).join(self.paths.short(own)),
                Reference::LogDir => there.logs(self.id).join(own.to_string()),
                _ => there.data(self.id).join(own.service.as_str()),
            };
        }
        match reference {
            Reference::RunDir => self.paths.instance_run(self.id, own),
            Reference::LogDir => self.paths.instance(self.id, own),
            _ => self.paths.service_data(self.id, &own.service),
        }
    }
}

/// A folder of this machine at the same path in a container.
fn same_path(folder: &Path) -> Mount<String> {
    let path = folder.display().to_string();
    let source = MountSource::Bind { path: path.clone(), create: true, propagation: None };
    Mount { source, target: path, read_only: false }
}
