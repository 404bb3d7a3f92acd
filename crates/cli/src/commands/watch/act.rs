//! What a rule does when it is due.

use super::places::{Parcel, told};
use super::rules::Rule;
use crate::context::Context;
use crate::failure::Failure;
use muster_api::frames::Frame;
use muster_api::{Client, client::Verb, exit};
use muster_engine::documents::{BringRequest, BroughtDocument, ExecRequest, SelectRequest, UpRequest};
use muster_runtime::Known;
use muster_spec::{AfterCopy, CommandSpec, EnvironmentId, Template, WatchAction, WatchCopy};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

/// So many files are brought by one request.
const FILES_AT_ONCE: usize = 2000;

/// Does what rules say.
pub(super) struct Actor<'a> {
    pub(super) context: &'a Context,
    pub(super) client: &'a Client,
    pub(super) id: EnvironmentId,
    /// The stack as it was when the watching began.
    pub(super) request: &'a UpRequest,
}

impl Actor<'_> {
    /// Does it, because of these paths.
    pub(super) async fn act(&self, rule: &Rule, paths: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let context = self.context;
        let request = SelectRequest { select: Some(rule.service.clone()), ..SelectRequest::default() };
        match &rule.action {
            WatchAction::Restart => self.restart(rule).await?,
            WatchAction::Rebuild => {
                let build = UpRequest { select: request.select.clone(), no_deps: true, ..self.request.clone() };
                let document = crate::commands::build::build(context, &build).await?;
                context.note(crate::render::documents::builds(&document, &context.terminal).trim_end());
                if document.builds.iter().all(|build| build.result != "failed") {
                    self.restart(rule).await?;
                }
            }
            WatchAction::Signal(signal) => {
                let request = SelectRequest { signal: Some(signal.to_string()), ..request };
                self.client.command(&self.id, Verb::Signal, &request).await?;
                context.note(&format!("{}: sent {signal}", rule.service));
            }
            WatchAction::Sync(copy) => {
                if let Some(instances) = self.copy(rule, paths).await? {
                    self.after(rule, copy, &instances).await?;
                }
            }
            WatchAction::Run(command) => self.run(command, &rule.service).await?,
        }
        Ok(())
    }

    /// Copies what is there when the watching begins.
    pub(super) async fn begin(&self, rule: &Rule, files: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let WatchAction::Sync(copy) = &rule.action else { return Ok(()) };
        if !copy.initial || rule.places.is_empty() || files.is_empty() {
            return Ok(());
        }
        self.copy(rule, files).await.map(|_| ())
    }

    async fn restart(&self, rule: &Rule) -> Result<(), Failure> {
        // what an image is built of is for `rebuild`
        let request = SelectRequest { select: Some(rule.service.clone()), as_built: true, ..SelectRequest::default() };
        self.client.command(&self.id, Verb::Restart, &request).await?;
        self.context.note(&format!("{}: restarted", rule.service));
        Ok(())
    }

    /// Brings what changed to where the service runs; says which of its instances run on it, none where nothing was brought.
    async fn copy(&self, rule: &Rule, paths: &BTreeSet<PathBuf>) -> Result<Option<Vec<String>>, Failure> {
        if rule.places.is_empty() {
            self.context.note(&format!("{}: it runs on these files; nothing to copy", rule.service));
            return Ok(Some(vec![rule.service.clone()]));
        }
        let (parcels, homeless) = rule.places.split(paths);
        let count = parcels.iter().map(|parcel| parcel.files.len()).sum();
        let gone = parcels.iter().map(|parcel| parcel.removed.len()).sum();
        let what = told(count, gone, homeless);
        let Some(brought) = self.bring(rule, parcels).await? else {
            self.context.note(&format!("{}: {what}", rule.service));
            return Ok(None);
        };
        if !brought.instances.is_empty() {
            self.context.note(&format!("{}: {what}", rule.service));
        }
        if !brought.later.is_empty() {
            self.context.note(&format!("{}: does not run; {what} for its next start", brought.later.join(", ")));
        }
        Ok(Some(brought.instances))
    }

    /// What came of the last request; nothing where there was none. What is in the way of one keeps no other from its place.
    async fn bring(&self, rule: &Rule, parcels: Vec<Parcel>) -> Result<Option<BroughtDocument>, Failure> {
        let (mut brought, mut failure) = (None, None);
        for Parcel { below, files, removed } in parcels {
            let request = BringRequest { select: Some(rule.service.clone()), below, ..BringRequest::default() };
            // removed first: what was a folder may be a file now
            let first = (!removed.is_empty()).then(|| BringRequest { removed, ..request.clone() });
            let rest = files.chunks(FILES_AT_ONCE).map(|some| BringRequest { files: some.to_vec(), ..request.clone() });
            for request in first.into_iter().chain(rest) {
                match self.client.bring(&self.id, &request).await {
                    Ok(document) => brought = Some(document),
                    Err(error) => drop(failure.get_or_insert(error)),
                }
            }
        }
        failure.map_or(Ok(brought), |error| Err(error.into()))
    }

    async fn after(&self, rule: &Rule, copy: &WatchCopy, instances: &[String]) -> Result<(), Failure> {
        match &copy.then {
            AfterCopy::Nothing => Ok(()),
            AfterCopy::Restart => self.restart(rule).await,
            AfterCopy::Exec(command) => {
                let argv = words(command, &rule.service)?;
                for instance in instances {
                    self.exec(instance, &argv).await?;
                }
                Ok(())
            }
        }
    }

    /// Runs a command beside a service, with what it says on standard error.
    async fn exec(&self, instance: &str, argv: &[String]) -> Result<(), Failure> {
        let request = ExecRequest { select: instance.to_owned(), argv: argv.to_vec(), ..ExecRequest::default() };
        let mut session = self.client.exec(&self.id, &request).await?;
        // an error is told by what comes out, or by nothing coming any more
        let _ = session.input.send(&Frame::Eof).await;
        let shown = argv.join(" ");
        while let Ok(Some(frame)) = session.output.next().await {
            match frame {
                Frame::Stdout(bytes) | Frame::Stderr(bytes) => {
                    self.context.note(String::from_utf8_lossy(&bytes).trim_end());
                }
                Frame::Exited(Known::Code(0)) => {
                    self.context.note(&format!("{instance}: `{shown}` done"));
                    return Ok(());
                }
                Frame::Exited(end) => {
                    self.context.note(&failed(instance, argv, &end));
                    return Ok(());
                }
                Frame::Failed(failed) => {
                    self.context.note(&format!("{instance}: `{shown}` cannot be run: {}", failed.reason));
                    return Ok(());
                }
                Frame::Stdin(_) | Frame::Eof | Frame::Resize(_) | Frame::Signal(_) => {}
            }
        }
        let message = format!("the daemon ended before `{shown}` did");
        Err(Failure::new("daemon::connection_lost", exit::DAEMON, message, "change the file again"))
    }

    /// Runs a rule's command in the stack's folder.
    async fn run(&self, command: &CommandSpec, service: &str) -> Result<(), Failure> {
        let words = words(command, service)?;
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        let root = &self.request.stack.root;
        let status = tokio::process::Command::new(program).args(arguments).current_dir(root).status().await;
        match status {
            Ok(status) if status.success() => self.context.note(&format!("{service}: `{}` done", words.join(" "))),
            Ok(status) => self.context.note(&failed(service, &words, &known(status))),
            Err(error) => return Err(Failure::io(&format!("`{program}` cannot be run"), &error)),
        }
        Ok(())
    }
}

