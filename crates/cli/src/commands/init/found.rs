//! What `init` finds in a folder.

use crate::context::Context;
use crate::failure::Failure;
use crate::files::{self, Wanted};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Other tools' files, in order of preference.
const FOREIGN: [&str; 8] = [
    "process-compose.yaml",
    "process-compose.yml",
    "Procfile.dev",
    "Procfile",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

/// Scripts of a package.json that run something that stays.
const SCRIPTS: [&str; 4] = ["dev", "start", "serve", "worker"];

/// Services that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    name: String,
    /// Each with its declaration.
    pub(super) services: Map<String, Value>,
    /// A whole document that was imported instead.
    imported: Option<Value>,
    /// What somebody should know.
    pub(super) notes: Vec<String>,
}

impl Found {
    /// The stack file.
    pub(super) fn document(&self) -> Value {
        self.imported.clone().unwrap_or_else(|| json!({"name": self.name, "services": self.services}))
    }
}

/// Looks for what can be run.
pub(super) fn look(context: &Context, folder: &Path) -> Result<Found, Failure> {
    let name = folder.file_name().and_then(|n| n.to_str()).map_or_else(|| "stack".to_owned(), fitting);
    let mut found = Found { name, ..Found::default() };
    if let Some(file) = FOREIGN.iter().find(|file| folder.join(file).is_file()) {
        // a compose project is found with its override
        let inputs = if muster_compose::FILE_NAMES.contains(file) { Vec::new() } else { vec![folder.join(file)] };
        let imported = files::import(context, &inputs, &Wanted::default(), folder)?;
        if let Some(services) = imported.document.get("services").and_then(Value::as_object) {
            found.services = services.clone();
        }
        found.notes.push(format!("found {file}; `muster up -f {file}` runs it as it is"));
        if !imported.loss.is_empty() {
            found.notes.push(format!("kept differently:\n{}", imported.loss.to_string().trim_end()));
        }
        found.imported = Some(imported.document);
        return Ok(found);
    }
    package_scripts(folder, &mut found);
    cargo_binaries(folder, &mut found);
    if folder.join("manage.py").is_file() {
        found.add(
            "web",
            json!({
                "process": {"command": ["python", "manage.py", "runserver", "127.0.0.1:${port.http}"]},
                "ports": {"http": "+1"},
            }),
        );
    }
    if folder.join("go.mod").is_file() && folder.join("main.go").is_file() {
        let name = found.name.clone();
        found.add(&name, json!({"process": {"command": ["go", "run", "."]}}));
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, name: &str, service: Value) {
        self.services.entry(fitting(name)).or_insert(service);
    }
}

fn package_scripts(folder: &Path, found: &mut Found) {
    let text = std::fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    let Ok(package) = serde_json::from_str::<Value>(&text) else { return };
    let managers = [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lockb", "bun"), ("bun.lock", "bun")];
    let manager = managers.iter().find(|(lock, _)| folder.join(lock).is_file()).map_or("npm", |(_, manager)| manager);
    let has = |script: &&str| package.get("scripts").and_then(|scripts| scripts.get(*script)).is_some();
    let mut chosen: Vec<&str> = SCRIPTS.iter().copied().filter(|script| has(script)).collect();
    // `start` is what `dev` is for in production
    if chosen.contains(&"dev") {
        chosen.retain(|script| *script != "start");
    }
    for script in chosen {
        let name = if script == "worker" { "worker" } else { "web" };
        found.add(name, json!({"process": {"command": [manager, "run", script]}}));
    }
}

fn cargo_binaries(folder: &Path, found: &mut Found) {
    if !folder.join("Cargo.toml").is_file() {
        return;
    }
    let mut binaries = Vec::new();
    if folder.join("src/main.rs").is_file() {
        binaries.push(package_name(folder).unwrap_or_else(|| found.name.clone()));
    }
    for entry in std::fs::read_dir(folder.join("src/bin")).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_binary = path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").is_file();
        if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_binary) {
            binaries.push(name.to_owned());
        }
    }
    binaries.sort();
    for binary in binaries {
        found.add(&binary, json!({
            "build": {"command": format!("cargo build --bin {binary}"), "inputs": ["src/**", "Cargo.toml", "Cargo.lock"]},
            "process": {"command": [format!("target/debug/{binary}")]},
        }));
    }
}

/// `name = "..."` below `[package]`.
fn package_name(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let package = text.lines().skip_while(|line| line.trim() != "[package]").skip(1);
    let mut inside = package.take_while(|line| !line.trim_start().starts_with('['));
    let line = inside.find(|line| line.trim_start().starts_with("name"))?;
    Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
}

/// A text with what names may not have replaced.
fn fitting(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let clean: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).take(63).collect();
    let clean = clean.trim_start_matches(['-', '_', '.']);
    if clean.is_empty() || clean == "all" { "service".to_owned() } else { clean.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Global;
    use crate::term::Terminal;

    #[test]
    fn scripts_and_binaries_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("package.json", r#"{"scripts": {"dev": "vite", "start": "node .", "test": "x"}}"#);
        write("Cargo.toml", "[package]\nname = \"api\"\n");
        write("src/main.rs", "");
        write("src/bin/seed.rs", "");
        let context = Context { global: Global::default(), terminal: Terminal::default() };
        let found = look(&context, folder.path()).unwrap();
        let names: Vec<&String> = found.services.keys().collect();
        assert_eq!(names, ["web", "api", "seed"]);
        assert_eq!(found.services["web"]["process"]["command"], json!(["npm", "run", "dev"]));
    }
}
