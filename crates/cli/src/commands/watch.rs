//! `muster watch`.

mod act;
mod paths;
mod rules;

use self::act::Actor;
use self::paths::Watched;
use self::rules::Rule;
use crate::cli::{FileOption, Selection};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::Wanted;
use clap::Args;
use muster_api::exit;
use muster_spec::Selector;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Changes that come closer together than this are one: an editor's save is several.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Rebuild, restart or signal services when their watched paths change, or copy these into their containers.
///
/// What git ignores and what a rule ignores does not count; neither does what `.dockerignore` keeps out of an image, for
/// copies into its containers. ctrl-C ends the watching; services run on.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    file: FileOption,
    /// Another runtime for a service, as at `up`: `--runtime api=container`.
    #[arg(long = "runtime", value_name = "SERVICE=RUNTIME")]
    runtimes: Vec<String>,
}

impl Watch {
    /// Runs the command.
    pub(crate) async fn run(self, context: &mut Context) -> Outcome {
        self.file.apply(&mut context.global);
        let wanted = Wanted { runtimes: self.runtimes.clone(), ..Wanted::default() };
        let request = super::up::request(context, &wanted, false)?;
        let context = &*context;
        let stack = &request.stack;
        let selector = match self.selection.text() {
            Some(text) => text
                .parse::<Selector>()
                .map_err(|e| Failure::usage(e.to_string(), "`muster status` lists the services"))?,
            None => Selector::all(),
        };
        let chosen = selector.services(stack).map_err(|error| {
            Failure::new("cli::not_found", exit::NOT_FOUND, error.to_string(), "`muster status` lists the services")
        })?;
        let rules = rules::of(stack, &chosen)?;
        if rules.is_empty() {
            let help = "give a service `watch: [{ paths: [\"src/**\"], do: restart }]`";
            return Err(Failure::usage("no selected service has a `watch` rule", help));
        }
        let mut watched = Watched::begin(&stack.root, &rules)?;
        let id = muster_config::environment_id(&stack.root, &stack.environment);
        let client = context.client()?;
        let services: BTreeSet<&str> = rules.iter().map(|rule| rule.service.as_str()).collect();
        context.note(&format!(
            "watching {} in {} for {}; ctrl-C ends it",
            crate::human::count(watched.files.len(), "path"),
            crate::human::count(watched.folders(), "folder"),
            crate::human::count(services.len(), "service"),
        ));
        let actor = Actor { context, client: &client, id, request: &request };
        for rule in &rules {
            if let Err(failure) = actor.begin(rule, &watched.files).await {
                failure.report(&context.terminal, context.global.json);
            }
        }
        let end = tokio::signal::ctrl_c();
        tokio::pin!(end);
        loop {
            let changed = tokio::select! {
                changed = watched.changed(DEBOUNCE) => changed,
                _ = &mut end => return Ok(exit::INTERRUPTED),
            };
            for (rule, paths) in due(&rules, &stack.root, &changed) {
                context.note(&format!("{}: {} changed", rule.service, shown(&paths, &stack.root)));
                if let Err(failure) = actor.act(rule, &paths).await {
                    // the next change may be the repair
                    failure.report(&context.terminal, context.global.json);
                }
            }
        }
    }
}

/// Each rule at most once, with the paths that made it due.
fn due<'a>(
    rules: &'a [Rule],
    root: &Path,
    changed: &'a BTreeSet<PathBuf>,
) -> impl Iterator<Item = (&'a Rule, BTreeSet<&'a Path>)> {
    let of = move |rule: &Rule| {
        let matched = |path: &&Path| path.strip_prefix(root).is_ok_and(|path| rule.matches(path));
        changed.iter().map(PathBuf::as_path).filter(matched).collect::<BTreeSet<_>>()
    };
    rules.iter().map(move |rule| (rule, of(rule))).filter(|(_, paths)| !paths.is_empty())
}

/// What changed, in a few words.
fn shown(paths: &BTreeSet<&Path>, root: &Path) -> String {
    let first = paths.first().map(|path| path.strip_prefix(root).unwrap_or(path).display().to_string());
    match (first, paths.len()) {
        (Some(first), 0 | 1) => first,
        (Some(first), more) => format!("{first} and {} more", more - 1),
        (None, _) => String::new(),
    }
}
