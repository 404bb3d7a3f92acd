//! Hosts with an sshd, as tests of Muster rely on them.

use muster_testkit::host::{Host, Plan};
use muster_testkit::{components, skip};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

/// Namespaces need root.
fn namespaced(suite: &str, plan: impl FnOnce() -> Plan) -> Option<Host> {
    let sshd = components::sshd(suite)?;
    match Host::make(&sshd, Plan { namespaced: true, ..plan() }) {
        Ok(host) => Some(host),
        Err(error) => {
            skip(suite, &error.to_string());
            None
        }
    }
}

fn says(host: &Host, words: &str) -> Output {
    host.ssh().args(["-o", "ConnectTimeout=5", words]).output().expect("ssh can be run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[test]
fn a_loopback_host_takes_its_own_key_and_knows_its_home() {
    let Some(sshd) = components::sshd("testkit-sshd") else { return };
    let host = Host::local(&sshd).expect("it comes up");
    let output = says(&host, "echo $HOME");
    assert_eq!(text(&output.stdout), host.home().display().to_string(), "{output:?}");
    host.refuse_key().expect("a file");
    assert!(text(&says(&host, "true").stderr).contains("Permission denied"));
    host.accept_key().expect("a file");
    host.forget_host_key().expect("a file");
    assert!(text(&says(&host, "true").stderr).contains("Host key verification failed"));
    host.know_host_key().expect("a file");
    host.change_host_key().expect("it comes up");
    assert!(text(&says(&host, "true").stderr).contains("REMOTE HOST IDENTIFICATION HAS CHANGED"));
}

#[test]
fn a_cut_link_drops_and_a_reboot_is_one() {
    let Some(host) = namespaced("testkit-namespaces", Plan::default) else { return };
    assert_eq!(text(&says(&host, "hostname").stdout), host.alias());
    let boot = text(&says(&host, "cat /proc/sys/kernel/random/boot_id").stdout);
    assert_eq!(boot.len(), 36, "{boot}");

    let mut session =
        host.ssh().arg("sleep 1; echo survived").stdout(std::process::Stdio::piped()).spawn().expect("ssh");
    let begun = Instant::now();
    while host.namespace().sh("ps ax | grep -q '[s]leep 1'").is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the session never began");
    }
    host.namespace().cut().expect("cut");
    assert!(text(&says(&host, "true").stderr).contains("timed out"), "packets are dropped, not refused");
    assert!(session.try_wait().expect("a child").is_none(), "an open connection is not reset");
    host.namespace().restore().expect("restored");
    let output = session.wait_with_output().expect("a child");
    assert_eq!(text(&output.stdout), "survived");

    host.namespace().sh("sleep 86400 > /dev/null 2>&1 &").expect("a daemon of the host");
    host.reboot().expect("it comes up");
    assert_ne!(text(&says(&host, "cat /proc/sys/kernel/random/boot_id").stdout), boot);
    assert_eq!(text(&says(&host, "ps ax | grep -c '[s]leep 86400'").stdout), "0");
}

#[test]
fn a_listener_that_is_gone_comes_back_while_sessions_go_on() {
    let Some(host) = namespaced("testkit-namespaces", Plan::default) else { return };
    host.stop_sshd().expect("it ends");
    assert!(text(&says(&host, "true").stderr).contains("refused"));
    host.start_sshd().expect("it listens");
    assert!(says(&host, "true").status.success());
}

#[test]
fn another_machine_and_a_small_disk() {
    let plan = || Plan { machine: Some("riscv64".to_owned()), disk: Some(1 << 20), ..Plan::default() };
    let Some(host) = namespaced("testkit-namespaces", plan) else { return };
    assert_eq!(text(&says(&host, "uname -m").stdout), "riscv64");
    assert_eq!(text(&says(&host, "uname -s").stdout), "Linux");
    let output = says(&host, "head -c 4000000 /dev/zero > ~/big");
    assert!(text(&output.stderr).contains("No space left"), "{output:?}");
}

#[test]
fn nothing_is_left_of_a_host() {
    let Some(host) = namespaced("testkit-namespaces", Plan::default) else { return };
    let (name, folder) = (host.alias().to_owned(), host.folder().to_owned());
    let init = host.namespace().init().expect("it is up");
    drop(host);
    assert!(!folder.exists());
    let link = std::process::Command::new("ip").args(["link", "show", &format!("{name}a")]).output().expect("ip");
    assert!(!link.status.success(), "its link is there still");
    assert!(!Path::new("/proc").join(init.to_string()).exists());
}
