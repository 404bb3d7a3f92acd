//! Rows, groups, readers, and databases that cannot be used.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_spec::{EnvironmentId, InstanceId, PortName, ServiceName, StackName};
use muster_store::{
    Batch, EnvironmentRow, InstanceRow, PortRow, RUNS_KEPT, RunRow, SCHEMA_VERSION, Store, StoreError, SuccessRow,
    TRANSITIONS_KEPT, Transition, Write,
};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn fresh() -> (TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state").join("journal.db");
    let opened = Store::open(&path).unwrap();
    assert_eq!((opened.quarantined, opened.reason), (None, None));
    (folder, path, opened.store)
}

fn env(text: &str) -> EnvironmentId {
    EnvironmentId::from_str(text).unwrap()
}

fn api() -> InstanceId {
    InstanceId::from_str("api#2").unwrap()
}

fn environment(id: &str) -> EnvironmentRow {
    EnvironmentRow {
        id: env(id),
        root: "/srv/stack".into(),
        stack_name: StackName::new("shop").unwrap(),
        generation: 3,
        stack_json: "{}".to_owned(),
        port_base: Some(20_000),
        port_block: Some(10),
        created_at: 5,
        updated_at: 6,
    }
}

fn port(id: &str, number: u16, name: &str) -> PortRow {
    PortRow {
        number,
        environment: env(id),
        service: ServiceName::new("api").unwrap(),
        replica: 1,
        name: PortName::new(name).unwrap(),
    }
}

fn ports(id: &str, ports: Vec<PortRow>) -> Write {
    Write::PutPorts { environment: env(id), ports }
}

fn transition(id: &str, run: u64) -> Write {
    Write::Transition(Transition {
        at_ns: 1,
        environment: env(id),
        instance: api(),
        run,
        from_state: "waiting".to_owned(),
        to_state: "starting".to_owned(),
        cause_json: "{}".to_owned(),
    })
}

fn run(number: u64) -> RunRow {
    RunRow {
        environment: env("local-00000001"),
        instance: api(),
        number,
        handle_json: None,
        started_at: 1,
        ended_at: None,
        exit_json: None,
    }
}

fn fact(key: &str, value: &str) -> Write {
    Write::PutFact { environment: None, key: key.to_owned(), value: value.to_owned() }
}

#[test]
fn rows_come_back_as_they_were_written_also_after_a_restart() {
    let (_folder, path, store) = fresh();
    let id = env("local-00000001");
    let instance = InstanceRow {
        environment: id.clone(),
        instance: api(),
        state_json: "{\"state\":\"running\"}".to_owned(),
        run_number: 7,
        updated_at: 9,
    };
    let success = SuccessRow {
        environment: id.clone(),
        job: "build:api".to_owned(),
        spec_hash: "a".to_owned(),
        inputs_hash: "b".to_owned(),
        at: 3,
    };
    store
        .commit(vec![
            Write::PutEnvironment(environment("local-00000001")),
            ports(
                "local-00000001",
                vec![port("local-00000001", 20_001, "grpc"), port("local-00000001", 20_000, "http")],
            ),
            Write::PutInstance(instance.clone()),
            Write::PutRun(run(7)),
            Write::PutSuccess(success.clone()),
            fact("boot", "x"),
            Write::PutEnvironment(EnvironmentRow { created_at: 99, generation: 4, ..environment("local-00000001") }),
        ])
        .unwrap();
    let seqs = store.commit(vec![transition("local-00000001", 7), transition("local-00000001", 8)]).unwrap().seqs;
    drop(store);

    let store = Store::open(&path).unwrap().store;
    let expected = EnvironmentRow { generation: 4, ..environment("local-00000001") };
    assert_eq!(store.environments().unwrap(), std::slice::from_ref(&expected));
    assert_eq!(store.environment(&id).unwrap(), Some(expected));
    assert_eq!(store.environment(&env("other-00000001")).unwrap(), None);
    let numbers: Vec<u16> = store.ports_of(&id).unwrap().iter().map(|port| port.number).collect();
    assert_eq!(numbers, [20_000, 20_001]);
    assert_eq!(store.instances(&id).unwrap(), [instance]);
    assert_eq!(store.success(&id, "build:api").unwrap(), Some(success));
    assert_eq!(store.fact(None, "boot").unwrap().as_deref(), Some("x"));
    assert_eq!(store.fact(Some(&id), "boot").unwrap(), None);
    let rows = store.transitions(&id, seqs[0], Some(&api()), 10).unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), seqs[1..]);
    assert_eq!(store.last_transitions(&id, None, 1).unwrap(), rows);
}