/// A command that ran, and did not succeed.
fn failed(whose: &str, words: &[String], end: &Known) -> String {
    format!("{whose}: `{}` failed with {}", words.join(" "), muster_engine::ended(end))
}

fn known(status: ExitStatus) -> Known {
    match (status.code(), status.signal()) {
        (Some(code), _) => Known::Code(code),
        (None, Some(number)) => Known::Signal(number),
        (None, None) => Known::Unknown,
    }
}

/// A rule's command, which has no running service around it.
fn words(command: &CommandSpec, service: &str) -> Result<Vec<String>, Failure> {
    let literal = |template: &Template| {
        template.as_literal().ok_or_else(|| {
            let message =
                format!("`{template}` in the watch command of `{service}` refers to what only a running service has");
            Failure::usage(message, "write it without references, or let the service do it on a signal")
        })
    };
    match command {
        CommandSpec::Exec(words) => words.iter().map(literal).collect(),
        CommandSpec::Shell { shell, script } => shell.iter().cloned().map(Ok).chain([literal(script)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let words = ["make".to_owned(), "all".to_owned()];
        let told = |raw| failed("api", &words, &known(ExitStatus::from_raw(raw)));
        assert_eq!(told(1 << 8), "api: `make all` failed with exit code 1");
        assert_eq!(told(15), "api: `make all` failed with signal TERM");
    }
}
