//! Which paths make what due.

use super::places::Places;
use crate::failure::Failure;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::gitignore::Gitignore;
use muster_api::exit;
use muster_runtime::container::left_out;
use muster_spec::{RuntimeKind, ServiceName, ServiceSpec, Stack, WatchAction};
use std::path::{Path, PathBuf};

/// A rule of one service, ready to match.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) service: String,
    pub(super) runtime: RuntimeKind,
    /// Where a `sync` brings them.
    pub(super) places: Places,
    pub(super) action: WatchAction,
    paths: GlobSet,
    ignore: GlobSet,
    /// What the image does not get either.
    left_out: Option<LeftOut>,
}

/// A build's context, relative to the stack's folder, and what of it the builder does not get.
#[derive(Debug)]
struct LeftOut {
    context: PathBuf,
    list: Gitignore,
}

impl Rule {
    /// Whether a change of `path`, relative to the stack's folder, makes it due.
    pub(super) fn matches(&self, path: &Path) -> bool {
        self.paths.is_match(path) && !self.ignore.is_match(path) && !self.is_left_out(path)
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.left_out.as_ref().is_some_and(|left_out| {
            let inside = path.strip_prefix(&left_out.context);
            inside.is_ok_and(|path| left_out.list.matched_path_or_any_parents(path, false).is_ignore())
        })
    }
}

/// The rules of the chosen services.
pub(super) fn of(stack: &Stack, chosen: &[ServiceName]) -> Result<Vec<Rule>, Failure> {
    let services = stack.services.values().filter(|service| chosen.contains(&service.name));
    let rules = services.flat_map(|service| service.watch.iter().map(move |rule| (service, rule)));
    rules
        .map(|(service, rule)| {
            has_a_place(service, &rule.action)?;
            Ok(Rule {
                service: service.name.to_string(),
                runtime: service.runtime,
                places: places(service, &rule.action, &stack.root),
                action: rule.action.clone(),
                paths: globs(&rule.paths, &stack.root)?,
                ignore: globs(&rule.ignore, &stack.root)?,
                left_out: unbuilt(service, &rule.action, &stack.root)?,
            })
        })
        .collect()
}

fn places(service: &ServiceSpec, action: &WatchAction, root: &Path) -> Places {
    match action {
        WatchAction::Sync(copy) => Places::of(service, copy, root),
        WatchAction::Restart | WatchAction::Rebuild | WatchAction::Signal(_) | WatchAction::Run(_) => Places::default(),
    }
}

/// Whoever copies into a container says where to, and to a host unless `remote.sync` does.
fn has_a_place(service: &ServiceSpec, action: &WatchAction) -> Result<(), Failure> {
    let WatchAction::Sync(copy) = action else { return Ok(()) };
    let wrong = |place: &str, help: &str| {
        let message = format!("a `watch` rule of `{}` says `do: sync` and no place {place}", service.name);
        Err(Failure::new("config::missing_key", exit::CONFIG, message, help))
    };
    let named = service.variants.remote.as_ref().is_some_and(|remote| !remote.sync.is_empty());
    match service.runtime {
        RuntimeKind::Container if copy.to.is_none() => {
            let help = "say where its files lie there: `{ paths: [\"src/**\"], do: sync, to: /app/src }`";
            wrong("in its container", help)
        }
        RuntimeKind::Remote if copy.to.is_none() && !named => {
            let rule = "`{ paths: [\"src/**\"], do: sync, to: app/src }`";
            wrong("on its host", &format!("name its files in `remote.sync`, or say where they lie there: {rule}"))
        }
        RuntimeKind::Container
        | RuntimeKind::Remote
        | RuntimeKind::Process
        | RuntimeKind::Mock
        | RuntimeKind::External => Ok(()),
    }
}

