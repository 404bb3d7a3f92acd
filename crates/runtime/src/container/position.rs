//! How far a container's log is copied, in the engine's terms: what to ask for after our death.
//!
//! The copy knows its offsets, the engine knows times. A [`Position`] ties one to the other: *at this offset of the copy,
//! of the messages that the engine has since that time, the first so many are taken*. The time lies a little back: two
//! streams of one container may be logged out of the order of their times, and nothing that comes late may be left out.
//!
//! ```text
//!  engine's log:   m m m m|m m m m m|m m m          asked for again: from `since_ns` on
//!                         since      offset         left out: the first `count` messages
//! ```
//!
//! It is written before the bytes that follow it, so that it is never ahead of the copy; whatever the copy has beyond it
//! comes again and is left out there by its offset. A write of one short line is whole or not there when a process is
//! killed.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const FILE: &str = "container-position";
/// Six numbers of 20 digits.
const LINE: usize = 126;
/// Messages are not logged later than this after their time.
const SLACK_NS: u64 = 1_000_000_000;

/// A place in a container's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Where in the copy the container's own output begins: lines of a pull or a build may stand before it.
    pub(super) base: u64,
    /// Offset in the copy.
    pub(super) offset: u64,
    /// What is asked for begins at this time.
    pub(super) since_ns: u64,
    /// So many messages since then are taken. On a terminal: bytes since the beginning.
    pub(super) count: u64,
    /// What the first of them was, to know whether the engine still has it.
    pub(super) first: u64,
    /// The latest time that was seen.
    pub(super) last_ns: u64,
}

/// Counts what is taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    since_ns: u64,
    last_ns: u64,
    /// Time and fingerprint of the messages since `since_ns`, in the engine's order.
    recent: VecDeque<(u64, u64)>,
}

impl Taken {
    /// One more message was taken.
    pub(super) fn count(&mut self, time_ns: u64, bytes: &[u8]) {
        if time_ns >= self.since_ns {
            self.recent.push_back((time_ns, fingerprint(time_ns, bytes)));
        }
        self.last_ns = self.last_ns.max(time_ns);
        if self.last_ns - self.since_ns >= 2 * SLACK_NS {
            let since = self.last_ns - SLACK_NS;
            self.since_ns = since;
            self.recent.retain(|(time, _)| *time >= since);
        }
    }

    /// The position after what was taken so far.
    pub(super) fn position(&self, base: u64, offset: u64) -> Position {
        Position {
            base,
            offset,
            since_ns: self.since_ns,
            count: self.recent.len() as u64,
            first: self.recent.front().map_or(0, |(_, print)| *print),
            last_ns: self.last_ns,
        }
    }

    /// Begins to count anew from a position: the messages that it left out are counted again as they come.
    pub(super) fn from(position: &Position) -> Self {
        Self { since_ns: position.since_ns, last_ns: position.last_ns, recent: VecDeque::new() }
    }
}

/// FNV-1a: the same in every version, as long as a position may lie on disk.
pub(super) fn fingerprint(time_ns: u64, bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    // two plain loops: this is done for every byte of every log
    for byte in time_ns.to_le_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// The position's file, kept open.
#[derive(Debug)]
pub(super) struct PositionFile {
    file: File,
}

impl PositionFile {
    /// Opens the file, and what was written last.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Option<Position>)> {
        let path = folder.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut line = [0; LINE];
        let known = match file.read_exact_at(&mut line, 0) {
            Ok(()) => parse(&line),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self { file }, known))
    }

    pub(super) fn write(&self, at: &Position) -> io::Result<()> {
        let numbers = [at.base, at.offset, at.since_ns, at.count, at.first, at.last_ns];
        let line = numbers.map(|number| format!("{number:020}")).join(" ") + "\n";
        self.file.write_all_at(line.as_bytes(), 0)
    }
}

fn parse(line: &[u8]) -> Option<Position> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut numbers = text.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(Position {
        base: next()?,
        offset: next()?,
        since_ns: next()?,
        count: next()?,
        first: next()?,
        last_ns: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_last_is_found() {
        let home = tempfile::TempDir::new().unwrap();
        let (file, known) = PositionFile::open(home.path()).unwrap();
        assert_eq!(known, None);
        let position = Position { base: 1, offset: u64::MAX, since_ns: 3, count: 4, first: 5, last_ns: 6 };
        file.write(&Position::default()).unwrap();
        file.write(&position).unwrap();
        assert_eq!(PositionFile::open(home.path()).unwrap().1, Some(position));
    }

    /// Wherever we die, what the engine has since the position's time, without the first `count`, is what is missing.
    #[test]
    fn out_of_order_times_lose_and_double_nothing() {
        let second = SLACK_NS;
        let times: Vec<u64> =
            (0..400_u64).map(|n| 10 * second + n * 40_000_000 - if n % 3 == 0 { 90_000_000 } else { 0 }).collect();
        for died in 0..times.len() {
            let mut taken = Taken::default();
            for (n, time) in times[..died].iter().enumerate() {
                taken.count(*time, &n.to_le_bytes());
            }
            let at = taken.position(0, 0);
            let again = times.iter().enumerate().filter(|(_, time)| **time >= at.since_ns);
            let rest: Vec<usize> = again.map(|(n, _)| n).skip(at.count as usize).collect();
            assert_eq!(rest, (died..times.len()).collect::<Vec<_>>());
            assert!(at.count <= 60, "{}", at.count);
        }
    }
}
