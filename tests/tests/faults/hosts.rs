//! Faults of other hosts and of the way there: each is told with what to do, and nothing is lost by it.

use muster_e2e::kit::components;
use muster_e2e::kit::host::Plan;
use muster_e2e::{Site, flood, wait_until};
use serde_json::{Value, json};

/// Bytes of a flood that takes some seconds.
const FLOOD: u64 = 12 << 20;
/// A disk on which the host's binaries have their place, also those of a development build, and the flood has not.
const DISK: u64 = 192 << 20;

fn at(plan: Plan) -> Option<Site> {
    Site::of("faults-host", components::docker("faults-host")?, plan)
}

/// A process here and one there.
fn site(plan: Plan) -> Option<Site> {
    let site = at(plan)?;
    let (worker, inside, host) = (site.home.worker_line(), site.static_line(), site.host.alias());
    site.home.stack(&format!(
        "name: a\nservices:\n  good: {{ command: \"{worker} good idle\" }}\n  \
         far: {{ remote: {{ host: {host}, command: \"{inside} far idle\" }}, restart: always }}\n"
    ));
    Some(site)
}

fn local() -> Option<Site> {
    site(Plan::default())
}

fn namespaced() -> Option<Site> {
    site(Plan { namespaced: true, ..Plan::default() })
}

/// `up` fails for the remote service, says all of `words`, and keeps the other.
fn fails(site: &Site, words: &[&str]) -> Value {
    let up = site.home.muster(&["up", "-d"]).expect_code(1);
    for word in words {
        assert!(up.stderr.contains(word), "`{word}` is not said: {}", up.stderr);
    }
    assert!(up.stderr.contains("next: muster") || up.stderr.contains("muster logs"), "no next step: {}", up.stderr);
    assert_eq!(site.home.service("good")["state"], "ready", "what is healthy is kept");
    assert!(site.home.events("far", "start").is_empty(), "it never ran");
    site.home.service("far")
}

#[test]
fn a_host_key_that_is_not_known() {
    let Some(site) = local() else { return };
    site.host.forget_host_key().expect("a file");
    fails(&site, &["far", site.host.alias(), "is not known", "accept"]);
    site.host.know_host_key().expect("a file");
    site.home.muster(&["up", "-d"]).ok();
    assert_eq!(site.home.service("far")["state"], "ready");
}

#[test]
fn a_host_key_that_changed() {
    let Some(site) = local() else { return };
    site.host.change_host_key().expect("another key");
    fails(&site, &["far", "another key", "ssh-keygen -R"]);
}

#[test]
fn a_key_that_is_refused() {
    let Some(site) = local() else { return };
    site.host.refuse_key().expect("a file");
    fails(&site, &["far", "accepts none of our keys", "ssh-add"]);
}

#[test]
fn a_host_that_refuses_connections() {
    let Some(site) = local() else { return };
    site.host.stop_sshd().expect("it ends");
    let output = site.home.start(site.home.command(&["up", "-d", "--timeout", "5s"])).wait();
    assert_ne!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("refused"), "{}", output.stderr);
    site.host.start_sshd().expect("it listens");
    site.home.muster(&["up", "-d"]).ok();
    assert_eq!(site.home.service("far")["state"], "ready");
}

#[test]
fn a_host_that_does_not_answer() {
    let Some(site) = namespaced() else { return };
    site.host.namespace().cut().expect("cut");
    let output = site.home.muster(&["up", "-d", "--timeout", "25s"]);
    assert_ne!(output.code, 0, "{output:?}");
    for word in ["far", site.host.alias(), "cannot be reached", "timed out"] {
        assert!(output.stderr.contains(word), "`{word}` is not said: {}", output.stderr);
    }
    assert_eq!(site.home.service("good")["state"], "ready", "what is healthy is kept");
    site.host.namespace().restore().expect("restored");
    site.home.muster(&["up", "-d"]).ok();
    assert_eq!(site.home.service("far")["state"], "ready");
    assert_eq!(site.home.events("far", "start").len(), 1);
}

