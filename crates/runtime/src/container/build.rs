//! An image that is built: by the engine's classic builder over its API, or through the engine's command line where the
//! Dockerfile needs BuildKit. An image that was built of the same is taken as it is.
//!
//! ```text
//!  context, Dockerfile, settings ──► hash ──► the tag's image has it as a label ── yes ──► that one
//!                                       └── no ──► classic | buildkit ──► lines in the run's log, and to who asked
//! ```
//! Of one tag one build runs at a time: replicas that start together build once.

use super::buildkit;
use super::context::{Context, streamed};
use super::credentials;
use super::engine::Client;
use super::lines::Lines;
use super::names::BUILD;
use super::report::{Report, cannot};
use super::trouble::Trouble;
use crate::contract::{Built, StartError};
use bollard::query_parameters::BuildImageOptions;
use futures::StreamExt as _;
use muster_spec::ImageBuild;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// What the classic builder puts around what a step writes to standard error.
const COLOURS: [&str; 2] = ["\u{1b}[91m", "\u{1b}[0m"];

/// The builds that run, by tag.
#[derive(Debug, Default)]
pub(super) struct Builds(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Builds {
    /// Waits until nobody else builds what gets this tag.
    async fn enter(&self, tag: &str) -> OwnedMutexGuard<()> {
        let entry = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(tag.to_owned()).or_default())
        };
        entry.lock_owned().await
    }
}

/// An image to be built.
pub(super) struct Image<'a> {
    pub(super) client: &'a Client,
    pub(super) build: &'a ImageBuild,
    pub(super) tag: &'a str,
}

impl Image<'_> {
    /// The image is there afterwards, and built of what the context is now; `as_built`: of whatever it was.
    pub(super) async fn ensure(&self, as_built: bool, lines: &mut Lines) -> Result<Built, StartError> {
        let _one_at_a_time = self.client.builds.enter(self.tag).await;
        if as_built && self.built_of().await.map_err(Trouble::start)?.is_some() {
            return Ok(Built::Before);
        }
        let wanted = self.build.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let context = Context::look(&wanted)?;
            let hash = context.hash(&wanted);
            Ok::<_, io::Error>((context, hash))
        });
        let looked = looked.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let (context, hash) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                let error = cannot(self.tag, &error.to_string());
                lines.line(&error.to_string()).await;
                return Err(error);
            }
        };
        if !self.build.no_cache && self.built_of().await.map_err(Trouble::start)?.as_deref() == Some(&hash) {
            return Ok(Built::Before);
        }
        lines.line(&format!("building image {} of {}", self.tag, self.build.context.display())).await;
        let labels = self.labels(&hash);
        match buildkit::needed(&context.text) {
            Some(what) if !self.client.is_podman => buildkit::build(self, labels, what, lines).await?,
            Some(_) | None => self.classic(context, labels, lines).await?,
        }
        match self.built_of().await.map_err(Trouble::start)? {
            Some(_) => Ok(Built::Now),
            None => Err(cannot(self.tag, "the builder ended without an image")),
        }
    }

    /// What the image of this tag was built of, where it is ours.
    async fn built_of(&self) -> Result<Option<String>, Trouble> {
        match self.client.docker.inspect_image(self.tag).await.map_err(Trouble::from) {
            Ok(found) => Ok(found.config.and_then(|config| config.labels?.get(BUILD).cloned())),
            Err(trouble) if trouble.is_missing() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    fn labels(&self, hash: &str) -> HashMap<String, String> {
        self.build.labels.clone().into_iter().chain([(BUILD.to_owned(), hash.to_owned())]).collect()
    }

    fn options(&self, dockerfile: String, labels: HashMap<String, String>) -> BuildImageOptions {
        let build = self.build;
        let args = build.args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
        BuildImageOptions {
            dockerfile,
            t: Some(self.tag.to_owned()),
            nocache: build.no_cache,
            pull: build.pull.then(|| "true".to_owned()),
            rm: true,
            forcerm: true,
            buildargs: Some(args),
            labels: Some(labels),
            networkmode: build.network.clone(),
            platform: build.platform.clone().unwrap_or_default(),
            target: build.target.clone().unwrap_or_default(),
            ..Default::default()
        }
    }

    async fn classic(
        &self,
        context: Context,
        labels: HashMap<String, String>,
        lines: &mut Lines,
    ) -> Result<(), StartError> {
        let options = self.options(context.dockerfile.clone(), labels);
        // an argument may be part of a name
        let args = self.build.args.values().flatten().map(String::as_str);
        let text = std::iter::once(context.text.as_str()).chain(args).collect::<Vec<_>>().join("\n");
        let known = credentials::of_build(self.client.docker_config.as_deref(), &text).await;
        let body = bollard::body_try_stream(streamed(move |pieces| context.send(pieces)));
        let mut answers = Box::pin(self.client.docker.build_image(options, Some(known), Some(body)));
        let mut report = Report::new(self.tag);
        while let Some(answer) = answers.next().await {
            let error = match answer.map_err(Trouble::from) {
                Ok(info) => match info.error_detail.and_then(|detail| detail.message) {
                    Some(error) => error,
                    None => {
                        if let Some(text) = info.stream.or_else(|| info.status.map(|status| status + "\n")) {
                            let text = COLOURS.iter().fold(text, |text, colour| text.replace(colour, ""));
                            report.hear(&text);
                            lines.say(&text).await;
                        }
                        continue;
                    }
                },
                Err(Trouble::Unreachable(reason)) => return Err(StartError::Transient(reason)),
                Err(Trouble::Refused { message, .. }) => message,
            };
            lines.line(&error).await;
            return Err(report.failed(&error));
        }
        Ok(())
    }
}
