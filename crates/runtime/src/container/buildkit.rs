//! BuildKit, through the command line of the engine: `docker build`, which is buildx where that is installed, and the
//! older built-in client of BuildKit before Docker 23.

use super::build::Image;
use super::lines::Lines;
use super::report::{Report, cannot};
use crate::contract::StartError;
use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// What of a Dockerfile only BuildKit reads, where there is such a thing: its own syntax lines, mounts of a step, texts in
/// place (Dockerfile reference).
pub(super) fn needed(dockerfile: &str) -> Option<&str> {
    dockerfile.lines().map(str::trim).find(|line| {
        let upper = line.to_ascii_uppercase();
        let options = upper.split_ascii_whitespace().skip(1).take_while(|word| word.starts_with("--"));
        let has = |flags: &[&str]| options.clone().any(|word| flags.iter().any(|flag| word.starts_with(flag)));
        let in_place = line.contains("<<");
        match upper.split_ascii_whitespace().next() {
            Some("RUN") => has(&["--MOUNT", "--NETWORK", "--SECURITY"]) || in_place,
            Some("COPY" | "ADD") => has(&["--LINK", "--PARENTS", "--EXCLUDE", "--CHMOD", "--CHECKSUM"]) || in_place,
            Some(_) => line.strip_prefix('#').is_some_and(|rest| rest.trim_start().starts_with("syntax=")),
            None => false,
        }
    })
}

/// Builds an image; what `docker build` says goes to `lines`. Dropped, it ends the build.
pub(super) async fn build(
    image: &Image<'_>,
    labels: HashMap<String, String>,
    needs: &str,
    lines: &mut Lines,
) -> Result<(), StartError> {
    let missing = |why: &str| {
        let advice = "install docker's buildx plugin, or write the Dockerfile without it";
        cannot(image.tag, &format!("`{needs}` needs BuildKit, and {why}: {advice}"))
    };
    let mut child = match command(image, labels).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing("there is no `docker` on the PATH"));
        }
        Err(error) => return Err(missing(&format!("`docker build` cannot be run: {error}"))),
    };
    let inline = image.build.dockerfile_inline.clone().unwrap_or_default();
    if let Some(mut stdin) = child.stdin.take() {
        // an error means that it ended already, and says why
        let _ = stdin.write_all(inline.as_bytes()).await;
    }
    let mut report = Report::new(image.tag);
    if let Some(stderr) = child.stderr.take() {
        let mut said = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = said.next_line().await {
            report.hear(&line);
            lines.line(&line).await;
        }
    }
    match child.wait().await {
        Ok(status) if status.success() => Ok(()),
        Ok(_) if report.has("buildx component is missing") => Err(missing("docker's buildx plugin is not installed")),
        Ok(status) => {
            let last = report.last().unwrap_or_else(|| format!("`docker build` ended with {status}"));
            Err(report.failed(&last))
        }
        Err(error) => Err(cannot(image.tag, &format!("`docker build` was lost sight of: {error}"))),
    }
}

fn command(image: &Image<'_>, labels: HashMap<String, String>) -> Command {
    let build = image.build;
    let mut command = Command::new("docker");
    command.envs(image.client.path.iter().map(|path| ("PATH", path)));
    // the socket that we found, whatever context is chosen
    command.env("DOCKER_BUILDKIT", "1").env_remove("DOCKER_CONTEXT").args(["--host", &image.client.host()]);
    command.args(["build", "--progress", "plain", "--tag", image.tag]);
    for (name, value) in labels {
        command.args(["--label", &format!("{name}={value}")]);
    }
    for (name, value) in &build.args {
        let written = value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}"));
        command.args(["--build-arg", &written]);
    }
    let options = [("--target", &build.target), ("--platform", &build.platform), ("--network", &build.network)];
    for (option, value) in options {
        command.args(value.iter().flat_map(|value| [option, value.as_str()]));
    }
    command.args(build.no_cache.then_some("--no-cache")).args(build.pull.then_some("--pull"));
    let named = build.context.join(build.dockerfile.as_deref().unwrap_or_else(|| "Dockerfile".as_ref()));
    command.arg("--file").arg(if build.dockerfile_inline.is_some() { "-".as_ref() } else { named.as_os_str() });
    command.arg(&build.context).current_dir(&build.context).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_buildkit() {
        for text in [
            "# syntax=docker/dockerfile:1\nFROM a",
            "FROM a\nRUN --mount=type=cache,target=/x true",
            "RUN <<E\nE",
            "copy --link a b",
            "COPY --from=x --chmod=755 a b",
        ] {
            assert!(needed(text).is_some(), "{text}");
        }
        for text in ["FROM a\nRUN echo a\nCOPY --from=b /a /b\n# RUN --mount", "FROM a AS syntax", "RUN ls --link"] {
            assert_eq!(needed(text), None, "{text}");
        }
    }
}
