//! Every project of `data` against what Docker Compose made of it: accepted or refused, and the printed configuration.
//!
//! `data/README.md` says where the projects come from and what must agree. Cases that differ stand in [`DIFFERENT`] with
//! their reason, and the test holds that list to be exact. The table by area stands in `docs/compose.md`, which the test holds
//! against what it found; with `MUSTER_GENERATE=1` it writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use muster_compose::{LoadRequest, Memory, read};
use serde_json::Value;

/// Cases that do not agree, each with its reason.
const DIFFERENT: &[(&str, &str)] = &[];

/// Most of all cases that may differ, in percent.
const MOST_DIFFERENT: usize = 3;

/// The areas of `data/corners` by the numbers of their cases.
const AREAS: [(u32, u32, &str); 18] = [
    (2, 24, "interpolation"),
    (26, 56, ".env, --env-file, env_file, environment"),
    (58, 88, "several files"),
    (90, 100, "!reset, !override"),
    (102, 136, "YAML itself, anchors, types, unknown keys"),
    (138, 158, "extends"),
    (160, 180, "include"),
    (182, 194, "profiles"),
    (196, 210, "depends_on and implied dependencies"),
    (212, 224, "ports, expose"),
    (226, 246, "volumes, tmpfs"),
    (248, 262, "secrets, configs"),
    (264, 278, "networks, network_mode, dns, extra_hosts"),
    (280, 290, "healthcheck, durations"),
    (292, 310, "deploy, scale, gpus, byte sizes"),
    (312, 326, "build, develop.watch"),
    (328, 360, "other service attributes, hooks, models, provider"),
    (362, 380, "project name, version, options"),
];

struct Case {
    name: String,
    area: String,
    request: LoadRequest,
    files: Memory,
    expected: Value,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder in memory, at another place.
fn memory(folder: &Path, at: &Path, mut files: Memory) -> Memory {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let target = at.join(entry.file_name().expect("a name"));
        files = match entry.is_dir() {
            true => memory(&entry, &target, files),
            false => files.with(target, std::fs::read(&entry).expect("a file")),
        };
    }
    files
}

/// What stands on the command line before `config`.
fn request(cwd: &str, args: &Value, environment: BTreeMap<String, String>) -> LoadRequest {
    let mut request = LoadRequest { cwd: cwd.into(), environment, ..LoadRequest::default() };
    request.environment.insert("HOME".to_owned(), "/home/dev".to_owned());
    request.environment.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    let mut args = args.as_array().expect("args").iter().map(|arg| arg.as_str().expect("a text").to_owned());
    while let Some(option) = args.next() {
        let value = args.next().expect("a value");
        match option.as_str() {
            "-f" | "--file" => request.files.push(value.into()),
            "--profile" => request.profiles.push(value),
            "--env-file" => request.env_files.push(value.into()),
            "-p" | "--project-name" => request.project_name = Some(value),
            "--project-directory" => request.project_directory = Some(value.into()),
            other => panic!("the option {other} is not known here"),
        }
    }
    request
}

fn corners() -> Vec<Case> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(data().join("corners"))
        .expect("the corners")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.into_iter().map(|folder| corner(&folder)).collect()
}

fn corner(folder: &Path) -> Case {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let number: u32 = name[..3].parse().expect("a number");
    let area = AREAS.iter().find(|(first, last, _)| (*first..=*last).contains(&number)).expect("an area").2;
    let case = json(&folder.join("case.json"));
    let environment = case["env"].as_object().into_iter().flatten();
    let environment =
        environment.map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())).collect();
    let mut files = memory(folder, Path::new("/src/case"), Memory::default());
    for ours in ["case.json", "expected.json"] {
        files.files.remove(&Path::new("/src/case").join(ours));
    }
    let cwd = case["cwd"].as_str().unwrap_or("/src/case");
    let request = request(cwd, &case["args"], environment);
    Case { name, area: area.to_owned(), request, files, expected: json(&folder.join("expected.json")) }
}

/// The files of other projects: each alone, run in its own folder or in the folder of all.
fn others(folder: &str, root: &str, own_folder: bool) -> Vec<Case> {
    let files = memory(&data().join(folder).join("files"), Path::new(root), Memory::default());
    let answers = json(&data().join(folder).join("expected.json"));
    let answers = answers.as_object().expect("answers").clone();
    let case = |(file, expected): (String, Value)| {
        let cwd = match Path::new(&file).parent() {
            Some(parent) if own_folder => Path::new(root).join(parent),
            _ => PathBuf::from(root),
        };
        let request = request(&cwd.to_string_lossy(), &expected["args"], BTreeMap::new());
        Case { name: format!("{folder}/{file}"), area: folder.to_owned(), request, files: files.clone(), expected }
    };
    answers.into_iter().map(case).collect()
}

