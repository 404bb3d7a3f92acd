//! A host that cannot be reached for half a minute: packets are dropped, nothing is reset, the daemon is killed meanwhile.
//!
//! Twenty services run there, one of them writing numbered lines all the time, two of which end while nobody can see it.
//! When packets pass again everything is as it was: the same processes, none started again, every byte of output by its
//! hash, and how those ended that did.

use muster_e2e::{PATIENCE, Site, flood, wait_for, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Bytes of the flood.
const FLOOD: u64 = 56 << 20;
/// The flood's pause after each block, so that it lasts longer than the cut.
const PAUSE_MS: u32 = 60;
/// How long packets are dropped.
const CUT: Duration = Duration::from_secs(30);
/// When the link is back, everything is seen again within this time.
const BACK: Duration = Duration::from_secs(90);
/// Services that only run.
const IDLE: usize = 17;
/// Those that end during the cut, and how.
const ENDING: [(&str, i64); 2] = [("ends-a", 7), ("ends-b", 0)];

fn stack(site: &Site) -> String {
    let (line, host) = (site.static_line(), site.host.alias());
    let mut text = format!(
        "name: cut\nservices:\n  flood: {{ remote: {{ host: {host}, command: \"{line} flood floods {FLOOD} {PAUSE_MS}\" }}, \
         logs: {{ keep: 1GiB }}, restart: never }}\n"
    );
    for number in 0..IDLE {
        let _ =
            writeln!(text, "  idle-{number}: {{ remote: {{ host: {host}, command: \"{line} idle-{number} idle\" }} }}");
    }
    let gate = site.home.project().join("gate");
    for (name, code) in ENDING {
        let command = format!("{line} {name} waits-for {} {code}", gate.display());
        let _ = writeln!(text, "  {name}: {{ remote: {{ host: {host}, command: \"{command}\" }}, restart: never }}");
    }
    text
}

/// The pid of each service on its host, as Muster says it.
fn pids(site: &Site) -> BTreeMap<String, Value> {
    let of = |service: &Value| (service["name"].as_str().unwrap_or_default().to_owned(), service["pid"].clone());
    site.home.status(&[]).iter().map(of).collect()
}

fn states(site: &Site) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    site.home.status(&[]).iter().map(|service| (text(&service["name"]), text(&service["state"]))).collect()
}

fn pass(time: Duration, since: Instant) {
    while since.elapsed() < time {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn twenty_services_survive_a_cut_link_and_a_killed_daemon() {
    let Some(site) = Site::namespaced("link-cut") else { return };
    site.home.stack(&stack(&site));
    site.home.muster(&["up", "-d"]).ok();
    let before = pids(&site);
    assert_eq!(before.len(), IDLE + 1 + ENDING.len());
    assert!(before.values().all(Value::is_i64), "{before:?}");
    for (name, pid) in &before {
        let noted = site.home.wait_event(name, "start", 1).process.pid;
        assert_eq!(*pid, json!(noted), "`{name}` says another pid of itself");
    }
    wait_until("the flood is seen", || {
        site.home.muster(&["logs", "--raw", "-n", "1", "flood"]).stdout.contains("line")
    });

    let begun = Instant::now();
    site.host.namespace().cut().expect("packets are dropped");
    wait_until("the host is missed", || states(&site).values().all(|state| state == "lost"));
    println!(
        "packets are dropped; all {} services are `lost` after {:.1} s",
        before.len(),
        begun.elapsed().as_secs_f64()
    );
    site.home.write("gate", "");
    for (name, _) in ENDING {
        site.home.wait_event(name, "end", 1);
    }
    let daemon = site.home.daemon().expect("a daemon");
    daemon.kill();
    wait_until("the killed daemon is gone", || !daemon.alive());
    assert!(states(&site).values().all(|state| state == "lost"), "the next daemon does not know either");
    pass(CUT, begun);
    assert!(site.home.events("flood", "done").is_empty(), "the flood went on during the whole cut");

    println!("the daemon was killed; packets pass again after {:.1} s", begun.elapsed().as_secs_f64());

    let restored = Instant::now();
    site.host.namespace().restore().expect("packets pass");
    wait_for("everything is seen again", BACK, || states(&site).values().all(|state| state != "lost").then_some(()));
    println!("everything is seen again {:.1} s later", restored.elapsed().as_secs_f64());
    for (name, code) in ENDING {
        let service = site.home.wait_service(name, "ended", |service| !service["exit"].is_null());
        assert_eq!(service["exit"], json!({ "code": code }), "{service}");
        println!("`{name}`, which ended meanwhile: {}", service["exit"]);
    }
    let after: BTreeMap<_, _> = pids(&site).into_iter().filter(|(name, _)| name.starts_with("idle")).collect();
    for (name, pid) in &after {
        assert_eq!(*pid, before[name], "`{name}` is another process");
    }
    println!("{} of {IDLE} idle services have the pids of before", after.len());
    site.home.wait_event("flood", "done", 1);
    wait_for("the last byte is here", PATIENCE, || {
        site.home.muster(&["logs", "--raw", "-n", "1", "flood"]).stdout.starts_with("hash ").then_some(())
    });
    let text = site.home.muster(&["logs", "--raw", "flood"]).expect_code(0).stdout;
    assert_eq!(flood::check_read(text.as_bytes(), "flood", FLOOD), Ok(()));
    let (read, said) = flood::hashes(&text);
    println!("flood: {} bytes read here, hash {read}; written there: hash {said}", text.len());
    assert_eq!(read, said);
    for name in before.keys() {
        assert_eq!(site.home.events(name, "start").len(), 1, "`{name}` was started again");
    }
    println!("{} services were started once", before.len());
    site.home.muster(&["down"]).ok();
    assert_eq!(
        site.host.namespace().sh("ps ax | grep -c '[e]2e-worker' || true").expect("the host"),
        "0",
        "after `down`"
    );
}