#[test]
fn a_run_is_intent_then_handle_then_end() {
    let (_folder, _path, store) = fresh();
    let id = env("local-00000001");
    store.commit(Write::PutRun(run(1))).unwrap();
    store.commit(Write::PutRun(RunRow { handle_json: Some("{}".to_owned()), ..run(1) })).unwrap();
    assert_eq!(store.open_runs(&id).unwrap().len(), 1);
    let end = |number| Write::EndRun {
        environment: id.clone(),
        instance: api(),
        number,
        ended_at: 5,
        exit_json: "{\"code\":0}".to_owned(),
    };
    store.commit(end(1)).unwrap();
    let ended = store.runs(&id, &api(), 10).unwrap();
    assert_eq!(ended[0].handle_json.as_deref(), Some("{}"));
    assert_eq!((ended[0].started_at, ended[0].ended_at), (1, Some(5)));
    assert_eq!(store.open_runs(&id).unwrap(), []);

    for number in 2..=RUNS_KEPT + 50 {
        store.commit(vec![Write::PutRun(run(number)), end(number)]).unwrap();
    }
    store.commit(Write::RemoveInstance { environment: id.clone(), instance: api() }).unwrap();
    assert_eq!(store.runs(&id, &api(), 1000).unwrap().len() as u64, RUNS_KEPT);
    assert_eq!(store.last_runs(&id).unwrap(), [(api(), RUNS_KEPT + 50)]);
}

#[test]
fn a_taken_port_names_its_holder_and_changes_nothing() {
    let (_folder, _path, store) = fresh();
    store.commit(ports("a-00000001", vec![port("a-00000001", 20_000, "http")])).unwrap();
    store.commit(ports("b-00000001", vec![port("b-00000001", 20_010, "http")])).unwrap();
    let wanted = vec![port("b-00000001", 20_011, "http"), port("b-00000001", 20_000, "grpc")];
    let refused = store.commit(vec![fact("x", "y"), ports("b-00000001", wanted)]).unwrap_err();
    assert!(matches!(&refused, StoreError::PortTaken { holder } if *holder == port("a-00000001", 20_000, "http")));
    assert_eq!(refused.to_string(), "port 20000 belongs to port `http` of `api` in environment `a-00000001`");
    assert_eq!(store.ports_of(&env("b-00000001")).unwrap(), [port("b-00000001", 20_010, "http")]);
    assert_eq!(store.fact(None, "x").unwrap(), None, "the batch is all or nothing");
    let twice = vec![port("b-00000001", 20_011, "http"), port("b-00000001", 20_011, "grpc")];
    assert!(matches!(store.commit(ports("b-00000001", twice)), Err(StoreError::PortMixed { .. })));
    let own = vec![port("b-00000001", 20_010, "grpc"), port("b-00000001", 20_012, "http")];
    store.commit(ports("b-00000001", own)).unwrap();
    assert_eq!(store.all_ports().unwrap().len(), 3);
}

#[test]
fn a_removed_environment_leaves_no_row() {
    let (_folder, _path, store) = fresh();
    for id in ["a-00000001", "b-00000001"] {
        let put = Write::PutFact { environment: Some(env(id)), key: "k".to_owned(), value: "v".to_owned() };
        store
            .commit(vec![
                Write::PutEnvironment(environment(id)),
                ports(id, vec![port(id, if id.starts_with('a') { 1 } else { 2 }, "p")]),
                transition(id, 1),
                put,
            ])
            .unwrap();
    }
    store.commit(Write::RemoveEnvironment(env("a-00000001"))).unwrap();
    assert_eq!(store.all_ports().unwrap(), [port("b-00000001", 2, "p")]);
    assert_eq!(store.environments().unwrap().len(), 1);
    assert_eq!(store.facts(Some(&env("a-00000001"))).unwrap(), []);
    assert_eq!(store.transitions(&env("a-00000001"), 0, None, 10).unwrap(), []);
    assert_eq!(store.transitions(&env("b-00000001"), 0, None, 10).unwrap().len(), 1);
}

#[test]
fn the_history_is_bounded() {
    let (_folder, _path, store) = fresh();
    let many: Vec<Write> = (0..TRANSITIONS_KEPT + 1200).map(|n| transition("a-00000001", n)).collect();
    store.commit(transition("b-00000001", 1)).unwrap();
    store.commit(many).unwrap();
    let rows = store.transitions(&env("a-00000001"), 0, None, 100_000).unwrap();
    assert!((TRANSITIONS_KEPT as usize..TRANSITIONS_KEPT as usize + 500).contains(&rows.len()), "{}", rows.len());
    assert_eq!(rows.last().unwrap().transition.run, TRANSITIONS_KEPT + 1199);
    assert_eq!(store.transitions(&env("b-00000001"), 0, None, 10).unwrap().len(), 1);
}

