//! The log of a scripted run, with what every log of ours has: a bound, gaps that are told, and no secrets.

use crate::contract::LogChunk;
use muster_spec::SecretText;

/// What a run wrote and is kept.
#[derive(Debug)]
pub(super) struct Log {
    chunks: Vec<LogChunk>,
    end: u64,
    keep: u64,
    secrets: Vec<SecretText>,
}

impl Log {
    pub(super) fn new(keep: u64, secrets: &[SecretText]) -> Self {
        Self { chunks: Vec::new(), end: 0, keep, secrets: secrets.to_vec() }
    }

    /// Adds a text; where the log ends then. The oldest pieces go when there are more bytes than are kept.
    pub(super) fn write(&mut self, text: &str, stderr: bool, time_ns: u64) -> u64 {
        let redacted = self.secrets.iter().fold(text.to_owned(), |text, secret| {
            let secret = secret.expose();
            text.replace(secret, &"*".repeat(secret.len()))
        });
        let chunk = LogChunk { offset: self.end, time_ns, stderr, bytes: redacted.into(), gap: 0 };
        self.end += chunk.bytes.len() as u64;
        self.chunks.push(chunk);
        let goes = self.chunks.iter().take_while(|chunk| self.end - chunk.offset > self.keep).count();
        // the last piece is kept however large it is
        self.chunks.drain(..goes.min(self.chunks.len() - 1));
        self.end
    }

    /// What is kept from an offset on; the first piece tells how much is missing before it.
    pub(super) fn from(&self, from: u64) -> Vec<LogChunk> {
        let mut kept: Vec<LogChunk> = self.chunks.iter().filter_map(|chunk| cut(chunk.clone(), from)).collect();
        if let Some(first) = kept.first_mut() {
            first.gap = first.offset - from;
        }
        kept
    }
}

/// The part of a piece from an offset on.
fn cut(mut chunk: LogChunk, from: u64) -> Option<LogChunk> {
    let skip = usize::try_from(from.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
    if skip >= chunk.bytes.len() {
        return None;
    }
    chunk.bytes.drain(..skip);
    chunk.offset += skip as u64;
    Some(chunk)
}
