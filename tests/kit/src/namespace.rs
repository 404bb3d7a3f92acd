//! A machine of its own, as far as the kernel can pretend: network, processes, mounts and name are namespaces; the file
//! system is shared but for `/var/tmp`, so that a test sees what a service there writes.
//!
//! ```text
//!  this machine                      the host
//!  mhNa 10.218.x.y ═════ veth ═════ eth0 10.218.x.y+1      init (reaps) ── sshd ── sessions ── shims ── services
//!                    cut(): packets are dropped, not refused
//! ```
//!
//! Killing its first process ends everything on it at once, as a power cut does; [`Namespace::boot`] is then another boot.

use crate::background::Background;
use crate::number::Number;
use crate::services::succeed;
use crate::{Result, Trouble};
use rustix::process::{Pid, Signal};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Programs that reap what is orphaned and do nothing else: Debian's `docker.io` or `tini` bring one.
const INITS: [&str; 3] = ["/usr/bin/docker-init", "/usr/bin/tini-static", "/usr/bin/tini"];
/// How long making namespaces may take on a busy machine.
const BOOT_WITHIN: Duration = Duration::from_secs(30);

/// A machine of its own.
#[derive(Debug)]
pub struct Namespace {
    folder: PathBuf,
    name: String,
    number: Number,
    machine: Option<String>,
    disk: Option<u64>,
    init: Background,
}

impl Namespace {
    /// Makes one and boots it; what belongs to it lies in `folder`, its home in `folder/home`.
    ///
    /// `machine` is what `uname -m` says there, `disk` the size of its home in bytes.
    ///
    /// # Errors
    /// When this user cannot, or a tool is missing.
    pub fn make(folder: &Path, machine: Option<String>, disk: Option<u64>) -> Result<Self> {
        // short: interfaces are named after it
        let number = Number::take("mh", 16_000)?;
        let name = format!("mh{}", number.get());
        let init = Background::of(folder, "init");
        let namespace = Self { folder: folder.to_owned(), name, number, machine, disk, init };
        fs::create_dir_all(namespace.home()).map_err(Trouble::at(folder.display()))?;
        // a killed test's
        namespace.unname();
        succeed(Command::new("ip").args(["netns", "add", &namespace.name]))?;
        namespace.wire()?;
        namespace.boot()?;
        Ok(namespace)
    }

    /// Its name, also of the network namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, reached from here.
    #[must_use]
    pub fn address(&self) -> String {
        self.ends().1
    }

    /// Our address, reached from there.
    #[must_use]
    pub fn gateway(&self) -> String {
        self.ends().0
    }

    /// The home of whoever logs in.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// The pid here of its first process.
    #[must_use]
    pub fn init(&self) -> Option<i32> {
        let outer = self.init.pid()?;
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// A command that runs there, past ssh.
    ///
    /// # Panics
    /// When it is powered off.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let init = self.init().expect("the host is up");
        let mut command = Command::new("nsenter");
        command.args(["--target", &init.to_string(), "--net", "--pid", "--mount", "--uts", "--", program]);
        command
    }

