//! What a registry asks for: docker's own settings, looked at for each pull and build.
//!
//! `config.json` names a helper for a registry (`credHelpers`) or for all (`credsStore`), a program
//! `docker-credential-NAME` that is asked as docker asks it; else `auths` holds what `docker login` wrote. None of it is
//! kept, logged or shown.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// How docker's own registry is called in its settings.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// A helper that asks somebody may take a while; one that hangs is given up.
const HELPER: Duration = Duration::from_secs(30);
/// In place of a user's name: the secret is a token (docker-credential-helpers).
const TOKEN: &str = "<token>";

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credentials for an image's registry, where docker's settings have some.
pub(super) async fn of(settings: Option<&Path>, image: &str) -> Option<DockerCredentials> {
    let json = read(settings).await?;
    in_settings(&json, registry(image)).await
}

/// The credentials for every registry that the settings know and that a build may ask: one that its text names, and
/// docker's own, which is named by no name.
pub(super) async fn of_build(settings: Option<&Path>, text: &str) -> HashMap<String, DockerCredentials> {
    let mut found = HashMap::new();
    let Some(json) = read(settings).await else { return found };
    let entries = ["auths", "credHelpers"].into_iter().filter_map(|key| json.get(key)?.as_object());
    for name in entries.flat_map(|entries| entries.keys()) {
        let host = host(name);
        if !found.contains_key(&host)
            && (text.contains(&host) || same(name, DOCKER_HUB))
            && let Some(credentials) = in_settings(&json, if same(name, DOCKER_HUB) { DOCKER_HUB } else { &host }).await
        {
            let key = if same(name, DOCKER_HUB) { DOCKER_HUB.to_owned() } else { host };
            found.insert(key, credentials);
        }
    }
    found
}

async fn read(settings: Option<&Path>) -> Option<Value> {
    let text = tokio::fs::read_to_string(settings?.join("config.json")).await.ok()?;
    serde_json::from_str(&text).ok()
}

async fn in_settings(json: &Value, registry: &str) -> Option<DockerCredentials> {
    let named = |key: &str| json.get(key)?.as_object()?.iter().find(|(name, _)| same(name, registry));
    let helper = named("credHelpers").map(|(_, helper)| helper).or_else(|| json.get("credsStore"));
    if let Some(name) = helper.and_then(Value::as_str).filter(|name| !name.is_empty())
        && let Some(found) = ask(name, registry).await
    {
        return Some(found);
    }
    written(named("auths")?.1, registry)
}

/// The registry of an image: a first part that can be a host, else docker's own.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        Some(_) | None => DOCKER_HUB,
    }
}

/// Whether a name in the settings means this registry: with or without scheme and path.
fn same(name: &str, registry: &str) -> bool {
    host(name) == host(registry)
}

fn host(text: &str) -> String {
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = text.split('/').next().unwrap_or(text);
    if host == "docker.io" { "index.docker.io".to_owned() } else { host.to_ascii_lowercase() }
}

/// What `docker login` wrote: `auth` is `user:password` in base64.
fn written(entry: &Value, registry: &str) -> Option<DockerCredentials> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let decoded = text("auth").and_then(|auth| String::from_utf8(BASE64_STANDARD.decode(auth).ok()?).ok());
    let both = decoded.and_then(|both| both.split_once(':').map(|(user, word)| (user.to_owned(), word.to_owned())));
    let (username, password) = match both {
        Some((user, word)) => (Some(user), Some(word.trim_end_matches('\0').to_owned())),
        None => (text("username"), text("password")),
    };
    let identitytoken = text("identitytoken");
    let some = username.is_some() || identitytoken.is_some();
    let serveraddress = Some(registry.to_owned());
    some.then(|| DockerCredentials { username, password, identitytoken, serveraddress, ..DockerCredentials::default() })
}

async fn ask(name: &str, registry: &str) -> Option<DockerCredentials> {
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(helper = name, %error, "docker's helper for credentials cannot be run");
            return None;
        }
    };
    let mut stdin = child.stdin.take()?;
    stdin.write_all(registry.as_bytes()).await.ok()?;
    drop(stdin);
    let output = timeout(HELPER, child.wait_with_output()).await.ok()?.ok()?;
    // a helper that has none says so by its code
    let answer: Answer = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
    let serveraddress = Some(registry.to_owned());
    Some(if answer.username == TOKEN {
        DockerCredentials { identitytoken: Some(answer.secret), serveraddress, ..DockerCredentials::default() }
    } else {
        let (username, password) = (Some(answer.username), Some(answer.secret));
        DockerCredentials { username, password, serveraddress, ..DockerCredentials::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(config: &str, image: &str) -> Option<(String, String)> {
        let home = tempfile::TempDir::new().unwrap();
        std::fs::write(home.path().join("config.json"), config).unwrap();
        let found = of(Some(home.path()), image).await?;
        Some((found.username?, found.password?))
    }

    #[tokio::test]
    async fn what_docker_login_wrote() {
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0OndvcmQ="},
            "registry.example:5000": {"username": "u", "password": "p"}}}"#;
        let me = Some(("me".to_owned(), "secret:word".to_owned()));
        assert_eq!(found(config, "busybox:1").await, me);
        assert_eq!(found(config, "docker.io/library/busybox").await, me);
        let other = Some(("u".to_owned(), "p".to_owned()));
        assert_eq!(found(config, "registry.example:5000/a/b:1").await, other);
        assert_eq!(found(config, "registry.example/a").await, None);
        assert_eq!(found("{}", "a").await, None);
    }

    #[tokio::test]
    async fn a_build_shows_what_it_may_be_asked_for() {
        let home = tempfile::TempDir::new().unwrap();
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}, "r.example:5000": {"auth": "YzpkOmU="},
            "other.example": {"auth": "ZTpm"}}}"#;
        std::fs::write(home.path().join("config.json"), config).unwrap();
        let found = of_build(Some(home.path()), "ARG R=r.example:5000\nFROM ${R}/a").await;
        let mut users: Vec<_> = found
            .iter()
            .map(|(name, known)| (name.as_str(), known.username.as_deref(), known.password.as_deref()))
            .collect();
        users.sort_unstable();
        let wanted = [(DOCKER_HUB, Some("a"), Some("b")), ("r.example:5000", Some("c"), Some("d:e"))];
        assert_eq!(users, wanted);
        assert!(of_build(None, "").await.is_empty());
    }

    #[test]
    fn registries() {
        for (image, wanted) in
            [("a", DOCKER_HUB), ("a/b:1", DOCKER_HUB), ("localhost/a", "localhost"), ("r:5/a", "r:5")]
        {
            assert_eq!(registry(image), wanted);
        }
    }
}
