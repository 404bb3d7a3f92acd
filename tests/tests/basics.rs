//! What a user does every day: up, look, down, and the truth in every exit code.

use muster_e2e::{Home, PATIENCE, wait_for, wait_until};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn up_status_logs_down() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web says hello }\n");
    home.muster(&["up", "-d"]).ok();
    let web = home.service("web");
    assert_eq!(
        (&web["state"], &web["ready"], &web["wanted"], &web["runtime"]),
        (&json!("ready"), &json!(true), &json!("up"), &json!("process")),
        "{web}"
    );
    let logs = home.muster(&["logs", "--raw", "web"]).expect_code(0);
    assert_eq!(logs.stdout, "hello\n");
    let process = home.process("web").expect("it runs");
    home.muster(&["down"]).ok();
    assert!(!process.alive());
    let web = home.service("web");
    assert_eq!((&web["state"], &web["pid"]), (&json!("stopped"), &json!(null)), "{web}");
    let logs = home.muster(&["logs", "--raw", "web"]).expect_code(0);
    assert_eq!(logs.stdout, "hello\n", "logs stay after `down`");
}

#[test]
fn up_again_leaves_what_did_not_change() {
    let home = Home::new();
    let stack = |word: &str| {
        format!(
            "name: a\nservices:\n  same: {{ command: WORKER same idle }}\n  other: {{ command: WORKER other says {word} }}\n"
        )
    };
    home.stack(&stack("one"));
    home.muster(&["plan", "--exit-code"]).expect_code(6).stdout.contains("start").then_some(()).expect("start");
    home.muster(&["up", "-d"]).ok();
    home.muster(&["plan", "--exit-code"]).ok();
    let (same, other) = (home.process("same"), home.process("other"));
    home.stack(&stack("two"));
    let plan = home.muster(&["plan", "--exit-code", "--json"]).expect_code(6).json();
    let changes = plan["changes"].as_array().expect("a list");
    let of = |name: &str| changes.iter().find(|change| change["service"] == name).expect("an entry");
    assert_eq!(of("same")["action"], "none", "{plan}");
    assert_eq!(of("other")["action"], "restart", "{plan}");
    assert!(of("other")["reasons"][0]["field"].as_str().is_some_and(|field| field.contains("command")), "{plan}");
    home.muster(&["up", "-d"]).ok();
    assert_eq!(home.process("same"), same);
    assert_ne!(home.process("other"), other);
    assert_eq!(home.muster(&["logs", "--raw", "-n1", "other"]).stdout, "two\n");
}

#[test]
fn what_was_brought_up_here_needs_no_file_to_be_found() {
    let home = Home::new();
    home.write("Procfile", "clock: WORKER clock idle\n");
    home.muster(&["up", "-d", "-f", "Procfile"]).ok();
    let clock = home.process("clock").expect("`status` names no file");
    assert!(clock.alive());
    home.muster(&["down"]).ok();
    assert_eq!(home.workers_alive(), []);
    home.muster(&["status", "--env", "other"]).expect_code(3);
}

#[test]
fn jobs_are_done_before_what_needs_them() {
    let home = Home::new();
    home.stack(
        "name: a\nservices:\n  web: { command: WORKER web idle, needs: { api: ready } }\n  api: { command: WORKER api notify 200, ready: { notify: true }, needs: { db: ready, migrate: done } }\n  migrate: { job: true, command: WORKER migrate exits-after 150, needs: { db: ready } }\n  db: { command: WORKER db idle }\n",
    );
    home.muster(&["up", "-d"]).ok();
    let at = |name: &str, event: &str| home.wait_event(name, event, 1).at_ns;
    assert!(at("db", "start") < at("migrate", "start"));
    assert!(at("migrate", "end") < at("api", "start"));
    assert!(at("api", "notified") < at("web", "start"));
    assert_eq!(home.service("migrate")["state"], "done");
    home.muster(&["down"]).ok();
    assert!(at("web", "term") < at("api", "term") && at("api", "term") < at("db", "term"), "stopped in reverse order");
}

