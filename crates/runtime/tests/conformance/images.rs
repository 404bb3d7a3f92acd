//! What becomes of an image before a start: built once for many, given up with whoever asked, by both builders.

use crate::harness::container::{ContainerHarness, Target, spec};
use muster_runtime::{Built, Found, Runtime as _, StartError};
use muster_spec::{ImageBuild, InstanceSpec, RunId};
use std::fs;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

fn harnesses() -> Vec<ContainerHarness> {
    [Target::docker(), Target::podman()].into_iter().flatten().map(|target| ContainerHarness::new(&target)).collect()
}

/// A container whose image is built of this Dockerfile.
fn built(harness: &ContainerHarness, dockerfile: &str) -> InstanceSpec {
    let context = harness.home().join("context");
    fs::create_dir_all(&context).expect("a folder");
    fs::write(context.join("Dockerfile"), dockerfile).expect("a file");
    let run = harness.run("x");
    let mut spec = spec(&format!("muster-test/images-{}:1", run.environment));
    let container = spec.container.as_mut().expect("a container");
    container.build = Some(ImageBuild { context, ..ImageBuild::default() });
    spec
}

async fn prepare(harness: &ContainerHarness, run: &RunId, spec: &InstanceSpec) -> (Result<Built, StartError>, String) {
    let (heard, mut pieces) = mpsc::channel(4);
    let listen = async {
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.extend(piece);
        }
        String::from_utf8_lossy(&all).into_owned()
    };
    let driver = harness.driver();
    let both = async { tokio::join!(driver.prepare(run, spec, Some(heard)), listen) };
    timeout(SOON, both).await.expect("a build in time")
}

fn remove(harness: &ContainerHarness, spec: &InstanceSpec) {
    let image = &spec.container.as_ref().expect("a container").image;
    let _ = harness.target.engine.done("DELETE", &format!("/images/{image}?force=1"), None);
}

#[tokio::test]
async fn replicas_that_start_together_build_once() {
    for harness in harnesses() {
        let spec = built(&harness, "FROM muster-test/busybox:1\nRUN echo built\nCMD [\"true\"]\n");
        let runs = [harness.run("one"), harness.run("two"), harness.run("three")];
        let [one, two, three] = &runs;
        let (one, two, three) =
            tokio::join!(prepare(&harness, one, &spec), prepare(&harness, two, &spec), prepare(&harness, three, &spec));
        let all = [one, two, three];
        let fresh: Vec<_> = all.iter().filter(|(built, _)| matches!(built, Ok(Built::Now))).collect();
        assert_eq!(fresh.len(), 1, "{}: {all:?}", harness.target.name);
        assert!(fresh[0].1.contains("building image") && fresh[0].1.contains("built"), "{all:?}");
        let same = all.iter().filter(|(built, said)| matches!(built, Ok(Built::Before)) && said.is_empty());
        assert_eq!(same.count(), 2, "{}: {all:?}", harness.target.name);
        // nothing of a run that was prepared and never started is in the way
        for run in &runs {
            assert_eq!(harness.driver().recover(run, None).await, Found::Absent);
            harness.driver().destroy(run).await.expect("nothing is left");
        }
        remove(&harness, &spec);
    }
}

#[tokio::test]
async fn a_restart_takes_the_image_as_it_was_built() {
    for harness in harnesses() {
        let mut spec = built(&harness, "FROM muster-test/busybox:1\nCMD [\"true\"]\n");
        let (first, _) = prepare(&harness, &harness.run("one"), &spec).await;
        assert_eq!(first.expect("a build"), Built::Now);
        spec = built(&harness, "FROM muster-test/busybox:1\nRUN echo why; exit 3\n");
        spec.container.as_mut().expect("a container").as_built = true;
        let (again, said) = prepare(&harness, &harness.run("two"), &spec).await;
        assert_eq!((again.expect("no build"), said.as_str()), (Built::Before, ""));
        spec.container.as_mut().expect("a container").as_built = false;
        let (wrong, said) = prepare(&harness, &harness.run("three"), &spec).await;
        let reason = wrong.expect_err("the step fails").to_string();
        let (image, step) = ("` cannot be built: at `RUN echo why; exit 3`: ", "ended with code 3; it said: why");
        assert!(reason.contains(image) && reason.contains(step), "{}: {reason}", harness.target.name);
        assert!(said.contains("\nwhy\n"), "{said}");
        remove(&harness, &spec);
    }
}

