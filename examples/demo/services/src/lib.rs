//! What the demo's programs share: a word of HTTP, and the store's line protocol.
//!
//! The store speaks lines: `GET key` answers the value or an empty line, `SET key value` answers `ok`.
#![forbid(unsafe_code)]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// How long one of ours waits for another.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A required setting; without it the program ends with a message, because nothing can be done.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| fail(&format!("set {name}")))
}

/// Ends the program with a message and code 1.
pub fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1)
}

/// Listens on 127.0.0.1 and the port in `PORT`.
pub fn listen() -> TcpListener {
    let address = format!("127.0.0.1:{}", setting("PORT"));
    match TcpListener::bind(&address) {
        Ok(listener) => {
            println!("listening on {address}");
            listener
        }
        Err(error) => fail(&format!("listening on {address}: {error}")),
    }
}

/// Answers HTTP requests for ever: `answer` gets the path and gives the body, or the reason for a 502.
pub fn serve_http(answer: impl Fn(&str) -> io::Result<String>) {
    for stream in listen().incoming() {
        let result = stream.and_then(|stream| serve_one(stream, &answer));
        if let Err(error) = result {
            eprintln!("a request ended early: {error}");
        }
    }
}

fn serve_one(mut stream: TcpStream, answer: &impl Fn(&str) -> io::Result<String>) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // the head has to be read to its end, or closing the connection would reset it
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, body) = match answer(path) {
        Ok(body) => ("200 OK", body),
        Err(error) => ("502 Bad Gateway", error.to_string()),
    };
    if path != "/healthz" {
        println!("{request} -> {status}");
    }
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// `GET path` from another service; its body, or an error where it did not answer 200.
pub fn get(address: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(io::Error::other(format!("{address}{path}: {status}: {body}")))
    }
}

/// Sends one line to the store and returns the line it answers.
pub fn ask_store(address: &str, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    writeln!(stream, "{request}")?;
    let mut answer = String::new();
    if BufReader::new(stream).read_line(&mut answer)? == 0 {
        return Err(io::Error::other(format!("the store at {address} hung up")));
    }
    Ok(answer.trim_end().to_owned())
}
