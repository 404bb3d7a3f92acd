//! Many services: 500, and 1,000 with `MUSTER_TEST_FULL=1`.

use muster_e2e::{Home, Process, full, wait_for};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// The promise: a daemon that comes back has taken back everything within this time.
const ADOPTED: Duration = Duration::from_secs(2);

fn stack(count: usize) -> String {
    let mut text = String::from("name: scale\nservices:\n");
    for n in 0..count {
        // chains of ten
        let needs = if n % 10 == 0 { String::new() } else { format!(", needs: [s{}]", n - 1) };
        let _ = writeln!(text, "  s{n}: {{ command: [sleep, '100000']{needs} }}");
    }
    text
}

fn pids(home: &Home) -> BTreeMap<String, Option<i64>> {
    let pid = |service: &serde_json::Value| (service["name"].to_string(), service["pid"].as_i64());
    home.status(&[]).iter().map(pid).collect()
}

fn timed<T>(what: &str, count: usize, work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let value = work();
    let took = begun.elapsed();
    println!("{count} services: {what} in {:.3} s", took.as_secs_f64());
    (value, took)
}

fn many(count: usize) {
    let home = Home::new();
    home.stack(&stack(count));
    let () = timed("up from nothing to all ready", count, || home.muster(&["up", "-d"]).ok()).0;
    let (before, _) = timed("status", count, || pids(&home));
    assert_eq!(before.len(), count);
    assert!(before.values().all(Option::is_some), "all run");
    let daemon = home.daemon().expect("it runs");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid)).unwrap_or_default();
    println!("{count} services: the daemon has {:?}", memory.lines().find(|line| line.starts_with("VmRSS")));
    daemon.kill();
    wait_for("it is gone", ADOPTED, || (!daemon.alive()).then_some(()));
    let ready = || {
        let services = home.status(&[]);
        services.iter().all(|service| service["state"] == "ready").then_some(())
    };
    let (_, took) =
        timed("adopted after a kill", count, || wait_for("all are adopted", Duration::from_secs(60), ready));
    assert_eq!(pids(&home), before, "the same processes");
    assert!(took < ADOPTED, "adopted in {took:?}, promised are {ADOPTED:?}");
    let processes: Vec<Process> = before.values().filter_map(|pid| Process::of(i32::try_from((*pid)?).ok()?)).collect();
    let () = timed("down", count, || home.muster(&["down"]).ok()).0;
    assert_eq!(processes.iter().filter(|process| process.alive()).count(), 0);
}

#[test]
fn as_many_as_a_large_system_has() {
    many(500);
    if full() {
        many(1_000);
    }
}
