//! Which files, which folder and which variables a project has, before anything is read as YAML.
//!
//! `COMPOSE_FILE`, `COMPOSE_PATH_SEPARATOR`, `COMPOSE_PROFILES`, `COMPOSE_ENV_FILES`, `COMPOSE_DISABLE_ENV_FILE` and
//! `COMPOSE_PROJECT_NAME` count where the request says nothing; all but the two about env files may stand in `.env` too.

use std::path::{Path, PathBuf};

use crate::dotenv::{self, Values};
use crate::files::{Files, Found, join};
use crate::interpolate::Environment;
use crate::load::LoadRequest;
use crate::problem::{Code, Report};

/// Names of compose files, the first that is there wins.
pub const FILE_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Names of the file that is merged over a found one.
pub const OVERRIDE_NAMES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// The standard input, as a file of a project.
pub(crate) const STDIN: &str = "-";

/// What a project is made of.
#[derive(Debug)]
pub(crate) struct Options {
    /// Absolute, or [`STDIN`].
    pub(crate) files: Vec<PathBuf>,
    pub(crate) folder: PathBuf,
    pub(crate) environment: Environment,
    /// Where variables were looked up besides the caller's environment, absolute.
    pub(crate) env_files: Vec<PathBuf>,
    pub(crate) profiles: Vec<String>,
}

/// Resolves a request; what is wrong with it is reported.
pub(crate) fn resolve(request: &LoadRequest, files: &dyn Files, report: &mut Report) -> Option<Options> {
    let mut environment = request.environment.clone();
    environment.entry("PWD".to_owned()).or_insert_with(|| request.cwd.to_string_lossy().into_owned());
    let mut chosen: Vec<PathBuf> = request.files.iter().map(|file| absolute(request, file)).collect();
    let mut finder = Finder { request, files, report, found: Vec::new() };

    finder.env_files(&finder.folder(&chosen))?;
    let values = finder.read(&environment)?;
    merge(&mut environment, values);
    if chosen.is_empty() {
        chosen = finder.listed(&environment)?;
    }
    if chosen.is_empty() {
        chosen = finder.discover();
    }
    let folder = finder.folder(&chosen);
    finder.env_files(&folder)?;
    let values = finder.read(&environment)?;
    let env_files = finder.found;
    merge(&mut environment, values);

    if chosen.is_empty() {
        report.general(Code::NoFile, format!("no compose file in `{}` or above it", folder.display()));
        return None;
    }
    let profiles = if request.profiles.is_empty() {
        let listed = environment.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
        listed.split(',').map(|name| name.trim().to_owned()).collect()
    } else {
        request.profiles.clone()
    };
    Some(Options { files: chosen, folder, environment, env_files, profiles })
}

fn absolute(request: &LoadRequest, path: &Path) -> PathBuf {
    if path == Path::new(STDIN) { path.to_path_buf() } else { join(&request.cwd, &path.to_string_lossy()) }
}

/// What is set already stays.
fn merge(environment: &mut Environment, values: Values) {
    for (name, value) in values {
        environment.entry(name).or_insert(value);
    }
}

struct Finder<'a> {
    request: &'a LoadRequest,
    files: &'a dyn Files,
    report: &'a mut Report,
    /// The env files that count so far.
    found: Vec<PathBuf>,
}

