//! A daemon that really dies: its runtime, tasks and connections are gone, and the next one finds everything.

use crate::harness::process::{argv, runtime};
use futures::StreamExt as _;
use muster_runtime::conformance::Program;
use muster_runtime::{Found, Handle, Known, ProcessRuntime, Runtime as _, RuntimeEvent, become_subreaper};
use muster_shim::Meta;
use muster_spec::{InstanceSpec, ResolvedCommand, RunId, SecretText, Signal, Target};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(5);

fn spec(program: &Program) -> InstanceSpec {
    let env = vec![("PATH".to_owned(), SecretText::new("/usr/bin:/bin".into()))];
    let command = ResolvedCommand { argv: argv(program), env, cwd: "/".into() };
    InstanceSpec { grace: Duration::from_secs(1), hash: "hash".into(), ..InstanceSpec::process(command) }
}

fn run(service: &str) -> RunId {
    format!("local-0000002a/{service}#1/1").parse().expect("an identity")
}

/// One daemon's life: everything it had is dropped at the end.
fn daemon<T>(home: &Path, life: impl AsyncFnOnce(&ProcessRuntime) -> T) -> T {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async { timeout(SOON, life(&runtime(home))).await.expect("it takes too long") })
}

async fn ended(runtime: &ProcessRuntime, handle: &Handle) -> Known {
    let mut events = runtime.watch(handle);
    while let Some(event) = events.next().await {
        if let RuntimeEvent::Exited(record) = event {
            return record.exit;
        }
    }
    panic!("no end was told");
}

async fn says(runtime: &ProcessRuntime, handle: &Handle, wanted: &[u8]) {
    while !runtime.logs(handle, 0).await.expect("a log").iter().any(|chunk| chunk.bytes.starts_with(wanted)) {
        tokio::time::sleep(LOOK).await;
    }
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().expect("`kill`").success());
}

fn meta(home: &Path, service: &str) -> Meta {
    let folder = home.join(format!("state/local-0000002a/{service}#1/1"));
    Meta::read(&folder).expect("a readable record").expect("a record")
}

#[test]
fn runs_and_exit_codes_survive() {
    let home = TempDir::new().unwrap();
    let (up, over) = (run("up"), run("over"));
    let handle = daemon(home.path(), async |runtime| {
        runtime.start(&over, &spec(&Program::Exits(100, 7))).await.unwrap();
        let handle = runtime.start(&up, &spec(&Program::OnTerm(3))).await.unwrap();
        says(runtime, &handle, b"up").await;
        handle
    });
    daemon(home.path(), async |runtime| {
        // the runtime folder vanished at a logout: the socket is bound again
        fs::remove_dir_all(home.path().join("run")).unwrap();
        assert_eq!(runtime.recover(&up, Some(&handle)).await, Found::Running(handle.clone()));
        // ends while nobody looks, or after: the code is the same
        while matches!(runtime.recover(&over, None).await, Found::Running(_)) {
            tokio::time::sleep(LOOK).await;
        }
        match runtime.recover(&over, None).await {
            Found::Exited(record) => assert_eq!(record.exit, Known::Code(7)),
            other => panic!("{other:?}"),
        }
        assert_eq!(runtime.start(&up, &spec(&Program::OnTerm(3))).await.unwrap(), handle);
        runtime.signal(&handle, Signal::TERM, Target::Group).await.unwrap();
        assert_eq!(ended(runtime, &handle).await, Known::Code(3));
        for run in [&up, &over] {
            runtime.destroy(run).await.unwrap();
        }
        assert_eq!(runtime.list(&up.environment).await.unwrap(), []);
    });
}

#[test]
fn what_a_supervisor_left_is_ended_by_the_next_daemon() {
    let home = TempDir::new().unwrap();
    let run = run("both");
    let handle = daemon(home.path(), async |runtime| {
        let handle = runtime.start(&run, &spec(&Program::OnTerm(0))).await.unwrap();
        says(runtime, &handle, b"up").await;
        handle
    });
    kill("-9", meta(home.path(), "both").shim_pid);
    daemon(home.path(), async |runtime| {
        match runtime.recover(&run, Some(&handle)).await {
            Found::Exited(record) => assert_eq!(record.exit, Known::Unknown),
            other => panic!("{other:?}"),
        }
        assert!(!Path::new(&format!("/proc/{}/cwd/.", handle.pid.unwrap())).exists());
        says(runtime, &handle, b"up").await;
    });
}

#[test]
fn a_supervisor_that_does_not_answer_is_left_alone() {
    let home = TempDir::new().unwrap();
    let run = run("stopped");
    let handle = daemon(home.path(), async |runtime| runtime.start(&run, &spec(&Program::Forever)).await.unwrap());
    let shim = meta(home.path(), "stopped").shim_pid;
    kill("-STOP", shim);
    daemon(home.path(), async |runtime| {
        let found = runtime.recover(&run, Some(&handle)).await;
        assert!(matches!(found, Found::Unverifiable(_)), "{found:?}");
        assert!(runtime.kill(&handle).await.is_err());
        kill("-CONT", shim);
        assert_eq!(runtime.recover(&run, None).await, Found::Running(handle.clone()));
        runtime.kill(&handle).await.unwrap();
        assert_eq!(ended(runtime, &handle).await, Known::Signal(9));
    });
}

#[test]
fn the_last_bytes_and_the_tree_of_a_killed_supervisor() {
    become_subreaper().unwrap();
    let home = TempDir::new().unwrap();
    daemon(home.path(), async |runtime| {
        let run = run("salvage");
        let told = home.path().join("told");
        let mut spec = spec(&Program::Forever);
        let trap = format!("trap 'echo usr1; : >{}' USR1; echo up; while :; do sleep 0.05; done", told.display());
        spec.command.argv = ["/bin/sh", "-c", &trap].map(str::to_owned).into();
        let handle = runtime.start(&run, &spec).await.unwrap();
        says(runtime, &handle, b"up").await;
        // growth is told once the supervisor took our requests, the one for its pipes among them
        let mut events = runtime.watch(&handle);
        while !matches!(events.next().await, Some(RuntimeEvent::LogGrew(_))) {}
        let shim = meta(home.path(), "salvage").shim_pid;
        // what the service writes from here on only stands in the pipe
        kill("-STOP", shim);
        kill("-USR1", handle.pid.unwrap());
        while !told.exists() {
            tokio::time::sleep(LOOK).await;
        }
        let begin = std::time::Instant::now();
        kill("-9", shim);
        assert_eq!(ended(runtime, &handle).await, Known::SupervisorKilled);
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        let chunks = runtime.logs(&handle, 0).await.unwrap();
        let text: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.bytes).collect();
        assert_eq!(String::from_utf8_lossy(&text), "up\nusr1\n");
    });
}
