//! The way of one start: folders, build, image, steps before, ports, spawn. Any of it may be cancelled.

use super::build::Build;
use super::message::Message;
use super::record::private_dir;
use super::step::{AHEAD, Ear, step, step_of};
use crate::address;
use crate::crash;
use crate::paths::Paths;
use crate::resolve::{Asker, ResolveError, Resolver};
use crate::shared::Shared;
use muster_core::Chance;
use muster_runtime::{Handle, Runtime, StartError};
use muster_spec::{CommandSpec, ContainerRun, InstanceSpec, Location, MountSource, RunId, RuntimeKind, Template};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Others may pass through a folder, not look into it.
const PASS: u32 = 0o011;
/// Everybody may make files in a folder, and remove only their own.
const SHARED: u32 = 0o1777;

/// What a start has to do, with nothing left to resolve.
pub(super) struct Launch {
    run: RunId,
    spec: InstanceSpec,
    /// Folders that references name: made when they are missing.
    folders: BTreeSet<PathBuf>,
    build: Option<Build>,
    before: Vec<Before>,
}

struct Before {
    run: RunId,
    spec: InstanceSpec,
    creates: Option<PathBuf>,
}

/// A start that did not happen.
pub(super) struct Failed {
    /// Why, in one line.
    pub(super) reason: String,
    /// Whether trying again can help.
    pub(super) chance: Chance,
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Permanent { reason, code } => Self { reason, chance: Chance::Never { code: Some(code) } },
            StartError::Transient(reason) => again(reason),
        }
    }
}

fn again(reason: String) -> Failed {
    Failed { reason, chance: Chance::Again }
}

fn never(reason: String) -> Failed {
    Failed { reason, chance: Chance::Never { code: None } }
}

impl Launch {
    /// Resolves everything that a start needs.
    pub(super) fn prepare(resolver: &Resolver<'_>, run: &RunId, rebuild: bool) -> Result<Self, ResolveError> {
        let mut spec = resolver.spec(run)?;
        if let (Some(container), false) = (&mut spec.container, rebuild) {
            container.as_built = true;
        }
        let service = &resolver.stack.services[&run.instance.service];
        let mut before = Vec::new();
        let elsewhere = matches!(address::location(service), Location::Remote(_));
        for (n, step) in resolver.steps(service).iter().enumerate() {
            let creates = step.creates.as_ref().map(|path| resolver.template(path, run, &Asker::of(service)));
            let creates = creates.transpose()?.map(PathBuf::from);
            let run = step_of(run, format!("before-{n}"));
            let mut made = Before { spec: resolver.step(&step.command, &run)?, run, creates: None };
            match creates {
                Some(path) if seen_here(&made.spec, &path) => made.creates = Some(path),
                Some(path) => unless_there(&mut made.spec, &path),
                None => {}
            }
            before.push(made);
        }
        let mut folders = resolver.folders.take();
        if elsewhere {
            let there = std::mem::take(&mut folders);
            if !there.is_empty() {
                let run = step_of(run, "folders".to_owned());
                let spec = make_there(resolver, &run, &there)?;
                before.insert(0, Before { spec, run, creates: None });
            }
            // resolving that step named them again
            resolver.folders.take();
        }
        let build = if rebuild { Build::prepare(resolver, run, "build")? } else { None };
        folders.extend(resolver.folders.take());
        Ok(Self { run: run.clone(), spec, folders, build, before })
    }
}

/// Whether a path of a step is one of this machine: a process's, or below what a container mounts.
fn seen_here(spec: &InstanceSpec, path: &Path) -> bool {
    let mounted = |container: &ContainerRun| {
        container.mounts.iter().any(|mount| match &mount.source {
            MountSource::Bind { path: source, .. } => *source == mount.target && path.starts_with(source),
            MountSource::Volume(_)
            | MountSource::Anonymous
            | MountSource::Tmpfs { .. }
            | MountSource::Content { .. } => false,
        })
    };
    match (&spec.container, &spec.remote) {
        (Some(container), _) => mounted(container),
        (None, Some(_)) => false,
        (None, None) => true,
    }
}

/// The same step, which looks for the path itself.
fn unless_there(spec: &mut InstanceSpec, path: &Path) {
    let looks = ["sh", "-c", "[ -e \"$0\" ] || exec \"$@\""].map(str::to_owned);
    let argv = std::mem::take(&mut spec.command.argv);
    spec.command.argv = looks.into_iter().chain([path.display().to_string()]).chain(argv).collect();
    if let Some(container) = &mut spec.container {
        container.command = Some(spec.command.argv.clone());
    }
}

/// Makes folders on another host, as whoever logs in there; that one gives them to the service's user. Nobody else may
/// look into them. The folder above all of them lies where everybody may make one: it has to be ours, and then all below is.
fn make_there(resolver: &Resolver<'_>, run: &RunId, folders: &BTreeSet<PathBuf>) -> Result<InstanceSpec, ResolveError> {
    const SCRIPT: &str = "umask 077; top=$0 user=$1; shift; mkdir -p \"$top\"; \
                          [ -O \"$top\" ] && [ ! -L \"$top\" ] || { echo \"$top is somebody else's\" >&2; exit 1; }; \
                          mkdir -p \"$@\" || exit; [ -n \"$user\" ] || exit 0; \
                          for f; do chown \"$user\" \"$f\" || exit; \
                          while [ \"$f\" != \"$top\" ]; do f=${f%/*}; chmod a+x \"$f\" || exit; done; done";
    let mut words = vec!["sh".to_owned(), "-c".to_owned(), SCRIPT.to_owned()];
    words.push(resolver.paths.remote().top().display().to_string());
    let words = words.iter().map(|word| Template::literal(word)).collect();
    let mut spec = resolver.step(&CommandSpec::Exec(words), run)?;
    spec.command.argv.push(spec.user.take().unwrap_or_default());
    spec.command.argv.extend(folders.iter().map(|folder| folder.display().to_string()));
    spec.command.cwd = PathBuf::new();
    Ok(spec)
}

