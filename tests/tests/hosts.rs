//! Links to hosts: one for each way of logging in, however many services; and tunnels that lead to what moves.

use muster_e2e::kit::components;
use muster_e2e::kit::host::{Host, Plan};
use muster_e2e::{Home, free_ports, skip, wait_until};
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
        "name: moves\nports: {{ base: {} }}\nservices:\n  db:\n    ports: {{ http: auto }}\n    ready: {{ tcp: http }}\n    \
         process: {{ command: \"{line} db peer 127.0.0.1 ${{port.http}}\" }}\n    \
         remote: {{ host: {other}, command: \"{line} db peer 127.0.0.1 ${{port.http}}\" }}\n  \
         asker:\n    remote: {{ host: {asker}, command: \"{line} asker idle\" }}\n    needs: [db]\n    \
         env: {{ AT: \"${{services.db.addr.http}}\" }}\n",
        free_ports(10),
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

/// Who keeps the connection to a host: Muster's own ssh.
fn master(home: &Home) -> Option<muster_e2e::Process> {
    home.processes().into_iter().find(|process| process.command_line().contains(" -M -N "))
}

#[test]
fn a_running_consumer_reaches_a_host_again_after_daemon_and_link_died() {
    let Some(host) = host() else { return };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    let (line, alias, calls) = (home.worker_line(), host.alias(), home.project().join("calls"));
    let asks = |name: &str| {
        format!("while :; do {line} {name}.ask ask $AT /hello/x && echo {name} ok || echo {name} no; sleep 0.05; done")
    };
    home.stack(&format!(
        "name: again\nports: {{ base: {} }}\nservices:\n  there:\n    remote: {{ host: {alias}, command: \"{line} there peer 127.0.0.1 ${{port.http}}\" }}\n    \
         ports: {{ http: auto }}\n    ready: {{ tcp: http }}\n  \
         here:\n    command: \"{line} here peer 127.0.0.1 ${{port.http}}\"\n    ports: {{ http: auto }}\n    ready: {{ tcp: http }}\n  \
         near:\n    process: {{ command: [sh, -c, '{} >> {calls}'] }}\n    needs: [there]\n    env: {{ AT: \"${{services.there.addr.http}}\" }}\n  \
         far:\n    remote: {{ host: {alias}, command: [sh, -c, '{} >> {calls}'] }}\n    needs: [here]\n    env: {{ AT: \"${{services.here.addr.http}}\" }}\n",
        free_ports(10),
        asks("near"),
        asks("far"),
        calls = calls.display(),
    ));
    let count = |what: &str| {
        let text = std::fs::read_to_string(&calls).unwrap_or_default();
        text.lines().filter(|line| *line == what).count()
    };
    let more = |what: &str| {
        let before = count(what);
        wait_until(what, || count(what) > before + 2);
    };
    let kill = |process: muster_e2e::Process| {
        process.kill();
        wait_until("it is gone", || !process.alive());
    };
    let pids = || ["near", "far", "here", "there"].map(|name| home.service(name)["pid"].clone());
    home.muster(&["up", "-d"]).ok();
    let before = pids();
    more("near ok");
    more("far ok");

    let failed = count("near no") + count("far no");
    kill(home.daemon().expect("a daemon"));
    more("near ok");
    more("far ok");
    assert_eq!(home.service("there")["state"], "ready", "the next daemon has taken it back");
    more("near ok");
    more("far ok");
    assert_eq!(count("near no") + count("far no"), failed, "no call noticed the daemon's death");

    kill(home.daemon().expect("a daemon"));
    kill(master(&home).expect("a link"));
    more("near no");
    more("far no");
    let begun = Instant::now();
    let _started = home.status(&[]);
    more("near ok");
    more("far ok");
    println!(
        "with daemon and link dead, calls in both ways succeed {:.1} s after the next command",
        begun.elapsed().as_secs_f64()
    );

    // the host does not know that the link is dead, and holds its end of the tunnel
    host.namespace().cut().expect("packets are dropped");
    kill(home.daemon().expect("a daemon"));
    kill(master(&home).expect("a link"));
    more("near no");
    host.namespace().restore().expect("packets pass");
    let begun = Instant::now();
    let _started = home.status(&[]);
    more("near ok");
    more("far ok");
    println!("after a cut, {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(pids(), before, "nobody was started again");
    home.muster(&["down"]).ok();
    assert_eq!((logins(&host), master(&home)), (0, None));
}

#[test]
fn data_on_a_host_stays_until_it_is_to_go() {
    let Some(host) = host() else { return };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    let (line, alias) = (home.worker_line(), host.alias());
    let words = format!("echo kept > ${{dir.data}}/file; echo > ${{dir.run}}/socket; exec {line} keeps idle");
    let keeps = format!("keeps: {{ remote: {{ host: {alias}, command: [sh, -c, \"{words}\"] }} }}");
    let other = format!("other: {{ remote: {{ host: {alias}, command: \"{line} other idle\" }} }}");
    home.stack(&format!("name: data\nservices:\n  {keeps}\n  {other}\n"));
    // `/var/tmp` of the host, as it is seen here
    let files = || {
        let found = host.namespace().sh("cd /var/tmp; find . -type f | sort").expect("the host");
        found.lines().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    home.muster(&["up", "-d"]).ok();
    home.wait_event("keeps", "start", 1);
    assert_eq!(files(), ["file", "socket"]);
    home.muster(&["down"]).ok();
    assert_eq!(files(), ["file"], "what it had while it ran is gone");

    // the stack does not name it any more, and another daemon is asked
    home.stack(&format!("name: data\nservices:\n  {other}\n"));
    home.muster(&["up", "-d"]).ok();
    home.muster(&["down"]).ok();
    home.muster(&["daemon", "stop"]).ok();
    host.stop_sshd().expect("sshd ends");
    let failed = home.muster(&["down", "--data"]).expect_code(1);
    assert!(failed.stderr.contains("cannot remove all data") && failed.stderr.contains(alias), "{failed:?}");
    host.start_sshd().expect("sshd starts again");
    let done = home.muster(&["down", "--data"]).expect_code(0);
    assert!(done.stderr.contains(&format!("on host `{alias}`")), "{done:?}");
    assert_eq!(host.namespace().sh("ls /var/tmp").expect("the host"), "");
    assert_eq!((logins(&host), master(&home)), (0, None));
    let again = home.muster(&["down", "--data"]).expect_code(0);
    assert!(!again.stderr.contains(alias), "nothing is left there: {again:?}");
}

/// A port there that somebody else listens on.
const TAKEN: &str = "8080";

/// `first` is given a port there and listens on none; `other`, which was given none, listens on it. Also a service whose port
/// is its own.
fn at_one_port(home: &Home, host: &str) {
    let line = home.worker_line();
    let far = |command: &str| format!("remote: {{ host: {host}, command: \"{line} {command}\" }}");
    home.stack(&format!(
        "name: ports\nports: {{ base: {} }}\nservices:\n  first: {{ {}, ports: {{ http: {TAKEN} }}, restart: never }}\n  \
         other: {{ {} }}\n  own: {{ {}, ports: {{ http: auto }} }}\n",
        free_ports(10),
        far("first idle"),
        far(&format!("other serve {TAKEN}")),
        far("own serve ${port.http}"),
    ));
}

#[test]
fn a_taken_port_on_a_host_is_told_before_the_start() {
    let Some(host) = host() else { return };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    at_one_port(&home, host.alias());
    home.muster(&["up", "-d", "other", "own"]).ok();
    let pid = home.wait_event("other", "listens", 1).process.pid;
    let up = home.muster(&["up", "-d", "first"]).expect_code(1);
    let told = format!("port {TAKEN} (http) on host `{}` is taken by pid {pid} (e2e-worker)", host.alias());
    assert!(up.stderr.contains(&told), "{}", up.stderr);
    assert!(home.events("first", "start").is_empty(), "it never ran");
    home.muster(&["stop", "other"]).ok();
    let _not_ready = home.muster(&["up", "-d", "--timeout", "1s", "first"]);
    home.wait_event("first", "start", 1);
    home.muster(&["down"]).ok();
}

#[test]
fn a_port_on_a_host_that_a_stranger_listens_on_does_not_make_ready() {
    let Some(host) = host() else { return };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    at_one_port(&home, host.alias());
    let up = home.spawn(&["up", "-d", "first"]);
    home.wait_event("first", "start", 1);
    home.muster(&["up", "-d", "other", "own"]).ok();
    let pid = home.wait_event("other", "listens", 1).process.pid;
    let told =
        format!("port {TAKEN} on host `{}` is held by pid {pid} (e2e-worker), not by this service", host.alias());
    wait_until("the stranger is named", || home.muster(&["why", "first"]).stdout.contains(&told));
    assert_eq!(home.service("first")["ready"], false, "{}", home.service("first"));
    assert_eq!(home.service("own")["state"], "ready", "what listens itself is");
    home.muster(&["down"]).ok();
    drop(up);
}

#[test]
fn logs_on_a_host_go_with_their_environment() {
    let Some(host) = host() else { return };
    let mut home = Home::new();
    home.set("MUSTER_SSH_CONFIG", &host.config().display().to_string());
    let (line, alias) = (home.worker_line(), host.alias());
    let words = format!("echo > ${{dir.data}}/data; echo > ${{dir.logs}}/own.log; exec {line} logs idle");
    home.stack(&format!(
        "name: logs\nservices:\n  logs: {{ remote: {{ host: {alias}, command: [sh, -c, \"{words}\"] }} }}\n"
    ));
    let files = || {
        let found = host.namespace().sh("cd /var/tmp; find . -type f | sort").expect("the host");
        found.lines().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    // the folders of environments that have run there
    let environments = || {
        let state = format!("cd {}/.local/state/muster-remote; ls -d */state/*/ || true", host.home().display());
        host.namespace().sh(&state).expect("the host").lines().count()
    };
    home.muster(&["up", "-d"]).ok();
    home.wait_event("logs", "start", 1);
    home.muster(&["down"]).ok();
    assert_eq!((files(), environments()), (vec!["data".to_owned(), "own.log".to_owned()], 1));
    // another daemon is asked
    home.muster(&["daemon", "stop"]).ok();
    home.muster(&["env", "rm", "local"]).ok();
    assert_eq!((files(), environments()), (vec!["data".to_owned()], 0), "as on this machine, data stays");
    assert_eq!((logins(&host), master(&home)), (0, None));

    home.muster(&["up", "-d"]).ok();
    home.wait_event("logs", "start", 2);
    home.muster(&["down"]).ok();
    host.stop_sshd().expect("sshd ends");
    let failed = home.muster(&["env", "rm", "local"]).expect_code(1);
    let told = ["is removed, but not all its logs on other hosts", alias, "/logs/local-"];
    assert!(told.iter().all(|word| failed.stderr.contains(word)), "{failed:?}");
    let known = home.muster(&["env", "list"]).expect_code(0).stdout;
    assert!(!known.contains("local-"), "a host that is gone keeps no environment: {known}");
}
