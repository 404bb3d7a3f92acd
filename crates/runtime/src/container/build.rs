//! An image that is built: by the engine's classic builder over its API, or by the CLI's buildx where the Dockerfile needs
//! that. An image that was built of the same is taken as it is.

use super::context::Context;
use super::engine::Client;
use super::lines::Lines;
use super::names::BUILD;
use super::trouble::{ENGINE_REFUSED, Trouble};
use crate::contract::StartError;
use bollard::query_parameters::BuildImageOptions;
use futures::{StreamExt as _, stream};
use muster_spec::ImageBuild;
use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

/// Pieces of a context that wait for the builder.
const PIECES: usize = 16;
/// Of a builder's last words so many lines stand in the reason.
const LAST_WORDS: usize = 3;

fn failed(reason: String) -> StartError {
    StartError::Permanent { reason, code: ENGINE_REFUSED }
}

/// The image is there and built of what the context is now.
pub(super) async fn ensure(
    client: &Client,
    build: &ImageBuild,
    tag: &str,
    lines: &mut Lines,
) -> Result<(), StartError> {
    let wanted = build.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let context = Context::look(&wanted)?;
        let hash = context.hash(&wanted);
        Ok::<_, io::Error>((context, hash))
    });
    let (context, hash) = looked
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| failed(format!("image `{tag}` cannot be built: {error}")))?;
    if !build.no_cache && built_of(client, tag).await.map_err(Trouble::start)?.as_deref() == Some(&hash) {
        return Ok(());
    }
    lines.line(&format!("building image {tag} of {}", build.context.display()));
    let job = Job { client, build, tag, hash: &hash };
    if needs_buildkit(&context.text) && !client.is_podman {
        job.buildx(&context, lines).await
    } else {
        job.classic(context, lines).await
    }
}

