//! Faults of containers: each is told with what to do, what is healthy is kept, and nothing is lost by it.

use muster_e2e::kit::{Engine, components, images, shown};
use muster_e2e::{Home, PATIENCE, Site, free_port};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

const IDLE: &str = "command: sleep 1000";
/// What is deaf to TERM as the first process of a container is killed soon.
const QUICK: &str = "stop: { grace: 200ms }";

/// A home whose daemon uses this engine.
pub(crate) fn home_at(engine: &Engine) -> Home {
    let mut home = Home::new();
    home.set("DOCKER_HOST", &engine.address());
    home
}

/// Docker and Podman, as far as they are there.
fn engines() -> Vec<(Home, Engine)> {
    let engines = [components::docker("faults-container"), components::podman("faults-container-podman")];
    engines.into_iter().flatten().map(|engine| (home_at(&engine), engine)).collect()
}

/// A bad container beside a good process: `up` fails for it, says `words` and what to do next, and keeps the other.
pub(crate) fn fails(home: &Home, container: &str, words: &[&str]) -> Value {
    home.stack(&format!(
        "name: a\nservices:\n  good: {{ command: WORKER good idle }}\n  bad: {{ container: {container}, {QUICK} }}\n"
    ));
    let up = home.muster(&["up", "-d"]).expect_code(1);
    for word in words {
        assert!(up.stderr.contains(word), "`{word}` is not said: {}", up.stderr);
    }
    assert!(up.stderr.contains("next: muster") || up.stderr.contains("muster logs"), "no next step: {}", up.stderr);
    told(&up.stderr);
    assert_eq!(home.service("good")["state"], "ready", "what is healthy is kept");
    home.service("bad")
}

/// Shows the line in which it is told, for who reads the result.
pub(crate) fn told(stderr: &str) {
    let line = stderr.lines().find(|line| line.contains('✗') || line.starts_with("error"));
    shown(&format!("fault: {}", line.unwrap_or_default().trim()));
}

/// The same, now with what was wrong put right.
fn goes(home: &Home) {
    home.muster(&["up", "-d"]).ok();
    assert_eq!(home.service("bad")["state"], "ready");
}

/// The id of a service's container.
pub(crate) fn id(home: &Home, service: &str) -> String {
    let status = home.service(service);
    status["container"].as_str().unwrap_or_else(|| panic!("no container: {status}")).to_owned()
}

fn unique(what: &str) -> String {
    format!("muster-e2e-{what}-{}", std::process::id())
}

#[test]
fn an_image_that_is_not_there_and_not_to_be_pulled() {
    for (home, _) in engines() {
        let container = "{ image: \"muster-test/nowhere:1\", pull_policy: never }";
        let bad = fails(&home, container, &["`muster-test/nowhere:1` is not there", "`docker images`"]);
        assert!(bad["pid"].is_null() && bad["state"] == "failed", "{bad}");
    }
}

#[test]
fn an_image_of_a_registry_that_cannot_be_reached() {
    // nobody listens there, and both engines take it for a registry
    let image = format!("127.0.0.1:{}/nowhere:1", free_port());
    for (home, engine) in engines() {
        let words = [image.as_str(), "the registry cannot be reached; check the network"];
        fails(&home, &format!("{{ image: \"{image}\", {IDLE} }}"), &words);
        // nothing was lost: made here, it is what the file asks for
        let (repo, tag) = image.rsplit_once(':').expect("a tag");
        engine.done("POST", &format!("/images/{}/tag?repo={repo}&tag={tag}", images::BUSYBOX), None).expect("tagged");
        goes(&home);
        home.muster(&["down"]).ok();
        engine.done("DELETE", &format!("/images/{image}"), None).expect("removed");
    }
}

#[test]
fn an_image_that_the_registry_refuses() {
    let registry = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let image = format!("127.0.0.1:{}/private:1", registry.local_addr().expect("an address").port());
    std::thread::spawn(move || {
        let denied = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
        let length = denied.len();
        for mut stream in registry.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{denied}");
        }
    });
    let Some(engine) = components::docker("faults-container") else { return };
    fails(
        &home_at(&engine),
        &format!("{{ image: \"{image}\" }}"),
        &[&image, "the registry refuses it", "docker login"],
    );
}

