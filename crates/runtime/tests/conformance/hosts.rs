//! Hosts that cannot be reached, links that are cut, and what was brought there removed.

use crate::harness::process::{agent, command};
use crate::harness::remote::{RemoteHarness, runtime};
use futures::StreamExt as _;
use muster_runtime::conformance::Program;
use muster_runtime::{Found, Handle, Known, RemoteRuntime, Runtime as _, RuntimeError, RuntimeEvent, StartError};
use muster_sockets::Holder;
use muster_spec::{
    Address, InstanceSpec, Limits, LogPolicy, RemoteRun, ResolvedCommand, RunId, RunMode, RuntimeKind, Signal, Streams,
    SyncPath, Target, Tunnel, TunnelEnd,
};
use muster_testkit::components;
use muster_testkit::host::{Host, Plan};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

fn local(suite: &str) -> Option<RemoteHarness> {
    let sshd = components::sshd(suite)?;
    Some(RemoteHarness::new(Host::local(&sshd).expect("the surroundings of the test")))
}

fn namespaced(suite: &str, plan: Plan) -> Option<RemoteHarness> {
    let sshd = components::sshd(suite)?;
    match Host::make(&sshd, Plan { namespaced: true, ..plan }) {
        Ok(host) => Some(RemoteHarness::new(host)),
        Err(trouble) => {
            components::skip(suite, &trouble.to_string());
            None
        }
    }
}

fn run(service: &str) -> RunId {
    format!("local-0000002a/{service}#1/1").parse().expect("an identity")
}

fn spec(harness: &RemoteHarness, program: &Program) -> InstanceSpec {
    sh(harness, command(program))
}

fn sh(harness: &RemoteHarness, command: ResolvedCommand) -> InstanceSpec {
    InstanceSpec {
        runtime: RuntimeKind::Remote,
        mode: RunMode::Service,
        command,
        user: None,
        umask: None,
        streams: Streams::Separate,
        limits: Limits::default(),
        logs: LogPolicy::default(),
        stop_signal: Signal::TERM,
        stop_to: Target::Group,
        grace: Duration::from_secs(1),
        notify: false,
        secrets: Vec::new(),
        ports: Vec::new(),
        container: None,
        remote: Some(RemoteRun { host: harness.host.alias().to_owned(), sync: Vec::new(), tunnels: Vec::new() }),
        hash: "hash".into(),
    }
}

fn script(harness: &RemoteHarness, text: &str) -> InstanceSpec {
    let mut spec = spec(harness, &Program::Forever);
    spec.command.argv = ["/bin/sh", "-c", text].map(str::to_owned).into();
    spec
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come to be");
        sleep(LOOK).await;
    }
}

async fn text(runtime: &RemoteRuntime, handle: &Handle) -> String {
    let chunks = runtime.logs(handle, 0).await.expect("a log");
    assert!(chunks.iter().all(|chunk| chunk.gap == 0), "there is a gap");
    chunks.into_iter().map(|chunk| String::from_utf8(chunk.bytes).expect("text")).collect()
}

async fn ended(runtime: &RemoteRuntime, handle: &Handle) -> Known {
    let mut events = runtime.watch(handle);
    let end = async {
        while let Some(event) = events.next().await {
            if let RuntimeEvent::Exited(record) = event {
                return record.exit;
            }
        }
        panic!("no end was told");
    };
    timeout(SOON, end).await.expect("no end in time")
}

/// Waits for an event of this kind and gives what came before it.
async fn told(events: &mut (impl futures::Stream<Item = RuntimeEvent> + Unpin), wanted: fn(&RuntimeEvent) -> bool) {
    let wait = async {
        while let Some(event) = events.next().await {
            if wanted(&event) {
                return;
            }
        }
        panic!("the events ended");
    };
    timeout(SOON, wait).await.expect("not told in time");
}

/// Kills what runs from a folder of this test's own host, each by its pid.
fn kill_agents(harness: &RemoteHarness) {
    let folder = harness.host.home().join(".cache/muster/agent-").display().to_string();
    let ours = |pid: &str| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(folder.as_bytes())
    };
    let names =
        fs::read_dir("/proc").expect("processes").flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let pids: Vec<String> = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && ours(name)).collect();
    assert!(!pids.is_empty(), "no agent runs from {folder}");
    assert!(Command::new("kill").arg("-9").args(pids).status().expect("`kill`").success());
}

async fn refusal(harness: &RemoteHarness) -> StartError {
    let runtime = runtime(harness.home.path(), &harness.host);
    let started = runtime.start(&run("refused"), &spec(harness, &Program::Forever)).await;
    assert_eq!(runtime.recover(&run("refused"), None).await, Found::Absent);
    started.expect_err("it started")
}

