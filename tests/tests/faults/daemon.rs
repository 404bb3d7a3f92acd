//! Faults of the daemon and what it stands on: sockets, the journal, versions, folders.

use muster_e2e::{Home, proc, wait_for, wait_until};
use rustix::process::geteuid;
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const TWO: &str = "name: a\nservices:\n  web: { command: WORKER web says hello }\n  db: { command: WORKER db idle }\n";

fn socket(home: &Home) -> PathBuf {
    let status = home.muster(&["daemon", "status", "--json"]).json();
    PathBuf::from(status["socket"].as_str().expect("a path"))
}

#[test]
fn a_stale_socket() {
    let home = Home::new();
    home.stack(TWO);
    home.muster(&["up", "-d"]).ok();
    let (socket, web) = (socket(&home), home.process("web").expect("it runs"));
    let daemon = home.daemon().expect("it runs");
    daemon.kill();
    wait_until("it is gone", || !daemon.alive());
    assert!(socket.exists(), "a killed daemon leaves its socket");
    home.muster(&["daemon", "status"]).expect_code(7);
    assert_eq!(home.wait_state("web", "ready")["pid"], json!(web.pid));
    // and a file that is no socket at all
    home.muster(&["daemon", "stop", "--keep"]).ok();
    std::fs::write(&socket, "not a socket").expect("a file");
    assert_eq!(home.wait_state("web", "ready")["pid"], json!(web.pid));
}

#[test]
fn a_killed_fork_server() {
    let home = Home::new();
    home.stack(TWO);
    home.muster(&["up", "-d"]).ok();
    let (web, db) = (home.process("web"), home.process("db"));
    let daemon = home.daemon().expect("it runs");
    let find = || {
        let of = |process: &proc::Process| {
            process.parent() == Some(daemon) && process.command_line().starts_with("muster-shim fork-server")
        };
        proc::all().into_iter().find(|process| of(process) && process.alive())
    };
    let first = find().expect("it was needed");
    first.kill();
    wait_until("it is gone", || !first.alive());
    home.muster(&["restart", "db"]).ok();
    assert_eq!(home.process("web"), web, "nothing that runs depends on it");
    assert_ne!(home.process("db"), db);
    assert_eq!(home.service("db")["restarts"], 0, "the first start after it succeeds");
    assert_ne!(find(), Some(first), "another one took its place");
    home.muster(&["down"]).ok();
    assert_eq!(home.workers_alive(), []);
}

#[test]
fn a_journal_that_cannot_be_read() {
    let home = Home::new();
    home.stack(TWO);
    home.muster(&["up", "-d"]).ok();
    let before = (home.process("web"), home.process("db"));
    let daemon = home.daemon().expect("it runs");
    daemon.kill();
    wait_until("it is gone", || !daemon.alive());
    let journal = home.state().join("journal.db");
    let length = std::fs::metadata(&journal).expect("a journal").len();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(home.state().join(format!("journal.db{suffix}")));
    }
    std::fs::write(&journal, vec![0xa5; usize::try_from(length).unwrap_or(4096)]).expect("garbage");
    home.wait_state("web", "ready");
    home.wait_state("db", "ready");
    assert_eq!((home.process("web"), home.process("db")), before, "found again without the journal");
    let status = home.muster(&["daemon", "status", "--json"]).expect_code(0).json();
    let aside = status["info"]["quarantined"].as_str().map(PathBuf::from).expect("it is told");
    assert!(aside.exists(), "nothing is thrown away: {}", aside.display());
    assert_eq!(home.muster(&["logs", "--raw", "web"]).expect_code(0).stdout, "hello\n");
    home.muster(&["up", "-d"]).ok();
    assert_eq!((home.process("web"), home.process("db")), before, "and not started a second time");
    home.muster(&["down"]).ok();
    assert_eq!(home.workers_alive(), []);
}

#[test]
fn two_ups_of_the_same_stack() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web notify 200, ready: { notify: true } }\n  db: { command: WORKER db idle }\n");
    let ups: Vec<_> = (0..4).map(|_| home.spawn(&["up", "-d"])).collect();
    for up in ups {
        up.wait().ok();
    }
    assert_eq!((home.events("web", "start").len(), home.events("db", "start").len()), (1, 1));
}

#[test]
fn a_different_stack_supersedes() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web idle, ready: { file: never } }\n");
    let mut first = home.spawn(&["up", "-d"]);
    home.wait_event("web", "start", 1);
    home.stack("name: a\nservices:\n  web: { command: WORKER web says second }\n");
    home.muster(&["up", "-d"]).ok();
    wait_until("the first `up` ends", || first.ended());
    let first = first.so_far().expect_code(1);
    assert!(first.stderr.contains("superseded"), "{}", first.stderr);
    assert_eq!(home.muster(&["logs", "--raw", "-n1", "web"]).stdout, "second\n");
}

