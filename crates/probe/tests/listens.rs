//! "Its own process tree listens", with own children and strangers.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_probe::{Outcome, ProbeContext, ResolvedCheck, attempt};
use muster_sockets::{Holder, Owner, listeners, port_owner, process_tree};
use std::io::{BufRead, BufReader, Lines, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);
const HELPER: &str = "PROBE_TEST_LISTENER";

/// Not a test by itself: what the tests below start. Listens until its input ends.
#[test]
fn listener_process() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\nlistens on {}", listener.local_addr().unwrap().port());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A shell whose child listens; both end when the test drops this.
struct Service {
    shell: Child,
    port: u16,
    /// Held: a helper that cannot write complains.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Service {
    fn start() -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", "exec 3<&0; \"$0\" --exact listener_process --nocapture <&3 & wait"])
            .arg(std::env::current_exe().unwrap())
            .env(HELPER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listens on ")?.parse().ok())
            .unwrap();
        Self { shell, port, _output: lines }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }
}

async fn ask(context: &ProbeContext, ports: &[u16]) -> Outcome {
    attempt(&ResolvedCheck::Listens(ports.to_vec()), context, LONG).await
}

#[tokio::test]
async fn a_descendant_that_listens_passes_and_is_looked_up_once() {
    let service = Service::start();
    let context = ProbeContext::new();
    context.set_pids(vec![service.shell.id()]);
    assert_eq!(ask(&context, &[service.port]).await, Outcome::Pass);
    context.set_pids(Vec::new());
    assert_eq!(ask(&context, &[service.port]).await, Outcome::Pass, "the socket is known by now");
    let port = service.port;
    drop(service);
    assert_eq!(ask(&context, &[port]).await, Outcome::Fail(format!("nothing listens on port {port}")));
}

#[tokio::test]
async fn a_stranger_is_named() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    let service = Service::start();
    let context = ProbeContext::new();
    context.set_pids(vec![service.shell.id()]);
    for _ in 0..2 {
        let Outcome::Fail(reason) = ask(&context, &[service.port, port]).await else { panic!("it passed") };
        let start = format!("port {port} is held by pid {} (", std::process::id());
        assert!(reason.starts_with(&start) && reason.ends_with("), not by this service"), "{reason}");
    }
}

#[tokio::test]
async fn another_machine_says_whose_its_ports_are() {
    let context = ProbeContext::new();
    let nobody = Outcome::Fail("it cannot be asked there".to_owned());
    assert_eq!(attempt(&ResolvedCheck::ListensThere(vec![1]), &context, LONG).await, nobody);
    let held = |ports: Vec<u16>| -> futures::future::BoxFuture<'static, Result<Vec<Holder>, String>> {
        let of = |port: u16| match port {
            1 => Holder::Tree(7),
            2 => Holder::Other(Some(Owner { pid: 4, command: "nginx".to_owned() })),
            3 => Holder::Other(None),
            4 => Holder::Hidden,
            _ => Holder::Nobody,
        };
        // one that does not answer for all is not believed
        let holders = ports.into_iter().filter(|port| *port != 9).map(of).collect();
        Box::pin(std::future::ready(Ok(holders)))
    };
    context.set_there("db1", Arc::new(held));
    let fails = |reason: &str| Outcome::Fail(reason.to_owned());
    let named = "port 2 on host `db1` is held by pid 4 (nginx), not by this service";
    for (ports, outcome) in [
        (vec![1, 4], Outcome::Pass),
        (vec![1, 2], fails(named)),
        (vec![3], fails("port 3 on host `db1` is held by a process that cannot be seen, not by this service")),
        (vec![5, 2], fails(&format!("nothing listens on port 5 on host `db1`; {named}"))),
        (vec![1, 9], fails("host `db1` answered for 1 of 2 ports")),
    ] {
        assert_eq!(attempt(&ResolvedCheck::ListensThere(ports), &context, LONG).await, outcome);
    }
    // a connection is accepted by whoever listens
    for port in [1, 2, 3, 4] {
        assert_eq!(attempt(&ResolvedCheck::TcpThere(port), &context, LONG).await, Outcome::Pass);
    }
    let closed = fails("nothing listens on port 5 on host `db1`");
    assert_eq!(attempt(&ResolvedCheck::TcpThere(5), &context, LONG).await, closed);
}

#[test]
fn who_listens_is_listed() {
    let service = Service::start();
    let owner = port_owner(service.port).unwrap();
    assert!(process_tree(service.shell.id()).contains(&owner.pid));
    assert_ne!(owner.pid, service.shell.id());
    assert!(!owner.command.is_empty());
    let all = listeners().unwrap();
    let found = all.iter().find(|listener| listener.address.port() == service.port).unwrap();
    assert_eq!(found.owner.as_ref(), Some(&owner));
    assert!(all.is_sorted_by_key(|listener| listener.address.port()));
    assert!(process_tree(u32::MAX).is_empty());
}
