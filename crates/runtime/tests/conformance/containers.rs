//! What only containers have, and what goes wrong with images, names, ports, volumes and engines: on every engine there is.

use crate::harness::container::{ContainerHarness, HEALTH_IMAGE, Target, runtime, spec};
use futures::StreamExt as _;
use muster_runtime::{ContainerRuntime, ExitRecord, Found, Handle, Known, Runtime as _, RuntimeEvent, StartError};
use muster_spec::{
    ByteSize, EngineHealth, ImageBuild, InstanceSpec, Mount, MountSource, PublishedPort, PullPolicy, RunId, SecretText,
    Streams, VolumeSource,
};
use muster_testkit::docker::PrivateDocker;
use muster_testkit::engine::encode;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// A test on each engine.
macro_rules! on_engines {
    ($($name:ident),* $(,)?) => {
        mod docker {
            $(#[tokio::test]
            async fn $name() {
                if let Some(target) = super::Target::docker() {
                    super::$name(&super::ContainerHarness::new(&target)).await;
                }
            })*
        }
        mod podman {
            $(#[tokio::test]
            async fn $name() {
                if let Some(target) = super::Target::podman() {
                    super::$name(&super::ContainerHarness::new(&target)).await;
                }
            })*
        }
    };
}

on_engines! {
    an_image_that_is_not_there,
    a_build_and_one_that_fails,
    a_name_and_a_port_that_are_taken,
    names_in_the_network_and_what_down_leaves,
    a_second_network_of_the_same_name,
    a_network_that_goes_away,
    ended_past_us,
    the_engines_health_check,
    limits,
    a_log_goes_on_after_our_death,
    a_terminal_without_line_ends,
    the_engine_goes_away_and_comes_back,
}

async fn ended(driver: &ContainerRuntime, handle: &Handle) -> ExitRecord {
    let mut events = driver.watch(handle);
    let end = async {
        while let Some(event) = events.next().await {
            if let RuntimeEvent::Exited(record) = event {
                return record;
            }
        }
        panic!("no end was told");
    };
    timeout(SOON, end).await.expect("an end in time")
}

async fn text(driver: &ContainerRuntime, handle: &Handle) -> String {
    let chunks = driver.logs(handle, 0).await.expect("a log");
    let bytes: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.bytes).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn says(driver: &ContainerRuntime, handle: &Handle, wanted: &str) {
    let deadline = Instant::now() + SOON;
    loop {
        let found = text(driver, handle).await;
        if found.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "it never said {wanted:?}, but {found:?}");
        sleep(LOOK).await;
    }
}

async fn output(driver: &ContainerRuntime, run: &RunId, spec: &InstanceSpec) -> (String, ExitRecord) {
    let handle = driver.start(run, spec).await.expect("a start");
    let record = ended(driver, &handle).await;
    let text = text(driver, &handle).await;
    driver.destroy(run).await.expect("nothing is left");
    (text, record)
}

async fn refused(driver: &ContainerRuntime, run: &RunId, spec: &InstanceSpec) -> String {
    match driver.start(run, spec).await {
        Err(StartError::Permanent { reason, .. }) => reason,
        other => panic!("the start gave {other:?}"),
    }
}

fn container(spec: &mut InstanceSpec) -> &mut muster_spec::ContainerRun {
    spec.container.as_mut().expect("a container")
}

async fn an_image_that_is_not_there(harness: &ContainerHarness) {
    let (driver, run) = (harness.driver(), harness.run("image"));
    let mut never = spec("muster-test/nobody-has-it:1");
    container(&mut never).pull = PullPolicy::Never;
    let reason = refused(&driver, &run, &never).await;
    assert!(reason.contains("`muster-test/nobody-has-it:1`") && reason.contains("pull_policy: never"), "{reason}");
    // no registry can be reached from a test
    let reason = refused(&driver, &run, &spec("127.0.0.1:9/nobody/has-it:1")).await;
    assert!(reason.contains("cannot be pulled") && reason.contains("127.0.0.1:9/nobody/has-it:1"), "{reason}");
    assert_eq!(driver.recover(&run, None).await, Found::Absent);
    let said = muster_runtime_log(harness, "image");
    assert!(said.contains("pulling image 127.0.0.1:9/nobody/has-it:1"), "{said}");
}

