//! Nothing of a run outlives it.

use crate::common::{Run, alive, command, script, until};
use muster_shim::{ExitCause, Message, Request, is_alive, kill_marked, kill_tree, proc_start_time};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Compiles the helper that tries to get away.
fn helper(home: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/escape.c");
    let program = home.join("escape");
    let compiled = Command::new("cc").arg("-O1").arg("-o").arg(&program).arg(source).status().unwrap();
    assert!(compiled.success());
    program
}

fn pids(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.strip_prefix("escaped ")?.parse().ok()).collect()
}

fn escapees(mode: &str, end: impl FnOnce(&mut Run)) {
    let tools = tempfile::tempdir().unwrap();
    let program = helper(tools.path());
    let (mut run, _) = Run::start(command(&[program.to_str().unwrap(), mode, "5"]));
    until(|| pids(&run.log_text()).len() >= 5);
    let found = pids(&run.log_text());
    assert!(mode == "hop" || found.iter().all(|pid| alive(*pid)));
    let begun = Instant::now();
    end(&mut run);
    run.end();
    assert!(begun.elapsed() < Duration::from_secs(10));
    for pid in pids(&run.log_text()) {
        assert!(!alive(pid), "{pid} got away");
    }
}

#[test]
fn kill_finds_who_forked_twice_into_a_new_session() {
    escapees("stay", |run| run.ask(|seq| Request::Kill { seq }));
}

#[test]
fn kill_finds_who_hops_from_fork_to_fork() {
    escapees("hop", |run| run.ask(|seq| Request::Kill { seq }));
}

#[test]
fn a_stop_ends_the_rest_of_the_tree() {
    escapees("stay", |run| run.ask(|seq| Request::Stop { seq, grace: None }));
}

#[test]
fn what_a_main_process_left_behind_is_ended_too() {
    escapees("leave", |_| ());
}

#[test]
fn left_over_descendants_are_asked_before_they_are_killed() {
    let place = tempfile::tempdir().unwrap();
    let up = place.path().join("up").display().to_string();
    let mut spec = script(&format!(
        "(trap 'echo asked; exit 0' TERM; touch {up}; while :; do sleep 0.02; done) & \
         until test -e {up}; do sleep 0.01; done; exit 4"
    ));
    spec.leftover_grace = Duration::from_secs(15);
    let (mut run, _) = Run::start(spec);
    let record = run.end();
    assert_eq!(record.cause, ExitCause::Code(4));
    // a shell may say of its own child that it was terminated, on the other stream
    let text = run.log_text();
    assert!(text.lines().any(|line| line == "asked"), "{text:?}");
    assert!(record.ended_ns >= record.exited_ns);
}

#[test]
fn exit_is_told_before_the_rest_has_ended() {
    let mut spec = script("(trap '' TERM; echo up; exec sleep 1000) & sleep 0.1; exit 4");
    spec.leftover_grace = Duration::from_millis(150);
    let (mut run, _) = Run::start(spec);
    run.wait_for(|message| matches!(message, Message::Exited(_)).then_some(()));
    until(|| muster_shim::ExitRecord::read(&run.folder()).unwrap().is_some());
    assert_eq!(run.end().cause, ExitCause::Code(4));
}

#[test]
fn an_exit_without_descendants_ends_at_once() {
    let mut spec = script("exit 0");
    spec.leftover_grace = Duration::from_secs(1000);
    let (mut run, _) = Run::start(spec);
    let record = run.end();
    // far less than the grace that left-over descendants would have had
    assert!(record.ended_ns - record.exited_ns < 10_000_000_000);
}

#[test]
fn trees_and_marks_for_the_daemon() {
    let mut shell = Command::new("/bin/sh").args(["-c", "sleep 1000 & sleep 1000 & echo; wait"]).spawn().unwrap();
    let pid = shell.id();
    let start = proc_start_time(pid).unwrap();
    until(|| {
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().split_whitespace().count() == 2
    });
    assert!(kill_tree(pid, Duration::from_secs(5)));
    shell.wait().unwrap();
    assert!(!is_alive(pid, start));
    let mark = format!("test-{}", std::process::id());
    let sleep = |folder: &str| {
        Command::new("sleep").arg("1000").env("MUSTER_RUN", &mark).env("MUSTER_RUN_DIR", folder).spawn().unwrap()
    };
    let (mut marked, mut other) = (sleep("/a"), sleep("/b"));
    assert!(kill_marked(&mark, Path::new("/a"), Duration::from_secs(5)));
    assert!(!marked.wait().unwrap().success());
    assert_eq!(other.try_wait().unwrap(), None, "the run of this id in another place goes on");
    other.kill().and_then(|()| other.wait()).unwrap();
}
