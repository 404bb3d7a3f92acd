//! Watching a run's output for lines.

use crate::{Pattern, ProbeContext};
use std::io;

/// An unfinished line is matched and kept up to this length; what is longer is a stream without lines.
const LINE_LIMIT: usize = 64 << 10;

/// How many times a source is asked in one attempt: a flood is looked at in the next one.
const READS: usize = 64;

/// New bytes of one run's log, from its first byte on.
pub trait LogSource: Send {
    /// What was written since the last call; empty when there is nothing new.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn poll_new(&mut self) -> io::Result<Vec<u8>>;
}

/// Looks for patterns in a run's log. What matched once stays matched for the run.
pub struct LogWatch {
    source: Box<dyn LogSource>,
    patterns: Vec<(Pattern, bool)>,
    unfinished: Vec<u8>,
}

impl std::fmt::Debug for LogWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWatch").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}

impl LogWatch {
    /// All patterns that will ever be asked for: see [`ResolvedCheck::log_patterns`](crate::ResolvedCheck::log_patterns).
    #[must_use]
    pub fn new(source: Box<dyn LogSource>, patterns: Vec<Pattern>) -> Self {
        let patterns = patterns.into_iter().map(|pattern| (pattern, false)).collect();
        Self { source, patterns, unfinished: Vec::new() }
    }

    /// Reads what is new and says whether the pattern has matched a line of the run so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn matched(&mut self, pattern: &Pattern) -> io::Result<bool> {
        for _ in 0..READS {
            if self.has(pattern) {
                return Ok(true);
            }
            let new = self.source.poll_new()?;
            if new.is_empty() {
                break;
            }
            self.take(&new);
        }
        Ok(self.has(pattern))
    }

    fn has(&self, pattern: &Pattern) -> bool {
        self.patterns.iter().any(|(known, matched)| *matched && known == pattern)
    }

    fn take(&mut self, new: &[u8]) {
        self.unfinished.extend_from_slice(new);
        let mut text = std::mem::take(&mut self.unfinished);
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|byte| *byte == b'\n') {
            self.line(line);
        }
        text.drain(..whole);
        // A prompt or a last line has no newline.
        self.line(&text);
        if text.len() > LINE_LIMIT {
            text.drain(..text.len() - LINE_LIMIT);
        }
        self.unfinished = text;
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(line);
        for (pattern, matched) in &mut self.patterns {
            *matched = *matched || pattern.is_match(&text);
        }
    }
}

/// Passes when a line matched.
pub(crate) fn check(pattern: &Pattern, context: &ProbeContext) -> Result<(), String> {
    let mut log = context.log();
    let Some(watch) = log.as_mut() else { return Err("its log is not there yet".to_owned()) };
    match watch.matched(pattern) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("no line of its log matches `{}`", pattern.as_str())),
        Err(error) => Err(format!("its log cannot be read: {error}")),
    }
}
