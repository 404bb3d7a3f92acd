//! The user's own ssh: one master per host, and sessions and tunnels through it.
//!
//! The master is a process of its own that outlives the daemon, so that tunnels do; the next daemon finds it by its
//! control socket. It never asks (`BatchMode`): whatever needs an answer is a [`Trouble`] that says what to run.
//!
//! A master has the lock of its control socket as long as it lives: one whose daemon was killed while it logged in is waited
//! for and used, and there are never two. Who ends it when nobody needs it any more: [`super::masters`].

use super::master;
use super::trouble::Trouble;
use muster_spec::{Tunnel, TunnelEnd};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// A TCP connection comes to be within this time.
const CONNECT_SECONDS: u64 = 10;
/// Logging in takes less, jump hosts included.
const LOGIN: Duration = Duration::from_secs(25);
/// A master that lives answers its socket at once.
const CONTROL: Duration = Duration::from_secs(10);
/// Between two looks for the master's socket.
const LOOK: Duration = Duration::from_millis(5);
/// `sun_path` has 107 bytes (unix(7)); ssh binds beside it first, with 17 more.
const LONGEST_CONTROL: usize = 107 - 17;
/// Letters of a control socket's name that tell hosts apart.
const NAME: usize = 12;
/// Of what ssh says, this much is kept.
const SAID: u64 = 16 << 10;

/// How ssh is run.
#[derive(Debug, Clone)]
pub struct SshOptions {
    /// The program.
    pub program: PathBuf,
    /// Instead of `~/.ssh/config`.
    pub config: Option<PathBuf>,
    /// Variables that ssh gets as they are here, and not as this process has them: where the agent with the keys is, for
    /// example. None takes one away.
    pub variables: BTreeMap<String, Option<String>>,
}

impl Default for SshOptions {
    fn default() -> Self {
        Self { program: "ssh".into(), config: None, variables: BTreeMap::new() }
    }
}

impl SshOptions {
    /// `ssh`, or what `MUSTER_SSH` and `MUSTER_SSH_CONFIG` say.
    #[must_use]
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let program = var("MUSTER_SSH").unwrap_or_else(|| "ssh".into());
        Self { program, config: var("MUSTER_SSH_CONFIG"), variables: BTreeMap::new() }
    }
}

/// One host as ssh knows it.
#[derive(Debug, Clone)]
pub(super) struct Ssh {
    options: SshOptions,
    host: String,
    control: PathBuf,
}

impl Ssh {
    /// The control socket's name says host and how ssh is run, in as many letters as fit: who logs in with other keys has
    /// another master.
    pub(super) fn new(options: SshOptions, host: &str, runtime_dir: &Path) -> Self {
        let letters = LONGEST_CONTROL.saturating_sub(runtime_dir.as_os_str().len() + 2).clamp(5, NAME);
        let control = master::control(runtime_dir, &format!("{host}\0{options:?}"), letters);
        Self { options, host: host.to_owned(), control }
    }

    /// Where its master listens.
    pub(super) fn control_path(&self) -> &Path {
        &self.control
    }

    /// The line that a person runs to try it.
    pub(super) fn login(&self) -> String {
        match &self.options.config {
            Some(config) => format!("ssh -F {} {}", config.display(), self.host),
            None => format!("ssh {}", self.host),
        }
    }