#[test]
fn a_failed_job_fails_the_up_and_is_the_root_cause() {
    let home = Home::new();
    home.stack(
        "name: a\nservices:\n  side: { command: WORKER side idle }\n  seed: { job: true, command: WORKER seed fails 4 0 }\n  api: { command: WORKER api idle, needs: { seed: done } }\n",
    );
    let up = home.muster(&["up", "-d"]).expect_code(1);
    assert!(up.stderr.contains("seed") && up.stderr.contains("code 4"), "{}", up.stderr);
    assert_eq!(home.service("side")["state"], "ready", "what is healthy is kept");
    assert_eq!(home.service("seed")["exit"], json!({"code": 4}));
    let api = home.service("api");
    assert_eq!(api["state"], "waiting", "{api}");
    let why = home.muster(&["why", "api"]).expect_code(0).stdout;
    assert!(why.contains("seed") && why.contains("code 4"), "{why}");
    assert!(home.events("api", "start").is_empty());
}

#[test]
fn restarts_follow_the_policy() {
    let home = Home::new();
    home.stack(
        "name: a\nservices:\n  once: { command: WORKER once fails-once, restart: failure }\n  never: { command: WORKER never fails 3 0, restart: never }\n  always: { command: WORKER always fails 5 0, restart: { on: always, backoff: 5ms..10ms, limit: 3 per 60s } }\n",
    );
    // without a probe alive is ready: it is open whether they end before `up` has seen all of them alive
    let up = home.muster(&["up", "-d"]);
    assert!([0, 1].contains(&up.code), "{up:?}");
    home.wait_event("once", "start", 2);
    home.wait_service("once", "restarted once", |once| once["state"] == "ready" && once["restarts"] == 1);
    let never = home.wait_state("never", "exited");
    assert_eq!((&never["exit"], &never["restarts"]), (&json!({"code": 3}), &json!(0)), "{never}");
    let always = home.wait_state("always", "failed");
    assert_eq!(always["exit"], json!({"code": 5}), "{always}");
    assert_eq!(home.events("always", "start").len(), 4, "a start and three restarts");
    let why = home.muster(&["why", "always"]).expect_code(0).stdout;
    assert!(why.contains("given up after 3 restarts"), "{why}");
    // `start` tries again
    home.muster(&["start", "always", "--no-wait"]).ok();
    home.wait_event("always", "start", 5);
}

#[test]
fn a_stop_that_others_need_wants_force() {
    let home = Home::new();
    home.stack(
        "name: a\nservices:\n  db: { command: WORKER db idle }\n  api: { command: WORKER api idle, needs: [db] }\n",
    );
    home.muster(&["up", "-d"]).ok();
    let refused = home.muster(&["stop", "db", "--json"]);
    assert_ne!(refused.code, 0);
    let error = refused.error();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("api")), "{error}");
    assert!(error["help"].as_str().is_some_and(|text| text.contains("--force")), "{error}");
    assert_eq!(home.service("db")["state"], "ready");
    home.muster(&["stop", "db", "--force"]).ok();
    assert_eq!(home.service("db")["state"], "stopped");
}

#[test]
fn restart_makes_a_new_run() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web says hello }\n");
    home.muster(&["up", "-d"]).ok();
    let before = home.process("web").expect("it runs");
    let mut follow = home.spawn(&["logs", "-f", "--raw", "web"]);
    wait_until("the first line", || follow.so_far().stdout == "hello\n");
    home.muster(&["restart", "web"]).ok();
    let after = home.process("web").expect("it runs");
    assert!(before != after && !before.alive());
    wait_until("the line of the second run", || follow.so_far().stdout == "hello\nhello\n");
    assert!(!follow.ended());
    let previous = home.muster(&["logs", "--raw", "--previous", "web"]).expect_code(0);
    assert_eq!(previous.stdout, "hello\n");
}

