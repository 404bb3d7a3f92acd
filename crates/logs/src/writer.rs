//! The writing side: never fails, never waits, allocates only when a segment ends.

use crate::format::{ENTRY_LEN, HEADER_LEN, Header, IndexEntry, Stream, data_path, index_path};
use crate::segment::{self, Segment};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// How many bytes of a run's log are kept on disk unless something else was asked for.
pub const DEFAULT_KEEP: u64 = 64 << 20;
/// The smallest log that is kept; less is raised to this.
pub const MIN_KEEP: u64 = 256 << 10;

/// A run's log is this many segments long.
const SEGMENTS: u64 = 8;
/// How long a segment waits for the end of a line.
const MAX_LATE: u64 = 1 << 20;
/// More segments than this are never kept: after losses they may be small.
const MAX_OLD: usize = 64;
/// An entry at least per this many bytes,
const ENTRY_BYTES: u64 = 64 << 10;
/// and per this much time.
const ENTRY_NS: u64 = 10_000_000;
/// After a write failed, the next attempt comes this much later.
const RETRY_NS: u64 = 250_000_000;

/// Writes a run's log. There is one writer at a time; the caller sees to that.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    keep: u64,
    size: u64,
    late: u64,
    /// None before the first byte: a service that is silent has no log, and costs no files.
    current: Option<Open>,
    /// Offset behind the last byte the service wrote, kept or not.
    offset: u64,
    last: Option<IndexEntry>,
    last_time: u64,
    line_open: bool,
    old: VecDeque<(u64, u64)>,
    old_bytes: u64,
    lost: u64,
    gaps: u64,
    /// Bytes lost since the last byte that was kept.
    pending: u64,
    retry_at: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    data: File,
    index: File,
    len: u64,
    index_len: u64,
}

impl Open {
    fn create(folder: &Path, number: u64, header: Header) -> io::Result<Self> {
        let data = OpenOptions::new().create(true).truncate(true).write(true).open(data_path(folder, number))?;
        let index = OpenOptions::new().create(true).truncate(true).write(true).open(index_path(folder, number))?;
        index.write_all_at(&header.encode(), 0)?;
        Ok(Self { number, data, index, len: 0, index_len: HEADER_LEN })
    }

    fn used(&self) -> u64 {
        self.len + self.index_len
    }
}

impl Writer {
    /// Begins a run's log in a folder that has none; about `keep` bytes of it are kept. The first segment is made for
    /// the first byte.
    pub fn create(folder: &Path, keep: u64) -> Self {
        let keep = keep.max(MIN_KEEP);
        let size = keep / SEGMENTS;
        Self {
            folder: folder.to_owned(),
            keep,
            size,
            late: MAX_LATE.min(size),
            current: None,
            offset: 0,
            last: None,
            last_time: 0,
            line_open: false,
            old: VecDeque::new(),
            old_bytes: 0,
            lost: 0,
            gaps: 0,
            pending: 0,
            retry_at: 0,
        }
    }

    /// Goes on where a writer that is gone has stopped, or begins.
    ///
    /// # Errors
    /// Where the folder or its last segment cannot be opened.
    pub fn resume(folder: &Path, keep: u64) -> io::Result<Self> {
        let numbers = segment::list(folder)?;
        let mut last = None;
        let mut old = VecDeque::new();
        for number in numbers {
            let Some(segment) = Segment::open(folder, number)? else { continue };
            if let Some((before, bytes)) = last.replace((number, bytes_of(folder, number))) {
                old.push_back((before, bytes));
            }
            drop(segment);
        }
        let Some((number, _)) = last else { return Ok(Self::create(folder, keep)) };
        let Some(mut segment) = Segment::open(folder, number)? else { return Ok(Self::create(folder, keep)) };
        let end = segment.end()?;
        let entries = segment.entries()?;
        let (count, entry) = (entries.len() as u64, entries.last().copied());
        let keep = keep.max(MIN_KEEP);
        let size = keep / SEGMENTS;
        let data = OpenOptions::new().append(true).open(data_path(folder, number))?;
        let index = OpenOptions::new().write(true).open(index_path(folder, number))?;
        let len = end - segment.header.start;
        Ok(Self {
            folder: folder.to_owned(),
            keep,
            size,
            late: MAX_LATE.min(size),
            // a torn entry is written over
            current: Some(Open { number, data, index, len, index_len: HEADER_LEN + count * ENTRY_LEN }),
            offset: end,
            last: None,
            last_time: entry.map_or(segment.header.made_ns, |entry| entry.time_ns),
            line_open: false,
            old_bytes: old.iter().map(|(_, bytes)| bytes).sum(),
            old,
            lost: 0,
            gaps: 0,
            pending: 0,
            retry_at: 0,
        })
    }

