//! One segment as a reader sees it.

use crate::format::{ENTRY_LEN, HEADER_LEN, Header, IndexEntry, Stream, data_path, index_number, index_path};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A segment that is open for reading. Stays readable after the writer deleted it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) header: Header,
    /// Whether it had bytes when its header was read: only an empty segment's header may still change.
    pub(crate) settled: bool,
    data: File,
    index: File,
    entries: Vec<IndexEntry>,
}

impl Segment {
    /// Opens a segment; `None` where it is gone or not there yet.
    pub(crate) fn open(folder: &Path, number: u64) -> io::Result<Option<Self>> {
        let (Some(index), Some(data)) =
            (existing(File::open(index_path(folder, number)))?, existing(File::open(data_path(folder, number)))?)
        else {
            return Ok(None);
        };
        let settled = data.metadata()?.len() > 0;
        let mut head = [0; HEADER_LEN as usize];
        let count = read_full(&index, &mut head, 0)?;
        let Some(header) = Header::decode(&head[..count]) else { return Ok(None) };
        Ok(Some(Self { number, header, settled, data, index, entries: Vec::new() }))
    }

    /// Offset behind the last byte that is there now.
    pub(crate) fn end(&self) -> io::Result<u64> {
        let len = if self.settled { self.data.metadata()?.len() } else { 0 };
        Ok(self.header.start + len)
    }

    /// Reads from an offset of this segment; tells how many bytes were there.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_full(&self.data, buffer, offset - self.header.start)
    }

    /// The entries so far. A torn last one is not there yet.
    pub(crate) fn entries(&mut self) -> io::Result<&[IndexEntry]> {
        let mut at = HEADER_LEN + self.entries.len() as u64 * ENTRY_LEN;
        let mut block = [0; ENTRY_LEN as usize * 256];
        loop {
            let count = read_full(&self.index, &mut block, at)?;
            let whole = count - count % ENTRY_LEN as usize;
            for bytes in block[..whole].chunks_exact(ENTRY_LEN as usize) {
                // an entry that makes no sense ends what can be believed
                let Some(entry) = IndexEntry::decode(bytes) else { return Ok(&self.entries) };
                self.entries.push(entry);
            }
            at += whole as u64;
            if count < block.len() {
                return Ok(&self.entries);
            }
        }
    }

    /// What covers `offset`: the entry, and where the next one begins.
    pub(crate) fn cover(&mut self, offset: u64) -> io::Result<(IndexEntry, u64)> {
        let header = self.header;
        let entries = self.entries()?;
        let at = entries.partition_point(|entry| entry.offset <= offset);
        let until = entries.get(at).map_or(u64::MAX, |next| next.offset);
        let entry = at.checked_sub(1).and_then(|at| entries.get(at)).copied();
        Ok((
            entry.unwrap_or(IndexEntry { offset: header.start, time_ns: header.made_ns, stream: Stream::Stdout }),
            until,
        ))
    }
}

/// Whether the segment was not deleted yet.
pub(crate) fn exists(folder: &Path, number: u64) -> bool {
    index_path(folder, number).exists()
}

/// Numbers of the segments in a folder, ascending.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Some(number) = entry?.file_name().to_str().and_then(index_number) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn existing(opened: io::Result<File>) -> io::Result<Option<File>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
