//! `muster watch` over containers: what is edited is there, what is deleted is gone, and a new image runs.

use muster_e2e::kit::{Engine, components, images};
use muster_e2e::{Home, PATIENCE, Running, wait_for, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// A home whose daemon uses this engine.
fn home(engine: &Engine) -> Home {
    let mut home = Home::new();
    home.set("DOCKER_HOST", &engine.address());
    home
}

/// What a command in the service's container says; nothing while it fails.
fn inside(home: &Home, words: &[&str]) -> Option<String> {
    let output = home.muster(&[&["exec", "web", "--"], words].concat());
    (output.code == 0).then(|| output.stdout.trim().to_owned())
}

/// `muster watch`; what it said is shown where a test fails.
struct Watch(Running);

impl Watch {
    fn says(&self, text: &str) -> bool {
        self.told().contains(text)
    }

    fn told(&self) -> String {
        self.0.so_far().stderr
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the watch said: {}", self.told());
        }
    }
}

fn says(home: &Home, words: &[&str], wanted: &str) {
    let fact = format!("`{}` in the container says `{wanted}`", words.join(" "));
    wait_until(&fact, || inside(home, words).as_deref() == Some(wanted));
}

fn is_gone(home: &Home, path: &str) {
    let fact = format!("`{path}` is not in the container");
    wait_until(&fact, || {
        inside(home, &["sh", "-c", &format!("test -e {path} || echo gone")]).as_deref() == Some("gone")
    });
}

fn container(home: &Home) -> String {
    wait_for("a container that is ready", PATIENCE, || {
        let service = home.service("web");
        (service["state"] == "ready").then(|| service["container"].as_str().map(str::to_owned)).flatten()
    })
}

fn dockerfile(home: &Home, version: &str) {
    let own = home.root().display();
    let text = format!(
        "FROM {}\nCOPY src /app/src\nRUN echo {version} > /version; : {own}\n\
         CMD [\"sh\", \"-c\", \"cat /app/conf/app.conf; exec sleep 1000\"]\n",
        images::BUSYBOX
    );
    home.write("Dockerfile", &text);
}

/// The whole of it, on one engine.
fn a_compose_project_is_developed(engine: &Engine) {
    let home = home(engine);
    dockerfile(&home, "v1");
    home.write(".dockerignore", "src/secret\n");
    home.write("src/a.txt", "one");
    home.write("src/b.txt", "stays not");
    home.write("conf/other", "x");
    home.write(
        "compose.yaml",
        "name: developed\nservices:\n  web:\n    build: .\n    stop_grace_period: 0s\n    develop:\n      watch:\n\
         \x20       - { path: ./src, target: /app/src, action: sync, ignore: ['*.tmp'] }\n\
         \x20       - { path: ./conf, target: /app/conf, action: sync+restart, initial_sync: true }\n\
         \x20       - { path: ./Dockerfile, action: rebuild }\n",
    );
    home.muster(&["up", "-d", "-f", "compose.yaml"]).expect_code(0);
    let first = container(&home);
    let watch = Watch(home.spawn(&["watch", "-f", "compose.yaml"]));
    wait_until("it watches", || watch.says("watching 4 paths"));
    says(&home, &["cat", "/app/conf/other"], "x");

    // edited, new, with its mode, deleted, ignored
    home.write("src/a.txt", "two");
    says(&home, &["cat", "/app/src/a.txt"], "two");
    home.write("src/deep/run.sh", "echo ran");
    let script = home.project().join("src/deep/run.sh");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o751)).expect("a mode");
    says(&home, &["stat", "-c", "%a %u", "/app/src/deep/run.sh"], "751 0");
    fs::remove_file(home.project().join("src/b.txt")).expect("a file");
    is_gone(&home, "/app/src/b.txt");
    home.write("src/x.tmp", "no");
    home.write("src/secret", "no");
    home.write("src/marker", "m");
    says(&home, &["cat", "/app/src/marker"], "m");
    assert_eq!(inside(&home, &["ls", "/app/src"]).as_deref(), Some("a.txt\ndeep\nmarker"));
    fs::remove_dir_all(home.project().join("src/deep")).expect("a folder");
    is_gone(&home, "/app/src/deep");
    assert_eq!(container(&home), first, "nothing of that starts another container");

    // what was copied comes along into the container that a restart makes, before it starts
    home.write("conf/app.conf", "configured\n");
    wait_until("it was restarted", || watch.says("web: restarted"));
    wait_until("another container", || home.service("web")["state"] == "ready" && container(&home) != first);
    let second = container(&home);
    let says_so = || home.muster(&["logs", "--raw", "web"]).expect_code(0).stdout.contains("configured");
    wait_until("it says what it is configured by", says_so);
    says(&home, &["cat", "/app/src/a.txt"], "two");
    is_gone(&home, "/app/src/b.txt");
    says(&home, &["cat", "/version"], "v1");

    // another image has what its build was given, and nothing else
    dockerfile(&home, "v2");
    wait_until("another container", || home.service("web")["state"] == "ready" && container(&home) != second);
    says(&home, &["cat", "/version"], "v2");
    assert_eq!(inside(&home, &["ls", "/app/src"]).as_deref(), Some("a.txt\nmarker\nx.tmp"));
    is_gone(&home, "/app/conf");

    let told = watch.told();
    assert!(told.contains("web: src/a.txt changed\nweb: 1 file copied\n"), "{told}");
    assert!(told.contains("web: src/b.txt changed\nweb: 1 path removed\n"), "{told}");
    assert!(!told.contains("error"), "{told}");
    drop(watch);
    home.muster(&["down"]).expect_code(0);
    remove_images(engine, "developed-web");
}

