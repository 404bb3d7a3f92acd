//! What is built: a service's build step, and the image of its container. A start does both on its way; `muster build` does
//! them beside whatever runs.

use super::actor::Actor;
use super::commands::unresolved;
use super::message::Answer;
use super::step::{Ear, step, step_of};
use crate::documents::{BuildResult, ErrorDocument, UpRequest};
use crate::inputs;
use crate::resolve::{ResolveError, Resolver};
use crate::shared::Shared;
use muster_runtime::{Built, Heard, Runtime};
use muster_spec::{InstanceId, InstanceSpec, RunId, ServiceName};
use muster_store::SuccessRow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The build step of a service.
pub(super) struct Build {
    run: RunId,
    spec: InstanceSpec,
    root: PathBuf,
    globs: Vec<String>,
}

impl Build {
    /// The build step of a run's service, when it has one.
    pub(super) fn prepare(resolver: &Resolver<'_>, run: &RunId, step: &str) -> Result<Option<Self>, ResolveError> {
        let Some(build) = &resolver.stack.services[&run.instance.service].build else { return Ok(None) };
        let run = step_of(run, step.to_owned());
        let mut spec = resolver.local_step(&build.command, &run)?;
        spec.user = None;
        spec.command.cwd.clone_from(&resolver.stack.root);
        let (root, globs) = (resolver.stack.root.clone(), build.inputs.clone());
        Ok(Some(Self { run, spec, root, globs }))
    }

    /// Builds, unless nothing changed since the last success. Gives whether it was run.
    pub(super) async fn run(&self, shared: &Shared, cancel: &CancellationToken, ear: Ear<'_>) -> Result<bool, String> {
        let job = format!("build:{}", self.run.instance.service);
        let now = self.inputs_hash().await?;
        let known = shared.store.success(&self.run.environment, &job).ok().flatten();
        let same = |row: &SuccessRow| Some(&row.inputs_hash) == now.as_ref() && row.spec_hash == self.spec_hash();
        if known.as_ref().is_some_and(same) {
            return Ok(false);
        }
        let ran = step(shared, &self.run, &self.spec, cancel, ear).await;
        ran.map_err(|reason| format!("build failed: {reason}"))?;
        if let Some(inputs_hash) = now {
            let at = i64::try_from(crate::clock::wall_ns()).unwrap_or(i64::MAX);
            let environment = self.run.environment.clone();
            let row = SuccessRow { environment, job, spec_hash: self.spec_hash(), inputs_hash, at };
            let written = shared.commit(muster_store::Write::PutSuccess(row).into()).await;
            written.map_err(|error| error.to_string())?;
        }
        Ok(true)
    }

    fn spec_hash(&self) -> String {
        self.spec.command.argv.join("\0")
    }

