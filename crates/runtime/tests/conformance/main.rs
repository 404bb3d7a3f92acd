//! All runtimes of this crate against all clauses of the contract.

mod containers;
mod harness;
mod hosts;
mod images;
#[cfg(target_os = "linux")]
mod namespace;
mod survival;

use harness::container::{ContainerHarness, Target};
use harness::fake::FakeHarness;
use harness::process::ProcessHarness;
use harness::remote::RemoteHarness;
use muster_runtime::conformance::{Report, check, table};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};

/// What came of each runtime; `None` where it is missing here.
static JUDGED: Mutex<Vec<Option<Report>>> = Mutex::new(Vec::new());
/// Tests that put something into it.
const RUNTIMES: usize = 5;

fn judge(report: Option<Report>) {
    let broken = report.as_ref().filter(|report| !report.failures().is_empty()).map(ToString::to_string);
    let mut judged = JUDGED.lock().unwrap_or_else(PoisonError::into_inner);
    judged.push(report);
    if judged.len() == RUNTIMES {
        let reports: Vec<Report> = judged.iter().flatten().cloned().collect();
        muster_testkit::shown(&format!("{}\n", table(&reports)));
    }
    drop(judged);
    if let Some(report) = broken {
        panic!("a clause is broken\n{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn fake() {
    judge(Some(check(&FakeHarness::new()).await));
}

#[tokio::test]
async fn process() {
    let harness = ProcessHarness::new();
    judge(Some(check(&harness).await));
}

#[tokio::test]
async fn docker() {
    let Some(target) = Target::docker() else { return judge(None) };
    judge(Some(check(&ContainerHarness::new(&target)).await));
}

#[tokio::test]
async fn podman() {
    let Some(target) = Target::podman() else { return judge(None) };
    judge(Some(check(&ContainerHarness::new(&target)).await));
}

#[tokio::test]
async fn remote() {
    let Some(sshd) = muster_testkit::components::sshd("conformance over ssh") else { return judge(None) };
    let host = muster_testkit::host::Host::local(&sshd).expect("the surroundings of the test");
    let harness = RemoteHarness::new(host);
    judge(Some(check(&harness).await));
}

/// Not a test: what services of the tests run where `sh` cannot do it.
#[test]
fn helper() {
    let Ok(task) = std::env::var(harness::process::HELPER) else { return };
    match task.split_once(' ') {
        Some(("listen", port)) => {
            let Ok(_bound) = TcpListener::bind(format!("127.0.0.1:{port}")) else { std::process::exit(9) };
            println!("up");
            wait_for_a_signal();
        }
        Some(("notify", text)) => {
            let socket = std::env::var("NOTIFY_SOCKET").expect("a NOTIFY_SOCKET in the environment");
            UnixDatagram::unbound().unwrap().send_to(text.as_bytes(), socket).expect("the surroundings of the test");
            wait_for_a_signal();
        }
        other => panic!("unknown task {other:?}"),
    }
}

fn wait_for_a_signal() {
    loop {
        std::thread::park();
    }
}
