//! One time-ordered stream over the runs of everything selected; it follows across restarts.

use super::events::async_stream;
use crate::documents::{ErrorDocument, LogLine, LogQuery};
use crate::engine::{Engine, select};
use crate::environment::Handle;
use crate::paths::Paths;
use crate::snapshot::{Snapshot, alive};
use futures::stream::BoxStream;
use muster_logs::{Entry, Line, LineEnd, LogError, Merger, Reader, Stream};
use muster_spec::{EnvironmentId, InstanceId};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Lines that are read before they are passed on.
const PASS: usize = 1_000;

impl Engine {
    /// Lines of output.
    ///
    /// # Errors
    /// No such environment or service, or a wrong regular expression.
    pub fn logs(&self, id: &EnvironmentId, query: LogQuery) -> Result<BoxStream<'static, LogLine>, ErrorDocument> {
        let handle = self.known(id)?;
        let instances = select(&handle.now(), query.select.as_deref())?;
        let grep = query.grep.as_deref().map(Regex::new).transpose().map_err(|error| {
            ErrorDocument::new("command::pattern", 2, format!("`--grep` is not a regular expression: {error}"))
        })?;
        let paths = self.inner.shared.paths.clone();
        let tailing =
            Tailing { paths, handle, instances, query, grep, known: BTreeSet::new(), merger: Merger::default() };
        Ok(async_stream(move |out| tailing.run(out)))
    }
}

/// A run, or a step of one: `3`, `3.build`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    instance: InstanceId,
    number: u64,
    step: Option<String>,
}

struct Tailing {
    paths: Paths,
    handle: Handle,
    instances: BTreeSet<InstanceId>,
    query: LogQuery,
    grep: Option<Regex>,
    known: BTreeSet<Source>,
    merger: Merger<Source>,
}

/// One look: lines, and whether there was more than was passed on.
struct Look {
    lines: Vec<LogLine>,
    more: bool,
}

impl Tailing {
    async fn run(mut self, out: mpsc::Sender<LogLine>) {
        let mut grew = self.handle.logs.clone();
        let mut snapshot = self.handle.snapshot.clone();
        let mut first = true;
        loop {
            grew.borrow_and_update();
            snapshot.borrow_and_update();
            let looked = tokio::task::spawn_blocking(move || {
                let look = self.look(first);
                (self, look)
            })
            .await;
            let Ok((back, look)) = looked else { return };
            self = back;
            first = false;
            let look = match look {
                Ok(look) => look,
                Err(error) => return tracing::warn!(%error, "cannot read a log"),
            };
            for line in look.lines {
                if out.send(line).await.is_err() {
                    return;
                }
            }
            if look.more {
                continue;
            }
            if !self.query.follow {
                return;
            }
            tokio::select! {
                changed = grew.changed() => if changed.is_err() { return },
                changed = snapshot.changed() => if changed.is_err() { return },
                () = out.closed() => return,
            }
        }
    }

    /// Reads what is there. The first look of a query that filters and counts reads all of it.
    fn look(&mut self, first: bool) -> Result<Look, LogError> {
        self.discover(first)?;
        let counting = first && self.filters() && self.query.tail.is_some();
        let mut lines = Vec::new();
        while counting || lines.len() < PASS {
            let Some((source, entry)) = self.merger.next()? else {
                lines.extend(self.open_lines());
                let lines = if counting { last_of_each(lines, self.query.tail.unwrap_or(0)) } else { lines };
                return Ok(Look { lines, more: false });
            };
            lines.extend(self.line(&source, entry));
        }
        Ok(Look { lines, more: true })
    }

    fn filters(&self) -> bool {
        self.grep.is_some() || self.query.stderr
    }

    /// Lines without a newline: of runs that ended, and of all at the end of a query that does not follow.
    fn open_lines(&mut self) -> Vec<LogLine> {
        if !self.query.follow {
            let open = self.merger.flush();
            return open.into_iter().filter_map(|(source, line)| self.line(&source, Entry::Line(line))).collect();
        }
        let now = self.handle.now();
        let ended: Vec<Source> = self.known.iter().filter(|source| is_over(&now, source)).cloned().collect();
        let mut lines = Vec::new();
        for source in ended {
            let open = self.merger.remove(&source);
            lines.extend(open.into_iter().filter_map(|line| self.line(&source, Entry::Line(line))));
        }
        lines
    }