fn permanent(error: StartError) -> String {
    match error {
        StartError::Permanent { reason, .. } => reason,
        StartError::Transient(reason) => panic!("it would be tried again: {reason}"),
    }
}

#[tokio::test]
async fn what_keeps_us_from_a_host_is_told_with_what_to_do() {
    let Some(harness) = local("faults of a host's keys") else { return };
    let host = &harness.host;
    host.forget_host_key().unwrap();
    let unknown = permanent(refusal(&harness).await);
    assert!(unknown.contains("is not known: run `ssh -F"), "{unknown}");
    host.know_host_key().unwrap();
    host.refuse_key().unwrap();
    let refused = permanent(refusal(&harness).await);
    assert!(refused.contains("accepts none of our keys") && refused.contains("ssh-copy-id"), "{refused}");
    host.accept_key().unwrap();
    host.change_host_key().unwrap();
    let changed = permanent(refusal(&harness).await);
    assert!(
        changed.contains("another key than the one that is known") && changed.contains("ssh-keygen -R"),
        "{changed}"
    );
    host.know_host_key().unwrap();
    host.stop_sshd().unwrap();
    match refusal(&harness).await {
        StartError::Transient(reason) => assert!(reason.contains("Connection refused"), "{reason}"),
        StartError::Permanent { reason, .. } => panic!("it would not be tried again: {reason}"),
    }
    host.start_sshd().unwrap();
    let runtime = runtime(harness.home.path(), host);
    let handle = runtime.start(&run("refused"), &spec(&harness, &Program::Forever)).await.unwrap();
    runtime.kill(&handle).await.unwrap();
    assert_eq!(ended(&runtime, &handle).await, Known::Signal(9));
}

#[tokio::test]
async fn a_lost_link_stops_nothing_and_loses_nothing() {
    let Some(harness) = local("a lost link") else { return };
    let runtime = runtime(harness.home.path(), &harness.host);
    let (up, over) = (run("up"), run("over"));
    let counting = "n=0; while [ $n -lt 3000 ]; do echo \"line $n\"; n=$((n + 1)); done; exec sleep 86400";
    let handle = runtime.start(&up, &script(&harness, counting)).await.unwrap();
    let short = runtime.start(&over, &spec(&harness, &Program::Exits(500, 7))).await.unwrap();
    let before = runtime.inspect(&handle).await.unwrap().pids;
    let mut events = runtime.watch(&handle);
    harness.host.stop_sshd().unwrap();
    kill_agents(&harness);
    told(&mut events, |event| matches!(event, RuntimeEvent::LinkLost(_))).await;
    let error = runtime.signal(&handle, Signal::TERM, Target::Group).await.expect_err("nobody can be asked");
    assert!(matches!(error, RuntimeError::Unavailable { .. }), "{error}");
    assert!(matches!(runtime.recover(&up, Some(&handle)).await, Found::Unverifiable(_)));
    harness.host.start_sshd().unwrap();
    told(&mut events, |event| *event == RuntimeEvent::LinkBack).await;
    assert_eq!(runtime.recover(&up, Some(&handle)).await, Found::Running(handle.clone()));
    assert_eq!(runtime.inspect(&handle).await.unwrap().pids, before);
    assert_eq!(ended(&runtime, &short).await, Known::Code(7));
    let wanted: String = (0..3000).map(|n| format!("line {n}\n")).collect();
    until("the whole log", async || text(&runtime, &handle).await.len() >= wanted.len()).await;
    assert_eq!(text(&runtime, &handle).await, wanted);
    runtime.kill(&handle).await.unwrap();
    assert_eq!(ended(&runtime, &handle).await, Known::Signal(9));
}

/// One daemon's life: everything it had is dropped at the end.
fn daemon<T>(life: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(life)
}

#[test]
fn a_daemon_that_finds_its_host_gone_waits_for_it() {
    let Some(harness) = local("a host that is gone when the daemon comes") else { return };
    let (up, over) = (run("up"), run("over"));
    let (handle, short) = daemon(async {
        let first = runtime(harness.home.path(), &harness.host);
        let handle = first.start(&up, &spec(&harness, &Program::OnTerm(3))).await.unwrap();
        (handle, first.start(&over, &spec(&harness, &Program::Exits(300, 9))).await.unwrap())
    });
    harness.host.stop_sshd().unwrap();
    // the connection outlived the daemon, its session did not
    end_master(&harness);
    daemon(second_daemon(&harness, [up, over], [handle, short]));
}

