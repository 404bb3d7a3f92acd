//! Exec, attach, notify, and clients that misbehave.

use crate::common::{PATIENCE, Run, alive, command, script, until};
use muster_shim::{AttachRole, Client, ExecSpec, ExitCause, Message, Output, Refusal, Request, Step, TtySize, VERSION};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};

fn connect(run: &Run) -> Client {
    let mut client = Client::connect(&run.socket()).unwrap();
    let hello = client.receive(PATIENCE).unwrap();
    assert_eq!(hello, Message::Hello { version: VERSION, run: run.id.clone() });
    client
}

fn exec(text: &str, tty: Option<TtySize>) -> Request {
    let argv = ["/bin/sh", "-c", text].iter().map(OsString::from).collect();
    let env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    Request::Exec { seq: 1, spec: Box::new(ExecSpec { argv, env, cwd: None, tty }) }
}

fn collect(client: &mut Client) -> (String, String, Message) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match client.receive(PATIENCE).unwrap() {
            Message::Stdout(bytes) => out.extend(bytes),
            Message::Stderr(bytes) => err.extend(bytes),
            Message::Done { .. } => {}
            last => return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), last),
        }
    }
}

fn end(mut run: Run) {
    run.ask(|seq| Request::Kill { seq });
    run.end();
}

#[test]
fn exec_carries_all_three_streams_and_the_code() {
    let (run, _) = Run::start(command(&["sleep", "1000"]));
    let mut client = connect(&run);
    client.send(&exec("echo run $MUSTER_RUN; cat; echo problem >&2; exit 12", None)).unwrap();
    client.send(&Request::Stdin(b"typed\n".to_vec())).unwrap();
    client.send(&Request::StdinClosed).unwrap();
    let (out, err, last) = collect(&mut client);
    assert_eq!((out.as_str(), err.as_str()), (format!("run {}\ntyped\n", run.id).as_str(), "problem\n"));
    assert_eq!(last, Message::ExecExited(ExitCause::Code(12)));
    end(run);
}

