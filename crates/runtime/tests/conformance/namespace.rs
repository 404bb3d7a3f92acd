//! In a pid namespace whose session leader is outside of it, as in many containers: `getsid` answers 0 there.

use std::io::Write as _;
use std::process::{Command, Output};

/// These look for what a killed supervisor left, by its session.
const INSIDE: [&str; 2] = [
    "survival::the_last_bytes_and_the_tree_of_a_killed_supervisor",
    "survival::what_a_supervisor_left_is_ended_by_the_next_daemon",
];
/// Says its session, then becomes the test.
const SCRIPT: &str = r#"echo "session $(cut -d' ' -f6 /proc/self/stat)"; exec "$0" --exact --test-threads=1 "$@""#;

#[test]
fn a_session_that_began_outside() {
    let tests = std::env::current_exe().expect("the surroundings of the test");
    let mut inside = namespace();
    let output = run(inside.args(["sh", "-c", SCRIPT]).arg(&tests).args(INSIDE));
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("session ") {
        return skip(&String::from_utf8_lossy(&output.stderr));
    }
    assert!(text.contains("session 0\n"), "the session is not outside of the namespace: {text}");
    let passed = format!("{} passed", INSIDE.len());
    assert!(output.status.success() && text.contains(&passed), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// `unshare` as it is allowed here; it ends what runs in the namespace when it ends itself.
fn namespace() -> Command {
    let mut command = Command::new("unshare");
    let status = std::fs::read_to_string("/proc/self/status").expect("the surroundings of the test");
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("`unshare` of util-linux")
}

/// Where the system allows no namespaces. A session that is 0 already needs none: all tests prove it there.
fn skip(reason: &str) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the surroundings of the test");
    let fields = stat.rsplit(')').next().unwrap_or_default();
    if fields.split_ascii_whitespace().nth(3) == Some("0") {
        return;
    }
    let line = format!("SKIPPED pid namespaces: {}", reason.trim());
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("MUSTER_SKIPS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the list of skips");
        writeln!(file, "{line}").expect("the list of skips");
    }
}
