//! Faults of the engine that containers run at: not there, not allowed, gone for a while, out of disk.

use crate::containers::{fails, home_at, id, told};
use crate::small::Small;
use muster_e2e::kit::docker::PrivateDocker;
use muster_e2e::kit::{components, images, shown, skip};
use muster_e2e::{Home, PATIENCE, Site, flood, wait_for, wait_until};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Nobody's user and a group that is not root's: Debian's `nobody` and `users`.
const STRANGERS: (u32, u32) = (65_534, 100);

/// A dockerd of the test's own, or none and a reported skip.
fn private(suite: &str, disk: Option<u64>) -> Option<PrivateDocker> {
    components::docker(suite)?;
    let made = disk.map_or_else(PrivateDocker::start, PrivateDocker::with_disk);
    made.map_err(|error| skip(suite, &error.to_string())).ok()
}

/// Writes zeros until the disk is full.
fn fill(path: &Path) {
    let output = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", path.display())).output();
    let said = String::from_utf8_lossy(&output.expect("dd can be run").stderr).into_owned();
    assert!(said.contains("No space left"), "{said}");
}

/// A container beside a process, and no engine: nothing is started, and `words` are said. The process alone can be.
fn refused(home: &Home, words: &[&str]) {
    home.stack(
        "name: a\nservices:\n  own: { command: WORKER own idle }\n  web: { container: { image: busybox, command: sleep 1000 } }\n",
    );
    let up = home.muster(&["up", "-d"]).expect_code(8);
    for word in words {
        assert!(up.stderr.contains(word), "`{word}` is not said: {}", up.stderr);
    }
    told(&up.stderr);
    assert!(home.marks("own").is_empty(), "nothing was started");
    home.muster(&["up", "-d", "own"]).ok();
    home.muster(&["down"]).ok();
}

#[test]
fn no_engine() {
    let mut home = Home::new();
    home.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let words = ["`web`", "/nonexistent/docker.sock", "is the engine running?"];
    refused(&home, &words);
}

#[test]
fn no_permission_on_the_engines_socket() {
    let mut home = Home::new();
    let socket = home.root().join("engine.sock");
    let _engine = UnixListener::bind(&socket).expect("a socket");
    if chown(&socket, Some(STRANGERS.0), Some(STRANGERS.1)).is_err() {
        return skip("faults-permission", "only root can give a socket away");
    }
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).expect("it is ours to do");
    home.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
    // a daemon for which permissions count, also where the tests run as root
    let bare = home.command(&["status"]);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]);
    command.arg(bare.get_program()).args(["daemon", "run"]).env_clear().current_dir(home.project());
    command.envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let _daemon = home.start(command);
    wait_until("the daemon answers", || home.muster(&["daemon", "status"]).code == 0);
    let words = ["no permission on the engine's socket", "sudo usermod -aG users $USER"];
    refused(&home, &words);
}

#[test]
fn an_engine_that_goes_and_comes_back() {
    let Some(private) = private("faults-engine", None) else { return };
    let home = home_at(&private.engine());
    let container = format!("container: {{ image: \"{}\", init: true, command: sleep 1000 }}", images::BUSYBOX);
    home.stack(&format!(
        "name: a\nservices:\n  web: {{ {container}, restart: always }}\n  own: {{ command: WORKER own idle }}\n"
    ));
    home.muster(&["up", "-d"]).ok();
    let own = home.process("own").expect("it runs");
    private.daemon().stop().expect("it ends");
    let mut line = String::new();
    wait_until("`status` says it", || {
        let status = home.muster(&["status"]).stdout;
        line = status.lines().find(|line| line.contains("web")).unwrap_or_default().to_owned();
        line.contains("engine unreachable since")
    });
    shown(&format!("fault: {line}"));
    private.daemon().start().expect("it is back");
    wait_for("the container runs again", PATIENCE * 2, || {
        let web = home.service("web");
        (web["state"] == "ready"
            && private.engine().container(web["container"].as_str()?).ok()??["State"]["Running"] == true)
            .then_some(())
    });
    assert_eq!(home.process("own"), Some(own), "the process was not touched");
    home.muster(&["down"]).ok();
    let left = private.engine().get("/containers/json?all=true").expect("an answer");
    assert_eq!(left, json!([]), "after `down`");
}

#[test]
fn an_engine_whose_disk_is_full() {
    let Some(private) = private("faults-engine-disk", Some(64 << 20)) else { return };
    let home = home_at(&private.engine());
    let filling = private.daemon().data().join("filling");
    fill(&filling);
    let container = format!("{{ image: \"{}\", command: sleep 1000 }}", images::BUSYBOX);
    fails(&home, &container, &["no space left on the engine's disk", "docker system prune"]);
    fs::remove_file(filling).expect("there is space again");
    home.muster(&["up", "-d"]).ok();
    assert_eq!(home.service("bad")["state"], "ready");
    home.muster(&["down"]).ok();
}

#[test]
fn our_own_disk_is_full_while_a_container_writes() {
    const BYTES: u64 = 4 << 20;
    let small;
    let Some(site) = Site::local("faults-disk") else { return };
    let home = &site.home;
    small = Small::mount(&home.state(), "16m");
    if small.is_none() {
        return skip("faults-disk", "tmpfs cannot be mounted by this user");
    }
    let gate = home.marks_dir().join("gate");
    let waits = format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display());
    home.stack(&format!(
        "name: a\nservices:\n  flood: {{ container: {{ image: \"{}\", pid: host, volumes: [{}], \
         command: {{ shell: \"{waits}; exec {} flood floods {BYTES}\" }} }}, logs: {{ keep: 1GiB }} }}\n",
        images::BUSYBOX,
        site.mounts(),
        site.static_line(),
    ));
    home.muster(&["up", "-d"]).ok();
    let container = id(home, "flood");
    let filling = home.state().join("filling");
    fill(&filling);
    fs::write(gate, "").expect("the gate is open");
    home.wait_event("flood", "done", 1);
    assert!(home.events("flood", "error").is_empty(), "a service never notices");
    let folder = PathBuf::from(home.service("flood")["log_dir"].as_str().expect("a folder"));
    assert!(flood::size(&folder) < BYTES, "the disk was full");
    fs::remove_file(filling).expect("there is space again");
    wait_until("every byte is copied", || flood::check(&folder, "flood", BYTES).is_ok());
    assert_eq!(id(home, "flood"), container, "it was not touched");
    home.muster(&["down"]).ok();
}
