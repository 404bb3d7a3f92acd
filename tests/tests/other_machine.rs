//! A host of another architecture: its agent and its supervisor are programs of that, brought there over ssh as to every
//! other, and here run by an emulator of user programs (qemu-user).
//!
//! The emulator lets no program be a subreaper and no fork be a sibling: that must not matter but where it cannot be helped.

use muster_e2e::binaries::for_hosts;
use muster_e2e::kit::components;
use muster_e2e::kit::host::{Host, Plan};
use muster_e2e::{Home, skip, wait_until};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The machine of an ELF file's header at its offset 18: aarch64 is 183 (elf(5), EM_AARCH64).
const EM_AARCH64: [u8; 2] = [183, 0];
const SUITE: &str = "other-machine";

/// A `muster` with what it brings to aarch64 hosts beside it: scripts that run the real programs in the emulator, as the
/// kernel does where it is told to (binfmt_misc), which is not ours to do.
fn install(folder: &Path, emulator: &Path, home: &mut Home) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let [agent, shim] = for_hosts("aarch64")?;
    for (name, program) in [("muster-agent", agent), ("muster-shim", shim)] {
        let header = fs::read(&program).map_err(told)?;
        assert_eq!(header.get(18..20), Some(&EM_AARCH64[..]), "`{name}` is of this machine");
        let script = folder.join(format!("{name}-aarch64"));
        let text = format!("#!/bin/sh\nexec {} -0 {name} {} \"$@\"\n", emulator.display(), program.display());
        fs::write(&script, text).map_err(told)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).map_err(told)?;
    }
    let own = home.binaries();
    for (from, name) in [(&own.muster, "muster"), (&own.shim, "muster-shim")] {
        fs::copy(from, folder.join(name)).map_err(told)?;
    }
    home.runs(&folder.join("muster"));
    Ok(())
}

#[test]
fn services_run_on_a_host_of_another_architecture() {
    let (Some(emulator), Some(sshd)) = (components::qemu_aarch64(SUITE), components::sshd(SUITE)) else { return };
    let plan = Plan { namespaced: true, machine: Some("aarch64".to_owned()), ..Plan::default() };
    let host = match Host::make(&sshd, plan) {
        Ok(host) => host,
        Err(error) => return skip(SUITE, &error.to_string()),
    };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    let bin = home.root().join("b");
    fs::create_dir(&bin).expect("a folder");
    if let Err(reason) = install(&bin, &emulator, &mut home) {
        return skip(SUITE, &reason);
    }
    let (line, alias) = (home.worker_line(), host.alias());
    home.stack(&format!(
        "name: a\nservices:\n  far: {{ remote: {{ host: {alias}, command: \"{line} far idle\" }}, restart: failure }}\n  \
         tells: {{ remote: {{ host: {alias}, command: [sh, -c, \"echo on $(uname -m); exec {line} tells floods 1000000\"] }} }}\n  \
         task: {{ job: true, remote: {{ host: {alias}, command: [sh, -c, \"echo done; exit 7\"] }} }}\n"
    ));
    let up = home.muster(&["up", "-d"]);
    assert_eq!(up.code, 1, "the task fails: {up:?}");
    let task = home.wait_state("task", "failed");
    assert_eq!(task["exit"], json!({ "code": 7 }), "{task}");

    let tells = home.wait_state("tells", "ready");
    let noted = home.wait_event("tells", "start", 1).process.pid;
    assert_eq!((&tells["pid"], &tells["host"]), (&json!(noted), &json!(alias)), "{tells}");
    wait_until("all of its output is here", || {
        home.muster(&["logs", "--raw", "-n", "1", "tells"]).stdout.starts_with("hash ")
    });
    let text = home.muster(&["logs", "--raw", "tells"]).expect_code(0).stdout;
    let output = text.strip_prefix("on aarch64\n").expect("the host says what it is");
    assert_eq!(muster_e2e::flood::check_read(output.as_bytes(), "tells", 1_000_000), Ok(()));
    println!(
        "an emulated agent and supervisor: {} bytes of log by hash, exit code 7 known, pid {noted} there",
        text.len()
    );

    let exec = home.muster(&["exec", "far", "--", "sh", "-c", "echo from there; exit 3"]).expect_code(3);
    assert_eq!(exec.stdout, "from there\n");

    let daemon = home.daemon().expect("a daemon");
    let far = home.service("far");
    daemon.kill();
    wait_until("the killed daemon is gone", || !daemon.alive());
    assert_eq!(home.wait_state("far", "ready")["pid"], far["pid"], "the next daemon and agent take it back");
    home.muster(&["restart", "far"]).ok();
    assert_eq!(home.events("far", "start").len(), 2);
    assert_eq!(home.events("far", "term").len(), 1);

    home.muster(&["down"]).ok();
    assert_eq!(home.service("far")["exit"], json!({ "code": 0 }));
    let left = host.namespace().sh("ps ax | grep -c '[e]2e-worker' || true").expect("the host");
    assert_eq!(left, "0", "after `down`");
    println!("taken back by the next daemon, restarted, stopped: nothing is left there");
}

#[test]
fn an_architecture_that_nothing_was_built_for() {
    let Some(sshd) = components::sshd(SUITE) else { return };
    let plan = Plan { namespaced: true, machine: Some("riscv64".to_owned()), ..Plan::default() };
    let host = match Host::make(&sshd, plan) {
        Ok(host) => host,
        Err(error) => return skip(SUITE, &error.to_string()),
    };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    home.stack(&format!(
        "name: a\nservices:\n  far: {{ remote: {{ host: {}, command: sleep 1000 }} }}\n",
        host.alias()
    ));
    let up = home.muster(&["up", "-d"]).expect_code(1);
    let said = format!("host `{}` is `Linux riscv64`; services can run on Linux x86_64", host.alias());
    assert!(up.stderr.contains(&said), "{}", up.stderr);
    assert!(up.stderr.contains("next: muster"), "{}", up.stderr);
    let down = home.muster(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
}
