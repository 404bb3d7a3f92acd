//! Links to hosts: one for each way of logging in, however many services; and tunnels that lead to what moves.

use muster_e2e::kit::components;
use muster_e2e::kit::host::{Host, Plan};
use muster_e2e::{Home, skip, wait_until};
use std::fmt::Write as _;
use std::time::Instant;

const SUITE: &str = "hosts";
/// Services on one host.
const MANY: usize = 50;
/// Commands at the same time: more than sshd's MaxSessions of 10.
const COMMANDS: usize = 15;

fn host() -> Option<Host> {
    let sshd = components::sshd(SUITE)?;
    Host::make(&sshd, Plan { namespaced: true, ..Plan::default() })
        .map_err(|error| skip(SUITE, &error.to_string()))
        .ok()
}

/// Logins that a host has now, as it sees them.
fn logins(host: &Host) -> usize {
    let lines = host.namespace().sh("ps ax -o args | grep '^sshd: root@' || true").expect("the host");
    lines.lines().count()
}

#[test]
fn fifty_services_on_one_host_need_one_login() {
    let Some(host) = host() else { return };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    let (line, alias) = (home.worker_line(), host.alias());
    let mut text = format!("name: many\nports: {{ block: {} }}\nservices:\n", MANY * 3);
    for number in 0..MANY {
        let _ = writeln!(
            text,
            "  s{number}: {{ remote: {{ host: {alias}, command: \"{line} s{number} serve ${{port.http}}\" }}, \
             ports: {{ http: auto }}, ready: {{ tcp: http }} }}"
        );
    }
    home.stack(&text);
    let begun = Instant::now();
    home.muster(&["up", "-d"]).ok();
    println!("{MANY} services with a port and a tunnel each are ready after {:.1} s", begun.elapsed().as_secs_f64());
    assert!(home.status(&[]).iter().all(|service| service["state"] == "ready"));
    assert_eq!(logins(&host), 1, "one connection");

    let commands: Vec<_> =
        (0..COMMANDS).map(|n| home.spawn(&["exec", &format!("s{n}"), "--", "sh", "-c", "sleep 1; echo $$"])).collect();
    wait_until("all commands run", || {
        let running = host.namespace().sh("ps ax -o args | grep -c '^sleep 1$' || true").expect("the host");
        running.parse().is_ok_and(|count: usize| count == COMMANDS)
    });
    assert_eq!(logins(&host), 1, "commands need none of their own");
    for command in commands {
        let _ = command.wait().expect_code(0);
    }
    println!("{COMMANDS} commands at the same time, and still {} login", logins(&host));
    home.muster(&["down"]).ok();
    wait_until("the link is gone", || logins(&host) == 0);
    let log = std::fs::read_to_string(host.folder().join("sshd.log")).unwrap_or_default();
    for refused in ["no more sessions", "drop connection", "MaxStartups"] {
        assert!(!log.contains(refused), "{log}");
    }
}

#[test]
fn who_logs_in_otherwise_has_a_link_of_its_own() {
    let Some(host) = host() else { return };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    let (line, alias) = (home.worker_line(), host.alias());
    home.stack(&format!(
        "name: two\nenvironments:\n  other: {{}}\nservices:\n  far: {{ remote: {{ host: {alias}, \
         command: \"{line} far-${{env.name}} idle\" }} }}\n"
    ));
    let agent = |name: &str| home.root().join(name).display().to_string();
    let (one, two) = (agent("agent-one"), agent("agent-two"));
    home.muster_with(&["up", "-d"], &[("SSH_AUTH_SOCK", &one), ("DOCKER_HOST", "unix:///nowhere")]).ok();
    assert_eq!(logins(&host), 1);
    home.muster_with(&["up", "-d", "--env", "other"], &[("SSH_AUTH_SOCK", &two)]).ok();
    assert_eq!(logins(&host), 2, "other keys are another login");
    let before = home.service("far");
    home.muster(&["down", "--env", "other"]).ok();
    wait_until("its link is gone", || logins(&host) == 1);
    let after = home.service("far");
    assert_eq!((&after["state"], &after["pid"]), (&before["state"], &before["pid"]), "the other one's is not touched");
    // another shell: the link of before goes as well when the environment is down
    home.muster_with(&["up", "-d"], &[("SSH_AUTH_SOCK", &two)]).ok();
    home.muster(&["down"]).ok();
    wait_until("no link is left", || logins(&host) == 0);
}

#[test]
fn a_running_consumer_reaches_what_moved_to_another_host() {
    let (Some(near), Some(far)) = (host(), host()) else { return };
    let mut home = Home::new();
    let config = home.root().join("ssh_config");
    Host::write_config(&config, &[&near, &far]).expect("a file");
    home.set("MUSTER_SSH_CONFIG", &config.display().to_string());
    let line = home.worker_line();
    let (asker, other) = (near.alias(), far.alias());
    home.stack(&format!(
        "name: moves\nservices:\n  db:\n    ports: {{ http: auto }}\n    ready: {{ tcp: http }}\n    \
         process: {{ command: \"{line} db peer 127.0.0.1 ${{port.http}}\" }}\n    \
         remote: {{ host: {other}, command: \"{line} db peer 127.0.0.1 ${{port.http}}\" }}\n  \
         asker:\n    remote: {{ host: {asker}, command: \"{line} asker idle\" }}\n    needs: [db]\n    \
         env: {{ AT: \"${{services.db.addr.http}}\" }}\n"
    ));
    let ask = |nonce: &str| {
        let words = format!("{line} asker.ask ask $AT /hello/{nonce}");
        home.muster(&["exec", "asker", "--", "sh", "-c", &words]).stdout
    };
    home.muster(&["up", "-d"]).ok();
    let before = home.service("asker");
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    assert!(ask("n1").contains(&format!("db n1 {}", here.trim())), "{}", ask("n1"));

    home.muster(&["up", "-d", "--runtime", "db=remote"]).ok();
    wait_until("the tunnel leads there", || ask("n2").contains(&format!("db n2 {other}")));
    assert_eq!(home.service("asker")["pid"], before["pid"], "its address holds: it is not started again");

    home.muster(&["up", "-d", "--runtime", "db=process"]).ok();
    wait_until("the tunnel leads back", || ask("n3").contains(&format!("db n3 {}", here.trim())));
    assert_eq!(home.service("asker")["pid"], before["pid"]);
    assert_eq!(home.events("asker", "start").len(), 1);
    println!("a consumer on one host reached what moved to another and back, as pid {} all the time", before["pid"]);
    home.muster(&["down"]).ok();
    assert_eq!((logins(&near), logins(&far)), (0, 0));
}
