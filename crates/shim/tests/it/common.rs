//! A run of the real shim, for tests.

use muster_logs::{Item, Reader, Stream};
use muster_shim::{Client, ExitRecord, ForkServer, LaunchSpec, Message, Request, Spawned, Status, VERSION};
use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Nothing that is waited for takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One run in its own folder.
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) home: tempfile::TempDir,
    pub(crate) shim: Spawned,
    pub(crate) client: Client,
    pub(crate) events: Vec<Message>,
}

/// A spec that runs this script in `sh`.
pub(crate) fn script(text: &str) -> LaunchSpec {
    command(&["/bin/sh", "-c", text])
}

/// A run id of its own for each run: some tests end everything that carries theirs.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("run-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A spec that runs this command.
pub(crate) fn command(words: &[&str]) -> LaunchSpec {
    let mut spec = LaunchSpec::new(unique(), words.iter().map(OsString::from).collect(), "/");
    spec.env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    spec.leftover_grace = Duration::from_millis(300);
    spec
}

pub(crate) fn spawn(home: &Path) -> (Spawned, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let folder = home.join("run");
    std::fs::create_dir_all(&folder).unwrap();
    let shim = Path::new(env!("CARGO_BIN_EXE_muster-shim"));
    let forks = ForkServer::start(shim).unwrap();
    forks.order("run-1", &folder, &home.join("s"), theirs.as_fd()).unwrap();
    (forks.born().unwrap().unwrap(), ours)
}

impl Run {
    /// Spawns a shim and hands the spec over.
    pub(crate) fn launch(spec: LaunchSpec) -> Self {
        Self::launch_in(tempfile::tempdir().unwrap(), spec)
    }

    pub(crate) fn launch_in(home: tempfile::TempDir, spec: LaunchSpec) -> Self {
        let (shim, stream) = spawn(home.path());
        let id = spec.run.clone();
        let mut client = Client::over(stream);
        client.send(&Request::Hello { version: VERSION }).unwrap();
        client.send(&Request::Launch(Box::new(spec))).unwrap();
        let mut run = Self { id, home, shim, client, events: Vec::new() };
        let hello = run.next();
        assert_eq!(hello, Message::Hello { version: VERSION, run: run.id.clone() });
        run
    }

    /// Spawns a shim and waits until the service runs; gives its pid.
    pub(crate) fn start(spec: LaunchSpec) -> (Self, u32) {
        Self::launch_started(tempfile::tempdir().unwrap(), spec)
    }

    pub(crate) fn launch_started(home: tempfile::TempDir, spec: LaunchSpec) -> (Self, u32) {
        let mut run = Self::launch_in(home, spec);
        match run.next() {
            Message::Started { pid, start_time } => {
                assert!(start_time > 0);
                (run, pid)
            }
            other => panic!("not started: {other:?}"),
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("run")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("s")
    }

    pub(crate) fn next(&mut self) -> Message {
        let message = self.client.receive(PATIENCE).unwrap();
        self.events.push(message.clone());
        message
    }

    /// Waits for the first message that `wanted` takes.
    pub(crate) fn wait_for<T>(&mut self, mut wanted: impl FnMut(&Message) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.next()) {
                return found;
            }
        }
    }

    /// Waits for the end of the run and of its shim.
    pub(crate) fn end(&mut self) -> ExitRecord {
        self.wait_for(|message| matches!(message, Message::Ended { .. }).then_some(()));
        self.reap();
        let record = ExitRecord::read(&self.folder()).unwrap().unwrap();
        assert!(record.is_complete());
        record
    }

    /// Waits until the shim's process is gone.
    pub(crate) fn reap(&self) {
        reap(&self.shim);
    }

    pub(crate) fn status(&mut self) -> Status {
        let seq = self.client.next_seq();
        self.client.send(&Request::Status { seq }).unwrap();
        self.wait_for(|message| match message {
            Message::Status { seq: answer, status } if *answer == seq => Some((**status).clone()),
            _ => None,
        })
    }

    /// Sends a request and waits for its confirmation.
    pub(crate) fn ask(&mut self, request: impl FnOnce(u32) -> Request) {
        let seq = self.client.next_seq();
        self.client.send(&request(seq)).unwrap();
        self.wait_for(|message| match message {
            Message::Done { seq: answer } if *answer == seq => Some(()),
            Message::Refused { seq: answer, reason, errno } if *answer == seq => panic!("refused: {reason:?} {errno}"),
            _ => None,
        });
    }

    pub(crate) fn log(&self) -> Vec<u8> {
        log_of(&self.folder())
    }

    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&self.log()).into_owned()
    }

    /// Waits until the log holds this text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        until(|| self.log_text().contains(text));
    }
}

pub(crate) fn reap(shim: &Spawned) {
    let pid = shim.pid;
    // a zombie is ended, and the test process collects it when it ends itself
    until(|| !Path::new(&format!("/proc/{pid}")).exists() || state(pid) == Some('Z'));
}

/// A process' state letter.
pub(crate) fn state(pid: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

pub(crate) fn alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

pub(crate) fn log_of(folder: &Path) -> Vec<u8> {
    chunks(folder, |_| true)
}

/// What the log has of one stream.
pub(crate) fn stream_of(folder: &Path, stream: Stream) -> Vec<u8> {
    chunks(folder, |other| other == stream)
}

fn chunks(folder: &Path, wanted: impl Fn(Stream) -> bool) -> Vec<u8> {
    let mut reader = Reader::new(folder);
    let mut bytes = Vec::new();
    let mut cursor = 0;
    loop {
        let batch = reader.read(cursor, 1 << 20).unwrap();
        if batch.next == cursor {
            return bytes;
        }
        cursor = batch.next;
        for item in batch.items {
            if let Item::Chunk(chunk) = item
                && wanted(chunk.stream)
            {
                bytes.extend(chunk.bytes);
            }
        }
    }
}

/// Polls for a fact, with a deadline.
#[track_caller]
pub(crate) fn until(mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "did not happen in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}