async fn second_daemon(harness: &RemoteHarness, [up, over]: [RunId; 2], [handle, short]: [Handle; 2]) {
    let second = runtime(harness.home.path(), &harness.host);
    let found = second.recover(&up, Some(&handle)).await;
    assert!(matches!(&found, Found::Unverifiable(reason) if reason.contains("cannot be reached")), "{found:?}");
    let mut events = second.watch(&handle);
    told(&mut events, |event| matches!(event, RuntimeEvent::LinkLost(_))).await;
    harness.host.start_sshd().expect("sshd starts again");
    told(&mut events, |event| *event == RuntimeEvent::LinkBack).await;
    assert_eq!(second.recover(&up, Some(&handle)).await, Found::Running(handle.clone()));
    match second.recover(&over, Some(&short)).await {
        Found::Exited(record) => assert_eq!(record.exit, Known::Code(9)),
        other => panic!("{other:?}"),
    }
    second.signal(&handle, Signal::TERM, Target::Group).await.expect("the run is there again");
    assert_eq!(ended(&second, &handle).await, Known::Code(3));
    assert_eq!(text(&second, &handle).await, "up\n");
}

fn end_master(harness: &RemoteHarness) {
    for entry in fs::read_dir(harness.home.path().join("run")).expect("sockets").flatten() {
        if entry.path().extension().is_none() {
            let mut exit = Command::new("ssh");
            exit.arg("-F").arg(harness.host.config()).arg("-S").arg(entry.path());
            assert!(exit.args(["-O", "exit", harness.host.alias()]).output().expect("`ssh`").status.success());
        }
    }
}

#[tokio::test]
async fn what_was_brought_is_brought_again_when_it_is_gone() {
    let Some(harness) = local("what was brought is gone") else { return };
    let cache = harness.host.home().join(".cache/muster");
    let files = || fs::read_dir(&cache).unwrap().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let first = runtime(harness.home.path(), &harness.host);
    let handle = first.start(&run("a"), &spec(&harness, &Program::Forever)).await.unwrap();
    assert_eq!(files().len(), 2, "the agent, the supervisor and nothing half");
    for file in files() {
        fs::remove_file(file).unwrap();
    }
    // the agent lives on and misses its supervisor, the next one is missing itself
    let other = first.start(&run("b"), &spec(&harness, &Program::Forever)).await.unwrap();
    let second = runtime(harness.home.path(), &harness.host);
    assert_eq!(second.recover(&handle.run, Some(&handle)).await, Found::Running(handle.clone()));
    assert_eq!(files().len(), 2);
    for handle in [handle, other] {
        second.kill(&handle).await.unwrap();
        assert_eq!(ended(&second, &handle).await, Known::Signal(9));
        second.destroy(&handle.run).await.unwrap();
    }
    second.leave(&run("a").environment).await.unwrap();
    first.leave(&run("a").environment).await.unwrap();
    until("the end of the connection", async || {
        fs::read_dir(harness.home.path().join("run")).unwrap().next().is_none()
    })
    .await;
}

#[tokio::test]
async fn files_and_tunnels_are_there_before_the_start() {
    let Some(harness) = local("files and tunnels") else { return };
    let runtime = runtime(harness.home.path(), &harness.host);
    let folder = harness.home.path().join("app");
    fs::create_dir_all(folder.join("conf")).unwrap();
    fs::write(folder.join("conf/word"), "one").unwrap();
    fs::write(folder.join("big"), vec![7; 300_000]).unwrap();
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = |port| Address { host: "127.0.0.1".to_owned(), port };
    let (near, far) = (free(), free());
    let mut spec = script(&harness, "cat app/conf/word; wc -c <app/big; exec sleep 86400");
    spec.command.cwd = "~".into();
    let remote = spec.remote.as_mut().unwrap();
    remote.sync = vec![SyncPath { local: folder.clone(), remote: "app".into() }];
    let to_here = at(here.local_addr().unwrap().port());
    remote.tunnels = vec![
        Tunnel { end: TunnelEnd::Far, listen: at(far), to: to_here },
        // through the host and back to the tunnel that leads here
        Tunnel { end: TunnelEnd::Near, listen: at(near), to: at(far) },
    ];
    let handle = runtime.start(&run("files"), &spec).await.unwrap();
    until("its words", async || text(&runtime, &handle).await == "one300000\n").await;
    let greeting = std::thread::spawn(move || here.accept().unwrap().0.write_all(b"hello").unwrap());
    let mut said = String::new();
    TcpStream::connect(("127.0.0.1", near)).unwrap().read_to_string(&mut said).unwrap();
    greeting.join().unwrap();
    assert_eq!(said, "hello");
    let untouched = fs::metadata(harness.host.home().join("app/big")).unwrap().modified().unwrap();
    runtime.kill(&handle).await.unwrap();
    ended(&runtime, &handle).await;
    runtime.destroy(&handle.run).await.unwrap();
    for port in [near, far] {
        // ssh asks a host to close a listener and waits for no answer
        until("the tunnel's end is gone", async || TcpStream::connect(("127.0.0.1", port)).is_err()).await;
    }
    fs::write(folder.join("conf/word"), "two").unwrap();
    let again = runtime.start(&run("again"), &spec).await.unwrap();
    until("its words", async || text(&runtime, &again).await == "two300000\n").await;
    assert_eq!(fs::metadata(harness.host.home().join("app/big")).unwrap().modified().unwrap(), untouched);
    runtime.kill(&again).await.unwrap();
    ended(&runtime, &again).await;
}

