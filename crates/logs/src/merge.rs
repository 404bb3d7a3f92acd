//! Lines of several runs in the order of time.

use crate::lines::{Line, LineSplitter};
use crate::reader::{Gap, Item, LogError, Reader};
use std::collections::VecDeque;

/// How much of each log is read ahead.
const READ_AHEAD: usize = 64 << 10;

/// What a merged log consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A line.
    Line(Line),
    /// Missing bytes.
    Gap(Gap),
}

impl Entry {
    /// When it was, nanoseconds of the real-time clock.
    pub fn time_ns(&self) -> u64 {
        match self {
            Self::Line(line) => line.time_ns,
            Self::Gap(gap) => gap.time_ns,
        }
    }

    /// The cursor behind it.
    pub fn next(&self) -> u64 {
        match self {
            Self::Line(line) => line.next,
            Self::Gap(gap) => gap.offset + gap.bytes,
        }
    }
}

/// Merges the logs of several runs by time; each is named by a key of the caller's. Within one run the order stays as
/// it is. Reads ahead 64 KiB of each, whatever their length.
#[derive(Debug)]
pub struct Merger<K> {
    sources: Vec<Source<K>>,
}

#[derive(Debug)]
struct Source<K> {
    key: K,
    reader: Reader,
    cursor: u64,
    until: Option<u64>,
    splitter: LineSplitter,
    ready: VecDeque<Entry>,
    ended: bool,
}

impl<K> Default for Merger<K> {
    fn default() -> Self {
        Self { sources: Vec::new() }
    }
}

impl<K: Clone + PartialEq> Merger<K> {
    /// Adds a log from a cursor on, up to another or without an end.
    pub fn add(&mut self, key: K, reader: Reader, cursor: u64, until: Option<u64>) {
        self.sources.push(Source {
            key,
            reader,
            cursor,
            until,
            splitter: LineSplitter::default(),
            ready: VecDeque::new(),
            ended: false,
        });
    }

    /// Nothing that comes later is waited for: what has no newline at the end of this log is a line in the order of time.
    pub fn end(&mut self, key: &K) {
        for source in self.sources.iter_mut().filter(|source| source.key == *key) {
            source.ended = true;
        }
    }

    /// Takes a log out; its open lines are given back.
    pub fn remove(&mut self, key: &K) -> Vec<Line> {
        let Some(at) = self.sources.iter().position(|source| source.key == *key) else { return Vec::new() };
        self.sources.swap_remove(at).splitter.flush()
    }

    /// The next entry in the order of time; `None`: nothing for now. Call again when a log has grown.
    ///
    /// # Errors
    /// Where a log cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and after nothing there may be something again")]
    pub fn next(&mut self) -> Result<Option<(K, Entry)>, LogError> {
        let mut best: Option<(usize, u64)> = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            source.fill()?;
            if let Some(time) = source.ready.front().map(Entry::time_ns)
                && best.is_none_or(|(_, least)| time < least)
            {
                best = Some((at, time));
            }
        }
        let Some((at, _)) = best else { return Ok(None) };
        let source = &mut self.sources[at];
        Ok(source.ready.pop_front().map(|entry| (source.key.clone(), entry)))
    }

    /// The lines that have no newline yet, by time: for the end, or when nothing came for a while.
    pub fn flush(&mut self) -> Vec<(K, Line)> {
        let mut lines: Vec<(K, Line)> = self
            .sources
            .iter_mut()
            .flat_map(|source| source.splitter.flush().into_iter().map(|line| (source.key.clone(), line)))
            .collect();
        lines.sort_by_key(|(_, line)| line.time_ns);
        lines
    }
}

impl<K> Source<K> {
    fn fill(&mut self) -> Result<(), LogError> {
        while self.ready.is_empty() {
            let room = self.until.map_or(READ_AHEAD as u64, |until| until.saturating_sub(self.cursor));
            if room == 0 {
                self.close();
                return Ok(());
            }
            let max = usize::try_from(room).unwrap_or(usize::MAX).min(READ_AHEAD);
            let batch = self.reader.read(self.cursor, max)?;
            if batch.next == self.cursor {
                self.close();
                return Ok(());
            }
            self.cursor = batch.next;
            for item in batch.items {
                match item {
                    Item::Chunk(chunk) => self.splitter.push(&chunk, |line| self.ready.push_back(Entry::Line(line))),
                    Item::Gap(gap) => {
                        self.ready.extend(self.splitter.flush().into_iter().map(Entry::Line));
                        self.ready.push_back(Entry::Gap(gap));
                    }
                }
            }
        }
        Ok(())
    }

    /// There is no more for now.
    fn close(&mut self) {
        if self.ended {
            self.ready.extend(self.splitter.flush().into_iter().map(Entry::Line));
        }
    }
}
