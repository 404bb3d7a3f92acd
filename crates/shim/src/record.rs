//! The records in a run's folder: `meta` (what was started) and `exit` (how it ended).
//!
//! Both are small texts of `key=value` lines, written beside and renamed, so that a reader sees all or nothing. They
//! are not synced: after a power cut the boot id tells that nothing of it is alive.

use crate::protocol::{ExitCause, Usage, VERSION, Version};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Name of the record of what was started.
pub const META_FILE: &str = "meta";
/// Name of the record of how it ended.
pub const EXIT_FILE: &str = "exit";

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be read; a missing file is `None` instead.
    #[error("could not read `{file}`")]
    Read {
        /// The file's name.
        file: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A field is missing or has no meaning.
    #[error("`{file}` has no valid `{key}`")]
    Field {
        /// The file's name.
        file: &'static str,
        /// The field.
        key: &'static str,
    },
}

/// What was started, by whom, and how to know it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The run's id.
    pub run: String,
    /// The instance, as text.
    pub instance: String,
    /// The caller's hash of what was wanted.
    pub spec_hash: String,
    /// The shim's process id.
    pub shim_pid: u32,
    /// The shim's start time (proc(5) stat field 22).
    pub shim_start: u64,
    /// The main process' id.
    pub main_pid: u32,
    /// The main process' start time.
    pub main_start: u64,
    /// The session the service started in.
    pub session: u32,
    /// Which boot these process ids belong to.
    pub boot_id: String,
    /// What the shim speaks.
    pub protocol: Version,
    /// Start, nanoseconds of the real-time clock.
    pub started_ns: u64,
    /// Start, nanoseconds of the monotonic clock (of this boot).
    pub started_mono_ns: u64,
    /// How many bytes of log are kept.
    pub log_keep: u64,
    /// The shim's socket.
    pub socket: String,
    /// The cgroup made for the run, or empty.
    pub cgroup: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitRecord {
    /// How the main process ended.
    pub cause: ExitCause,
    /// When the main process ended, nanoseconds of the real-time clock.
    pub exited_ns: u64,
    /// When the tree was empty and the log complete; 0 while that is not so.
    pub ended_ns: u64,
    /// What the main process and the children it waited for used.
    pub usage: Usage,
    /// The log's end: bytes the service has written.
    pub log_end: u64,
    /// Bytes that could not be kept.
    pub log_lost: u64,
    /// How many gaps these bytes are in.
    pub log_gaps: u64,
}

impl ExitRecord {
    /// Whether the tree was empty and the log complete when this was written.
    pub fn is_complete(&self) -> bool {
        self.ended_ns != 0
    }

    /// Reads the record; `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or is not such a record.
    pub fn read(folder: &Path) -> Result<Option<Self>, RecordError> {
        let Some(fields) = Fields::read(folder, EXIT_FILE)? else { return Ok(None) };
        Ok(Some(Self {
            cause: parse_cause(fields.text("cause")?).ok_or(RecordError::Field { file: EXIT_FILE, key: "cause" })?,
            exited_ns: fields.number("exited_ns")?,
            ended_ns: fields.number("ended_ns")?,
            usage: Usage {
                user_us: fields.number("user_us")?,
                system_us: fields.number("system_us")?,
                max_rss_kb: fields.number("max_rss_kb")?,
            },
            log_end: fields.number("log_end")?,
            log_lost: fields.number("log_lost")?,
            log_gaps: fields.number("log_gaps")?,
        }))
    }

    /// Writes the record beside and renames it.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = String::with_capacity(256);
        let cause = match self.cause {
            ExitCause::Code(code) => format!("code {code}"),
            ExitCause::Signal { signal, core: false } => format!("signal {signal}"),
            ExitCause::Signal { signal, core: true } => format!("signal {signal} core"),
            ExitCause::SupervisorKilled => "supervisor-killed".to_owned(),
            ExitCause::Unknown => "unknown".to_owned(),
        };
        put(&mut text, "cause", &cause);
        for (key, value) in [
            ("exited_ns", self.exited_ns),
            ("ended_ns", self.ended_ns),
            ("user_us", self.usage.user_us),
            ("system_us", self.usage.system_us),
            ("max_rss_kb", self.usage.max_rss_kb),
            ("log_end", self.log_end),
            ("log_lost", self.log_lost),
            ("log_gaps", self.log_gaps),
        ] {
            put_number(&mut text, key, value);
        }
        replace(folder, EXIT_FILE, &text)
    }
}

