//! The service's output on its way into the log: through a hold, see [`crate::hold`], where it comes from a pipe.

use super::hold::{Holds, ROOM, Taken};
use crate::hold::{Place, Record};
use crate::sys;
use muster_logs::{Redactor, Stream, Writer};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

/// A pipe's capacity: more is never there to be read.
const READ: usize = 64 << 10;
/// Large enough that the allocator maps it by itself and gives it back whole.
const BUFFER: usize = 192 << 10;
/// Full reads in a row before the other descriptors get their turn.
const BURST: usize = 16;
/// How long a stream waits for the end of the other's line.
const LINE_WAIT_NS: u64 = 10_000_000;
/// How long the possible beginning of a secret is held back.
const HOLD_NS: u64 = 250_000_000;

/// One pipe or terminal that is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) stream: Stream,
    pub(super) file: File,
    redactor: Option<Redactor>,
    hold: Option<usize>,
    held_until: Option<u64>,
    ended: bool,
}

/// All output of the service, and its log.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) sources: Vec<Source>,
    pub(super) writer: Writer,
    pub(super) holds: Holds,
    buffer: Option<Vec<u8>>,
    clean: Vec<u8>,
    /// The source whose last line has no end yet.
    open: Option<usize>,
    /// When the other source may go on although that line is open.
    gate: Option<u64>,
}

/// A block that was read.
struct Block {
    /// Which bytes of the buffer it is.
    new: Range<usize>,
    /// Whether more is probably there.
    full: bool,
}

impl Outputs {
    pub(super) fn new(folder: &Path, keep: u64) -> Self {
        let (writer, holds) = (Writer::create(folder, keep), Holds::new(folder));
        Self { sources: Vec::new(), writer, holds, buffer: None, clean: Vec::new(), open: None, gate: None }
    }

    pub(super) fn add(&mut self, stream: Stream, file: File, secrets: &[Vec<u8>]) {
        let redactor = Redactor::new(secrets);
        self.sources.push(Source { stream, file, redactor, hold: None, held_until: None, ended: false });
    }

    /// From here on nothing is read that is not in the log. For pipes.
    pub(super) fn hold(&mut self) {
        for source in &mut self.sources {
            source.hold = self.holds.add(source.redactor.is_some());
        }
    }

    /// Whether this source is worth waiting for.
    pub(super) fn wants(&self, at: usize, now: u64) -> bool {
        !self.sources[at].ended && !self.is_closed(at, now)
    }

    /// When something is due without any descriptor being ready.
    pub(super) fn deadline(&self, now: u64) -> Option<u64> {
        let gate = self.gate.filter(|gate| *gate > now);
        self.sources.iter().filter_map(|source| source.held_until).chain(gate).min()
    }

    /// Whether the buffer is there and could be given back.
    pub(super) fn is_warm(&self) -> bool {
        self.buffer.is_some()
    }

    /// Gives memory back that a silent service does not need.
    pub(super) fn cool(&mut self) {
        self.buffer = None;
        self.clean = Vec::new();
        self.holds.cool();
    }

    fn is_closed(&self, at: usize, now: u64) -> bool {
        self.open.is_some_and(|open| open != at && !self.sources[open].ended)
            && self.gate.is_some_and(|gate| now < gate)
    }

    /// Reads what is there of one source and tells how much; what goes to the log also goes to `sink`.
    pub(super) fn pump(&mut self, at: usize, now: u64, sink: &mut dyn FnMut(Stream, &[u8])) -> usize {
        if self.open.is_some_and(|open| open != at && !self.sources[open].ended) {
            let gate = *self.gate.get_or_insert(now + LINE_WAIT_NS);
            if now < gate {
                return 0;
            }
            self.gate = None;
        }
        let mut taken = 0;
        let mut buffer = self.buffer.take().unwrap_or_else(|| vec![0; BUFFER]);
        for _ in 0..BURST {
            match self.take(at, &mut buffer) {
                Ok(Block { new, full }) => {
                    taken += new.len();
                    self.accept(at, &buffer[new], now, sink);
                    if full {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // a terminal whose other side is closed says EIO
                Err(_) => self.sources[at].ended = true,
            }
            break;
        }
        if let Some(hold) = self.sources[at].hold {
            self.holds.rest(hold, self.record(at, Place::Waiting));
        }
        if self.sources[at].ended {
            self.release(at, sink);
        }
        self.buffer = Some(buffer);
        taken
    }

    /// Reads everything that is left, without waiting, and closes the log.
    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Stream, &[u8])) {
        for at in 0..self.sources.len() {
            self.open = None;
            while !self.sources[at].ended && self.pump(at, sys::monotonic_ns(), sink) > 0 {}
            self.release(at, sink);
        }
        self.writer.finish(sys::realtime_ns());
        self.holds.finish();
    }

