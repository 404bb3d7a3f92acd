//! An engine that answers at a socket, asked past Muster: what is there, and what is left.

use crate::http::{self, Answer};
use crate::{Result, Trouble};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A container engine that speaks Docker's Engine API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its socket.
    pub socket: PathBuf,
}

impl Engine {
    /// The one at `unix:///path`, or at a plain path.
    #[must_use]
    pub fn at(address: &str) -> Self {
        Self { socket: PathBuf::from(address.strip_prefix("unix://").unwrap_or(address)) }
    }

    /// What `DOCKER_HOST` would be.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Whether it answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.ask("GET", "/_ping", None).is_ok_and(|answer| answer.status == 200)
    }

    /// Asks it; any status is an answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn ask(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Answer> {
        http::ask(&self.socket, method, path, body)
    }

    /// Asks it for a document.
    ///
    /// # Errors
    /// When it refuses, or answers with something else.
    pub fn get(&self, path: &str) -> Result<Value> {
        let answer = self.done("GET", path, None)?;
        serde_json::from_slice(&answer.body).map_err(|error| Trouble::new(format!("GET {path}: {error}")))
    }

    /// Asks it to do something; a status of 400 and above is an error.
    ///
    /// # Errors
    /// When it refuses.
    pub fn done(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Answer> {
        let answer = self.ask(method, path, body)?;
        if answer.status >= 400 {
            return Err(Trouble::new(format!("{method} {path}: {} {}", answer.status, answer.text())));
        }
        Ok(answer)
    }

    /// Sends it a document.
    ///
    /// # Errors
    /// When it refuses.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.done("POST", path, Some(("application/json", body.to_string().as_bytes())))
    }

    /// Its version, and that of its API.
    ///
    /// # Errors
    /// When it does not say.
    pub fn version(&self) -> Result<String> {
        let version = self.get("/version")?;
        let word = |name: &str| version[name].as_str().unwrap_or("?").to_owned();
        Ok(format!("{}, API {}", word("Version"), word("ApiVersion")))
    }

    /// Everything with a label `name` or `name=value`: containers (also those that ended), networks and volumes, by name.
    ///
    /// # Errors
    /// When it does not say.
    pub fn labelled(&self, label: &str) -> Result<Vec<String>> {
        let filter = encode(&serde_json::json!({ "label": [label] }).to_string());
        let names = |list: &Value, kind: &str, name: &dyn Fn(&Value) -> Value| -> Vec<String> {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().map(|one| format!("{kind} {}", name(one).as_str().unwrap_or("?"))).collect()
        };
        let containers = self.get(&format!("/containers/json?all=true&filters={filter}"))?;
        let networks = self.get(&format!("/networks?filters={filter}"))?;
        let volumes = self.get(&format!("/volumes?filters={filter}"))?;
        let mut found = names(&containers, "container", &|one| one["Names"][0].clone());
        found.extend(names(&networks, "network", &|one| one["Name"].clone()));
        found.extend(names(&volumes["Volumes"], "volume", &|one| one["Name"].clone()));
        Ok(found)
    }

    /// What it says about a container, by name or id; none when there is no such.
    ///
    /// # Errors
    /// When it does not say.
    pub fn container(&self, name: &str) -> Result<Option<Value>> {
        let answer = self.ask("GET", &format!("/containers/{}/json", encode(name)), None)?;
        match answer.status {
            404 => Ok(None),
            200 => serde_json::from_slice(&answer.body).map(Some).map_err(|error| Trouble::new(error.to_string())),
            status => Err(Trouble::new(format!("asking for container `{name}`: {status} {}", answer.text()))),
        }
    }

    /// Removes a container with its anonymous volumes, running or not; fine when there is none.
    ///
    /// # Errors
    /// When it refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        let answer = self.ask("DELETE", &format!("/containers/{}?force=true&v=true", encode(name)), None)?;
        match answer.status {
            200 | 204 | 404 => Ok(()),
            status => Err(Trouble::new(format!("removing container `{name}`: {status} {}", answer.text()))),
        }
    }

    /// Whether an image is there.
    #[must_use]
    pub fn has_image(&self, name: &str) -> bool {
        self.ask("GET", &format!("/images/{name}/json"), None).is_ok_and(|answer| answer.status == 200)
    }

    /// The folder of its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("/"))
    }
}

/// Percent-encodes what a query's value or a path's segment may not hold.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => {
                let written = write!(encoded, "%{byte:02X}");
                debug_assert!(written.is_ok(), "a string takes everything");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_both_forms() {
        assert_eq!(Engine::at("unix:///run/d.sock"), Engine::at("/run/d.sock"));
        assert_eq!(Engine::at("/run/d.sock").address(), "unix:///run/d.sock");
    }

    #[test]
    fn filters_are_encoded() {
        assert_eq!(encode("{\"a\":[\"b=c\"]}"), "%7B%22a%22%3A%5B%22b%3Dc%22%5D%7D");
    }
}