    /// Offset behind the last byte: how many bytes the service has written.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes could not be kept.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// In how many gaps.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Appends what was drained at `now_ns` (real-time clock; a step back is held still). What the disk does not take
    /// is counted as lost.
    pub fn append(&mut self, stream: Stream, bytes: &[u8], now_ns: u64) {
        let now = now_ns.max(self.last_time);
        self.last_time = now;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.append_part(stream, rest, now) {
                Ok(count) => rest = &rest[count..],
                Err(_) => {
                    self.lose(rest.len() as u64, now);
                    return;
                }
            }
        }
    }

    /// Appends what was drained elsewhere at `now_ns` and can be had again: what the disk does not take is an error here,
    /// and no loss. [`offset`](Self::offset) tells how much was taken.
    ///
    /// # Errors
    /// The system's.
    pub fn try_append(&mut self, stream: Stream, bytes: &[u8], now_ns: u64) -> io::Result<()> {
        let now = now_ns.max(self.last_time);
        self.last_time = now;
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.append_part(stream, rest, now)?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Leaves out bytes that are nowhere to be had: readers are told of a gap.
    pub fn skip(&mut self, count: u64) {
        if self.pending == 0 && count > 0 {
            self.gaps += 1;
        }
        self.pending += count;
        self.lost += count;
        self.offset += count;
    }

    /// Whether the log on disk is as this writer left it: nobody else wrote to it or removed it. Says no where it cannot
    /// be told; [`resume`](Self::resume) then sees what is there.
    pub fn is_as_left(&self) -> bool {
        let Some(current) = &self.current else { return false };
        let len = current.data.metadata().map(|metadata| metadata.len());
        // the header of a segment without bytes may have been written again
        current.len > 0
            && len.is_ok_and(|len| len == current.len)
            && segment::exists(&self.folder, current.number)
            && !segment::exists(&self.folder, current.number + 1)
    }

    /// Records a loss that is still open, so that readers learn of it. The caller ends with this.
    pub fn finish(&mut self, now_ns: u64) {
        if self.pending > 0 && self.begin_segment(now_ns.max(self.last_time)).is_ok() {
            self.pending = 0;
        }
    }

    fn append_part(&mut self, stream: Stream, bytes: &[u8], now: u64) -> io::Result<usize> {
        if self.pending > 0 {
            if now < self.retry_at {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.begin_segment(now)?;
        } else if self.current.as_ref().is_none_or(|current| self.is_full(current)) {
            self.begin_segment(now)?;
        }
        let Some(mut current) = self.current.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let taken = self.write(&mut current, stream, bytes, now);
        self.current = Some(current);
        taken
    }

    fn write(&mut self, current: &mut Open, stream: Stream, bytes: &[u8], now: u64) -> io::Result<usize> {
        let count = self.room(current, bytes);
        self.mark(current, stream, now)?;
        let taken = loop {
            match current.data.write(&bytes[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => break taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.pending = 0;
        self.offset += taken as u64;
        current.len += taken as u64;
        self.line_open = bytes[taken - 1] != b'\n';
        Ok(taken)
    }

    fn is_full(&self, current: &Open) -> bool {
        let used = current.used();
        current.len > 0 && used >= self.size && (!self.line_open || used >= self.size + self.late)
    }

    /// How many of these bytes belong into the current segment: up to the first line's end behind its size.
    fn room(&self, current: &Open, bytes: &[u8]) -> usize {
        let used = current.used();
        let count = bytes.len().min(ENTRY_BYTES as usize);
        if used + count as u64 <= self.size {
            return count;
        }
        let from = usize::try_from(self.size.saturating_sub(used)).unwrap_or(usize::MAX).saturating_sub(1).min(count);
        if let Some(at) = bytes[from..count].iter().position(|byte| *byte == b'\n') {
            return from + at + 1;
        }
        let limit = usize::try_from((self.size + self.late).saturating_sub(used)).unwrap_or(usize::MAX);
        // a segment without bytes takes at least one, or nothing would ever move
        count.min(limit.max(1))
    }

    /// Writes an index entry if one is due. It comes before the bytes, see the format.
    fn mark(&mut self, current: &mut Open, stream: Stream, now: u64) -> io::Result<()> {
        let due = self.last.is_none_or(|last| {
            last.stream != stream || self.offset - last.offset >= ENTRY_BYTES || now - last.time_ns >= ENTRY_NS
        });
        if due {
            let entry = IndexEntry { offset: self.offset, time_ns: now, stream };
            current.index.write_all_at(&entry.encode(), current.index_len)?;
            current.index_len += ENTRY_LEN;
            self.last = Some(entry);
        }
        Ok(())
    }

    fn lose(&mut self, count: u64, now: u64) {
        if self.pending == 0 {
            self.gaps += 1;
        }
        if now >= self.retry_at {
            self.retry_at = now + RETRY_NS;
        }
        self.pending += count;
        self.lost += count;
        self.offset += count;
    }

    /// Ends the current segment and begins the next; one that is empty is used again.
    fn begin_segment(&mut self, now: u64) -> io::Result<()> {
        let header = Header { start: self.offset, made_ns: now, lost: self.pending };
        match &mut self.current {
            None => self.current = Some(Open::create(&self.folder, 0, header)?),
            Some(empty) if empty.len == 0 => {
                empty.index.write_all_at(&header.encode(), 0)?;
                empty.index.set_len(HEADER_LEN)?;
                empty.index_len = HEADER_LEN;
            }
            Some(full) => {
                let next = Open::create(&self.folder, full.number + 1, header)?;
                let ended = std::mem::replace(full, next);
                self.old_bytes += ended.used();
                self.old.push_back((ended.number, ended.used()));
            }
        }
        self.last = None;
        self.line_open = false;
        self.forget_oldest();
        Ok(())
    }

    fn forget_oldest(&mut self) {
        let full = self.size + self.late;
        while self.old_bytes + full > self.keep || self.old.len() > MAX_OLD {
            let Some((number, bytes)) = self.old.pop_front() else { return };
            // what cannot be deleted (somebody did it before) must not stop the log
            let _ = fs::remove_file(data_path(&self.folder, number));
            let _ = fs::remove_file(index_path(&self.folder, number));
            self.old_bytes -= bytes;
        }
    }
}

fn bytes_of(folder: &Path, number: u64) -> u64 {
    [data_path(folder, number), index_path(folder, number)]
        .iter()
        .map(|path| fs::metadata(path).map_or(0, |meta| meta.len()))
        .sum()
}
