//! A host with an sshd of its own, and all that a client needs to log in: keys, known hosts, a configuration.
//!
//! sshd has its default limits (MaxStartups 10:30:100, MaxSessions 10). Whoever logs in has the host's folder `home` as
//! HOME, not that of the user on this machine. The host is gone with the value.

use crate::background::Background;
use crate::namespace::Namespace;
use crate::services::succeed;
use crate::{Result, Trouble};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long sshd may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// How a host is made.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// A network namespace, with processes and a boot id of its own; else a loopback port of this machine.
    pub namespaced: bool,
    /// What `uname -m` says there; only where it is namespaced.
    pub machine: Option<String>,
    /// The size of its home in bytes; only where it is namespaced.
    pub disk: Option<u64>,
    /// More lines for sshd's configuration.
    pub sshd: Vec<String>,
}

/// A host with an sshd.
#[derive(Debug)]
pub struct Host {
    // before the folder: it ends before that is removed
    namespace: Option<Namespace>,
    sshd: PathBuf,
    port: u16,
    process: Background,
    folder: tempfile::TempDir,
}

impl Host {
    /// One on a loopback port of this machine.
    ///
    /// # Errors
    /// When sshd does not come up.
    pub fn local(sshd: &Path) -> Result<Self> {
        Self::make(sshd, Plan::default())
    }

    /// One in namespaces of its own; only root can.
    ///
    /// # Errors
    /// When they cannot be made, or sshd does not come up.
    pub fn namespaced(sshd: &Path) -> Result<Self> {
        Self::make(sshd, Plan { namespaced: true, ..Plan::default() })
    }

    /// One by plan.
    ///
    /// # Errors
    /// When it cannot be made so, or sshd does not come up.
    pub fn make(sshd: &Path, plan: Plan) -> Result<Self> {
        // short: sockets lie below it
        let folder =
            tempfile::Builder::new().prefix("mh-").tempdir_in(crate::base()).map_err(Trouble::at("a folder"))?;
        let root = folder.path();
        let namespace = plan.namespaced.then(|| Namespace::make(root, plan.machine, plan.disk)).transpose()?;
        fs::create_dir_all(root.join("home")).map_err(Trouble::at(root.display()))?;
        let port = if namespace.is_some() { 22 } else { free_port()? };
        let host = Self { namespace, sshd: sshd.to_owned(), port, process: Background::of(root, "sshd"), folder };
        host.make_key("id")?;
        host.make_key("host_key")?;
        host.accept_key()?;
        host.know_host_key()?;
        host.configure(&plan.sshd)?;
        host.start_sshd()?;
        Ok(host)
    }

