use super::*;
use crate::contract::ExitRecord;
use muster_spec::ResolvedCommand;
use std::time::Duration;

fn spec() -> InstanceSpec {
    let command = ResolvedCommand { argv: vec!["x".into()], env: Vec::new(), cwd: "/".into() };
    InstanceSpec { grace: Duration::from_secs(1), hash: "h".into(), ..InstanceSpec::process(command) }
}

fn run(number: u64) -> RunId {
    format!("local-0000002a/api#1/{number}").parse().unwrap()
}

fn exit(code: i32) -> Known {
    Known::Code(code)
}

async fn ended(runtime: &FakeRuntime, handle: &Handle) -> Known {
    let mut events = runtime.watch(handle);
    while let Some(event) = events.next().await {
        if let RuntimeEvent::Exited(record) = event {
            return record.exit;
        }
    }
    panic!("no end was told");
}

#[tokio::test(start_paused = true)]
async fn runs_survive_the_daemon_and_follow_their_scripts() {
    let world = World::new(RuntimeKind::Process);
    let script = Script::exits(Duration::from_secs(5), 3)
        .prints(Duration::from_secs(1), "hello")
        .then(Duration::from_secs(2), Act::Notify("READY=1".into()));
    world.script_starts("api", [script, Script::runs()]);
    let first = FakeRuntime::new(&world);
    let handle = first.start(&run(1), &spec()).await.unwrap();
    assert_eq!(first.start(&run(1), &spec()).await.unwrap(), handle);
    drop(first);
    let second = FakeRuntime::new(&world);
    assert_eq!(second.recover(&run(1), None).await, Found::Running(handle.clone()));
    let events: Vec<_> = second.watch(&handle).collect().await;
    let record = ExitRecord { exit: exit(3), at_ns: 5_000_000_001, log_bytes: 6, note: None };
    assert_eq!(
        events,
        [RuntimeEvent::LogGrew(6), RuntimeEvent::Notify("READY=1".into()), RuntimeEvent::Exited(record.clone())]
    );
    assert_eq!(second.logs(&handle, 2).await.unwrap()[0].bytes, b"llo\n");
    assert_eq!(second.recover(&run(1), None).await, Found::Exited(record));
    second.destroy(&run(1)).await.unwrap();
    assert_eq!(second.recover(&run(1), None).await, Found::Absent);
    second.start(&run(2), &spec()).await.unwrap();
    assert_eq!((world.starts("api"), world.live().len(), world.doubles().len()), (2, 1, 0));
    second.start(&run(3), &spec()).await.unwrap();
    assert_eq!(world.doubles().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn starts_fail_hang_and_come_late() {
    let world = World::new(RuntimeKind::Process);
    let late = Script::runs().start_takes(Duration::from_secs(9));
    world.script_starts("api", [Script::fails("no", Some(127)), Script::hangs(), late]);
    let runtime = FakeRuntime::new(&world);
    let failed = runtime.start(&run(1), &spec()).await;
    assert!(matches!(failed, Err(StartError::Permanent { code: 127, .. })));
    let limit = Duration::from_secs(60);
    assert!(tokio::time::timeout(limit, runtime.start(&run(2), &spec())).await.is_err());
    assert_eq!(runtime.recover(&run(2), None).await, Found::Absent);
    // a start that is given up half way is found again
    assert!(tokio::time::timeout(Duration::from_secs(1), runtime.start(&run(3), &spec())).await.is_err());
    assert!(matches!(runtime.recover(&run(3), None).await, Found::Running(_)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_ignored_or_obeyed_late_and_a_lost_link_takes_no_requests() {
    let world = World::new(RuntimeKind::Remote);
    let slow = Script::runs().on_stop(StopScript::Exits(Duration::from_secs(3), 0));
    let deaf = Script::runs().on_stop(StopScript::Ignores);
    world.script_starts("api", [slow, deaf, Script::runs().unverifiable("another boot")]);
    let runtime = FakeRuntime::new(&world);
    let handle = runtime.start(&run(1), &spec()).await.unwrap();
    world.act(&run(1), Act::LinkLost("link".into()));
    assert!(runtime.signal(&handle, Signal::TERM, Target::Group).await.is_err());
    world.act(&run(1), Act::LinkBack);
    runtime.signal(&handle, Signal::TERM, Target::Group).await.unwrap();
    assert_eq!(ended(&runtime, &handle).await, exit(0));

    let handle = runtime.start(&run(2), &spec()).await.unwrap();
    runtime.signal(&handle, Signal::TERM, Target::Group).await.unwrap();
    assert_eq!(world.live(), [run(2)]);
    assert!(runtime.destroy(&run(2)).await.is_err());
    runtime.kill(&handle).await.unwrap();
    assert_eq!(ended(&runtime, &handle).await, Known::Signal(9));

    let handle = runtime.start(&run(3), &spec()).await.unwrap();
    assert!(matches!(runtime.recover(&run(3), None).await, Found::Unverifiable(_)));
    assert!(matches!(runtime.kill(&handle).await, Err(RuntimeError::Unverifiable { .. })));
}