/// A registry that lets nobody in without a password, and tells what it was shown.
fn registry_with_password() -> (u16, mpsc::Receiver<String>) {
    let registry = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = registry.local_addr().expect("an address").port();
    let (tell, shown) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in registry.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let given = text.lines().find_map(|line| line.strip_prefix("Authorization: "));
            let status = match given {
                Some(given) => {
                    // an error means that the test has heard enough
                    let _ = tell.send(given.to_owned());
                    "404 Not Found"
                }
                None => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a registry\"",
            };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (port, shown)
}

#[test]
fn a_build_shows_the_registry_of_its_base_what_docker_login_wrote() {
    // Podman would ask such a registry by TLS only
    if let Some(engine) = components::docker("faults-container") {
        let mut home = home_at(&engine);
        let (port, shown) = registry_with_password();
        // `user:pass word` in base64
        let login = format!("{{\"auths\": {{\"127.0.0.1:{port}\": {{\"auth\": \"dXNlcjpwYXNzIHdvcmQ=\"}}}}}}");
        home.write("docker/config.json", &login);
        let settings = home.project().join("docker").display().to_string();
        home.set("DOCKER_CONFIG", &settings);
        home.write("image/Dockerfile", &format!("ARG OF=127.0.0.1:{port}\nFROM ${{OF}}/private:1\n"));
        home.stack("name: a\nservices:\n  bad: { container: { build: image } }\n");
        let build = home.muster(&["build"]).expect_code(1);
        let given = shown.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing was shown: {}", build.stderr));
        assert_eq!(given, "Basic dXNlcjpwYXNzIHdvcmQ=");
        assert!(!build.stderr.contains("pass word") && !build.stdout.contains("pass word"));
    }
}

#[test]
fn a_build_that_fails_is_in_the_services_own_log() {
    for (home, engine) in engines() {
        let file = |step: &str| home.write("Dockerfile", &format!("FROM {}\nRUN {step}\n", images::BUSYBOX));
        file("echo about to fail && exit 42");
        fails(&home, &format!("{{ build: {{ context: . }}, {IDLE} }}"), &["42"]);
        let logs = home.muster(&["logs", "--raw", "bad"]).expect_code(0).stdout;
        assert!(logs.contains("about to fail"), "{logs}");
        file("echo goes");
        goes(&home);
        let image = engine.container(&id(&home, "bad")).expect("an answer").expect("a container")["Image"].clone();
        home.muster(&["down"]).ok();
        engine.done("DELETE", &format!("/images/{}", image.as_str().expect("an id")), None).expect("removed");
    }
}

#[test]
fn a_name_that_is_taken() {
    for (home, engine) in engines() {
        let name = unique("taken");
        engine.post(&format!("/containers/create?name={name}"), &json!({ "Image": images::BUSYBOX })).expect("created");
        let container = format!("{{ image: \"{}\", {IDLE}, container_name: {name} }}", images::BUSYBOX);
        fails(&home, &container, &[&name, "it is not ours", "docker rm -f", "container_name"]);
        assert!(engine.container(&name).expect("an answer").is_some(), "what is not ours is left alone");
        engine.remove(&name).expect("removed");
        goes(&home);
    }
}

#[test]
fn a_port_that_is_taken_names_its_owner() {
    for (home, _) in engines() {
        let port = free_port();
        let stranger = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        home.stack(&format!(
            "name: a\nservices:\n  bad: {{ container: {{ image: \"{}\", command: httpd -f -p 80 }}, \
             ports: {{ http: {{ at: {port}, container: 80 }} }}, {QUICK} }}\n",
            images::BUSYBOX
        ));
        let up = home.muster(&["up", "-d"]).expect_code(1);
        for word in [port.to_string(), format!("pid {}", std::process::id())] {
            assert!(up.stderr.contains(&word), "`{word}` is not said: {}", up.stderr);
        }
        told(&up.stderr);
        drop(stranger);
        goes(&home);
    }
}

