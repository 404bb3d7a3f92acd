//! `muster watch`.

mod act;
mod paths;
mod places;
mod rules;
mod waiting;

use self::act::Actor;
use self::paths::Watched;
use self::rules::Rule;
use self::waiting::{Obstacle, Waiting};
use crate::cli::{FileOption, Selection};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::Wanted;
use clap::Args;
use muster_api::exit;
use muster_spec::{RuntimeKind, Selector};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Changes that come closer together than this are one: an editor's save is several.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Rebuild, restart or signal services when their watched paths change, or copy these to where they run.
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
        let mut watching = Watching { actor, rules: &rules, waiting: Waiting::default() };
        let end = tokio::signal::ctrl_c();
        tokio::pin!(end);
        let mut due = of_rules(&rules, &stack.root, &watched.files);
        let mut cause = Cause::Begin;
        loop {
            tokio::select! {
                () = watching.act(due, cause) => {}
                _ = &mut end => return Ok(exit::INTERRUPTED),
            }
            (due, cause) = tokio::select! {
                changed = watched.changed(DEBOUNCE) => (of_rules(&rules, &stack.root, &changed), Cause::Change),
                again = watching.waiting.due() => (again, Cause::Retry),
                _ = &mut end => return Ok(exit::INTERRUPTED),
            };
        }
    }
}

/// Rules that are due, by their number, and the paths that make them so.
type Due = BTreeMap<usize, BTreeSet<PathBuf>>;

/// Why something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The watching begins.
    Begin,
    /// Paths changed.
    Change,
    /// It could not be done before.
    Retry,
}

struct Watching<'a> {
    actor: Actor<'a>,
    rules: &'a [Rule],
    waiting: Waiting,
}

impl Watching<'_> {
    async fn act(&mut self, due: Due, cause: Cause) {
        for (number, paths) in due {
            let Some(rule) = self.rules.get(number) else { continue };
            if cause == Cause::Change {
                let root = &self.actor.request.stack.root;
                self.actor.context.note(&format!("{}: {} changed", rule.service, shown(&paths, root)));
            }
            let paths = self.waiting.with(number, paths);
            let done = match cause {
                Cause::Begin => self.actor.begin(rule, &paths).await,
                Cause::Change | Cause::Retry => self.actor.act(rule, &paths).await,
            };
            match done {
                Ok(()) => self.waiting.done(number),
                Err(failure) => self.failed(number, rule, paths, failure),
            }
        }
    }

    /// Says so, once as long as the same is in the way.
    fn failed(&mut self, number: usize, rule: &Rule, paths: BTreeSet<PathBuf>, failure: Failure) {
        let context = self.actor.context;
        let obstacle = obstacle(rule, &failure);
        let passes = obstacle == Some(Obstacle::Passing);
        if !(passes && self.waiting.passes(number)) {
            failure.report(&context.terminal, context.global.json);
            if passes {
                context.note(&format!("{}: what changed is brought as soon as that can be", rule.service));
            }
        }
        match obstacle {
            Some(obstacle) => self.waiting.keep(number, obstacle, paths),
            // the next change may be the repair
            None => self.waiting.done(number),
        }
    }
}

/// What keeps changed files from where they belong; nothing where they are not kept for later: what a container refuses,
/// it refuses every time.
fn obstacle(rule: &Rule, failure: &Failure) -> Option<Obstacle> {
    if rule.places.is_empty() {
        return None;
    }
    match failure {
        Failure::Document(document) if document.code == "runtime::unavailable" => Some(Obstacle::Passing),
        Failure::Document(_) | Failure::Problems(_) | Failure::Compose(_) | Failure::Code(_) | Failure::PipeClosed => {
            (rule.runtime == RuntimeKind::Remote).then_some(Obstacle::Lasting)
        }
    }
}

/// Each rule at most once, with the paths that made it due.
fn of_rules(rules: &[Rule], root: &Path, changed: &BTreeSet<PathBuf>) -> Due {
    let of = |rule: &Rule| {
        let matched = |path: &&PathBuf| path.strip_prefix(root).is_ok_and(|path| rule.matches(path));
        changed.iter().filter(matched).cloned().collect::<BTreeSet<_>>()
    };
    rules.iter().map(of).enumerate().filter(|(_, paths)| !paths.is_empty()).collect()
}

/// What changed, in a few words.
fn shown(paths: &BTreeSet<PathBuf>, root: &Path) -> String {
    let first = paths.first().map(|path| path.strip_prefix(root).unwrap_or(path).display().to_string());
    match (first, paths.len()) {
        (Some(first), 0 | 1) => first,
        (Some(first), more) => format!("{first} and {} more", more - 1),
        (None, _) => String::new(),
    }
}