#[test]
fn a_process_there_is_never_taken_for_one_of_this_machine() {
    let Some(site) = namespaced() else { return };
    let (worker, inside, host) = (site.home.worker_line(), site.static_line(), site.host.alias());
    site.home.stack(&format!(
        "name: a\nservices:\n  good: {{ command: \"{worker} good idle\" }}\n  \
         far: {{ remote: {{ host: {host}, command: \"{inside} far serve ${{port.http}}\" }}, restart: always, \
         ports: {{ http: auto }} }}\n"
    ));
    site.home.muster(&["up", "-d"]).ok();
    let far = site.home.service("far");
    let pid = site.home.wait_event("far", "start", 1).process.pid;
    assert_eq!((&far["pid"], &far["host"]), (&json!(pid), &json!(host)), "{far}");
    let good = site.home.service("good");
    assert_eq!(good["host"], Value::Null, "{good}");
    let told = format!("{host}:{pid}");
    for words in [&["status", "far"][..], &["top", "far"]] {
        let said = site.home.muster(words).expect_code(0).stdout;
        assert!(said.contains(&told), "{words:?}: {said}");
    }
    let why = site.home.muster(&["why", "far"]).expect_code(0).stdout;
    assert!(why.contains(&format!("pid {pid} on {host}")), "{why}");
    let ports = site.home.muster(&["ports", "far"]).expect_code(0).stdout;
    assert!(ports.contains(&format!("on host {host}, pid {pid} there")), "{ports}");
    // numbers begin anew on a host: it is there that this one is killed
    let kill = format!("kill -KILL {pid}");
    site.home.muster(&["exec", "far", "--", "sh", "-c", &kill]).expect_code(0);
    site.home.wait_event("far", "start", 2);
    assert_eq!(site.home.wait_state("far", "ready")["restarts"], 1);
    assert_eq!(site.home.service("good")["pid"], good["pid"]);
}

#[test]
fn an_architecture_without_a_shim() {
    let Some(site) = site(Plan { namespaced: true, machine: Some("riscv64".to_owned()), ..Plan::default() }) else {
        return;
    };
    fails(&site, &["far", "Linux riscv64", "services can run on Linux x86_64"]);
}

#[test]
fn a_full_disk_there() {
    let Some(site) = site(Plan { namespaced: true, disk: Some(64 << 10), ..Plan::default() }) else { return };
    fails(&site, &["far", "full"]);
}

#[test]
fn a_disk_that_fills_up_there_while_a_service_writes() {
    let Some(site) = at(Plan { namespaced: true, disk: Some(DISK), ..Plan::default() }) else {
        return;
    };
    let (line, host) = (site.static_line(), site.host.alias());
    site.home.stack(&format!(
        "name: a\nservices:\n  flood: {{ remote: {{ host: {host}, command: \"{line} flood floods {FLOOD} 20\" }}, \
         logs: {{ keep: 1GiB }}, restart: never }}\n  far: {{ remote: {{ host: {host}, command: \"{line} far idle\" }} }}\n"
    ));
    site.home.muster(&["up", "-d"]).ok();
    wait_until("the flood is seen", || {
        site.home.muster(&["logs", "--raw", "-n", "1", "flood"]).stdout.contains("line")
    });
    let filler = site.host.home().join("filler");
    let fill = format!("dd if=/dev/zero of={} bs=64k 2>/dev/null; true", filler.display());
    site.host.namespace().sh(&fill).expect("filled");
    // nobody waits for a log: it ends although nothing more can be written there
    site.home.wait_event("flood", "done", 1);
    site.host.namespace().sh(&format!("rm {}", filler.display())).expect("freed");
    site.home.muster(&["stop", "flood"]).ok();
    let flood = site.home.service("flood");
    assert_eq!(flood["exit"], json!({ "code": 0 }), "{flood}");
    let logs = site.home.muster(&["logs", "--raw", "flood"]).expect_code(0);
    let said = format!("{}{}", logs.stdout, logs.stderr);
    assert!(said.contains("missing") || said.contains("lost"), "the gap is told: {}", logs.stderr);
    assert_eq!(site.home.service("far")["state"], "ready");
    assert_eq!(site.home.events("far", "start").len(), 1, "the other one did not notice");
}

