//! The reading side: from a cursor on, without locks, while the writer goes on.

use crate::format::Stream;
use crate::segment::{self, Segment};
use std::io;
use std::path::{Path, PathBuf};

/// How much is looked at in one step backwards.
const BLOCK: u64 = 64 << 10;

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read the log in `{folder}`")]
pub struct LogError {
    /// The run's folder.
    pub folder: PathBuf,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

/// Bytes that came from one stream at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Offset of the first byte, counted from the run's first byte.
    pub offset: u64,
    /// When it was drained, nanoseconds of the real-time clock.
    pub time_ns: u64,
    /// Where it came from.
    pub stream: Stream,
    /// The bytes as they were written.
    pub bytes: Vec<u8>,
}

/// Why bytes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// They were older than what is kept.
    Rotated,
    /// They could not be written (the disk was full), or their supervisor was killed.
    Lost,
}

/// Bytes that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Offset of the first missing byte.
    pub offset: u64,
    /// How many are missing.
    pub bytes: u64,
    /// Why.
    pub cause: GapCause,
    /// When what follows was begun, nanoseconds of the real-time clock.
    pub time_ns: u64,
}

/// What a reader finds at a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Bytes.
    Chunk(Chunk),
    /// Missing bytes.
    Gap(Gap),
}

/// What [`Reader::read`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub items: Vec<Item>,
    /// The cursor to go on with. Equal to the one asked with: there is nothing new.
    pub next: u64,
}

/// Reads a run's log. Keeps the segment of the last call open, so that following is cheap.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    segments: Vec<(u64, u64)>,
    open: Option<Segment>,
}

