//! From a shim's birth to the running service.

use super::connection::Connection;
use super::notify::{NotifySocket, Told};
use super::output::Outputs;
use super::shim::{Ending, Shim};
use crate::launch::{LaunchSpec, Output};
use crate::marks::Marks;
use crate::protocol::{Message, Phase, Step, VERSION};
use crate::record::{META_FILE, Meta};
use crate::sys;
use crate::sys::child::{Failure, Plan, Streams, failed, start};
use muster_logs::Stream;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// The shim's own files are for its user alone.
const PRIVATE: u32 = 0o077;
/// A socket is not executable either.
const PRIVATE_SOCKET: u32 = 0o177;

/// Serves as a fork server, and in each fork comes as far as a running service; `None`: there is nothing to supervise,
/// and whoever asked was told.
pub(super) fn begin() -> Option<Shim> {
    let birth = sys::serve(&control()?)?;
    let mut connection = Connection::new(birth.connection.into()).ok()?;
    let spec = connection.wait_for_launch()?;
    if connection.greeted {
        connection.greet(&spec.run);
    }
    connection.subscribed = true;
    match launch(&birth.folder, &birth.socket, *spec) {
        Ok(mut shim) => {
            let message = Message::Started { pid: shim.pid, start_time: shim.start_time };
            connection.tell(&message);
            connection.flush();
            shim.connections.push(connection);
            Some(shim)
        }
        Err((step, errno)) => {
            connection.tell(&Message::StartFailed { step, errno });
            // a fresh socket takes this little at once
            connection.flush();
            None
        }
    }
}

/// The connection that orders come over: `muster-shim fork-server ROOM FD`.
fn control() -> Option<OwnedFd> {
    let mut words = std::env::args_os().skip(1);
    words.next().filter(|word| word == crate::FORK_SERVER)?;
    let number: i32 = words.nth(1)?.to_str()?.parse().ok()?;
    let control = sys::os::inherited(number).ok()?;
    if number == crate::INHERITED_FD {
        sys::os::close_from(crate::INHERITED_FD.unsigned_abs() + 1);
    }
    sys::os::ignore_abort();
    Some(control)
}

fn launch(folder: &Path, socket: &Path, mut spec: LaunchSpec) -> Result<Shim, Failure> {
    let lock = File::open(folder).map_err(failed(Step::Lock))?;
    sys::os::lock(&lock).map_err(failed(Step::Lock))?;
    if folder.join(META_FILE).exists() {
        return Err((Step::Claimed, libc::EEXIST));
    }
    let signals = sys::os::take_signals().map_err(failed(Step::Session))?;
    sys::os::lead().map_err(failed(Step::Session))?;
    let umask = sys::os::umask(PRIVATE);
    let umask = spec.umask.unwrap_or(umask);
    let listener = bind(socket).map_err(failed(Step::Socket))?;
    let notify = match &spec.notify {
        Some(path) => Some(NotifySocket::bind(path, spec.identity.as_ref()).map_err(failed(Step::Notify))?),
        None => None,
    };
    let started = (sys::realtime_ns(), sys::monotonic_ns());
    let mut outputs = Outputs::new(folder, spec.log_keep);
    Marks { run: &spec.run, folder }.set(&mut spec.env);
    if let Some(path) = &spec.notify {
        spec.env.retain(|(name, _)| name != "NOTIFY_SOCKET");
        spec.env.push(("NOTIFY_SOCKET".into(), path.clone().into()));
    }
    let pid = start_service(&spec, umask, &mut outputs)?;
    if !matches!(spec.output, Output::Tty(_)) {
        outputs.hold();
    }
    // the secrets are in the redactors now, the environment is the service's
    spec.secrets = Vec::new();
    spec.env = Vec::new();
    let start_time = sys::proc_start_time(pid).unwrap_or(0);
    let shim = Shim {
        folder: folder.to_owned(),
        socket: socket.to_owned(),
        spec,
        umask,
        pid,
        start_time,
        phase: Phase::Running,
        exited: None,
        ending: Ending::No,
        outputs,
        told: Told::default(),
        notify,
        listener: Some(listener),
        signals,
        connections: Vec::new(),
        input: super::exec::Input::default(),
        grew_told: (0, 0),
        cool_at: None,
        _lock: lock,
    };
    write_meta(&shim, started).map_err(|error| {
        // nobody would find this service again: it must not go on
        shim.kill_service();
        failed(Step::Meta)(error)
    })?;
    Ok(shim)
}

/// Binds the shim's socket for its user alone; what a killed predecessor left is replaced.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    // under another name first: whoever sees the socket can connect to it
    let beside = path.with_extension("b");
    let _ = std::fs::remove_file(&beside);
    sys::os::umask(PRIVATE_SOCKET);
    let listener = UnixListener::bind(&beside);
    sys::os::umask(PRIVATE);
    let listener = listener?;
    std::fs::rename(&beside, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn start_service(spec: &LaunchSpec, umask: u32, outputs: &mut Outputs) -> Result<u32, Failure> {
    let fault = failed(Step::Output);
    let mut add = |stream, fd: OwnedFd| -> Result<(), Failure> {
        sys::os::nonblocking(fd.as_fd()).map_err(failed(Step::Output))?;
        outputs.add(stream, File::from(fd), &spec.secrets);
        Ok(())
    };
    let plan = |streams| Plan {
        argv: &spec.argv,
        env: &spec.env,
        cwd: &spec.cwd,
        identity: spec.identity.as_ref(),
        umask,
        limits: &spec.limits,
        cgroup: spec.cgroup.as_deref(),
        streams,
    };
    match spec.output {
        Output::Pipes => {
            let (out, stdout) = sys::os::pipe().map_err(&fault)?;
            let (err, stderr) = sys::os::pipe().map_err(&fault)?;
            add(Stream::Stdout, out)?;
            add(Stream::Stderr, err)?;
            start(&plan(Streams::Pipes { stdin: None, stdout: stdout.as_fd(), stderr: stderr.as_fd() }))
        }
        Output::Merged => {
            let (out, both) = sys::os::pipe().map_err(&fault)?;
            add(Stream::Tty, out)?;
            start(&plan(Streams::Pipes { stdin: None, stdout: both.as_fd(), stderr: both.as_fd() }))
        }
        Output::Tty(size) => {
            let (master, slave) = sys::os::open_pty(size).map_err(&fault)?;
            if let Some(identity) = &spec.identity {
                sys::os::give(slave.as_fd(), identity.uid, identity.gid);
            }
            add(Stream::Tty, master)?;
            start(&plan(Streams::Terminal(slave.as_fd())))
        }
    }
}

fn write_meta(shim: &Shim, started: (u64, u64)) -> io::Result<()> {
    let spec = &shim.spec;
    let me = std::process::id();
    let session = match spec.output {
        Output::Tty(_) => shim.pid,
        Output::Pipes | Output::Merged => me,
    };
    let meta = Meta {
        run: spec.run.clone(),
        instance: spec.instance.clone(),
        spec_hash: spec.spec_hash.clone(),
        shim_pid: me,
        shim_start: sys::proc_start_time(me)?,
        main_pid: shim.pid,
        main_start: shim.start_time,
        session,
        boot_id: sys::boot_id()?,
        protocol: VERSION,
        started_ns: started.0,
        started_mono_ns: started.1,
        log_keep: spec.log_keep,
        socket: shim.socket.to_string_lossy().into_owned(),
        cgroup: spec.cgroup.as_ref().map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
    };
    meta.write(&shim.folder)
}
