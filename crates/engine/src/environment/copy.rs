//! A copy of a service's lines in a file of its own, for stacks whose other tools read such a file.
//!
//! A line is `{"level":"info","process":"api","replica":0,"message":"..."}`, `error` for standard error: what process-compose
//! writes. How far a run was copied stands beside its log, so that a new daemon goes on where the old one was.

use muster_logs::{Entry, Merger, Reader, Stream};
use muster_spec::InstanceId;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is copied where.
#[derive(Clone)]
pub(super) struct Copy {
    /// The run's folder.
    pub(super) run: PathBuf,
    /// The file.
    pub(super) to: PathBuf,
    /// Whose lines.
    pub(super) instance: InstanceId,
}

impl Copy {
    /// Copies until the run is over, and then the rest.
    pub(super) async fn run(self, mut grew: watch::Receiver<()>, over: CancellationToken) {
        loop {
            grew.borrow_and_update();
            let last = over.is_cancelled();
            let copy = self.clone();
            let copied = tokio::task::spawn_blocking(move || copy.once(last)).await;
            if let Ok(Err(error)) = copied {
                tracing::warn!(instance = %self.instance, to = %self.to.display(), %error, "cannot copy a log");
            }
            if last {
                return;
            }
            tokio::select! {
                changed = grew.changed() => if changed.is_err() { return },
                () = over.cancelled() => {}
            }
        }
    }

    fn once(&self, last: bool) -> io::Result<()> {
        let mark = self.run.join("copied");
        let cursor = std::fs::read_to_string(&mark).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let (lines, next) = self.lines(cursor, last)?;
        if lines.is_empty() {
            return Ok(());
        }
        if let Some(parent) = self.to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // one write, so that the lines of several services in one file do not mix
        std::fs::OpenOptions::new().append(true).create(true).open(&self.to)?.write_all(&lines)?;
        write_mark(&mark, next)
    }

    /// Lines from a cursor on, and the cursor behind them. The last line may lack its newline when the run is over.
    fn lines(&self, mut cursor: u64, last: bool) -> io::Result<(Vec<u8>, u64)> {
        let mut merger = Merger::default();
        merger.add((), Reader::new(&self.run), cursor, None);
        let mut out = Vec::new();
        while let Some(((), entry)) = merger.next().map_err(io::Error::other)? {
            cursor = cursor.max(entry.next());
            if let Entry::Line(line) = entry {
                self.push(&mut out, line.stream == Stream::Stderr, &line.text());
            }
        }
        if last {
            for ((), line) in merger.flush() {
                cursor = cursor.max(line.next);
                self.push(&mut out, line.stream == Stream::Stderr, &line.text());
            }
        }
        Ok((out, cursor))
    }

    fn push(&self, out: &mut Vec<u8>, stderr: bool, text: &str) {
        let line = serde_json::json!({
            "level": if stderr { "error" } else { "info" },
            "process": self.instance.service,
            "replica": self.instance.replica - 1,
            "message": text,
        });
        out.extend_from_slice(line.to_string().as_bytes());
        out.push(b'\n');
    }
}

/// By write and rename: a crash between two writes copies some lines twice, never none.
fn write_mark(mark: &Path, next: u64) -> io::Result<()> {
    let beside = mark.with_extension("new");
    std::fs::write(&beside, next.to_string())?;
    std::fs::rename(&beside, mark)
}