    /// Runs a shell's words there.
    ///
    /// # Errors
    /// When they cannot be started or fail.
    pub fn sh(&self, words: &str) -> Result<String> {
        let at = Trouble::at(format!("on {}: {words}", self.name));
        let Output { status, stdout, stderr } = self.command("sh").args(["-c", words]).output().map_err(at)?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).trim().to_owned());
        }
        Err(Trouble::new(format!("on {}: {words}: {}", self.name, String::from_utf8_lossy(&stderr).trim())))
    }

    /// From now on packets in both directions are dropped: nobody is told, nothing is reset.
    ///
    /// # Errors
    /// When that cannot be set.
    pub fn cut(&self) -> Result<()> {
        self.rules("-I")
    }

    /// Packets pass again.
    ///
    /// # Errors
    /// When that cannot be set, or the link is not cut.
    pub fn restore(&self) -> Result<()> {
        self.rules("-D")
    }

    /// Everything on it ends at once.
    ///
    /// # Errors
    /// When something does not.
    pub fn power_off(&self) -> Result<()> {
        // the first one takes all others with it; the outer process, deaf to TERM, ends when all are gone
        if let Some(init) = self.init().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(init, Signal::KILL);
        }
        self.init.stop()
    }

    /// It comes up with another boot id, and nothing runs but its first process.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(&self) -> Result<()> {
        let init = INITS.iter().find(|path| Path::new(path).is_file());
        let init = init.ok_or_else(|| Trouble::new("there is no `docker-init` or `tini`"))?;
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(Trouble::at("a boot id"))?;
        let file = |name: &str| self.folder.join(name);
        fs::write(file("boot_id"), id).map_err(Trouble::at("a boot id"))?;
        // a folder whose tmpfs is gone with the mounts of the last boot
        let _ = fs::remove_file(file("up"));
        let script = self.script(init);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "unshare", "--pid", "--mount", "--uts", "--fork", "--kill-child"]);
        command.args(["--mount-proc", "sh", "-ec", &script]);
        self.init.start(&mut command)?;
        self.init.wait_ready(BOOT_WITHIN, || file("up").exists())
    }

    fn script(&self, init: &str) -> String {
        let folder = self.folder.display();
        let mut lines = vec![format!("hostname {}", self.name)];
        lines.push(format!("mount --bind {folder}/boot_id /proc/sys/kernel/random/boot_id"));
        lines.push(format!("mkdir -p {folder}/var-tmp; chmod 1777 {folder}/var-tmp"));
        lines.push(format!("mount --bind {folder}/var-tmp /var/tmp"));
        if let Some(machine) = &self.machine {
            let fake = format!(
                "#!/bin/sh\ncase \"$*\" in -sm) echo Linux {machine};; -m) echo {machine};; *) echo Linux;; esac\n"
            );
            lines.push(format!("printf %s '{fake}' > {folder}/uname; chmod 755 {folder}/uname"));
            lines.push(format!("mount --bind {folder}/uname $(readlink -f /usr/bin/uname)"));
        }
        if let Some(bytes) = self.disk {
            lines.push(format!("mount -t tmpfs -o size={bytes} tmpfs {folder}/home"));
        }
        lines.push(format!("touch {folder}/up"));
        lines.push(format!("exec {init} -- sleep infinity"));
        lines.join("\n")
    }

    /// Both ends of the link: ours and theirs.
    fn ends(&self) -> (String, String) {
        let end = |offset: u32| {
            let last = self.number.get() * 4 + offset;
            format!("10.218.{}.{}", last / 256, last % 256)
        };
        (end(1), end(2))
    }

    fn wire(&self) -> Result<()> {
        let (ours, theirs) = self.ends();
        let (ours, theirs) = (format!("{ours}/30"), format!("{theirs}/30"));
        let (name, outer) = (self.name.as_str(), format!("{}a", self.name));
        for words in [
            &["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", name][..],
            &["address", "add", &ours, "dev", &outer],
            &["link", "set", &outer, "up"],
            &["-n", name, "address", "add", &theirs, "dev", "eth0"],
            &["-n", name, "link", "set", "eth0", "up"],
            &["-n", name, "link", "set", "lo", "up"],
        ] {
            succeed(Command::new("ip").args(words))?;
        }
        Ok(())
    }

    /// Removes its link and its name, where there are such.
    fn unname(&self) {
        // with the namespace the link would go as well, but only some time later
        let _ = Command::new("ip").args(["link", "delete", &format!("{}a", self.name)]).output();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }

    fn rules(&self, change: &str) -> Result<()> {
        for (chain, direction) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
            let mut command = Command::new("ip");
            command.args([
                "netns", "exec", &self.name, "iptables", "-w", "10", change, chain, direction, "eth0", "-j", "DROP",
            ]);
            succeed(&mut command)?;
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = self.power_off() {
            eprintln!("the host {} is left: {error}", self.name);
        }
        self.unname();
    }
}
