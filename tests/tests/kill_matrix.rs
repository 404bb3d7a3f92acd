//! The kill matrix: SIGKILL to the daemon, a supervisor or a command, in every phase of a stack's life, on every runtime.
//!
//! What is asked afterwards: no orphan, never two copies of one service, the same processes where nothing was struck, an
//! exit that is known, every byte of output. An observer outside of Muster answers, from /proc and the workers' own notes.
//! `MUSTER_TEST_FULL=1` makes 20 rounds of each cell, `MUSTER_TEST_ROUNDS` as many as it says, `MUSTER_TEST_SEED` repeats the
//! random times of a run, `MUSTER_TEST_PHASE` is one column (`Restarting`), `MUSTER_TEST_GROUND` one ground (`Remote`).

mod matrix;

use matrix::{Field, Ground, PHASES, Target, all_down, all_up, cell, round, rounds, write_stack};
use muster_e2e::{Home, Random, flood, wait_until};
use std::time::Duration;

/// Where a development build of the daemon kills itself when it is told to: one per edge between the steps of a run.
const CRASH_POINTS: [&str; 8] = [
    "journal.before",
    "journal.after",
    "spawn.before",
    "spawn.after",
    "handle.before",
    "handle.after",
    "exit.before",
    "exit.after",
];

/// A row of the matrix on every ground.
fn row(target: Target) {
    let seed = Random::seed();
    let grounds = [Ground::Process, Ground::Container, Ground::Remote];
    let chosen = |variable: &str, name: String| std::env::var(variable).map_or(true, |chosen| chosen == name);
    let mut wrong = 0;
    for ground in grounds.into_iter().filter(|ground| chosen("MUSTER_TEST_GROUND", format!("{ground:?}"))) {
        for phase in PHASES.iter().filter(|phase| chosen("MUSTER_TEST_PHASE", format!("{phase:?}"))) {
            let name = format!("{ground:?}: {target:?} x {phase:?}");
            wrong += cell(&name, rounds(ground), seed, |random| round(ground, target, *phase, random));
        }
    }
    assert_eq!(wrong, 0, "rounds went wrong; their seeds are above");
}

#[test]
fn the_daemon_is_killed() {
    row(Target::Daemon);
}

#[test]
fn a_supervisor_is_killed() {
    row(Target::Shim);
}

#[test]
fn a_command_is_killed() {
    row(Target::Cli);
}

#[test]
fn the_daemon_dies_at_every_point() {
    let seed = Random::seed();
    let wrong: u64 = CRASH_POINTS
        .iter()
        .map(|point| cell(point, rounds(Ground::Process), seed, |random| crash(point, random)))
        .sum();
    assert_eq!(wrong, 0, "rounds went wrong; their seeds are above");
}

/// A daemon that dies at the `n`th time it comes to a point; every command after that meets another one.
fn crash(point: &str, random: &mut Random) {
    let Some(field) = Field::new(Ground::Process) else { return };
    let home = field.home();
    write_stack(&field, false);
    home.write("gate", "");
    let count = random.next() % 6 + 1;
    let mut command = home.command(&["daemon", "run"]);
    command.env("MUSTER_CRASH_AT", format!("{point}:{count}"));
    let mut daemon = home.start(command);
    wait_until("the daemon answers", || daemon.ended() || home.muster(&["daemon", "status"]).code == 0);
    let codes = |words: &[&str]| {
        let output = home.muster(words);
        assert!([0, 1, 7].contains(&output.code), "{output:?}");
    };
    codes(&["up", "-d"]);
    if let Some((_, process)) = home.workers_alive().into_iter().find(|(name, _)| name == "db") {
        process.kill();
    }
    codes(&["restart", "api"]);
    all_up(home);
    codes(&["down"]);
    if !daemon.ended() {
        println!("{point}:{count} was not reached");
    }
    all_down(home);
    home.muster(&["up", "-d"]).ok();
    all_up(home);
}

#[test]
fn a_large_flood_is_kept_while_daemons_die() {
    const BYTES: u64 = 200 << 20;
    let home = Home::new();
    home.stack(&format!(
        "name: k\nservices:\n  flood: {{ command: WORKER flood floods {BYTES}, logs: {{ keep: 1GiB }}, restart: never }}\n"
    ));
    home.muster(&["up", "-d"]).ok();
    let worker = home.process("flood").expect("it runs");
    let mut killed = 0;
    while home.events("flood", "done").is_empty() {
        if let Some(daemon) = home.daemon() {
            daemon.kill();
            wait_until("the killed daemon is gone", || !daemon.alive());
            killed += 1;
        }
        home.wait_service("flood", "known", |service| service["pid"] == worker.pid);
        assert!(home.events("flood", "error").is_empty(), "the service could not write");
    }
    println!("200 MiB written while {killed} daemons were killed");
    let folder = home.service("flood")["log_dir"].as_str().map(std::path::PathBuf::from).expect("a folder of logs");
    wait_until("the last byte is in the log", || flood::size(&folder) >= BYTES);
    muster_e2e::wait_for("every byte is kept", Duration::from_secs(60), || flood::check(&folder, "flood", BYTES).ok());
    let last = home.muster(&["logs", "--raw", "-n", "1", "flood"]).expect_code(0).stdout;
    assert!(last.starts_with("hash "), "{last}");
}
