//! The log of a run that is written elsewhere, copied into its folder on this machine.
//!
//! Everything that reads logs reads run folders: queries, probes by line, copies to files. So a driver whose services run
//! in a container or on another host pulls their output and appends it here, *at the same offsets*: a cursor means the
//! same byte on both sides, and what is here says what to ask for next. Nothing else is remembered, so nothing can
//! disagree with it after a crash:
//!
//! ```text
//!  there:  ─────────────────────────────────►      pulled from Mirror::end() on
//!  here:   ───────────────►                        bytes that came before are left out, missing ones are a gap
//! ```
//!
//! Two may copy one run, a daemon and the one that replaces it: each appends under the folder's lock, and only what
//! is not there yet.

use crate::contract::LogChunk;
use crate::sys;
use muster_logs::{Stream, Writer};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Somebody else's append takes less than this, also on a busy machine.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The copy of one run's log. Its methods write files, which may block.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    keep: u64,
    writer: Writer,
}

impl Mirror {
    /// Goes on with the copy in a run's folder, or begins one; the folder is made where it is missing. About `keep`
    /// bytes are kept.
    ///
    /// # Errors
    /// Where the folder or its log cannot be opened or made.
    pub fn open(folder: &Path, keep: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let _lock = lock(folder)?;
        let writer = Writer::resume(folder, keep)?;
        Ok(Self { folder: folder.to_owned(), keep, writer })
    }

    /// Offset behind the last byte that is here: where to go on.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.writer.offset()
    }

    /// Takes pieces in, in their order, and gives the new end. Bytes that are here already are left out; bytes missing
    /// before a piece become a gap. After an error nothing is lost: come again with what begins at [`Mirror::end`].
    ///
    /// # Errors
    /// Where the folder is gone, or the disk takes no more: kind [`io::ErrorKind::StorageFull`] among others.
    pub fn append(&mut self, chunks: &[LogChunk]) -> io::Result<u64> {
        let _lock = lock(&self.folder)?;
        if !self.writer.is_as_left() {
            self.resume()?;
        }
        for chunk in chunks {
            if let Err(error) = self.place(chunk) {
                // what was half done is seen anew, a gap without its bytes included
                self.resume()?;
                return Err(error);
            }
        }
        Ok(self.end())
    }

    /// The log ends at this offset: what is still missing there is told as a gap.
    ///
    /// # Errors
    /// As [`Mirror::append`].
    pub fn finish(&mut self, end: u64) -> io::Result<()> {
        let _lock = lock(&self.folder)?;
        if !self.writer.is_as_left() {
            self.resume()?;
        }
        if end > self.end() {
            self.writer.skip(end - self.end());
            self.writer.finish(muster_shim::realtime_ns());
        }
        Ok(())
    }

    fn resume(&mut self) -> io::Result<()> {
        self.writer = Writer::resume(&self.folder, self.keep)?;
        Ok(())
    }

    fn place(&mut self, chunk: &LogChunk) -> io::Result<()> {
        let end = self.end();
        if chunk.offset > end {
            self.writer.skip(chunk.offset - end);
        }
        let known = usize::try_from(self.end() - chunk.offset).unwrap_or(usize::MAX);
        let Some(fresh) = chunk.bytes.get(known..) else { return Ok(()) };
        let stream = if chunk.stderr { Stream::Stderr } else { Stream::Stdout };
        self.writer.try_append(stream, fresh, chunk.time_ns)
    }
}

fn lock(folder: &Path) -> io::Result<fs::File> {
    // a folder that is gone is told as such, not as one that is held
    fs::metadata(folder)?;
    sys::lock_folder(folder, LOCK_PATIENCE).ok_or_else(|| io::Error::from(io::ErrorKind::ResourceBusy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_logs::{GapCause, Item, Reader};

    const KEEP: u64 = 1 << 20;

    fn chunk(offset: u64, text: &str) -> LogChunk {
        LogChunk { offset, time_ns: 1_000 + offset, stderr: false, bytes: text.into(), gap: 0 }
    }

    fn read(folder: &Path) -> Vec<Item> {
        Reader::new(folder).read(0, 1 << 20).unwrap().items
    }

    fn text(folder: &Path) -> String {
        let bytes = read(folder).into_iter().flat_map(|item| match item {
            Item::Chunk(chunk) => chunk.bytes,
            Item::Gap(gap) => format!("<{}>", gap.bytes).into_bytes(),
        });
        String::from_utf8(bytes.collect()).unwrap()
    }

    #[test]
    fn what_comes_twice_is_kept_once_at_its_offset() {
        let home = tempfile::TempDir::new().unwrap();
        let folder = home.path().join("api#1/3");
        let mut mirror = Mirror::open(&folder, KEEP).unwrap();
        assert_eq!(mirror.append(&[chunk(0, "one\n"), chunk(4, "two\n")]).unwrap(), 8);
        assert_eq!(mirror.append(&[chunk(0, "one\n"), chunk(4, "two\nthree\n")]).unwrap(), 14);
        drop(mirror);
        // after a crash the folder itself says where to go on
        let mut mirror = Mirror::open(&folder, KEEP).unwrap();
        assert_eq!(mirror.end(), 14);
        mirror.append(&[chunk(9, "hree\nfour\n")]).unwrap();
        assert_eq!(text(&folder), "one\ntwo\nthree\nfour\n");
    }

    #[test]
    fn two_copiers_write_no_byte_twice() {
        let home = tempfile::TempDir::new().unwrap();
        let (mut old, mut new) = (Mirror::open(home.path(), KEEP).unwrap(), Mirror::open(home.path(), KEEP).unwrap());
        let line = |n: u64| chunk(n * 8, &format!("line {n:02}\n"));
        for n in 0..50 {
            new.append(&[line(n)]).unwrap();
            old.append(&(0..=n).map(line).collect::<Vec<_>>()).unwrap();
        }
        assert_eq!(text(home.path()), (0..50).map(|n| format!("line {n:02}\n")).collect::<String>());
        assert_eq!((old.end(), new.append(&[]).unwrap()), (400, 400));
    }

    #[test]
    fn missing_bytes_are_told_in_the_middle_and_at_the_end() {
        let home = tempfile::TempDir::new().unwrap();
        let mut mirror = Mirror::open(home.path(), KEEP).unwrap();
        mirror.append(&[chunk(100, "late\n"), LogChunk { stderr: true, ..chunk(110, "err\n") }]).unwrap();
        mirror.finish(120).unwrap();
        assert_eq!(text(home.path()), "<100>late\n<5>err\n<6>");
        let items = read(home.path());
        assert!(matches!(&items[0], Item::Gap(gap) if gap.cause == GapCause::Lost));
        assert!(matches!(&items[3], Item::Chunk(chunk) if chunk.stream == Stream::Stderr && chunk.time_ns == 1_110));
        // a second look at the end tells nothing twice
        Mirror::open(home.path(), KEEP).unwrap().finish(120).unwrap();
        assert_eq!(text(home.path()), "<100>late\n<5>err\n<6>");
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_and_no_loss() {
        let home = tempfile::TempDir::new().unwrap();
        let folder = home.path().join("run");
        let mut mirror = Mirror::open(&folder, KEEP).unwrap();
        mirror.append(&[chunk(0, "one\n")]).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(mirror.append(&[chunk(4, "two\n")]).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut mirror = Mirror::open(&folder, KEEP).unwrap();
        mirror.append(&[chunk(0, "one\n"), chunk(4, "two\n")]).unwrap();
        assert_eq!(text(&folder), "one\ntwo\n");
    }
}
