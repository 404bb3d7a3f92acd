//! A container's image: built, or pulled, with what that says in the run's own log.

use super::build;
use super::credentials;
use super::engine::Client;
use super::failure;
use super::lines::Lines;
use super::trouble::{ENGINE_REFUSED, Trouble};
use crate::contract::{Built, StartError};
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt as _;
use muster_spec::{ContainerRun, PullPolicy};
use std::time::Duration;
use tokio::time::Instant;

/// Progress is told at most this often; what is done is told at once.
const TELL: Duration = Duration::from_secs(1);
const MIB: i64 = 1 << 20;

/// Where images come from.
pub(super) struct Images<'a> {
    pub(super) client: &'a Client,
    pub(super) container: &'a ContainerRun,
}

impl Images<'_> {
    /// The image is there afterwards.
    pub(super) async fn ensure(&self, lines: &mut Lines) -> Result<Built, StartError> {
        let container = self.container;
        if let Some(wanted) = &container.build {
            let image = build::Image { client: self.client, build: wanted, tag: &container.image };
            return image.ensure(container.as_built, lines).await;
        }
        match container.pull {
            PullPolicy::Never => {
                let reason = format!(
                    "image `{}` is not there, and `pull_policy: never` says to leave it at that: `docker images` lists what is",
                    container.image
                );
                Err(StartError::Permanent { reason, code: ENGINE_REFUSED })
            }
            PullPolicy::Missing | PullPolicy::Always => self.pull(lines).await.map(|()| Built::Nothing),
        }
    }

    /// As [`Images::ensure`], before a start: an image that is there need not be looked for anywhere else.
    pub(super) async fn ensure_before(&self, lines: &mut Lines) -> Result<Built, StartError> {
        let here = match self.container.pull {
            PullPolicy::Always => false,
            PullPolicy::Missing | PullPolicy::Never => self.is_there().await.map_err(Trouble::start)?,
        };
        if self.container.build.is_none() && here { Ok(Built::Nothing) } else { self.ensure(lines).await }
    }

    async fn is_there(&self) -> Result<bool, Trouble> {
        match self.client.docker.inspect_image(&self.container.image).await.map_err(Trouble::from) {
            Ok(_) => Ok(true),
            Err(trouble) if trouble.is_missing() => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    async fn pull(&self, lines: &mut Lines) -> Result<(), StartError> {
        let image = &self.container.image;
        let (name, tag) = split(image);
        let options = CreateImageOptions {
            from_image: Some(name.to_owned()),
            tag: tag.map(str::to_owned),
            platform: self.container.options.platform.clone().unwrap_or_default(),
            ..Default::default()
        };
        lines.line(&format!("pulling image {image}")).await;
        let mut told = Instant::now();
        let credentials = credentials::of(self.client.docker_config.as_deref(), image).await;
        let mut stream = self.client.docker.create_image(Some(options), None, credentials);
        while let Some(info) = stream.next().await {
            match info.map_err(Trouble::from) {
                Ok(info) => {
                    if let Some(line) = said(&info, &mut told) {
                        lines.line(&line).await;
                    }
                }
                Err(trouble) => {
                    lines.line(&format!("cannot pull image {image}: {trouble}")).await;
                    return Err(failure::of_pull(image, trouble));
                }
            }
        }
        // Podman tells some failures only by not having it
        match self.client.docker.inspect_image(image).await.map_err(Trouble::from) {
            Ok(_) => Ok(()),
            Err(trouble) => Err(failure::of_pull(image, trouble)),
        }
    }
}

/// A line for what a pull tells: progress now and then, everything else as it comes.
fn said(info: &CreateImageInfo, told: &mut Instant) -> Option<String> {
    let status = info.status.as_deref()?.trim();
    let layer = info.id.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
    let progress = info.progress_detail.as_ref().and_then(|detail| Some((detail.current?, detail.total?)));
    match progress {
        Some((current, total)) if total > 0 => {
            if told.elapsed() < TELL {
                return None;
            }
            *told = Instant::now();
            Some(format!("{layer}{status} {} of {} MiB", current / MIB, total / MIB))
        }
        Some(_) | None => Some(format!("{layer}{status}")),
    }
}

/// Name and tag: without a tag an engine would pull all of them; a digest belongs to the name.
fn split(image: &str) -> (&str, Option<&str>) {
    if image.contains('@') {
        return (image, None);
    }
    // a colon before the last slash is that of the registry's port
    let after = image.rfind('/').map_or(0, |at| at + 1);
    match image[after..].rfind(':') {
        Some(at) => (&image[..after + at], Some(&image[after + at + 1..])),
        None => (image, Some("latest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags() {
        for (image, name, tag) in [
            ("busybox", "busybox", Some("latest")),
            ("busybox:1.36", "busybox", Some("1.36")),
            ("host:5000/a/b", "host:5000/a/b", Some("latest")),
            ("host:5000/a/b:c", "host:5000/a/b", Some("c")),
            ("a@sha256:0123", "a@sha256:0123", None),
        ] {
            assert_eq!(split(image), (name, tag));
        }
    }
}