    async fn inputs_hash(&self) -> Result<Option<String>, String> {
        if self.globs.is_empty() {
            return Ok(None);
        }
        let (root, globs) = (self.root.clone(), self.globs.clone());
        let hashed = tokio::task::spawn_blocking(move || inputs::hash(&root, &globs)).await;
        match hashed {
            Ok(Ok(hash)) => Ok(Some(hash)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("hashing the inputs was ended".to_owned()),
        }
    }
}

/// What `muster build` has to do for one service, with nothing left to resolve.
pub(crate) struct Job {
    /// Which.
    pub(crate) service: ServiceName,
    work: Result<Work, ErrorDocument>,
    log_grew: watch::Sender<()>,
}

struct Work {
    step: Option<Build>,
    image: Option<Image>,
}

/// An image that is built.
struct Image {
    run: RunId,
    spec: InstanceSpec,
    runtime: Arc<dyn Runtime>,
}

impl Job {
    /// Builds. What is said goes to the log, and to `heard`.
    pub(crate) async fn run(&self, shared: &Shared, cancel: &CancellationToken, heard: Heard) -> BuildResult {
        let begun = Instant::now();
        let built = match &self.work {
            Ok(work) => work.run(shared, cancel, Ear { log_grew: &self.log_grew, heard: Some(&heard) }).await,
            Err(error) => Err(error.message.clone()),
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (result, reason) = match built {
            Ok(Built::Now) => ("built", None),
            Ok(Built::Before) => ("up_to_date", None),
            Ok(Built::Nothing) => ("none", None),
            Err(reason) => ("failed", Some(reason)),
        };
        let code = reason.is_some().then(|| "build::failed".to_owned());
        BuildResult { service: self.service.to_string(), result: result.to_owned(), code, reason, took_ms }
    }
}

impl Work {
    async fn run(&self, shared: &Shared, cancel: &CancellationToken, ear: Ear<'_>) -> Result<Built, String> {
        let step = match &self.step {
            Some(step) if step.run(shared, cancel, ear).await? => Built::Now,
            Some(_) => Built::Before,
            None => Built::Nothing,
        };
        let image = match &self.image {
            Some(image) => image.build(cancel, ear).await?,
            None => Built::Nothing,
        };
        Ok(match (step, image) {
            (Built::Now, _) | (_, Built::Now) => Built::Now,
            (Built::Before, _) | (_, Built::Before) => Built::Before,
            (Built::Nothing, Built::Nothing) => Built::Nothing,
        })
    }
}

impl Image {
    async fn build(&self, cancel: &CancellationToken, ear: Ear<'_>) -> Result<Built, String> {
        let preparing = self.runtime.prepare(&self.run, &self.spec, ear.heard.cloned());
        let built = tokio::select! {
            built = preparing => built.map_err(|error| error.to_string()),
            () = cancel.cancelled() => Err("it was given up".to_owned()),
        };
        ear.log_grew.send_replace(());
        if let Err(error) = self.runtime.destroy(&self.run).await {
            tracing::warn!(run = %self.run, %error, "cannot remove what is left of a build");
        }
        built
    }
}

impl Actor {
    /// What is to be built for the selected services of a stack, which need not be the accepted one. Nothing is changed.
    pub(super) async fn build_jobs(&self, request: &UpRequest, answer: Answer<Vec<Job>>) {
        let all = self.shared.ports.lock().await;
        let jobs = self.prepare(request, &all).await.map(|prepared| {
            let known = self.resolver_of(&prepared.accepted.stack);
            let resolver = Resolver { ports: &prepared.ports, secrets: &request.secrets, ..known };
            let mut services: Vec<ServiceName> = prepared.targets.iter().map(|i| i.service.clone()).collect();
            services.dedup();
            services.into_iter().map(|service| self.build_job(&resolver, service)).collect()
        });
        drop(all);
        // An error means that the asking client is gone.
        let _ = answer.send(jobs);
    }

    fn build_job(&self, resolver: &Resolver<'_>, service: ServiceName) -> Job {
        let instance = InstanceId::first(service.clone());
        let number = self.machine.view(&instance).map_or(0, |view| view.run);
        let run = self.run_id(&instance, number);
        let step = self.free_step(&run);
        let work = self.work(resolver, &run, &step).map_err(|error| unresolved(&error));
        Job { service, work, log_grew: self.log_grew.clone() }
    }

    fn work(&self, resolver: &Resolver<'_>, run: &RunId, step: &str) -> Result<Work, ResolveError> {
        let build = Build::prepare(resolver, run, step)?;
        let service = &resolver.stack.services[&run.instance.service];
        let spec = resolver.spec(run)?;
        let runtime = self.shared.runtimes.settled(service.runtime, &resolver.stack.runtime_env);
        let is_built = spec.container.as_ref().is_some_and(|container| container.build.is_some());
        let image = runtime.filter(|_| is_built).map(|runtime| {
            let run = step_of(run, format!("image-{step}"));
            Image { run, spec, runtime }
        });
        Ok(Work { step: build, image })
    }

    /// The name of a build step that this run had not yet: each has a log of its own.
    fn free_step(&self, run: &RunId) -> String {
        let folder = self.shared.paths.instance(&self.id, &run.instance);
        let is_free = |name: &String| {
            ["", "image-"].iter().all(|kind| !folder.join(format!("{}.{kind}{name}", run.number)).exists())
        };
        let names = (1..).map(|n| format!("build-{n}"));
        names.into_iter().find(is_free).unwrap_or_else(|| "build".to_owned())
    }
}
