//! Who inherits orphans must not keep them as zombies. A test of its own: being a subreaper is of the whole process.

use muster_probe::{ProbeContext, ResolvedCheck, attempt};
use muster_spec::{ResolvedCommand, SecretText};
use std::path::Path;
use std::time::{Duration, Instant};

/// Both lines, as soon as they are there; the attempt's own limit ends the waiting.
async fn written(path: &Path) -> String {
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') && text.lines().count() == 2 => return text,
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[tokio::test]
async fn orphans_of_a_check_are_taken_and_other_children_are_left_alone() {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut other = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let check = ResolvedCheck::Exec(ResolvedCommand {
        argv: ["sh", "-c", "(sleep 1000 & echo $! > pids); echo $$ >> pids; sleep 1000"].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), SecretText::new("/usr/local/bin:/usr/bin:/bin".to_owned()))],
        cwd: folder.path().to_owned(),
    });
    let path = folder.path().join("pids");
    let context = ProbeContext::new();
    let pids = tokio::select! {
        outcome = attempt(&check, &context, Duration::from_secs(20)) => panic!("it ended: {outcome:?}"),
        pids = written(&path) => pids,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while pids.lines().any(|pid| std::fs::exists(format!("/proc/{pid}")).unwrap()) {
        assert!(Instant::now() < deadline, "one is left, perhaps as a zombie: {pids}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(other.wait().unwrap().code(), Some(7));
}
