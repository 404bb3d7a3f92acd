//! The watched folders, and what changed in them.

use super::rules::Rule;
use crate::failure::Failure;
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How many events may wait; more come from a checkout, and then the first of them tell enough.
const EVENT_QUEUE: usize = 4096;

/// Folders that are watched, each by itself: what git ignores costs nothing.
pub(super) struct Watched {
    root: PathBuf,
    watcher: RecommendedWatcher,
    events: mpsc::Receiver<Event>,
    known: BTreeSet<PathBuf>,
    ignored: Gitignore,
    /// What changed and was not told yet, and when it is: once nothing more changed for a while.
    changed: BTreeSet<PathBuf>,
    due: Option<Instant>,
    /// Files that were there at the beginning and that the rules match.
    pub(super) files: BTreeSet<PathBuf>,
}

fn failed(path: &Path, error: &notify::Error) -> Failure {
    let help = "raise fs.inotify.max_user_watches, or narrow the rules; `muster doctor` shows the limits";
    Failure::new("cli::io", muster_api::exit::FAILED, format!("`{}` cannot be watched: {error}", path.display()), help)
}

impl Watched {
    /// Watches every folder below `root` in which something could match.
    pub(super) fn begin(root: &Path, rules: &[Rule]) -> Result<Self, Failure> {
        let (send, events) = mpsc::channel(EVENT_QUEUE);
        let handler = move |event: notify::Result<Event>| {
            if let Ok(event) = event {
                let _ = send.try_send(event);
            }
        };
        let watcher = notify::recommended_watcher(handler).map_err(|error| failed(root, &error))?;
        let mut ignored = GitignoreBuilder::new(root);
        // a missing file ignores nothing
        let _ = ignored.add(root.join(".gitignore"));
        let ignored = ignored.build().unwrap_or_else(|_| Gitignore::empty());
        let mut watched = Self {
            root: root.to_owned(),
            watcher,
            events,
            known: BTreeSet::new(),
            ignored,
            changed: BTreeSet::new(),
            due: None,
            files: BTreeSet::new(),
        };
        let found = watched.add(root)?;
        watched.files = found.into_iter().filter(|path| matched(path, root, rules)).collect();
        Ok(watched)
    }

    /// Folders that are watched.
    pub(super) fn folders(&self) -> usize {
        self.known.len()
    }

    /// Watches `folder` and those below; the files in them come back.
    fn add(&mut self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        let walk =
            WalkBuilder::new(folder).hidden(false).require_git(false).filter_entry(|e| e.file_name() != ".git").build();
        for entry in walk.flatten() {
            let path = entry.into_path();
            // a link is something of its own, whatever it leads to
            if !path.is_dir() || (path.is_symlink() && path != folder) {
                files.push(path.clone());
            }
            if path.is_dir() && self.known.insert(path.clone()) {
                self.watcher.watch(&path, RecursiveMode::NonRecursive).map_err(|error| failed(&path, &error))?;
            }
        }
        Ok(files)
    }

    /// The paths that changed, once nothing more changed for `quiet`. That somebody reads is no change. Can be cancelled
    /// without losing any.
    pub(super) async fn changed(&mut self, quiet: Duration) -> BTreeSet<PathBuf> {
        loop {
            let event = match self.due {
                None => self.events.recv().await,
                Some(due) => match tokio::time::timeout_at(due, self.events.recv()).await {
                    Ok(event) => event,
                    Err(_) => {
                        self.due = None;
                        return std::mem::take(&mut self.changed);
                    }
                },
            };
            let Some(event) = event else { std::future::pending().await };
            let paths = self.paths_of(event);
            if !paths.is_empty() {
                self.changed.extend(paths);
                self.due = Some(Instant::now() + quiet);
            }
        }
    }

    fn paths_of(&mut self, event: Event) -> Vec<PathBuf> {
        if matches!(event.kind, EventKind::Access(_)) {
            return Vec::new();
        }
        let mut paths = Vec::new();
        for path in event.paths {
            let folder = path.is_dir() && !path.is_symlink();
            if self.is_ignored(&path, folder) {
                continue;
            }
            // what was written into a new folder before it was watched counts, too
            if folder && !self.known.contains(&path) {
                paths.extend(self.add(&path).unwrap_or_default());
            } else if !folder {
                self.known.remove(&path);
                paths.push(path);
            }
        }
        paths
    }

    fn is_ignored(&self, path: &Path, folder: bool) -> bool {
        let Ok(inner) = path.strip_prefix(&self.root) else { return true };
        inner.starts_with(".git") || self.ignored.matched_path_or_any_parents(inner, folder).is_ignore()
    }
}

fn matched(path: &Path, root: &Path, rules: &[Rule]) -> bool {
    path.strip_prefix(root).is_ok_and(|path| rules.iter().any(|rule| rule.matches(path)))
}
