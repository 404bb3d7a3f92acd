//! What a rule does when it is due.

use super::rules::Rule;
use crate::context::Context;
use crate::failure::Failure;
use muster_api::frames::Frame;
use muster_api::{Client, client::Verb, exit};
use muster_engine::documents::{BringRequest, BroughtFile, ExecRequest, SelectRequest, UpRequest};
use muster_runtime::Known;
use muster_spec::{AfterCopy, CommandSpec, EnvironmentId, RuntimeKind, Template, WatchAction, WatchCopy};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
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
    pub(super) async fn act(&self, rule: &Rule, paths: &BTreeSet<&Path>) -> Result<(), Failure> {
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
                let instances = self.copy(rule, copy, paths).await?;
                self.after(rule, copy, &instances).await?;
            }
            WatchAction::Run(command) => self.run(command, &rule.service).await?,
        }
        Ok(())
    }

    /// Copies what is there when the watching begins.
    pub(super) async fn begin(&self, rule: &Rule, files: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let WatchAction::Sync(copy) = &rule.action else { return Ok(()) };
        if !copy.initial || rule.runtime != RuntimeKind::Container {
            return Ok(());
        }
        let root = &self.request.stack.root;
        let of = |path: &&PathBuf| path.strip_prefix(root).is_ok_and(|path| rule.matches(path));
        let files = files.iter().filter(of).map(PathBuf::as_path).collect();
        self.copy(rule, copy, &files).await.map(|_| ())
    }

    async fn restart(&self, rule: &Rule) -> Result<(), Failure> {
        // what an image is built of is for `rebuild`
        let request = SelectRequest { select: Some(rule.service.clone()), as_built: true, ..SelectRequest::default() };
        self.client.command(&self.id, Verb::Restart, &request).await?;
        self.context.note(&format!("{}: restarted", rule.service));
        Ok(())
    }

    /// Brings what changed into the service's containers; says which of them run.
    async fn copy(&self, rule: &Rule, copy: &WatchCopy, paths: &BTreeSet<&Path>) -> Result<Vec<String>, Failure> {
        let Some(to) = copy.to.as_ref().filter(|_| rule.runtime == RuntimeKind::Container) else {
            self.context.note(&match rule.runtime {
                RuntimeKind::Remote => {
                    format!(
                        "{0}: its host gets what `remote.sync` names when it starts: `muster restart {0}`",
                        rule.service
                    )
                }
                RuntimeKind::Process | RuntimeKind::Container | RuntimeKind::Mock | RuntimeKind::External => {
                    format!("{}: it runs on these files; nothing to copy", rule.service)
                }
            });
            return Ok(vec![rule.service.clone()]);
        };
        let from = self.request.stack.root.join(&copy.from);
        let (files, removed) = split(&from, to, paths);
        let (count, gone) = (files.len(), removed.len());
        let mut brought = Vec::new();
        let mut later = Vec::new();
        // removed first: what was a folder may be a file now
        let first = BringRequest { select: Some(rule.service.clone()), files: Vec::new(), removed };
        let rest = files.chunks(FILES_AT_ONCE).map(|files| BringRequest {
            select: Some(rule.service.clone()),
            files: files.to_vec(),
            removed: Vec::new(),
        });
        for request in std::iter::once(first).filter(|first| !first.removed.is_empty()).chain(rest) {
            let document = self.client.bring(&self.id, &request).await?;
            (brought, later) = (document.instances, document.later);
        }
        let what = told(count, gone);
        if !brought.is_empty() {
            self.context.note(&format!("{}: {what}", rule.service));
        }
        if !later.is_empty() {
            self.context.note(&format!("{}: does not run; {what} when it starts", later.join(", ")));
        }
        Ok(brought)
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

/// What is there now, and what is gone, as it is called there. What is not below `from` has no place there.
fn split(from: &Path, to: &str, paths: &BTreeSet<&Path>) -> (Vec<BroughtFile>, Vec<String>) {
    let (mut files, mut removed) = (Vec::new(), Vec::new());
    for path in paths {
        let Ok(below) = path.strip_prefix(from) else { continue };
        let there = if below.as_os_str().is_empty() { PathBuf::from(to) } else { Path::new(to).join(below) };
        let there = there.display().to_string();
        match fs::symlink_metadata(path) {
            Ok(data) if data.is_dir() => {}
            Ok(_) => files.push(BroughtFile { from: path.display().to_string(), to: there }),
            Err(_) => removed.push(there),
        }
    }
    (files, removed)
}

fn told(files: usize, removed: usize) -> String {
    let copied = (files > 0).then(|| format!("{} copied", crate::human::count(files, "file")));
    let removed = (removed > 0).then(|| format!("{} removed", crate::human::count(removed, "path")));
    let parts: Vec<String> = copied.into_iter().chain(removed).collect();
    if parts.is_empty() { "nothing to copy".to_owned() } else { parts.join(", ") }
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

    #[test]
    fn paths_have_a_place_there() {
        let home = tempfile::TempDir::new().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("src/sub")).unwrap();
        fs::write(at("src/sub/a"), "").unwrap();
        fs::write(at("conf"), "").unwrap();
        let all = [at("src/sub"), at("src/sub/a"), at("src/gone"), at("elsewhere")];
        let paths = all.iter().map(PathBuf::as_path).collect();
        let (files, removed) = split(&at("src"), "/app/", &paths);
        let there: Vec<&str> = files.iter().map(|file| file.to.as_str()).collect();
        assert_eq!((there, removed), (vec!["/app/sub/a"], vec!["/app/gone".to_owned()]));
        // a file stands for itself
        let conf = at("conf");
        let (files, _) = split(&conf, "/etc/app.conf", &BTreeSet::from([conf.as_path()]));
        assert_eq!(files[0].to, "/etc/app.conf");
        assert_eq!(told(2, 1), "2 files copied, 1 path removed");
    }
}