#[test]
fn what_is_queued_is_one_transaction_and_one_failure_stays_alone() {
    let (_folder, _path, store) = fresh();
    store.commit(ports("a-00000001", vec![port("a-00000001", 1, "p")])).unwrap();
    let (release, held) = channel::<()>();
    let (entered, inside) = channel();
    store.submit(
        fact("first", "1").into(),
        Box::new(move |_| {
            entered.send(()).unwrap();
            held.recv().unwrap();
        }),
    );
    inside.recv().unwrap();
    let (answer, answers) = channel();
    for n in 0..50 {
        let (answer, reader) = (answer.clone(), store.clone());
        let batch: Batch = match n {
            25 => ports("b-00000001", vec![port("b-00000001", 1, "p")]).into(),
            _ => fact(&format!("k{n:02}"), "v").into(),
        };
        store.submit(
            batch,
            Box::new(move |outcome| answer.send((n, outcome.is_ok(), reader.facts(None).unwrap().len())).unwrap()),
        );
    }
    release.send(()).unwrap();
    for n in 0..50 {
        // All 49 are there when the first reply comes: they were committed together.
        assert_eq!(answers.recv().unwrap(), (n, n != 25, 50));
    }
}

#[test]
fn a_read_does_not_wait_behind_a_write() {
    let (_folder, path, store) = fresh();
    store.commit(fact("k", "before")).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE fact SET value = 'during'").unwrap();
    let (answer, answered) = channel();
    store.submit(fact("k", "after").into(), Box::new(move |outcome| answer.send(outcome.is_ok()).unwrap()));
    assert_eq!(store.fact(None, "k").unwrap().as_deref(), Some("before"));
    assert!(answered.try_recv().is_err(), "the write is still waiting");
    other.execute_batch("COMMIT").unwrap();
    assert!(answered.recv().unwrap());
    assert_eq!(store.fact(None, "k").unwrap().as_deref(), Some("after"));
}

#[test]
fn a_wal_that_grew_is_moved_away_from_the_writer() {
    let (_folder, path, store) = fresh();
    let large = "x".repeat(64 << 10);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut n = 0;
    while std::fs::metadata(&path).unwrap().len() < 1 << 20 {
        assert!(Instant::now() < deadline, "no checkpoint after {n} writes");
        store.commit(fact(&format!("k{}", n % 200), &large)).unwrap();
        n += 1;
    }
}

#[test]
fn what_is_queued_is_written_before_the_store_closes() {
    let (_folder, path, store) = fresh();
    for n in 0..100 {
        store.submit(fact(&format!("k{n}"), "v").into(), Box::new(|_| {}));
    }
    drop(store);
    assert_eq!(Store::open(&path).unwrap().store.facts(None).unwrap().len(), 100);
}

fn quarantined(path: &Path, reason: &str) -> PathBuf {
    let opened = Store::open(path).unwrap();
    let said = opened.reason.unwrap();
    assert!(said.contains(reason), "{said}");
    assert_eq!(opened.store.environments().unwrap(), []);
    opened.store.commit(fact("new", "1")).unwrap();
    opened.quarantined.unwrap()
}

#[test]
fn a_damaged_file_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    std::fs::write(&path, "this was a database once, it is not any more".repeat(200)).unwrap();
    let first = quarantined(&path, "damaged");
    assert_eq!(first, folder.path().join("journal.db.quarantine-1"));
    assert!(first.exists());

    // Damage in the middle, behind a header that is right.
    let store = Store::open(&path).unwrap().store;
    let many: Vec<Write> = (0..2000).map(|n| transition("a-00000001", n)).collect();
    store.commit(many).unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[8192..length - 4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(quarantined(&path, "damaged"), folder.path().join("journal.db.quarantine-2"));
}

#[test]
fn a_newer_version_is_put_aside_whole() {
    let (folder, path, store) = fresh();
    store.commit(Write::PutEnvironment(environment("a-00000001"))).unwrap();
    drop(store);
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    drop(newer);
    let aside = quarantined(&path, "newer version");
    assert!(aside.starts_with(folder.path()));
    let old = rusqlite::Connection::open(&aside).unwrap();
    let rows: i64 = old.query_row("SELECT count(*) FROM environment", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn the_database_of_another_program_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    quarantined(&path, "another program");
}

#[test]
fn a_folder_that_cannot_be_used_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let refused = Store::open(&folder.path().join("file").join("journal.db")).unwrap_err();
    assert_eq!(refused.code(), "store::unwritable");
    assert!(refused.to_string().contains("make its folder writable"), "{refused}");
    // A folder where the file should be.
    std::fs::create_dir(folder.path().join("journal.db")).unwrap();
    let refused = Store::open(&folder.path().join("journal.db")).unwrap_err();
    assert_eq!(refused.code(), "store::unwritable", "{refused}");
}

#[test]
fn the_last_handle_may_be_dropped_by_a_reply() {
    let (_folder, path, store) = fresh();
    let last = store.clone();
    let (answer, answered) = channel();
    let (release, held) = channel::<()>();
    store.submit(
        fact("k", "v").into(),
        Box::new(move |outcome| {
            held.recv().unwrap();
            drop(last);
            answer.send(outcome.is_ok()).unwrap();
        }),
    );
    drop(store);
    release.send(()).unwrap();
    assert!(answered.recv().unwrap());
    assert_eq!(Store::open(&path).unwrap().store.fact(None, "k").unwrap().as_deref(), Some("v"));
}
