//! The way of one start: folder, network, volumes, image, create, start.
//!
//! ```text
//!  folder ──► recorded before? ── yes ──► that one
//!     │ no
//!     ├──► event stream open ──► network, volumes ──► build | pull | image is there
//!     └──► create by name ── taken by this run ──► that one
//!             └──► start ──► record ──► Running          failed: container and folder are removed
//! ```
//!
//! A run's container has the run's name and label before it is started: whoever comes after our death finds it.

use super::api::inspect;
use super::bring;
use super::create::{self, Place};
use super::driver::{Driver, remove};
use super::engine::Client;
use super::failure;
use super::image::Images;
use super::lines::Lines;
use super::prepare::given_up;
use super::records::{self, Standing, Started, standing};
use super::run::{Phase, Run};
use super::trouble::Trouble;
use super::{carry, mounts, names, network};
use crate::contract::{Handle, StartError};
use crate::progress::Failure;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{CreateContainerOptions, StartContainerOptions};
use muster_spec::{ContainerRun, InstanceSpec, MountSource, NetworkMode, PullPolicy, RunId, Streams};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

/// How often a container is created anew because its network or image went away in between.
const ATTEMPTS: usize = 3;
/// Minor version of the API that knows a volume's `Subpath`.
const SUBPATH_SINCE: usize = 45;

/// Carries a start to its outcome.
pub(super) async fn carry(driver: Arc<Driver>, run: Arc<Run>, spec: Box<InstanceSpec>) {
    run.set_secrets(&spec.secrets);
    if let Err(error) = begin(&driver, &run, &spec).await {
        driver.forget(&run.id);
        if !matches!(Started::read(&run.folder), Ok(Some(_))) {
            // nothing ran: nothing is kept, except what a pull or a build said
            mounts::clear(&run.folder);
            given_up(&run.folder);
        }
        let failure = match error {
            StartError::Permanent { reason, code } => Failure { reason, code: Some(code) },
            StartError::Transient(reason) => Failure { reason, code: None },
        };
        run.set_phase(Phase::Failed(failure));
    }
}

