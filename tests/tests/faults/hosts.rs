//! Faults of other hosts and of the way there: each is told with what to do, and nothing is lost by it.

use muster_e2e::kit::components;
use muster_e2e::kit::host::Plan;
use muster_e2e::{Site, wait_until};
use serde_json::Value;

fn site(plan: Plan) -> Option<Site> {
    let site = Site::of("faults-host", components::docker("faults-host")?, plan)?;
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
fn an_architecture_without_a_shim() {
    let Some(site) = site(Plan { namespaced: true, machine: Some("riscv64".to_owned()), ..Plan::default() }) else {
        return;
    };
    fails(&site, &["far", "riscv64"]);
}

#[test]
fn a_full_disk_there() {
    let Some(site) = site(Plan { namespaced: true, disk: Some(64 << 10), ..Plan::default() }) else { return };
    fails(&site, &["far", "full"]);
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