#[tokio::test]
async fn whoever_gives_up_ends_the_build() {
    let Some(target) = Target::docker() else { return };
    let harness = ContainerHarness::new(&target);
    let spec = built(&harness, "FROM muster-test/busybox:1\nRUN echo begun; sleep 300\n");
    let run = harness.run("long");
    let (heard, mut pieces) = mpsc::channel(4);
    let driver = harness.driver();
    let mut preparing = driver.prepare(&run, &spec, Some(heard));
    let deadline = Instant::now() + SOON;
    let mut said = String::new();
    while !said.contains("\nbegun") {
        tokio::select! {
            built = &mut preparing => panic!("{built:?} after {said}"),
            Some(piece) = pieces.recv() => said.push_str(&String::from_utf8_lossy(&piece)),
            () = tokio::time::sleep_until(deadline) => panic!("only {said}"),
        }
    }
    drop(preparing);
    let id = said.rsplit_once("Running in ").expect("the step's container").1[..12].to_owned();
    while harness.target.engine.container(&id).expect("an answer").is_some() {
        assert!(Instant::now() < deadline, "the step's container {id} is still there");
        sleep(LOOK).await;
    }
    assert_eq!(driver.recover(&run, None).await, Found::Absent);
}

#[tokio::test]
async fn what_needs_buildkit_is_built_by_the_command_line() {
    let Some(target) = Target::docker() else { return };
    let harness = ContainerHarness::new(&target);
    // of its own: what BuildKit has done before it does not do again
    let own = harness.run("kit").environment;
    let step = format!("RUN --mount=type=cache,target=/cache echo kit-$((6*7)) {own} | tee /cache/x");
    let spec = built(&harness, &format!("FROM muster-test/busybox:1\n{step}\n"));
    match prepare(&harness, &harness.run("kit"), &spec).await {
        (Ok(built), said) => {
            assert_eq!(built, Built::Now);
            assert!(said.contains("kit-42"), "{said}");
            let (again, _) = prepare(&harness, &harness.run("again"), &spec).await;
            assert_eq!(again.expect("nothing to do"), Built::Before);
            let failing = built_failing(&harness);
            let (failed, _) = prepare(&harness, &harness.run("failing"), &failing).await;
            let reason = failed.expect_err("the step fails").to_string();
            assert!(reason.contains("`RUN --mount=type=cache,target=/c echo why >&2; exit 3`"), "{reason}");
            assert!(reason.contains("ended with code 3; it said: why"), "{reason}");
        }
        // the `docker` of this PATH may have no BuildKit: then it is told, with what to do
        (Err(error), _) => {
            let reason = error.to_string();
            assert!(reason.contains("needs BuildKit") && reason.contains("install docker's buildx"), "{reason}");
            muster_testkit::skip("builds by BuildKit", "the `docker` on the PATH has no BuildKit");
        }
    }
    remove(&harness, &spec);
}

fn built_failing(harness: &ContainerHarness) -> InstanceSpec {
    built(harness, "FROM muster-test/busybox:1\nRUN --mount=type=cache,target=/c echo why >&2; exit 3\n")
}

/// A registry that lets nobody in, and tells what it was shown.
#[tokio::test]
async fn a_registry_is_shown_what_docker_login_wrote() {
    let Some(target) = Target::docker() else { return };
    let harness = ContainerHarness::new(&target);
    let registry = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = registry.local_addr().expect("an address");
    let (shown, mut seen) = mpsc::channel(16);
    std::thread::spawn(move || {
        for stream in registry.incoming().map_while(Result::ok) {
            let mut lines = std::io::BufRead::lines(std::io::BufReader::new(&stream));
            let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let told =
                head.iter().find_map(|line| line.to_lowercase().starts_with("authorization:").then(|| line.clone()));
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = std::io::Write::write_all(&mut &stream, answer.as_bytes());
            if let Some(told) = told {
                let _ = shown.blocking_send(told);
            }
        }
    });
    // `me:secret`
    let config = format!("{{\"auths\": {{\"{address}\": {{\"auth\": \"bWU6c2VjcmV0\"}}}}}}");
    let settings = harness.home().join("docker");
    fs::create_dir(&settings).expect("a folder");
    fs::write(settings.join("config.json"), config).expect("a file");
    let driver = harness.with_settings(&settings);
    let spec = spec(&format!("{address}/private/image:1"));
    let run = harness.run("private");
    let reason = driver.prepare(&run, &spec, None).await.expect_err("nobody gets in").to_string();
    assert!(reason.contains("cannot be pulled") && !reason.contains("secret"), "{reason}");
    let told = timeout(SOON, seen.recv()).await.expect("a request in time").expect("credentials");
    assert!(told.contains("Basic bWU6c2VjcmV0"), "{told}");
}