/// What the image of this tag was built of, where it is ours.
async fn built_of(client: &Client, tag: &str) -> Result<Option<String>, Trouble> {
    match client.docker.inspect_image(tag).await.map_err(Trouble::from) {
        Ok(found) => Ok(found.config.and_then(|config| config.labels?.get(BUILD).cloned())),
        Err(trouble) if trouble.is_missing() => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// What only BuildKit reads: its own syntax lines, mounts of a step, and texts in place.
fn needs_buildkit(dockerfile: &str) -> bool {
    dockerfile.lines().map(str::trim).any(|line| {
        let upper = line.to_ascii_uppercase();
        line.strip_prefix('#').is_some_and(|rest| rest.trim_start().starts_with("syntax="))
            || upper.starts_with("RUN --")
            || ((upper.starts_with("RUN ") || upper.starts_with("COPY ")) && line.contains("<<"))
            || (upper.starts_with("COPY --")
                && ["--link", "--parents", "--exclude"].iter().any(|flag| line.contains(flag)))
    })
}

/// One image to build.
struct Job<'a> {
    client: &'a Client,
    build: &'a ImageBuild,
    tag: &'a str,
    hash: &'a str,
}

impl Job<'_> {
    fn labels(&self) -> HashMap<String, String> {
        self.build.labels.clone().into_iter().chain([(BUILD.to_owned(), self.hash.to_owned())]).collect()
    }

    async fn classic(&self, context: Context, lines: &mut Lines) -> Result<(), StartError> {
        let Self { client, build, tag, .. } = self;
        let args = build.args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
        let options = BuildImageOptions {
            dockerfile: context.dockerfile.clone(),
            t: Some((*tag).to_owned()),
            nocache: build.no_cache,
            pull: build.pull.then(|| "true".to_owned()),
            rm: true,
            forcerm: true,
            buildargs: Some(args),
            labels: Some(self.labels()),
            networkmode: build.network.clone(),
            platform: build.platform.clone().unwrap_or_default(),
            target: build.target.clone().unwrap_or_default(),
            ..Default::default()
        };
        let (sender, receiver) = mpsc::channel(PIECES);
        let context = Arc::new(context);
        tokio::task::spawn_blocking(move || context.send(&sender));
        let pieces = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        let body = bollard::body_try_stream(pieces);
        let mut answers = Box::pin(client.docker.build_image(options, None, Some(body)));
        let mut last = Last::default();
        while let Some(answer) = answers.next().await {
            match answer.map_err(Trouble::from) {
                Ok(info) => {
                    if let Some(error) = info.error_detail.and_then(|detail| detail.message) {
                        return Err(last.failed(tag, &error, lines));
                    }
                    let text = info.stream.or_else(|| info.status.map(|status| status + "\n"));
                    if let Some(text) = text {
                        last.hear(&text);
                        lines.say(&text);
                    }
                }
                Err(Trouble::Unreachable(reason)) => return Err(StartError::Transient(reason)),
                Err(Trouble::Refused { message, .. }) => return Err(last.failed(tag, &message, lines)),
            }
        }
        match built_of(client, tag).await.map_err(Trouble::start)? {
            Some(_) => Ok(()),
            None => Err(last.failed(tag, "the builder ended without an image", lines)),
        }
    }

    async fn buildx(&self, context: &Context, lines: &mut Lines) -> Result<(), StartError> {
        let Self { client, build, tag, .. } = self;
        let mut command = Command::new("docker");
        command.args(["--host", &client.host(), "buildx", "build", "--load", "--progress", "plain", "--tag", tag]);
        for (name, value) in self.labels() {
            command.args(["--label", &format!("{name}={value}")]);
        }
        for (name, value) in &build.args {
            command
                .args(["--build-arg", &value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}"))]);
        }
        let options = [("--target", &build.target), ("--platform", &build.platform), ("--network", &build.network)];
        for (option, value) in options {
            command.args(value.iter().flat_map(|value| [option, value.as_str()]));
        }
        command.args(build.no_cache.then_some("--no-cache")).args(build.pull.then_some("--pull"));
        let inline = build.dockerfile_inline.as_ref();
        command.args(["--file", if inline.is_some() { "-" } else { &context.dockerfile }]);
        command.arg(&build.context).current_dir(&build.context).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let cannot = |error: io::Error| {
            failed(format!(
                "image `{tag}` cannot be built: its Dockerfile needs BuildKit, and `docker buildx` cannot be run: {error}"
            ))
        };
        let mut child = command.spawn().map_err(cannot)?;
        if let Some(mut stdin) = child.stdin.take() {
            let text = inline.cloned().unwrap_or_default();
            tokio::io::AsyncWriteExt::write_all(&mut stdin, text.as_bytes()).await.map_err(cannot)?;
        }
        let mut last = Last::default();
        if let Some(stderr) = child.stderr.take() {
            let mut said = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = said.next_line().await {
                last.hear(&line);
                lines.line(&line);
            }
        }
        match child.wait().await.map_err(cannot)? {
            status if status.success() => Ok(()),
            status => Err(last.failed(tag, &format!("`docker buildx build` ended with {status}"), lines)),
        }
    }
}

/// A builder's last words.
#[derive(Default)]
struct Last(Vec<String>);

impl Last {
    fn hear(&mut self, text: &str) {
        self.0.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        let surplus = self.0.len().saturating_sub(LAST_WORDS);
        self.0.drain(..surplus);
    }

    fn failed(&self, tag: &str, error: &str, lines: &mut Lines) -> StartError {
        lines.line(error);
        let before = self.0.join(" / ");
        let before = if before.is_empty() { before } else { format!("; before that: {before}") };
        failed(format!("image `{tag}` cannot be built: {error}{before}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_buildkit() {
        for text in
            ["# syntax=docker/dockerfile:1\nFROM a", "FROM a\nRUN --mount=type=cache,target=/x true", "RUN <<E\nE"]
        {
            assert!(needs_buildkit(text), "{text}");
        }
        for text in ["FROM a\nRUN echo a\nCOPY --from=b /a /b\n# RUN --mount", "FROM a AS syntax"] {
            assert!(!needs_buildkit(text), "{text}");
        }
    }
}
