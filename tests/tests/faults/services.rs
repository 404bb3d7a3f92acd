//! Services that cannot start, do not end, write too much, or find their port taken.

use crate::small::Small;
use muster_e2e::{Home, flood, free_port, full, skip, wait_until};
use serde_json::{Value, json};
use std::path::PathBuf;

/// One service beside a good one; `up` fails for it, says `words`, and keeps the other.
fn fails(service: &str, words: &[&str]) -> (Home, Value) {
    let home = Home::new();
    home.stack(&format!("name: a\nservices:\n  good: {{ command: WORKER good idle }}\n  bad: {service}\n"));
    let up = home.muster(&["up", "-d"]).expect_code(1);
    for word in words {
        assert!(up.stderr.contains(word), "`{word}` is not said: {}", up.stderr);
    }
    assert!(up.stderr.contains("next: muster") || up.stderr.contains("muster logs"), "no next step: {}", up.stderr);
    assert_eq!(home.service("good")["state"], "ready", "what is healthy is kept");
    let bad = home.service("bad");
    (home, bad)
}

#[test]
fn a_command_that_does_not_exist() {
    let (home, bad) = fails("{ command: [./no-such-program], restart: always }", &["no-such-program", "not found"]);
    assert_eq!(bad["state"], "failed", "{bad}");
    assert!(bad["pid"].is_null() && bad["restarts"] == 0, "trying again would not help: {bad}");
    assert_eq!(bad["exit"], json!({"code": 127}), "{bad}");
    let why = home.muster(&["why", "bad"]).expect_code(0).stdout;
    assert!(why.contains("no-such-program"), "{why}");
}

#[test]
fn a_command_that_is_not_executable() {
    let (_home, bad) = fails("{ command: [/etc/passwd], restart: always }", &["/etc/passwd", "permission denied"]);
    assert_eq!((&bad["state"], &bad["exit"]), (&json!("failed"), &json!({"code": 126})), "{bad}");
    assert!(bad["pid"].is_null() && bad["restarts"] == 0, "trying again would not help: {bad}");
}

#[test]
fn a_service_that_exits_at_once() {
    let (home, bad) = fails("{ command: WORKER bad fails 42 0, restart: never, ready: { file: never } }", &["42"]);
    assert_eq!((&bad["state"], &bad["exit"]), (&json!("exited"), &json!({"code": 42})), "{bad}");
    assert_eq!(home.events("bad", "start").len(), 1);
}

#[test]
fn a_service_that_ignores_term() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  deaf: { command: WORKER deaf ignores-term, stop: { grace: 200ms } }\n");
    home.muster(&["up", "-d"]).ok();
    let process = home.process("deaf").expect("it runs");
    home.muster(&["down"]).ok();
    assert!(!process.alive());
    assert_eq!(home.events("deaf", "term").len(), 1, "it was asked first");
    assert_eq!(home.service("deaf")["exit"], json!({"signal": 9}));
    let events = home.muster(&["events", "--json"]).expect_code(0).stdout;
    assert!(events.contains("did not stop in time"), "{events}");
}

#[test]
fn a_service_that_forks_away_and_ends() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  fork: { command: WORKER fork forks-away and-ends, restart: never }\n");
    let _ = home.muster(&["up", "-d", "--no-wait"]).expect_code(0);
    let away = home.wait_event("fork.away", "start", 1).process;
    home.wait_service("fork", "over", |service| service["state"] == "exited" || service["state"] == "failed");
    assert!(!away.alive(), "the run is over only when its tree is");
    assert_eq!(home.service("fork")["exit"], json!({"code": 0}));
}

#[test]
fn output_without_a_newline() {
    let bytes: u64 = if full() { 1 << 30 } else { 200 << 20 };
    let home = Home::new();
    home.stack(&format!(
        "name: a\nservices:\n  long: {{ command: WORKER long no-newline {bytes}, logs: {{ keep: 2GiB }} }}\n  small: {{ command: WORKER small no-newline {bytes} }}\n"
    ));
    home.muster(&["up", "-d"]).ok();
    home.wait_event("long", "done", 1);
    home.wait_event("small", "done", 1);
    let folder = |name: &str| PathBuf::from(home.service(name)["log_dir"].as_str().expect("a folder"));
    wait_until("every byte is in the log", || flood::size(&folder("long")) == bytes);
    // 64 MiB is the bound when none is named; rotation comes at most 1 MiB late per segment
    let small = flood::size(&folder("small"));
    assert!(small <= 80 << 20, "not bounded on disk: {small}");
    let daemon = home.daemon().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid)).expect("its status");
    println!("the daemon after 2 x {bytes} bytes: {:?}", status.lines().find(|line| line.starts_with("VmHWM")));
    home.muster(&["down"]).ok();
}

#[test]
fn a_service_that_closes_its_output() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  quiet: { command: WORKER quiet closes-stdout }\n");
    home.muster(&["up", "-d"]).ok();
    home.wait_event("quiet", "closed", 1);
    let process = home.process("quiet");
    assert_eq!(home.muster(&["logs", "--raw", "quiet"]).expect_code(0).stdout, "last words\n");
    assert_eq!(home.service("quiet")["state"], "ready", "it runs on");
    home.daemon().expect("it runs").kill();
    assert_eq!(home.wait_state("quiet", "ready")["pid"], json!(process.expect("it runs").pid));
    home.muster(&["down"]).ok();
    assert_eq!(home.service("quiet")["exit"], json!({"code": 0}));
}

#[test]
fn a_port_that_a_stranger_holds() {
    let home = Home::new();
    let port = free_port();
    let stranger = home.stranger(&["stranger", "hogs-port", &port.to_string()]);
    home.wait_event("stranger", "listens", 1);
    home.stack(&format!(
        "name: a\nservices:\n  web: {{ command: \"WORKER web serve ${{port.http}} 0\", ports: {{ http: {port} }}, restart: never }}\n"
    ));
    let up = home.muster(&["up", "-d"]).expect_code(1);
    for word in [port.to_string(), format!("pid {}", stranger.pid()), "e2e-worker".to_owned()] {
        assert!(up.stderr.contains(&word), "`{word}` is not said: {}", up.stderr);
    }
    assert!(home.events("web", "start").is_empty(), "nothing was started beside it");
    drop(stranger);
    home.muster(&["up", "-d"]).ok();
}

#[test]
fn a_disk_that_is_full() {
    const BYTES: u64 = 40 << 20;
    let small;
    let home = Home::new();
    small = Small::mount(&home.state(), "16m");
    if small.is_none() {
        skip("faults::a_disk_that_is_full", "tmpfs cannot be mounted by this user");
        return;
    }
    home.stack(&format!(
        "name: a\nservices:\n  flood: {{ command: WORKER flood floods {BYTES}, logs: {{ keep: 1GiB }} }}\n  other: {{ command: WORKER other idle }}\n"
    ));
    home.muster(&["up", "-d"]).ok();
    home.wait_event("flood", "done", 1);
    assert!(home.events("flood", "error").is_empty(), "a service never notices");
    let (flood, other) = (home.process("flood").expect("it runs"), home.process("other").expect("it runs"));
    assert_eq!(home.service("flood")["state"], "ready");
    // what is there is a beginning of what was written
    let folder = PathBuf::from(home.service("flood")["log_dir"].as_str().expect("a folder"));
    let kept = flood::size(&folder);
    assert!(kept > 1 << 20 && kept < BYTES, "{kept}");
    home.muster(&["down"]).ok();
    assert!(!flood.alive() && !other.alive(), "a full disk does not keep anything from being stopped");
}
