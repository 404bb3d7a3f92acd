//! Docker Engine, started as root below one folder.

use crate::background::Background;
use crate::number::Number;
use crate::{Engine, Result, Trouble};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// dockerd starts a containerd and asks the kernel for everything it may use.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// How much of the machine an engine may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Networks {
    /// The usual ones: `docker0`, and rules of iptables. One engine on a machine can have them.
    Usual,
    /// A bridge of its own and no rules: beside another engine. Containers reach each other and the host; ports are
    /// published by the proxy.
    Beside {
        /// The bridge's name, at most 15 bytes; it is made.
        bridge: String,
        /// Its address, like `10.213.7.1/24`.
        address: String,
        /// What the addresses of further networks begin with, like `10.113.7.`: those of no other engine.
        further: String,
    },
}

/// What addresses of networks of the engine with the usual ones begin with.
const USUAL: &str = "10.219.";

impl Networks {
    /// From where networks have their addresses: only ever this engine's, so that its bridges can be told from others and
    /// removed after it was killed; Docker's own where the machine has another network there.
    fn pools(&self) -> Vec<String> {
        match self {
            Self::Usual => vec![
                format!("base={USUAL}0.0/16,size=24"),
                "base=172.16.0.0/12,size=20".to_owned(),
                "base=192.168.0.0/16,size=24".to_owned(),
            ],
            Self::Beside { further, .. } => vec![format!("base={further}0/24,size=28")],
        }
    }

    /// The bridges with such addresses, and the one that was made for it; `docker0` is every engine's in turn.
    fn bridges(&self) -> Vec<String> {
        let (mut bridges, begins) = match self {
            Self::Usual => (Vec::new(), USUAL),
            Self::Beside { bridge, further, .. } => (vec![bridge.clone()], further.as_str()),
        };
        let listed = Command::new("ip").args(["-brief", "-4", "address", "show", "type", "bridge"]).output();
        let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        bridges.extend(text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().filter(|name| name.starts_with("br-"))?;
            words.any(|word| word.starts_with(begins)).then(|| name.to_owned())
        }));
        bridges
    }
}

/// A dockerd of ours.
#[derive(Debug)]
pub struct Dockerd {
    folder: PathBuf,
    networks: Networks,
    process: Background,
}

impl Dockerd {
    /// The one below a folder, whether it runs or not. The folder is best short: sockets lie below it.
    #[must_use]
    pub fn below(folder: &Path, networks: Networks) -> Self {
        Self { folder: folder.to_owned(), networks, process: Background::of(folder, "dockerd") }
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine { socket: self.folder.join("docker.sock") }
    }

    /// Where it keeps images and containers.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it, unless it answers, and waits until it does.
    ///
    /// # Errors
    /// When it ends or does not answer; dockerd's last words are in it.
    pub fn start(&self) -> Result<Engine> {
        let engine = self.engine();
        if engine.answers() {
            return Ok(engine);
        }
        let at = |name: &str| self.folder.join(name);
        fs::create_dir_all(&self.folder).map_err(Trouble::at(self.folder.display()))?;
        // not the machine's: what it says there is not meant for us
        fs::write(at("daemon.json"), "{}\n").map_err(Trouble::at("daemon.json"))?;
        let mut dockerd = Command::new("dockerd");
        dockerd.arg("--config-file").arg(at("daemon.json")).arg("--data-root").arg(self.data());
        dockerd.arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("docker.pid"));
        dockerd.args(["--host", &engine.address(), "--log-level", "warn"]);
        // with pools, and a network of before, dockerd removes `docker0` first: also where that is another engine's
        if self.networks == Networks::Usual || !self.data().join("network").exists() {
            dockerd.args(self.networks.pools().iter().flat_map(|pool| ["--default-address-pool", pool]));
        }
        if let Networks::Beside { bridge, address, .. } = &self.networks {
            // never `--bridge none`: that removes the `docker0` of the other engine
            make_bridge(bridge, address)?;
            dockerd.args(["--bridge", bridge, "--iptables=false", "--ip-masq=false"]);
        }
        self.process.start(&mut dockerd)?;
        self.process.wait_ready(READY_WITHIN, || engine.answers())?;
        Ok(engine)
    }

    /// Ends it; its containers end with it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<()> {
        self.process.stop()
    }

    /// The daemon's pid while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<rustix::process::Pid> {
        self.process.pid()
    }

    /// Removes what no engine removes when it ends, nor when it is killed, and what is in the way of the next one's networks.
    /// While it runs, its containers would lose theirs.
    pub(crate) fn remove_bridges(&self) {
        for bridge in self.networks.bridges() {
            // it may never have been made
            let _ = Command::new("ip").args(["link", "delete", &bridge]).output();
        }
    }

    /// Ends it and removes all it had.
    ///
    /// # Errors
    /// When it does not end.
    pub fn remove(&self) -> Result<()> {
        self.stop()?;
        self.remove_bridges();
        unmount_below(&self.folder);
        remove_folder(&self.folder)
    }
}

