//! Finding lines.

use crate::lines::{Line, LineSplitter};
use crate::reader::{Item, LogError, Reader};
use regex::bytes::Regex;
use std::collections::VecDeque;

/// How much is read at once.
const BLOCK: usize = 256 << 10;

/// Where to look, and for how much.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// The cursor to begin at.
    pub from: u64,
    /// The cursor to end at; `None`: the end.
    pub until: Option<u64>,
    /// At most this many lines; the newest are kept.
    pub limit: usize,
}

impl Default for Search {
    fn default() -> Self {
        Self { from: 0, until: None, limit: usize::MAX }
    }
}

/// Lines that match, oldest first. The pattern sees one line without its newline.
///
/// # Errors
/// Where the log cannot be read.
pub fn search(reader: &mut Reader, pattern: &Regex, how: Search) -> Result<Vec<Line>, LogError> {
    let end = match how.until {
        Some(until) => until,
        None => reader.end()?,
    };
    let mut found = VecDeque::new();
    let mut keep = |line: Line| {
        if pattern.is_match(&line.bytes) {
            if found.len() >= how.limit {
                found.pop_front();
            }
            if how.limit > 0 {
                found.push_back(line);
            }
        }
    };
    let mut splitter = LineSplitter::default();
    let mut cursor = how.from;
    while cursor < end {
        let max = usize::try_from(end - cursor).unwrap_or(usize::MAX).min(BLOCK);
        let batch = reader.read(cursor, max)?;
        if batch.next == cursor {
            break;
        }
        cursor = batch.next;
        for item in batch.items {
            match item {
                Item::Chunk(chunk) => splitter.push(&chunk, &mut keep),
                Item::Gap(_) => splitter.flush().into_iter().for_each(&mut keep),
            }
        }
    }
    splitter.flush().into_iter().for_each(&mut keep);
    Ok(found.into())
}
