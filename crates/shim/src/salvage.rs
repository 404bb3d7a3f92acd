//! After a shim was killed: what is left in the pipes goes to the log, and the run gets an end.

use crate::protocol::{ExitCause, Usage};
use crate::record::{ExitRecord, RecordError};
use crate::sys;
use muster_logs::{Redactor, Stream, Writer};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

const READ: usize = 64 << 10;

/// What is known of a run whose shim is gone.
#[derive(Debug)]
pub struct Salvage<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// Duplicates of the pipes' reading ends, as [`Request::GiveFds`](crate::Request::GiveFds) gave them.
    pub fds: Vec<(Stream, OwnedFd)>,
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
    for (stream, fd) in what.fds {
        drain(&mut writer, stream, fd, what.secrets)?;
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
    Ok(record)
}

fn drain(writer: &mut Writer, stream: Stream, fd: OwnedFd, secrets: &[Vec<u8>]) -> io::Result<()> {
    sys::os::nonblocking(fd.as_fd())?;
    let mut redactor = Redactor::new(secrets);
    let mut file = File::from(fd);
    let mut buffer = vec![0; READ];
    let mut clean = Vec::new();
    loop {
        let bytes = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // empty though somebody may still write, or a terminal without its other side
            Err(_) => break,
        };
        match redactor.as_mut() {
            None => writer.append(stream, bytes, sys::realtime_ns()),
            Some(redactor) => {
                redactor.push(bytes, &mut clean);
                writer.append(stream, &clean, sys::realtime_ns());
                clean.clear();
            }
        }
    }
    if let Some(redactor) = redactor.as_mut() {
        redactor.flush(&mut clean);
        writer.append(stream, &clean, sys::realtime_ns());
    }
    Ok(())
}