/// A dockerd that belongs to one test: to be restarted, killed and cut off. Gone with the value.
#[derive(Debug)]
pub struct PrivateDocker {
    dockerd: Dockerd,
    _folder: tempfile::TempDir,
    _number: Number,
}

impl PrivateDocker {
    /// Starts one, with the images of the tests.
    ///
    /// # Errors
    /// When this user cannot, or it does not come up.
    pub fn start() -> Result<Self> {
        Self::make(None)
    }

    /// One whose disk has so many bytes.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn with_disk(bytes: u64) -> Result<Self> {
        Self::make(Some(bytes))
    }

    fn make(disk: Option<u64>) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("mpd-").tempdir_in(crate::base()).map_err(Trouble::at("a folder"))?;
        let taken = Number::take("mpd", 12_800)?;
        let number = taken.get();
        let networks = Networks::Beside {
            bridge: format!("mpd{number}"),
            // namespaced hosts have 10.218.0.0/16
            address: format!("10.{}.{}.1/24", 150 + number / 256, number % 256),
            further: format!("10.{}.{}.", 100 + number / 256, number % 256),
        };
        let dockerd = Dockerd::below(&folder.path().join("d"), networks);
        dockerd.remove_bridges();
        if let Some(bytes) = disk {
            let data = dockerd.data();
            fs::create_dir_all(&data).map_err(Trouble::at(data.display()))?;
            let options = format!("size={bytes}");
            crate::services::succeed(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(data))?;
        }
        let private = Self { dockerd, _folder: folder, _number: taken };
        crate::images::ensure(&private.dockerd.start()?)?;
        Ok(private)
    }

    /// The daemon: `stop` and `start` restart it.
    #[must_use]
    pub fn daemon(&self) -> &Dockerd {
        &self.dockerd
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.dockerd.engine()
    }
}

impl Drop for PrivateDocker {
    fn drop(&mut self) {
        if let Err(error) = self.dockerd.remove() {
            eprintln!("a private Docker Engine is left: {error}");
        }
    }
}

fn make_bridge(name: &str, address: &str) -> Result<()> {
    // `/sys` may show another network namespace than ours
    if Command::new("ip").args(["link", "show", name]).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    for words in [
        &["link", "add", name, "type", "bridge"][..],
        &["address", "add", address, "dev", name],
        &["link", "set", name, "up"],
    ] {
        crate::services::succeed(Command::new("ip").args(words))?;
    }
    Ok(())
}

/// Layers and namespaces that a killed engine left mounted, innermost first.
pub(crate) fn unmount_below(folder: &Path) {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points =
        text.lines().filter_map(|line| line.split(' ').nth(1)).filter(|point| Path::new(point).starts_with(folder));
    let points: Vec<&str> = points.collect();
    for point in points.into_iter().rev() {
        // what cannot be unmounted keeps its folder from being removed, which is told
        let _ = Command::new("umount").args(["--lazy", point]).output();
    }
}

pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Trouble::at(folder.display())(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
