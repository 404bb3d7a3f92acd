//! Commands as checks; nothing of them outlives the attempt.

use muster_probe::{Outcome, ProbeContext, ResolvedCheck, attempt};
use muster_spec::{ResolvedCommand, SecretText};
use std::path::Path;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

fn command(argv: &[&str], cwd: &Path) -> ResolvedCheck {
    ResolvedCheck::Exec(ResolvedCommand {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("GREETING", "hello")]
            .map(|(name, value)| (name.to_owned(), SecretText::new(value.to_owned())))
            .to_vec(),
        cwd: cwd.to_owned(),
    })
}

async fn shell(script: &str, cwd: &Path) -> Outcome {
    attempt(&command(&["sh", "-c", script], cwd), &ProbeContext::new(), LONG).await
}

/// Gone, or dead and not yet taken by whoever inherited it.
fn is_gone(pid: &str) -> bool {
    match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')),
        Err(_) => true,
    }
}

async fn all_gone(pids: &str, wanted: usize) {
    assert_eq!(pids.lines().count(), wanted);
    let deadline = Instant::now() + LONG;
    while !pids.lines().all(is_gone) {
        assert!(Instant::now() < deadline, "something still runs: {pids}");
        tokio::task::yield_now().await;
    }
}

async fn written(path: &Path, lines: usize) -> String {
    let deadline = Instant::now() + LONG;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') && text.lines().count() >= lines {
            return text;
        }
        assert!(Instant::now() < deadline, "nothing in {}", path.display());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_exit_code_decides_and_the_last_line_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert_eq!(shell("true", here).await, Outcome::Pass);
    let fail = |reason: &str| Outcome::Fail(reason.to_owned());
    assert_eq!(shell("exit 3", here).await, fail("exited with 3"));
    assert_eq!(shell("echo first; echo last; echo; exit 1", here).await, fail("exited with 1: last"));
    assert_eq!(shell("echo no connection >&2; echo out; exit 2", here).await, fail("exited with 2: no connection"));
    assert_eq!(shell("kill -9 $$", here).await, fail("was ended by signal 9"));
    let flood =
        "i=0; while [ $i -lt 3000 ]; do echo 'a line of output that fills the pipe' $i; i=$((i+1)); done; exit 1";
    assert_eq!(shell(flood, here).await, fail("exited with 1: a line of output that fills the pipe 2999"));
}

#[tokio::test]
async fn it_runs_with_the_services_environment_and_folder() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    let script = format!(
        "test \"$GREETING\" = hello && test -z \"$CARGO_MANIFEST_DIR\" && test \"$(pwd)\" = {}",
        here.display()
    );
    assert_eq!(shell(&script, &here).await, Outcome::Pass);
    assert_eq!(shell("! read line", &here).await, Outcome::Pass, "its input is empty");
}

#[tokio::test]
async fn what_cannot_be_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |check| async move { attempt(&check, &ProbeContext::new(), LONG).await };
    let missing = ask(command(&["no-such-program"], folder.path())).await;
    assert_eq!(missing, Outcome::Fail("`no-such-program` cannot be run: not found".to_owned()));
    let Outcome::Fail(reason) = ask(command(&["true"], &folder.path().join("gone"))).await else { panic!("it ran") };
    assert!(reason.contains("its folder") && reason.contains("does not exist"), "{reason}");
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let check =
        command(&["sh", "-c", "trap '' TERM; sleep 1000 & echo $! > pids; echo $$ >> pids; wait"], folder.path());
    let context = ProbeContext::new();
    let running = attempt(&check, &context, Duration::from_secs(2));
    let (outcome, text) = tokio::join!(running, written(&pids, 2));
    let Outcome::Fail(reason) = outcome else { panic!("it passed") };
    assert!(reason.starts_with("`sh -c ") && reason.ends_with("` did not end within 2s"), "{reason}");
    all_gone(&text, 2).await;
}

#[tokio::test]
async fn a_dropped_attempt_is_ended_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let check = command(&["sh", "-c", "sleep 1000 & echo $! > pids; echo $$ >> pids; wait"], folder.path());
    let context = ProbeContext::new();
    let text = tokio::select! {
        outcome = attempt(&check, &context, LONG) => panic!("it ended: {outcome:?}"),
        text = written(&pids, 2) => text,
    };
    all_gone(&text, 2).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_ended_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    // The child holds the streams open.
    assert_eq!(shell("sleep 1000 & echo $! > pids; exit 0", folder.path()).await, Outcome::Pass);
    assert!(begun.elapsed() < LONG);
    all_gone(&written(&folder.path().join("pids"), 1).await, 1).await;
}