/// Cases of each area that were made by rule; each has its project in it.
fn more() -> Vec<Case> {
    let list = json(&data().join("more.json"));
    let case = |(number, case): (usize, &Value)| {
        let texts = |key: &str| case[key].as_object().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let environment = texts("env").iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let at = Path::new("/src/case");
        let put = |files: Memory, (path, value): (&String, &Value)| files.with(at.join(path), text(value));
        let files = texts("files").iter().fold(Memory::default().with("/dev/null", ""), put);
        let cwd = at.join(case["cwd"].as_str().unwrap_or_default());
        let args = case.get("args").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        let request = request(cwd.to_string_lossy().trim_end_matches('/'), &args, environment);
        let area = text(&case["area"]);
        Case { name: format!("more/{number} ({area})"), area, request, files, expected: case.clone() }
    };
    list.as_array().expect("a list").iter().enumerate().map(case).collect()
}

/// The normaliser of both sides: numbers by value.
fn normalised(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64().expect("a number")),
        Value::Array(items) => Value::Array(items.into_iter().map(normalised).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, normalised(value))).collect()),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// Where two values differ, one line each.
fn differences(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, ours) in a {
                match b.get(key) {
                    Some(theirs) => differences(&format!("{path}.{key}"), ours, theirs, out),
                    None => out.push(format!("{path}.{key}: {ours}, Compose has nothing")),
                }
            }
            let missing = b.iter().filter(|(key, _)| !a.contains_key(*key));
            out.extend(missing.map(|(key, theirs)| format!("{path}.{key}: nothing, Compose has {theirs}")));
        }
        (ours, theirs) if ours != theirs => out.push(format!("{path}: {ours}, Compose has {theirs}")),
        _ => {}
    }
}

/// Everything in which a case does not agree.
fn disagreement(case: &Case) -> Vec<String> {
    let printed = read(&case.request, &case.files)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        .and_then(|project| project.to_json().map_err(|error| error.to_string()));
    let refused = case.expected["exit"] != 0;
    match printed {
        Ok(_) if refused => vec![format!("accepted, Compose refuses: {}", case.expected["error"])],
        Err(why) if !refused => vec![format!("refused, Compose accepts: {why}")],
        Err(why) => {
            assert!(!why.is_empty(), "{}: refused without a reason", case.name);
            Vec::new()
        }
        Ok(printed) => {
            let mut out = Vec::new();
            differences("", &normalised(printed), &normalised(case.expected["config"].clone()), &mut out);
            out
        }
    }
}

#[test]
fn every_project_is_what_docker_compose_makes_of_it() {
    let mut cases = corners();
    cases.extend(others("awesome-compose", "/src/awesome-compose", true));
    cases.extend(others("compose-go", "/src/compose-go", false));
    cases.extend(others("edgex-compose", "/src/edgex", false));
    cases.extend(more());
    let mut table: Vec<(String, [usize; 4])> = Vec::new();
    let mut different = Vec::new();
    for case in &cases {
        if table.last().is_none_or(|(area, _)| *area != case.area) {
            table.push((case.area.clone(), [0; 4]));
        }
        let row = &mut table.last_mut().expect("a row").1;
        let found = disagreement(case);
        row[0] += 1;
        row[1] += usize::from(case.expected["exit"] != 0);
        row[if found.is_empty() { 2 } else { 3 }] += 1;
        if !found.is_empty() {
            println!("{}\n    {}", case.name, found.join("\n    "));
            different.push(case.name.as_str());
        }
    }
    let table = documented(&table, cases.len(), different.len());
    let listed: Vec<&str> = DIFFERENT.iter().map(|(name, _)| *name).collect();
    assert_eq!(different, listed, "the list of cases that differ is not exact");
    assert!(
        different.len() * 100 <= cases.len() * MOST_DIFFERENT,
        "{} of {} cases differ",
        different.len(),
        cases.len()
    );
    is_in_the_document(&table);
}

/// The table by area, and each case that differs.
fn documented(table: &[(String, [usize; 4])], all: usize, differ: usize) -> String {
    let mut out = String::from("| area | cases | of them refused | agree | differ |\n|---|---|---|---|---|\n");
    for (area, [all, refused, agree, differ]) in table {
        let _ = writeln!(out, "| {area} | {all} | {refused} | {agree} | {differ} |");
    }
    let refused: usize = table.iter().map(|(_, counts)| counts[1]).sum();
    let _ = writeln!(out, "| together | {all} | {refused} | {} | {differ} |", all - differ);
    for (name, reason) in DIFFERENT {
        let _ = writeln!(out, "\n`{name}` differs: {reason}.");
    }
    out
}

/// `docs/compose.md` has this table between its two marks.
fn is_in_the_document(table: &str) {
    const MARKS: [&str; 2] = ["<!-- table by area -->\n", "<!-- end of the table -->\n"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compose.md");
    let text = std::fs::read_to_string(&path).expect("docs/compose.md");
    let (head, rest) = text.split_once(MARKS[0]).expect("the first mark");
    let (old, tail) = rest.split_once(MARKS[1]).expect("the second mark");
    if old == table {
        return;
    }
    assert!(
        std::env::var_os("MUSTER_GENERATE").is_some(),
        "docs/compose.md is old: run this with MUSTER_GENERATE=1\n{table}"
    );
    std::fs::write(&path, [head, MARKS[0], table, MARKS[1], tail].concat()).expect("docs can be written");
}
