//! The engines that tests share: started once, used by every run that holds a share, ended with the last.
//!
//! They lie below one folder ([`Services::usual`]). A run of the tests holds a shared lock on the file `users`; whoever
//! can have it alone at the end stops them, unless the file `keep` says that they are to stay up. `start` is under a lock
//! of its own, so that two runs do not both start them.

use crate::docker::{Dockerd, Networks};
use crate::podman::Podman;
use crate::{Engine, Result, Trouble, components, images};
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder's variable.
const FOLDER: &str = "MUSTER_SERVICES";
/// Where a machine's own Docker Engine listens.
const USUAL_DOCKER: &str = "/var/run/docker.sock";

/// The engines below one folder.
#[derive(Debug, Clone)]
pub struct Services {
    folder: PathBuf,
}

/// A share in the engines: as long as somebody has one they run.
#[derive(Debug)]
pub struct Share {
    services: Services,
    users: File,
    /// The variables that name what there is.
    pub variables: Vec<(&'static str, String)>,
    /// What could not be had, and why.
    pub missing: Vec<String>,
}

impl Services {
    /// Those below `MUSTER_SERVICES`, else below a folder of this user's in `/tmp`: short, and on a real disk.
    #[must_use]
    pub fn usual() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let folder = std::env::var_os(FOLDER).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { folder: folder.unwrap_or_else(|| PathBuf::from(format!("/tmp/muster-services-{uid}"))) }
    }

    /// Docker Engine, whether it runs or not.
    #[must_use]
    pub fn docker(&self) -> Dockerd {
        Dockerd::below(&self.folder.join("docker"), Networks::Usual)
    }

    /// Podman, whether it runs or not.
    #[must_use]
    pub fn podman(&self) -> Podman {
        Podman::below(&self.folder.join("podman"))
    }

    /// Starts what is missing and does not run elsewhere, and takes a share in it.
    ///
    /// # Errors
    /// When the folder cannot be used. That a component is missing is no error: it stands in [`Share::missing`].
    pub fn share(&self) -> Result<Share> {
        make_private(&self.folder)?;
        let starting = self.lock_file("starting")?;
        starting.lock().map_err(Trouble::at("waiting for another start of the services"))?;
        let users = self.lock_file("users")?;
        users.lock_shared().map_err(Trouble::at("taking a share in the services"))?;
        let mut share = Share { services: self.clone(), users, variables: Vec::new(), missing: Vec::new() };
        let podman = std::thread::scope(|scope| {
            let podman = scope.spawn(|| self.podman_engine());
            share.engine(components::DOCKER, "Docker Engine", self.docker_engine());
            podman.join().unwrap_or_else(|_| Err(Trouble::new("starting it panicked")))
        });
        share.engine(components::PODMAN, "Podman", podman);
        share.program(components::DOCKER_CLI, "docker client", docker_cli());
        share.program(components::SSHD, "sshd", sshd());
        share.program(components::QEMU, "qemu-aarch64-static", qemu_aarch64());
        share.program(components::POSTGRES, "PostgreSQL server", postgres());
        Ok(share)
    }

    /// They are to stay up when the last share is given back.
    ///
    /// # Errors
    /// When that cannot be noted.
    pub fn keep(&self) -> Result<()> {
        fs::write(self.folder.join("keep"), "").map_err(Trouble::at("noting that the services stay"))
    }

    /// Ends them and removes all they had, whoever uses them.
    ///
    /// # Errors
    /// When one does not end.
    pub fn remove(&self) -> Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        let docker = self.docker().remove();
        self.podman().remove()?;
        docker?;
        crate::docker::remove_folder(&self.folder)
    }

    fn docker_engine(&self) -> Result<Engine> {
        let ours = self.docker();
        let known = [named(components::DOCKER), Some(ours.engine()), Some(Engine::at(USUAL_DOCKER))];
        let engine = match known.into_iter().flatten().find(Engine::answers) {
            Some(engine) => engine,
            None => {
                needs_root()?;
                ours.remove_bridges();
                ours.start()?
            }
        };
        images::ensure(&engine).map(|()| engine)
    }

    fn podman_engine(&self) -> Result<Engine> {
        let engine = match named(components::PODMAN).into_iter().find(Engine::answers) {
            Some(engine) => engine,
            None => {
                needs_root()?;
                self.podman().start()?
            }
        };
        images::ensure(&engine).map(|()| engine)
    }

    fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        File::options().create(true).append(true).open(&path).map_err(Trouble::at(path.display()))
    }
}

impl Share {
    fn engine(&mut self, variable: &'static str, what: &str, engine: Result<Engine>) {
        match engine {
            Ok(engine) => self.variables.push((variable, engine.address())),
            Err(error) => self.missing.push(format!("{what}: {error}")),
        }
    }

    fn program(&mut self, variable: &'static str, what: &str, path: Option<PathBuf>) {
        match named_path(variable).or(path) {
            Some(path) => self.variables.push((variable, path.display().to_string())),
            None => self.missing.push(format!("{what}: not installed")),
        }
    }

    /// Gives it back; with the last one the engines end, unless they are to stay up.
    ///
    /// # Errors
    /// When one does not end.
    pub fn give_back(self) -> Result<()> {
        if self.services.folder.join("keep").exists() {
            return Ok(());
        }
        let starting = self.services.lock_file("starting")?;
        starting.lock().map_err(Trouble::at("waiting for a start of the services"))?;
        self.users.unlock().map_err(Trouble::at("giving back a share in the services"))?;
        if self.users.try_lock().is_ok() {
            return self.services.remove();
        }
        Ok(())
    }
}

/// Runs a command to its end; its standard error is the reason when it fails.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into())
        .collect();
    let line = words.join(" ");
    let output = command.output().map_err(Trouble::at(format_args!("starting `{line}`")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Trouble::new(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// The first of these files that is there.
fn first(paths: &[&str]) -> Option<PathBuf> {
    paths.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The `docker` client that came with the engine, before any other on PATH.
#[must_use]
pub fn docker_cli() -> Option<PathBuf> {
    first(&["/usr/bin/docker", "/usr/local/bin/docker"])
}

/// The sshd program.
#[must_use]
pub fn sshd() -> Option<PathBuf> {
    first(&["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"])
}

/// The emulator of aarch64 programs.
#[must_use]
pub fn qemu_aarch64() -> Option<PathBuf> {
    first(&["/usr/bin/qemu-aarch64-static", "/usr/bin/qemu-aarch64"])
}

/// The folder of PostgreSQL's server programs, the newest version.
#[must_use]
pub fn postgres() -> Option<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("postgres").is_file()).max()
}

fn named(variable: &str) -> Option<Engine> {
    named_path(variable).map(|address| Engine::at(&address.to_string_lossy()))
}

fn named_path(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn needs_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Trouble::new("only root can start one, and none runs"))
}

fn make_private(folder: &Path) -> Result<()> {
    let at = || Trouble::at(folder.display().to_string());
    match fs::DirBuilder::new().mode(0o711).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(at()(error)),
        Ok(()) | Err(_) => {}
    }
    // in `/tmp` somebody else may have made it
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::symlink_metadata(folder).map_err(at())?);
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Trouble::new(format!("`{}` belongs to somebody else", folder.display())))
}
