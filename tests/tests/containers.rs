//! Containers as a user meets them: built, shown, measured, watched.

use muster_e2e::kit::{Engine, components, images};
use muster_e2e::{Home, Site};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

/// A home whose daemon uses Docker Engine, or none and a reported skip.
fn docker() -> Option<(Home, Engine)> {
    let engine = components::docker("containers")?;
    let mut home = Home::new();
    home.set("DOCKER_HOST", &engine.address());
    Some((home, engine))
}

/// Removes the images that a test's stack has built.
fn remove_images(engine: &Engine, stack: &str, services: &[&str]) {
    let found = engine.get("/images/json").expect("an answer");
    let tags = found.as_array().into_iter().flatten().flat_map(|image| image["RepoTags"].as_array().cloned());
    for tag in tags.flatten().filter_map(|tag| tag.as_str().map(str::to_owned)) {
        if services.iter().any(|service| tag.starts_with(&format!("muster/{stack}-{service}:"))) {
            let _ = engine.done("DELETE", &format!("/images/{tag}?force=1"), None);
        }
    }
}

#[test]
fn images_are_built_by_command_and_on_the_way_up() {
    let Some((home, engine)) = docker() else { return };
    // steps of its own: what the builder has done before it does not do again
    let (from, own) = (images::BUSYBOX, home.root().display().to_string());
    home.stack(
        "name: built\nservices:\n  one: { container: { build: one } }\n  two: { container: { build: two }, needs: { one: ready } }\n  \
         plain: { command: WORKER plain idle }\n",
    );
    home.write(
        "one/Dockerfile",
        &format!("FROM {from}\nRUN echo made one; sleep 2; : {own}\nCMD [\"sleep\", \"1000\"]\n"),
    );
    home.write("two/Dockerfile", &format!("FROM {from}\nRUN echo broken two; exit 7\n"));

    // before anything was ever up; what is not to be built is not said
    let build = home.muster(&["build"]).expect_code(1);
    assert!(build.stdout.contains("one built in") && !build.stdout.contains("plain"), "{}", build.stdout);
    assert!(build.stdout.contains("two failed after"), "{}", build.stdout);
    assert!(
        build.stderr.contains("one   | made one") && build.stderr.contains("two   | broken two"),
        "{}",
        build.stderr
    );
    assert!(build.stderr.contains("error: 1 of 3 builds failed: two"), "{}", build.stderr);
    let json = home.muster(&["build", "two", "--json"]).expect_code(1).json();
    assert_eq!(json["builds"][0]["code"], "build::failed");
    let reason = json["builds"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("at `RUN echo broken two; exit 7`: ended with code 7; it said: broken two"), "{reason}");
    let again = home.muster(&["build", "one"]).expect_code(0);
    assert!(again.stdout.contains("one is up to date"), "{}", again.stdout);
    let nothing = home.muster(&["build", "plain"]).expect_code(0);
    assert!(nothing.stdout.contains("plain has nothing to build"), "{}", nothing.stdout);

    // on the way up: who waits sees it, and it is kept in the service's own log
    home.write(
        "one/Dockerfile",
        &format!("FROM {from}\nRUN echo made anew; sleep 2; : {own}\nCMD [\"sleep\", \"1000\"]\n"),
    );
    home.write("two/Dockerfile", &format!("FROM {from}\nCMD [\"sleep\", \"1000\"]\n"));
    let up = home.muster(&["up", "-d"]).expect_code(0);
    assert!(up.stderr.contains("one   | made anew"), "{}", up.stderr);
    let logs = home.muster(&["logs", "--raw", "one"]).expect_code(0).stdout;
    assert!(logs.contains("building image muster/built-one:") && logs.contains("\nmade anew\n"), "{logs}");
    assert_eq!(home.service("two")["state"], "ready");
    home.muster(&["down"]).expect_code(0);
    remove_images(&engine, "built", &["one", "two"]);
}

#[test]
fn use_and_limits_are_told_of_every_runtime() {
    let Some(site) = Site::local("containers") else { return };
    let home = &site.home;
    let busy = "sh -c 'while :; do :; done'";
    let (image, host) = (images::BUSYBOX, site.host.alias());
    home.stack(&format!(
        "name: used\nservices:\n  \
         here: {{ command: \"{busy}\", limits: {{ files: 512 }} }}\n  \
         boxed: {{ container: {{ image: \"{image}\", command: \"{busy}\" }}, limits: {{ memory: 64MiB, cpus: 0.5, pids: 50 }} }}\n  \
         there: {{ remote: {{ host: {host}, command: \"{busy}\" }}, limits: {{ files: 512 }} }}\n"
    ));
    home.muster(&["up", "-d"]).expect_code(0);
    let top = home.muster(&["top", "--json"]).expect_code(0).json();
    for service in top["services"].as_array().expect("services") {
        let (cpu, memory) = (service["cpu_percent"].as_f64(), service["memory_bytes"].as_u64());
        assert!(cpu.is_some_and(|cpu| cpu > 1.0), "{service}");
        assert!(memory.is_some_and(|bytes| bytes > 0), "{service}");
    }
    // limits are told without being asked for
    assert_eq!(
        home.service("boxed")["limits"],
        json!({"memory_bytes": 64 << 20, "cpus": 0.5, "pids": 50, "files": null})
    );
    assert_eq!(home.service("there")["limits"]["files"], 512);
    let shown = home.muster(&["top"]).expect_code(0).stdout;
    assert!(shown.contains("% of 50%") && shown.contains("of 64.0 MiB"), "{shown}");
    let metrics = ask(home, "/v1/metrics");
    assert!(metrics.contains("application/openmetrics-text"), "{metrics}");
    for (service, runtime) in [("here", "process"), ("boxed", "container"), ("there", "remote")] {
        let labels = format!("service=\"{service}\",replica=\"1\",runtime=\"{runtime}\"");
        for name in ["muster_service_cpu_seconds_total", "muster_service_memory_bytes", "muster_service_ready"] {
            let line = metrics.lines().find(|line| line.starts_with(name) && line.contains(&labels));
            let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
            assert!(value.is_some_and(|value| value > 0.0), "{name} of {service}: {line:?}");
        }
    }
    assert!(metrics.contains("muster_service_memory_limit_bytes") && metrics.ends_with("# EOF\n"), "{metrics}");
    home.muster(&["down"]).expect_code(0);
}

/// What the daemon answers to a bare GET.
fn ask(home: &Home, path: &str) -> String {
    let status = home.muster(&["daemon", "status", "--json"]).expect_code(0).json();
    let socket = status["socket"].as_str().expect("a socket");
    let mut stream = UnixStream::connect(socket).expect("a daemon");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: muster\r\nConnection: close\r\n\r\n").expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}
