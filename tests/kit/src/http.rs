//! HTTP/1.1 over a unix socket, as much as asking an engine takes: one request, one answer, the connection closes.

use crate::{Result, Trouble};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An engine that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

/// Asks once. `body` is a content type and bytes.
///
/// # Errors
/// When there is no connection or no HTTP.
pub fn ask(socket: &Path, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Answer> {
    let what = || format!("{method} {path} at `{}`", socket.display());
    exchange(socket, method, path, body).map_err(Trouble::at(what()))
}

fn exchange(socket: &Path, method: &str, path: &str, body: Option<(&str, &[u8])>) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let (kind, bytes) = body.unwrap_or(("application/json", b""));
    let length = bytes.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(bytes)?;
    read_answer(&mut BufReader::new(stream))
}

fn read_answer(reader: &mut impl BufRead) -> std::io::Result<Answer> {
    let broken = || std::io::Error::other("the answer is not HTTP");
    let first = line(reader)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(broken)?;
    let (mut length, mut chunked) = (None, false);
    loop {
        let header = line(reader)?.to_ascii_lowercase();
        let Some((name, value)) = header.split_once(':') else { break };
        match name {
            "content-length" => length = value.trim().parse::<u64>().ok(),
            "transfer-encoding" => chunked = value.contains("chunked"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = line(reader)?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16).map_err(|_| broken())?;
            reader.take(size).read_to_end(&mut body)?;
            line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else {
        reader.take(length.unwrap_or(u64::MAX)).read_to_end(&mut body)?;
    }
    Ok(Answer { status, body })
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    reader.read_line(&mut text)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::read_answer;

    #[test]
    fn bodies_of_both_kinds_are_read() {
        let read = |text: &str| read_answer(&mut text.as_bytes()).expect("HTTP");
        let plain = read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKmore");
        assert_eq!((plain.status, plain.text().as_str()), (200, "OK"));
        let chunked = read("HTTP/1.1 404 Not\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\n2\r\ncd\r\n0\r\n\r\n");
        assert_eq!((chunked.status, chunked.body.as_slice()), (404, b"ab\ncd".as_slice()));
        assert!(read_answer(&mut "nonsense".as_bytes()).is_err());
    }
}
