//! The engines and their images, as tests of Muster rely on them.

use muster_testkit::docker::PrivateDocker;
use muster_testkit::{Engine, components, images};
use serde_json::json;
use std::time::{Duration, Instant};

/// Creates a container that carries a label of this test, and starts it.
fn run(engine: &Engine, name: &str, image: &str, command: &[&str]) {
    let body = json!({ "Image": image, "Cmd": command, "Labels": { "muster-testkit": name } });
    engine.post(&format!("/containers/create?name={name}"), &body).expect("it is created");
    engine.done("POST", &format!("/containers/{name}/start"), None).expect("it starts");
}

fn ends_with(engine: &Engine, name: &str) -> i64 {
    let answer = engine.done("POST", &format!("/containers/{name}/wait"), None).expect("it ends");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("a document");
    body["StatusCode"].as_i64().expect("a code")
}

fn runs_our_images(engine: &Engine) {
    let name = format!("mtk-{}", std::process::id());
    run(
        engine,
        &name,
        images::BUSYBOX,
        &["sh", "-c", "grep -q postgres /etc/passwd && wget --help 2>/dev/null; exit 7"],
    );
    assert_eq!(ends_with(engine, &name), 7);
    let label = format!("muster-testkit={name}");
    assert_eq!(engine.labelled(&label).expect("an answer"), [format!("container /{name}")]);
    engine.remove(&name).expect("it is removed");
    assert_eq!(engine.labelled(&label).expect("an answer"), Vec::<String>::new());
    for image in images::ALSO.into_iter().chain([images::HEALTH]) {
        assert!(engine.has_image(image), "{image}");
    }
}

#[test]
fn docker_runs_what_is_built_here() {
    let Some(engine) = components::docker("testkit-docker") else { return };
    runs_our_images(&engine);
    let health = engine.get(&format!("/images/{}/json", images::HEALTH)).expect("an image");
    assert_eq!(health["Config"]["Healthcheck"]["Test"], json!(["CMD-SHELL", "test -e /tmp/healthy"]));
}

#[test]
fn podman_runs_what_is_built_here() {
    let Some(engine) = components::podman("testkit-podman") else { return };
    runs_our_images(&engine);
    let health = engine.get(&format!("/v4.0.0/libpod/images/{}/json", images::HEALTH)).expect("an image");
    assert_eq!(health["Healthcheck"]["Test"], json!(["CMD-SHELL", "test -e /tmp/healthy"]));
}

#[test]
fn a_private_engine_is_restarted_beside_the_shared_one() {
    let Some(shared) = components::docker("testkit-private") else { return };
    let private = match PrivateDocker::start() {
        Ok(private) => private,
        Err(error) => return components::skip("testkit-private", &error.to_string()),
    };
    let engine = private.engine();
    run(&engine, "stays", images::BUSYBOX, &["sleep", "1000"]);
    private.daemon().stop().expect("it ends");
    assert!(!engine.answers() && shared.answers(), "only the private one is gone");
    private.daemon().start().expect("it starts again");
    let begun = Instant::now();
    let state = loop {
        let container = engine.container("stays").expect("an answer").expect("it is known still");
        if container["State"]["Status"] == "exited" || begun.elapsed() > Duration::from_secs(30) {
            break container["State"]["Status"].clone();
        }
    };
    assert_eq!(state, "exited", "an engine's containers end with it");
    run(&shared, &format!("mtk-p{}", std::process::id()), images::BUSYBOX, &["true"]);
    shared.remove(&format!("mtk-p{}", std::process::id())).expect("the shared one is as before");
}