/// Does it all, in order.
pub(super) async fn run(
    shared: &Shared,
    launch: &Launch,
    cancel: &CancellationToken,
    mailbox: &mpsc::Sender<Message>,
    log_grew: &watch::Sender<()>,
) -> Result<Handle, Failed> {
    let ear = Ear { log_grew, heard: None };
    for folder in &launch.folders {
        let told = |error: std::io::Error| again(format!("cannot make `{}`: {error}", folder.display()));
        private_dir(folder).map_err(told)?;
        if let Some(user) = &launch.spec.user {
            own(folder, user, &shared.paths);
        }
        if launch.spec.container.is_some() {
            open_to_all(folder);
        }
    }
    if let Some(build) = &launch.build {
        build.run(shared, cancel, ear).await.map_err(never)?;
    }
    let missing = || never(format!("runtime `{}` is not available here", launch.spec.runtime));
    let runtime = shared.runtimes.get(launch.spec.runtime, &launch.run.environment).ok_or_else(missing)?;
    prepare(runtime.as_ref(), launch, cancel, ear).await?;
    if let Err(failed) = last_steps(shared, launch, cancel, ear).await {
        if let Err(error) = runtime.destroy(&launch.run).await {
            tracing::warn!(run = %launch.run, %error, "cannot remove what was prepared for a start");
        }
        return Err(failed);
    }
    if cancel.is_cancelled() || mailbox.is_closed() {
        return Err(again("stopped before it was started".to_owned()));
    }
    // not cancelled: a run that is being spawned is either spawned or not, and is stopped afterwards
    crash::point("spawn.before");
    let started = runtime.start(&launch.run, &launch.spec).await;
    crash::point("spawn.after");
    started.map_err(Failed::from)
}

/// Steps of its own before it, and whether its ports are free.
async fn last_steps(shared: &Shared, launch: &Launch, cancel: &CancellationToken, ear: Ear<'_>) -> Result<(), Failed> {
    for before in &launch.before {
        if before.creates.as_ref().is_none_or(|path| !path.exists()) {
            let done = step(shared, &before.run, &before.spec, cancel, ear).await;
            done.map_err(|reason| again(format!("step before the start failed: {reason}")))?;
        }
    }
    check_ports(&launch.spec).map_err(again)
}

/// The image, where there is one. It may take minutes: a stop ends it.
async fn prepare(
    runtime: &dyn Runtime,
    launch: &Launch,
    cancel: &CancellationToken,
    ear: Ear<'_>,
) -> Result<(), Failed> {
    let (heard, mut said) = mpsc::channel(AHEAD);
    let preparing = runtime.prepare(&launch.run, &launch.spec, Some(heard));
    tokio::pin!(preparing);
    loop {
        tokio::select! {
            outcome = &mut preparing => return outcome.map(|_built| ()).map_err(Failed::from),
            Some(_in_the_log) = said.recv() => { ear.log_grew.send_replace(()); }
            () = cancel.cancelled() => return Err(again("stopped before it was started".to_owned())),
        }
    }
}

/// Nobody knows who the user in a container is: the folders above are what keeps others out.
fn open_to_all(folder: &Path) {
    if let Err(error) = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(SHARED)) {
        tracing::warn!(folder = %folder.display(), %error, "cannot open a folder to its container's user");
    }
}

/// A folder of a service that becomes another user belongs to that user, who may pass through the folders above it.
fn own(folder: &Path, user: &str, paths: &Paths) {
    // an unknown user is told by the runtime
    let Some(user) = nix_users::get_user_by_name(user) else { return };
    let given = std::os::unix::fs::chown(folder, Some(user.uid()), Some(user.primary_group_id()));
    let ours = folder.ancestors().skip(1).take_while(|above| paths.holds(above));
    let passed = ours.map(|above| {
        let mode = std::fs::metadata(above)?.permissions().mode();
        std::fs::set_permissions(above, std::fs::Permissions::from_mode(mode | PASS))
    });
    if let Err(error) = given.and_then(|()| passed.collect::<std::io::Result<()>>()) {
        tracing::warn!(folder = %folder.display(), %error, "cannot give a folder to its service's user");
    }
}

/// A port that somebody else holds is told with its owner, before the start.
fn check_ports(spec: &InstanceSpec) -> Result<(), String> {
    if spec.runtime == RuntimeKind::Remote {
        // they are that host's, which looks when it is asked for the start
        return Ok(());
    }
    for (name, port) in &spec.ports {
        if let Some(taken) = muster_sockets::taken(*port) {
            return Err(format!("port {port} ({name}) is taken by {taken}"));
        }
    }
    Ok(())
}
