//! What to run, as the daemon hands it over: [`LaunchSpec`] for the service, [`ExecSpec`] for a command beside it.

use crate::wire::{Get, Put, WireError};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The version of [`LaunchSpec`]'s encoding. Fields are appended; the number rises when one changes its meaning.
pub const LAUNCH_VERSION: u16 = 1;

/// Whom a signal goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// Only the service's main process.
    Main,
    /// The service's process group.
    #[default]
    Group,
}

/// A terminal's size in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtySize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

impl Default for TtySize {
    fn default() -> Self {
        Self { rows: 24, cols: 80 }
    }
}

/// Where the service's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Two pipes; the log tells stdout and stderr apart and is in order of arrival.
    #[default]
    Pipes,
    /// One pipe for both: exact order, one stream.
    Merged,
    /// A pseudo terminal: exact order, one stream, and attach can write and resize.
    Tty(TtySize),
}

/// Who the service runs as. Names are resolved by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups; replaces those of the shim.
    pub groups: Vec<u32>,
}

/// A resource that is limited (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Open files.
    Nofile,
    /// Address space in bytes.
    As,
    /// Processes of the user.
    Nproc,
    /// Size of a core dump in bytes.
    Core,
    /// Processor time in seconds.
    Cpu,
    /// Size of a file in bytes.
    Fsize,
    /// Stack in bytes.
    Stack,
    /// Locked memory in bytes.
    Memlock,
    /// Data segment in bytes.
    Data,
}

impl Resource {
    const ALL: [Self; 9] = [
        Self::Nofile,
        Self::As,
        Self::Nproc,
        Self::Core,
        Self::Cpu,
        Self::Fsize,
        Self::Stack,
        Self::Memlock,
        Self::Data,
    ];
}

/// One limit. `u64::MAX` is "unlimited".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// Everything a shim must know to run one service once.
#[derive(Clone, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The run's id; becomes `MUSTER_RUN` in the environment.
    pub run: String,
    /// The instance, as text for people.
    pub instance: String,
    /// The caller's hash of what was wanted; recorded, never interpreted.
    pub spec_hash: String,
    /// Program and arguments; the program is looked up along `PATH` of `env` unless it holds a `/`.
    pub argv: Vec<OsString>,
    /// The whole environment: nothing is inherited. `MUSTER_RUN`, `MUSTER_RUN_DIR` and `NOTIFY_SOCKET` are added.
    pub env: Vec<(OsString, OsString)>,
    /// The working folder.
    pub cwd: PathBuf,
    /// Who it runs as; `None` is the shim's own user.
    pub identity: Option<Identity>,
    /// The file mode mask; `None` is the daemon's.
    pub umask: Option<u32>,
    /// Limits; the caller puts its own original `Nofile` here if it raised it.
    pub limits: Vec<Limit>,
    /// Pipes, one pipe, or a terminal.
    pub output: Output,
    /// The signal that asks the service to end.
    pub stop_signal: i32,
    /// Whom the stop signal goes to.
    pub stop_to: Target,
    /// How long a stop that nobody accompanies (SIGTERM to the shim) waits before it kills.
    pub stop_grace: Duration,
    /// How long descendants that outlive a main process which ended by itself have between TERM and KILL.
    pub leftover_grace: Duration,
    /// Byte strings that never reach the log.
    pub secrets: Vec<Vec<u8>>,
    /// How many bytes of log are kept on disk.
    pub log_keep: u64,
    /// Where to bind the socket for readiness messages (at most 107 bytes); `None`: none.
    pub notify: Option<PathBuf>,
    /// A cgroup v2 folder made for this run; `None`: none.
    pub cgroup: Option<PathBuf>,
}

impl std::fmt::Debug for LaunchSpec {
    // environment and secrets stay out of anything that is printed
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaunchSpec")
            .field("run", &self.run)
            .field("instance", &self.instance)
            .field("program", &self.argv.first())
            .field("cwd", &self.cwd)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

impl LaunchSpec {
    /// A spec with the defaults: pipes, TERM to the group, 10 s of grace, 2 s for left-over descendants, 64 MiB of log.
    pub fn new(run: impl Into<String>, argv: Vec<OsString>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            run: run.into(),
            instance: String::new(),
            spec_hash: String::new(),
            argv,
            env: Vec::new(),
            cwd: cwd.into(),
            identity: None,
            umask: None,
            limits: Vec::new(),
            output: Output::default(),
            stop_signal: libc::SIGTERM,
            stop_to: Target::default(),
            stop_grace: Duration::from_secs(10),
            leftover_grace: Duration::from_secs(2),
            secrets: Vec::new(),
            log_keep: muster_logs::DEFAULT_KEEP,
            notify: None,
            cgroup: None,
        }
    }

