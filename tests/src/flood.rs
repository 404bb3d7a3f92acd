//! What a flooding worker wrote, compared with the segments that hold it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes of a flooded line with its newline.
const LINE: usize = 100;
/// FNV-1a begins with it.
const HASH_OF_NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

/// Why a log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs(pub String);

/// The segments of a run, in order.
#[must_use]
pub fn segments(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_segment = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("log."));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_segment).collect();
    paths.sort();
    paths
}

/// Bytes that the segments hold.
#[must_use]
pub fn size(folder: &Path) -> u64 {
    segments(folder).iter().filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum()
}

/// FNV-1a, 64 bits, as the worker makes it.
fn hash_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Two hashes of what a flooding worker wrote: that of the bytes as they were read, and that which it says in its last line.
///
/// # Panics
/// When there is no last line with a hash.
#[must_use]
pub fn hashes(text: &str) -> (String, String) {
    let at = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let (before, last) = text.split_at(at);
    let said = last.strip_prefix("hash ").and_then(|rest| rest.split(' ').next()).expect("a last line with a hash");
    (format!("{:016x}", hash_on(HASH_OF_NOTHING, before.as_bytes())), said.to_owned())
}

fn open(folder: &Path) -> BufReader<Box<dyn Read>> {
    let all: Box<dyn Read> = segments(folder)
        .into_iter()
        .filter_map(|path| fs::File::open(path).ok())
        .fold(Box::new(std::io::empty()), |before, file| Box::new(before.chain(file)));
    BufReader::with_capacity(1 << 20, all)
}

fn line(name: &str, number: u64) -> Vec<u8> {
    let mut line = format!("{name} line {number:012} ").into_bytes();
    line.resize(LINE - 1, b'x');
    line.push(b'\n');
    line
}

/// Whether the log is exactly what `floods BYTES` writes: every line once, in order, and the hash at the end.
///
/// # Errors
/// The first difference.
pub fn check(folder: &Path, name: &str, bytes: u64) -> Result<(), Differs> {
    check_read(open(folder), name, bytes)
}

/// As [`check`], for what was read elsewhere.
///
/// # Errors
/// The first difference.
pub fn check_read(reader: impl BufRead, name: &str, bytes: u64) -> Result<(), Differs> {
    let total = bytes.div_ceil(LINE as u64);
    let mut hash = HASH_OF_NOTHING;
    let (read, last) = walk(reader, name, |line| hash = hash_on(hash, line))?;
    let expected = format!("hash {hash:016x} lines {total}\n");
    match read == total && last == expected.as_bytes() {
        true => Ok(()),
        false => Err(Differs(format!("{read} lines of {total}, then {:?}", String::from_utf8_lossy(&last)))),
    }
}

/// Whether the log is a beginning of what `floods` writes. Says how many lines are whole.
///
/// # Errors
/// The first difference.
pub fn check_prefix(folder: &Path, name: &str) -> Result<u64, Differs> {
    let (read, last) = walk(open(folder), name, |_| {})?;
    match last.is_empty() || line(name, read).starts_with(&last) || last.starts_with(b"hash ") {
        true => Ok(read),
        false => Err(Differs(format!("after {read} lines: {:?}", String::from_utf8_lossy(&last)))),
    }
}

/// Goes over the lines that are as expected; what comes back is their number and the first line that is not.
fn walk(mut reader: impl BufRead, name: &str, mut each: impl FnMut(&[u8])) -> Result<(u64, Vec<u8>), Differs> {
    let mut number = 0;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.read_until(b'\n', &mut buffer).map_err(|error| Differs(error.to_string()))?;
        if buffer != line(name, number) {
            break;
        }
        each(&buffer);
        number += 1;
    }
    let mut rest = std::mem::take(&mut buffer);
    reader.read_to_end(&mut rest).map_err(|error| Differs(error.to_string()))?;
    Ok((number, rest))
}
