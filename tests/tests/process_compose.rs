//! Every file of process-compose's own fixtures, run and compared with what process-compose did.

use muster_e2e::Home;
use muster_e2e::pc::{self, Case, Row};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases that run at the same time: most of their time is spent asleep.
const AT_ONCE: usize = 6;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

fn all(cases: &[(&String, &Case)], binary: &Path) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = pc::run(name, case, binary);
                    rows.lock().expect("no case panics").insert((*name).clone(), row);
                }
            });
        }
    });
    rows.into_inner().expect("no case panics").into_values().collect()
}

#[test]
fn every_file_runs_as_process_compose_runs_it() {
    let cases = pc::cases();
    assert_eq!(cases.len(), 51);
    let only = std::env::var("MUSTER_CASE").ok();
    let chosen: Vec<(&String, &Case)> =
        cases.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only.as_str()))).collect();
    let rows = all(&chosen, &muster_e2e::binaries::binaries().muster);
    for row in &rows {
        println!("{} | {:?} | {}", row.case, row.compared, pc::table::outcome(row));
    }
    let wrong: Vec<&Row> = rows.iter().filter(|row| !row.differences.is_empty()).collect();
    assert!(wrong.is_empty(), "{} of {} cases differ: {wrong:#?}", wrong.len(), rows.len());
    if only.is_none() {
        is_documented(&pc::document(&rows));
    }
}

fn is_documented(table: &str) {
    let path = repository().join("docs/process-compose.md");
    if std::env::var_os("MUSTER_GENERATE").is_some() {
        std::fs::write(&path, table).expect("docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == table, "docs/process-compose.md is old: run this test with MUSTER_GENERATE=1\n{table}");
}

/// Where the recorded files lie beside the repository, its copy is the same.
#[test]
fn the_copy_is_what_was_recorded() {
    let Some(recorded) = repository().parent().map(|folder| folder.join("shared/real/process-compose")) else { return };
    for file in files(&recorded) {
        let ours = pc::data().join(file.strip_prefix(&recorded).expect("it lies below"));
        let text = |path: &Path| std::fs::read(path).unwrap_or_default();
        assert!(text(&ours) == text(&file), "{} differs from what was recorded", ours.display());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Processes with others beside the one that ends the whole; process-compose's own fixtures have none that run on.
const ENDS_THE_WHOLE: &str = "\
processes:
  web:
    command: sleep 600
  later:
    command: sleep 600
    depends_on: { web: { condition: process_completed } }
  failer:
    command: exit 3
    availability: { restart: exit_on_failure }
    depends_on: { web: { condition: process_started } }
";

#[test]
fn one_that_ends_the_whole_stops_the_others() {
    let home = Home::new();
    home.write("process-compose.yaml", ENDS_THE_WHOLE);
    home.muster(&["up", "-f", "process-compose.yaml"]).expect_code(3);
    let loss = home.muster(&["import", "process-compose.yaml", "--loss"]).expect_code(0).stdout;
    assert!(loss.contains("exit code: process-compose ends with 0"), "{loss}");
    let status = home.muster(&["--file", "process-compose.yaml", "--json", "status"]).expect_code(0).json();
    let states: Vec<_> =
        status["services"].as_array().expect("a list").iter().map(|s| (&s["state"], &s["pid"])).collect();
    let null = json!(null);
    assert_eq!(states, [(&json!("stopped"), &null), (&json!("stopped"), &null), (&json!("exited"), &null)], "{status}");
}

#[test]
fn a_file_is_known_by_what_stands_in_it() {
    let home = Home::new();
    let text = "processes:\n  a: { command: pwd, namespace: x }\n  b: { command: pwd, namespace: y }\n";
    home.write("mine.yaml", text);
    let here = home.project().canonicalize().expect("it is there");
    let said = home.muster(&["up", "-f", "mine.yaml", "-n", "y"]).expect_code(0);
    assert_eq!(said.stdout, format!("b | {}\n", here.display()));
    home.stack("services:\n  a: { command: sleep 600 }\n");
    home.muster(&["up", "-n", "y"]).expect_code(2);
}