#[tokio::test]
async fn a_host_that_was_started_anew_has_no_pids_of_ours() {
    let Some(harness) = namespaced("a host that reboots", Plan::default()) else { return };
    let runtime = runtime(harness.home.path(), &harness.host);
    let handle = runtime.start(&run("up"), &spec(&harness, &Program::Forever)).await.unwrap();
    let mut events = runtime.watch(&handle);
    harness.host.reboot().unwrap();
    told(&mut events, |event| matches!(event, RuntimeEvent::Exited(record) if record.exit == Known::Unknown)).await;
    runtime.destroy(&handle.run).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_and_a_strange_machine_are_told() {
    let small = Plan { disk: Some(64 << 10), ..Plan::default() };
    let Some(harness) = namespaced("a host whose disk is full", small) else { return };
    let full = permanent(refusal(&harness).await);
    assert!(full.contains("is full"), "{full}");
    drop(harness);
    let strange = Plan { machine: Some("riscv64".into()), ..Plan::default() };
    let Some(harness) = namespaced("a host of another kind", strange) else { return };
    let strange = permanent(refusal(&harness).await);
    assert!(strange.contains("riscv64") && strange.contains("services can run on Linux"), "{strange}");
    assert!(agent().exists());
}

#[tokio::test]
async fn dropped_packets_are_a_lost_link() {
    let Some(harness) = namespaced("a cut link", Plan::default()) else { return };
    let runtime = runtime(harness.home.path(), &harness.host);
    let flood = "yes 0123456789abcdef | head -c 30000000; sleep 1; exit 5";
    let handle = runtime.start(&run("flood"), &script(&harness, flood)).await.unwrap();
    let quiet = runtime.start(&run("quiet"), &spec(&harness, &Program::Forever)).await.unwrap();
    let mut events = runtime.watch(&quiet);
    harness.host.namespace().cut().unwrap();
    told(&mut events, |event| matches!(event, RuntimeEvent::LinkLost(_))).await;
    harness.host.namespace().restore().unwrap();
    told(&mut events, |event| *event == RuntimeEvent::LinkBack).await;
    assert_eq!(ended(&runtime, &handle).await, Known::Code(5));
    let log = text(&runtime, &handle).await;
    assert_eq!(log.len(), 30_000_000);
    assert!(
        log.as_bytes().chunks(17).all(|line| b"0123456789abcdef\n".starts_with(line)),
        "bytes are missing or doubled"
    );
    assert_eq!(runtime.recover(&quiet.run, Some(&quiet)).await, Found::Running(quiet.clone()));
    runtime.kill(&quiet).await.unwrap();
    ended(&runtime, &quiet).await;
}

#[test]
fn ports_there_are_looked_at_before_a_start() {
    let Some(harness) = local("ports of a host") else { return };
    // free now: whoever takes it in between makes the first start fail, which tells it
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut listens = spec(&harness, &Program::Listens(port));
    listens.ports = vec![("http".to_owned(), port)];
    let first = daemon(async {
        let driver = runtime(harness.home.path(), &harness.host);
        let first = driver.start(&run("first"), &listens).await.unwrap();
        until("it listens", async || text(&driver, &first).await.contains("up")).await;
        first
    });
    daemon(async {
        // asked for again by who does not know whether it was: it holds its port itself
        let driver = runtime(harness.home.path(), &harness.host);
        assert_eq!(driver.start(&run("first"), &listens).await.unwrap(), first);
        let own = driver.holders(&first, &[port]).await.unwrap();
        assert!(matches!(own[..], [Holder::Tree(_)]), "{own:?}");

        let idle = driver.start(&run("idle"), &spec(&harness, &Program::Forever)).await.unwrap();
        let held = driver.holders(&idle, &[port]).await.unwrap();
        let [Holder::Other(Some(owner))] = &held[..] else { panic!("{held:?}") };
        assert!(driver.inspect(&first).await.unwrap().pids.contains(&owner.pid), "{owner}");

        let refused = driver.start(&run("second"), &listens).await.expect_err("it started");
        let StartError::Transient(reason) = refused else { panic!("{refused}") };
        assert_eq!(reason, format!("port {port} (http) on host `{}` is taken by {owner}", harness.host.alias()));
        assert_eq!(driver.recover(&run("second"), None).await, Found::Absent);
        for handle in [&first, &idle] {
            driver.kill(handle).await.unwrap();
            assert_eq!(ended(&driver, handle).await, Known::Signal(9));
        }
    });
}