    /// Its folder; everything of it lies there, also what sshd says (`sshd.log`).
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// HOME of whoever logs in.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder().join("home")
    }

    /// How the client's configuration calls it.
    #[must_use]
    pub fn alias(&self) -> &str {
        self.namespace.as_ref().map_or("loopback", Namespace::name)
    }

    /// Where its sshd listens.
    #[must_use]
    pub fn address(&self) -> (String, u16) {
        (self.namespace.as_ref().map_or_else(|| "127.0.0.1".to_owned(), Namespace::address), self.port)
    }

    /// Its namespaces: to cut the link, to power it off.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        self.namespace.as_ref().expect("the plan said `namespaced`")
    }

    /// The client's configuration with this host alone.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder().join("ssh_config")
    }

    /// The hosts this client knows.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.folder().join("known_hosts")
    }

    /// The client's private key.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.folder().join("id")
    }

    /// Writes a configuration with several hosts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(path: &Path, hosts: &[&Self]) -> Result<()> {
        let text: String = hosts.iter().map(|host| host.client_lines()).collect();
        fs::write(path, text).map_err(Trouble::at(path.display()))
    }

    /// An `ssh` command that logs in by its configuration; words of the remote command follow.
    #[must_use]
    pub fn ssh(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.config()).args(["-o", "BatchMode=yes", self.alias()]);
        ssh
    }

    /// Starts sshd, and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_sshd(&self) -> Result<()> {
        let config = self.folder().join("sshd_config");
        let pid_file = self.folder().join("sshd.inner");
        let _ = fs::remove_file(&pid_file);
        match &self.namespace {
            // a daemon of the host, not a child of ours
            Some(namespace) => succeed(
                namespace
                    .command(&self.sshd.display().to_string())
                    .args(["-E"])
                    .arg(self.process.log())
                    .arg("-f")
                    .arg(config),
            )?,
            None => self.process.start(Command::new(&self.sshd).args(["-D", "-e", "-f"]).arg(config))?,
        }
        let (address, port) = self.address();
        let address: SocketAddr = format!("{address}:{port}").parse().map_err(|_| Trouble::new("an address"))?;
        let begun = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() || !pid_file.exists() {
            if begun.elapsed() > LISTENS_WITHIN {
                let log = fs::read_to_string(self.process.log()).unwrap_or_default();
                return Err(Trouble::new(format!("sshd does not listen at {address}: {}", log.trim())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends the listening sshd; sessions go on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop_sshd(&self) -> Result<()> {
        let Some(namespace) = &self.namespace else { return self.process.stop() };
        let pid_file = self.folder().join("sshd.inner");
        let pid = fs::read_to_string(&pid_file).unwrap_or_default();
        // the last word is said when it is gone
        namespace.sh(&format!("p={}; kill $p; while test -d /proc/$p; do sleep 0.01; done", pid.trim()))?;
        Ok(())
    }

    /// Everything on it ends; it comes up with another boot id, and its sshd listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn reboot(&self) -> Result<()> {
        self.namespace().power_off()?;
        self.namespace().boot()?;
        self.start_sshd()
    }

    /// The client's key is accepted.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn accept_key(&self) -> Result<()> {
        let public = self.folder().join("id.pub");
        let keys = self.folder().join("authorized_keys");
        fs::copy(&public, keys).map(drop).map_err(Trouble::at(public.display()))
    }

    /// The client's key is refused from now on.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn refuse_key(&self) -> Result<()> {
        let keys = self.folder().join("authorized_keys");
        fs::write(&keys, "").map_err(Trouble::at(keys.display()))
    }

    /// The client knows this host's key.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn know_host_key(&self) -> Result<()> {
        let public = self.folder().join("host_key.pub");
        let key = fs::read_to_string(&public).map_err(Trouble::at(public.display()))?;
        let (address, port) = self.address();
        let name = if port == 22 { address } else { format!("[{address}]:{port}") };
        fs::write(self.known_hosts(), format!("{name} {key}")).map_err(Trouble::at("known_hosts"))
    }

    /// The client has never seen this host.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn forget_host_key(&self) -> Result<()> {
        fs::write(self.known_hosts(), "").map_err(Trouble::at("known_hosts"))
    }

    /// The host has another key than the client knows.
    ///
    /// # Errors
    /// When it cannot be made, or sshd does not come up with it.
    pub fn change_host_key(&self) -> Result<()> {
        self.stop_sshd()?;
        for name in ["host_key", "host_key.pub"] {
            fs::remove_file(self.folder().join(name)).map_err(Trouble::at(name))?;
        }
        self.make_key("host_key")?;
        self.start_sshd()
    }

    fn make_key(&self, name: &str) -> Result<()> {
        let path = self.folder().join(name);
        succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(path))
    }

    fn configure(&self, more: &[String]) -> Result<()> {
        // sshd as root wants it, and nobody but a service manager makes it
        let _ = fs::create_dir_all("/run/sshd");
        let folder = self.folder().display();
        let (address, port) = self.address();
        let mut text = format!(
            "ListenAddress {address}\nPort {port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n\
             PidFile {folder}/sshd.inner\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n\
             KbdInteractiveAuthentication no\nSetEnv HOME={folder}/home\nSubsystem sftp internal-sftp\n"
        );
        for line in more {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(self.folder().join("sshd_config"), text).map_err(Trouble::at("sshd_config"))?;
        fs::write(self.config(), self.client_lines()).map_err(Trouble::at("ssh_config"))
    }

    fn client_lines(&self) -> String {
        let (address, port) = self.address();
        let (identity, known) = (self.identity(), self.known_hosts());
        format!(
            "Host {}\n  HostName {address}\n  Port {port}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n",
            self.alias(),
            identity.display(),
            known.display()
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // one in namespaces ends with them
        if self.namespace.is_none()
            && let Err(error) = self.process.stop()
        {
            eprintln!("an sshd is left: {error}");
        }
    }
}

fn free_port() -> Result<u16> {
    let at = || Trouble::at("a free port");
    TcpListener::bind(("127.0.0.1", 0)).map_err(at())?.local_addr().map(|address| address.port()).map_err(at())
}