#[test]
fn a_link_that_is_cut_while_starting() {
    let Some(site) = namespaced() else { return };
    // the link is there, and nobody knows that it is cut when the start is asked for
    let (line, host) = (site.static_line(), site.host.alias());
    site.home.write(
        "muster.yaml",
        &format!(
            "name: a\nservices:\n  far: {{ remote: {{ host: {host}, command: \"{line} far idle\" }} }}\n  \
             late: {{ remote: {{ host: {host}, command: \"{line} late idle\" }}, restart: always }}\n"
        ),
    );
    site.home.muster(&["up", "-d", "far"]).ok();
    site.host.namespace().cut().expect("cut");
    let start = site.home.spawn(&["start", "late"]);
    wait_until("the host is missed", || site.home.service("far")["state"] == "lost");
    assert_ne!(site.home.service("late")["state"], "ready");
    site.host.namespace().restore().expect("restored");
    site.home.wait_state("late", "ready");
    drop(start);
    site.home.wait_state("far", "ready");
    for name in ["far", "late"] {
        assert_eq!(site.home.events(name, "start").len(), 1, "`{name}` was started more than once");
        assert_eq!(site.home.service(name)["restarts"], 0);
    }
}

#[test]
fn a_link_that_is_cut_while_much_is_written() {
    let Some(site) = namespaced() else { return };
    let (line, host) = (site.static_line(), site.host.alias());
    site.home.stack(&format!(
        "name: a\nservices:\n  flood: {{ remote: {{ host: {host}, command: \"{line} flood floods {FLOOD} 40\" }}, \
         logs: {{ keep: 1GiB }}, restart: never }}\n"
    ));
    site.home.muster(&["up", "-d"]).ok();
    wait_until("the flood is seen", || {
        site.home.muster(&["logs", "--raw", "-n", "1", "flood"]).stdout.contains("line")
    });
    site.host.namespace().cut().expect("cut");
    site.home.wait_state("flood", "lost");
    site.home.wait_event("flood", "done", 1);
    site.host.namespace().restore().expect("restored");
    wait_until("the last byte is here", || {
        site.home.muster(&["logs", "--raw", "-n", "1", "flood"]).stdout.starts_with("hash ")
    });
    let text = site.home.muster(&["logs", "--raw", "flood"]).expect_code(0).stdout;
    assert_eq!(flood::check_read(text.as_bytes(), "flood", FLOOD), Ok(()));
}

#[test]
fn a_link_that_is_cut_while_stopping() {
    let Some(site) = namespaced() else { return };
    site.home.muster(&["up", "-d"]).ok();
    site.host.namespace().cut().expect("cut");
    let stop = site.home.spawn(&["stop", "far"]);
    wait_until("the host is missed", || site.home.service("far")["state"] == "lost");
    site.host.namespace().restore().expect("restored");
    // the command may have given up; what was wanted has not
    drop(stop);
    site.home.wait_state("far", "stopped");
    assert_eq!(site.host.namespace().sh("ps ax | grep -c '[f]ar idle' || true").expect("the host"), "0");
}

#[test]
fn a_host_that_reboots_runs_its_services_again() {
    let Some(site) = namespaced() else { return };
    site.home.muster(&["up", "-d"]).ok();
    let good = site.home.process("good").expect("it runs");
    site.host.reboot().expect("it comes up");
    site.home.wait_event("far", "start", 2);
    let far = site.home.wait_state("far", "ready");
    assert_eq!(far["restarts"], 1, "{far}");
    assert_eq!(site.home.process("good"), Some(good), "the process here was not touched");
}

#[test]
fn a_shim_that_somebody_removes_is_brought_again() {
    let Some(site) = namespaced() else { return };
    site.home.muster(&["up", "-d"]).ok();
    std::fs::remove_dir_all(site.host.home().join(".cache")).expect("it is there");
    site.home.muster(&["restart", "far"]).ok();
    assert_eq!(site.home.service("far")["state"], "ready");
    assert_eq!(site.home.events("far", "start").len(), 2);
}
