//! Output in amounts.

use std::io::{self, Write};
use std::time::Duration;

/// Bytes of a line with its newline.
const LINE: usize = 100;

/// Lines that go out in one write.
const LINES: u64 = 655;

/// Writes `bytes` of numbered lines, taking `pause` after each block of 64 KiB, then a line with the hash of what came before it (FNV-1a, 64 bits).
pub(crate) fn numbered(name: &str, bytes: u64, pause: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let total = bytes.div_ceil(LINE as u64);
    let mut number = 0;
    let mut block = Vec::with_capacity(LINE * 655);
    while number < total {
        block.clear();
        for _ in 0..LINES.min(total - number) {
            let begun = block.len();
            write!(block, "{name} line {number:012} ")?;
            block.resize(begun + LINE - 1, b'x');
            block.push(b'\n');
            number += 1;
        }
        for byte in &block {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        out.write_all(&block)?;
        std::thread::sleep(pause);
    }
    writeln!(out, "hash {hash:016x} lines {total}")?;
    out.flush()
}

/// Writes `bytes` without a single newline.
pub(crate) fn without_newline(bytes: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let block = vec![b'y'; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(block.len()).min(block.len());
        out.write_all(&block[..count])?;
        left -= count as u64;
    }
    out.flush()
}
