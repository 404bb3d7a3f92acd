//! What `doctor` looks at.

use super::Finding;
use crate::context::own_binary;
use muster_api::daemon::{Paths, SUN_PATH, ShimSource, find_shim};
use rustix::process::{Resource, getrlimit};
use std::path::{Path, PathBuf};

/// Open files that a daemon of a hundred services needs: pipes, sockets and watches of each.
const ENOUGH_FILES: u64 = 4096;

/// Watches that a source tree of some size needs.
const ENOUGH_WATCHES: u64 = 65_536;

/// Everything, in the order in which a start needs it.
pub(super) fn all() -> Vec<Finding> {
    let mut findings = Vec::new();
    let paths = match Paths::open() {
        Ok(paths) => paths,
        Err(error) => {
            let document = error.document();
            let help = document.help.unwrap_or_default();
            return vec![Finding::error("state folder", document.message, &help)];
        }
    };
    findings.push(state_folder(&paths));
    findings.push(socket(&paths));
    findings.push(shim(&paths));
    findings.push(cgroup());
    findings.push(open_files());
    findings.extend(pipes());
    findings.extend(watches());
    findings.push(docker());
    findings.push(program("ssh", "remote services", "install an OpenSSH client"));
    findings.push(program("git", "names of environments in worktrees", "install git"));
    findings
}

fn state_folder(paths: &Paths) -> Finding {
    let probe = paths.home.join(format!(".doctor.{}", std::process::id()));
    let written = std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe));
    let home = paths.home.display();
    match written {
        Ok(()) => Finding::good("state folder", format!("{home} can be written")),
        Err(error) => {
            let action = "make it writable, or set MUSTER_HOME to a folder that is";
            Finding::error("state folder", format!("{home} cannot be written: {error}"), action)
        }
    }
}

fn socket(paths: &Paths) -> Finding {
    let socket = paths.socket();
    let length = socket.as_os_str().len();
    Finding::good("sockets", format!("{} ({length} of {SUN_PATH} bytes)", socket.display()))
}

fn shim(paths: &Paths) -> Finding {
    let embedded = crate::commands::daemon::shim_source();
    let binary = own_binary().unwrap_or_default();
    let path = match find_shim(embedded, &paths.home, &binary) {
        Ok(path) => path,
        Err(error) => {
            let document = error.document();
            return Finding::error("supervisor", document.message, &document.help.unwrap_or_default());
        }
    };
    let place = match embedded {
        ShimSource::Embedded(_) => "embedded",
        ShimSource::Beside => "beside this binary",
    };
    // without a run to supervise it ends at once; that it can be executed is what counts here
    let tried = std::process::Command::new(&path)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    match tried {
        Ok(_) => Finding::good("supervisor", format!("{} runs ({place})", path.display())),
        Err(error) => {
            let message = format!("{} does not run: {error}", path.display());
            Finding::error("supervisor", message, "its folder may be mounted noexec: set MUSTER_HOME to another")
        }
    }
}

/// The cgroup v2 folder of this process, when we may make groups in it.
fn delegated() -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let folder = mounts
        .into_iter()
        .filter(|mount| Path::new(mount).join("cgroup.controllers").exists())
        .map(|mount| Path::new(mount).join(own.trim_start_matches('/')))
        .next()?;
    let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    (writable(&folder) && writable(&folder.join("cgroup.procs"))).then_some(folder)
}

fn cgroup() -> Finding {
    match delegated() {
        Some(folder) => {
            let message = format!("delegated at {}: nothing escapes, also from a killed supervisor", folder.display());
            Finding::good("cgroup v2", message)
        }
        None => Finding::warning(
            "cgroup v2",
            "not delegated: limits of memory and CPU are set per process; when supervisor and daemon are both killed, \
             a descendant in a session of its own with a cleared environment is found by nobody",
            "run below a delegated unit, as `systemd-run --user --scope -p Delegate=yes muster up`",
        ),
    }
}

fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    let soft = limit.current.map_or_else(|| "no limit".to_owned(), |n| n.to_string());
    if maximum >= ENOUGH_FILES {
        return Finding::good("open files", format!("{soft} for services, the daemon raises its own to {maximum}"));
    }
    let message = format!("at most {maximum}: not enough for many services");
    Finding::warning("open files", message, "raise the hard limit: `ulimit -Hn` or limits.conf")
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A user's pipes beyond the soft limit hold a page or two instead of 64 KiB (pipe(7)). A service has two of these, and
/// one of a page.
fn pipes() -> Option<Finding> {
    let pages = number("/proc/sys/fs/pipe-user-pages-soft")?;
    if rustix::process::geteuid().is_root() || pages == 0 {
        return Some(Finding::good("pipes", "no limit for this user"));
    }
    let full = pages / 16;
    let message = format!("{full} pipes of 64 KiB, that is {} services; further ones are smaller", pages / 33);
    if full >= 512 {
        return Some(Finding::good("pipes", message));
    }
    Some(Finding::warning("pipes", message, "raise fs.pipe-user-pages-soft with sysctl"))
}

fn watches() -> Option<Finding> {
    let watches = number("/proc/sys/fs/inotify/max_user_watches")?;
    let instances = number("/proc/sys/fs/inotify/max_user_instances")?;
    let message = format!("{watches} watches, {instances} instances");
    if watches >= ENOUGH_WATCHES && instances >= 16 {
        return Some(Finding::good("inotify", message));
    }
    Some(Finding::warning("inotify", message, "raise fs.inotify.max_user_watches with sysctl for `muster watch`"))
}

fn docker() -> Finding {
    let host = std::env::var("DOCKER_HOST").ok();
    let socket = host.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or("/var/run/docker.sock");
    match std::os::unix::net::UnixStream::connect(socket) {
        Ok(_) => Finding::good("containers", format!("an engine answers at {socket}")),
        Err(error) => Finding::warning(
            "containers",
            format!("no engine at {socket}: {error}"),
            "processes run without one; container variants need Docker or Podman",
        ),
    }
}

fn program(name: &str, what_for: &str, action: &str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()) {
        Some(file) => Finding::good(name, file.display().to_string()),
        None => Finding::warning(name, format!("not found; needed for {what_for}"), action),
    }
}