/// A run's log where there is no handle to ask with.
fn muster_runtime_log(harness: &ContainerHarness, name: &str) -> String {
    let run = harness.run(name);
    let folder = harness.home().join(format!("state/{}/{name}#1/1", run.environment));
    let items = muster_logs::Reader::new(&folder).read(0, 1 << 20).expect("a log").items;
    let bytes = items.into_iter().flat_map(|item| match item {
        muster_logs::Item::Chunk(chunk) => chunk.bytes,
        muster_logs::Item::Gap(_) => Vec::new(),
    });
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}

async fn a_build_and_one_that_fails(harness: &ContainerHarness) {
    let (driver, run) = (harness.driver(), harness.run("build"));
    let context = harness.home().join("context");
    fs::create_dir(&context).expect("a folder");
    fs::write(
        context.join("Dockerfile"),
        "FROM muster-test/busybox:1\nARG WORD\nCOPY word /word\nRUN echo $WORD >>/word\n",
    )
    .expect("a file");
    fs::write(context.join("word"), "first\n").expect("a file");
    let tag = format!("muster-test/built-{}:1", run.environment);
    let mut wanted = spec(&tag);
    let args = [("WORD".to_owned(), Some("second".to_owned()))].into_iter().collect();
    container(&mut wanted).build = Some(ImageBuild { context: context.clone(), args, ..ImageBuild::default() });
    container(&mut wanted).entrypoint = Some(["/bin/cat", "/word"].map(str::to_owned).to_vec());
    let (said, record) = output(&driver, &run, &wanted).await;
    assert_eq!(record.exit, Known::Code(0), "{said}");
    assert!(said.contains("building image") && said.ends_with("first\nsecond\n"), "{said}");
    // what did not change is not built again
    let again = RunId { number: 2, ..run.clone() };
    assert_eq!(output(&driver, &again, &wanted).await.0, "first\nsecond\n");
    fs::write(context.join("Dockerfile"), "FROM muster-test/busybox:1\nRUN echo it breaks here; exit 3\n")
        .expect("a file");
    let third = RunId { number: 3, ..run.clone() };
    let reason = refused(&driver, &third, &wanted).await;
    assert!(reason.contains("cannot be built") && reason.contains("it breaks here"), "{reason}");
    harness.target.engine.done("DELETE", &format!("/images/{tag}?force=true"), None).expect("no image is left");
}

async fn a_name_and_a_port_that_are_taken(harness: &ContainerHarness) {
    let (driver, run) = (harness.driver(), harness.run("taken"));
    let name = format!("taken-by-{}", run.environment);
    let mut theirs = harness.script("exec sleep 600");
    container(&mut theirs).options.container_name = Some(name.clone());
    let first = driver.start(&harness.run("first"), &theirs).await.expect("a start");
    let reason = refused(&driver, &run, &theirs).await;
    assert!(reason.contains(&format!("`{name}` is taken")) && reason.contains("docker rm -f"), "{reason}");
    driver.kill(&first).await.expect("it lives");
    ended(&driver, &first).await;

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = taken.local_addr().expect("an address").port();
    let mut published = harness.script("exec sleep 600");
    let port = PublishedPort { name: "web".into(), container: 80, host, address: "127.0.0.1".into(), udp: false };
    container(&mut published).publish = vec![port];
    match driver.start(&run, &published).await {
        Err(StartError::Transient(reason)) => assert!(reason.contains("is taken"), "{reason}"),
        other => panic!("the start gave {other:?}"),
    }
    drop(taken);
    // the same run again, as the engine tries it after a pause
    let handle = driver.start(&run, &published).await.expect("the port is free");
    driver.kill(&handle).await.expect("it lives");
    ended(&driver, &handle).await;
}

