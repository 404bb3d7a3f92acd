//! Faults of containers and their engine: each is told with what to do, what is healthy is kept, and nothing is left.

use muster_e2e::kit::docker::PrivateDocker;
use muster_e2e::kit::{Engine, components, images, skip};
use muster_e2e::{Home, PATIENCE, Site, free_port, wait_for, wait_until};
use serde_json::{Value, json};
use std::net::TcpListener;

/// A home whose daemon uses this engine.
fn home_at(engine: &Engine) -> Home {
    let mut home = Home::new();
    home.set("DOCKER_HOST", &engine.address());
    home
}

fn docker() -> Option<(Home, Engine)> {
    let engine = components::docker("faults-container")?;
    Some((home_at(&engine), engine))
}

/// A bad container beside a good process: `up` fails for it, says `words` and what to do next, and keeps the other.
fn fails(home: &Home, container: &str, more: &str, words: &[&str]) -> Value {
    home.stack(&format!(
        "name: a\nservices:\n  good: {{ command: WORKER good idle }}\n  bad: {{ container: {container}{more} }}\n"
    ));
    let up = home.muster(&["up", "-d"]).expect_code(1);
    for word in words {
        assert!(up.stderr.contains(word), "`{word}` is not said: {}", up.stderr);
    }
    assert!(up.stderr.contains("next: muster") || up.stderr.contains("muster logs"), "no next step: {}", up.stderr);
    assert_eq!(home.service("good")["state"], "ready", "what is healthy is kept");
    home.service("bad")
}

/// The id of a service's container.
fn id(home: &Home, service: &str) -> String {
    let status = home.service(service);
    status["container"].as_str().unwrap_or_else(|| panic!("no container: {status}")).to_owned()
}

#[test]
fn no_engine() {
    if components::docker("faults-container").is_none() {
        return;
    }
    let mut home = Home::new();
    home.set("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    fails(&home, "{ image: \"busybox:latest\", command: sleep 1000 }", "", &["bad", "/nonexistent/docker.sock"]);
}

#[test]
fn an_image_that_is_nowhere() {
    let Some((home, _)) = docker() else { return };
    let bad = fails(&home, "{ image: \"muster-test/nowhere:1\" }", "", &["muster-test/nowhere:1"]);
    assert!(bad["pid"].is_null(), "{bad}");
    fails(&home, "{ image: \"muster-test/nowhere:1\", pull_policy: never }", "", &["muster-test/nowhere:1"]);
}

#[test]
fn a_build_that_fails_is_in_the_services_own_log() {
    let Some((home, _)) = docker() else { return };
    home.write("Dockerfile", &format!("FROM {}\nRUN echo about to fail && exit 42\n", images::BUSYBOX));
    fails(&home, "{ build: { context: . } }", "", &["42"]);
    let logs = home.muster(&["logs", "--raw", "bad"]).expect_code(0).stdout;
    assert!(logs.contains("about to fail"), "{logs}");
}

#[test]
fn a_name_that_is_taken() {
    let Some((home, engine)) = docker() else { return };
    let name = format!("muster-e2e-taken-{}", std::process::id());
    engine.post(&format!("/containers/create?name={name}"), &json!({ "Image": images::BUSYBOX })).expect("created");
    let container = format!("{{ image: \"{}\", command: sleep 1000, container_name: {name} }}", images::BUSYBOX);
    fails(&home, &container, "", &[&name]);
    assert!(engine.container(&name).expect("an answer").is_some(), "what is not ours is left alone");
    engine.remove(&name).expect("removed");
}

#[test]
fn a_port_that_is_taken_names_its_owner() {
    let Some((home, _)) = docker() else { return };
    let port = free_port();
    let _stranger = TcpListener::bind(("127.0.0.1", port)).expect("a port");
    home.stack(&format!(
        "name: a\nservices:\n  bad: {{ container: {{ image: \"{}\", command: sleep 1000 }}, ports: {{ http: {{ at: {port}, container: 80 }} }} }}\n",
        images::BUSYBOX
    ));
    let up = home.muster(&["up", "-d"]);
    assert_ne!(up.code, 0, "{up:?}");
    assert!(
        up.stderr.contains(&port.to_string()) && up.stderr.contains(&std::process::id().to_string()),
        "{}",
        up.stderr
    );
}

#[test]
fn a_container_that_somebody_kills_is_restarted_and_one_removed_is_told() {
    let Some((home, engine)) = docker() else { return };
    let container = format!("container: {{ image: \"{}\", command: sleep 1000 }}", images::BUSYBOX);
    home.stack(&format!(
        "name: a\nservices:\n  back: {{ {container}, restart: always }}\n  gone: {{ {container}, restart: never }}\n"
    ));
    home.muster(&["up", "-d"]).ok();
    let before = id(&home, "back");
    engine.done("POST", &format!("/containers/{before}/kill"), None).expect("killed");
    home.wait_service("back", "started again", |service| service["restarts"] == 1 && service["state"] == "ready");
    assert_ne!(id(&home, "back"), before);
    engine.remove(&id(&home, "gone")).expect("removed");
    let gone = home.wait_state("gone", "stopped");
    assert!(gone.to_string().contains("removed by someone else"), "{gone}");
    home.muster(&["up", "-d"]).ok();
    assert_eq!(home.service("gone")["state"], "ready");
}

#[test]
fn an_engine_that_goes_and_comes_back() {
    if components::docker("faults-engine").is_none() {
        return;
    }
    let private = match PrivateDocker::start() {
        Ok(private) => private,
        Err(error) => return skip("faults-engine", &error.to_string()),
    };
    let home = home_at(&private.engine());
    let container = format!("container: {{ image: \"{}\", init: true, command: sleep 1000 }}", images::BUSYBOX);
    home.stack(&format!(
        "name: a\nservices:\n  web: {{ {container}, restart: always }}\n  own: {{ command: WORKER own idle }}\n"
    ));
    home.muster(&["up", "-d"]).ok();
    let own = home.process("own").expect("it runs");
    private.daemon().stop().expect("it ends");
    wait_until("`status` says it", || home.muster(&["status"]).stdout.contains("engine unreachable since"));
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
fn a_service_on_loopback_that_a_container_needs() {
    let Some(site) = Site::local("faults-loopback") else { return };
    let (worker, inside, mounts) = (site.home.worker_line(), site.static_line(), site.mounts());
    site.home.stack(&format!(
        "name: a\nservices:\n  hidden: {{ command: \"{worker} hidden peer 127.0.0.1 ${{port.http}}\", ports: {{ http: auto }} }}\n  \
         asks: {{ container: {{ image: \"{}\", volumes: [{mounts}], command: \"{inside} asks idle\" }}, \
         env: {{ AT: \"${{services.hidden.addr.http}}\" }}, needs: [hidden] }}\n",
        images::BUSYBOX
    ));
    site.home.muster(&["up", "-d"]).ok();
    let why = site.home.muster(&["why", "--address", "asks", "hidden"]).expect_code(0);
    let said = format!("{}{}", why.stdout, why.stderr);
    assert!(said.contains("127.0.0.1"), "{said}");
}
