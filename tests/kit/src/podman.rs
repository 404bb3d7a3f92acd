//! Podman's Docker-compatible service, started as root below one folder.

use crate::background::Background;
use crate::{Engine, Result, Trouble};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The first start makes a database.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Where a short name is looked up: nowhere that can be reached, but `busybox` becomes `docker.io/library/busybox`.
const REGISTRIES: &str = "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"permissive\"\n";

/// Podman with a configuration and storage of its own.
#[derive(Debug)]
pub struct Podman {
    folder: PathBuf,
    process: Background,
}

impl Podman {
    /// The one below a folder, whether it runs or not. The folder is best short: sockets lie below it.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), process: Background::of(folder, "podman") }
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine { socket: self.folder.join("podman.sock") }
    }

    /// The `podman` command with this configuration.
    #[must_use]
    pub fn command(&self) -> Command {
        let at = |name: &str| self.folder.join(name);
        let mut podman = Command::new("podman");
        podman.env("CONTAINERS_CONF", at("containers.conf")).env("CONTAINERS_STORAGE_CONF", at("storage.conf"));
        podman.env("CONTAINERS_REGISTRIES_CONF", at("registries.conf"));
        // what its API takes in is left there, and beside it what its containers' monitors tell of memory that ran out
        podman.env("TMPDIR", at("tmp")).current_dir(&self.folder);
        podman
    }

    /// Starts its service, unless it answers, and waits until it does.
    ///
    /// # Errors
    /// When it ends or does not answer; its last words are in it.
    pub fn start(&self) -> Result<Engine> {
        let engine = self.engine();
        if engine.answers() {
            return Ok(engine);
        }
        for name in ["networks", "tmp"] {
            fs::create_dir_all(self.folder.join(name)).map_err(Trouble::at(self.folder.display()))?;
        }
        let files = [
            ("containers.conf", self.containers()),
            ("storage.conf", self.storage()),
            ("registries.conf", REGISTRIES.into()),
        ];
        for (name, text) in files {
            fs::write(self.folder.join(name), text).map_err(Trouble::at(name))?;
        }
        self.process.start(self.command().args(["system", "service", "--time", "0", &engine.address()]))?;
        self.process.wait_ready(READY_WITHIN, || engine.answers())?;
        Ok(engine)
    }

    /// Ends its service; containers run on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<()> {
        self.process.stop()
    }

    /// Ends it with its containers, and removes all it had.
    ///
    /// # Errors
    /// When it does not end.
    pub fn remove(&self) -> Result<()> {
        self.stop()?;
        if self.folder.join("containers.conf").is_file() {
            // where that fails, what it left is in the way of the folder's removal
            let _ = self.command().args(["rm", "--all", "--force", "--time", "0"]).output();
            let _ = self.command().args(["network", "prune", "--force"]).output();
        }
        crate::docker::unmount_below(&self.folder);
        crate::docker::remove_folder(&self.folder)
    }

    /// Without systemd: cgroups by hand, events and logs in files. The limits are within what a container may be given
    /// anywhere; both values are the same because this version's compatible API swaps them. Without the delay each `exec`
    /// leaves a monitor behind for five minutes.
    fn containers(&self) -> String {
        let at = |name: &str| self.folder.join(name).display().to_string();
        format!(
            "[containers]\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\nlog_driver = \"k8s-file\"\n\n\
             [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nexit_command_delay = 5\n\
             events_logfile_path = \"{}\"\ntmp_dir = \"{}\"\nstatic_dir = \"{}\"\nvolume_path = \"{}\"\n\n\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{}\"\n",
            at("events.log"),
            at("tmp"),
            at("storage/libpod"),
            at("storage/volumes"),
            at("networks"),
        )
    }

    fn storage(&self) -> String {
        let at = |name: &str| self.folder.join(name).display().to_string();
        format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", at("storage"), at("run"))
    }
}
