//! Commands beside a run, its terminal, and what is known of it.

use super::harness::{Harness, Program, Verdict};
use super::kit::{Case, SOON, broken, ensure, finish, same, until_text};
use crate::contract::{Exec, ExecInput, Found, Known, TerminalSize};
use muster_spec::{SecretText, Streams};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A terminal that may be written to answers within this time, or it is tried again.
const ECHO: Duration = Duration::from_millis(500);

fn command(argv: &[&str]) -> Exec {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    Exec { argv, env: vec![("ADDED".into(), "2".into())], cwd: None, terminal: None }
}

pub(super) async fn exec(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "exec");
    let given = |name: &str, value: &str| (name.to_owned(), SecretText::new(value.to_owned()));
    let handle = case
        .start_with(&Program::Forever, |spec| {
            spec.command.env.extend([given("GIVEN", "1"), given("ADDED", "1")]);
        })
        .await?;
    let script = "read line; echo \"$line $GIVEN $ADDED\"; echo wrong >&2; cat; exit 7";
    let terminal = case.runtime.exec(&handle, &command(&["/bin/sh", "-c", script])).await.map_err(broken)?;
    let big = vec![b'x'; 1 << 20];
    let sent = terminal.input.clone();
    let input = async move {
        sent.send(ExecInput::Bytes(b"hello\n".to_vec())).await.map_err(broken)?;
        for piece in big.chunks(64 << 10) {
            sent.send(ExecInput::Bytes(piece.to_vec())).await.map_err(broken)?;
        }
        sent.send(ExecInput::Eof).await.map_err(broken)
    };
    let (sent, done) = futures::future::join(input, finish(terminal)).await;
    sent?;
    let done = done?;
    same("exit", &done.exit, &Ok(Known::Code(7)))?;
    ensure(done.stdout.starts_with("hello 1 2\n"), format_args!("found {:.40}", done.stdout))?;
    same("what went through", &done.stdout.len(), &("hello 1 2\n".len() + (1 << 20)))?;
    same("standard error", &done.stderr, &"wrong\n".to_owned())?;
    case.end(&handle).await.map(|_| ())
}

pub(super) async fn exec_codes(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "exec-codes");
    let handle = case.start(&Program::Forever).await?;
    for (argv, wanted) in [
        (vec!["/bin/sh", "-c", "exit 3"], Ok(Known::Code(3))),
        (vec!["/bin/sh", "-c", "kill -9 $$"], Ok(Known::Signal(9))),
        (vec!["/no/such/program"], Err(127)),
        (vec!["no-such-program-in-path"], Err(127)),
        (vec!["/etc/passwd"], Err(126)),
    ] {
        let terminal = case.runtime.exec(&handle, &command(&argv)).await.map_err(broken)?;
        same(&argv.join(" "), &finish(terminal).await?.exit, &wanted)?;
    }
    case.end(&handle).await.map(|_| ())
}

pub(super) async fn exec_dies_with_client(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "exec-dies");
    let mark = case.mark();
    let handle = case.start(&Program::Forever).await?;
    let terminal = case.runtime.exec(&handle, &command(&["/bin/sleep", &mark])).await.map_err(broken)?;
    case.observed(&mark, 1).await?;
    drop(terminal);
    case.observed(&mark, 0).await?;
    let found = case.runtime.recover(&handle.run, None).await;
    ensure(matches!(found, Found::Running(_)), format_args!("the service did not survive: {found:?}"))?;
    case.end(&handle).await.map(|_| ())
}

pub(super) async fn attach(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "attach");
    let handle = case.start_with(&Program::Echoes, |spec| spec.streams = Streams::Terminal).await?;
    let mut writer = case.runtime.attach(&handle).await.map_err(broken)?;
    let mut reader = case.runtime.attach(&handle).await.map_err(broken)?;
    let size = TerminalSize { rows: 40, columns: 100 };
    writer.input.send(ExecInput::Resize(size)).await.map_err(broken)?;
    writer.input.send(ExecInput::Bytes(b"hello\n".to_vec())).await.map_err(broken)?;
    until_text(&mut writer, "got hello").await?;
    until_text(&mut reader, "got hello").await?;
    drop((writer, reader));
    // the writer who left may be missed a moment later: until then whoever comes only reads
    let deadline = Instant::now() + SOON;
    loop {
        let mut again = case.runtime.attach(&handle).await.map_err(broken)?;
        again.input.send(ExecInput::Bytes(b"again\n".to_vec())).await.map_err(broken)?;
        match timeout(ECHO, until_text(&mut again, "got again")).await {
            Ok(came) => break came?,
            Err(_) => ensure(Instant::now() < deadline, "nobody can write after the writer left")?,
        }
    }
    case.says(&handle, "got again").await?;
    case.end(&handle).await.map(|_| ())
}

pub(super) async fn inspect(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "inspect");
    let handle = case.start(&Program::Forever).await?;
    let known = case.runtime.inspect(&handle).await.map_err(broken)?;
    same("hash", &known.hash, &format!("hash of {}", handle.run))?;
    ensure(known.started_at_ns > 0, "nobody knows when it started")?;
    ensure(!known.pids.is_empty(), "no process is known")?;
    if handle.pid.is_some() {
        same("main process", &known.pids.first().copied(), &handle.pid)?;
    }
    ensure(known.usage.is_some_and(|usage| usage.processes > 0), "no use is known")?;
    same("tracer", &known.traced_by, &None)?;
    case.end(&handle).await?;
    ensure(case.runtime.inspect(&handle).await.is_err(), "a run that is gone can be inspected")
}
