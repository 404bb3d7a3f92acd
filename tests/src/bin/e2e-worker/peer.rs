//! A service that calls others: over HTTP, or PostgreSQL's protocol, at the addresses that its environment gives it.
//!
//! `GET /hello/NONCE` answers `NAME NONCE HOST`, where HOST is the machine's name as this process sees it: it says where
//! it runs. `GET /call/PEER/NONCE` asks the service whose address is in `PEER_<PEER>` for the same, and passes on
//! `ANSWER at ADDRESS`. An address `pg:host:port` is that of a PostgreSQL server and is asked by SQL, for both.

use crate::marks::Marks;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Whoever says nothing for so long is not there.
const SILENCE: Duration = Duration::from_secs(10);

/// Listens, and answers each question in a thread of its own.
pub(crate) fn serve(bind: &str, port: &str, marks: &Marks) {
    let Ok(listener) = TcpListener::bind(format!("{bind}:{port}")) else {
        eprintln!("cannot listen on {bind}:{port}");
        marks.note("error");
        std::process::exit(1);
    };
    println!("listens on {bind}:{port}");
    marks.note("listens");
    let name = marks.name.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let name = name.clone();
            std::thread::spawn(move || answer(stream, &name));
        }
    });
}

/// Asks once and prints the answer; a code.
pub(crate) fn ask(address: &str, path: &str, marks: &Marks) -> u8 {
    let answer = match address.strip_prefix("pg:") {
        Some(address) => by_sql(address, path, marks),
        None => get(address, path),
    };
    match answer {
        Ok(answer) => {
            println!("{answer}");
            0
        }
        Err(error) => {
            eprintln!("{address}: {error}");
            1
        }
    }
}

fn answer(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (status, body) = match words.as_slice() {
        ["hello", nonce] => ("200 OK", format!("{name} {nonce} {}", host())),
        ["call", peer, nonce] => match call(peer, nonce) {
            Ok(answer) => ("200 OK", answer),
            Err(error) => ("502 Bad Gateway", format!("{name} cannot call {peer}: {error}")),
        },
        _ => ("404 Not Found", path.to_owned()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn call(peer: &str, nonce: &str) -> io::Result<String> {
    let variable = format!("PEER_{}", peer.to_uppercase());
    let address = std::env::var(&variable).map_err(|_| io::Error::other(format!("{variable} is not set")))?;
    let answer = match address.strip_prefix("pg:") {
        Some(address) => select(address, &greeting(nonce)),
        None => get(&address, &format!("/hello/{nonce}")),
    };
    match answer {
        Ok(answer) => Ok(format!("{answer} at {address}")),
        Err(error) => Err(io::Error::new(error.kind(), format!("{address}: {error}"))),
    }
}

/// The machine's name, which is a container's own and a namespaced host's own.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What a PostgreSQL server is asked: its name is `cluster_name`.
fn greeting(nonce: &str) -> String {
    let host = "trim(pg_read_file('/proc/sys/kernel/hostname'), E'\\n')";
    format!("SELECT concat_ws(' ', current_setting('cluster_name'), '{nonce}', {host})")
}

/// The same questions to a PostgreSQL server. To call a peer it runs a program, which has the server's environment.
fn by_sql(address: &str, path: &str, marks: &Marks) -> io::Result<String> {
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match words.as_slice() {
        ["hello", nonce] => select(address, &greeting(nonce)),
        ["call", peer, nonce] => {
            let program = std::env::current_exe()?;
            let (program, folder, name) = (program.display(), marks.folder.display(), &marks.name);
            let peer = format!("$PEER_{}", peer.to_uppercase());
            let run = format!("a=$({program} {folder} {name}.call ask {peer} /hello/{nonce} 2>&1); echo $a at {peer}");
            let copy = format!("CREATE TEMP TABLE said (what text); COPY said FROM PROGRAM '{run}'");
            select(address, &format!("{copy}; SELECT what FROM said"))
        }
        _ => Err(io::Error::other(format!("not asked by SQL: {path}"))),
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn get(address: &str, path: &str) -> io::Result<String> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no HTTP"))?;
    if head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200") {
        return Ok(body.to_owned());
    }
    Err(io::Error::other(body.to_owned()))
}

/// The last row, of one column, by PostgreSQL's simple query protocol (version 3, where the server trusts who connects).
fn select(address: &str, query: &str) -> io::Result<String> {
    let mut stream = connect(address)?;
    let mut start = vec![0, 3, 0, 0];
    start.extend(b"user\0postgres\0database\0postgres\0\0");
    send(&mut stream, None, &start)?;
    let query = format!("{query}\0");
    let mut row = None;
    let mut asked = false;
    loop {
        let (kind, body) = receive(&mut stream)?;
        match kind {
            b'E' => return Err(io::Error::other(String::from_utf8_lossy(&body).replace('\0', " "))),
            // one column: a count, a length, the text
            b'D' => row = body.get(6..).map(|text| String::from_utf8_lossy(text).into_owned()),
            b'Z' if asked => return row.ok_or_else(|| io::Error::other("no row")),
            b'Z' => {
                asked = true;
                send(&mut stream, Some(b'Q'), query.as_bytes())?;
            }
            _ => {}
        }
    }
}

fn send(stream: &mut TcpStream, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend(length.to_be_bytes());
    message.extend(body);
    stream.write_all(&message)
}

fn receive(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4);
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}