async fn names_in_the_network_and_what_down_leaves(harness: &ContainerHarness) {
    let (driver, engine) = (harness.driver(), &harness.target.engine);
    let environment = harness.run("x").environment;
    let mut server = harness.script("echo hello >/data/index.html; exec httpd -f -p 8080 -h /data");
    let data = MountSource::Volume(VolumeSource { name: "data".into(), ..VolumeSource::default() });
    container(&mut server).mounts = vec![
        Mount { source: data, target: "/data".into(), read_only: false },
        Mount { source: MountSource::Anonymous, target: "/anonymous".into(), read_only: false },
    ];
    container(&mut server).aliases = vec!["web".into()];
    let server = driver.start(&harness.run("server"), &server).await.expect("a start");
    assert!(server.address.is_some(), "no address is known");
    let get = "for name in server web; do until timeout 2 wget -qO- http://$name:8080/ ; do sleep 0.1; done; done; \
               cat /secret; grep host.muster.internal /etc/hosts | cut -f1";
    let mut client = harness.script(get);
    container(&mut client).hosts = vec![("host.muster.internal".into(), "host-gateway".into())];
    let content = MountSource::Content { text: "written\n".into(), mode: None };
    container(&mut client).mounts = vec![Mount { source: content, target: "/secret".into(), read_only: true }];
    let gateway = driver.gateway(&environment).await.expect("a network").expect("a gateway");
    let (said, _) = output(&driver, &harness.run("client"), &client).await;
    assert_eq!(said, format!("hello\nhello\nwritten\n{gateway}\n"));
    driver.kill(&server).await.expect("it lives");
    ended(&driver, &server).await;
    driver.destroy(&server.run).await.expect("nothing is left");

    driver.leave(&environment).await.expect("a network that nobody uses");
    driver.leave(&environment).await.expect("twice is once");
    let label = format!("dev.muster.environment={environment}");
    let volume = format!("volume muster-{environment}_data");
    assert_eq!(engine.labelled(&label).expect("a list"), [volume]);
    // somebody else uses it
    let user = format!("holds-{environment}");
    let body = serde_json::json!({
        "Image": "muster-test/busybox:1", "HostConfig": {"Binds": [format!("muster-{environment}_data:/data")]}
    });
    engine.post(&format!("/containers/create?name={user}"), &body).expect("a container");
    let in_use = driver.remove_data(&environment).await.expect_err("a volume in use").to_string();
    engine.remove(&user).expect("removed");
    assert!(in_use.contains("is in use"), "{in_use}");
    driver.remove_data(&environment).await.expect("nobody uses it");
    assert_eq!(engine.labelled(&label).expect("a list"), Vec::<String>::new());
}

