//! How a compose file is told from one of ours.

use crate::import::yaml;
use crate::tree::{Map, Node};
use std::path::Path;

/// Keys of a compose file that a stack file does not have.
const TOP: [&str; 6] = ["version", "networks", "volumes", "secrets", "configs", "models"];
/// Attributes of its services that services of a stack file do not have.
const SERVICE: [&str; 22] = [
    "cap_add",
    "configs",
    "container_name",
    "depends_on",
    "deploy",
    "develop",
    "entrypoint",
    "environment",
    "expose",
    "extends",
    "healthcheck",
    "hostname",
    "labels",
    "links",
    "network_mode",
    "networks",
    "privileged",
    "profiles",
    "pull_policy",
    "secrets",
    "volumes",
    "working_dir",
];

/// Whether a file is a compose file: by its name (`-`, the standard input, is nobody else's), else by keys that only a compose file has. What both languages have
/// (`image`, `command`, `restart`) means the same in both and tells nothing.
#[must_use]
pub fn is_compose(path: &Path, text: impl FnOnce() -> String) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or_default();
    let named = |word: &str| stem.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if name == "-" || named("compose") || named("docker-compose") {
        return true;
    }
    // what cannot be read is told by whoever reads it next
    let Ok(file) = yaml::parse(path, &text()) else { return false };
    let has = |map: &Map, keys: &[&str]| keys.iter().any(|key| map.contains_key(*key));
    let Some(services) = file.get("services").and_then(|entry| entry.value.as_map()) else { return false };
    let of_compose = |service: &Node| service.as_map().is_some_and(|map| has(map, &SERVICE));
    has(&file, &TOP) || services.values().any(|entry| of_compose(&entry.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_or_by_what_only_compose_has() {
        let of = |name: &str, text: &str| is_compose(Path::new(name), || text.to_owned());
        assert!(of("a/docker-compose.prod.yml", "") && of("-", ""));
        assert!(!of("a/composed.yml", "services: {a: {image: x}}"));
        assert!(of("stack.yml", "services: {a: {image: x, environment: [A=b]}}"));
        assert!(of("stack.yml", "services: {a: {image: x}}\nvolumes: {v: }"));
        assert!(!of("stack.yml", "services: {a: {container: {image: x, volumes: ['v:/v']}}}"));
        assert!(!of("stack.yml", "volumes: {v: }"));
        assert!(!of("stack.yml", "services: [a\n"));
    }
}
