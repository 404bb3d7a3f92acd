//! One run from start to end, on real processes.

use crate::common::{Run, command, script, spawn, until};
use muster_shim::{ExitCause, Limit, Message, Meta, Output, Phase, Request, Resource, Step, Target, proc_start_time};
use std::time::Duration;

#[test]
fn exit_code_and_records() {
    let mut spec = script("echo out; echo err >&2; exit 7");
    spec.instance = "web\n#1".into();
    spec.spec_hash = "abc".into();
    let (mut run, pid) = Run::start(spec);
    let exited = run.wait_for(|message| match message {
        Message::Exited(exited) => Some(*exited),
        _ => None,
    });
    assert_eq!(exited.cause, ExitCause::Code(7));
    let record = run.end();
    assert_eq!(record.cause, ExitCause::Code(7));
    assert_eq!(record.log_end, 8);
    assert_eq!(record.log_lost, 0);
    let log = run.log_text();
    assert!(log.contains("out\n") && log.contains("err\n"), "{log}");
    let meta = Meta::read(&run.folder()).unwrap().unwrap();
    assert_eq!(
        (meta.run.as_str(), meta.instance.as_str(), meta.spec_hash.as_str()),
        (run.id.as_str(), "web\n#1", "abc")
    );
    assert_eq!((meta.main_pid, meta.shim_pid), (pid, run.shim.pid));
    assert!(!meta.shim_alive());
    assert!(!run.socket().exists());
}

#[test]
fn signal_death() {
    let (mut run, _) = Run::start(script("kill -KILL $$"));
    assert_eq!(run.end().cause, ExitCause::Signal { signal: libc::SIGKILL, core: false });
}

#[test]
fn status_while_it_runs() {
    let (mut run, pid) = Run::start(script("echo up; exec sleep 1000"));
    run.wait_for_log("up\n");
    let status = run.status();
    assert_eq!((status.pid, status.phase, status.log_end), (pid, Phase::Running, 3));
    assert_eq!(status.start_time, proc_start_time(pid).unwrap());
    let meta = Meta::read(&run.folder()).unwrap().unwrap();
    assert!(meta.shim_alive());
    run.ask(|seq| Request::Stop { seq, grace: None });
    assert_eq!(run.end().cause, ExitCause::Signal { signal: libc::SIGTERM, core: false });
}