fn remove_images(engine: &Engine, name: &str) {
    let found = engine.get("/images/json").expect("an answer");
    let tags = found.as_array().into_iter().flatten().flat_map(|image| image["RepoTags"].as_array().cloned());
    for tag in tags.flatten().filter_map(|tag| tag.as_str().map(str::to_owned)).filter(|tag| tag.contains(name)) {
        let _ = engine.done("DELETE", &format!("/images/{tag}?force=1"), None);
    }
}

#[test]
fn a_compose_project_is_developed_on_docker() {
    if let Some(engine) = components::docker("watching") {
        a_compose_project_is_developed(&engine);
    }
}

#[test]
fn a_compose_project_is_developed_on_podman() {
    if let Some(engine) = components::podman("watching") {
        a_compose_project_is_developed(&engine);
    }
}

#[test]
fn what_mends_a_service_reaches_it_though_it_does_not_run() {
    let Some(engine) = components::docker("watching") else { return };
    let home = home(&engine);
    home.stack(&format!(
        "name: mended\nservices:\n  web:\n    container: {{ image: \"{}\", command: [sh, /main] }}\n    \
         stop: {{ grace: 0s }}\n    restart: {{ on: failure, backoff: 300ms, limit: none }}\n    \
         watch: [{{ paths: [main], do: sync, to: /main, initial: true, then: {{ exec: [echo, told] }} }}]\n",
        images::BUSYBOX
    ));
    // without a file there the service cannot run
    home.muster(&["up", "-d", "--no-wait"]).expect_code(0);
    wait_until("it fails", || home.service("web")["restarts"].as_u64().is_some_and(|count| count > 0));
    home.write("main", "exit 3");
    let watch = Watch(home.spawn(&["watch"]));
    wait_until("it watches", || watch.says("watching 1 path "));
    let log = || home.muster(&["logs", "--raw", "--previous", "web"]).stdout;
    wait_until("it ends as the file says", || home.service("web")["exit"].to_string().contains('3'));
    home.write("main", "echo mended; exec sleep 1000");
    home.wait_state("web", "ready");
    wait_until("it says so", || home.muster(&["logs", "--raw", "web"]).stdout.contains("mended"));
    home.write("main", "echo again; exec sleep 1000");
    wait_until("the command was run", || watch.says("`echo told` done"));
    assert!(watch.says("\ntold\n"), "{} {}", watch.told(), log());
    drop(watch);
    home.muster(&["down"]).expect_code(0);

    // a rule that does not say where to is told at once
    home.stack(&format!(
        "name: mended\nservices:\n  web:\n    container: {{ image: \"{}\" }}\n    watch: [{{ paths: [main], do: sync }}]\n",
        images::BUSYBOX
    ));
    let told = home.muster(&["watch"]).expect_code(3);
    assert!(told.stderr.contains("no place in its container"), "{}", told.stderr);
}
