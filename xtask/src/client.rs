//! `muster` as the demo uses it: its commands on one stack, with a state folder of their own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::workspace::{output, run as run_command};

/// How long a single request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two looks at something that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The commands of one stack.
pub(crate) struct Client {
    /// The program.
    pub(crate) binary: PathBuf,
    /// The folder of `muster.yaml`.
    pub(crate) stack: PathBuf,
    /// Stands in for the user's MUSTER_HOME.
    pub(crate) home: PathBuf,
}

/// `muster status --json`, as far as it is needed.
#[derive(Deserialize)]
pub(crate) struct Status {
    services: Vec<Service>,
}

/// One service in it.
#[derive(Clone, Deserialize)]
pub(crate) struct Service {
    name: String,
    /// Its readiness checks passed.
    pub(crate) ready: bool,
    /// Where it runs as a process.
    pub(crate) pid: Option<u32>,
    /// Where it can be reached, by the port's name.
    #[serde(default)]
    pub(crate) addresses: std::collections::BTreeMap<String, String>,
}

impl Client {
    /// Runs a command with its output on our terminal.
    pub(crate) fn run(&self, words: &[&str]) -> Result<()> {
        run_command(&mut self.command(words))
    }

    /// Asks for the state of a service.
    pub(crate) fn service(&self, name: &str) -> Result<Service> {
        let json = output(&mut self.command(&["status", "--json"]))?;
        let status: Status = serde_json::from_str(&json).with_context(|| format!("`status --json` printed {json}"))?;
        let found = status.services.into_iter().find(|service| service.name == name);
        found.with_context(|| format!("`status --json` does not list `{name}`"))
    }

    /// Looks at a service until it is as wanted.
    pub(crate) fn wait_for(&self, name: &str, within: Duration, wanted: impl Fn(&Service) -> bool) -> Result<Service> {
        let deadline = Instant::now() + within;
        loop {
            let service = self.service(name)?;
            if wanted(&service) {
                return Ok(service);
            }
            if Instant::now() > deadline {
                bail!("`{name}` did not get there within {within:?}: ready {}, pid {:?}", service.ready, service.pid);
            }
            sleep(LOOK_AGAIN);
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.stack).env("MUSTER_HOME", &self.home).args(words);
        command
    }
}

/// `GET path`; the body of a 200 answer.
pub(crate) fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("reading the answer of {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{address}{path} answered `{status}`: {}", body.trim());
    }
    Ok(body.trim().to_owned())
}
