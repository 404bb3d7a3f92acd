//! Which paths make what due.

use crate::failure::Failure;
use globset::{Glob, GlobSet, GlobSetBuilder};
use muster_spec::{ServiceName, Stack, WatchAction};
use std::path::Path;

/// A rule of one service, ready to match.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) service: String,
    pub(super) action: WatchAction,
    paths: GlobSet,
    ignore: GlobSet,
}

impl Rule {
    /// Whether a change of `path`, relative to the stack's folder, makes it due.
    pub(super) fn matches(&self, path: &Path) -> bool {
        self.paths.is_match(path) && !self.ignore.is_match(path)
    }
}

/// The rules of the chosen services.
pub(super) fn of(stack: &Stack, chosen: &[ServiceName]) -> Result<Vec<Rule>, Failure> {
    let services = stack.services.values().filter(|service| chosen.contains(&service.name));
    let rules = services.flat_map(|service| service.watch.iter().map(move |rule| (service, rule)));
    rules
        .map(|(service, rule)| {
            Ok(Rule {
                service: service.name.to_string(),
                action: rule.action.clone(),
                paths: globs(&rule.paths)?,
                ignore: globs(&rule.ignore)?,
            })
        })
        .collect()
}

/// A folder's name stands for everything in it.
fn globs(patterns: &[String]) -> Result<GlobSet, Failure> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let clean = pattern.trim_start_matches("./").trim_end_matches('/');
        for text in [clean.to_owned(), format!("{clean}/**")] {
            set.add(Glob::new(&text).map_err(|error| wrong(pattern, &error))?);
        }
    }
    set.build().map_err(|error| wrong(&patterns.join(", "), &error))
}

fn wrong(pattern: &str, error: &globset::Error) -> Failure {
    Failure::usage(format!("`{pattern}` is no pattern: {error}"), "patterns are globs as in .gitignore")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stand_for_what_is_in_them() {
        let rule = Rule {
            service: "api".into(),
            action: WatchAction::Restart,
            paths: globs(&["src".into(), "./conf/*.toml".into()]).unwrap(),
            ignore: globs(&["src/gen".into()]).unwrap(),
        };
        assert!(rule.matches(Path::new("src/a/b.rs")) && rule.matches(Path::new("conf/x.toml")));
        assert!(!rule.matches(Path::new("src/gen/x.rs")) && !rule.matches(Path::new("other")));
    }
}
