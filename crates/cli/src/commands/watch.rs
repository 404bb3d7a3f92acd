//! `muster watch`.

mod paths;
mod rules;

use self::paths::Watched;
use self::rules::Rule;
use crate::cli::Selection;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::Wanted;
use clap::Args;
use muster_api::client::Verb;
use muster_api::{Client, exit};
use muster_engine::documents::{SelectRequest, UpRequest};
use muster_spec::{CommandSpec, EnvironmentId, Selector, WatchAction};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Changes that come closer together than this are one: an editor's save is several.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Rebuild, restart or signal services when their watched paths change.
///
/// What git ignores and what a rule ignores does not count. ctrl-C ends the watching; services run on.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    selection: Selection,
}

impl Watch {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let request = super::up::request(context, &Wanted::default(), false)?;
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
            crate::human::count(watched.files, "path"),
            crate::human::count(watched.folders(), "folder"),
            crate::human::count(services.len(), "service"),
        ));
        let actor = Actor { context, client: &client, id, request: &request };
        let end = tokio::signal::ctrl_c();
        tokio::pin!(end);
        loop {
            let changed = tokio::select! {
                changed = watched.changed(DEBOUNCE) => changed,
                _ = &mut end => return Ok(exit::INTERRUPTED),
            };
            for (rule, path) in due(&rules, &stack.root, &changed) {
                let shown = path.strip_prefix(&stack.root).unwrap_or(path).display();
                context.note(&format!("{}: {shown} changed", rule.service));
                if let Err(failure) = actor.act(rule).await {
                    // the next change may be the repair
                    failure.report(&context.terminal, context.global.json);
                }
            }
        }
    }
}

/// Each rule at most once, with the first path that made it due.
fn due<'a>(rules: &'a [Rule], root: &Path, changed: &'a BTreeSet<PathBuf>) -> Vec<(&'a Rule, &'a Path)> {
    let first = |rule: &Rule| changed.iter().find(|path| path.strip_prefix(root).is_ok_and(|path| rule.matches(path)));
    rules.iter().filter_map(|rule| first(rule).map(|path| (rule, path.as_path()))).collect()
}

/// Does what rules say.
struct Actor<'a> {
    context: &'a Context,
    client: &'a Client,
    id: EnvironmentId,
    /// The stack as it was when the watching began.
    request: &'a UpRequest,
}

impl Actor<'_> {
    async fn act(&self, rule: &Rule) -> Result<(), Failure> {
        let context = self.context;
        let request = SelectRequest { select: Some(rule.service.clone()), ..SelectRequest::default() };
        match &rule.action {
            WatchAction::Restart => self.restart(&request, rule).await?,
            WatchAction::Rebuild => {
                let build = UpRequest { select: request.select.clone(), no_deps: true, ..self.request.clone() };
                let document = super::build::build(context, &build).await?;
                context.note(crate::render::documents::builds(&document, &context.terminal).trim_end());
                if document.builds.iter().all(|build| build.result != "failed") {
                    self.restart(&request, rule).await?;
                }
            }
            WatchAction::Signal(signal) => {
                let request = SelectRequest { signal: Some(signal.to_string()), ..request };
                self.client.command(&self.id, Verb::Signal, &request).await?;
                context.note(&format!("{}: sent {signal}", rule.service));
            }
            WatchAction::Sync => context.note(&format!("{}: it runs on these files; nothing to copy", rule.service)),
            WatchAction::Run(command) => run(context, command, &rule.service, &self.request.stack.root).await?,
        }
        Ok(())
    }

    async fn restart(&self, request: &SelectRequest, rule: &Rule) -> Result<(), Failure> {
        self.client.command(&self.id, Verb::Restart, request).await?;
        self.context.note(&format!("{}: restarted", rule.service));
        Ok(())
    }
}

/// Runs a rule's command in the stack's folder.
async fn run(context: &Context, command: &CommandSpec, service: &str, root: &Path) -> Result<(), Failure> {
    let literal = |template: &muster_spec::Template| {
        template.as_literal().ok_or_else(|| {
            let message =
                format!("`{template}` in the watch command of `{service}` refers to what only a running service has");
            Failure::usage(message, "write it without references, or let the service do it on a signal")
        })
    };
    let words: Vec<String> = match command {
        CommandSpec::Exec(words) => words.iter().map(literal).collect::<Result<_, _>>()?,
        CommandSpec::Shell { shell, script } => {
            shell.iter().cloned().map(Ok).chain([literal(script)]).collect::<Result<_, _>>()?
        }
    };
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let status = tokio::process::Command::new(program).args(arguments).current_dir(root).status().await;
    match status {
        Ok(status) if status.success() => context.note(&format!("{service}: `{}` done", words.join(" "))),
        Ok(status) => context.note(&format!("{service}: `{}` failed: {status}", words.join(" "))),
        Err(error) => return Err(Failure::io(&format!("`{program}` cannot be run"), &error)),
    }
    Ok(())
}