#[test]
fn an_interrupt_stops_in_order() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  db: { command: WORKER db idle }\n  api: { command: WORKER api dies-late 200, needs: [db] }\n");
    let up = home.spawn(&["up"]);
    home.wait_event("api", "start", 1);
    home.wait_state("api", "ready");
    up.signal(Signal::INT);
    let up = up.wait().expect_code(130);
    assert!(up.stderr.contains("ctrl-C again"), "{}", up.stderr);
    assert_eq!(home.workers_alive(), []);
    assert!(home.wait_event("api", "late", 1).at_ns < home.wait_event("db", "term", 1).at_ns);
}

#[test]
fn a_second_interrupt_kills() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  stubborn: { command: WORKER stubborn ignores-term, stop: { grace: 10m } }\n");
    let up = home.spawn(&["up"]);
    home.wait_state("stubborn", "ready");
    up.signal(Signal::INT);
    home.wait_event("stubborn", "term", 1);
    home.wait_state("stubborn", "stopping");
    up.signal(Signal::INT);
    let _ = up.wait().expect_code(130);
    assert_eq!(home.workers_alive(), []);
}

#[test]
fn an_attached_up_ends_by_itself_with_the_truth() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  good: { job: true, command: WORKER good exits-after 10 }\n  bad: { job: true, command: WORKER bad fails 9 20 }\n");
    let up = home.muster(&["up"]).expect_code(1);
    assert!(up.stderr.contains("bad"), "{}", up.stderr);
    home.muster(&["up", "good"]).ok();
}

#[test]
fn exec_and_run_pass_codes_on() {
    let home = Home::new();
    home.stack(
        "name: a\nservices:\n  web: { command: \"WORKER web serve ${port.http} 0\", ports: { http: PORT }, env: { PORT: \"${port.http}\", COLOUR: blue } }\n",
    );
    home.muster(&["up", "-d"]).ok();
    let port = home.service("web")["ports"]["http"].to_string();
    let exec = |words: &[&str]| home.muster(&[&["exec", "web", "--"], words].concat());
    assert_eq!(exec(&["sh", "-c", "echo $COLOUR; exit 7"]).expect_code(7).stdout, "blue\n");
    assert_eq!(exec(&["sh", "-c", "echo to-stderr >&2"]).expect_code(0).stderr, "to-stderr\n");
    exec(&["no-such-program"]).expect_code(127);
    exec(&["/etc/passwd"]).expect_code(126);
    exec(&["sh", "-c", "kill -9 $$"]).expect_code(137);
    home.muster(&["exec", "nobody", "--", "true"]).expect_code(125);
    let run = |words: &[&str]| home.muster(&[&["run", "web", "--"], words].concat());
    assert_eq!(run(&["sh", "-c", "echo $PORT; exit 5"]).expect_code(5).stdout, format!("{port}\n"));
    run(&["no-such-program"]).expect_code(127);
    run(&["/etc/passwd"]).expect_code(126);
    home.muster(&["run", "nobody", "--", "true"]).expect_code(125);
    assert_eq!(home.service("web")["state"], "ready", "and the service does not notice");
}

#[test]
fn health_asks_now() {
    let home = Home::new();
    home.stack(
        "name: a\nservices:\n  web: { command: \"WORKER web serve ${port.http} 0\", ports: { http: PORT }, ready: { http: \"${addr.http}/\" } }\n  gate: { command: WORKER gate idle, ready: { file: open } }\n",
    );
    home.write("open", "");
    home.muster(&["up", "-d"]).ok();
    home.muster(&["health"]).ok();
    std::fs::remove_file(home.project().join("open")).expect("it was there");
    let health = home.muster(&["health", "--json"]).expect_code(6).json();
    let of = |name: &str| {
        health["services"]
            .as_array()
            .and_then(|list| list.iter().find(|s| s["name"] == name).cloned())
            .expect("an entry")
    };
    assert_eq!(
        (&health["ok"], &of("web")["ok"], &of("gate")["ok"]),
        (&json!(false), &json!(true), &json!(false)),
        "{health}"
    );
    home.muster(&["health", "web"]).ok();
}