/// Docker gives a name twice: to somebody else, and to a dead daemon whose request was still under way.
async fn a_second_network_of_the_same_name(harness: &ContainerHarness) {
    let (driver, engine) = (harness.driver(), &harness.target.engine);
    let environment = harness.run("x").environment;
    let name = format!("muster-{environment}");
    let make = |labels: &Value| {
        let body = serde_json::json!({ "Name": name, "Labels": labels });
        let made = engine.post("/networks/create", &body).expect("a network");
        let made: Value = serde_json::from_slice(&made.body).expect("a document");
        made["Id"].as_str().expect("an identity").to_owned()
    };
    let theirs = make(&serde_json::json!({}));
    let script = harness.script("echo hello >/tmp/index.html; exec httpd -f -p 8080 -h /tmp");
    if harness.target.name == "podman" {
        let reason = refused(&driver, &harness.run("server"), &script).await;
        engine.done("DELETE", &format!("/networks/{theirs}"), None).expect("it is theirs");
        assert!(reason.contains("belongs to somebody else"), "{reason}");
        return;
    }
    driver.gateway(&environment).await.expect("a network beside theirs");
    let label = format!("dev.muster.environment={environment}");
    let filter = encode(&serde_json::json!({ "label": [label] }).to_string());
    let ours = engine.get(&format!("/networks?filters={filter}")).expect("a list");
    let younger = make(&ours[0]["Labels"]);
    let user = format!("is-for-{environment}");
    let body = serde_json::json!({
        "Image": "muster-test/busybox:1", "HostConfig": { "NetworkMode": younger },
        "NetworkingConfig": { "EndpointsConfig": { &younger: { "NetworkID": younger } } },
    });
    engine.post(&format!("/containers/create?name={user}"), &body).expect("a container");

    let server = runtime(harness.home()).start(&harness.run("server"), &script).await.expect("a start");
    engine.remove(&user).expect("removed");
    let found = engine.container(&server.identity).expect("an answer").expect("a container");
    assert_eq!(found["NetworkSettings"]["Networks"][&name]["NetworkID"], younger, "not where a container is made for");
    assert!(server.address.is_some(), "no address is known");
    let get = harness.script("until timeout 2 wget -qO- http://server:8080/; do sleep 0.1; done");
    let (said, _) = output(&runtime(harness.home()), &harness.run("client"), &get).await;
    assert_eq!(said, "hello\n");
    driver.kill(&server).await.expect("it lives");
    ended(&driver, &server).await;
    driver.destroy(&server.run).await.expect("nothing is left");
    driver.leave(&environment).await.expect("both are left");
    assert_eq!(engine.labelled(&label).expect("a list"), Vec::<String>::new());
    engine.done("DELETE", &format!("/networks/{theirs}"), None).expect("theirs is still there");
}

async fn a_network_that_goes_away(harness: &ContainerHarness) {
    let (driver, engine) = (harness.driver(), &harness.target.engine);
    let (run, spec) = (harness.run("late"), harness.script("echo here"));
    driver.gateway(&run.environment).await.expect("a network");
    engine.done("DELETE", &format!("/networks/muster-{}", run.environment), None).expect("nobody is in it");
    // Docker tells it when the container starts, which the engine tries again; Podman when it is made
    match driver.start(&run, &spec).await {
        Err(StartError::Transient(reason)) => assert!(reason.ends_with("not found"), "{reason}"),
        other => assert!(other.is_ok(), "{other:?}"),
    }
    let (said, _) = output(&driver, &run, &spec).await;
    assert_eq!(said, "here\n");
    driver.leave(&run.environment).await.expect("a network that nobody uses");
}

async fn ended_past_us(harness: &ContainerHarness) {
    let (driver, engine) = (harness.driver(), &harness.target.engine);
    let killed = driver.start(&harness.run("killed"), &harness.script("exec sleep 600")).await.expect("a start");
    engine.done("POST", &format!("/containers/{}/kill?signal=KILL", killed.identity), None).expect("killed");
    assert_eq!(ended(&driver, &killed).await.exit, Known::Signal(9));
    driver.destroy(&killed.run).await.expect("nothing is left");

    let script = harness.script("echo up; exec sleep 600");
    let removed = driver.start(&harness.run("removed"), &script).await.expect("a start");
    says(&driver, &removed, "up").await;
    engine.remove(&removed.identity).expect("removed");
    let record = ended(&driver, &removed).await;
    assert_eq!((record.exit.clone(), record.note.as_deref()), (Known::Removed, Some("removed by someone else")));
    assert_eq!(text(&driver, &removed).await, "up\n");
    assert_eq!(driver.recover(&removed.run, None).await, Found::Exited(record));
    driver.destroy(&removed.run).await.expect("nothing is left");

    // while nobody looked
    let gone = driver.start(&harness.run("gone"), &script).await.expect("a start");
    let successor = runtime(harness.home());
    engine.remove(&gone.identity).expect("removed");
    match successor.recover(&gone.run, Some(&gone)).await {
        Found::Exited(record) => assert_eq!(record.exit, Known::Removed),
        other => panic!("{other:?}"),
    }
}