#[test]
fn a_volume_in_use_is_kept_and_its_user_named() {
    for (home, engine) in engines() {
        home.stack(&format!(
            "name: a\nservices:\n  bad: {{ container: {{ image: \"{}\", volumes: [\"kept:/kept\"], \
             command: {{ shell: \"echo all >> /kept/there; exec sleep 1000\" }} }}, {QUICK} }}\n",
            images::BUSYBOX
        ));
        home.muster(&["up", "-d"]).ok();
        let inspect = engine.container(&id(&home, "bad")).expect("an answer").expect("a container");
        let volume = inspect["Mounts"][0]["Name"].as_str().expect("a volume").to_owned();
        let name = unique("user");
        let body = json!({ "Image": images::BUSYBOX, "HostConfig": { "Binds": [format!("{volume}:/kept")] } });
        engine.post(&format!("/containers/create?name={name}"), &body).expect("created");
        let down = home.muster(&["down", "--data"]).expect_code(1);
        assert!(down.stderr.contains(&volume) && down.stderr.contains(&name), "{}", down.stderr);
        told(&down.stderr);
        assert_eq!(home.service("bad")["state"], "stopped");
        engine.remove(&name).expect("removed");
        goes(&home);
        let text = home.muster(&["exec", "bad", "--", "cat", "/kept/there"]).expect_code(0).stdout;
        assert_eq!(text, "all\nall\n", "nothing was lost");
        home.muster(&["down", "--data"]).ok();
        assert_eq!(engine.ask("GET", &format!("/volumes/{volume}"), None).expect("an answer").status, 404);
    }
}

#[test]
fn a_container_that_somebody_kills_is_restarted_and_one_removed_is_told() {
    for (home, engine) in engines() {
        let container = format!("container: {{ image: \"{}\", {IDLE} }}, {QUICK}", images::BUSYBOX);
        home.stack(&format!(
            "name: a\nservices:\n  back: {{ {container}, restart: always }}\n  gone: {{ {container}, restart: always }}\n"
        ));
        home.muster(&["up", "-d"]).ok();
        let before = id(&home, "back");
        engine.done("POST", &format!("/containers/{before}/kill"), None).expect("killed");
        home.wait_service("back", "started again", |service| service["restarts"] == 1 && service["state"] == "ready");
        assert_ne!(id(&home, "back"), before);
        engine.remove(&id(&home, "gone")).expect("removed");
        home.wait_state("gone", "stopped");
        let status = home.muster(&["status"]).stdout;
        let line = status.lines().find(|line| line.contains("gone")).unwrap_or_default();
        assert!(line.contains(" stopped ") && line.contains("removed by someone else"), "{status}");
        shown(&format!("fault: {line}"));
        home.muster(&["up", "-d"]).ok();
        assert_eq!(home.service("gone")["state"], "ready");
    }
}

#[test]
fn a_service_on_loopback_that_a_container_needs() {
    let Some(site) = Site::local("faults-loopback") else { return };
    let (worker, inside, mounts) = (site.home.worker_line(), site.static_line(), site.mounts());
    let stack = |bind: &str| {
        site.home.stack(&format!(
            "name: a\nservices:\n  hidden: {{ command: \"{worker} hidden peer {bind} ${{port.http}}\", ports: {{ http: {} }} }}\n  \
             asks: {{ container: {{ image: \"{}\", volumes: [{mounts}], command: \"{inside} asks idle\" }}, \
             env: {{ AT: \"${{services.hidden.addr.http}}\" }}, needs: [hidden] }}\n",
            free_port(),
            images::BUSYBOX
        ));
        site.home.muster(&["up", "-d"]).ok();
    };
    stack("127.0.0.1");
    let why = site.home.muster(&["why", "--address", "asks", "hidden"]).expect_code(6);
    for word in ["listens on 127.0.0.1 only", "${bind.http}"] {
        assert!(why.stdout.contains(word), "{}", why.stdout);
    }
    shown(&format!("fault: {}", why.stdout.trim()));
    stack("${bind.http}");
    let why = site.home.muster(&["why", "--address", "asks", "hidden"]).expect_code(0);
    assert!(!why.stdout.contains("missing"), "{}", why.stdout);
    let ask = format!("{inside} asks.ask ask $AT /hello/there");
    let answer = site.home.muster(&["exec", "asks", "--", "sh", "-c", &ask]).expect_code(0).stdout;
    assert!(answer.starts_with("hidden there"), "{answer}");
}
