//! Lines from chunks.

use crate::format::Stream;
use crate::reader::Chunk;

/// A line longer than this is given out in pieces, so that a service that never ends a line costs no memory.
pub const MAX_LINE: usize = 1 << 20;

/// How a line came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// With a newline, which is not part of the bytes.
    Newline,
    /// It was longer than [`MAX_LINE`]; the next line of its stream goes on with it.
    Cut,
    /// There is nothing more for now.
    Open,
}

/// One line of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Offset of the first byte.
    pub offset: u64,
    /// Offset behind the last byte: the cursor to go on with after this line.
    pub next: u64,
    /// When its first byte was drained, nanoseconds of the real-time clock.
    pub time_ns: u64,
    /// Where it came from.
    pub stream: Stream,
    /// The bytes without the newline.
    pub bytes: Vec<u8>,
    /// How it ended.
    pub end: LineEnd,
}

impl Line {
    /// The line as text: without the carriage return a terminal adds, unreadable bytes replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes.strip_suffix(b"\r").unwrap_or(&self.bytes))
    }
}

/// Makes lines of chunks, each stream for itself: a line of stdout that stderr interrupted stays one line.
#[derive(Debug, Default)]
pub struct LineSplitter {
    open: Vec<Line>,
}

impl LineSplitter {
    /// Takes the next chunk and gives its complete lines to `out`, in the order in which they were completed.
    pub fn push(&mut self, chunk: &Chunk, mut out: impl FnMut(Line)) {
        let mut at = 0;
        while at < chunk.bytes.len() {
            let rest = &chunk.bytes[at..];
            let offset = chunk.offset + at as u64;
            let mut line = self.take(chunk, offset);
            let room = MAX_LINE - line.bytes.len();
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let (taken, used, end) = match newline {
                Some(place) if place <= room => (place, place + 1, LineEnd::Newline),
                Some(_) => (room, room, LineEnd::Cut),
                None if rest.len() >= room => (room, room, LineEnd::Cut),
                None => (rest.len(), rest.len(), LineEnd::Open),
            };
            line.bytes.extend_from_slice(&rest[..taken]);
            line.next = offset + used as u64;
            line.end = end;
            at += used;
            match end {
                LineEnd::Newline | LineEnd::Cut => out(line),
                LineEnd::Open => self.open.push(line),
            }
        }
    }

    /// Gives out what has no newline yet: the end was reached, or bytes are missing here.
    pub fn flush(&mut self) -> Vec<Line> {
        let mut lines = std::mem::take(&mut self.open);
        lines.sort_by_key(|line| line.offset);
        lines
    }

    /// Whether a line is open.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn take(&mut self, chunk: &Chunk, offset: u64) -> Line {
        match self.open.iter().position(|line| line.stream == chunk.stream) {
            Some(at) => self.open.swap_remove(at),
            None => Line {
                offset,
                next: offset,
                time_ns: chunk.time_ns,
                stream: chunk.stream,
                bytes: Vec::new(),
                end: LineEnd::Open,
            },
        }
    }
}
