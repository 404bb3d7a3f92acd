//! Questions that only commands can answer that run where the instance runs: in a container, on another host.

use crate::{ProbeContext, exec};
use futures::future::BoxFuture;
use muster_spec::ResolvedCommand;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs a command there to its end.
pub type Inside = Arc<dyn Fn(ResolvedCommand) -> BoxFuture<'static, Result<Ran, String>> + Send + Sync>;

/// A command that ended by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote, from its beginning.
    pub stdout: Vec<u8>,
    /// What it complained about, from its beginning.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// Nothing, when it succeeded; else how it ended and the last thing that it said.
    ///
    /// # Errors
    /// When its code is not 0.
    pub fn outcome(&self) -> Result<(), String> {
        let Some(code) = self.code.filter(|code| *code != 0) else { return Ok(()) };
        match exec::last_line(&self.stderr).or_else(|| exec::last_line(&self.stdout)) {
            Some(line) => Err(format!("exited with {code}: {line}")),
            None => Err(format!("exited with {code}")),
        }
    }
}

async fn run(words: &[&str], context: &ProbeContext) -> Result<Ran, String> {
    let inside = context.inside().ok_or("it cannot be asked there")?;
    let argv = words.iter().map(|word| (*word).to_owned()).collect();
    inside(ResolvedCommand { argv, env: Vec::new(), cwd: PathBuf::new() }).await
}

pub(crate) async fn file(path: &Path, context: &ProbeContext) -> Result<(), String> {
    let shown = path.display().to_string();
    let ran = run(&["test", "-e", &shown], context).await?;
    if ran.code == Some(0) { Ok(()) } else { Err(format!("`{shown}` does not exist there")) }
}

/// Read from the tables of the machine there (proc_pid_net(5)): a tunnel's own end accepts whoever listens.
pub(crate) async fn listens(ports: &[u16], context: &ProbeContext) -> Result<(), String> {
    let ran = run(&["cat", "/proc/net/tcp", "/proc/net/tcp6"], context).await?;
    let listening = listening(&String::from_utf8_lossy(&ran.stdout));
    if listening.is_empty() {
        // a machine without IPv6 has only one of the files: what was read counts
        ran.outcome()?;
    }
    let missing: Vec<String> = ports
        .iter()
        .filter(|port| !listening.contains(port))
        .map(|port| format!("nothing listens on port {port} there"))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("; ")) }
}

/// The state of a socket that listens.
const LISTEN: &str = "0A";

fn listening(tables: &str) -> BTreeSet<u16> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (_, local, _, state) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let (_, port) = local.rsplit_once(':').filter(|_| state == LISTEN)?;
        u16::from_str_radix(port, 16).ok()
    };
    tables.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_count() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n   \
                     1: 0100007F:1F91 0100007F:E2A4 01 00000000:00000000 00:00000000 00000000     0\n   \
                     0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:0\n";
        assert_eq!(listening(table), BTreeSet::from([0x50, 0x1f90]));
    }

    #[test]
    fn the_last_line_says_why() {
        let ran = Ran { code: Some(3), stdout: b"x\n".to_vec(), stderr: b"a\nno such thing\n".to_vec() };
        assert_eq!(ran.outcome(), Err("exited with 3: no such thing".to_owned()));
        assert_eq!(Ran { code: Some(0), ..ran }.outcome(), Ok(()));
    }
}
