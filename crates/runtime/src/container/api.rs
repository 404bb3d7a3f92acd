//! What the engine shows of containers. Read leniently: Podman has states that docker does not know, and the client's types
//! refuse an answer as a whole for one word of it.

use super::engine::Client;
use super::trouble::Trouble;
use bollard::models::ContainerInspectResponse;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write as _;

/// One of a list.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Labels", default)]
    pub(super) labels: Option<HashMap<String, String>>,
    #[serde(rename = "Names", default)]
    names: Option<Vec<String>>,
}

impl Listed {
    /// Its name as people type it, without the slash that engines put before it; else its id.
    pub(super) fn name(&self) -> &str {
        let first = self.names.as_deref().unwrap_or_default().first();
        first.map_or(self.id.as_str(), |name| name.trim_start_matches('/'))
    }
}

/// Containers, running or not, by label.
pub(super) async fn list(client: &Client, filters: &HashMap<String, Vec<String>>) -> Result<Vec<Listed>, Trouble> {
    let filters = encode(&serde_json::json!(filters).to_string());
    client.raw.json(&format!("/containers/json?all=1&filters={filters}")).await
}

/// One container, by id or name.
pub(super) async fn inspect(client: &Client, id: &str) -> Result<ContainerInspectResponse, Trouble> {
    let mut found: Value = client.raw.json(&format!("/containers/{}/json", encode(id))).await?;
    if let Some(status) = found.pointer_mut("/State/Status") {
        let docker = match status.as_str() {
            // it ended, and its mounts are still there
            Some("stopped") => Some("exited"),
            Some("initialized" | "configured") => Some("created"),
            Some("unknown") => Some(""),
            Some(_) | None => None,
        };
        if let Some(docker) = docker {
            *status = docker.into();
        }
    }
    let understood = serde_json::from_value(found);
    understood.map_err(|error| Trouble::Refused {
        status: 500,
        message: format!("what the engine says of container `{id}` is not understood: {error}"),
    })
}

/// Percent-encodes what a query's value or a path's segment may not hold.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // writing to a string does not fail
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