#[test]
fn what_does_not_exist_is_said() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web idle }\n");
    home.muster(&["up", "-d"]).ok();
    for command in ["status", "why", "logs", "restart", "start", "health"] {
        let error = home.muster(&[command, "wbe", "--json"]).expect_code(4).error();
        let text = format!("{} {}", error["message"], error["help"]);
        assert!(text.contains("wbe") && text.contains("web"), "{command}: {error}");
    }
    home.muster(&["no-such-command"]).expect_code(2);
    home.muster(&["down", "--no-such-option"]).expect_code(2);
}

#[test]
fn words_that_are_not_understood_are_a_document_as_well() {
    let home = Home::new();
    let wrong: [(&[&str], &str, &str); 4] = [
        (&["--json", "statsu"], "unrecognized subcommand 'statsu'", "'status'"),
        (&["down", "--no-such-option", "--json"], "unexpected argument '--no-such-option' found", "Usage: muster down"),
        (&["--json", "logs", "-n", "many"], "invalid value 'many' for '--tail", "muster help"),
        (&["--json"], "a command is missing", "muster help"),
    ];
    for (words, message, help) in wrong {
        let output = home.muster(words).expect_code(2);
        assert_eq!(output.stdout, "", "standard output carries only answers");
        let error = output.error();
        assert_eq!((&error["schema"], &error["code"]), (&json!("muster.error.v1"), &json!("cli::usage")), "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.starts_with(message)), "{error}");
        assert!(error["help"].as_str().is_some_and(|text| text.contains(help)), "{error}");
    }
    // behind `--` the words are not ours
    let output = home.muster(&["exec", "--no-such-option", "web", "--", "true", "--json"]).expect_code(2);
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
}

#[test]
fn a_timeout_is_code_5_and_leaves_what_was_started() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  slow: { command: WORKER slow idle, ready: { file: never } }\n");
    let up = home.muster(&["up", "-d", "--timeout", "300ms"]).expect_code(5);
    assert!(up.stderr.contains("muster why"), "{}", up.stderr);
    assert_eq!(home.service("slow")["state"], "running");
    home.muster(&["down"]).ok();
    assert_eq!(home.workers_alive(), []);
}

#[test]
fn eight_environments_share_nothing() {
    const COUNT: usize = 8;
    let home = Home::new();
    let stack = "name: a\nservices:\n  web: { command: \"WORKER ${env.name} serve ${port.http} 0\", ports: { http: +1 }, ready: { http: \"${addr.http}/\" } }\n  tells: { command: \"WORKER t-${env.name} says ${env.name} ${services.web.port.http} ${dir.data}\" }\n";
    home.stack(stack);
    let names: Vec<String> = (0..COUNT).map(|k| format!("e{k}")).collect();
    let ups: Vec<_> = names.iter().map(|name| home.spawn(&["--env", name, "up", "-d"])).collect();
    for up in ups {
        up.wait().ok();
    }
    let mut seen: Vec<(String, String, String)> = Vec::new();
    for name in &names {
        let status = home.muster(&["--env", name, "status", "--json", "web"]).expect_code(0).json();
        let web = &status["services"][0];
        let said = home.muster(&["--env", name, "logs", "--raw", "tells"]).expect_code(0).stdout;
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(words[..2], [name.as_str(), web["ports"]["http"].to_string().as_str()]);
        seen.push((web["ports"]["http"].to_string(), words[2].to_owned(), web["log_dir"].to_string()));
    }
    for (at, one) in seen.iter().enumerate() {
        for other in &seen[at + 1..] {
            assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2, "{one:?} and {other:?}");
        }
    }
    // one going down touches none of the others
    home.muster(&["--env", "e3", "down"]).ok();
    let alive = home.workers_alive();
    assert_eq!(alive.len(), (COUNT - 1) * 2, "{alive:?}");
    let downs: Vec<_> = names.iter().map(|name| home.spawn(&["--env", name, "down"])).collect();
    for down in downs {
        down.wait().ok();
    }
    assert_eq!(home.workers_alive(), []);
}