    /// Writes the fields behind the version.
    pub fn put(&self, out: &mut Put<'_>) {
        out.u16(LAUNCH_VERSION);
        out.text(&self.run);
        out.text(&self.instance);
        out.text(&self.spec_hash);
        out.list(&self.argv, |out, word| out.os(word));
        put_env(out, &self.env);
        out.os(self.cwd.as_os_str());
        out.option(self.identity.as_ref(), |out, id| {
            out.u32(id.uid);
            out.u32(id.gid);
            out.list(&id.groups, |out, group| out.u32(*group));
        });
        out.option(self.umask, Put::u32);
        out.list(&self.limits, |out, limit| {
            out.u8(limit.resource as u8);
            out.u64(limit.soft);
            out.u64(limit.hard);
        });
        match self.output {
            Output::Pipes => out.u8(0),
            Output::Merged => out.u8(1),
            Output::Tty(size) => {
                out.u8(2);
                put_size(out, size);
            }
        }
        out.i32(self.stop_signal);
        put_target(out, self.stop_to);
        out.span(self.stop_grace);
        out.span(self.leftover_grace);
        out.list(&self.secrets, |out, secret| out.bytes(secret));
        out.u64(self.log_keep);
        out.option(self.notify.as_ref(), |out, path| out.os(path.as_os_str()));
        out.option(self.cgroup.as_ref(), |out, path| out.os(path.as_os_str()));
    }

    /// Reads what [`LaunchSpec::put`] wrote.
    ///
    /// # Errors
    /// Where the bytes are cut off, meaningless or of a version that is not known.
    pub fn get(from: &mut Get<'_>) -> Result<Self, WireError> {
        let version = from.u16("version")?;
        if version != LAUNCH_VERSION {
            return Err(WireError::Value { field: "version", value: version.into() });
        }
        Ok(Self {
            run: from.text("run")?,
            instance: from.text("instance")?,
            spec_hash: from.text("spec_hash")?,
            argv: from.list("argv", |from| from.os("argv"))?,
            env: get_env(from)?,
            cwd: from.os("cwd")?.into(),
            identity: from.option("identity", |from| {
                Ok(Identity {
                    uid: from.u32("uid")?,
                    gid: from.u32("gid")?,
                    groups: from.list("groups", |from| from.u32("groups"))?,
                })
            })?,
            umask: from.option("umask", |from| from.u32("umask"))?,
            limits: from.list("limits", get_limit)?,
            output: match from.u8("output")? {
                0 => Output::Pipes,
                1 => Output::Merged,
                2 => Output::Tty(get_size(from)?),
                value => return Err(WireError::Value { field: "output", value: value.into() }),
            },
            stop_signal: from.i32("stop_signal")?,
            stop_to: get_target(from)?,
            stop_grace: from.span("stop_grace")?,
            leftover_grace: from.span("leftover_grace")?,
            secrets: from.list("secrets", |from| Ok(from.bytes("secrets")?.to_vec()))?,
            log_keep: from.u64("log_keep")?,
            notify: from.option("notify", |from| Ok(from.os("notify")?.into()))?,
            cgroup: from.option("cgroup", |from| Ok(from.os("cgroup")?.into()))?,
        })
    }
}

/// A command that runs beside the service, as its user, and dies with its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The working folder; `None` is the service's.
    pub cwd: Option<PathBuf>,
    /// A terminal of this size; `None`: three pipes.
    pub tty: Option<TtySize>,
}

impl ExecSpec {
    /// Writes the fields.
    pub fn put(&self, out: &mut Put<'_>) {
        out.list(&self.argv, |out, word| out.os(word));
        put_env(out, &self.env);
        out.option(self.cwd.as_ref(), |out, path| out.os(path.as_os_str()));
        out.option(self.tty, put_size);
    }

    /// Reads what [`ExecSpec::put`] wrote.
    ///
    /// # Errors
    /// Where the bytes are cut off or meaningless.
    pub fn get(from: &mut Get<'_>) -> Result<Self, WireError> {
        Ok(Self {
            argv: from.list("argv", |from| from.os("argv"))?,
            env: get_env(from)?,
            cwd: from.option("cwd", |from| Ok(from.os("cwd")?.into()))?,
            tty: from.option("tty", get_size)?,
        })
    }
}

fn put_env(out: &mut Put<'_>, env: &[(OsString, OsString)]) {
    out.list(env, |out, (name, value)| {
        out.os(name);
        out.os(value);
    });
}

fn get_env(from: &mut Get<'_>) -> Result<Vec<(OsString, OsString)>, WireError> {
    from.list("env", |from| Ok((from.os("env")?, from.os("env")?)))
}

fn get_limit(from: &mut Get<'_>) -> Result<Limit, WireError> {
    let number = from.u8("resource")?;
    let resource = Resource::ALL
        .into_iter()
        .find(|resource| *resource as u8 == number)
        .ok_or(WireError::Value { field: "resource", value: number.into() })?;
    Ok(Limit { resource, soft: from.u64("soft")?, hard: from.u64("hard")? })
}

pub(crate) fn put_size(out: &mut Put<'_>, size: TtySize) {
    out.u16(size.rows);
    out.u16(size.cols);
}

pub(crate) fn get_size(from: &mut Get<'_>) -> Result<TtySize, WireError> {
    Ok(TtySize { rows: from.u16("rows")?, cols: from.u16("cols")? })
}

pub(crate) fn put_target(out: &mut Put<'_>, target: Target) {
    out.u8(match target {
        Target::Main => 0,
        Target::Group => 1,
    });
}

pub(crate) fn get_target(from: &mut Get<'_>) -> Result<Target, WireError> {
    match from.u8("target")? {
        0 => Ok(Target::Main),
        1 => Ok(Target::Group),
        value => Err(WireError::Value { field: "target", value: value.into() }),
    }
}
