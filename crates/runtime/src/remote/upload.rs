//! Bringing the agent and the supervisor to a host, once per content, and starting the agent.
//!
//! Nothing is asked of the host but a POSIX `sh` with `uname`, `mkdir`, `cat`, `chmod` and `mv`. What was brought says
//! its own hash before it gets its name, so a file with the name is whole.

use super::binaries::{Binary, Kind, Kinds};
use super::mux::Mux;
use super::ssh::Ssh;
use super::trouble::Trouble;
use super::wire::GREETING;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

/// An agent that is there greets within this time.
const GREET: Duration = Duration::from_secs(12);
/// Bringing a few MB takes less, or the host is no use.
const UPLOAD: Duration = Duration::from_secs(180);
/// Login scripts print less than this.
const NOISE: u64 = 64 << 10;
/// Where it goes, in the words of the host's shell.
const CACHE: &str = "\"$HOME/.cache/muster\"";

/// What the host answered instead of an agent.
enum Instead {
    /// Something is not there: for this system, as `uname -sm` says it.
    Missing(String),
    /// A system that we do not serve.
    Unserved(String),
    /// Nothing that we know; ssh or the shell said why.
    Trouble(Trouble),
    /// Nothing at all.
    Silence,
}

/// Starts the agent of `owner`, brought there first where it is missing.
pub(super) async fn agent(ssh: &Ssh, host: &str, kinds: &Kinds, owner: &str) -> Result<(Arc<Mux>, Child), Trouble> {
    let kinds = kinds.all()?;
    let script = serve_script(kinds, owner);
    for last in [false, true] {
        let mut child = ssh.open(&script)?;
        match greet(ssh, &mut child).await {
            Ok(from) => {
                let Some(to) = child.stdin.take() else { return Err(Trouble::passing("ssh has no input")) };
                let mux = timeout(GREET, Mux::over(from, to)).await;
                let mux = mux.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                return match mux {
                    Ok(mux) => Ok((mux, child)),
                    Err(error) => Err(Trouble::passing(format!("the agent on host `{host}` does not greet: {error}"))),
                };
            }
            Err(Instead::Missing(system)) if !last => bring(ssh, host, kind_of(kinds, host, &system)?).await?,
            Err(Instead::Missing(_)) => {
                return Err(Trouble::lasting(format!(
                    "what was brought to `~/.cache/muster` on host `{host}` is not there a moment later"
                )));
            }
            Err(Instead::Unserved(system)) => return Err(unserved(kinds, host, &system)),
            Err(Instead::Trouble(trouble)) => return Err(trouble),
            Err(Instead::Silence) => {
                // the master may be one whose connection is dead and does not know yet
                ssh.end_master().await;
                return Err(Trouble::passing(format!("host `{host}` does not answer")));
            }
        }
    }
    Err(Trouble::passing(format!("the agent on host `{host}` did not start")))
}

fn unserved(kinds: &[Kind], host: &str, system: &str) -> Trouble {
    let served: Vec<String> = kinds.iter().map(|kind| format!("Linux {}", kind.binaries.machine)).collect();
    Trouble::lasting(format!("host `{host}` is `{system}`; services can run on {}", served.join(" and ")))
}

fn kind_of<'a>(kinds: &'a [Kind], host: &str, system: &str) -> Result<&'a Kind, Trouble> {
    let machine = system.split(' ').nth(1).unwrap_or_default().replace("arm64", "aarch64");
    kinds.iter().find(|kind| kind.binaries.machine == machine).ok_or_else(|| unserved(kinds, host, system))
}

fn serve_script(kinds: &[Kind], owner: &str) -> String {
    let mut cases = String::new();
    for kind in kinds {
        let machine = kind.binaries.machine;
        let also = if machine == "aarch64" { "|\"Linux arm64\"" } else { "" };
        let _ = write!(cases, "\"Linux {machine}\"{also}) a={} s={};; ", kind.agent, kind.shim);
    }
    format!(
        "m=$(uname -sm); case \"$m\" in {cases}*) echo; echo \"muster-unserved $m\"; exit 90;; esac; c={CACHE}; \
         test -x \"$c/agent-$a\" && test -x \"$c/shim-$s\" || {{ echo; echo \"muster-missing $m\"; exit 91; }}; \
         exec \"$c/agent-$a\" serve {owner} \"$c/shim-$s\""
    )
}