/// What `.dockerignore` keeps out of an image is not copied into its containers, and makes no new image due.
fn unbuilt(service: &ServiceSpec, action: &WatchAction, root: &Path) -> Result<Option<LeftOut>, Failure> {
    let container = service.variants.container.as_ref().filter(|_| service.runtime == RuntimeKind::Container);
    let build = container.and_then(|container| container.build.as_ref());
    match (action, build) {
        (WatchAction::Sync(_) | WatchAction::Rebuild, Some(build)) => {
            let context = build.context.strip_prefix(root).unwrap_or(&build.context).to_owned();
            let list = left_out(build).map_err(|error| Failure::io("`.dockerignore` cannot be read", &error))?;
            Ok(Some(LeftOut { context, list }))
        }
        (WatchAction::Sync(_) | WatchAction::Rebuild, None)
        | (WatchAction::Restart | WatchAction::Signal(_) | WatchAction::Run(_), Some(_) | None) => Ok(None),
    }
}

/// As in .gitignore: a pattern with a slash counts from the stack's folder and its wildcards stop at slashes, one without
/// matches at any depth. A folder's name stands for everything in it.
fn globs(patterns: &[String], root: &Path) -> Result<GlobSet, Failure> {
    let mut set = GlobSetBuilder::new();
    let root = format!("{}/", root.display());
    for pattern in patterns {
        let pattern = pattern.strip_prefix(&root).unwrap_or(pattern);
        let whole = pattern.trim_end_matches('/');
        let clean = whole.trim_start_matches("./").trim_start_matches('/');
        let all = if clean.is_empty() || clean == "." { "**" } else { clean };
        for text in [all.to_owned(), format!("{all}/**")] {
            let glob = GlobBuilder::new(&text).literal_separator(whole.contains('/')).build();
            set.add(glob.map_err(|error| wrong(pattern, &error))?);
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

    fn rule(paths: &[&str], ignore: &[&str]) -> Rule {
        let globs = |patterns: &[&str]| {
            globs(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>(), Path::new("/p")).unwrap()
        };
        Rule {
            service: "api".into(),
            runtime: RuntimeKind::Process,
            places: Places::default(),
            action: WatchAction::Restart,
            paths: globs(paths),
            ignore: globs(ignore),
            left_out: None,
        }
    }

    #[test]
    fn folders_stand_for_what_is_in_them() {
        let rule = rule(&["src", "./conf/*.toml"], &["src/gen"]);
        assert!(rule.matches(Path::new("src/a/b.rs")) && rule.matches(Path::new("conf/x.toml")));
        assert!(!rule.matches(Path::new("src/gen/x.rs")) && !rule.matches(Path::new("other")));
    }

    #[test]
    fn a_slash_ties_a_pattern_to_its_place() {
        let loose = rule(&["*.py"], &[]);
        assert!(loose.matches(Path::new("a.py")) && loose.matches(Path::new("deep/a.py")));
        let tied = rule(&["**"], &["/*.tmp", "src/*.log", "/p/abs"]);
        for (path, is_due) in
            [("a.tmp", false), ("deep/a.tmp", true), ("src/a.log", false), ("src/deep/a.log", true), ("abs/x", false)]
        {
            assert_eq!(tied.matches(Path::new(path)), is_due, "{path}");
        }
    }

    #[test]
    fn what_the_builder_does_not_get_is_not_due() {
        let home = tempfile::TempDir::new().unwrap();
        std::fs::write(home.path().join(".dockerignore"), "node_modules\n*.md\n").unwrap();
        let build = muster_spec::ImageBuild { context: home.path().to_owned(), ..Default::default() };
        let left_out = Some(LeftOut { context: "web".into(), list: left_out(&build).unwrap() });
        let rule = Rule { left_out, ..rule(&["web"], &[]) };
        for (path, is_due) in [("web/a.js", true), ("web/node_modules/x/y.js", false), ("web/README.md", false)] {
            assert_eq!(rule.matches(Path::new(path)), is_due, "{path}");
        }
    }
}