#[test]
fn exec_moves_megabytes_both_ways() {
    let (run, _) = Run::start(command(&["sleep", "1000"]));
    let mut client = connect(&run);
    client.send(&exec("cat", None)).unwrap();
    let mut sender = client.into_stream();
    let mut receiver = Client::over(sender.try_clone().unwrap());
    let writer = std::thread::spawn(move || {
        for number in 0..200_u8 {
            sender.write_all(&Request::Stdin(vec![number; 30_000]).to_bytes()).unwrap();
        }
        sender.write_all(&Request::StdinClosed.to_bytes()).unwrap();
    });
    let mut got = Vec::new();
    loop {
        match receiver.receive(PATIENCE).unwrap() {
            Message::Stdout(bytes) => got.extend(bytes),
            Message::ExecExited(cause) => break assert_eq!(cause, ExitCause::Code(0)),
            Message::Done { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    writer.join().unwrap();
    let wanted: Vec<u8> = (0..200_u8).flat_map(|number| vec![number; 30_000]).collect();
    assert!(got == wanted);
    end(run);
}

#[test]
fn exec_on_a_terminal() {
    let (run, _) = Run::start(command(&["sleep", "1000"]));
    let mut client = connect(&run);
    client.send(&exec("test -t 0 && test -t 1 && stty size; exit 3", Some(TtySize { rows: 33, cols: 99 }))).unwrap();
    let (out, _, last) = collect(&mut client);
    assert_eq!((out.as_str(), last), ("33 99\r\n", Message::ExecExited(ExitCause::Code(3))));
    end(run);
}

#[test]
fn exec_that_cannot_start_says_why() {
    let (run, _) = Run::start(command(&["sleep", "1000"]));
    let mut client = connect(&run);
    let spec = ExecSpec { argv: vec!["no-such-program".into()], env: Vec::new(), cwd: None, tty: None };
    client.send(&Request::Exec { seq: 1, spec: Box::new(spec) }).unwrap();
    let (.., last) = collect(&mut client);
    assert_eq!(last, Message::ExecFailed { step: Step::Exec, errno: libc::ENOENT });
    end(run);
}

#[test]
fn exec_dies_with_its_client() {
    let (run, _) = Run::start(command(&["sleep", "1000"]));
    let mut client = connect(&run);
    client.send(&exec("echo $$; sleep 1000 & sleep 1000", None)).unwrap();
    let pid = loop {
        if let Message::Stdout(bytes) = client.receive(PATIENCE).unwrap() {
            break String::from_utf8(bytes).unwrap().trim().parse::<u32>().unwrap();
        }
    };
    assert!(alive(pid));
    drop(client);
    until(|| !alive(pid));
    let shim = run.shim.pid;
    until(|| {
        let children = std::fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap();
        children.split_whitespace().count() == 1
    });
    end(run);
}

#[test]
fn attach_has_one_writer_and_many_readers() {
    let mut spec = script("echo ready; read line; echo \"got $line\"; stty size; exec sleep 1000");
    spec.output = Output::Tty(TtySize { rows: 24, cols: 80 });
    let (run, _) = Run::start(spec);
    run.wait_for_log("ready\r\n");
    let (mut writer, mut reader, mut other) = (connect(&run), connect(&run), connect(&run));
    let attach = |role, size| Request::Attach { seq: 5, role, size };
    writer.send(&attach(AttachRole::Writer, Some(TtySize { rows: 40, cols: 120 }))).unwrap();
    assert_eq!(writer.receive(PATIENCE).unwrap(), Message::Done { seq: 5 });
    reader.send(&attach(AttachRole::Reader, None)).unwrap();
    assert_eq!(reader.receive(PATIENCE).unwrap(), Message::Done { seq: 5 });
    other.send(&attach(AttachRole::Writer, None)).unwrap();
    let refused = Message::Refused { seq: 5, reason: Refusal::Busy, errno: 0 };
    assert_eq!(other.receive(PATIENCE).unwrap(), refused);
    writer.send(&Request::Stdin(b"hello\n".to_vec())).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("40 120") {
        match reader.receive(PATIENCE).unwrap() {
            Message::Stdout(bytes) => seen.extend(bytes),
            other => panic!("{other:?}"),
        }
    }
    assert!(String::from_utf8_lossy(&seen).contains("got hello\r\n"));
    drop(writer);
    until(|| {
        other.send(&attach(AttachRole::Writer, None)).unwrap();
        other.receive(PATIENCE).unwrap() == Message::Done { seq: 5 }
    });
    run.wait_for_log("got hello\r\n");
    end(run);
}

#[test]
fn a_terminal_service_ends_like_any_other() {
    let mut spec = script("tty; echo bye >&2; exit 5");
    spec.output = Output::Tty(TtySize::default());
    let (mut run, _) = Run::start(spec);
    assert_eq!(run.end().cause, ExitCause::Code(5));
    let log = run.log_text();
    assert!(log.starts_with("/dev/pts/") && log.ends_with("bye\r\n"), "{log}");
}

#[test]
fn a_service_without_a_terminal_cannot_be_typed_at() {
    let (run, _) = Run::start(command(&["sleep", "1000"]));
    let mut client = connect(&run);
    client.send(&Request::Attach { seq: 9, role: AttachRole::Writer, size: None }).unwrap();
    let refused = Message::Refused { seq: 9, reason: Refusal::NoTerminal, errno: 0 };
    assert_eq!(client.receive(PATIENCE).unwrap(), refused);
    end(run);
}

#[test]
fn what_a_service_notifies_is_told_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let mut spec = script("echo $NOTIFY_SOCKET; exec sleep 1000");
    let path = place.path().join("n");
    spec.notify = Some(path.clone());
    let (mut run, _) = Run::start(spec);
    run.wait_for_log(path.to_str().unwrap());
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"READY=1\nSTATUS=warming up", &path).unwrap();
    sender.send_to(b"WATCHDOG=1", &path).unwrap();
    run.wait_for(|message| matches!(message, Message::Notify { text } if text.contains("READY=1")).then_some(()));
    run.wait_for(|message| matches!(message, Message::Notify { text } if text == "WATCHDOG=1").then_some(()));
    let status = run.status();
    assert!(status.notify_ready && !status.notify_stopping && status.watchdog_ns > 0);
    assert_eq!(status.notify_status, "warming up");
    run.ask(|seq| Request::Kill { seq });
    run.end();
    assert!(!path.exists());
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    let (mut run, _) = Run::start(command(&["sleep", "1000"]));
    for garbage in [&[0xff; 64][..], &[0; 16], &[5, 0, 0, 0, 200, 1, 2, 3, 4], &[2, 0, 0, 0, 4, 1]] {
        let mut stream = UnixStream::connect(run.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        let mut rest = Vec::new();
        // the shim may reset a connection of which it did not read all
        let _ = stream.read_to_end(&mut rest);
    }
    let mut client = connect(&run);
    client.send(&Request::Unknown { kind: 77, seq: 31 }).unwrap();
    let refused = Message::Refused { seq: 31, reason: Refusal::Unsupported, errno: 0 };
    assert_eq!(client.receive(PATIENCE).unwrap(), refused);
    assert_eq!(run.status().run, run.id);
    end(run);
}

#[test]
fn a_daemon_that_goes_takes_nothing_with_it() {
    let (run, pid) = Run::start(script("echo up; exec sleep 1000"));
    run.wait_for_log("up\n");
    let Run { home, shim, client, .. } = run;
    drop(client);
    let mut client = Client::connect(&home.path().join("s")).unwrap();
    client.send(&Request::Subscribe { seq: 1, logs: false }).unwrap();
    client.send(&Request::Stop { seq: 2, grace: None }).unwrap();
    let mut exited = None;
    loop {
        match client.receive(PATIENCE).unwrap() {
            Message::Exited(exit) => exited = Some(exit.cause),
            Message::Ended { .. } => break,
            Message::Hello { .. } | Message::Done { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(exited, Some(ExitCause::Signal { signal: libc::SIGTERM, core: false }));
    assert!(!alive(pid));
    crate::common::reap(&shim);
}