async fn the_engines_health_check(harness: &ContainerHarness) {
    let driver = harness.driver();
    let health = async |handle: &Handle| {
        let mut events = driver.watch(handle);
        let told = async {
            while let Some(event) = events.next().await {
                if let RuntimeEvent::Health(health) = event {
                    return health;
                }
            }
            panic!("nothing was told");
        };
        timeout(SOON, told).await.expect("its health in time")
    };
    let without = driver.start(&harness.run("without"), &harness.script("exec sleep 600")).await.expect("a start");
    assert_eq!(health(&without).await, EngineHealth::Unchecked, "a missing health check is not unhealthy");
    let with = driver.start(&harness.run("with"), &spec(HEALTH_IMAGE)).await.expect("a start");
    assert_eq!(health(&with).await, EngineHealth::Healthy, "it never was healthy");
    for handle in [without, with] {
        driver.kill(&handle).await.expect("it lives");
        ended(&driver, &handle).await;
    }
}

async fn limits(harness: &ContainerHarness) {
    let driver = harness.driver();
    let can = driver.capabilities();
    let mut limited = harness.script("ulimit -n; cat /proc/self/cgroup | cut -d: -f2 | tr '\\n' ' '; exec sleep 600");
    limited.limits.memory = Some(ByteSize::from_mib(16));
    limited.limits.cpus = Some(0.5);
    limited.limits.pids = Some(50);
    limited.limits.files = Some(99);
    assert_eq!(driver.validate(&limited), []);
    let handle = driver.start(&harness.run("limited"), &limited).await.expect("a start");
    says(&driver, &handle, "99\n").await;
    let found = harness.target.engine.container(&handle.identity).expect("an answer").expect("a container");
    let host = &found["HostConfig"];
    assert_eq!(host["Memory"].as_i64(), Some(16 << 20));
    assert_eq!(host["PidsLimit"].as_i64(), Some(50));
    assert!(host["NanoCpus"].as_i64() == Some(500_000_000) || host["CpuQuota"].as_i64() == Some(50_000), "{host}");
    let known = driver.inspect(&handle).await.expect("it lives");
    assert!(known.usage.is_some_and(|usage| usage.memory_bytes > 0 && usage.memory_bytes < 16 << 20), "{known:?}");
    driver.kill(&handle).await.expect("it lives");
    ended(&driver, &handle).await;
    assert!(can.len() > 5, "{can:?}");

    let mut greedy = harness.script("x=$(yes | head -c 100000000); echo never");
    greedy.limits.memory = Some(ByteSize::from_mib(16));
    let (said, record) = output(&driver, &harness.run("greedy"), &greedy).await;
    assert!(!said.contains("never"), "{said}");
    assert_ne!(record.exit, Known::Code(0));
    if record.note.is_none() {
        // an engine sees it only where the container's first process is the one that was ended
        eprintln!("{}: out of memory was not told: {:?}", harness.target.name, record.exit);
    }
}

/// Numbered lines while daemons come and go: each exactly once.
async fn a_log_goes_on_after_our_death(harness: &ContainerHarness) {
    const LINES: usize = 4000;
    let script = format!(
        "n=0; while [ $n -lt {LINES} ]; do echo \"line $n hunter2\"; n=$((n + 1)); [ $((n % 50)) = 0 ] && sleep 0.02; done"
    );
    let (home, run) = (harness.home().to_owned(), harness.run("log"));
    let mut wanted = harness.script(&script);
    wanted.secrets = vec![SecretText::new("hunter2".into())];
    let handle = harness.driver().start(&run, &wanted).await.expect("a start");
    let secrets = wanted.secrets.clone();
    for _ in 0..6 {
        let (home, handle, secrets) = (home.clone(), handle.clone(), secrets.clone());
        let life = move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            tokio.block_on(async {
                let driver = runtime(&home);
                driver.remember_secrets(&handle.run, &secrets);
                driver.recover(&handle.run, Some(&handle)).await;
                sleep(Duration::from_millis(150)).await;
            });
            // whatever it was doing is dropped in the middle
        };
        tokio::task::spawn_blocking(life).await.expect("a daemon's life");
    }
    let record = ended(&harness.driver(), &handle).await;
    let said = text(&harness.driver(), &handle).await;
    let whole: String = (0..LINES).map(|n| format!("line {n} *******\n")).collect();
    assert_eq!(record.log_bytes, whole.len() as u64);
    assert!(said == whole, "lines are missing or doubled: {} bytes for {}", said.len(), whole.len());
}

