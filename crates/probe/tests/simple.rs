//! TCP, files, notify, logs, and what is put together of them.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_probe::{LogSource, LogWatch, Outcome, Pattern, ProbeContext, ResolvedCheck, attempt};
use muster_spec::EngineHealth;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(20);

async fn ask(check: &ResolvedCheck) -> Outcome {
    attempt(check, &ProbeContext::new(), LONG).await
}

fn fail(reason: impl Into<String>) -> Outcome {
    Outcome::Fail(reason.into())
}

async fn closed() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn tcp_passes_when_one_address_accepts() {
    let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = v4.local_addr().unwrap().port();
    assert_eq!(ask(&ResolvedCheck::Tcp(format!("127.0.0.1:{port}"))).await, Outcome::Pass);
    assert_eq!(ask(&ResolvedCheck::Tcp(format!("localhost:{port}"))).await, Outcome::Pass);
    drop(v4);
    assert_eq!(
        ask(&ResolvedCheck::Tcp(format!("127.0.0.1:{port}"))).await,
        fail(format!("connection refused at 127.0.0.1:{port}"))
    );
    if let Ok(v6) = TcpListener::bind("[::1]:0").await {
        let port = v6.local_addr().unwrap().port();
        assert_eq!(ask(&ResolvedCheck::Tcp(format!("localhost:{port}"))).await, Outcome::Pass);
        assert_eq!(ask(&ResolvedCheck::Tcp(format!("[::1]:{port}"))).await, Outcome::Pass);
    }
    assert_eq!(ask(&ResolvedCheck::Tcp("nowhere".into())).await, fail("`nowhere` is not `host:port`"));
}

#[tokio::test]
async fn tcp_that_does_not_answer_fails_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Its queue of connections holds one, and is filled until the next one hangs.
    rustix::net::listen(&listener, 0).unwrap();
    let mut held = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            Ok(stream) => held.push(stream.unwrap()),
            Err(_) if !held.is_empty() => break,
            Err(_) => {}
        }
        assert!(held.len() < 100, "the queue does not fill");
    }
    let outcome =
        attempt(&ResolvedCheck::Tcp(address.to_string()), &ProbeContext::new(), Duration::from_millis(50)).await;
    assert_eq!(outcome, fail(format!("no answer from {address} within 50ms")));
}

#[tokio::test]
async fn a_file_exists_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ready");
    let check = ResolvedCheck::File(path.clone());
    assert_eq!(ask(&check).await, fail(format!("`{}` does not exist", path.display())));
    std::fs::write(&path, "").unwrap();
    assert_eq!(ask(&check).await, Outcome::Pass);
}

#[tokio::test]
async fn notify_is_ready_and_then_keeps_saying_so() {
    let context = ProbeContext::new();
    let ask = || attempt(&ResolvedCheck::Notify, &context, LONG);
    assert_eq!(ask().await, fail("it has not said `READY=1`"));
    context.notified_ready();
    assert_eq!(ask().await, Outcome::Pass);
    let now = Instant::now();
    context.notified_watchdog(Duration::from_secs(60), now);
    assert_eq!(ask().await, Outcome::Pass);
    context.notified_watchdog(Duration::from_secs(2), now.checked_sub(Duration::from_secs(30)).unwrap());
    let Outcome::Fail(reason) = ask().await else { panic!("the watchdog is silent") };
    assert!(reason.starts_with("no `WATCHDOG=1` for 30") && reason.ends_with("promised every 2s"), "{reason}");
}

/// A log that grows when the test says so.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl LogSource for Written {
    fn poll_new(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().pop_front().unwrap_or_default())
    }
}

#[tokio::test]
async fn a_line_is_found_however_it_arrives() {
    let pattern = Pattern::new(r"^listening on \d+$").unwrap();
    let other = Pattern::new("second").unwrap();
    let check = ResolvedCheck::Log(pattern.clone());
    let context = ProbeContext::new();
    assert_eq!(attempt(&check, &context, LONG).await, fail("its log is not there yet"));
    let log = Written::default();
    context.set_log(LogWatch::new(Box::new(log.clone()), vec![pattern, other.clone()]));
    let say = |text: &str| log.0.lock().unwrap().push_back(text.as_bytes().to_vec());
    say("not listening on 80\nlisten");
    assert_eq!(attempt(&check, &context, LONG).await, fail(r"no line of its log matches `^listening on \d+$`"));
    say("ing on ");
    say("80");
    assert_eq!(attempt(&check, &context, LONG).await, Outcome::Pass, "also without a newline");
    say(" ports\r\nsecond\r\n");
    assert_eq!(attempt(&ResolvedCheck::Log(other), &context, LONG).await, Outcome::Pass);
    assert_eq!(attempt(&check, &context, LONG).await, Outcome::Pass, "once matched, it stays so");
}

#[tokio::test]
async fn all_and_any_say_which_ones_failed() {
    let (first, second) = (closed().await, closed().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = ResolvedCheck::Tcp(listener.local_addr().unwrap().to_string());
    let down = [ResolvedCheck::Tcp(first.clone()), ResolvedCheck::Tcp(second.clone())];
    let reasons = format!("connection refused at {first}; connection refused at {second}");
    let [a, b] = down.clone();
    assert_eq!(ask(&ResolvedCheck::All(vec![a.clone(), open.clone(), b.clone()])).await, fail(&reasons));
    assert_eq!(ask(&ResolvedCheck::All(vec![open.clone(), open.clone()])).await, Outcome::Pass);
    assert_eq!(ask(&ResolvedCheck::Any(down.to_vec())).await, fail(format!("none of 2 passes: {reasons}")));
    assert_eq!(ask(&ResolvedCheck::Any(vec![a, ResolvedCheck::All(vec![open])])).await, Outcome::Pass);
}

#[tokio::test]
async fn an_engine_s_word_is_the_answer() {
    let context = ProbeContext::new();
    let ask = || attempt(&ResolvedCheck::Healthcheck, &context, Duration::from_secs(1));
    assert!(matches!(ask().await, Outcome::Fail(reason) if reason.contains("not passed yet")));
    context.engine_says(EngineHealth::Healthy);
    assert_eq!(ask().await, Outcome::Pass);
    context.engine_says(EngineHealth::Unhealthy);
    assert!(matches!(ask().await, Outcome::Fail(reason) if reason.contains("fails")));
}
