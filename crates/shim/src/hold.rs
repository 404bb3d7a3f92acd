//! Output between the service's pipe and the log, so that a shim that is killed loses and doubles none of it.
//!
//! A shim that reads a block of output and is killed before it has written it to the log takes the block with it. So
//! nothing is read out of a pipe before it is in the log. Beside the service's pipes a shim has a *hold*: a pipe of its
//! own whose reading end is duplicated to the daemon as theirs are. A block goes this way:
//!
//! ```text
//!   service's pipe ──splice──► hold ──tee──► a pipe to look ──read──► redaction ──write──► log
//!                                └───splice──► null device, when it is in the log
//! ```
//!
//! `splice(2)` moves pages under the locks of both pipes: whenever the shim dies, every byte is in one of the two, and
//! the daemon has both. What it cannot see is which of the hold's bytes the log has. That says the [`Record`], one of 16
//! bytes per hold in the file [`HOLD_FILE`] of the run's folder, written by one `pwrite` before what it speaks of happens:
//!
//! | place | when | how many of the hold's first bytes are in the log |
//! |---|---|---|
//! | `From(offset)` | before the hold is filled and its bytes are logged | the log's end - offset: the hold's first byte goes there |
//! | `Until(offset)` | before a part of it is dropped | the same, counted from its last byte, which goes before that offset |
//! | `Waiting` | before another stream is logged | none |
//!
//! Redaction changes no lengths, so that offsets of the log count raw bytes as well. A hold that is empty needs no
//! record, whatever the last one says; therefore a block that is logged whole is dropped without another one, and however
//! far the drop came, the rest is known to be logged. A block whose end may be the beginning of a secret is dropped up to
//! there; the rest stays in the hold until it is decided. `covered` of it belong to a secret that ended in there: that
//! cannot be seen from the rest alone. No bytes of the service but the log's are ever on disk.
//!
//! Streams without secrets share one hold, because only one block is on its way at a time. With secrets each stream has its own.
//!
//! # What is not exact
//! - A terminal is read: `splice` would do the same there.
//! - The possible beginning of a secret that is longer than the hold, or a hold that cannot grow because the user has
//!   no pages left for pipes, is in memory alone, as all output is where a system has no `splice`, or while the folder
//!   takes no record.
//! - A daemon and a shim that both die take the pipes with them.

use muster_logs::Stream;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The file of the records in the run's folder; made with the first output, gone with the last.
pub(crate) const HOLD_FILE: &str = "hold";
const RECORD_LEN: usize = 16;

/// Where a hold's bytes belong in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// They are not in the log, and where they go is not known yet.
    Waiting,
    /// The first one goes to this offset.
    From(u64),
    /// The last one goes before this offset.
    Until(u64),
}

/// What is known of the bytes in one hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Whose they are.
    pub(crate) stream: Stream,
    /// Where they go.
    pub(crate) place: Place,
    /// How many belong to a secret that is complete: of the first ones, at `Until` of the first that are not logged.
    pub(crate) covered: u32,
}

impl Record {
    /// How many of the hold's first bytes are in a log that ends at `log_end`, when `held` are in the hold.
    pub(crate) fn logged(&self, log_end: u64, held: u64) -> u64 {
        let first = match self.place {
            Place::Waiting => return 0,
            Place::From(offset) => offset,
            Place::Until(offset) => offset.saturating_sub(held),
        };
        log_end.saturating_sub(first).min(held)
    }

    /// Writes the record of the hold with this number.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn write(&self, file: &File, number: usize) -> io::Result<()> {
        file.write_all_at(&self.encode(), (number * RECORD_LEN) as u64)
    }

    /// Reads the record of the hold with this number; `None` where there is none that makes sense.
    pub(crate) fn read(folder: &Path, number: usize) -> Option<Self> {
        let mut bytes = [0; RECORD_LEN];
        let file = File::open(folder.join(HOLD_FILE)).ok()?;
        file.read_exact_at(&mut bytes, (number * RECORD_LEN) as u64).ok()?;
        Self::decode(&bytes)
    }

    fn encode(self) -> [u8; RECORD_LEN] {
        let (kind, offset) = match self.place {
            Place::Waiting => (1, 0),
            Place::From(offset) => (2, offset),
            Place::Until(offset) => (3, offset),
        };
        let mut bytes = [0; RECORD_LEN];
        bytes[..8].copy_from_slice(&offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.covered.to_le_bytes());
        bytes[12] = self.stream.number();
        bytes[13] = kind;
        bytes
    }

    fn decode(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (covered, rest) = rest.split_first_chunk()?;
        let offset = u64::from_le_bytes(*offset);
        let place = match rest[1] {
            1 => Place::Waiting,
            2 => Place::From(offset),
            3 => Place::Until(offset),
            _ => return None,
        };
        Some(Self { stream: Stream::from_number(rest[0])?, place, covered: u32::from_le_bytes(*covered) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stand_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(folder.path(), 0), None);
        let file = File::create(folder.path().join(HOLD_FILE)).unwrap();
        let records = [(Place::From(1 << 40), 7), (Place::Until(9), 0), (Place::Waiting, 3)];
        let records = records.map(|(place, covered)| Record { stream: Stream::Stderr, place, covered });
        for (number, record) in records.iter().enumerate() {
            record.write(&file, number).unwrap();
        }
        for (number, record) in records.into_iter().enumerate() {
            assert_eq!(Record::read(folder.path(), number), Some(record));
        }
        assert_eq!(Record::read(folder.path(), 3), None);
    }

    #[test]
    fn what_the_log_has_of_a_hold() {
        let logged = |place, log_end, held| Record { stream: Stream::Stdout, place, covered: 0 }.logged(log_end, held);
        for (log_end, wanted) in [(90, 0), (100, 0), (107, 7), (120, 20), (130, 20)] {
            assert_eq!(logged(Place::From(100), log_end, 20), wanted);
        }
        // the first of 20 goes to 100, and of those 15 are logged: however many were dropped
        for (held, wanted) in [(20, 15), (8, 3), (5, 0)] {
            assert_eq!(logged(Place::Until(120), 115, held), wanted);
        }
        assert_eq!(logged(Place::Waiting, 1000, 5), 0);
    }
}