#[test]
fn down_ends_what_forked_away() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  fork: { command: WORKER fork forks-away }\n");
    home.muster(&["up", "-d"]).ok();
    let away = home.wait_event("fork.away", "start", 1).process;
    assert!(away.alive());
    home.muster(&["down"]).ok();
    assert!(!away.alive(), "a descendant in a session of its own");
    assert_eq!(home.workers_alive(), []);
}

#[test]
fn an_idle_daemon_ends_and_comes_back() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web idle }\n");
    home.muster_with(&["up", "-d"], &[("MUSTER_IDLE_S", "0.1")]).ok();
    let daemon = home.daemon().expect("it runs");
    home.muster(&["down"]).ok();
    wait_until("the daemon ends", || !daemon.alive());
    assert_eq!(home.processes(), []);
    assert_eq!(home.service("web")["state"], "stopped", "the next one knows what was");
    home.muster(&["up", "-d"]).ok();
}

#[test]
fn a_daemon_that_ends_leaves_services_alone() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web idle }\n  db: { command: WORKER db idle }\n");
    home.muster(&["up", "-d"]).ok();
    let before = (home.process("web"), home.process("db"));
    let refused = home.muster(&["daemon", "stop", "--json"]).expect_code(2).error();
    assert!(refused["help"].as_str().is_some_and(|text| text.contains("--keep")), "{refused}");
    let daemon = home.daemon().expect("it runs");
    home.muster(&["daemon", "stop", "--keep"]).ok();
    wait_until("the daemon ends", || !daemon.alive());
    home.muster(&["daemon", "status"]).expect_code(7);
    assert_eq!(home.workers_alive().len(), 2);
    home.wait_state("web", "ready");
    assert_eq!((home.process("web"), home.process("db")), before);
    assert_eq!(home.muster(&["plan", "--exit-code"]).code, 0, "nothing is due after adoption");
}

#[test]
fn a_daemon_is_replaced_under_running_services() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web idle }\n  db: { command: WORKER db idle }\n");
    home.muster(&["up", "-d"]).ok();
    let before = (home.process("web"), home.process("db"));
    let mut follow = home.spawn(&["logs", "-f", "--raw"]);
    // the same binary is nothing to do, a copy of it is another build
    home.muster(&["daemon", "upgrade"]).ok();
    let copy = home.root().join("muster-2");
    std::fs::copy(&home.binaries().muster, &copy).expect("a copy");
    let upgraded = home.muster(&["daemon", "upgrade", "--json", &copy.display().to_string()]).expect_code(0).json();
    assert_eq!(upgraded["pid"], json!(home.daemon().expect("it runs").pid));
    home.wait_state("web", "ready");
    assert_eq!((home.process("web"), home.process("db")), before);
    // what is no muster is refused, and the daemon goes on
    home.muster(&["daemon", "upgrade", "/bin/true"]).expect_code(7);
    assert_eq!(home.service("web")["state"], "ready");
    let _ = follow.ended();
    home.muster(&["down"]).ok();
    assert_eq!(home.workers_alive(), []);
}

#[test]
fn replicas_are_instances_of_their_own() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { shell: \"exec WORKER web-$$$$ idle\", replicas: 3 }\n");
    home.muster(&["up", "-d"]).ok();
    wait_until("three of them", || home.workers_alive().len() == 3);
    assert_eq!(home.status(&["web"]).len(), 3);
    let second = home.process("web#2").expect("it runs");
    home.muster(&["restart", "web#2"]).ok();
    assert!(!second.alive());
    wait_until("three again", || home.workers_alive().len() == 3);
}

#[test]
fn an_end_by_itself_is_seen_at_once() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  web: { command: WORKER web idle, restart: always }\n  api: { command: WORKER api idle, restart: never }\n");
    home.muster(&["up", "-d"]).ok();
    let (web, api) = (home.process("web").expect("it runs"), home.process("api").expect("it runs"));
    web.kill();
    api.kill();
    let second = home.wait_event("web", "start", 2).process;
    assert_ne!(second, web);
    let api = home.wait_state("api", "exited");
    assert_eq!(api["exit"], json!({"signal": 9}));
    wait_for("the restart is counted", PATIENCE, || (home.service("web")["restarts"] == 1).then_some(()));
}
