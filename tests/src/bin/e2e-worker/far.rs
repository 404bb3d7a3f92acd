//! The way to a host that is far away: what ssh runs as its `ProxyCommand`, and every byte takes its time in each direction.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of one read.
const PIECE: usize = 32 << 10;

/// Connects standard input and output with an address, until both directions have ended; a code.
pub(crate) fn away(address: &str, delay: Duration) -> u8 {
    let connected = TcpStream::connect(address).and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok((stream.try_clone()?, stream.try_clone()?, stream))
    });
    let (from, to, end) = match connected {
        Ok(streams) => streams,
        Err(error) => {
            eprintln!("{address}: {error}");
            return 1;
        }
    };
    let there = thread::spawn(move || {
        delayed(io::stdin(), to, delay);
        // an error means that the other side was first
        let _ = end.shutdown(Shutdown::Write);
    });
    delayed(from, io::stdout(), delay);
    // the other side is gone: what is on the way to it is lost, as it is on a wire
    drop(there);
    0
}

/// What is read now is written when `delay` has passed: the time of a wire, which holds any number of bytes.
fn delayed(mut from: impl Read + Send + 'static, mut to: impl Write, delay: Duration) {
    let (wire, arriving) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(count) = from.read(&mut buffer) {
            let sent = wire.send((Instant::now() + delay, buffer[..count].to_vec()));
            if count == 0 || sent.is_err() {
                return;
            }
        }
    });
    for (due, bytes) in arriving {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