/// Reads past what a login script prints, up to the greeting.
async fn greet(ssh: &Ssh, child: &mut Child) -> Result<BufReader<ChildStdout>, Instead> {
    let silent = || Instead::Silence;
    let stdout = child.stdout.take().ok_or_else(silent)?;
    let mut from = BufReader::new(stdout);
    let mut left = NOISE;
    let greeting = GREETING.trim_ascii();
    loop {
        let mut line = Vec::new();
        let read = timeout(GREET, (&mut from).take(left).read_until(b'\n', &mut line)).await;
        let count = read.map_err(|_| silent())?.unwrap_or(0);
        left = left.saturating_sub(count as u64);
        if count == 0 {
            return Err(Instead::Trouble(ssh.failed(child).await));
        }
        let line = line.trim_ascii();
        if line == greeting {
            return Ok(from);
        }
        let text = String::from_utf8_lossy(line);
        if let Some(system) = text.strip_prefix("muster-missing ") {
            return Err(Instead::Missing(system.to_owned()));
        }
        if let Some(system) = text.strip_prefix("muster-unserved ") {
            return Err(Instead::Unserved(system.to_owned()));
        }
    }
}

/// Brings both files: the agent first, which then says the supervisor's hash.
pub(super) async fn bring(ssh: &Ssh, host: &str, kind: &Kind) -> Result<(), Trouble> {
    let agent = format!("agent-{}", kind.agent);
    let checker = format!("\"$c/{agent}\"");
    let shim = Part { what: &kind.binaries.shim, name: format!("shim-{}", kind.shim), hash: &kind.shim, checker };
    let agent = Part { what: &kind.binaries.agent, name: agent, hash: &kind.agent, checker: "\"$t\"".to_owned() };
    place(ssh, host, &agent).await?;
    place(ssh, host, &shim).await
}

/// Brings the files for the kind of machine that the host is.
pub(super) async fn bring_again(ssh: &Ssh, host: &str, kinds: &Kinds) -> Result<(), Trouble> {
    let mut child = ssh.open("uname -sm")?;
    let mut system = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read = timeout(GREET, stdout.take(NOISE).read_to_string(&mut system)).await;
        read.map_err(|_| Trouble::passing(format!("host `{host}` does not answer")))
            .and_then(|read| read.map_err(|error| Trouble::passing(error.to_string())))?;
    }
    let system = system.lines().rev().find(|line| line.starts_with("Linux ")).unwrap_or_default().to_owned();
    bring(ssh, host, kind_of(kinds.all()?, host, &system)?).await
}

/// One file that is brought.
struct Part<'a> {
    what: &'a Binary,
    /// What it is called there.
    name: String,
    hash: &'a str,
    /// What says its hash there, in the words of the host's shell.
    checker: String,
}

async fn place(ssh: &Ssh, host: &str, part: &Part<'_>) -> Result<(), Trouble> {
    let Part { what, name, hash, checker } = part;
    let script = format!(
        "umask 077; c={CACHE}; t=\"$c/.{name}.$$\"; mkdir -p \"$c\" || exit 1; \
         cat > \"$t\" && chmod 700 \"$t\" || {{ rm -f \"$t\"; exit 1; }}; \
         h=$({checker} hash \"$t\"); test \"$h\" = {hash} && mv -f \"$t\" \"$c/{name}\" && exit 0; \
         rm -f \"$t\"; echo \"muster-hash $h\" >&2; exit 92"
    );
    let bytes = what.bytes().map_err(|error| Trouble::lasting(error.to_string()))?;
    let mut child = ssh.open(&script)?;
    let sent = async {
        if let Some(mut stdin) = child.stdin.take() {
            // where the host does not take it all, it says why
            let _ = stdin.write_all(&bytes).await;
            let _ = stdin.shutdown().await;
        }
        child.wait().await
    };
    let status = timeout(UPLOAD, sent)
        .await
        .map_err(|_| Trouble::passing(format!("bringing {} bytes to host `{host}` takes too long", bytes.len())))?
        .map_err(|error| Trouble::passing(format!("could not run ssh: {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(92) => Err(Trouble::lasting(format!(
            "`{name}` was brought to `~/.cache/muster` on host `{host}` but does not run there or is not whole: is that folder \
             on a file system without execution? ({})",
            ssh.failed(&mut child).await.text
        ))),
        Some(_) | None => Err(ssh.failed(&mut child).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::HostBinaries;

    fn kind(machine: &'static str) -> Kind {
        let binaries = HostBinaries { machine, agent: Binary::Embedded(b"a"), shim: Binary::Embedded(b"s") };
        Kind { binaries, agent: format!("a{machine}"), shim: format!("s{machine}") }
    }

    #[test]
    fn the_kind_of_machine_decides() {
        let kinds = [kind("x86_64"), kind("aarch64")];
        assert_eq!(kind_of(&kinds, "h", "Linux arm64").unwrap().agent, "aaarch64");
        assert_eq!(kind_of(&kinds, "h", "Linux x86_64").unwrap().agent, "ax86_64");
        let trouble = kind_of(&kinds, "h", "Linux riscv64").unwrap_err();
        assert!(trouble.lasting && trouble.text.contains("riscv64") && trouble.text.contains("Linux aarch64"));
        let script = serve_script(&kinds, "0123");
        assert!(!script.contains('\'') && !script.contains('\n'), "it goes through any shell in single quotes");
    }
}
