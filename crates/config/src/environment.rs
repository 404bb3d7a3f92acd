//! Which environment, and what it lays over the stack.

use crate::files::normal;
use crate::merge::{merge, settled};
use crate::problem::{Code, Report, nearest};
use crate::tree::{Map, Node};
use muster_spec::{EnvironmentId, EnvironmentName};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Keys of an environment that say how it is run, and are not laid over the stack.
const OWN: [&str; 4] = ["extends", "runtime", "deploy", "description"];

/// The environment's declarations: what is laid over, and its runtimes in order of preference.
pub(crate) struct Overlay {
    /// Overlays from the farthest base to the environment itself.
    layers: Vec<Node>,
    /// The nearest `runtime:` of the chain.
    pub(crate) runtime: Option<Node>,
    /// Names of the chain, the environment first.
    pub(crate) chain: Vec<String>,
}

/// The name when the caller gives none: `default_environment`, else `local`.
pub(crate) fn default_name(tree: &Node) -> String {
    let named = tree.get("default_environment").and_then(Node::as_scalar).map(|scalar| scalar.text.clone());
    named.unwrap_or_else(|| "local".to_owned())
}

/// Finds the declaration. A name that the file does not declare takes after `like`, or after the default.
pub(crate) fn overlay(tree: &Node, name: &str, like: Option<&str>, report: &mut Report) -> Overlay {
    let mut overlay = Overlay { layers: Vec::new(), runtime: None, chain: Vec::new() };
    let empty = Map::new();
    let declared = tree.get("environments").and_then(Node::as_map).unwrap_or(&empty);
    if let Some(default) = tree.get("default_environment")
        && let Some(scalar) = default.as_scalar()
        && !declared.contains_key(&scalar.text)
    {
        unknown(&scalar.text, declared, default, report);
    }
    for entry in declared.values() {
        if let Some(extends) = entry.value.get("extends")
            && let Some(scalar) = extends.as_scalar()
            && !declared.contains_key(&scalar.text)
        {
            unknown(&scalar.text, declared, extends, report);
        }
    }
    let fallback = default_name(tree);
    let first = [name, like.unwrap_or(&fallback)].into_iter().find(|name| declared.contains_key(*name));
    let mut next = first.map(str::to_owned);
    while let Some(current) = next.take() {
        let Some(entry) = declared.get(&current) else { break };
        if overlay.chain.contains(&current) {
            let path = overlay.chain.join(" -> ");
            let message = format!("environments extend each other: {path} -> {current}");
            report.error(Code::Extends, entry.key_span, message);
            break;
        }
        if overlay.runtime.is_none() {
            overlay.runtime = entry.value.get("runtime").cloned();
        }
        next = entry.value.get("extends").and_then(Node::as_scalar).map(|scalar| scalar.text.clone());
        let mut layer = entry.value.clone();
        if let Some(map) = layer.as_map_mut() {
            OWN.iter().for_each(|key| {
                map.shift_remove(*key);
            });
            overlay.layers.push(layer);
        }
        overlay.chain.push(current);
    }
    overlay.layers.reverse();
    overlay
}

fn unknown(name: &str, declared: &Map, at: &Node, report: &mut Report) {
    let near = nearest(name, declared.keys().map(String::as_str)).map(str::to_owned);
    let item = report.error(Code::Extends, at.span, format!("there is no environment `{name}`"));
    if let Some(near) = near {
        item.help(format!("did you mean `{near}`?"));
    }
}

impl Overlay {
    /// Lays the environment over the stack; `runtime` of its services comes back, it outranks the environment's own.
    pub(crate) fn apply(&mut self, tree: &mut Node, report: &mut Report) -> Map {
        let mut chosen = Map::new();
        for layer in std::mem::take(&mut self.layers) {
            for (name, entry) in layer.get("services").and_then(Node::as_map).into_iter().flatten() {
                if let Some(runtime) = entry.value.as_map().and_then(|map| map.get("runtime"))
                    && !runtime.value.is_null()
                {
                    chosen.insert(name.clone(), runtime.clone());
                }
            }
            if tree.as_map().is_some() {
                merge(tree, layer, report);
            } else {
                *tree = settled(layer);
            }
        }
        chosen
    }
}

/// The identity of an environment: its name and the first four bytes of the SHA-256 of the canonical root.
#[must_use]
pub fn environment_id(root: &Path, name: &EnvironmentName) -> EnvironmentId {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let root = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    EnvironmentId { name: name.clone(), root }
}

/// The name of the linked git worktree that `root` lies in, made fit for a name; nothing in a main worktree.
///
/// `read` gives the text of a file. In a linked worktree `.git` is a file that says `gitdir: .../worktrees/NAME`
/// (gitrepository-layout(5)).
pub fn worktree_name(root: &Path, read: impl Fn(&Path) -> Option<String>) -> Option<EnvironmentName> {
    let text = root.ancestors().find_map(|folder| read(&folder.join(".git")))?;
    let gitdir = PathBuf::from(text.lines().find_map(|line| line.strip_prefix("gitdir:"))?.trim());
    let gitdir = normal(&gitdir);
    if gitdir.parent()?.file_name()? != "worktrees" {
        return None;
    }
    EnvironmentName::new(&fitting(gitdir.file_name()?.to_str()?)).ok()
}

/// A text with what names may not have replaced.
pub(crate) fn fitting(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let clean: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).take(63).collect();
    let clean = clean.trim_start_matches(['-', '_', '.']);
    if clean.is_empty() { "stack".to_owned() } else { clean.to_owned() }
}
