//! A writer that is killed at any moment has lost no row that it acknowledged.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_spec::{EnvironmentId, InstanceId};
use muster_store::{Store, Transition, Write};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

const ROUNDS: u64 = 20;
const THREADS: u64 = 4;
const JOURNAL: &str = "STORE_TEST_JOURNAL";

fn row(round: &EnvironmentId, number: u64) -> Write {
    Write::Transition(Transition {
        at_ns: 1,
        environment: round.clone(),
        instance: InstanceId::from_str("api").unwrap(),
        run: number,
        from_state: "stopped".to_owned(),
        to_state: "starting".to_owned(),
        cause_json: "{}".to_owned(),
    })
}

fn environment(round: u64) -> EnvironmentId {
    EnvironmentId::from_str(&format!("round-{round:08x}")).unwrap()
}

/// Not a test by itself: what the test below starts and kills. Writes and acknowledges until it is killed.
#[test]
fn writer_process() {
    let Ok(told) = std::env::var(JOURNAL) else { return };
    let (round, path) = told.split_once(' ').unwrap();
    let round = environment(round.parse().unwrap());
    let store = Store::open(Path::new(path)).unwrap().store;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, round) = (store.clone(), round.clone());
            scope.spawn(move || {
                // Ends by itself if the test is gone: it can never become a process without an owner.
                for number in (thread..9_000).step_by(4) {
                    store.commit(row(&round, number)).unwrap();
                    println!("acknowledged {number}");
                }
            });
        }
    });
}

#[test]
fn an_acknowledged_row_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    for round in 0..ROUNDS {
        // Another moment in each round, from the first row on.
        let killed_after = 1 + (round * 37) % 400;
        let acknowledged = run_and_kill(&path, round, killed_after);
        let opened = Store::open(&path).unwrap();
        assert_eq!(opened.quarantined, None, "{:?}", opened.reason);
        let rows = opened.store.transitions(&environment(round), 0, None, 20_000).unwrap();
        let there: std::collections::HashSet<u64> = rows.iter().map(|row| row.transition.run).collect();
        let lost: Vec<_> = acknowledged.iter().filter(|number| !there.contains(number)).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?} of {}", acknowledged.len());
        assert!(acknowledged.len() as u64 >= killed_after);
    }
}

fn run_and_kill(path: &Path, round: u64, killed_after: u64) -> Vec<u64> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_process", "--nocapture"])
        .env(JOURNAL, format!("{round} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut killed = false;
    // After the kill: what it had said before.
    for line in BufReader::new(writer.stdout.take().unwrap()).split(b'\n') {
        let line = line.unwrap();
        let text = String::from_utf8_lossy(&line);
        acknowledged.extend(text.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse::<u64>().ok()));
        if !killed && acknowledged.len() as u64 >= killed_after {
            writer.kill().unwrap();
            killed = true;
        }
    }
    writer.wait().unwrap();
    assert!(killed, "round {round}: the writer ended by itself after {} rows", acknowledged.len());
    acknowledged
}