async fn a_terminal_without_line_ends(harness: &ContainerHarness) {
    let mut wanted = harness.script("printf 'a prompt> '; head -c 40000 /dev/zero | tr '\\0' x; printf 'end'");
    wanted.streams = Streams::Terminal;
    let (said, _) = output(&harness.driver(), &harness.run("tty"), &wanted).await;
    let whole = format!("a prompt> {}end", "x".repeat(40_000));
    assert!(said == whole, "{} bytes for {}: {:.60}", said.len(), whole.len(), said);
    // without a terminal as well: one line in several messages
    let plain = harness.script("head -c 40000 /dev/zero | tr '\\0' x; echo; printf end");
    let (said, _) = output(&harness.driver(), &harness.run("plain"), &plain).await;
    assert!(said == format!("{}\nend", "x".repeat(40_000)), "{} bytes: {:.60}", said.len(), said);
}

/// The way to it is cut and restored: nothing of the container changed.
async fn the_engine_goes_away_and_comes_back(harness: &ContainerHarness) {
    let driver = runtime(harness.home());
    let before = runtime(harness.home());
    let script = harness.script("echo up; exec sleep 600");
    let handle = before.start(&harness.run("away"), &script).await.expect("a start");
    drop(before);
    let (way, away) = (harness.home().join("engine.sock"), harness.home().join("elsewhere"));
    fs::rename(&way, &away).expect("a link");
    let mut events = driver.watch(&handle);
    let lost = timeout(SOON, events.next()).await.expect("an event").expect("an event");
    assert!(matches!(&lost, RuntimeEvent::LinkLost(reason) if reason.contains("engine.sock")), "{lost:?}");
    fs::rename(&away, &way).expect("a link");
    let back = async {
        while let Some(event) = events.next().await {
            if event == RuntimeEvent::LinkBack {
                return;
            }
        }
        panic!("it did not come back");
    };
    timeout(SOON, back).await.expect("back in time");
    says(&driver, &handle, "up").await;
    driver.kill(&handle).await.expect("it lives");
    assert_eq!(ended(&driver, &handle).await.exit, Known::Signal(9));
}

/// Without `live-restore` a restarted engine ends its containers: the loss is told, then the end.
#[tokio::test]
async fn an_engine_that_is_restarted() {
    if Target::docker().is_none() {
        return;
    }
    let private = match PrivateDocker::start() {
        Ok(private) => private,
        Err(error) => return muster_testkit::skip("an engine that is restarted", &error.to_string()),
    };
    let harness = ContainerHarness::new(&Target { name: "private", engine: private.engine() });
    let driver = harness.driver();
    let handle = driver.start(&harness.run("one"), &harness.script("echo up; exec sleep 600")).await.expect("a start");
    says(&driver, &handle, "up").await;
    let mut events = driver.watch(&handle);
    private.daemon().stop().expect("it ends");
    let daemon = private.daemon();
    let mut told = Vec::new();
    let restarted = std::cell::Cell::new(false);
    let all = async {
        while let Some(event) = events.next().await {
            if matches!(event, RuntimeEvent::LinkLost(_)) && !restarted.replace(true) {
                daemon.start().expect("it comes back");
            }
            told.push(event);
        }
    };
    timeout(SOON * 2, all).await.expect("an end in time");
    let lost = told
        .iter()
        .any(|event| matches!(event, RuntimeEvent::LinkLost(why) if why.contains("engine unreachable since")));
    let exit = told.last();
    assert!(matches!(exit, Some(RuntimeEvent::Exited(record)) if record.exit != Known::Removed), "{told:?}");
    assert!(lost || !restarted.get(), "{told:?}");
    if !restarted.get() {
        daemon.start().expect("it comes back");
    }
    driver.destroy(&handle.run).await.expect("nothing is left");
}