impl Meta {
    /// Reads the record; `None` where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or is not such a record.
    pub fn read(folder: &Path) -> Result<Option<Self>, RecordError> {
        let Some(fields) = Fields::read(folder, META_FILE)? else { return Ok(None) };
        Ok(Some(Self {
            run: fields.text("run")?.to_owned(),
            instance: fields.text("instance")?.to_owned(),
            spec_hash: fields.text("spec_hash")?.to_owned(),
            shim_pid: fields.small("shim_pid")?,
            shim_start: fields.number("shim_start")?,
            main_pid: fields.small("main_pid")?,
            main_start: fields.number("main_start")?,
            session: fields.small("session")?,
            boot_id: fields.text("boot_id")?.to_owned(),
            protocol: parse_version(fields.text("protocol")?)
                .ok_or(RecordError::Field { file: META_FILE, key: "protocol" })?,
            started_ns: fields.number("started_ns")?,
            started_mono_ns: fields.number("started_mono_ns")?,
            log_keep: fields.number("log_keep")?,
            socket: fields.text("socket")?.to_owned(),
            cgroup: fields.text("cgroup")?.to_owned(),
        }))
    }

    /// Writes the record beside and renames it.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = String::with_capacity(512);
        put(&mut text, "protocol", &VERSION.to_string());
        for (key, value) in [
            ("run", &self.run),
            ("instance", &self.instance),
            ("spec_hash", &self.spec_hash),
            ("boot_id", &self.boot_id),
            ("socket", &self.socket),
            ("cgroup", &self.cgroup),
        ] {
            put(&mut text, key, value);
        }
        for (key, value) in [
            ("shim_pid", self.shim_pid.into()),
            ("shim_start", self.shim_start),
            ("main_pid", self.main_pid.into()),
            ("main_start", self.main_start),
            ("session", self.session.into()),
            ("started_ns", self.started_ns),
            ("started_mono_ns", self.started_mono_ns),
            ("log_keep", self.log_keep),
        ] {
            put_number(&mut text, key, value);
        }
        replace(folder, META_FILE, &text)
    }

    /// Whether the recorded shim is the process that now has its id, in this boot.
    pub fn shim_alive(&self) -> bool {
        crate::sys::boot_id().is_ok_and(|boot| boot == self.boot_id)
            && crate::sys::is_alive(self.shim_pid, self.shim_start)
    }
}

fn put(text: &mut String, key: &str, value: &str) {
    text.push_str(key);
    text.push('=');
    for letter in value.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\\' => text.push_str("\\\\"),
            letter => text.push(letter),
        }
    }
    text.push('\n');
}

fn put_number(text: &mut String, key: &str, value: u64) {
    // writing into a string cannot fail
    let _ = writeln!(text, "{key}={value}");
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            letter => text.push(letter),
        }
    }
    text
}

fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, folder.join(name))
}

fn parse_cause(text: &str) -> Option<ExitCause> {
    let mut words = text.split(' ');
    let cause = match words.next()? {
        "code" => ExitCause::Code(words.next()?.parse().ok()?),
        "signal" => ExitCause::Signal { signal: words.next()?.parse().ok()?, core: words.next() == Some("core") },
        "supervisor-killed" => ExitCause::SupervisorKilled,
        "unknown" => ExitCause::Unknown,
        _ => return None,
    };
    Some(cause)
}

fn parse_version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.')?;
    Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

struct Fields {
    file: &'static str,
    fields: Vec<(String, String)>,
}

impl Fields {
    fn read(folder: &Path, file: &'static str) -> Result<Option<Self>, RecordError> {
        let text = match std::fs::read_to_string(folder.join(file)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RecordError::Read { file, source }),
        };
        let fields = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), unescape(value)))
            .collect();
        Ok(Some(Self { file, fields }))
    }

    fn text(&self, key: &'static str) -> Result<&str, RecordError> {
        self.fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .ok_or(RecordError::Field { file: self.file, key })
    }

    fn number(&self, key: &'static str) -> Result<u64, RecordError> {
        self.text(key)?.parse().map_err(|_| RecordError::Field { file: self.file, key })
    }

    fn small(&self, key: &'static str) -> Result<u32, RecordError> {
        self.text(key)?.parse().map_err(|_| RecordError::Field { file: self.file, key })
    }
}