    /// Gives out what was held back for too long.
    pub(super) fn release_due(&mut self, now: u64, sink: &mut dyn FnMut(Stream, &[u8])) {
        for at in 0..self.sources.len() {
            if self.sources[at].held_until.is_some_and(|until| until <= now) {
                self.release(at, sink);
            }
        }
    }

    /// One block, through the hold where there is one.
    fn take(&mut self, at: usize, buffer: &mut [u8]) -> io::Result<Block> {
        if let Some(hold) = self.sources[at].hold {
            let place = Place::From(self.writer.offset() + self.unheld(at) as u64);
            match self.holds.take(hold, &self.sources[at].file, self.record(at, place), buffer) {
                Taken::Bytes(new) => {
                    let full = self.holds.is_small_for(hold, new.len());
                    if full {
                        self.holds.grow(hold, ROOM);
                    }
                    return Ok(Block { new, full });
                }
                Taken::Nothing => return Err(io::ErrorKind::WouldBlock.into()),
                Taken::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Taken::Unheld => self.holds.forget(hold),
            }
        }
        match self.sources[at].file.read(&mut buffer[..READ])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(Block { new: 0..count, full: count == READ }),
        }
    }

    /// How many bytes the redactor has that the hold has not.
    fn unheld(&self, at: usize) -> usize {
        let source = &self.sources[at];
        let held = source.redactor.as_ref().map_or(0, Redactor::held);
        held.saturating_sub(source.hold.map_or(0, |hold| self.holds.len(hold)))
    }

    fn record(&self, at: usize, place: Place) -> Record {
        let source = &self.sources[at];
        let covered = source.redactor.as_ref().map_or(0, Redactor::covered).saturating_sub(self.unheld(at));
        Record { stream: source.stream, place, covered: u32::try_from(covered).unwrap_or(u32::MAX) }
    }

    /// What was logged leaves the hold.
    fn settle(&mut self, at: usize) {
        let Some(hold) = self.sources[at].hold else { return };
        let (held, covered) = match &self.sources[at].redactor {
            Some(redactor) => (redactor.held(), redactor.covered()),
            None => (0, 0),
        };
        let place = Place::Until(self.writer.offset() + held as u64);
        let covered = u32::try_from(covered).unwrap_or(u32::MAX);
        self.holds.settle(hold, held, Record { stream: self.sources[at].stream, place, covered });
    }

    fn accept(&mut self, at: usize, bytes: &[u8], now: u64, sink: &mut dyn FnMut(Stream, &[u8])) {
        let source = &mut self.sources[at];
        let Some(redactor) = source.redactor.as_mut() else {
            self.log(at, bytes, sink);
            return self.settle(at);
        };
        let mut clean = std::mem::take(&mut self.clean);
        redactor.push(bytes, &mut clean);
        source.held_until = redactor.is_holding().then_some(now + HOLD_NS);
        self.log(at, &clean, sink);
        self.settle(at);
        clean.clear();
        self.clean = clean;
    }

    fn release(&mut self, at: usize, sink: &mut dyn FnMut(Stream, &[u8])) {
        self.sources[at].held_until = None;
        if !self.sources[at].redactor.as_ref().is_some_and(Redactor::is_holding) {
            return;
        }
        if let Some(hold) = self.sources[at].hold.filter(|hold| self.holds.len(*hold) > 0) {
            let place = Place::From(self.writer.offset() + self.unheld(at) as u64);
            if self.holds.mark(hold, self.record(at, place)).is_err() {
                self.holds.forget(hold);
            }
        }
        let mut clean = std::mem::take(&mut self.clean);
        if let Some(redactor) = self.sources[at].redactor.as_mut() {
            redactor.flush(&mut clean);
        }
        self.log(at, &clean, sink);
        self.settle(at);
        clean.clear();
        self.clean = clean;
    }

    fn log(&mut self, at: usize, bytes: &[u8], sink: &mut dyn FnMut(Stream, &[u8])) {
        let Some(last) = bytes.last() else { return };
        let stream = self.sources[at].stream;
        self.writer.append(stream, bytes, sys::realtime_ns());
        self.open = (*last != b'\n').then_some(at);
        if self.open.is_none() {
            self.gate = None;
        }
        sink(stream, bytes);
    }
}