impl Reader {
    /// A reader for the run in `folder`; there need not be a log yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), segments: Vec::new(), open: None }
    }

    /// Offset of the oldest byte that is kept.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn first(&mut self) -> Result<u64, LogError> {
        self.segments.clear();
        self.refresh().map_err(|source| self.error(source))?;
        Ok(self.segments.first().map_or(0, |(_, start)| *start))
    }

    /// Offset behind the newest byte.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn end(&mut self) -> Result<u64, LogError> {
        self.try_end().map_err(|source| self.error(source))
    }

    /// Reads at most about `max` bytes from the cursor on: what is there now, which may be nothing.
    ///
    /// # Errors
    /// Where the folder or a segment cannot be read.
    pub fn read(&mut self, cursor: u64, max: usize) -> Result<Batch, LogError> {
        self.try_read(cursor, max).map_err(|source| self.error(source))
    }

    /// The cursor of the first byte drained at `time_ns` or later; the end where there is none yet. Of
    /// times that lie less than 10 ms apart a run's log knows the first.
    ///
    /// # Errors
    /// Where the folder or a segment cannot be read.
    pub fn since(&mut self, time_ns: u64) -> Result<u64, LogError> {
        self.try_since(time_ns).map_err(|source| self.error(source))
    }

    /// The cursor behind the last byte drained at `time_ns` or before.
    ///
    /// # Errors
    /// Where the folder or a segment cannot be read.
    pub fn until(&mut self, time_ns: u64) -> Result<u64, LogError> {
        self.since(time_ns.saturating_add(1))
    }

    /// The cursor of the last `lines` lines; a last line without its newline counts.
    ///
    /// # Errors
    /// Where the folder or a segment cannot be read.
    pub fn last_lines(&mut self, lines: usize) -> Result<u64, LogError> {
        self.try_last_lines(lines).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> LogError {
        LogError { folder: self.folder.clone(), source }
    }

    /// Brings the list of segments up to date: all of them at first, later only new ones.
    fn refresh(&mut self) -> io::Result<()> {
        while let Some((last, _)) = self.segments.last().copied() {
            if let Some(segment) = Segment::open(&self.folder, last + 1)? {
                self.segments.push((last + 1, segment.header.start));
            } else if segment::exists(&self.folder, last) {
                return Ok(());
            } else {
                // the writer was so fast that this one and those after it are gone
                self.segments.clear();
            }
        }
        let numbers = match segment::list(&self.folder) {
            Ok(numbers) => numbers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for number in numbers {
            if let Some(segment) = Segment::open(&self.folder, number)? {
                self.segments.push((number, segment.header.start));
            }
        }
        Ok(())
    }

    /// Opens the segment at this place of the list; forgets it where it is gone.
    fn open_at(&mut self, at: usize) -> io::Result<bool> {
        let number = self.segments[at].0;
        if self.open.as_ref().is_some_and(|open| open.number == number && open.settled) {
            return Ok(true);
        }
        match Segment::open(&self.folder, number)? {
            Some(segment) => {
                self.segments[at].1 = segment.header.start;
                self.open = Some(segment);
                Ok(true)
            }
            None => {
                self.segments.drain(..=at);
                Ok(false)
            }
        }
    }

    fn try_end(&mut self) -> io::Result<u64> {
        self.refresh()?;
        while let Some(at) = self.segments.len().checked_sub(1) {
            if self.open_at(at)? {
                return self.open.as_ref().map_or(Ok(0), Segment::end);
            }
            self.refresh()?;
        }
        Ok(0)
    }

    fn try_read(&mut self, cursor: u64, max: usize) -> io::Result<Batch> {
        let mut batch = Batch { items: Vec::new(), next: cursor };
        let mut left = max.max(1);
        if self.segments.is_empty() {
            self.refresh()?;
        }
        while left > 0 && !self.segments.is_empty() {
            let at = self.segments.partition_point(|(_, start)| *start <= batch.next);
            let Some(at) = at.checked_sub(1) else {
                self.skip_to(0, &mut batch)?;
                continue;
            };
            if !self.open_at(at)? {
                self.refresh()?;
                continue;
            }
            let Some(open) = self.open.as_mut() else { break };
            if open.header.start > batch.next {
                continue;
            }
            let taken = take(open, &mut batch, left)?;
            left -= taken.min(left);
            if taken > 0 {
                continue;
            }
            if at + 1 == self.segments.len() {
                let last = self.segments.last().copied();
                self.refresh()?;
                if self.segments.last().copied() == last {
                    break;
                }
                // more bytes may have come between the look at this segment and the look for the next
                continue;
            }
            self.skip_to(at + 1, &mut batch)?;
        }
        Ok(batch)
    }

    /// Goes on at the beginning of a segment; what lies between is a gap.
    fn skip_to(&mut self, at: usize, batch: &mut Batch) -> io::Result<()> {
        if !self.open_at(at)? {
            return self.refresh();
        }
        let Some(open) = self.open.as_ref() else { return Ok(()) };
        let header = open.header;
        if header.start > batch.next {
            let bytes = header.start - batch.next;
            let cause = if header.lost >= bytes { GapCause::Lost } else { GapCause::Rotated };
            batch.items.push(Item::Gap(Gap { offset: batch.next, bytes, cause, time_ns: header.made_ns }));
            batch.next = header.start;
        }
        Ok(())
    }

    fn try_since(&mut self, time_ns: u64) -> io::Result<u64> {
        // asked before the entries: bytes that are written meanwhile lie behind it, and are not left out
        let end = self.try_end()?;
        self.segments.clear();
        self.refresh()?;
        let mut found = None;
        for at in (0..self.segments.len()).rev() {
            let (number, start) = self.segments[at];
            let Some(mut segment) = Segment::open(&self.folder, number)? else { break };
            let entries = segment.entries()?;
            let first = entries.partition_point(|entry| entry.time_ns < time_ns);
            if let Some(entry) = entries.get(first) {
                found = Some(entry.offset);
            }
            if first > 0 {
                break;
            }
            if found.is_some() {
                found = Some(start);
            }
        }
        Ok(found.unwrap_or(end))
    }

    fn try_last_lines(&mut self, lines: usize) -> io::Result<u64> {
        let mut cursor = self.try_end()?;
        let end = cursor;
        let mut left = lines;
        if left == 0 {
            return Ok(end);
        }
        let mut buffer = vec![0; BLOCK as usize];
        for at in (0..self.segments.len()).rev() {
            let (number, start) = self.segments[at];
            let Some(segment) = Segment::open(&self.folder, number)? else { break };
            let mut to = segment.end()?.min(end);
            while to > start {
                let from = to.saturating_sub(BLOCK).max(start);
                let wanted = usize::try_from(to - from).unwrap_or(0);
                let count = segment.read_at(from, &mut buffer[..wanted])?;
                for place in (0..count).rev() {
                    let next = from + place as u64 + 1;
                    // the newline that ends the very last line begins no other
                    if buffer[place] == b'\n' && next != end {
                        left -= 1;
                        if left == 0 {
                            return Ok(next);
                        }
                    }
                }
                to = from;
            }
            cursor = start;
        }
        Ok(cursor)
    }
}

/// Takes bytes of the open segment, cut where stream or time change; tells how many.
fn take(open: &mut Segment, batch: &mut Batch, max: usize) -> io::Result<usize> {
    let end = open.end()?;
    let mut taken = 0;
    while batch.next < end && taken < max {
        let (entry, until) = open.cover(batch.next)?;
        let to = end.min(until).min(batch.next + (max - taken) as u64);
        let mut bytes = vec![0; usize::try_from(to - batch.next).unwrap_or(0)];
        let count = open.read_at(batch.next, &mut bytes)?;
        if count == 0 {
            break;
        }
        bytes.truncate(count);
        let chunk = Chunk { offset: batch.next, time_ns: entry.time_ns, stream: entry.stream, bytes };
        batch.items.push(Item::Chunk(chunk));
        batch.next += count as u64;
        taken += count;
    }
    Ok(taken)
}
