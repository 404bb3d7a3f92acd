//! What a worker can be told to do.

use crate::flood;
use crate::marks::Marks;
use crate::peer;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// TERM and INT, blocked and waited for.
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks them in this thread and those that it starts. Children get an empty mask from the standard library.
    pub(crate) fn block() -> Self {
        // SAFETY: a sigset_t is plain data that sigemptyset fills; the other calls get pointers to it that are valid
        // for their duration, and signal numbers that exist.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            Self(set)
        }
    }

    /// Waits for one of them.
    pub(crate) fn wait(&self) {
        let mut signal = 0;
        // SAFETY: both pointers are valid for the call, the set was filled by `block`.
        unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
    }
}

fn number(arguments: &[String], at: usize) -> u64 {
    arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn word(arguments: &[String], at: usize) -> &str {
    arguments.get(at).map_or("", String::as_str)
}

fn millis(arguments: &[String], at: usize) -> Duration {
    Duration::from_millis(number(arguments, at))
}

/// Does what the mode says; a code when the worker ends by itself.
pub(crate) fn run(mode: &str, arguments: &[String], marks: &Marks) -> Option<u8> {
    match mode {
        "idle" | "ignores-term" | "dies-late" => say("idle"),
        "says" => say(&arguments.join(" ")),
        "tells-env" => tell_environment(arguments),
        "exits-after" => std::thread::sleep(millis(arguments, 0)),
        "fails" => std::thread::sleep(millis(arguments, 1)),
        "waits-for" => wait_for_file(word(arguments, 0)),
        "fails-once" => return fails_once(marks),
        "floods" => write_out(marks, || flood::numbered(&marks.name, number(arguments, 0), millis(arguments, 1))),
        "no-newline" => write_out(marks, || flood::without_newline(number(arguments, 0))),
        "closes-stdout" => close_output(marks),
        "hogs-port" => listen(arguments, marks, Duration::ZERO),
        "peer" => peer::serve(word(arguments, 0), word(arguments, 1), marks),
        "far-away" => return Some(crate::far::away(word(arguments, 0), millis(arguments, 1))),
        "ask" => return Some(peer::ask(word(arguments, 0), word(arguments, 1), marks)),
        "serve" => listen(arguments, marks, millis(arguments, 1)),
        "notify" => notify(millis(arguments, 0), marks),
        "forks-away" => start_again(marks, "in-between"),
        "in-between" => {
            // a session of its own, and an end that leaves the child to whoever takes orphans
            let _ = rustix::process::setsid();
            start_again(marks, "idle");
            return Some(0);
        }
        other => {
            eprintln!("e2e-worker has no mode `{other}`");
            return Some(2);
        }
    }
    match mode {
        "exits-after" => Some(0),
        "fails" => u8::try_from(number(arguments, 0)).ok(),
        "waits-for" => u8::try_from(number(arguments, 1)).ok(),
        "forks-away" if arguments.first().is_some_and(|word| word == "and-ends") => Some(0),
        _stays => None,
    }
}

/// What TERM does; a code when it ends the worker.
pub(crate) fn on_term(mode: &str, arguments: &[String], marks: &Marks) -> Option<u8> {
    match mode {
        "ignores-term" => None,
        "dies-late" => {
            std::thread::sleep(millis(arguments, 0));
            marks.note("late");
            Some(0)
        }
        _obeys => Some(0),
    }
}

/// Comes back when the file is there.
fn wait_for_file(path: &str) {
    say("waits");
    while !std::path::Path::new(path).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn say(text: &str) {
    println!("{text}");
    let _ = io::stdout().flush();
}

/// `NAME=VALUE` lines of the variables that are asked for.
fn tell_environment(names: &[String]) {
    for name in names {
        println!("{name}={}", std::env::var(name).unwrap_or_default());
    }
    say("told");
}

/// Fails the first time, stays the second.
fn fails_once(marks: &Marks) -> Option<u8> {
    let flag = marks.folder.join(format!("{}.lock", marks.name)).with_extension("failed.lock");
    if flag.exists() {
        return None;
    }
    let _ = std::fs::write(flag, "");
    Some(3)
}

fn write_out(marks: &Marks, write: impl FnOnce() -> io::Result<()>) {
    marks.note("writes");
    match write() {
        Ok(()) => marks.note("done"),
        Err(_) => marks.note("error"),
    }
}

fn close_output(marks: &Marks) {
    say("last words");
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    marks.note("closed");
}

/// Listens and answers HTTP in a thread of its own, after a time.
fn listen(arguments: &[String], marks: &Marks, after: Duration) {
    let port = u16::try_from(number(arguments, 0)).unwrap_or(0);
    std::thread::sleep(after);
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) else {
        eprintln!("cannot listen on {port}");
        marks.note("error");
        std::process::exit(1);
    };
    marks.note("listens");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            // an answer before the question was read would be cut off by the close
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
}

/// READY=1 as sd_notify(3) has it.
fn notify(after: Duration, marks: &Marks) {
    std::thread::sleep(after);
    let sent =
        std::env::var_os("NOTIFY_SOCKET").ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)).and_then(|path| {
            let socket = UnixDatagram::unbound()?;
            socket.send_to(b"READY=1\n", path)
        });
    marks.note(if sent.is_ok() { "notified" } else { "error" });
}

/// This program again, as `NAME.away`.
fn start_again(marks: &Marks, mode: &str) {
    let Ok(own) = std::env::current_exe() else { return };
    let name = if mode == "idle" { marks.name.clone() } else { format!("{}.between", marks.name) };
    let name = if mode == "idle" { name.replace(".between", ".away") } else { name };
    let mut command = Command::new(own);
    command.arg(&marks.folder).args([name.as_str(), mode]).stdin(Stdio::null());
    if let Ok(mut child) = command.spawn()
        && mode == "in-between"
    {
        let _ = child.wait();
    }
}
