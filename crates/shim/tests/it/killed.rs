//! The shim itself is killed.

use crate::common::{Run, alive, reap, script, until};
use muster_logs::Stream;
use muster_shim::{ExitCause, ExitRecord, Message, Meta, Request, Salvage, end_leftovers, salvage};
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

fn signal(pid: u32, signal: i32) {
    // SAFETY: the shim is a child of this process and not collected, so the id is its own
    unsafe { libc::kill(pid.cast_signed(), signal) };
}

fn take_fds(run: &mut Run) -> Vec<(Stream, OwnedFd)> {
    let seq = run.client.next_seq();
    run.client.send(&Request::GiveFds { seq }).unwrap();
    let streams = run.wait_for(|message| match message {
        Message::Fds { streams, .. } => Some(streams.clone()),
        _ => None,
    });
    let fds = run.client.take_fds();
    assert_eq!(streams.len(), fds.len());
    streams.into_iter().zip(fds).collect()
}

fn rescue(run: &Run, fds: Vec<(Stream, OwnedFd)>) -> ExitRecord {
    let meta = Meta::read(&run.folder()).unwrap().unwrap();
    assert!(!meta.shim_alive());
    assert!(end_leftovers(&meta, Duration::from_secs(5)));
    let folder = run.folder();
    let what = Salvage { folder: &folder, fds, secrets: &[], keep: meta.log_keep, cause: ExitCause::SupervisorKilled };
    salvage(what).unwrap()
}

#[test]
fn the_service_dies_with_it_and_the_last_lines_are_kept() {
    let go = tempfile::tempdir().unwrap();
    let path = go.path().display();
    let text = format!(
        "echo begin; until test -e {path}/go; do sleep 0.01; done; seq -f %.0f 1 5000; touch {path}/done; \
         setsid sleep 1000 & exec sleep 1000"
    );
    let (mut run, pid) = Run::start(script(&text));
    run.wait_for_log("begin\n");
    let fds = take_fds(&mut run);
    assert_eq!(fds.len(), 2);
    // from here on nobody reads: the lines stay in the pipe
    signal(run.shim.pid, libc::SIGSTOP);
    std::fs::write(go.path().join("go"), "").unwrap();
    until(|| go.path().join("done").exists());
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    until(|| !alive(pid));
    let record = rescue(&run, fds);
    assert_eq!(record.cause, ExitCause::SupervisorKilled);
    assert!(record.is_complete());
    let mut wanted = "begin\n".to_owned();
    for number in 1..=5000 {
        writeln!(wanted, "{number}").unwrap();
    }
    assert_eq!(run.log_text(), wanted);
    assert_eq!(record.log_end, wanted.len() as u64);
    assert_eq!(ExitRecord::read(&run.folder()).unwrap(), Some(record));
    // a second daemon that does it again changes nothing
    assert_eq!(rescue(&run, Vec::new()), record);
}

#[test]
fn a_flood_that_was_cut_off_has_no_holes() {
    let (mut run, pid) = Run::start(script("exec seq -f %.0f 1 100000000"));
    let fds = take_fds(&mut run);
    // the file is made for the first byte
    until(|| std::fs::metadata(run.folder().join("log.000000")).is_ok_and(|log| log.len() > 1_000_000));
    signal(run.shim.pid, libc::SIGSTOP);
    until(|| crate::common::state(run.shim.pid) == Some('T'));
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    until(|| !alive(pid));
    let record = rescue(&run, fds);
    let log = run.log_text();
    assert_eq!(log.len() as u64, record.log_end);
    let lines: Vec<&str> = log.lines().collect();
    for (at, line) in lines.iter().enumerate().take(lines.len() - 1) {
        assert_eq!(line.parse(), Ok(at + 1));
    }
}

#[test]
fn an_exit_that_was_known_is_kept() {
    // the main process is gone, its tree not yet: the code is on disk already
    let mut spec = script("(trap '' TERM; echo up; exec sleep 1000) & sleep 0.05; exit 9");
    spec.leftover_grace = Duration::from_secs(1000);
    let (mut run, _) = Run::start(spec);
    run.wait_for(|message| matches!(message, Message::Exited(_)).then_some(()));
    until(|| ExitRecord::read(&run.folder()).unwrap().is_some());
    assert!(!ExitRecord::read(&run.folder()).unwrap().unwrap().is_complete());
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    let record = rescue(&run, Vec::new());
    assert_eq!(record.cause, ExitCause::Code(9));
    assert!(record.is_complete());
}
