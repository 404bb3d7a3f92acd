//! After a shim was killed: what is left in the holds and the pipes goes to the log, and the run gets an end.
//!
//! Of what is in a hold its [record](crate::hold) tells what the log has already.

use crate::hold::{HOLD_FILE, Place, Record};
use crate::protocol::{ExitCause, Usage};
use crate::record::{ExitRecord, RecordError};
use crate::sys;
use muster_logs::{Redactor, Stream, Writer};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests;

const READ: usize = 64 << 10;

/// Duplicates of the reading ends of a run's pipes, as [`Request::GiveFds`](crate::Request::GiveFds) gave them: what
/// keeps the bytes that are not in the log yet when the shim is killed.
#[derive(Debug, Default)]
pub struct Pipes {
    outputs: Vec<(Stream, OwnedFd)>,
    holds: Vec<OwnedFd>,
}

impl Pipes {
    /// Takes the descriptors that came with a [`Message::Fds`](crate::Message::Fds) of these streams; the rest of them
    /// are the holds.
    pub fn of(streams: Vec<Stream>, fds: Vec<OwnedFd>) -> Self {
        let mut fds = fds.into_iter();
        // the descriptor is the second one asked for: a stream without one takes none away
        let outputs = streams.into_iter().zip(&mut fds).collect();
        Self { outputs, holds: fds.collect() }
    }
}

/// What is known of a run whose shim is gone.
#[derive(Debug)]
pub struct Salvage<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// Duplicates of the pipes' reading ends.
    pub pipes: Pipes,
    /// The run's secrets: they are nowhere on disk.
    pub secrets: &'a [Vec<u8>],
    /// How much log is kept.
    pub keep: u64,
    /// How the run ended as far as the caller can tell: `SupervisorKilled`, or `Unknown` where nobody watched.
    pub cause: ExitCause,
}

/// Why a run could not be salvaged.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// The log could not be continued, or the record not be written.
    #[error("could not write to the run's folder")]
    Io(#[from] io::Error),
    /// What the shim had recorded could not be read.
    #[error("could not read what the supervisor recorded")]
    Record(#[from] RecordError),
}

/// Appends what is left in the pipes to the log and writes the `exit` record. Call it when the tree is gone. A real
/// exit that the shim had recorded before it died is kept; calling it again changes nothing.
///
/// # Errors
/// Where the log or the record cannot be read or written.
pub fn salvage(what: Salvage<'_>) -> Result<ExitRecord, SalvageError> {
    let known = ExitRecord::read(what.folder)?;
    if let Some(record) = known.filter(ExitRecord::is_complete) {
        return Ok(record);
    }
    let now = sys::realtime_ns();
    let mut writer = Writer::resume(what.folder, what.keep)?;
    let Pipes { mut outputs, holds } = what.pipes;
    let mut held = take_held(what.folder, holds, writer.offset())?;
    // the block that was on its way goes on before anything else
    outputs.sort_by_key(|(stream, _)| !held.iter().any(|held| held.stream == *stream && held.under_way));
    for (stream, fd) in outputs {
        let mut rest = Rest::new(&mut writer, stream, what.secrets);
        if let Some(at) = held.iter().position(|held| held.stream == stream) {
            rest.go_on(&held.swap_remove(at));
        }
        rest.drain(fd)?;
    }
    writer.finish(sys::realtime_ns());
    let (cause, exited_ns, usage) =
        known.map_or((what.cause, now, Usage::default()), |known| (known.cause, known.exited_ns, known.usage));
    let record = ExitRecord {
        cause,
        exited_ns,
        ended_ns: sys::realtime_ns(),
        usage,
        log_end: writer.offset(),
        log_lost: writer.lost() + known.map_or(0, |known| known.log_lost),
        log_gaps: writer.gaps() + known.map_or(0, |known| known.log_gaps),
    };
    record.write(what.folder)?;
    // there is none where nothing was held
    let _ = std::fs::remove_file(what.folder.join(HOLD_FILE));
    Ok(record)
}

/// What was in a hold.
struct Held {
    stream: Stream,
    /// Whether the shim was about to log it.
    under_way: bool,
    bytes: Vec<u8>,
    /// How many of the first bytes belong to a secret that is complete.
    covered: usize,
    /// How many of the first bytes the log has.
    logged: usize,
}

/// Empties the holds, for a log that ends at `log_end`.
fn take_held(folder: &Path, holds: Vec<OwnedFd>, log_end: u64) -> io::Result<Vec<Held>> {
    let mut all = Vec::new();
    for (number, fd) in holds.into_iter().enumerate() {
        let mut bytes = Vec::new();
        each_block(fd, |block| bytes.extend_from_slice(block))?;
        // what is in a hold was recorded before
        let Some(record) = Record::read(folder, number).filter(|_| !bytes.is_empty()) else { continue };
        let mut logged = usize::try_from(record.logged(log_end, bytes.len() as u64)).unwrap_or(usize::MAX);
        if let Place::Until(_) = record.place {
            // it was begun in the middle: what is covered, is of the rest
            bytes.drain(..logged);
            logged = 0;
        }
        let under_way = record.place != Place::Waiting;
        all.push(Held { stream: record.stream, under_way, bytes, covered: record.covered as usize, logged });
    }
    Ok(all)
}

/// The rest of one stream on its way to the log.
struct Rest<'a> {
    writer: &'a mut Writer,
    stream: Stream,
    redactor: Option<Redactor>,
    clean: Vec<u8>,
    /// How many bytes, from here on, the log has.
    logged: usize,
}

impl<'a> Rest<'a> {
    fn new(writer: &'a mut Writer, stream: Stream, secrets: &[Vec<u8>]) -> Self {
        Self { writer, stream, redactor: Redactor::new(secrets), clean: Vec::new(), logged: 0 }
    }

    fn go_on(&mut self, held: &Held) {
        if let Some(redactor) = &mut self.redactor {
            redactor.cover(held.covered);
        }
        self.logged = held.logged;
        self.take(&held.bytes);
    }

    fn take(&mut self, bytes: &[u8]) {
        match &mut self.redactor {
            None => append(self.writer, self.stream, bytes, &mut self.logged),
            Some(redactor) => {
                redactor.push(bytes, &mut self.clean);
                append(self.writer, self.stream, &self.clean, &mut self.logged);
                self.clean.clear();
            }
        }
    }

    fn drain(mut self, fd: OwnedFd) -> io::Result<()> {
        each_block(fd, |block| self.take(block))?;
        if let Some(redactor) = &mut self.redactor {
            redactor.flush(&mut self.clean);
            append(self.writer, self.stream, &self.clean, &mut self.logged);
        }
        Ok(())
    }
}

/// Appends bytes but the first `logged` of them, which the log has.
fn append(writer: &mut Writer, stream: Stream, bytes: &[u8], logged: &mut usize) {
    let known = (*logged).min(bytes.len());
    *logged -= known;
    writer.append(stream, &bytes[known..], sys::realtime_ns());
}

/// Reads what is there now.
fn each_block(fd: OwnedFd, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    sys::os::nonblocking(fd.as_fd())?;
    let mut file = File::from(fd);
    let mut buffer = vec![0; READ];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // empty though somebody may still write, or a terminal without its other side
            Err(_) => return Ok(()),
        }
    }
}