    /// Adds the runs that are new since the last look.
    fn discover(&mut self, first: bool) -> Result<(), LogError> {
        let now = self.handle.now();
        for instance in self.instances.clone() {
            let mut sources = self.runs(&instance);
            if self.query.previous {
                let last = sources.iter().filter(|s| s.step.is_none()).map(|s| s.number).max().unwrap_or(0);
                sources.retain(|source| source.number + 1 == last);
            }
            let from = self.query.from_runs.get(&instance.to_string()).copied().unwrap_or(0);
            sources.retain(|source| source.number >= from && !self.known.contains(source));
            let cursors = if first && !self.filters() { self.tails(&sources)? } else { BTreeMap::new() };
            for source in sources {
                let mut reader = Reader::new(&self.folder(&source));
                let mut cursor = cursors.get(&source).copied().unwrap_or(0);
                if let Some(since) = self.query.since_ns {
                    cursor = cursor.max(reader.since(since)?);
                }
                let until = self.query.until_ns.map(|until| reader.until(until)).transpose()?;
                self.known.insert(source.clone());
                if cursors.is_empty() || cursors.contains_key(&source) {
                    self.merger.add(source.clone(), reader, cursor, until);
                    if !self.query.follow || is_over(&now, &source) {
                        self.merger.end(&source);
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the last lines of an instance begin, over as many of its runs as are needed; empty: no tail was asked for.
    fn tails(&self, sources: &[Source]) -> Result<BTreeMap<Source, u64>, LogError> {
        let mut cursors = BTreeMap::new();
        let Some(mut missing) = self.query.tail else { return Ok(cursors) };
        for source in sources.iter().rev() {
            let mut reader = Reader::new(&self.folder(source));
            let cursor = if missing == 0 { reader.end()? } else { reader.last_lines(missing)? };
            missing = missing.saturating_sub(count_lines(&mut reader, cursor)?);
            cursors.insert(source.clone(), cursor);
        }
        Ok(cursors)
    }

    fn folder(&self, source: &Source) -> PathBuf {
        let name = match &source.step {
            None => source.number.to_string(),
            Some(step) => format!("{}.{step}", source.number),
        };
        self.paths.instance(&self.handle.id, &source.instance).join(name)
    }

    /// The runs of an instance that have a folder, in order.
    fn runs(&self, instance: &InstanceId) -> Vec<Source> {
        let folders = std::fs::read_dir(self.paths.instance(&self.handle.id, instance)).into_iter().flatten();
        let parse = |name: &str| {
            let (number, step) = name.split_once('.').map_or((name, None), |(n, s)| (n, Some(s.to_owned())));
            Some(Source { instance: instance.clone(), number: number.parse().ok()?, step })
        };
        let names = folders.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
        let mut sources: Vec<Source> = names.filter_map(|name| parse(&name)).collect();
        sources.sort();
        sources
    }

    /// An entry as a line, when it is wanted.
    fn line(&self, source: &Source, entry: Entry) -> Option<LogLine> {
        let line = |line: &Line, text: String, gap| LogLine {
            instance: source.instance.to_string(),
            run: source.number,
            offset: line.offset,
            time_ns: line.time_ns,
            stderr: line.stream == Stream::Stderr,
            text,
            gap,
            partial: line.end == LineEnd::Open,
        };
        match entry {
            Entry::Line(found) => {
                let text = found.text().into_owned();
                let wanted = self.grep.as_ref().is_none_or(|grep| grep.is_match(&text))
                    && (!self.query.stderr || found.stream == Stream::Stderr);
                wanted.then(|| line(&found, text, 0))
            }
            Entry::Gap(gap) => Some(LogLine {
                instance: source.instance.to_string(),
                run: source.number,
                offset: gap.offset,
                time_ns: gap.time_ns,
                stderr: false,
                text: String::new(),
                gap: gap.bytes,
                partial: false,
            }),
        }
    }
}

/// Whether a run writes no more. A step says nothing of its end.
fn is_over(now: &Snapshot, source: &Source) -> bool {
    let info = now.instances.get(&source.instance);
    info.is_none_or(|info| info.view.run > source.number || !alive(info.view.state)) && source.step.is_none()
}

fn count_lines(reader: &mut Reader, mut cursor: u64) -> Result<usize, LogError> {
    let mut count = 0;
    // what has no newline is a line as well, one of each stream
    let mut open = Vec::new();
    loop {
        let batch = reader.read(cursor, 1 << 20)?;
        if batch.next == cursor {
            return Ok(count + open.len());
        }
        for item in batch.items {
            if let muster_logs::Item::Chunk(chunk) = item {
                count += chunk.bytes.iter().filter(|byte| **byte == b'\n').count();
                open.retain(|stream| *stream != chunk.stream);
                if !chunk.bytes.ends_with(b"\n") {
                    open.push(chunk.stream);
                }
            }
        }
        cursor = batch.next;
    }
}

/// The last lines of each instance, in their order.
fn last_of_each(lines: Vec<LogLine>, tail: usize) -> Vec<LogLine> {
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept = VecDeque::new();
    for line in lines.into_iter().rev() {
        let left = left.entry(line.instance.clone()).or_insert(tail);
        if *left > 0 {
            *left -= 1;
            kept.push_front(line);
        }
    }
    kept.into()
}
