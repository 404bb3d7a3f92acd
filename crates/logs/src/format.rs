//! What lies in a run's folder: `log.NNNNNN` with the service's raw bytes and `index.NNNNNN` beside each.
//!
//! An index is a header of 32 bytes (`MUSLOG01`, offset of the first byte, time it was made, bytes lost just before
//! it), then entries of 24 bytes: offset, time, stream, zeros. All numbers are little-endian. An entry is written
//! before the bytes it describes, so that no reader takes bytes for those of another stream; an entry with nothing
//! behind it is normal, and of entries with one offset the last counts.

use std::path::{Path, PathBuf};

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stream {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// A pseudo terminal, or both streams merged into one pipe.
    Tty = 3,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Tty];

    /// The number that stands for the stream on disk and in the shim's protocol.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The stream with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.number() == number)
    }

    /// `stdout`, `stderr` or `tty`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Tty => "tty",
        }
    }
}

/// Bytes of an index's header.
pub(crate) const HEADER_LEN: u64 = 32;
/// Bytes of an index's entry.
pub(crate) const ENTRY_LEN: u64 = 24;
const MAGIC: [u8; 8] = *b"MUSLOG01";

/// An index's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Offset of the segment's first byte, counted from the run's first byte.
    pub(crate) start: u64,
    /// When the segment was made.
    pub(crate) made_ns: u64,
    /// Bytes directly before `start` that could not be kept.
    pub(crate) lost: u64,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_LEN as usize] {
        let mut bytes = [0; HEADER_LEN as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        for (at, value) in [(8, self.start), (16, self.made_ns), (24, self.lost)] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        (bytes.get(..8)? == MAGIC).then_some(())?;
        Some(Self { start: number(bytes, 8)?, made_ns: number(bytes, 16)?, lost: number(bytes, 24)? })
    }
}

/// From `offset` on, bytes are of `stream` and were drained at `time_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) offset: u64,
    pub(crate) time_ns: u64,
    pub(crate) stream: Stream,
}

impl IndexEntry {
    pub(crate) fn encode(self) -> [u8; ENTRY_LEN as usize] {
        let mut bytes = [0; ENTRY_LEN as usize];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16] = self.stream.number();
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            offset: number(bytes, 0)?,
            time_ns: number(bytes, 8)?,
            stream: Stream::from_number(*bytes.get(16)?)?,
        })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The file with a segment's bytes.
pub(crate) fn data_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("log.{number:06}"))
}

/// The file with a segment's index.
pub(crate) fn index_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("index.{number:06}"))
}

/// The number in an index file's name.
pub(crate) fn index_number(name: &str) -> Option<u64> {
    name.strip_prefix("index.")?.parse().ok()
}