async fn begin(driver: &Arc<Driver>, run: &Arc<Run>, spec: &InstanceSpec) -> Result<(), StartError> {
    let container = spec.container.as_ref().ok_or_else(|| StartError::Permanent {
        reason: "the service has no `container`".to_owned(),
        code: super::trouble::ENGINE_REFUSED,
    })?;
    if let Ok(Some(started)) = Started::read(&run.folder) {
        return again(driver, run, started).await;
    }
    let transient =
        |error: io::Error| StartError::Transient(format!("cannot write `{}`: {error}", run.folder.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(&run.folder).map_err(transient)?;
    driver.set_mark(&run.id.environment).map_err(transient)?;
    let client = driver.engine.client().await.map_err(Trouble::start)?;
    driver.events.ready(driver).await.map_err(Trouble::start)?;
    let attempt = Attempt { driver, run, spec, container, client: &client };
    let found = attempt.running().await?;
    let started = attempt.started(&found)?;
    started.write(&run.folder).map_err(transient)?;
    carry::begin(driver, &client, run, started, &found);
    Ok(())
}

/// The run was started before: what it is now is the answer.
async fn again(driver: &Arc<Driver>, run: &Arc<Run>, started: Started) -> Result<(), StartError> {
    if let Ok(Some(record)) = records::read_exit(&run.folder) {
        let _ = run.started.set(started);
        run.set_phase(Phase::Ended(record));
        return Ok(());
    }
    let client = driver.engine.client().await.map_err(Trouble::start)?;
    driver.events.ready(driver).await.map_err(Trouble::start)?;
    let id = records::id(&started.handle).unwrap_or_default();
    match inspect(&client, &id).await {
        Ok(found) => match standing(&found, started.memory) {
            Standing::Alive | Standing::Created => carry::begin(driver, &client, run, started, &found),
            Standing::Removing => carry::conclude(driver, run, started, records::Ending::removed()).await,
            Standing::Over(ending) => carry::conclude(driver, run, started, ending).await,
        },
        Err(trouble) if trouble.is_missing() => {
            carry::conclude(driver, run, started, records::Ending::removed()).await;
        }
        Err(trouble) => return Err(trouble.start()),
    }
    Ok(())
}

/// One start at work.
struct Attempt<'a> {
    driver: &'a Arc<Driver>,
    run: &'a Arc<Run>,
    spec: &'a InstanceSpec,
    container: &'a ContainerRun,
    client: &'a Arc<Client>,
}

impl Attempt<'_> {
    /// The run's container, running or ended already.
    async fn running(&self) -> Result<ContainerInspectResponse, StartError> {
        self.prepare().await?;
        let (id, is_new) = self.created().await?;
        let before = inspect(self.client, &id);
        // one that another daemon of ours made may run already, or have ended
        if !is_new && standing(&before.await.map_err(Trouble::start)?, None) != Standing::Created {
            return inspect(self.client, &id).await.map_err(Trouble::start);
        }
        let brought = bring::into_new(self.driver, self.client, &self.run.id, &id).await;
        let removed = brought.map_err(Trouble::start)?;
        let options = None::<StartContainerOptions>;
        if let Err(trouble) = self.client.docker.start_container(&id, options).await.map_err(Trouble::from) {
            let gone = self.forget_network(&trouble).await;
            // not started: nothing of it is kept
            if let Err(error) = remove(self.client, &id).await {
                tracing::warn!(run = %self.run.id, %error, "a container that could not be started is still there");
            }
            return Err(if gone {
                StartError::Transient(trouble.to_string())
            } else {
                failure::of_start(trouble, self.spec, self.container)
            });
        }
        bring::after_start(self.client, &self.run.id, &id, &removed).await;
        inspect(self.client, &id).await.map_err(Trouble::start)
    }

    /// What must be there before the container is.
    async fn prepare(&self) -> Result<(), StartError> {
        self.engine_can()?;
        let (container, folder) = (self.container.clone(), self.run.folder.clone());
        let prepared = tokio::task::spawn_blocking(move || mounts::prepare(&container, &folder)).await;
        let prepared = prepared.unwrap_or_else(|error| Err(error.to_string()));
        let code = super::trouble::ENGINE_REFUSED;
        prepared.map_err(|reason| StartError::Permanent { reason, code })?;
        let environment = &self.run.id.environment;
        let volumes = network::volumes(self.client, &self.driver.owner, environment, self.container).await;
        volumes.map_err(Trouble::start)?;
        let is_prepared = self.driver.take_prepared(&self.run.id);
        if !is_prepared && (self.container.build.is_some() || self.container.pull == PullPolicy::Always) {
            self.image().await?;
        }
        Ok(())
    }

    /// What an engine that is too old would leave out without a word.
    fn engine_can(&self) -> Result<(), StartError> {
        let subpath = self.container.mounts.iter().find_map(|mount| match &mount.source {
            MountSource::Volume(volume) => volume.subpath.as_ref(),
            MountSource::Bind { .. }
            | MountSource::Anonymous
            | MountSource::Tmpfs { .. }
            | MountSource::Content { .. } => None,
        });
        match subpath {
            Some(subpath) if self.client.minor < SUBPATH_SINCE => {
                let reason = format!(
                    "`subpath: {subpath}` of a volume needs an engine of API 1.{SUBPATH_SINCE} (Docker 26); this one speaks \
                     1.{}",
                    self.client.minor
                );
                Err(StartError::Permanent { reason, code: super::trouble::ENGINE_REFUSED })
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn image(&self) -> Result<(), StartError> {
        let mut lines = Lines::open(self.run, self.spec);
        let images = Images { client: self.client, container: self.container };
        images.ensure(&mut lines).await.map(|_built| ())
    }

    /// The network that it is attached to, as [`Place`] has it, and how this machine is reached from there.
    async fn network(&self) -> Result<(String, Option<String>), StartError> {
        match self.container.options.network {
            NetworkMode::Environment => {
                let (owner, environment) = (&self.driver.owner, &self.run.id.environment);
                let network = self.driver.networks.ensure(self.client, owner, environment).await;
                let network = network.map_err(Trouble::start)?;
                let literal = self.client.is_desktop.then(|| muster_spec::HOST_GATEWAY.to_owned());
                let gateway = literal.or_else(|| network.gateway.map(|address| address.to_string()));
                Ok((network.id, gateway))
            }
            NetworkMode::Host => Ok(("host".to_owned(), Some("127.0.0.1".to_owned()))),
            NetworkMode::None => Ok(("none".to_owned(), None)),
        }
    }

    /// The container's id, and whether it was made now.
    async fn created(&self) -> Result<(String, bool), StartError> {
        let name = self.container.options.container_name.clone().unwrap_or_else(|| names::container(&self.run.id));
        let mut last = Trouble::Unreachable("the container could not be created".to_owned());
        for _ in 0..ATTEMPTS {
            let (network, gateway) = self.network().await?;
            let place = Place {
                owner: &self.driver.owner,
                run: &self.run.id,
                folder: &self.run.folder,
                network,
                gateway,
                is_podman: self.client.is_podman,
                named_limits: &self.client.named_limits,
            };
            let body = create::body(self.spec, self.container, &place);
            let platform = self.container.options.platform.clone().unwrap_or_default();
            let options = CreateContainerOptions { name: Some(name.clone()), platform };
            match self.client.docker.create_container(Some(options), body).await.map_err(Trouble::from) {
                Ok(made) => {
                    for warning in made.warnings {
                        tracing::warn!(run = %self.run.id, warning, "the engine warns");
                    }
                    return Ok((made.id, true));
                }
                Err(trouble) if failure::is_name_taken(&trouble) => match self.taken(&name, trouble).await? {
                    Some(id) => return Ok((id, false)),
                    None => continue,
                },
                Err(trouble) if self.forget_network(&trouble).await => last = trouble,
                Err(trouble) if trouble.is_missing() => {
                    self.image().await?;
                    last = trouble;
                }
                Err(trouble) => return Err(failure::of_create(trouble, self.container)),
            }
        }
        Err(failure::of_create(last, self.container))
    }

    /// The network went away between the look at it and its use: the next attempt makes it anew.
    async fn forget_network(&self, trouble: &Trouble) -> bool {
        let gone = failure::is_network_gone(trouble);
        if gone {
            self.driver.networks.forget(&self.run.id.environment).await;
        }
        gone
    }

    /// Whose the name is: this run's container is the one we want, an earlier one of this instance that ended is removed.
    async fn taken(&self, name: &str, trouble: Trouble) -> Result<Option<String>, StartError> {
        let found = match inspect(self.client, name).await {
            Ok(found) => found,
            Err(trouble) if trouble.is_missing() => return Ok(None),
            Err(trouble) => return Err(trouble.start()),
        };
        let id = found.id.clone().unwrap_or_default();
        let theirs = self.driver.owner.run_of(&found);
        if theirs.as_ref() == Some(&self.run.id) {
            return Ok(Some(id));
        }
        let is_over = !matches!(standing(&found, None), Standing::Alive);
        let same = |run: &RunId| run.environment == self.run.id.environment && run.instance == self.run.id.instance;
        if is_over && theirs.as_ref().is_some_and(same) {
            remove(self.client, &id).await.map_err(Trouble::start)?;
            return Ok(None);
        }
        Err(failure::name_taken(name, theirs.as_ref(), &trouble))
    }

    fn started(&self, found: &ContainerInspectResponse) -> Result<Started, StartError> {
        let missing = || StartError::Transient("the engine does not tell the container's id".to_owned());
        let handle = handle_of(&self.run.id, &self.run.folder, found).ok_or_else(missing)?;
        Ok(Started {
            handle,
            keep: self.spec.logs.keep.get(),
            tty: self.spec.streams == Streams::Terminal,
            secrets: !self.spec.secrets.is_empty(),
            memory: self.spec.limits.memory.as_ref().map(muster_spec::ByteSize::get),
            image: found.image.clone(),
        })
    }
}

fn handle_of(run: &RunId, folder: &Path, found: &ContainerInspectResponse) -> Option<Handle> {
    records::handle(run, folder, found, &names::network(&run.environment))
}

/// What is known of a container whose start nobody recorded: what the engine tells, and for the rest the careful guess.
pub(super) fn started_of(run: &RunId, folder: &Path, found: &ContainerInspectResponse) -> Option<Started> {
    let config = found.config.as_ref();
    Some(Started {
        handle: handle_of(run, folder, found)?,
        keep: muster_spec::LogPolicy::default().keep.get(),
        tty: config.and_then(|config| config.tty).unwrap_or(false),
        // perhaps: the log waits until somebody says which
        secrets: true,
        memory: None,
        image: found.image.clone(),
    })
}