fn failure(spec: muster_shim::LaunchSpec) -> (Step, i32) {
    let mut run = Run::launch(spec);
    match run.next() {
        Message::StartFailed { step, errno } => {
            run.reap();
            assert!(!run.folder().join("meta").exists());
            (step, errno)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn failed_starts_name_step_and_error() {
    assert_eq!(failure(command(&["no-such-program"])), (Step::Exec, libc::ENOENT));
    assert_eq!(failure(command(&["/etc/passwd"])), (Step::Exec, libc::EACCES));
    assert_eq!(failure(command(&[])), (Step::Spec, libc::EINVAL));
    let mut spec = command(&["true"]);
    spec.cwd = "/no/such/folder".into();
    assert_eq!(failure(spec), (Step::Cwd, libc::ENOENT));
    let mut spec = command(&["true"]);
    spec.limits = vec![Limit { resource: Resource::Nofile, soft: 100, hard: 50 }];
    assert_eq!(failure(spec), (Step::Limit, libc::EINVAL));
    let mut spec = command(&["true"]);
    spec.notify = Some("/no/such/folder/n".into());
    assert_eq!(failure(spec), (Step::Notify, libc::ENOENT));
    let mut spec = command(&["true"]);
    spec.cgroup = Some("/no/such/cgroup".into());
    assert_eq!(failure(spec), (Step::Cgroup, libc::ENOENT));
}

#[test]
fn a_run_is_started_once() {
    let (mut run, _) = Run::start(command(&["true"]));
    run.end();
    let (first_home, mut second) = (run.home, Vec::new());
    let mut again = Run::launch_in(first_home, command(&["true"]));
    second.push(again.next());
    assert_eq!(second, [Message::StartFailed { step: Step::Claimed, errno: libc::EEXIST }]);
    again.reap();
}

#[test]
fn hand_over_that_ends_early_starts_nothing() {
    for bytes in [0, 3, 40] {
        let home = tempfile::tempdir().unwrap();
        let (shim, mut stream) = spawn(home.path());
        let mut launch = Request::Hello { version: muster_shim::VERSION }.to_bytes();
        Request::Launch(Box::new(script("echo ran > ran"))).encode(&mut launch);
        std::io::Write::write_all(&mut stream, &launch[..bytes]).unwrap();
        drop(stream);
        crate::common::reap(&shim);
        assert_eq!(std::fs::read_dir(home.path().join("run")).unwrap().count(), 0);
    }
}

#[test]
fn the_service_gets_exactly_what_was_given() {
    let mut spec = script(
        "env; echo umask $(umask); echo files $(ulimit -n); echo fds $(ls /proc/self/fd | wc -l); pwd; \
         read line || echo no input; grep -E 'Sig(Blk|Ign)' /proc/self/status",
    );
    spec.env.push(("GREETING".into(), "hallo".into()));
    spec.umask = Some(0o027);
    spec.cwd = "/usr".into();
    spec.limits = vec![Limit { resource: Resource::Nofile, soft: 77, hard: 88 }];
    let (mut run, _) = Run::start(spec);
    run.end();
    let log = run.log_text();
    for line in [
        "GREETING=hallo",
        &format!("MUSTER_RUN={}", run.id),
        &format!("MUSTER_RUN_DIR={}", run.folder().display()),
        "umask 0027",
        "files 77",
        "fds 4",
        "/usr",
        "no input",
    ] {
        assert!(log.lines().any(|found| found == line), "`{line}` is missing in\n{log}");
    }
    assert!(!log.contains("HOME=") && !log.contains("MUSTER_SHIM"), "{log}");
    for kind in ["SigBlk", "SigIgn"] {
        let line = log.lines().find(|line| line.starts_with(kind)).unwrap();
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn another_user() {
    if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) != 0) {
        eprintln!("skipped: only root can change the user");
        return;
    }
    let mut spec = command(&["id"]);
    spec.identity = Some(muster_shim::Identity { uid: 65534, gid: 65533, groups: vec![65532] });
    let (mut run, _) = Run::start(spec);
    run.end();
    let log = run.log_text();
    assert!(log.contains("uid=65534") && log.contains("gid=65533") && log.contains("65532"), "{log}");
    assert!(!log.contains("=0("), "{log}");
}

#[test]
fn a_stop_that_is_ignored_is_killed_after_the_grace() {
    let (mut run, _) = Run::start(script("trap '' TERM; echo up; while :; do sleep 1000; done"));
    run.wait_for_log("up\n");
    run.ask(|seq| Request::Stop { seq, grace: Some(Duration::from_millis(100)) });
    assert_eq!(run.end().cause, ExitCause::Signal { signal: libc::SIGKILL, core: false });
}

#[test]
fn signals_change_no_state() {
    let (mut run, _) = Run::start(script("trap 'echo got usr1' USR1; echo up; while :; do sleep 0.05; done"));
    run.wait_for_log("up\n");
    run.ask(|seq| Request::Signal { seq, signal: libc::SIGUSR1, to: Target::Main });
    run.wait_for_log("got usr1\n");
    assert_eq!(run.status().phase, Phase::Running);
    run.ask(|seq| Request::Kill { seq });
    run.end();
}

#[test]
fn sigterm_to_the_shim_is_a_stop() {
    let mut spec = script("trap '' TERM; echo up; while :; do sleep 1000; done");
    spec.stop_grace = Duration::from_millis(50);
    let (mut run, _) = Run::start(spec);
    run.wait_for_log("up\n");
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: the shim is our child and not collected
        unsafe { libc::kill(run.shim.pid.cast_signed(), signal) };
    }
    assert_eq!(run.status().phase, Phase::Running);
    // SAFETY: as above
    unsafe { libc::kill(run.shim.pid.cast_signed(), libc::SIGTERM) };
    assert_eq!(run.end().cause, ExitCause::Signal { signal: libc::SIGKILL, core: false });
}

#[test]
fn sigusr1_binds_the_socket_again() {
    let (mut run, _) = Run::start(command(&["sleep", "1000"]));
    std::fs::remove_file(run.socket()).unwrap();
    // SAFETY: the shim is our child and not collected
    unsafe { libc::kill(run.shim.pid.cast_signed(), libc::SIGUSR1) };
    until(|| run.socket().exists());
    let mut client = muster_shim::Client::connect(&run.socket()).unwrap();
    assert!(matches!(client.receive(crate::common::PATIENCE).unwrap(), Message::Hello { .. }));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(run.socket()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    run.ask(|seq| Request::Kill { seq });
    run.end();
}

#[test]
fn merged_output_is_in_exact_order() {
    let mut spec = script("i=0; while [ $i -lt 200 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done");
    spec.output = Output::Merged;
    let (mut run, _) = Run::start(spec);
    run.end();
    let wanted: String = (0..200).map(|number| format!("o{number}\ne{number}\n")).collect();
    assert_eq!(run.log_text(), wanted);
}

#[test]
fn a_service_that_closes_its_output_lives_on() {
    let (mut run, _) = Run::start(script("echo up; exec >&- 2>&-; sleep 0.2; exit 3"));
    run.wait_for_log("up\n");
    assert_eq!(run.end().cause, ExitCause::Code(3));
}