/// Answers every request on a socket as a daemon of another time would.
struct OtherVersion {
    path: PathBuf,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl OtherVersion {
    fn listen(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let serve = move || {
            for stream in listener.incoming() {
                if told.load(Ordering::Acquire) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                let _ = stream.read(&mut [0; 65536]);
                let _ = stream.write_all(OTHER_ANSWER.as_bytes());
            }
        };
        Self { path: path.to_owned(), ends, thread: Some(std::thread::spawn(serve)) }
    }
}

impl Drop for OtherVersion {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // so that it looks
        let _ = UnixStream::connect(&self.path);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.path);
    }
}

const OTHER_ANSWER: &str = "HTTP/1.1 200 OK\r\nmuster-api: 99\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

#[test]
fn a_daemon_of_another_version() {
    let home = Home::new();
    home.stack(TWO);
    let path = socket(&home);
    let other = OtherVersion::listen(&path);
    for command in [&["up", "-d", "--json"][..], &["status", "--json"], &["down", "--json"], &["logs", "--json"]] {
        let error = home.muster(command).expect_code(7).error();
        assert_eq!(error["code"], "daemon::version", "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("99")), "{error}");
        assert!(error["help"].as_str().is_some_and(|text| text.contains("muster daemon upgrade")), "{error}");
    }
    home.muster(&["exec", "web", "--", "true"]).expect_code(125);
    assert_eq!(home.daemon(), None, "no second daemon beside it");
    assert_eq!(home.workers_alive(), []);
    drop(other);
}

#[test]
fn a_state_folder_that_cannot_be_written() {
    let home = Home::new();
    home.stack(TWO);
    for folder in ["/proc/nowhere", "/dev/null/below"] {
        let output = home.muster_with(&["up", "-d", "--json"], &[("MUSTER_HOME", folder)]).expect_code(7);
        let error = output.error();
        assert_eq!(error["code"], "daemon::state_folder", "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(folder)), "{error}");
        assert!(error["help"].as_str().is_some_and(|text| text.contains("MUSTER_HOME")), "{error}");
    }
    assert_eq!(home.processes(), []);
}

#[test]
fn a_home_with_a_name_too_long_for_sockets() {
    let home = Home::new();
    home.stack(TWO);
    let long = home.root().join("n".repeat(100)).join("n".repeat(100));
    let text = long.display().to_string();
    let with = |args: &[&str]| home.muster_with(args, &[("MUSTER_HOME", &text)]);
    with(&["up", "-d"]).ok();
    let status = with(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["services"][0]["state"], "ready", "{status}");
    assert_eq!(with(&["logs", "--raw", "web"]).expect_code(0).stdout, "hello\n");
    with(&["daemon", "stop", "--all"]).ok();
    assert_eq!(home.workers_alive(), []);
    // where no folder for sockets is short enough
    let other = home.root().join("m".repeat(120)).display().to_string();
    let variables = [("MUSTER_HOME", other.as_str()), ("XDG_RUNTIME_DIR", text.as_str())];
    let output = home.muster_with(&["up", "-d", "--json"], &variables);
    if geteuid().is_root() {
        // root has /run/muster
        output.ok();
        home.muster_with(&["daemon", "stop", "--all"], &variables).ok();
    } else {
        let error = output.expect_code(7).error();
        assert_eq!(error["code"], "daemon::path_too_long", "{error}");
        assert!(error["help"].as_str().is_some_and(|help| help.contains("shorter")), "{error}");
    }
    wait_for("everything is gone", Duration::from_secs(30), || home.processes().is_empty().then_some(()));
}

/// Stands in for a daemon that dies when it has read a request: the connection ends, the socket stays, nobody listens.
fn dies_when_asked(path: &Path) -> JoinHandle<()> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).expect("a socket");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        drop(listener);
        let _ = stream.read(&mut [0; 65536]);
    })
}

#[test]
fn a_daemon_that_dies_under_a_request() {
    let home = Home::new();
    home.stack(TWO);
    home.muster(&["up", "-d"]).ok();
    let (socket, before) = (socket(&home), home.process("web"));
    for command in [&["status", "--json"][..], &["up", "-d"], &["logs", "--raw", "web"], &["stop", "db"]] {
        home.muster(&["daemon", "stop", "--keep"]).ok();
        let died = dies_when_asked(&socket);
        home.muster(command).ok();
        died.join().expect("it was asked");
    }
    assert_eq!(home.process("web"), before, "the next daemon answered, and found it");
    // what may have been done already is not done twice
    for (command, code) in [(&["restart", "web"][..], 7), (&["exec", "web", "--", "true"], 125)] {
        home.muster(&["daemon", "stop", "--keep"]).ok();
        let died = dies_when_asked(&socket);
        let output = home.muster(command).expect_code(code);
        assert!(output.stderr.contains("ended the connection"), "{}", output.stderr);
        died.join().expect("it was asked");
    }
    assert_eq!(home.process("web"), before);
    home.muster(&["down"]).ok();
}
