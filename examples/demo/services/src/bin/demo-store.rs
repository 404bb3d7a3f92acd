//! A key-value store over TCP. Each change is appended to a file, so that a killed store comes back with what it knew.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use muster_demo_services::{fail, listen, setting};

struct Store {
    values: HashMap<String, String>,
    file: File,
}

impl Store {
    fn open(path: &PathBuf) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let known = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let pairs = known.lines().filter_map(|line| line.split_once(' '));
        let values: HashMap<String, String> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        println!("{} keys in {}", values.len(), path.display());
        Ok(Self { values, file: OpenOptions::new().create(true).append(true).open(path)? })
    }

    fn answer(&mut self, request: &str) -> io::Result<String> {
        let mut words = request.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("GET"), Some(key), None) => Ok(self.values.get(key).cloned().unwrap_or_default()),
            (Some("SET"), Some(key), Some(value)) => {
                writeln!(self.file, "{key} {value}")?;
                self.values.insert(key.to_owned(), value.to_owned());
                Ok("ok".to_owned())
            }
            _ => Ok("error: GET key, or SET key value".to_owned()),
        }
    }
}

fn main() {
    let path = PathBuf::from(setting("DATA_FILE"));
    let store = match Store::open(&path) {
        Ok(store) => Arc::new(Mutex::new(store)),
        Err(error) => fail(&format!("opening {}: {error}", path.display())),
    };
    for stream in listen().incoming() {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            if let Err(error) = stream.and_then(|stream| talk(stream, &store)) {
                eprintln!("a client left: {error}");
            }
        });
    }
}

fn talk(mut stream: TcpStream, store: &Mutex<Store>) -> io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        let answer = store.lock().unwrap_or_else(PoisonError::into_inner).answer(&line?)?;
        writeln!(stream, "{answer}")?;
    }
    Ok(())
}