    fn trouble(&self, said: &str) -> Trouble {
        Trouble::of_ssh(&self.host, &self.login(), said)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.options.program);
        if let Some(config) = &self.options.config {
            command.arg("-F").arg(config);
        }
        for (name, value) in &self.options.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.arg("-S").arg(&self.control);
        command.args(["-x", "-T", "-o", "BatchMode=yes", "-o", "LogLevel=INFO", "-o", "RemoteCommand=none"]);
        command.args(words);
        // not in our folder, which may be on something that is to be unmounted
        command.current_dir("/");
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, Trouble> {
        command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Trouble::lasting(format!(
                "`{}` is not installed here: other hosts are reached by OpenSSH's client",
                self.options.program.display()
            )),
            _ => Trouble::passing(format!("could not run `{}`: {error}", self.options.program.display())),
        })
    }

    /// Runs a command of ssh itself or a short one on the host: how it ended, and what was said.
    async fn run(&self, mut command: Command, patience: Duration) -> Result<(ExitStatus, String), Trouble> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = self.spawn(&mut command)?;
        let output = timeout(patience, child.wait_with_output()).await;
        let output = output.map_err(|_| Trouble::passing(format!("ssh to host `{}` does not answer", self.host)))?;
        let output = output.map_err(|error| Trouble::passing(format!("could not run ssh: {error}")))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        Ok((output.status, said))
    }

    async fn control(&self, words: &[OsString]) -> Result<(ExitStatus, String), Trouble> {
        let mut command = self.command(&[]);
        command.args(words).arg("--").arg(&self.host);
        self.run(command, CONTROL).await
    }

    /// Whether a master answers.
    async fn has_master(&self) -> bool {
        self.control.exists()
            && self.control(&["-O".into(), "check".into()]).await.is_ok_and(|(status, _)| status.success())
    }

    /// Makes a master unless there is one; true where it is new.
    pub(super) async fn ensure_master(&self) -> Result<bool, Trouble> {
        let deadline = Instant::now() + LOGIN;
        let lock = loop {
            if self.has_master().await {
                return Ok(false);
            }
            if let Some(lock) = master::try_lock(&self.control)? {
                break lock;
            }
            // one whose daemon was killed: it logs in now, or hangs
            if Instant::now() >= deadline {
                master::end(&self.control).await;
                return Err(self.late());
            }
            sleep(LOOK).await;
        };
        master::note(&lock, &self.host)?;
        let _ = fs::remove_file(&self.control);
        let connect = format!("ConnectTimeout={CONNECT_SECONDS}");
        let mut command = self.command(&["-M", "-N", "-o", "ControlPersist=no", "-o", &connect]);
        command.args(["-o", "ServerAliveInterval=4", "-o", "ServerAliveCountMax=3", "-o", "ClearAllForwardings=yes"]);
        command.args(["-o", "PermitLocalCommand=no", "--"]).arg(&self.host);
        // Ssh closes what it inherits but these three, and its output when it has logged in. It never reads its input, which
        // is where it keeps the lock.
        command.stdin(lock).stdout(Stdio::null()).stderr(Stdio::piped());
        // of our session, but in a group of its own: it outlives us, and no signal for our group reaches it
        command.process_group(0).kill_on_drop(false);
        let child = self.spawn(&mut command)?;
        drop(command);
        self.logged_in(child, deadline).await.map(|()| true)
    }

    /// Waits for a master's socket.
    async fn logged_in(&self, mut child: Child, deadline: Instant) -> Result<(), Trouble> {
        let stderr = child.stderr.take();
        let words = tokio::spawn(async move {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                // what it says later is read as well, or it would stop at a full pipe
                let _ = (&mut stderr).take(SAID).read_to_end(&mut said).await;
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
            said
        });
        loop {
            if self.control.exists() {
                // reaped when it ends
                tokio::spawn(async move { child.wait().await });
                return Ok(());
            }
            let ended = child.try_wait().map_err(|error| Trouble::passing(format!("could not run ssh: {error}")))?;
            if ended.is_some() {
                // a proxy command may hold the pipe a little longer
                let said = timeout(CONTROL, words).await;
                let said = said.ok().and_then(Result::ok).unwrap_or_default();
                return Err(self.trouble(&String::from_utf8_lossy(&said)));
            }
            if Instant::now() >= deadline {
                // nothing of it is left to wait for
                let _ = child.kill().await;
                return Err(self.late());
            }
            sleep(LOOK).await;
        }
    }

    fn late(&self) -> Trouble {
        Trouble::passing(format!("logging in to host `{}` takes too long", self.host))
    }

    /// Ends the master and with it everything that goes through it; comes back when it is gone.
    pub(super) async fn end_master(&self) {
        master::end(&self.control).await;
    }

    /// A command on the host through the master, for a shell of any kind; `script` has no single quotes. Never a
    /// connection of its own.
    pub(super) fn session(&self, script: &str) -> Command {
        debug_assert!(!script.contains('\''), "it goes in single quotes");
        let mut command = self.command(&["-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-o", "ProxyJump=none"]);
        command.arg("--").arg(&self.host).arg(format!("exec sh -c '{script}'"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// The same, running.
    pub(super) fn open(&self, script: &str) -> Result<Child, Trouble> {
        self.spawn(&mut self.session(script))
    }

    /// Why a session ended early.
    pub(super) async fn failed(&self, child: &mut Child) -> Trouble {
        let mut said = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            let _ = timeout(CONTROL, stderr.take(SAID).read_to_end(&mut said)).await;
        }
        self.trouble(&String::from_utf8_lossy(&said))
    }

    /// Opens tunnels; those that are open already stay.
    pub(super) async fn forward(&self, tunnels: &[Tunnel]) -> Result<(), Trouble> {
        self.tunnels("forward", tunnels).await.map_err(|said| {
            let listed: Vec<String> = tunnels.iter().map(|tunnel| self.describe(tunnel)).collect();
            let ports = listed.join(", ");
            Trouble::passing(format!("could not open the tunnel {ports}: is the port free where it listens? ({said})"))
        })
    }

    /// Closes tunnels.
    pub(super) async fn cancel(&self, tunnels: &[Tunnel]) {
        // one that is not open, or a master that is gone, is what was wanted
        let _ = self.tunnels("cancel", tunnels).await;
    }

    async fn tunnels(&self, verb: &str, tunnels: &[Tunnel]) -> Result<(), String> {
        if tunnels.is_empty() {
            return Ok(());
        }
        let mut words: Vec<OsString> = vec!["-O".into(), verb.into()];
        for tunnel in tunnels {
            words.push(if tunnel.end == TunnelEnd::Near { "-L" } else { "-R" }.into());
            words.push(format!("{}:{}", tunnel.listen, tunnel.to).into());
        }
        match self.control(&words).await {
            Ok((status, _)) if status.success() => Ok(()),
            Ok((_, said)) => Err(said.lines().last().unwrap_or("no reason given").trim().to_owned()),
            Err(trouble) => Err(trouble.text),
        }
    }

    fn describe(&self, tunnel: &Tunnel) -> String {
        match tunnel.end {
            TunnelEnd::Near => format!("from {} here to {} on `{}`", tunnel.listen, tunnel.to, self.host),
            TunnelEnd::Far => format!("from {} on `{}` to {} here", tunnel.listen, self.host, tunnel.to),
        }
    }
}
