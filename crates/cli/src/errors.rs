//! Error codes beside those of the configuration.

/// Codes of the command line, the client, the API and the daemon, with one line that describes each.
pub(crate) const CODES: &[(&str, &str)] = &[
    ("cli::usage", "the command line asks for something that cannot be"),
    ("cli::io", "a file or the terminal cannot be used"),
    ("compose::unprintable", "a project cannot be printed as JSON, as Docker Compose cannot either"),
    ("cli::exists", "a file that would be written is there already"),
    ("cli::json", "a document cannot be written"),
    ("cli::not_found", "nothing of that name is there"),
    ("cli::nothing_found", "`init` found nothing that it could propose"),
    ("wait::timeout", "what was waited for did not come in time; what was started goes on"),
    ("exec::failed", "a command could not be run for a reason of Muster's own"),
    ("client::request", "a request cannot be written"),
    ("api::body", "the body of a request cannot be read"),
    ("api::query", "the query of a request cannot be read"),
    ("api::route", "there is no such route"),
    ("api::environment", "a text that is no environment"),
    ("api::upgrade", "a route that needs an upgraded connection"),
    ("api::slow_reader", "a stream was read too slowly and was ended"),
    ("daemon::unreachable", "nobody listens behind the daemon's socket"),
    ("daemon::connection_lost", "the daemon ended the connection before its answer"),
    ("daemon::version", "the daemon speaks another major version of the API"),
    ("daemon::not_understood", "what answers is no daemon of this version"),
    ("daemon::no_home", "there is no folder for the state"),
    ("daemon::state_folder", "the state folder cannot be used"),
    ("daemon::path_too_long", "no folder for sockets has a name that is short enough"),
    ("daemon::state_file", "a file of the daemon's own cannot be used"),
    ("daemon::running", "another daemon runs already"),
    ("daemon::spawn", "the daemon could not be started"),
    ("daemon::died", "the daemon ended before it answered"),
    ("daemon::silent", "the daemon did not answer in time"),
    ("daemon::no_shim", "the supervisor's binary is not there"),
    ("daemon::state", "the state cannot be opened"),
    ("daemon::upgrade", "a binary cannot take over"),
    ("daemon::ending", "the daemon is ending already"),
    ("store::unwritable", "the journal's file or folder cannot be written"),
    ("store::full", "no room for the journal"),
    ("store::damaged", "the journal cannot be read; it is put aside and a new one is begun"),
    ("store::locked", "another process holds the journal"),
    ("store::port_taken", "a port is written down for another environment"),
    ("store::port_mixed", "a port is claimed by a range and by a single entry"),
    ("store::row", "a row of the journal is not what this version writes"),
    ("store::sqlite", "SQLite refused"),
    ("store::closed", "the journal was closed before the entry was written"),
    ("daemon::services_run", "the daemon was told to end without a word about the services that run"),
];

/// Every code that a user can meet, with what it means.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let config = muster_config::CODES.iter().map(|(_, code, about)| (*code, *about));
    let import = muster_config::import::ImportProblem::CODES.iter().copied();
    let compose = muster_compose::CODES.iter().map(|(_, code, about)| (*code, *about));
    config.chain(import).chain(compose).chain(muster_engine::CODES).chain(CODES.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    /// Crates whose errors reach a user with a code.
    const CRATES: [&str; 5] = ["engine", "api", "cli", "store", "config"];

    fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path, into);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                into.push(path);
            }
        }
    }

    #[test]
    fn every_code_in_the_sources_is_listed_once() {
        let all: Vec<&str> = super::all().map(|(code, _)| code).collect();
        let listed: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(listed.len(), all.len(), "a code is listed twice");
        let families: BTreeSet<&str> = listed.iter().filter_map(|code| code.split("::").next()).collect();
        let quoted = regex::Regex::new(r#""([a-z_]+)::[a-z_]+""#).unwrap();
        let mut files = Vec::new();
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        CRATES.iter().for_each(|name| rust_files(&crates.join(name).join("src"), &mut files));
        let mut used = BTreeSet::new();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let codes = quoted.captures_iter(&text).filter(|found| families.contains(&found[1]));
            used.extend(codes.map(|found| found[0].trim_matches('"').to_owned()));
        }
        assert!(used.len() > 50, "the sources were not found");
        let missing: Vec<_> = used.iter().filter(|code| !listed.contains(code.as_str())).collect();
        assert!(missing.is_empty(), "in the sources, not in a list of codes: {missing:?}");
    }
}