impl Finder<'_> {
    /// The project's folder, as far as its files are known.
    fn folder(&self, chosen: &[PathBuf]) -> PathBuf {
        if let Some(folder) = &self.request.project_directory {
            return absolute(self.request, folder);
        }
        let first = chosen.iter().find(|file| *file != Path::new(STDIN));
        let folder = first.and_then(|file| file.parent()).unwrap_or(&self.request.cwd);
        folder.to_path_buf()
    }

    /// The env files: those asked for, else `.env` of a folder if it is there.
    fn env_files(&mut self, folder: &Path) -> Option<()> {
        let variable = |name: &str| self.request.environment.get(name).filter(|value| !value.is_empty());
        let asked: Vec<PathBuf> = match variable("COMPOSE_ENV_FILES") {
            Some(listed) if self.request.env_files.is_empty() => {
                listed.split(',').filter(|file| !file.is_empty()).map(PathBuf::from).collect()
            }
            Some(_) | None => self.request.env_files.clone(),
        };
        if !asked.is_empty() {
            self.found = asked.iter().map(|file| absolute(self.request, file)).collect();
            return Some(());
        }
        if let Some(text) = self.request.environment.get("COMPOSE_DISABLE_ENV_FILE") {
            match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => return Some(()),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => {}
                _ => {
                    let message = format!("`COMPOSE_DISABLE_ENV_FILE` is `{text}`, which is neither true nor false");
                    self.report.general(Code::BadValue, message);
                    return None;
                }
            }
        }
        let default = folder.join(".env");
        if self.files.find(&default) == Some(Found::File) {
            self.found = vec![default];
        }
        Some(())
    }

    fn read(&mut self, environment: &Environment) -> Option<Values> {
        read_env_files(&self.found, environment, self.files, self.report)
    }

    fn listed(&mut self, environment: &Environment) -> Option<Vec<PathBuf>> {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR").map(String::as_str).filter(|text| !text.is_empty());
        let Some(listed) = environment.get("COMPOSE_FILE") else { return Some(Vec::new()) };
        let mut chosen = Vec::new();
        for path in listed.split(separator.unwrap_or(":")) {
            let path = absolute(self.request, Path::new(path));
            if path != Path::new(STDIN) && self.files.find(&path).is_none() {
                let message = format!("`{}`, which `COMPOSE_FILE` names, is not there", path.display());
                self.report.general(Code::NoFile, message);
                return None;
            }
            chosen.push(path);
        }
        Some(chosen)
    }

    /// The first folder upward that has a file of one of the names, with its override.
    fn discover(&mut self) -> Vec<PathBuf> {
        let start = self.folder(&[]);
        for folder in start.ancestors() {
            if let Some(file) = self.first_of(folder, &FILE_NAMES) {
                return std::iter::once(file).chain(self.first_of(folder, &OVERRIDE_NAMES)).collect();
            }
        }
        Vec::new()
    }

    fn first_of(&mut self, folder: &Path, names: &[&str]) -> Option<PathBuf> {
        let there = |name: &&str| self.files.find(&folder.join(name)).is_some();
        let found: Vec<&str> = names.iter().filter(|name| there(name)).copied().collect();
        let first = *found.first()?;
        if found.len() > 1 {
            let message = format!("`{}` has {}; `{first}` is used", folder.display(), found.join(", "));
            self.report.warn(Code::Conflict, None, message);
        }
        Some(folder.join(first))
    }
}

/// What env files say together; the later counts, what is set outside counts within them.
pub(crate) fn read_env_files(
    paths: &[PathBuf],
    environment: &Environment,
    files: &dyn Files,
    report: &mut Report,
) -> Option<Values> {
    let mut values = Values::new();
    let lookup = |name: &str| environment.get(name).cloned();
    for path in paths {
        let problem = match files.find(path) {
            None => "is not there".to_owned(),
            Some(Found::Folder) => "is a folder".to_owned(),
            Some(Found::File) => match files.read(path) {
                Err(error) => format!("cannot be read: {error}"),
                Ok(bytes) => {
                    let mut missing = Vec::new();
                    let read = dotenv::parse(&String::from_utf8_lossy(&bytes), &mut values, &lookup, &mut missing);
                    for name in missing {
                        let text =
                            format!("the variable `{name}` in `{}` is not set and taken for empty", path.display());
                        report.warn(Code::Unset, None, text);
                    }
                    match read {
                        Ok(()) => continue,
                        Err(error) => format!("has an error in line {}: {}", error.line, error.message),
                    }
                }
            },
        };
        report.general(Code::EnvFile, format!("the env file `{}` {problem}", path.display()));
        return None;
    }
    Some(values)
}
